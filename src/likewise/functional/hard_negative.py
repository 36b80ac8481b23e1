"""Contrastive learning with debiased and with hard negatives."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from likewise.core.comm import Collective
from likewise.functional.infonce import others, stacked
from likewise.functional.precision import equation, softplus
from likewise.similarity import SINGLE, Term, some, sweep


@equation
def hard_negative_nce(
    a: Float[Tensor, "n d"],
    b: Float[Tensor, "n d"],
    *,
    temperature: float,
    tau_plus: float,
    beta: float,
    ids: Int[Tensor, " n"] | None = None,
    comm: Collective = SINGLE,
    similarity: str = "auto",
) -> Float[Tensor, " 2*n"]:
    r"""InfoNCE with negatives weighted by their hardness and corrected for false ones; anchors ``a``, then ``b``.

    .. math::  \ell_i = \log\big(1 + g_i\, e^{-s_i/\tau}\big), \qquad
        g_i = \max\Big(\frac{N}{1-\tau^+}\Big(\frac{\sum_j e^{(1+\beta) s_{ij}/\tau}}{\sum_j e^{\beta s_{ij}/\tau}}
        - \tau^+ e^{s_i/\tau}\Big),\; N e^{-1/\tau}\Big)

    with s_i the similarity to the positive, j over the N negatives (rows of other samples), tau^+ the prior that a
    negative is of the anchor's class, beta the concentration on hard ones. ``beta = 0``: the debiased loss of
    Chuang et al. (arXiv:2007.00224); ``beta = tau_plus = 0``: NT-Xent. Gradients flow through the hardness weights, as
    in the authors' code. An anchor without negatives costs 0 and has no gradient.
    Source: Robinson et al., "Contrastive Learning with Hard Negative Samples", arXiv:2010.04592, Eq. 4.
    """
    drop = others(a.shape[0], ids, a.device, with_positive=False)
    scales = ((1 + beta) / temperature, beta / temperature, 0.0)
    terms = [Term(scale, drop) for scale in scales]
    hard, weight, log_count = sweep(stacked(a, b), None, terms, comm=comm, similarity=similarity)
    none = log_count == -torch.inf
    lonely = some(none)
    if lonely:
        hard, weight, log_count = (x.masked_fill(none, 0.0) for x in (hard, weight, log_count))
    one_way = (a * b).sum(1) / temperature
    positive = torch.cat([one_way, one_way])
    mean = hard - weight  # log of the weighted mean of exp(s / tau)
    top = torch.maximum(mean, positive).detach()
    rest = (mean - top).exp() - tau_plus * (positive - top).exp()
    left = rest > 0
    estimate = torch.where(left, rest, 1.0).log() + top - math.log1p(-tau_plus)
    floor = -1 / temperature
    repel = log_count + torch.where(left, estimate, floor).clamp(min=floor)
    loss = softplus(repel - positive)
    return torch.where(none, 0.0, loss) if lonely else loss
