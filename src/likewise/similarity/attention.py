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
    for rows in sweep.rows():
        left = walk.left(rows)
        for cols in sweep.cols(rows):
            tile = walk.exponentials(0, walk.product(left, rows, cols), rows, cols, shift)
            total[rows] += tile.sum(1)
            mean[rows].addmm_(tile, values[cols])
    if in_reach(walk, 0, total, shift):
        lse = total.log2().add_(shift).mul_(LN2)
    else:
        lse = _running_mean(walk, values, total.zero_(), mean.zero_())
    return lse, mean.div_(total.masked_fill(total == 0, 1.0)[:, None])


def _running_mean(walk: Walk, values: Tensor, total: Tensor, mean: Tensor) -> Tensor:
    """Sums relative to each row's running maximum, into ``total`` and ``mean``; gives the log-sum-exp."""
    top = torch.full_like(total, -torch.inf)
    for rows in walk.sweep.rows():
        left = walk.left(rows)
        for cols in walk.sweep.cols(rows):
            logits = walk.masked(0, walk.product(left, rows, cols), rows, cols)
            before = top[rows].clone()
            torch.maximum(before, logits.amax(1), out=top[rows])
            base = top[rows].masked_fill(top[rows] == -torch.inf, 0.0)
            shrink = (before - base).exp2_()
            logits.sub_(base[:, None]).exp2_()
            total[rows] = total[rows] * shrink + logits.sum(1)
            mean[rows] = (mean[rows] * shrink[:, None]).addmm_(logits, values[cols])
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
    for rows in sweep.rows():
        left = walk.left(rows)
        weighted, pulled = anchors[rows] * weight[rows, None], grad_mean[rows] * weight[rows, None]
        for cols in sweep.cols(rows):
            product = walk.product(left, rows, cols)
            if shift is None:
                tile = walk.masked(0, product, rows, cols).sub_(base2[rows, None]).exp2_()
            else:
                tile = walk.exponentials(0, product, rows, cols, shift)
            if d_values is not None:
                d_values[cols].addmm_(tile.T, pulled)
            pull = torch.addmm(offset[rows, None], grad_mean[rows], values[cols].T, out=walk.buffer(2, rows, cols))
            pull.mul_(tile)
            d_anchors[rows].addmm_(pull, candidates[cols])
            if d_candidates is not None:
                d_candidates[cols].addmm_(pull.T, weighted)
    d_anchors *= weight[:, None]
    if d_candidates is not None:
        d_candidates *= scale
    return d_anchors, d_candidates, d_values
