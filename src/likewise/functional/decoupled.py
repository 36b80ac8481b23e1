"""InfoNCE without the positive in its denominator."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from likewise.core.comm import Collective
from likewise.functional.infonce import contrast_views, others, stacked
from likewise.functional.precision import equation
from likewise.similarity import SINGLE, row_lse, some


@equation
def decoupled_nce(
    a: Float[Tensor, "n d"],
    b: Float[Tensor, "n d"],
    *,
    temperature: float,
    sigma: float | None = None,
    detach_weight: bool = True,
    ids: Int[Tensor, " n"] | None = None,
    comm: Collective = SINGLE,
    similarity: str = "auto",
) -> Float[Tensor, " 2*n"]:
    r"""InfoNCE whose denominator leaves the positive out; anchors are the rows of ``a``, then of ``b``.

    .. math::  \ell_i = -w_i\langle u_i, u_{p(i)}\rangle/\tau
               + \log\sum_{k:\,\mathrm{id}_k\ne\mathrm{id}_i} e^{\langle u_i, u_k\rangle/\tau}

    with u the rows of both views, p(i) the other view of sample i, tau the temperature and w = 1, or with ``sigma``
    (DCLW) :math:`w_i = 2 - e^{s_i/\sigma} / \mathrm{mean}_j\, e^{s_j/\sigma}`, s_i the similarity of the two views of
    sample i. ``detach_weight`` treats w as a constant, as the paper's text does; the widely used code does not.

    Args:
        a: first view, unit rows.
        b: second view.
        temperature: tau.
        sigma: spread of the weights, None for no weights.
        detach_weight: no gradient through the weights.
        ids: identity of each sample; every row of the anchor's sample is left out.
        comm: the processes.
        similarity: path of the reductions.

    An anchor without any negative (a batch of one) costs 0 and has no gradient; the paper leaves it open.
    The mean of the result is half of the sum of the two directions' means that the code reports.
    Source: Yeh et al., "Decoupled Contrastive Learning", arXiv:2110.06848, Eq. 6 and 7.
    """
    drop = others(a.shape[0], ids, a.device, with_positive=False)
    rows = stacked(a, b)
    if sigma is None:
        loss = contrast_views(rows, drop, temperature, comm, similarity)
        none = loss == -torch.inf
        return torch.where(none, 0.0, loss) if some(none) else loss
    positive = (a * b).sum(1)
    everyone = comm.gather(positive) / sigma
    log_mean = everyone.logsumexp(0) - math.log(len(everyone))
    weight = 2 - (positive / sigma - log_mean).exp()
    attract = positive / temperature * (weight.detach() if detach_weight else weight)
    repel = row_lse(rows, scale=1 / temperature, drop=drop, comm=comm, similarity=similarity)
    return torch.where(repel == -torch.inf, 0.0, repel - torch.cat([attract, attract]))
