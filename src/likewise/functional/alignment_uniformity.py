"""Alignment of positives and uniformity on the sphere."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from likewise.core.comm import Collective
from likewise.functional.precision import equation
from likewise.similarity import SINGLE, Same, Self, Term, log_sum, sweep


@equation
def alignment(a: Float[Tensor, "n d"], b: Float[Tensor, "n d"], *, alpha: float = 2.0) -> Float[Tensor, " n"]:
    r"""Distance of the two views of each sample, :math:`\lVert a_i - b_i\rVert^\alpha`.

    Source: Wang and Isola, arXiv:2005.10242, Section 4.1.
    """
    if alpha == 2:
        return (a - b).square().sum(1)
    return torch.linalg.vector_norm(a - b, dim=1).pow(alpha)


@equation
def uniformity(
    rows: Float[Tensor, "n d"],
    *,
    t: float = 2.0,
    unit: bool = False,
    ids: Int[Tensor, " n"] | None = None,
    comm: Collective = SINGLE,
    similarity: str = "auto",
) -> Float[Tensor, ""]:
    r"""Log of the mean Gaussian potential of all pairs of different samples; lower is more uniform.

    .. math::  \log \operatorname{mean}_{i<j} e^{-t\lVert u_i - u_j\rVert^2}

    Args:
        rows: u.
        t: width of the potential.
        unit: promises rows of unit length, for half the work. The gradient along a row is then left out, which
            normalising the rows would remove anyway.
        ids: identity of each sample; pairs of one sample don't count.
        comm: the processes; the mean is over the pairs of everybody's rows, the same on each process.
        similarity: path of the reductions.

    Without any pair (a batch of one) the value is 0 and there is no gradient.
    Source: Wang and Isola, arXiv:2005.10242, Section 4.2.
    """
    drop = (Self(),) if ids is None else (Same(ids, ids),)
    terms = [Term(2 * t, drop), Term(0.0, drop)]
    if unit:
        lse, log_count = sweep(rows, None, terms, comm=comm, similarity=similarity)
        lse = lse - 2 * t
    else:  # -t |u - v|^2 = 2 t (<u, v> - |v|^2 / 2) - t |u|^2, the middle one as one more coordinate
        square = rows.square().sum(1)
        anchors = torch.cat([rows, torch.ones_like(rows[:, :1])], 1)
        candidates = torch.cat([rows, -square[:, None] / 2], 1)
        lse, log_count = sweep(anchors, candidates, terms, comm=comm, similarity=similarity)
        lse = lse - t * square
    total, pairs = (log_sum(comm.gather(log_sum(x, 0, keepdim=True)), 0) for x in (lse, log_count))
    return torch.where(pairs == -torch.inf, 0.0, total - pairs)
