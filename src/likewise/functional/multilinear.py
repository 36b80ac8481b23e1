"""Contrast of tuples: several modalities of a sample at once, through the inner product of more than two vectors.

``rows`` are M tensors ``(n, d)``, one per modality, in the same order of samples; they come as they are (methods make
them unit length first).
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from likewise.core.comm import Collective
from likewise.core.errors import InputError
from likewise.functional.infonce import clip
from likewise.functional.precision import equation, softplus
from likewise.similarity import SINGLE, Own, combine, log_sum, row_lse

Negatives = Literal["n", "n_squared"]
ANCHORS = 2**13
"""Rows of products that are held at a time when all combinations are summed over."""


def product(rows: Sequence[Tensor]) -> Tensor:
    """The elementwise product of ``(n, d)`` tensors: the query that several modalities make together."""
    return math.prod(rows[1:], start=rows[0])


def multilinear_product(rows: Sequence[Tensor]) -> Tensor:
    r"""The multilinear inner product of each sample's vectors, :math:`\sum_d \prod_m r^m_d`, ``(n,)``."""
    return product(rows).sum(1)


@equation
def multilinear_nce(
    rows: Sequence[Float[Tensor, "n d"]],
    scale: float | Float[Tensor, "1"] | Float[Tensor, ""],
    *,
    permutations: Int[Tensor, "m others k"] | None = None,
    comm: Collective = SINGLE,
    similarity: str = "auto",
) -> Float[Tensor, "m n"]:
    r"""Symile's cost of each anchor modality (rows of the result) for each sample.

    .. math::  \ell^m_i = -s\,\langle r^m_i, r^{-m}_i\rangle + \log\sum_{c}
               e^{s\,\langle r^m_i, c\rangle}, \qquad \langle a, \ldots, z\rangle = \sum_d a_d\cdots z_d

    with c products of the other modalities' rows: its own sample's, and of other samples'. Given ``permutations``
    (``n`` negatives) candidate j is the product of row ``permutations[m, o, j]`` of each other modality o, in the order
    of ``rows`` with m left out, and candidate i is replaced by the anchor's own product; a shuffled product that
    happens to be the anchor's own stays in, as in the paper. Without (``n_squared``), the candidates are all
    :math:`N^{M-1}` combinations, in memory linear in N.

    Args:
        rows: M of at least 2.
        scale: s.
        permutations: of the samples of all processes, k in all.
        comm: the processes. Anchors are this one's, the others' rows are everybody's.
        similarity: path of the reductions.

    A single sample costs 0 and has no gradient.
    Source: Saporta et al., "Contrasting with Symile", arXiv:2411.01053, Eq. 5, and both samplers of its code.
    """
    if len(rows) < 2:
        raise InputError(f"a contrast of modalities needs two at least, got {len(rows)}")
    everybody = [comm.gather(r) for r in rows]
    sizes = comm.gather(torch.tensor([len(rows[0])], device=rows[0].device))
    own = torch.arange(len(rows[0]), device=rows[0].device) + sizes[: comm.rank].sum()
    costs = []
    for m, anchor in enumerate(rows):
        others = [r for o, r in enumerate(everybody) if o != m]
        positive = multilinear_product([anchor, *(r[own] for r in others)]) * scale
        if permutations is None:
            costs.append(_lse_of_all(anchor, others, scale, similarity) - positive)
            continue
        shuffled = product([r[order] for r, order in zip(others, permutations[m], strict=True)])
        repel = row_lse(anchor, shuffled, scale=scale, drop=(Own(own),), similarity=similarity)
        costs.append(softplus(repel - positive))
    return torch.stack(costs)


@equation
def pairwise_clip(
    rows: Sequence[Float[Tensor, "n d"]],
    scale: float | Float[Tensor, "1"] | Float[Tensor, ""],
    *,
    ids: Int[Tensor, " n"] | None = None,
    comm: Collective = SINGLE,
    similarity: str = "auto",
) -> Float[Tensor, " n"]:
    """The sum over all pairs of modalities of :func:`likewise.functional.clip`, the mean of both directions each.

    Source: the baseline of Saporta et al., arXiv:2411.01053, in its code.
    """
    pairs = itertools.combinations(rows, 2)
    return torch.stack([clip(a, b, scale, ids=ids, comm=comm, similarity=similarity) for a, b in pairs]).sum(0)


def _lse_of_all(anchor: Tensor, others: Sequence[Tensor], scale: float | Tensor, similarity: str) -> Tensor:
    held = scale if isinstance(scale, Tensor) else anchor.new_tensor([scale])
    out: Tensor = _LogSumAll.apply(similarity, anchor, held, *others)
    return out


class _LogSumAll(torch.autograd.Function):
    """The log-sum-exp over all combinations, block by block, the blocks made again for the gradient."""

    @staticmethod
    def forward(ctx: Any, similarity: str, anchor: Tensor, scale: Tensor, *others: Tensor) -> Tensor:
        total = anchor.new_full((len(anchor),), -torch.inf)
        for block in _blocks(similarity, anchor, scale, others):
            total = combine(total, block)
        ctx.similarity = similarity
        ctx.save_for_backward(total, anchor, scale, *others)
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        total, *held = ctx.saved_tensors
        leaves = [t.detach().requires_grad_() for t in held]
        anchor, scale, *others = leaves
        with torch.enable_grad():
            for block in _blocks(ctx.similarity, anchor, scale, others):
                torch.autograd.backward(block, grads[0] * (block.detach() - total).exp())
        return None, *(leaf.grad for leaf in leaves)


def _blocks(similarity: str, anchor: Tensor, scale: Tensor, others: Sequence[Tensor]) -> Iterator[Tensor]:
    """Log-sum-exps ``(n,)`` that together run over all combinations of the others' rows.

    The last of them is the candidates; the combinations of the rest multiply the anchors, some at a time.
    """
    *rest, last = others
    num = len(last)
    for some in torch.arange(num ** len(rest), device=anchor.device).split(max(1, ANCHORS // len(anchor))):
        anchors = anchor[None]
        for place, rows in enumerate(rest):
            anchors = anchors * rows[some // num**place % num, None]
        lse = row_lse(anchors.flatten(0, 1), last, scale=scale, similarity=similarity)
        yield log_sum(lse.view(-1, len(anchor)), 0)
