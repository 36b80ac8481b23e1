"""The reductions of one process as differentiable functions.

Gradients are exact and recompute the tiles. A gradient of a gradient takes the dense path, with O(n m) memory:
contrastive losses are rarely derived twice, and then on small batches.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from likewise.core.comm import Collective
from likewise.similarity import dense, weighted
from likewise.similarity.backends import kernels
from likewise.similarity.backward import Needs
from likewise.similarity.rules import Rule, Term
from likewise.similarity.tiles import Sweep

ALONE = Collective()


def plain(scale: float | Tensor) -> float | Tensor:
    """A scale without graph, and without shape if it is a tensor of one element."""
    return scale.detach().reshape(()) if isinstance(scale, Tensor) else scale


PLAIN_NUMBERS = 2**14
"""Up to so many numbers, rows are divided by their length quicker by autograd; see :func:`divided`."""


def divided(rows: Tensor, smallest: float) -> Tensor:
    """Rows ``(n, d)`` divided by their length, or by ``smallest`` if that is more."""
    if rows.numel() > PLAIN_NUMBERS or rows.device.type != "cpu":
        return UnitRows.apply(rows, smallest)
    return rows / torch.linalg.vector_norm(rows, dim=-1, keepdim=True).clamp_min(smallest)


class UnitRows(torch.autograd.Function):
    """Rows divided by their length: fewer operations and temporaries than the same by autograd."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, smallest: float) -> Tensor:
        """``(n, d)``; rows shorter than ``smallest`` are divided by that."""
        length = torch.linalg.vector_norm(rows, dim=-1, keepdim=True).clamp_min_(smallest)
        out = rows / length
        ctx.smallest = smallest
        ctx.save_for_backward(rows, out, length)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        """What is left of the gradient across each row, by its length."""
        rows, out, length = ctx.saved_tensors
        if torch.is_grad_enabled():
            length = torch.linalg.vector_norm(rows, dim=-1, keepdim=True).clamp_min(ctx.smallest)
            out = rows / length
        # a row that was divided by the floor is only scaled
        along = (grad * out).sum(-1, keepdim=True).masked_fill(length <= ctx.smallest, 0.0)
        return torch.addcmul(grad, out, along, value=-1).div(length), None


class LogSumExp(torch.autograd.Function):
    """Row log-sum-exps ``(n,)`` of every term, then column ones ``(m,)`` if ``sweep.both``."""

    @staticmethod
    def forward(
        ctx: Any, sweep: Sweep, anchors: Tensor, candidates: Tensor | None, *scales: float | Tensor
    ) -> tuple[Tensor, ...]:
        """The sweep; ``candidates`` is None for a symmetric one."""
        columns = anchors if candidates is None else candidates
        values = [plain(s) for s in scales]
        ctx.set_materialize_grads(False)
        ctx.sweep, ctx.fixed = sweep, [None if isinstance(s, Tensor) else s for s in scales]
        learned = [s for s in scales if isinstance(s, Tensor)]
        rows, cols, ctx.trace = kernels(anchors.device).lse_forward(
            sweep, anchors, columns, values, keep=any(ctx.needs_input_grad)
        )
        ctx.save_for_backward(anchors, candidates, *learned, *rows, *cols)
        return (*rows, *cols)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
        """The sweep again."""
        sweep, num, wanted = ctx.sweep, len(ctx.fixed), ctx.needs_input_grad
        anchors, candidates, *rest = ctx.saved_tensors
        scales = [rest.pop(0) if s is None else s for s in ctx.fixed]
        columns = anchors if candidates is None else candidates
        if torch.is_grad_enabled():

            def reference(anchors: Tensor, candidates: Tensor | None, *scales: Any) -> list[Tensor]:
                terms = [Term(scale, term.drop, term.bias) for scale, term in zip(scales, sweep.terms)]
                pairs = dense.lse(anchors, anchors if candidates is None else candidates, terms, sweep.both, ALONE)
                return [rows for rows, _ in pairs] + [cols for _, cols in pairs if cols is not None]

            inputs = (anchors, candidates, *scales)
            return None, *dense.gradients(reference, inputs, wanted[1:], grads, again=True)
        needs = Needs(wanted[1], wanted[2], tuple(wanted[3:]))
        d_anchors, d_candidates, d_scales = kernels(anchors.device).lse_backward(
            sweep,
            anchors,
            columns,
            [plain(s) for s in scales],
            (rest[:num], rest[num:]),
            (grads[:num], grads[num:]),
            ctx.trace,
            needs,
        )
        d_scales = [None if d is None else d.reshape(s.shape) for d, s in zip(d_scales, scales)]
        return (None, d_anchors if wanted[1] else None, d_candidates if wanted[2] else None, *d_scales)


class Attend(torch.autograd.Function):
    """The row log-sum-exp ``(n,)`` of one term and the softmax-weighted mean of the values ``(n, v)``."""

    @staticmethod
    def forward(
        ctx: Any, sweep: Sweep, anchors: Tensor, candidates: Tensor, values: Tensor | None, scale: float | Tensor
    ) -> tuple[Tensor, Tensor]:
        """The sweep; ``values`` is None for the candidates."""
        carried = candidates if values is None else values
        lse, mean = kernels(anchors.device).attend_forward(sweep, anchors, candidates, carried, plain(scale))
        ctx.set_materialize_grads(False)
        ctx.sweep, ctx.fixed = sweep, None if isinstance(scale, Tensor) else scale
        ctx.save_for_backward(anchors, candidates, values, scale if ctx.fixed is None else None, lse, mean)
        return lse, mean

    @staticmethod
    def backward(ctx: Any, grad_lse: Tensor | None, grad_mean: Tensor | None) -> tuple[Any, ...]:
        """The sweep again, unless only anchors (and scale) of the log-sum-exp are wanted."""
        anchors, candidates, values, scale, lse, mean = ctx.saved_tensors
        wanted, sweep = ctx.needs_input_grad[1:], ctx.sweep
        attended = Attended(anchors, candidates, values, ctx.fixed if scale is None else scale, lse, mean)
        if torch.is_grad_enabled():

            def reference(anchors: Tensor, candidates: Tensor, values: Tensor | None, scale: Any) -> Sequence[Tensor]:
                term = Term(scale, sweep.terms[0].drop, sweep.terms[0].bias)
                return dense.attend(anchors, candidates, values, term, ALONE)

            inputs = (anchors, candidates, values, attended.scale)
            return None, *dense.gradients(reference, inputs, wanted, (grad_lse, grad_mean), again=True)
        if grad_mean is None and values is None and not wanted[1]:
            return (None, *attended.from_mean(grad_lse, wanted))
        found = attended.pull(sweep, attended.filled(grad_lse, grad_mean), wanted)
        return (None, *attended.finished(*found, wanted))


@dataclass(frozen=True)
class Attended:
    """Inputs and results of an attention, and how gradients come from them.

    ``wanted`` are flags for anchors, candidates, values and scale. Gradients of anchors stay without the factor
    ``scale`` until :meth:`finished`.
    """

    anchors: Tensor
    candidates: Tensor
    values: Tensor | None
    scale: Any
    lse: Tensor
    mean: Tensor

    def from_mean(self, grad_lse: Tensor | None, wanted: Sequence[bool]) -> list[Tensor | None]:
        """Gradients of the log-sum-exp alone for constant candidates: the mean is all that they need."""
        d_anchors = torch.zeros_like(self.anchors) if grad_lse is None else self.mean * grad_lse[:, None]
        return self.finished(d_anchors, None, None, wanted)

    def filled(self, grad_lse: Tensor | None, grad_mean: Tensor | None) -> tuple[Tensor, Tensor]:
        """Both gradients, zeros for one that is missing."""
        return (
            torch.zeros_like(self.lse) if grad_lse is None else grad_lse,
            torch.zeros_like(self.mean) if grad_mean is None else grad_mean,
        )

    def pull(
        self, sweep: Sweep, grads: tuple[Tensor, Tensor], wanted: Sequence[bool]
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Gradients of anchors, candidates and values from a sweep; candidates that are the values get both."""
        shared = self.values is None
        d_anchors, d_candidates, d_values = kernels(self.anchors.device).attend_backward(
            sweep,
            self.anchors,
            self.candidates,
            self.candidates if self.values is None else self.values,
            plain(self.scale),
            self.lse,
            self.mean,
            *grads,
            (wanted[1], wanted[1] if shared else wanted[2]),
        )
        if shared and d_candidates is not None:
            return d_anchors, d_candidates + d_values, None
        return d_anchors, d_candidates, d_values

    def finished(
        self, d_anchors: Tensor, d_candidates: Tensor | None, d_values: Tensor | None, wanted: Sequence[bool]
    ) -> list[Tensor | None]:
        """The gradients as autograd takes them."""
        d_scale = (self.anchors * d_anchors).sum().reshape(self.scale.shape) if wanted[3] else None
        return [d_anchors * plain(self.scale) if wanted[0] else None, d_candidates, d_values, d_scale]


class TargetDot(torch.autograd.Function):
    """``<a_i, c_target(i)>`` for each anchor, block by block: no copy of the chosen candidates."""

    @staticmethod
    def forward(ctx: Any, anchors: Tensor, candidates: Tensor, target: Tensor, block: int) -> Tensor:
        """``(n,)``."""
        ctx.save_for_backward(anchors, candidates, target)
        ctx.block = block
        out = anchors.new_empty(len(anchors))
        for start in range(0, len(anchors), block):
            at = slice(start, start + block)
            torch.sum(anchors[at] * candidates.index_select(0, target[at]), 1, out=out[at])
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        """By differentiable operations if it is to be derived again."""
        anchors, candidates, target = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        if torch.is_grad_enabled():
            chosen = candidates.index_select(0, target)
            spread = torch.zeros_like(candidates).index_add(0, target, grad[:, None] * anchors)
            return grad[:, None] * chosen, spread, None, None
        d_anchors = torch.empty_like(anchors) if wanted[0] else None
        d_candidates = torch.zeros_like(candidates) if wanted[1] else None
        for start in range(0, len(anchors), ctx.block):
            at = slice(start, start + ctx.block)
            if d_anchors is not None:
                torch.mul(candidates.index_select(0, target[at]), grad[at, None], out=d_anchors[at])
            if d_candidates is not None:
                d_candidates.index_add_(0, target[at], anchors[at] * grad[at, None])
        return d_anchors, d_candidates, None, None


class WeightedSum(torch.autograd.Function):
    """``sum_j w_ij c_j`` with the values of a rule as weights."""

    @staticmethod
    def forward(ctx: Any, rule: Rule, n: int, tile: int, candidates: Tensor) -> Tensor:
        """``(n, d)``."""
        ctx.rule, ctx.tile, ctx.m = rule, tile, len(candidates)
        return weighted.weighted_forward(rule, n, candidates, tile)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, None, None, Tensor]:
        """The transposed product, itself differentiable."""
        return None, None, None, Transposed.apply(ctx.rule, ctx.m, ctx.tile, grad)


class Transposed(torch.autograd.Function):
    """``sum_i w_ij g_i``."""

    @staticmethod
    def forward(ctx: Any, rule: Rule, m: int, tile: int, grad: Tensor) -> Tensor:
        """``(m, d)``."""
        ctx.rule, ctx.tile, ctx.n = rule, tile, len(grad)
        return weighted.weighted_backward(rule, m, grad, tile)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, None, None, Tensor]:
        """The product."""
        return None, None, None, WeightedSum.apply(ctx.rule, ctx.n, ctx.tile, grad)
