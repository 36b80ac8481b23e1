r"""Gradients of the log-sum-exps of a sweep, by computing its tiles again.

With the shift c of a term, its exponentials E, and g the incoming gradients,

.. math::  \frac{\partial L}{\partial \ell_{ij}} = E_{ij}\,(w_i + v_j), \qquad w_i = g_i\, 2^{c - \mathrm{lse}_i}

where w belongs to the rows and v to the columns. Without one shift that suits all rows, two exponentials relative to
the row's and the column's own log-sum-exp take the place of E.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from likewise.similarity.forward import Trace
from likewise.similarity.tiles import Place, Sweep
from likewise.similarity.walk import HIGHEST, LOG2E, LOWEST, Scales, Sums, Walk

Grads = Sequence[Tensor | None]


@dataclass(frozen=True)
class Needs:
    """Which gradients are wanted: of the anchors, of the candidates, of each term's scale."""

    anchors: bool
    candidates: bool
    scales: tuple[bool, ...]


@dataclass(frozen=True)
class _Side:
    """Gradients and base-2 log-sum-exps of the rows or the columns of a term; weights if there is a shift."""

    grad: Tensor
    lse: Tensor
    weight: Tensor | None

    @classmethod
    def of(cls, lse: Tensor, grad: Tensor | None, shift: float | None) -> "_Side | None":
        if grad is None:
            return None
        empty = lse == -torch.inf
        grad, base2 = grad.masked_fill(empty, 0.0), (lse * LOG2E).masked_fill_(empty, 0.0)
        # an empty row has weight 0, whatever the shift makes of its log-sum-exp
        weight = None if shift is None else (shift - base2).exp2_().mul_(grad).masked_fill_(empty, 0.0)
        return cls(grad, base2, weight)


class _Pull:
    """One term's gradient with respect to its logits, a tile at a time."""

    def __init__(self, walk: Walk, k: int, shift: float | None, row: _Side | None, col: _Side | None) -> None:
        self.walk, self.k, self.shift = walk, k, shift
        self.row_weight = None if row is None else row.weight
        self.col_weight = None if col is None else col.weight
        t = walk.sweep.tile
        self.by_row = None if row is None else _split(t, row, 1)
        self.by_col = None if col is None else _split(t, col, 0)
        self.folded = self.row_weight if walk.single and col is None else None
        """Row weights ``(n,)`` that multiply the rows outside of the tile, which then stays as it is."""

    def tile(self, product: Tensor | None, kept: Tensor | None, at: Place) -> Tensor:
        walk = self.walk
        if self.shift is None:
            assert product is not None
            return self._two_exponentials(walk.masked(self.k, product, at), at)
        tile = kept
        if tile is None:
            assert product is not None
            tile = walk.exponentials(self.k, product, at, self.shift)
        if self.folded is not None:
            return tile
        sides = [block.weight for block in self._blocks(at) if block.weight is not None]
        return tile.mul_(torch.add(*sides, out=walk.buffer(2, at)) if len(sides) == 2 else sides[0])

    def _blocks(self, at: Place) -> list[_Side]:
        row = [] if self.by_row is None else [self.by_row[at.i]]
        return row if self.by_col is None else [*row, self.by_col[at.j]]

    def _two_exponentials(self, logits: Tensor, at: Place) -> Tensor:
        total, *more = (
            torch.sub(logits, side.lse, out=self.walk.buffer(2 + n, at)).exp2_().mul_(side.grad)
            for n, side in enumerate(self._blocks(at))
        )
        return total.add_(more[0]) if more else total


def _split(tile: int, side: _Side, dim: int) -> list[_Side]:
    """One side for each block of ``tile`` rows, as columns of a matrix if ``dim`` is 1."""
    grad, lse = (x.unsqueeze(dim).split(tile, 1 - dim) for x in (side.grad, side.lse))
    weight = [None] * len(grad) if side.weight is None else side.weight.unsqueeze(dim).split(tile, 1 - dim)
    return [_Side(*block) for block in zip(grad, lse, weight)]


def lse_backward(
    sweep: Sweep,
    anchors: Tensor,
    candidates: Tensor,
    scales: Scales,
    lses: tuple[Sums, Sums],
    grads: tuple[Grads, Grads],
    trace: Trace,
    needs: Needs,
) -> tuple[Tensor | None, Tensor | None, list[Tensor | None]]:
    """Gradients of anchors, candidates and scales.

    ``lses`` and ``grads`` hold a tensor per term for rows and for columns (columns: none unless ``sweep.both``). The
    log-sum-exps may be over more than this sweep's pairs (a ring adds up blocks). In a symmetric sweep the anchors'
    gradient is that of both roles. Tiles that ``trace`` kept are used up.
    """
    terms = [k for k in range(len(scales)) if _counts(scales[k]) and any(side[k] is not None for side in grads if side)]
    d_scales: list[Tensor | None] = [None] * len(scales)
    if not terms:
        return None, None, d_scales
    walk = Walk(sweep, anchors, candidates, scales, terms, trace.drops)
    pulls = {k: _pull(walk, k, lses, grads, trace) for k in terms}
    only = pulls[terms[0]] if walk.single else None
    # the scale of a single term, and the row weights where they fold, multiply once at the end instead of every tile
    learned = {k for k in terms if needs.scales[k]}
    d_anchors = torch.zeros_like(anchors) if needs.anchors or (only and learned) else None
    d_candidates = torch.zeros_like(candidates) if needs.candidates and not sweep.symmetric else None
    totals = {k: anchors.new_zeros(()) for k in learned if not only}
    weight = only.folded if only else None
    by_row = None if d_anchors is None else d_anchors.split(sweep.tile)
    by_col = by_row if sweep.symmetric else None if d_candidates is None else d_candidates.split(sweep.tile)
    for i in sweep.row_blocks():
        left, right = walk.left(i), walk.rows[i]
        if weight is not None:
            right = right * weight[i * sweep.tile : i * sweep.tile + len(right), None]
        for at in sweep.places(i):
            kept = trace.kept.pop((at.i, at.j), None)
            product = walk.product(left, at) if kept is None or totals else None
            gradient = None
            for k, pull in pulls.items():
                tile = pull.tile(product, None if kept is None else kept[k], at)
                if k in totals and product is not None:
                    # a tile off the diagonal of a symmetric sweep stands for two, one on it counts its pairs twice
                    share = 0.5 if sweep.symmetric and not at.twice else 1.0
                    totals[k] += (tile * product).sum() * share
                gradient = tile if only else _add(walk, gradient, tile, scales[k], at)
            assert gradient is not None
            if by_row is not None:
                by_row[i].addmm_(gradient, walk.cols[at.j])
            if by_col is not None and (at.twice or not sweep.symmetric):
                by_col[at.j].addmm_(gradient.T, right)
    if only:
        scale = scales[terms[0]]
        if d_anchors is not None:
            if weight is not None:
                d_anchors *= weight[:, None]
            if learned:
                totals[terms[0]] = (anchors * d_anchors).sum() * (0.5 if sweep.symmetric else 1.0)
            d_anchors *= scale
        if d_candidates is not None:
            d_candidates *= scale
    for k, total in totals.items():
        d_scales[k] = total
    return d_anchors, d_candidates, d_scales


def _counts(scale: float | Tensor) -> bool:
    """Whether a term with this scale has a gradient at all."""
    return isinstance(scale, Tensor) or scale != 0


def _pull(walk: Walk, k: int, lses: tuple[Sums, Sums], grads: tuple[Grads, Grads], trace: Trace) -> _Pull:
    both = walk.sweep.both
    logs = [lses[0][k], lses[1][k]] if both else [lses[0][k]]
    shift = trace.shifts[k] if trace.kept else common_shift(logs)
    row = _Side.of(lses[0][k], grads[0][k], shift)
    col = _Side.of(lses[1][k], grads[1][k], shift) if both else row if walk.sweep.symmetric else None
    return _Pull(walk, k, shift, row, col)


def common_shift(lses: Sequence[Tensor]) -> float | None:
    """A base-2 shift that suits all these log-sum-exps, or None."""
    low, high = torch.inf, -torch.inf
    for lse in lses:
        finite = lse[lse != -torch.inf]
        if len(finite):
            ends = finite.aminmax()
            low, high = min(low, float(ends.min) * LOG2E), max(high, float(ends.max) * LOG2E)
    lowest, highest = LOWEST[lses[0].dtype], HIGHEST[lses[0].dtype]
    if low >= lowest and high <= highest:
        return 0.0
    middle = (low + high - lowest - highest) / 2
    return middle if high - low <= highest - lowest else None


def _add(walk: Walk, total: Tensor | None, tile: Tensor, scale: float | Tensor, at: Place) -> Tensor:
    """The running sum of the terms' tiles, each times its scale."""
    if total is None:
        return torch.mul(tile, scale, out=walk.buffer(4, at))
    return total.addcmul_(tile, torch.as_tensor(scale, dtype=tile.dtype, device=tile.device))
