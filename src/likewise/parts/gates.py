"""Gates: masks that are drawn, and yet learned."""

import math

import torch
from torch import Tensor, nn

from likewise.core.errors import InputError
from likewise.core.recipe import FROM_DATA, part
from likewise.parts.encoders.dilated import Dilated


class HardConcrete(nn.Module):
    r"""A mask between 0 and 1 that is often exactly 0 or 1, from a logit and a uniform draw.

    .. math:: m = \min(1, \max(0, (1 + \zeta) s - \zeta)),\qquad
              s = \sigma\big((\log e - \log(1 - e) + w)/\beta\big),\quad e = (2b - 1)u + 1 - b

    The concrete distribution of Louizos et al. (arXiv:1712.01312), stretched downwards by zeta as AutoTCL has it.

    Args:
        bias: b, which keeps e away from 0 and 1; above 0 and below 1.
        stretch: zeta.
        temperature: beta.
        hard: round m to 0, 1/2 or 1 on the way forwards; the gradient is that of m (straight through).
    """

    def __init__(
        self, *, bias: float = 0.05, stretch: float = 0.05, temperature: float = 1.0, hard: bool = True
    ) -> None:
        super().__init__()
        if not 0 < bias < 1:
            raise InputError(f"gate: bias={bias} must lie between 0 and 1")
        if stretch < 0:
            raise InputError(f"gate: stretch={stretch} must be at least 0")
        if not (temperature > 0 and math.isfinite(temperature)):
            raise InputError(f"gate: temperature={temperature} must be above 0")
        self.bias, self.stretch, self.temperature, self.hard = bias, stretch, temperature, hard

    def forward(self, weight: Tensor, uniform: Tensor | None = None) -> Tensor:
        """The mask of ``weight``, any shape, with draws of that shape in [0, 1); without draws its expected course."""
        soft = self.soft(weight, uniform)
        if not self.hard:
            return soft
        rounded = (torch.sign(soft - 0.5) + 1) / 2
        return rounded.detach() - soft.detach() + soft

    def soft(self, weight: Tensor, uniform: Tensor | None = None) -> Tensor:
        """The mask before it is rounded."""
        if uniform is None:
            s = torch.sigmoid(weight)
        else:
            e = (2 * self.bias - 1) * uniform + 1 - self.bias
            s = torch.sigmoid((e.log() - torch.log1p(-e) + weight) / self.temperature)
        return (s * (1 + self.stretch) - self.stretch).clamp(0, 1)


@part("augmenter", "mask-and-scale")
class SeriesAugmenter(nn.Module):
    """A learned view of a series: which values carry the information, and how to rescale them.

    A dilated trunk with two heads per channel, both through a sigmoid: ``h`` is the logit of a gate, ``g`` a factor.
    AutoTCL's factorised augmentation ``v = g * m(h) * x`` (arXiv:2402.10434, section 3).

    Args:
        channels: of the series.
        dim: width of the trunk's features.
        hidden: width inside the trunk.
        depth: blocks of the trunk.
        bias: of the gate, see :class:`HardConcrete`.
        stretch: of the gate.
        hard: mask by 0 and 1, with the gradient of the soft mask.
    """

    def __init__(
        self,
        *,
        channels: int = FROM_DATA,
        dim: int = 64,
        hidden: int = 64,
        depth: int = 3,
        bias: float = 0.05,
        stretch: float = 0.05,
        hard: bool = True,
    ) -> None:
        super().__init__()
        self.trunk = Dilated(dim=dim, hidden=hidden, depth=depth, channels=channels, dropout=0.1)
        self.information, self.transform = nn.Linear(dim, channels), nn.Linear(dim, channels)
        self.gate = HardConcrete(bias=bias, stretch=stretch, hard=hard)

    def forward(self, series: Tensor, uniform: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The view of ``series (n, t, c)``, and its weights h, both of that shape.

        Steps with missing values (NaN) stay missing.
        """
        missing = series.isnan().any(-1, keepdim=True)
        features = self.trunk.steps(series)
        h, g = self.information(features).sigmoid(), self.transform(features).sigmoid()
        # a factor times NaN would make the factor's gradient NaN
        view = g * self.gate(h, uniform) * series.masked_fill(missing, 0.0)
        return view.masked_fill(missing, torch.nan), h
