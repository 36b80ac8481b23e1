r"""Softmax-weighted means of candidates, in linear memory.

With p the softmax of an anchor's logits over the candidates, v the values, g and h the incoming gradients of the
log-sum-exp and of the mean :math:`u_i = \sum_j p_{ij} v_j`,

.. math::  \frac{\partial L}{\partial \ell_{ij}} = p_{ij}\,(g_i + \langle h_i, v_j\rangle - \langle h_i, u_i\rangle)
"""

import torch
from torch import Tensor

from likewise.similarity.backward import common_shift
from likewise.similarity.forward import guess_shifts, in_reach
from likewise.similarity.tiles import Sweep
from likewise.similarity.walk import LN2, LOG2E, Walk


def attend_forward(
    sweep: Sweep, anchors: Tensor, candidates: Tensor, values: Tensor, scale: float | Tensor
) -> tuple[Tensor, Tensor]:
    """The natural log-sum-exp ``(n,)`` of the sweep's one term and the weighted means ``(n, v)``; empty rows are 0."""
    walk = Walk(sweep, anchors, candidates, [scale], [0])
    shift = guess_shifts(walk)[0]
    total, mean = anchors.new_zeros(sweep.n), anchors.new_zeros(sweep.n, values.shape[1])
    totals, means, carried = (x.split(sweep.tile) for x in (total, mean, values))
    for i in sweep.row_blocks():
        left = walk.left(i)
        for at in sweep.places(i):
            tile = walk.exponentials(0, walk.product(left, at), at, shift)
            totals[i].add_(tile.sum(1))
            means[i].addmm_(tile, carried[at.j])
    if in_reach(walk, 0, total, shift):
        lse = total.log2().add_(shift).mul_(LN2)
    else:
        lse = _running_mean(walk, values, total.zero_(), mean.zero_())
    return lse, mean.div_(total.masked_fill(total == 0, 1.0)[:, None])


def _running_mean(walk: Walk, values: Tensor, total: Tensor, mean: Tensor) -> Tensor:
    """Sums relative to each row's running maximum, into ``total`` and ``mean``; gives the log-sum-exp."""
    top = torch.full_like(total, -torch.inf)
    tops, totals, means, carried = (x.split(walk.sweep.tile) for x in (top, total, mean, values))
    for i in walk.sweep.row_blocks():
        left = walk.left(i)
        for at in walk.sweep.places(i):
            logits = walk.masked(0, walk.product(left, at), at)
            highest = torch.maximum(tops[i], logits.amax(1))
            base = highest.masked_fill(highest == -torch.inf, 0.0)
            shrink = (tops[i] - base).exp2_()
            logits.sub_(base[:, None]).exp2_()
            totals[i].mul_(shrink).add_(logits.sum(1))
            means[i].mul_(shrink[:, None]).addmm_(logits, carried[at.j])
            tops[i].copy_(highest)
    return (total.log2() + top.masked_fill(top == -torch.inf, 0.0)) * LN2


def attend_backward(
    sweep: Sweep,
    anchors: Tensor,
    candidates: Tensor,
    values: Tensor,
    scale: float | Tensor,
    lse: Tensor,
    mean: Tensor,
    grad_lse: Tensor,
    grad_mean: Tensor,
    needs: tuple[bool, bool],
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Gradients of anchors, and as ``needs`` says of candidates and values.

    ``lse`` and ``mean`` may be over more than this sweep's candidates. The gradient of the anchors comes without the
    factor ``scale``, which the caller multiplies in: before that, its product with the anchors gives that of the scale.
    """
    walk = Walk(sweep, anchors, candidates, [scale], [0])
    shift = common_shift([lse])
    empty = lse == -torch.inf
    base2 = (lse * LOG2E).masked_fill_(empty, 0.0)
    weight = torch.ones_like(lse) if shift is None else (shift - base2).exp2_()
    weight.masked_fill_(empty, 0.0)
    offset = grad_lse - (grad_mean * mean).sum(1)
    d_anchors = torch.zeros_like(anchors)
    d_candidates = torch.zeros_like(candidates) if needs[0] else None
    d_values = torch.zeros_like(values) if needs[1] else None
    weights, offsets, logs, pulls, carried = (
        x.split(sweep.tile) for x in (weight[:, None], offset[:, None], base2[:, None], grad_mean, values)
    )
    by_row = d_anchors.split(sweep.tile)
    by_col = None if d_candidates is None else d_candidates.split(sweep.tile)
    by_value = None if d_values is None else d_values.split(sweep.tile)
    for i in sweep.row_blocks():
        left, weighted, pulled = walk.left(i), walk.rows[i] * weights[i], pulls[i] * weights[i]
        for at in sweep.places(i):
            product = walk.product(left, at)
            if shift is None:
                tile = walk.masked(0, product, at).sub_(logs[i]).exp2_()
            else:
                tile = walk.exponentials(0, product, at, shift)
            if by_value is not None:
                by_value[at.j].addmm_(tile.T, pulled)
            pull = torch.addmm(offsets[i], pulls[i], carried[at.j].T, out=walk.buffer(2, at)).mul_(tile)
            by_row[i].addmm_(pull, walk.cols[at.j])
            if by_col is not None:
                by_col[at.j].addmm_(pull.T, weighted)
    d_anchors *= weight[:, None]
    if d_candidates is not None:
        d_candidates *= scale
    return d_anchors, d_candidates, d_values
