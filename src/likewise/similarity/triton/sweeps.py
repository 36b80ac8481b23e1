r"""The sweeps of :class:`likewise.similarity.backends.Kernels` by the two Triton kernels.

The logits are in base 2. One sweep sums their powers of two over rows and columns, relative to one shift: 0 where no
logit can be far from it (rows of unit length, and a temperature of 0.02 or more), else a guess that is checked
afterwards. Where it fails, rows get a sweep with running maxima, and columns another. Gradients are sweeps in which
the program that owns a row block computes its tiles again:

.. math::  \frac{\partial L}{\partial a_i} = \sum_j \sum_k s_k \, p^k_{ij} (\ldots)\, c_j

so those of anchors and of candidates are the same kernel with the roles swapped, and so is the mean of an attention.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from likewise.similarity import attention, backward, forward
from likewise.similarity.backward import Grads, Needs, common_shift
from likewise.similarity.forward import Trace, guess_shifts, in_reach
from likewise.similarity.tiles import Sweep
from likewise.similarity.triton.launch import Operands, Weights, backward_operands, forward_operands, pull, sums
from likewise.similarity.triton.lowering import OF_COLUMN, Lowered, lower
from likewise.similarity.walk import LN2, LOG2E, LOWEST, Scales, Sums, Walk


def lse_forward(
    sweep: Sweep, anchors: Tensor, candidates: Tensor, scales: Scales, *, keep: bool
) -> tuple[Sums, Sums, Trace]:
    """As :func:`likewise.similarity.forward.lse_forward`; a term's product is not shared with other terms."""
    lowered = lower(sweep, anchors, candidates)
    if lowered is None:
        return forward.lse_forward(sweep, anchors, candidates, scales, keep=keep)
    operands = forward_operands(sweep)
    left, right = _cast(operands, anchors, candidates)
    # a walk of no terms: it guesses shifts, and judges sums, without sorting the dropped pairs
    walk = Walk(sweep, anchors, candidates, scales, [])
    reach = anchors.norm(dim=1).amax() * candidates.norm(dim=1).amax()
    rows, cols = [], []
    for k, scale in enumerate(scales):
        walk.terms, walk.scales = [k], {k: scale * LOG2E}
        by_row, by_col = _log_sums(walk, k, left, right, lowered, operands, reach)
        rows.append(by_row)
        if sweep.both:
            cols.append(by_col)
    return rows, cols, Trace()


def _log_sums(
    walk: Walk, k: int, left: Tensor, right: Tensor, lowered: Lowered, operands: Operands, reach: Tensor
) -> tuple[Tensor, Tensor]:
    """Natural log-sum-exps of the rows and columns of one term."""
    sweep, rules, scale = walk.sweep, lowered.terms[k], walk.scales[k]
    run = functools.partial(
        sums, lowered=lowered, rules=rules, operands=operands, scale=_stacked([scale], left.device),
        product=_counts(scale),
    )  # fmt: skip
    near = _near(scale, k, lowered, reach)
    shift = 0.0 if near else guess_shifts(walk)[k]
    by_row, by_col = run(left, right, shift=shift, columns=sweep.both or sweep.symmetric, mirrored=sweep.symmetric)
    if sweep.symmetric:
        by_row += by_col
    if near or all(in_reach(walk, k, x, shift) for x in ((by_row, by_col) if sweep.both else (by_row,))):
        return (by_row.log2_() + shift) * LN2, (by_col.log2_() + shift) * LN2
    by_row, _ = run(left, right, running=True)
    if sweep.both:
        by_col, _ = run(right, left, running=True, swapped=True)
    return by_row * LN2, by_col * LN2


def _counts(scale: float | Tensor) -> bool:
    """Whether the similarities matter: a term whose scale is the number 0 is about its rules alone."""
    return isinstance(scale, Tensor) or scale != 0


def _near(scale: float | Tensor, k: int, lowered: Lowered, reach: Tensor) -> bool:
    """Whether no base-2 logit can be so far from 0 that sums of powers of two lose anything."""
    far = reach * (scale.abs() if isinstance(scale, Tensor) else abs(scale))
    for kind, _, slot, _ in lowered.terms[k]:
        if kind == OF_COLUMN:
            far = far + lowered.col_bias[slot].abs().amax()
    return float(far) <= -LOWEST[torch.float32]


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
    """As :func:`likewise.similarity.backward.lse_backward`."""
    lowered = lower(sweep, anchors, candidates)
    if lowered is None:
        return backward.lse_backward(sweep, anchors, candidates, scales, lses, grads, trace, needs)
    d_scales: list[Tensor | None] = [None] * len(scales)
    terms = [k for k in range(len(scales)) if _counts(scales[k]) and any(s[k] is not None for s in grads if s)]
    if not terms:
        return None, None, d_scales
    operands = backward_operands(sweep)
    left, right = _cast(operands, anchors, candidates)
    factors, rules = _stacked([scales[k] for k in terms], left.device), tuple(lowered.terms[k] for k in terms)
    base2, weights = factors * LOG2E, _weights(sweep, terms, factors, lses, grads)
    learned = any(needs.scales[k] for k in terms)
    d_anchors = d_candidates = None
    if needs.anchors or learned:
        d_anchors, totals = pull(left, right, right, base2, lowered, rules, operands, weights, learned=learned)
        for place, k in enumerate(terms):
            if needs.scales[k]:
                # rows of a symmetric sweep carry both of their roles
                d_scales[k] = totals[place] * (0.5 if sweep.symmetric else 1.0)
    if needs.candidates and not sweep.symmetric:
        d_candidates, _ = pull(right, left, left, base2, lowered, rules, operands, weights, swapped=True)
    return d_anchors, d_candidates, d_scales


@dataclass(frozen=True)
class _Side:
    """Base-2 log-sum-exps and gradients of the rows or columns, ``(terms, n)``; empty rows have 0 of both."""

    lse: Tensor
    grad: Tensor

    @classmethod
    def of(cls, terms: Sequence[int], lses: Sums, grads: Grads) -> "_Side | None":
        if all(grads[k] is None for k in terms):
            return None
        lse = torch.stack([lses[k] for k in terms])
        found = [grads[k] for k in terms]
        grad = torch.stack([torch.zeros_like(x) if g is None else g for x, g in zip(lse, found)])
        empty = lse == -torch.inf
        return cls((lse * LOG2E).masked_fill_(empty, 0.0), grad.masked_fill(empty, 0.0))


def _weights(
    sweep: Sweep, terms: Sequence[int], factors: Tensor, lses: tuple[Sums, Sums], grads: tuple[Grads, Grads]
) -> Weights:
    """One exponential for both sides if a shift suits all their log-sum-exps, else one for each."""
    row = _Side.of(terms, lses[0], grads[0])
    col = _Side.of(terms, lses[1], grads[1]) if sweep.both else row if sweep.symmetric else None
    if row is None or col is None:
        return Weights(
            factors,
            None if row is None else row.grad,
            None if col is None else col.grad,
            None if row is None else row.lse,
            None if col is None else col.lse,
        )
    found = [common_shift([lses[0][k], lses[1][k]] if sweep.both else [lses[0][k]]) for k in terms]
    shifts = [shift for shift in found if shift is not None]
    if len(shifts) < len(found):
        return Weights(factors, row.grad, col.grad, row.lse, col.lse)
    shift = torch.tensor(shifts, device=factors.device)
    by_row, by_col = ((shift[:, None] - s.lse).exp2_() * s.grad for s in (row, col))
    return Weights(factors, by_row, by_col, shifts=shift)


def attend_forward(
    sweep: Sweep, anchors: Tensor, candidates: Tensor, values: Tensor, scale: float | Tensor
) -> tuple[Tensor, Tensor]:
    """As :func:`likewise.similarity.attention.attend_forward`: the log-sum-exps first, then the means with them."""
    lowered = lower(sweep, anchors, candidates, values)
    if lowered is None:
        return attention.attend_forward(sweep, anchors, candidates, values, scale)
    rows, _, _ = lse_forward(sweep, anchors, candidates, [scale], keep=False)
    [lse], operands = rows, backward_operands(sweep)
    left, right = _cast(operands, anchors, candidates)
    carried = right if values is candidates else _cast(operands, values)[0]
    base2 = _stacked([scale], left.device) * LOG2E
    weights = _probabilities(lse)
    mean, _ = pull(left, right, carried, base2, lowered, lowered.terms, operands, weights)
    return lse, mean


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
    """As :func:`likewise.similarity.attention.attend_backward`."""
    lowered = lower(sweep, anchors, candidates, values)
    if lowered is None:
        return attention.attend_backward(
            sweep, anchors, candidates, values, scale, lse, mean, grad_lse, grad_mean, needs
        )
    operands = backward_operands(sweep)
    left, right, carried, pulls = _cast(operands, anchors, candidates, values, grad_mean)
    base2, plain = _stacked([scale], left.device) * LOG2E, _probabilities(lse)
    offset = (grad_lse - (grad_mean * mean).sum(1))[None]
    moved = Weights(plain.factors, plain.anchors, anchor_lse=plain.anchor_lse, offset=offset)
    rules, d_candidates, d_values = lowered.terms, None, None
    d_anchors, _ = pull(left, right, right, base2, lowered, rules, operands, moved, more=(pulls, carried))
    if needs[0]:
        d_candidates, _ = pull(
            right, left, left, base2, lowered, rules, operands, moved, more=(carried, pulls), swapped=True
        )
        d_candidates *= scale
    if needs[1]:
        d_values, _ = pull(right, left, pulls, base2, lowered, rules, operands, plain, swapped=True)
    return d_anchors, d_candidates, d_values


def _probabilities(lse: Tensor) -> Weights:
    """Weights that make the gradient of a tile its softmax; an empty row has none."""
    empty = lse == -torch.inf
    relative = (lse * LOG2E).masked_fill(empty, 0.0)[None]
    return Weights(lse.new_ones(1), (~empty).to(lse.dtype)[None], anchor_lse=relative)


def _stacked(scales: Scales, device: torch.device) -> Tensor:
    """``(terms,)`` float32."""
    return torch.stack([torch.as_tensor(scale, dtype=torch.float32, device=device).reshape(()) for scale in scales])


def _cast(operands: Operands, *rows: Tensor) -> list[Tensor]:
    """Contiguous rows in the dtype of the products; the same tensor twice stays one."""
    made: dict[int, Tensor] = {}
    return [made.setdefault(id(x), x.detach().to(operands.dtype).contiguous()) for x in rows]
