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
from likewise.similarity.tiles import Sweep
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
        return cls(grad, base2, None if shift is None else (shift - base2).exp2_().mul_(grad))


class _Pull:
    """One term's gradient with respect to its logits, a tile at a time."""

    def __init__(self, walk: Walk, k: int, shift: float | None, row: _Side | None, col: _Side | None) -> None:
        self.walk, self.k, self.shift, self.row, self.col = walk, k, shift, row, col
        fold = walk.single and col is None and row is not None
        self.folded = row.weight if fold and row is not None else None
        """Row weights ``(n,)`` that multiply the rows outside of the tile, which then stays as it is."""

    def tile(self, product: Tensor | None, kept: Tensor | None, rows: slice, cols: slice) -> Tensor:
        walk, row, col = self.walk, self.row, self.col
        if self.shift is None:
            assert product is not None
            return self._two_exponentials(walk.masked(self.k, product, rows, cols), rows, cols)
        tile = kept
        if tile is None:
            assert product is not None
            tile = walk.exponentials(self.k, product, rows, cols, self.shift)
        if self.folded is not None:
            return tile
        if row is None or row.weight is None:
            return tile if col is None or col.weight is None else tile.mul_(col.weight[cols])
        if col is None or col.weight is None:
            return tile.mul_(row.weight[rows, None])
        return tile.mul_(torch.add(row.weight[rows, None], col.weight[cols], out=walk.buffer(2, rows, cols)))

    def _two_exponentials(self, logits: Tensor, rows: slice, cols: slice) -> Tensor:
        row, col = self.row, self.col
        total = self.walk.buffer(2, rows, cols).zero_()
        if row is not None:
            torch.sub(logits, row.lse[rows, None], out=total).exp2_().mul_(row.grad[rows, None])
        if col is not None:
            total += logits.sub_(col.lse[cols]).exp2_().mul_(col.grad[cols])
        return total


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
    for rows in sweep.rows():
        left = walk.left(rows)
        right = anchors[rows] if weight is None else anchors[rows] * weight[rows, None]
        for cols in sweep.cols(rows):
            kept = trace.kept.pop((rows.start, cols.start), None)
            product = walk.product(left, rows, cols) if kept is None or totals else None
            gradient = None
            for k, pull in pulls.items():
                tile = pull.tile(product, None if kept is None else kept[k], rows, cols)
                if k in totals and product is not None:
                    # a tile off the diagonal of a symmetric sweep stands for two, one on it counts its pairs twice
                    share = 0.5 if sweep.symmetric and not walk.twice(rows, cols) else 1.0
                    totals[k] += (tile * product).sum() * share
                gradient = tile if only else _add(walk, gradient, tile, scales[k], rows, cols)
            assert gradient is not None
            if d_anchors is not None:
                d_anchors[rows].addmm_(gradient, candidates[cols])
                if walk.twice(rows, cols):
                    d_anchors[cols].addmm_(gradient.T, right)
            if d_candidates is not None:
                d_candidates[cols].addmm_(gradient.T, right)
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


def _add(walk: Walk, total: Tensor | None, tile: Tensor, scale: float | Tensor, rows: slice, cols: slice) -> Tensor:
    """The running sum of the terms' tiles, each times its scale."""
    if total is None:
        return torch.mul(tile, scale, out=walk.buffer(3, rows, cols))
    return total.addcmul_(tile, torch.as_tensor(scale, dtype=tile.dtype, device=tile.device))
