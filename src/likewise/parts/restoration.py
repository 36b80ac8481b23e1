"""What methods of restoration share: their base, and the contrast of feature maps."""

from typing import Literal

import torch
from torch import Tensor, nn

from likewise.core.batch import Batch
from likewise.core.comm import Collective
from likewise.core.errors import InputError
from likewise.core.learner import Learner
from likewise.functional import restoration as equations
from likewise.parts.encoders.sr import EDSR
from likewise.similarity import SINGLE

Kind = Literal["infonce", "lmcl", "l1", "l2", "cosine"]


class Restorer(Learner):
    """Base of methods that give back a larger picture; features are those of the network's body, pooled.

    Args:
        encoder: the network.
    """

    def __init__(self, encoder: EDSR) -> None:
        super().__init__()
        self.encoder = encoder

    @property
    def factor(self) -> int:
        """How many times larger a restored picture is."""
        return self.encoder.factor

    def restore(self, low: Tensor, *, tile: int = 256) -> Tensor:
        """Pictures ``(n, c, h, w)`` in 0..1, ``factor`` times larger and in 0..1.

        Large ones go through in tiles of ``tile`` pixels with a margin as wide as the network sees, which makes no
        difference to the result.
        """
        height, width = low.shape[2:]
        if max(height, width) <= tile:
            return self.encoder.restore(low).clamp(0, 1)
        margin, factor = self.encoder.reach, self.factor
        out = low.new_empty(*low.shape[:2], factor * height, factor * width)
        for top in range(0, height, tile):
            for left in range(0, width, tile):
                above, before = min(top, margin), min(left, margin)
                piece = low[:, :, top - above : top + tile + margin, left - before : left + tile + margin]
                made = self.encoder.restore(piece)[:, :, factor * above :, factor * before :].clamp(0, 1)
                rows, columns = (min(tile, side - at) * factor for side, at in ((height, top), (width, left)))
                y, x = factor * top, factor * left
                out[:, :, y : y + rows, x : x + columns] = made[:, :, :rows, :columns]
        return out

    def restored(self, batch: Batch) -> Tensor:
        """What the network makes of the small pictures of a batch, not clamped.

        Raises:
            InputError: the views make pictures smaller by another factor than the network makes them larger.
        """
        low, high = image(batch, "low"), image(batch, "high")
        same_factor(high.shape[2] // low.shape[2], self.factor)
        return self.encoder.restore(low)


def same_factor(views: int, network: int) -> None:
    """Refuse views that make pictures smaller by another factor than the network makes them larger."""
    if views != network:
        raise InputError(
            f"the views make pictures {views} times smaller and the network makes them {network} times larger: give "
            "views.factor and learner.encoder.factor one value"
        )


def image(batch: Batch, role: str) -> Tensor:
    """The view of that role, a tensor.

    Raises:
        InputError: the views make no such role.
    """
    view = batch.views.get(role)
    if not isinstance(view, Tensor):
        raise InputError(f"the views have no {role!r} pictures: take the views 'restoration' (better=3 for 'sharp')")
    return view


class Contrast(nn.Module):
    """How much more a restored picture is like worse versions of itself than like better ones, in feature maps.

    Args:
        kind: see :class:`likewise.methods.restoration.pcl_sr.PCLSR`.
        temperature: of ``infonce`` and ``lmcl``.
        shuffle: other pictures' worse versions are worse ones, too.
    """

    def __init__(self, kind: Kind = "infonce", *, temperature: float = 1.0, shuffle: bool = False) -> None:
        super().__init__()
        if not temperature > 0:
            raise InputError(f"temperature={temperature} must be above 0")
        self.kind, self.temperature, self.shuffle = kind, temperature, shuffle

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor, *, comm: Collective = SINGLE) -> Tensor:
        """The mean over pictures, of maps ``(n, c, h, w)``, ``(n, p, c, h, w)`` and ``(n, m, c, h, w)``."""
        if self.shuffle:
            orders = [torch.randperm(len(negative), device=negative.device) for _ in range(negative.shape[1])]
            others = torch.stack([negative[order, k] for k, order in enumerate(orders)], 1)
            negative = torch.cat([negative, others], 1)
        if self.kind in ("l1", "l2", "cosine"):
            near, far = (self._closeness(anchor, others) for others in (positive, negative))
            return equations.restoration_ratio(comm.gather(near), comm.gather(far), self.kind)
        near, far = equations.map_cosine(anchor, positive), equations.map_cosine(anchor, negative)
        decoupled = self.kind == "lmcl"
        return equations.restoration_nce(near, far, temperature=self.temperature, decoupled=decoupled).mean()

    def _closeness(self, anchor: Tensor, others: Tensor) -> Tensor:
        if self.kind == "l1":
            return equations.map_distance(anchor, others).mean(1)
        return equations.map_cosine(anchor, others).mean(1)
