"""The reductions on the whole matrix in plain PyTorch: the reference, and the path that can be derived twice.

Candidates of other processes are gathered, with gradient. Memory is O(n m).
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from likewise.core.comm import Collective
from likewise.similarity.rules import Drop, Rule, Term

QUICK = 2**14
"""Up to so many pairs, :func:`cross_entropy` on a CPU is quicker than any tiles: measured, forward and backward. What
counts there is the number of operations, not their size."""


def some(mask: Tensor) -> bool:
    """Whether anything may be true in a mask; looks only on a CPU, where looking is cheap."""
    return mask.device.type != "cpu" or bool(mask.any())


def log_sum(logits: Tensor, dim: int, keepdim: bool = False) -> Tensor:
    """``logsumexp`` that gives ``-inf`` without gradient where every logit is ``-inf`` (or there is none)."""
    lse = logits.logsumexp(dim, keepdim=keepdim)
    if not some(lse == -torch.inf):
        return lse
    empty = (logits == -torch.inf).all(dim, keepdim=True)
    lse = logits.masked_fill(empty, 0.0).logsumexp(dim, keepdim=True).masked_fill(empty, -torch.inf)
    return lse if keepdim else lse.squeeze(dim)


def blocks(rule: Rule, sizes: Sequence[int], comm: Collective) -> list[Rule | None]:
    """The rule for the candidates of each process, in rank order."""
    payload = rule.payload()
    if comm.world == 1:
        return [rule.block(payload, True)]
    parts = [comm.gather(p).split_with_sizes(list(sizes)) for p in payload]
    return [rule.block(tuple(p[r] for p in parts), r == comm.rank) for r in range(comm.world)]


def everyone(candidates: Tensor, comm: Collective) -> tuple[Tensor, list[int]]:
    """Every process's candidates with gradient, and how many each has."""
    if comm.world == 1:
        return candidates, [len(candidates)]
    sizes = comm.gather(torch.tensor([len(candidates)], device=candidates.device))
    return comm.gather(candidates), [int(s) for s in sizes]


def rule_matrix(rule: Rule, n: int, sizes: Sequence[int], comm: Collective, like: Tensor, dtype: Any) -> Tensor:
    """The rule's values for all anchors and everybody's candidates, ``(n, sum(sizes))``."""
    parts = []
    for block, size in zip(blocks(rule, sizes, comm), sizes):
        if block is None:
            parts.append(like.new_zeros((n, size), dtype=dtype))
        else:
            parts.append(block.tile(slice(0, n), slice(0, size)).to(like.device, dtype))
    return torch.cat(parts, 1) if len(parts) > 1 else parts[0]


def gradients(
    function: Callable[..., Sequence[Tensor]],
    inputs: Sequence[Any],
    wanted: Sequence[bool],
    grads: Sequence[Tensor | None],
    *,
    again: bool,
) -> list[Tensor | None]:
    """Gradients of the wanted inputs of a function of differentiable operations; ``again``: keep their graph."""
    with torch.enable_grad():
        # an alias each: one tensor may be two of the inputs
        aliases = [x.view_as(x) if want else x for x, want in zip(inputs, wanted)]
        outs = function(*aliases)
        used = [(out, grad) for out, grad in zip(outs, grads) if grad is not None]
        sources = [x for x, want in zip(aliases, wanted) if want]
        found = iter(
            torch.autograd.grad(
                [out for out, _ in used], sources, [grad for _, grad in used], create_graph=again, allow_unused=True
            )
        )
    return [next(found) if want else None for want in wanted]


def lse(
    anchors: Tensor, candidates: Tensor, terms: Sequence[Term], both: bool, comm: Collective
) -> list[tuple[Tensor, Tensor | None]]:
    """For each term the log-sum-exp of every anchor, and of every candidate of this process if ``both``."""
    columns, sizes = everyone(candidates, comm)
    similarity = anchors @ columns.T
    out: list[tuple[Tensor, Tensor | None]] = []
    for term in terms:
        logits = similarity * term.scale
        for rule in term.bias:
            logits = logits + rule_matrix(rule, len(anchors), sizes, comm, logits, logits.dtype)
        for drop in term.drop:
            mask = rule_matrix(drop, len(anchors), sizes, comm, logits, torch.bool)
            logits = logits.masked_fill(mask, -torch.inf)
        columnwise = None
        if both:
            columnwise = log_sum(_own_columns(logits, sizes, comm), 0)
        out.append((log_sum(logits, 1), columnwise))
    return out


def cross_entropy(
    anchors: Tensor, candidates: Tensor, target: Tensor, scale: float | Tensor, drop: Sequence[Drop], both: bool = False
) -> tuple[Tensor, ...]:
    """The log-sum-exp of every anchor less the logit of its target, on a single process.

    ``both``: of every candidate as well; the target of anchor i then is candidate i.
    """
    logits = torch.mm(anchors * scale, candidates.T)
    for rule in drop:
        rule.fill(logits, -torch.inf)
    sides = [logits, logits.T] if both else [logits]
    losses = [torch.nn.functional.cross_entropy(side, target, reduction="none") for side in sides]
    if all(math.isfinite(loss.detach().sum()) for loss in losses):
        return tuple(losses)
    # some target is dropped from its sum, but subtracted all the same
    positive = (anchors * candidates[target]).sum(1) * scale
    return tuple(log_sum(side, 1) - positive for side in sides)


def _own_columns(logits: Tensor, sizes: Sequence[int], comm: Collective) -> Tensor:
    """Everybody's anchors against this process's candidates, ``(sum of n, m)``."""
    if comm.world == 1:
        return logits
    start = sum(sizes[: comm.rank])
    return comm.gather(logits)[:, start : start + sizes[comm.rank]]


def attend(
    anchors: Tensor, candidates: Tensor, values: Tensor | None, term: Term, comm: Collective
) -> tuple[Tensor, Tensor]:
    """The term's log-sum-exp of every anchor, and the softmax-weighted mean of the values ``(n, v)``."""
    columns, sizes = everyone(candidates, comm)
    carried = columns if values is None else everyone(values, comm)[0]
    logits = (anchors @ columns.T) * term.scale
    for rule in term.bias:
        logits = logits + rule_matrix(rule, len(anchors), sizes, comm, logits, logits.dtype)
    for drop in term.drop:
        logits = logits.masked_fill(rule_matrix(drop, len(anchors), sizes, comm, logits, torch.bool), -torch.inf)
    rows = log_sum(logits, 1)
    empty = (rows == -torch.inf)[:, None]
    weights = logits.masked_fill(empty, 0.0).softmax(1).masked_fill(empty, 0.0)
    return rows, weights @ carried


def weighted_sum(n: int, candidates: Tensor, rule: Rule, comm: Collective) -> Tensor:
    """``sum_j w_ij c_j`` with the rule's values as weights, ``(n, d)``."""
    columns, sizes = everyone(candidates, comm)
    return rule_matrix(rule, n, sizes, comm, columns, columns.dtype) @ columns
