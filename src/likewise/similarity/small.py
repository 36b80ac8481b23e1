r"""The log-sum-exp of a matrix that fits in one tile: computed once, kept for the backward pass, with few operations.

What takes time in a small batch is the number of operations, not their size. The mathematics is that of the sweeps,
without a shift: where that would not be exact, :func:`small_forward` declines and the sweep takes over.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from likewise.similarity.rules import Drop, Self
from likewise.similarity.tiles import Drops, Sweep
from likewise.similarity.walk import HIGHEST, LOG2E, LOWEST

COMPARED = 2**16
"""Up to so many pairs, comparing them all is quicker than listing the dropped ones."""


def small_forward(
    sweep: Sweep, anchors: Tensor, candidates: Tensor, scale: float | Tensor
) -> tuple[Tensor, Tensor | None, Tensor] | None:
    """Sums of ``exp(logits)`` over rows ``(n,)`` and, if ``sweep.both``, columns ``(m,)``; and the exponentials.

    None if the sweep has several tiles, or if its logits may leave the range where the sums are exact.
    """
    n, m, term = sweep.n, sweep.m, sweep.terms[0]
    dtype = anchors.dtype
    fits = len(sweep.terms) == 1 and not term.bias and 0 < n <= sweep.tile and 0 < m <= sweep.tile
    if not fits or abs(float(scale)) * LOG2E > -LOWEST[dtype]:
        return None
    tile = torch.mm(anchors * (scale * LOG2E), candidates.T).exp2_()
    _fill(tile, sweep, term.drop)
    sides = [tile.sum(1), tile.sum(0)] if sweep.both else [tile.sum(1)]
    for sums in sides:
        low, high = (float(x) for x in sums.aminmax())
        if not (low >= 2.0 ** LOWEST[dtype] and high <= 2.0 ** HIGHEST[dtype]):
            return None
    return sides[0], sides[1] if sweep.both else None, tile


def _fill(tile: Tensor, sweep: Sweep, rules: Sequence[Drop]) -> None:
    everything = slice(0, sweep.n), slice(0, sweep.m)
    if tile.numel() > COMPARED:
        Drops(rules, sweep, tile.device).fill(tile, *everything, 0.0)
        return
    for rule in rules:
        if isinstance(rule, Self):
            tile.fill_diagonal_(0.0)
        else:
            tile.masked_fill_(rule.tile(*everything).to(tile.device), 0.0)


def small_backward(
    sweep: Sweep,
    anchors: Tensor,
    candidates: Tensor,
    scale: float | Tensor,
    kept: tuple[Tensor, Tensor | None, Tensor],
    grads: tuple[Tensor | None, Tensor | None],
    wanted: Sequence[bool],
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Gradients of anchors, candidates and scale, as ``wanted`` says."""
    row_sums, col_sums, tile = kept
    row = None if grads[0] is None else grads[0].div(row_sums)
    col = row if sweep.symmetric else None
    if col_sums is not None and grads[1] is not None:
        col = grads[1].div(col_sums)
    if row is None and col is None:
        return None, None, None
    by_row = None if row is None else row[:, None]
    weights = col if by_row is None else by_row if col is None else by_row + col
    assert weights is not None
    tile = tile * weights
    d_anchors = torch.mm(tile, candidates) if wanted[0] or wanted[2] else None
    d_candidates = torch.mm(tile.T, anchors).mul_(scale) if wanted[1] else None
    d_scale = None
    if wanted[2] and d_anchors is not None:
        d_scale = (anchors * d_anchors).sum() * (0.5 if sweep.symmetric else 1.0)
    return None if d_anchors is None else d_anchors.mul_(scale), d_candidates, d_scale
