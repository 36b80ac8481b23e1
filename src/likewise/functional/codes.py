"""Balanced soft assignments to prototypes, and the loss that predicts one view's from another view."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from likewise.core.comm import Collective
from likewise.core.errors import InputError
from likewise.functional.precision import equation
from likewise.similarity import SINGLE, row_lse


@equation
def sinkhorn(
    scores: Float[Tensor, "n k"],
    bank: Float[Tensor, "m k"] | None = None,
    *,
    epsilon: float,
    iterations: int,
    comm: Collective = SINGLE,
) -> Float[Tensor, "n k"]:
    r"""Codes: soft assignments of samples to prototypes under which all prototypes are used alike.

    .. math::  Q = \mathrm{diag}(u)\, e^{S/\epsilon}\, \mathrm{diag}(v)

    with S the scores of samples against prototypes, and u and v from ``iterations`` rounds that first give every
    prototype the same total and then every sample the total 1. Without a round this is a plain softmax. The samples
    are everybody's rows, and ``bank`` (the same on every process), whose codes are not returned.
    Computed in log space, so that no epsilon over- or underflows.
    Source: Caron et al., "Unsupervised Learning of Visual Features by Contrasting Cluster Assignments",
    arXiv:2006.09882, Eq. 3 to 5, from Cuturi's "Sinkhorn Distances", 2013.
    """
    log_q = scores / epsilon
    log_bank = None if bank is None else bank / epsilon
    for _ in range(iterations):
        totals = comm.gather(log_q.logsumexp(0)[None])
        if log_bank is not None:
            totals = torch.cat([totals, log_bank.logsumexp(0)[None]])
        total = totals.logsumexp(0)
        log_q = (log_q - total).log_softmax(1)
        log_bank = None if log_bank is None else (log_bank - total).log_softmax(1)
    return log_q.softmax(1)


@equation
def swapped_prediction(
    views: Sequence[Float[Tensor, "n d"]],
    codes: Sequence[Float[Tensor, "n k"]],
    prototypes: Float[Tensor, "k d"],
    *,
    temperature: float,
    similarity: str = "auto",
) -> Float[Tensor, " n"]:
    r"""Predict the code of each of the first views from every other view.

    .. math::  \ell_i = \frac{1}{|A|(V - 1)}\sum_{a\in A}\sum_{v\ne a}
               \Big(\log\sum_k e^{\langle z^v_i, c_k\rangle/\tau} - \sum_k q^a_{ik}\langle z^v_i, c_k\rangle/\tau\Big)

    with z the unit rows of V views, c the prototypes, and :math:`q^a` the codes (rows sum to 1) of A, the first
    ``len(codes)`` views. Source: Caron et al., arXiv:2006.09882, Eq. 2 and 6.

    Raises:
        InputError: fewer than two views, or more codes than views.
    """
    if len(views) < 2 or not 1 <= len(codes) <= len(views):
        raise InputError(
            f"swapped_prediction: {len(views)} views and codes of {len(codes)}; it needs two views or more, and codes "
            f"of one of them or more"
        )
    scale = 1 / temperature
    lse = row_lse(torch.cat(list(views)), prototypes, scale=scale, similarity=similarity).view(len(views), -1)
    targets = [code @ prototypes for code in codes]
    every = torch.stack(targets).sum(0)
    total = torch.zeros_like(lse[0])
    for v, rows in enumerate(views):
        others = len(codes) - (v < len(codes))
        target = every - targets[v] if v < len(codes) else every
        total = total + others * lse[v] - scale * (rows * target).sum(1)
    return total / (len(codes) * (len(views) - 1))
