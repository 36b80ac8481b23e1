"""Views of several modalities: every column under its own name, lightly disturbed in training."""

import torch
from torch import Tensor, nn

from likewise.core.batch import Tokens, View
from likewise.core.draws import Draws
from likewise.core.errors import InputError, near
from likewise.core.modality import Modality
from likewise.core.recipe import FROM_DATA, part


@part("views", "modalities")
class Modalities(nn.Module):
    """Images as numbers in 0..1, vectors standardised by the training part, texts as tokens.

    Args:
        modalities: name, kind and shape of each, as the data have them.
        center: of the vectors' features, one modality's after the other's.
        spread: deviations of the same.
        noise: in training, normal noise of this deviation on pixels and features.
        shift: in training, images are moved by up to so many pixels to each side, edges repeated.
        drop: in training, share of a text's tokens that are left out.
    """

    center: Tensor
    spread: Tensor

    def __init__(
        self,
        *,
        modalities: tuple[str, ...] = FROM_DATA,
        center: tuple[float, ...] = FROM_DATA,
        spread: tuple[float, ...] = FROM_DATA,
        noise: float = 0.0,
        shift: int = 0,
        drop: float = 0.0,
    ) -> None:
        super().__init__()
        if noise < 0 or shift < 0 or not 0 <= drop < 1:
            raise InputError(f"views: noise={noise} and shift={shift} are at least 0, drop={drop} is a share below 1")
        self.modalities = [Modality.parse(m) for m in modalities]
        self.noise, self.shift, self.drop = noise, shift, drop
        self.register_buffer("center", torch.tensor(center), persistent=False)
        self.register_buffer("spread", torch.tensor(spread), persistent=False)

    def forward(self, columns: dict[str, View], draws: Draws) -> dict[str, View]:
        """A view per modality."""
        plain = self.plain(columns)
        for m in self.modalities:
            if m.name not in plain:
                raise InputError(f"the data have no modality {m.name!r}{near(m.name, columns)}")
        return {m.name: self._disturbed(m, plain[m.name], draws.fork(m.name)) for m in self.modalities}

    def plain(self, columns: dict[str, View]) -> dict[str, View]:
        """The modalities that the data have, as they are evaluated."""
        out: dict[str, View] = {}
        first = 0
        for m in self.modalities:
            column, size = columns.get(m.name), m.shape[0]
            if m.kind == "vector" and isinstance(column, Tensor) and column.shape[1:] == m.shape:
                column = (column.float() - self.center[first : first + size]) / self.spread[first : first + size]
            elif m.kind == "image" and isinstance(column, Tensor):
                column = column.float() / 255
            first += size if m.kind == "vector" else 0
            out |= {} if column is None else {m.name: column}
        return out

    def _disturbed(self, modality: Modality, view: View, draws: Draws) -> View:
        if isinstance(view, Tokens):
            kept = draws.uniform(view.ids.shape[1]) >= self.drop
            return Tokens(view.ids, view.mask & kept) if self.drop else view
        assert isinstance(view, Tensor)
        if modality.kind == "image" and self.shift:
            view = _moved(view, draws.integers(2 * self.shift + 1, 2), self.shift)
        return view + self.noise * draws.normal(*view.shape[1:]) if self.noise else view


def _moved(image: Tensor, by: Tensor, most: int) -> Tensor:
    """Images ``(n, c, h, w)`` cut at ``by (n, 2)`` from ones with ``most`` pixels more on each side."""
    n, c, h, w = image.shape
    wide = nn.functional.pad(image, [most] * 4, mode="replicate")
    down = (by[:, :1] + torch.arange(h, device=image.device))[:, None, :, None].expand(n, c, h, wide.shape[3])
    across = (by[:, 1:] + torch.arange(w, device=image.device))[:, None, None, :].expand(n, c, h, w)
    return wide.gather(2, down).gather(3, across)
