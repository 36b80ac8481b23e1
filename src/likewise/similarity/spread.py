"""The reductions over processes as differentiable functions, on the ring.

The numbers are those of :meth:`likewise.core.comm.Collective.gather`: gradients of candidates are summed over
processes.
The gradient of a learned scale belongs to this process's anchors and to the columns that it saw; its sum over processes
is exact. Second derivatives are for a single process.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from likewise.core.comm import Collective
from likewise.similarity.autograd import Attended, plain
from likewise.similarity.backends import kernels
from likewise.similarity.backward import Needs
from likewise.similarity.forward import Trace
from likewise.similarity.ring import Luggage, Ring
from likewise.similarity.rules import Rule
from likewise.similarity.tiles import Sweep
from likewise.similarity.weighted import weighted_backward, weighted_forward


def _once() -> None:
    if torch.is_grad_enabled():
        raise RuntimeError("second derivatives of a similarity reduction need a single process: train on one device")


class RingLogSumExp(torch.autograd.Function):
    """Row log-sum-exps over everybody's candidates; then, if ``sweep.both``, of own candidates over all anchors."""

    @staticmethod
    def forward(
        ctx: Any, sweep: Sweep, comm: Collective, anchors: Tensor, candidates: Tensor | None, *scales: float | Tensor
    ) -> tuple[Tensor, ...]:
        """``sweep`` is that of the own block; ``candidates`` is None where they are the anchors."""
        columns = anchors if candidates is None else candidates
        ring = Ring(comm, len(columns), columns.device, half=candidates is None and sweep.symmetric)
        luggage = Luggage(rule for term in sweep.terms for rule in term.rules())
        values = [plain(s) for s in scales]
        rows = anchors.new_full((len(scales), len(anchors)), -torch.inf)

        def visit(block: list[Tensor], rank: int) -> list[Tensor]:
            mine, theirs = ring.share(rank)
            here = _sweep_at(sweep, luggage, block, ring, rank)
            found, cols, _ = kernels(anchors.device).lse_forward(
                here, anchors[mine], block[0][theirs], values, keep=False
            )
            rows[:, mine] = torch.logaddexp(rows[:, mine], torch.stack(found))
            if not (sweep.both or ring.half):
                return []
            out = rows.new_full((len(block[0]), len(scales)), -torch.inf)
            if cols:
                out[theirs] = torch.stack(cols, 1)
            return [out]

        home = ring.circulate([columns, *luggage.tensors], visit, torch.logaddexp)
        if ring.half:
            rows = torch.logaddexp(rows, home.pop().T)
        ctx.ring, ctx.luggage, ctx.sweep = ring, luggage, sweep
        ctx.fixed = [None if isinstance(s, Tensor) else s for s in scales]
        ctx.save_for_backward(anchors, candidates, *[s for s in scales if isinstance(s, Tensor)], rows, *home)
        return (*rows.clone().unbind(0), *(col for h in home for col in h.clone().unbind(1)))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        """Another circle, on which the blocks collect their gradients."""
        _once()
        ring, luggage, sweep, num = ctx.ring, ctx.luggage, ctx.sweep, len(ctx.fixed)
        anchors, candidates, *rest = ctx.saved_tensors
        scales = [rest.pop(0) if s is None else s for s in ctx.fixed]
        values = [plain(s) for s in scales]
        rows, *home = rest
        wanted = ctx.needs_input_grad
        columns = anchors if candidates is None else candidates
        needs = Needs(wanted[2], wanted[3] or candidates is None, tuple(wanted[4:]))
        d_anchors = torch.zeros_like(anchors)
        d_scales = [anchors.new_zeros(()) for _ in scales]
        side = [*home, torch.stack(grads[num:], 1)] if sweep.both else []
        if ring.half:  # the rows of a block are anchors, too
            side = [rows.T, torch.stack(grads[:num], 1)]

        def visit(block: list[Tensor], rank: int) -> list[Tensor]:
            mine, theirs = ring.share(rank)
            here = _sweep_at(sweep, luggage, block, ring, rank)
            lses, pulls = [list(rows[:, mine].unbind(0)), []], [[grad[mine] for grad in grads[:num]], []]
            if here.both:
                lses[1], pulls[1] = ([*part[theirs].unbind(1)] for part in block[-2:])
            da, dc, ds = kernels(anchors.device).lse_backward(
                here, anchors[mine], block[0][theirs], values, tuple(lses), tuple(pulls), Trace(), needs
            )
            if da is not None:
                d_anchors[mine].add_(da)
            for total, d in zip(d_scales, ds):
                if d is not None:
                    total.add_(d)
            if not needs.candidates:
                return []
            out = torch.zeros_like(block[0])
            if dc is not None:
                out[theirs] = dc
            return [out]

        found = ring.circulate([columns, *luggage.tensors, *side], visit, torch.add)
        shaped = [d.reshape(s.shape) if want else None for d, s, want in zip(d_scales, scales, wanted[4:])]
        if candidates is None:
            return None, None, d_anchors.add_(found[0]), None, *shaped
        return None, None, d_anchors if wanted[2] else None, found[0] if wanted[3] else None, *shaped


def _sweep_at(sweep: Sweep, luggage: Luggage, block: Sequence[Tensor], ring: Ring, rank: int) -> Sweep:
    """The sweep of this process's anchors over an arrived block, or over its share of the two."""
    own = rank == ring.rank
    mine, theirs = ring.share(rank)
    n, m = (len(range(size)[part]) for size, part in ((sweep.n, mine), (len(block[0]), theirs)))
    terms = luggage.terms_at(sweep.terms, [t[theirs] for t in block[1:]], own)
    both = sweep.both or (ring.half and not own)
    return replace(sweep, n=n, m=m, symmetric=sweep.symmetric and own, both=both, terms=terms)


class RingAttend(torch.autograd.Function):
    """The row log-sum-exp over everybody's candidates, and the softmax-weighted mean of their values."""

    @staticmethod
    def forward(
        ctx: Any,
        sweep: Sweep,
        comm: Collective,
        anchors: Tensor,
        candidates: Tensor,
        values: Tensor | None,
        scale: float | Tensor,
    ) -> tuple[Tensor, Tensor]:
        """``sweep`` is that of the own block; ``values`` is None for the candidates."""
        ring, luggage = Ring(comm, len(candidates), candidates.device), Luggage(sweep.terms[0].rules())
        width = (candidates if values is None else values).shape[1]
        lse, mean = anchors.new_full((len(anchors),), -torch.inf), anchors.new_zeros(len(anchors), width)
        last = [] if values is None else [values]

        def visit(block: list[Tensor], rank: int) -> list[Tensor]:
            here = _sweep_at(sweep, luggage, block, ring, rank)
            new_lse, new_mean = kernels(anchors.device).attend_forward(
                here, anchors, block[0], block[-1] if last else block[0], plain(scale)
            )
            total = torch.logaddexp(lse, new_lse)
            base = total.masked_fill(total == -torch.inf, 0.0)
            mean.mul_((lse - base).exp_()[:, None]).addcmul_(new_mean, (new_lse - base).exp_()[:, None])
            lse.copy_(total)
            return []

        ring.circulate([candidates, *luggage.tensors, *last], visit, torch.add)
        ctx.ring, ctx.luggage, ctx.sweep = ring, luggage, sweep
        ctx.fixed = None if isinstance(scale, Tensor) else scale
        ctx.save_for_backward(anchors, candidates, values, scale if ctx.fixed is None else None, lse, mean)
        ctx.set_materialize_grads(False)
        return lse.clone(), mean.clone()

    @staticmethod
    def backward(ctx: Any, grad_lse: Tensor | None, grad_mean: Tensor | None) -> tuple[Any, ...]:
        """Another full circle, unless only anchors (and scale) of the log-sum-exp are wanted."""
        _once()
        ring, luggage, sweep, wanted = ctx.ring, ctx.luggage, ctx.sweep, ctx.needs_input_grad[2:]
        anchors, candidates, values, scale, lse, mean = ctx.saved_tensors
        attended = Attended(anchors, candidates, values, ctx.fixed if scale is None else scale, lse, mean)
        if grad_mean is None and values is None and not wanted[1]:
            return None, None, *attended.from_mean(grad_lse, wanted)
        grads = attended.filled(grad_lse, grad_mean)
        d_anchors = torch.zeros_like(anchors)
        last = [] if values is None else [values]

        def visit(block: list[Tensor], rank: int) -> list[Tensor]:
            here = _sweep_at(sweep, luggage, block, ring, rank)
            da, dc, dv = replace(attended, candidates=block[0], values=block[-1] if last else None).pull(
                here, grads, wanted
            )
            d_anchors.add_(da)
            return [d for d in (dc, dv) if d is not None]

        found = ring.circulate([candidates, *luggage.tensors, *last], visit, torch.add)
        d_candidates = found.pop(0) if wanted[1] else None
        d_values = found.pop(0) if wanted[2] else None
        return None, None, *attended.finished(d_anchors, d_candidates, d_values, wanted)


class RingWeightedSum(torch.autograd.Function):
    """``sum_j w_ij c_j`` over everybody's candidates, with the values of a rule as weights."""

    @staticmethod
    def forward(ctx: Any, rule: Rule, n: int, tile: int, comm: Collective, candidates: Tensor) -> Tensor:
        """``(n, d)``."""
        ring, luggage = Ring(comm, len(candidates), candidates.device), Luggage([rule])
        out = candidates.new_zeros(n, candidates.shape[1])

        def visit(block: list[Tensor], rank: int) -> list[Tensor]:
            here = luggage.rules_at(block[1:], rank == ring.rank)[id(rule)]
            if here is not None:
                out.add_(weighted_forward(here, n, block[0], tile))
            return []

        ring.circulate([candidates, *luggage.tensors], visit, torch.add)
        ctx.ring, ctx.luggage, ctx.rule, ctx.tile, ctx.size = ring, luggage, rule, tile, len(candidates)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, None, None, None, Tensor]:
        """Only what the rule must know of the candidates travels, and their gradients behind it."""
        _once()
        ring, luggage = ctx.ring, ctx.luggage

        def visit(block: list[Tensor], rank: int) -> list[Tensor]:
            here = luggage.rules_at(block, rank == ring.rank)[id(ctx.rule)]
            size = ring.sizes[rank]
            if here is None:
                return [grad.new_zeros(size, grad.shape[1])]
            return [weighted_backward(here, size, grad, ctx.tile)]

        return None, None, None, None, ring.circulate(luggage.tensors, visit, torch.add)[0]
