r"""The log-sum-exp of a matrix that fits in one tile: computed once, kept for the backward pass, with few operations.

What takes time in a small batch is the number of operations, not their size. So this path also subtracts the logit of
each anchor's positive, where that is wanted. The mathematics is that of the sweeps without a shift; where that would
not be exact the tile is treated by the dense path.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from likewise.core.comm import Collective
from likewise.similarity import dense
from likewise.similarity.rules import Drop, Self, Term
from likewise.similarity.tiles import Drops, Sweep
from likewise.similarity.walk import HIGHEST, LN2, LOG2E, LOWEST

COMPARED = 2**16
"""Up to so many pairs, comparing them all is quicker than listing the dropped ones."""


def fits(sweep: Sweep) -> bool:
    """Whether this path can take the sweep."""
    one = len(sweep.terms) == 1 and not sweep.terms[0].bias
    return one and 0 < sweep.n <= sweep.tile and 0 < sweep.m <= sweep.tile


class OneTile(torch.autograd.Function):
    """Row log-sum-exps ``(n,)``, less the logit of each anchor's ``target (n,)`` if given; column ones if wanted."""

    @staticmethod
    def forward(
        ctx: Any,
        sweep: Sweep,
        anchors: Tensor,
        candidates: Tensor | None,
        target: Tensor | None,
        scale: float | Tensor,
    ) -> tuple[Tensor, ...]:
        """``candidates`` is None for a symmetric sweep."""
        ctx.set_materialize_grads(False)
        ctx.sweep, ctx.fixed, ctx.sums = sweep, None if isinstance(scale, Tensor) else scale, None
        ctx.save_for_backward(anchors, candidates, target, None if ctx.fixed is not None else scale)
        columns, dtype = anchors if candidates is None else candidates, anchors.dtype
        factor = scale.detach().reshape(()) if isinstance(scale, Tensor) else scale
        if abs(float(factor)) * LOG2E > -LOWEST[dtype]:
            return _reference(sweep, anchors, columns, target, factor)
        tile = torch.mm(anchors * (factor * LOG2E), columns.T)
        positive = None if target is None else tile.gather(1, target[:, None]).squeeze(1)
        _fill(tile.exp2_(), sweep, sweep.terms[0].drop)
        sums = [tile.sum(1), tile.sum(0)] if sweep.both else [tile.sum(1)]
        for side in sums:
            low, high = (float(x) for x in side.aminmax())
            if not (low >= 2.0 ** LOWEST[dtype] and high <= 2.0 ** HIGHEST[dtype]):
                return _reference(sweep, anchors, columns, target, factor)
        ctx.sums, ctx.tile = sums, tile
        logs = [side.log() for side in sums]
        return logs[0] if positive is None else logs[0].sub_(positive, alpha=LN2), *logs[1:]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
        """From the kept tile; by differentiable operations where it was none, or for a second derivative."""
        sweep, (_, *wanted) = ctx.sweep, ctx.needs_input_grad
        anchors, candidates, target, scale = ctx.saved_tensors
        scale = ctx.fixed if scale is None else scale
        columns = anchors if candidates is None else candidates
        if torch.is_grad_enabled() or ctx.sums is None:

            def reference(anchors: Tensor, candidates: Tensor | None, target: Tensor | None, scale: Any) -> Any:
                return _reference(sweep, anchors, anchors if candidates is None else candidates, target, scale)

            inputs = (anchors, candidates, target, scale)
            return None, *dense.gradients(reference, inputs, wanted, grads, again=torch.is_grad_enabled())
        tile = ctx.tile * _weights(sweep, ctx.sums, grads)
        if target is not None and grads[0] is not None:
            minus = grads[0].neg()
            tile.scatter_add_(1, target[:, None], minus[:, None])
            if sweep.symmetric:  # the tile stands for both roles of a row
                tile.scatter_add_(0, target[None], minus[None])
        d_anchors = torch.mm(tile, columns) if wanted[0] or wanted[3] else None
        d_candidates = torch.mm(tile.T, anchors).mul_(scale) if wanted[1] else None
        d_scale = None
        if wanted[3] and d_anchors is not None:
            d_scale = (anchors * d_anchors).sum().mul_(0.5 if sweep.symmetric else 1.0).reshape(scale.shape)
        return None, None if d_anchors is None else d_anchors.mul_(scale), d_candidates, None, d_scale


def _weights(sweep: Sweep, sums: Sequence[Tensor], grads: Sequence[Tensor | None]) -> Tensor:
    """What the exponentials are multiplied with to become gradients of the logits."""
    sides = [None if grad is None else grad.div(side) for side, grad in zip(sums, grads)]
    row, col = sides[0], sides[0] if sweep.symmetric else sides[1] if sweep.both else None
    if row is None or col is None:
        by_row = None if row is None else row[:, None]
        found = by_row if col is None else col
        return sums[0].new_zeros(()) if found is None else found
    return row[:, None] + col


def _reference(
    sweep: Sweep, anchors: Tensor, columns: Tensor, target: Tensor | None, scale: float | Tensor
) -> tuple[Tensor, ...]:
    [(rows, cols)] = dense.lse(anchors, columns, [Term(scale, sweep.terms[0].drop)], sweep.both, Collective())
    if target is not None:
        rows = rows - (anchors * columns[target]).sum(1) * scale
    return (rows,) if cols is None else (rows, cols)


def _fill(tile: Tensor, sweep: Sweep, rules: Sequence[Drop]) -> None:
    if tile.numel() > COMPARED:
        Drops(rules, sweep, tile.device).fill(tile, next(sweep.places(0)), 0.0)
        return
    for rule in rules:
        if isinstance(rule, Self):
            tile.fill_diagonal_(0.0)
        else:
            tile.masked_fill_(rule.tile(slice(0, sweep.n), slice(0, sweep.m)).to(tile.device), 0.0)
