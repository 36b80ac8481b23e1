r"""The log-sum-exps of a matrix that fits in one tile: computed once, kept for the backward pass, with few operations.

What takes time in a small batch is the number of operations, not their size. So this path also subtracts the logit of
each anchor's positive, where that is wanted. The mathematics is that of the sweeps without a shift; where that would
not be exact the tile is treated by the dense path.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from likewise.core.comm import Collective
from likewise.similarity import dense
from likewise.similarity.rules import Term
from likewise.similarity.tiles import Drops, Sweep
from likewise.similarity.walk import HIGHEST, LN2, LOG2E, LOWEST

COMPARED = 2**16
"""Up to so many pairs, comparing them all is quicker than listing the dropped ones."""


def fits(sweep: Sweep, scales: Sequence[float | Tensor]) -> bool:
    """Whether this path can take the sweep: few pairs, of whatever shape, without bias, one learned scale at most."""
    if not 0 < sweep.n * sweep.m <= sweep.tile**2 or any(term.bias for term in sweep.terms):
        return False
    return len(scales) == 1 or not any(isinstance(scale, Tensor) for scale in scales)


class OneTile(torch.autograd.Function):
    """Row log-sum-exps ``(n,)`` of every term, then column ones if wanted.

    With a ``target (n,)`` the logit of each anchor's target is subtracted from the first one.
    """

    @staticmethod
    def forward(
        ctx: Any,
        sweep: Sweep,
        anchors: Tensor,
        candidates: Tensor | None,
        target: Tensor | None,
        *scales: float | Tensor,
    ) -> tuple[Tensor, ...]:
        """``candidates`` is None for a symmetric sweep. A scale may learn if it is the only one."""
        ctx.set_materialize_grads(False)
        ctx.sweep, ctx.scales, ctx.tiles = sweep, scales, None
        learned = scales[0] if isinstance(scales[0], Tensor) else None
        ctx.save_for_backward(anchors, candidates, target, learned)
        columns, dtype, one = anchors if candidates is None else candidates, anchors.dtype, len(scales) == 1
        factors = [LOG2E * (s.item() if isinstance(s, Tensor) else s) for s in scales]
        if max(map(abs, factors)) > -LOWEST[dtype]:
            return _reference(sweep, anchors, columns, target, [f / LOG2E for f in factors])
        product = torch.mm(anchors * factors[0] if one else anchors, columns.T)
        positive = None
        if target is not None:
            positive = product.gather(1, target[:, None]).squeeze(1).mul_(LN2 if one else factors[0] * LN2)
        # a scale of 0 counts the pairs that are left
        tiles = [(product if one else product * f).exp2_() if f else torch.ones_like(product) for f in factors]
        _fill(tiles, sweep)
        sums = [[tile.sum(1) for tile in tiles], [tile.sum(0) for tile in tiles] if sweep.both else []]
        for side in (*sums[0], *sums[1]):
            low, high = (float(x) for x in side.aminmax())
            if not (low >= 2.0 ** LOWEST[dtype] and high <= 2.0 ** HIGHEST[dtype]):
                return _reference(sweep, anchors, columns, target, [f / LOG2E for f in factors])
        ctx.sums, ctx.tiles = sums, tiles
        logs = [side.log() for side in (*sums[0], *sums[1])]
        if positive is not None:
            logs[0].sub_(positive)
        return tuple(logs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
        """From the kept tiles; by differentiable operations where there are none, or for a second derivative."""
        sweep, (_, *wanted), num = ctx.sweep, ctx.needs_input_grad, len(ctx.scales)
        anchors, candidates, target, learned = ctx.saved_tensors
        scales = ctx.scales if learned is None else (learned,)
        columns = anchors if candidates is None else candidates
        if torch.is_grad_enabled() or ctx.tiles is None:

            def reference(anchors: Tensor, candidates: Tensor | None, target: Tensor | None, *scales: Any) -> Any:
                return _reference(sweep, anchors, anchors if candidates is None else candidates, target, scales)

            inputs = (anchors, candidates, target, *scales)
            return None, *dense.gradients(reference, inputs, wanted, grads, again=torch.is_grad_enabled())
        if num == 1 and target is None and not (sweep.symmetric or sweep.both):
            return None, *_rows_only(ctx.tiles[0], ctx.sums[0][0], grads[0], anchors, columns, scales[0], wanted)
        total = None
        for k, (tile, scale) in enumerate(zip(ctx.tiles, scales)):
            weights = _weights(sweep, [side[k] for side in ctx.sums if side], grads[k::num])
            if weights is None or (num > 1 and scale == 0):
                continue
            pull = tile * weights
            if target is not None and k == 0 and grads[0] is not None:
                minus = grads[0].neg()
                pull.scatter_add_(1, target[:, None], minus[:, None])
                if sweep.symmetric:  # the tile stands for both roles of a row
                    pull.scatter_add_(0, target[None], minus[None])
            if num > 1:
                pull.mul_(scale)
            total = pull if total is None else total.add_(pull)
        if total is None:
            return (None,) * (4 + num)
        d_anchors = torch.mm(total, columns) if wanted[0] or wanted[3] else None
        d_candidates = torch.mm(total.T, anchors) if wanted[1] else None
        d_scale = None
        if num == 1:
            if wanted[3] and d_anchors is not None:
                d_scale = (anchors * d_anchors).sum().mul_(0.5 if sweep.symmetric else 1.0).reshape(scales[0].shape)
            for found in (d_anchors, d_candidates):
                if found is not None:
                    found.mul_(scales[0])
        return None, d_anchors if wanted[0] else None, d_candidates, None, d_scale, *[None] * (num - 1)


def _rows_only(
    tile: Tensor,
    sums: Tensor,
    grad: Tensor | None,
    anchors: Tensor,
    columns: Tensor,
    scale: float | Tensor,
    wanted: Sequence[bool],
) -> list[Tensor | None]:
    """Gradients where each row of the tile has one factor: it multiplies the rows beside the tile instead."""
    if grad is None:
        return [None] * 4
    factor = (grad / sums)[:, None]
    d_anchors = torch.mm(tile, columns).mul_(factor) if wanted[0] or wanted[3] else None
    d_candidates = torch.mm(tile.T, anchors * factor).mul_(scale) if wanted[1] else None
    d_scale = None
    if wanted[3] and d_anchors is not None and isinstance(scale, Tensor):
        d_scale = (anchors * d_anchors).sum().reshape(scale.shape)
    return [d_anchors.mul_(scale) if wanted[0] and d_anchors is not None else None, d_candidates, None, d_scale]


def _weights(sweep: Sweep, sums: Sequence[Tensor], grads: Sequence[Tensor | None]) -> Tensor | None:
    """What the exponentials are multiplied with to become gradients of the logits."""
    sides = [None if grad is None else grad.div(side) for side, grad in zip(sums, grads)]
    row, col = sides[0], sides[0] if sweep.symmetric else sides[1] if sweep.both else None
    if row is None or col is None:
        return col if row is None else row[:, None]
    return row[:, None] + col


def _reference(
    sweep: Sweep, anchors: Tensor, columns: Tensor, target: Tensor | None, scales: Sequence[float | Tensor]
) -> tuple[Tensor, ...]:
    terms = [Term(scale, term.drop) for scale, term in zip(scales, sweep.terms)]
    pairs = dense.lse(anchors, columns, terms, sweep.both, Collective())
    rows, cols = [row for row, _ in pairs], [col for _, col in pairs if col is not None]
    if target is not None:
        rows[0] = rows[0] - (anchors * columns[target]).sum(1) * scales[0]
    return (*rows, *cols)


def _fill(tiles: Sequence[Tensor], sweep: Sweep) -> None:
    """Zeros for the dropped pairs of each term."""
    listed: dict[int, Drops] = {}
    for tile, term in zip(tiles, sweep.terms):
        if tile.numel() <= COMPARED:
            for rule in term.drop:
                rule.fill(tile, 0.0)
        else:
            whole = replace(sweep, tile=max(sweep.n, sweep.m))
            key = id(term.drop)
            if key not in listed:
                listed[key] = Drops(term.drop, whole, tile.device)
            listed[key].fill(tile, next(whole.places(0)), 0.0)
