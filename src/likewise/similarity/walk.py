"""One sweep's tiles: products, base-2 logits, exponentials, in buffers that are used again."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from likewise.similarity.tiles import Drops, Place, Sweep

LOG2E = math.log2(math.e)
LN2 = math.log(2)

LOWEST = {torch.float32: -80.0, torch.float64: -600.0}
HIGHEST = {torch.float32: 90.0, torch.float64: 700.0}
"""How far base-2 logarithms of sums may be from the shift: what is lost below is less than a rounding error, and
products of exponentials with the weights of the backward sweep stay normal numbers."""

Scales = Sequence[float | Tensor]
Sums = list[Tensor]


def drops_of(sweep: Sweep, k: int, made: dict[int, Drops], device: torch.device) -> Drops:
    """The sorted drops of term k; terms that share their rules share the sorting."""
    key = id(sweep.terms[k].drop)
    if key not in made:
        made[key] = Drops(sweep.terms[k].drop, sweep, device)
    return made[key]


class Walk:
    """The tiles of a sweep for some of its terms, computed in a few buffers."""

    def __init__(
        self,
        sweep: Sweep,
        anchors: Tensor,
        candidates: Tensor,
        scales: Scales,
        terms: Sequence[int],
        sorted_drops: dict[int, Drops] | None = None,
    ) -> None:
        self.sweep, self.anchors, self.candidates = sweep, anchors, candidates
        self.terms = terms
        self.scales = {k: scales[k] * LOG2E for k in terms}
        self.single = len(terms) == 1
        made = {} if sorted_drops is None else sorted_drops
        self.drops = {k: drops_of(sweep, k, made, anchors.device) for k in terms}
        self.rows, self.cols = anchors.split(sweep.tile), candidates.split(sweep.tile)
        self._transposed = [block.T for block in self.cols]
        self._buffers: dict[tuple[int, tuple[int, int]], Tensor] = {}

    def buffer(self, which: int, at: Place) -> Tensor:
        """A tile's worth of memory, used again for the next tile of that shape."""
        shape = (at.rows.stop - at.rows.start, at.cols.stop - at.cols.start)
        held = self._buffers.get((which, shape))
        if held is None:
            held = self._buffers[which, shape] = self.anchors.new_empty(shape)
        return held

    def left(self, i: int) -> Tensor:
        """A row block, scaled if there is one term only."""
        return self.rows[i] * self.scales[self.terms[0]] if self.single else self.rows[i]

    def product(self, left: Tensor, at: Place, *, fresh: bool = False) -> Tensor:
        """Similarities of a tile, scaled if there is one term only; in memory of its own if ``fresh``."""
        right = self._transposed[at.j]
        return torch.mm(left, right) if fresh else torch.mm(left, right, out=self.buffer(0, at))

    def logits(self, k: int, product: Tensor, at: Place, *, fresh: bool = False) -> Tensor:
        """Base-2 logits of term k from the product of a tile, which is overwritten if there is one term only."""
        tile = product
        if not self.single:
            tile = torch.mul(product, self.scales[k], out=torch.empty_like(product) if fresh else self.buffer(1, at))
        for rule in self.sweep.terms[k].bias:
            tile.add_(rule.tile(at.rows, at.cols).to(tile.device, tile.dtype), alpha=LOG2E)
        return tile

    def exponentials(self, k: int, product: Tensor, at: Place, shift: float, *, fresh: bool = False) -> Tensor:
        """``2^(logit - shift)`` of term k, 0 for dropped pairs."""
        tile = self.logits(k, product, at, fresh=fresh)
        if shift:
            tile.sub_(shift)
        tile.exp2_()
        self.drops[k].fill(tile, at, 0.0)
        return tile

    def masked(self, k: int, product: Tensor, at: Place) -> Tensor:
        """Base-2 logits of term k, ``-inf`` for dropped pairs."""
        tile = self.logits(k, product, at)
        self.drops[k].fill(tile, at, -torch.inf)
        return tile
