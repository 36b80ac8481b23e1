"""Views of time series ``(n, t, c)``: crops, fixed distortions, and the draws that learned views need."""

import torch
from torch import Tensor, nn

from likewise.core.batch import View
from likewise.core.draws import Draws
from likewise.core.errors import InputError
from likewise.core.recipe import FROM_DATA, part


class Series(nn.Module):
    """Base: every channel brought to mean 0 and deviation 1 of the training part; missing values stay NaN.

    Args:
        center: mean of each channel in the training part.
        spread: standard deviation of each channel there.
        length: crop to so many steps first, each series at its own place; None: as long as they are.
    """

    center: Tensor
    spread: Tensor

    def __init__(
        self,
        *,
        center: tuple[float, ...] = FROM_DATA,
        spread: tuple[float, ...] = FROM_DATA,
        length: int | None = None,
    ) -> None:
        super().__init__()
        if length is not None and length < 2:
            raise InputError(f"length={length}: a crop has at least 2 steps")
        self.length = length
        self.register_buffer("center", torch.tensor(center), persistent=False)
        self.register_buffer("spread", torch.tensor(spread), persistent=False)

    def plain(self, columns: dict[str, View]) -> dict[str, View]:
        """The series as they are, standardised."""
        return {"series": self.standard(columns)}

    def standard(self, columns: dict[str, View]) -> Tensor:
        """The standardised column ``series``, ``(n, t, c)``."""
        x = columns.get("series")
        if not isinstance(x, Tensor):
            raise InputError(f"these views are for time series; the data has {', '.join(columns)}")
        if x.shape[2] != len(self.center):
            raise InputError(f"series of {x.shape[2]} channels; the run was trained on {len(self.center)}")
        out: Tensor = (x - self.center) / self.spread
        return out

    def cropped(self, columns: dict[str, View], draws: Draws) -> Tensor:
        """Standardised series of at most ``length`` steps."""
        x = self.standard(columns)
        if self.length is None or x.shape[1] <= self.length:
            return x
        return windows(x, draws.fork("crop").integers(x.shape[1] - self.length + 1), self.length)


def windows(x: Tensor, start: Tensor, length: int) -> Tensor:
    """``length`` steps of each series from its own ``start (n,)`` on."""
    places = start[:, None] + torch.arange(length, device=x.device)
    return x[torch.arange(len(x), device=x.device)[:, None], places]


@part("views", "overlapping-crops")
class OverlappingCrops(Series):
    """Two crops that share some steps: ``a`` begins before them, ``b`` ends after them; ``overlap`` says how many.

    The lengths of the crops are drawn once for a batch (by its first series, so that they are the same again after a
    resumed run), the place of both together for each series. Yue et al., arXiv:2106.10466, section 3.3, "random
    cropping", with the offsets per series of the released code.

    Args:
        center: see :class:`Series`.
        spread: see :class:`Series`.
        length: see :class:`Series`.
        shortest: steps that the crops share, at least.
    """

    def __init__(
        self,
        *,
        center: tuple[float, ...] = FROM_DATA,
        spread: tuple[float, ...] = FROM_DATA,
        length: int | None = None,
        shortest: int = 2,
    ) -> None:
        super().__init__(center=center, spread=spread, length=length)
        if shortest < 1:
            raise InputError(f"shortest={shortest}: the crops share at least 1 step")
        self.shortest = shortest

    def forward(self, columns: dict[str, View], draws: Draws) -> dict[str, View]:
        """``a (n, ta, c)``, whose last steps are the first of ``b (n, tb, c)``; ``overlap (n,)`` int64, all alike."""
        x = self.cropped(columns, draws)
        total = x.shape[1]
        if total < self.shortest:
            raise InputError(f"series of {total} steps; the two crops share at least {self.shortest}")
        shared, left, before, after = (float(u) for u in draws.fork("lengths").uniform(4)[0])

        def between(u: float, low: int, high: int) -> int:
            return low + min(int(u * (high - low + 1)), high - low)

        overlap = between(shared, self.shortest, total)
        left = between(left, 0, total - overlap)
        start, end = between(before, 0, left), between(after, left + overlap, total)
        shift = draws.fork("place").integers(total - (end - start) + 1)  # where the union begins
        return {
            "a": windows(x, shift, left + overlap - start),
            "b": windows(x, shift + left - start, end - left),
            "overlap": torch.full((len(x),), overlap, device=x.device),
        }


@part("views", "jitter-scaling")
class JitterScaling(Series):
    """A crop and a distorted copy: each channel times a factor about 1, and noise on every value.

    Jittering and scaling as Um et al. (arXiv:1706.00527) have them for series of sensors.

    Args:
        center: see :class:`Series`.
        spread: see :class:`Series`.
        length: see :class:`Series`.
        jitter: standard deviation of the noise, in units of the channel's own.
        scale: standard deviation of the factors.
    """

    def __init__(
        self,
        *,
        center: tuple[float, ...] = FROM_DATA,
        spread: tuple[float, ...] = FROM_DATA,
        length: int | None = None,
        jitter: float = 0.3,
        scale: float = 0.5,
    ) -> None:
        super().__init__(center=center, spread=spread, length=length)
        for name, value in (("jitter", jitter), ("scale", scale)):
            if value < 0:
                raise InputError(f"jitter-scaling: {name}={value} must be at least 0")
        self.jitter, self.scale = jitter, scale

    def forward(self, columns: dict[str, View], draws: Draws) -> dict[str, View]:
        """``a`` and ``b``, ``(n, t, c)``; ``place (n,)`` in [0, 1), where the segments of ``a`` begin."""
        x = self.cropped(columns, draws)
        factor = 1 + self.scale * draws.fork("scale").normal(1, x.shape[2])
        noise = self.jitter * draws.fork("jitter").normal(*x.shape[1:])
        return {"a": x, "b": x * factor + noise, "place": draws.fork("place").uniform()}


@part("views", "series-and-draws")
class SeriesAndDraws(Series):
    """A crop, and the uniform draws that a learned view of it is made with.

    Args:
        center: see :class:`Series`.
        spread: see :class:`Series`.
        length: see :class:`Series`.
    """

    def forward(self, columns: dict[str, View], draws: Draws) -> dict[str, View]:
        """``a (n, t, c)``; ``b (n, t, 3c)``: the same, and two draws for each value; ``places (n, 3)``, draws, too."""
        x = self.cropped(columns, draws)
        gates = draws.fork("gates").uniform(x.shape[1], 2 * x.shape[2])
        return {"a": x, "b": torch.cat([x, gates], 2), "places": draws.fork("places").uniform(3)}
