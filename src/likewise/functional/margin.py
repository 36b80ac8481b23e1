"""InfoNCE whose positive has to be ahead by a margin."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from likewise.functional.precision import equation, softplus
from likewise.similarity import log_sum


@equation
def margin_nce(
    query: Float[Tensor, "n d"],
    positive: Float[Tensor, "n d"],
    own_negatives: Float[Tensor, "n s d"],
    there: Bool[Tensor, "n s"],
    *,
    temperature: float,
    margin: float = 0.0,
) -> Float[Tensor, " n"]:
    r"""A query against its positive and negatives of its own, with a margin on the positive's cosine.

    .. math::  \ell_i = -\log\frac{e^{(\langle q_i, p_i\rangle - m)/\tau}}
               {e^{(\langle q_i, p_i\rangle - m)/\tau} + \sum_j e^{\langle q_i, n_{ij}\rangle/\tau}}

    A margin below 0 makes the boundary less stringent. Negatives that are not ``there`` don't count; a query without
    any costs 0. Source: Xie et al., "Delving into Inter-Image Invariance for Unsupervised Visual Representations",
    arXiv:2008.11702, the cosine margin.
    """
    pull = (query * positive).sum(1) - margin
    repel = (own_negatives @ query[:, :, None]).squeeze(2) / temperature
    return softplus(log_sum(repel.masked_fill(~there, -torch.inf), 1) - pull / temperature)
