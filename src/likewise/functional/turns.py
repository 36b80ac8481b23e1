"""Contrast of dialogues: several embeddings of one sequence, each with its counterpart.

Turns of one sample are neither positives nor negatives of each other: that is
:func:`likewise.functional.info_nce` with the sample's id for each of its turns.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from likewise.core.comm import Collective
from likewise.core.errors import InputError
from likewise.functional.precision import equation
from likewise.similarity import SINGLE, combine, cross_entropy, row_lse


def at_markers(hidden: Float[Tensor, "n t d"], ids: Int[Tensor, "n t"], marker: int) -> Float[Tensor, "n k d"]:
    """The hidden states at the tokens ``marker``, in their order; every sequence has the same number k of them.

    Raises:
        InputError: one has more than another, or none: it was cut off.
    """
    found = ids == marker
    count = found.sum(1)
    if len(count) and (int(count.min()) != int(count.max()) or not count[0]):
        raise InputError(f"sequences have {int(count.min())} to {int(count.max())} embedding tokens: one was cut off")
    return hidden[found].view(len(ids), -1, hidden.shape[2])


@equation
def reconstruction_nce(
    queries: tuple[Float[Tensor, "n d"], Float[Tensor, "n d"]],
    targets: tuple[Float[Tensor, "n d"], Float[Tensor, "n d"]],
    negatives: Float[Tensor, "k d"],
    *,
    temperature: float | Tensor,
    comm: Collective = SINGLE,
    similarity: str = "auto",
) -> Float[Tensor, "4 n"]:
    r"""MuCo's fine-tuning: both embeddings of a query against both of its target, and hard negatives.

    .. math::  \mathcal{L} = \sum_{a, b\in\{1, 2\}} -\log\frac{e^{q^a_i\cdot p^b_i/\tau}}
               {\sum_j e^{q^a_i\cdot p^b_j/\tau} + \sum_j e^{q^a_i\cdot n_j/\tau}}

    The terms q1p1, q1p2, q2p1, q2p2 for each query; the loss is their sum. Targets and negatives are everybody's, and
    none is left out.
    Source: Gu et al., "MuCo", arXiv:2602.06393, the second stage of its code.
    """
    scale, own = 1 / temperature, torch.arange(len(queries[0]), device=queries[0].device)
    terms = []
    for query in queries:
        hard = row_lse(query, negatives, scale=scale, comm=comm, similarity=similarity)
        for target in targets:
            cost = cross_entropy(query, target, own, scale=scale, comm=comm, similarity=similarity)
            terms.append(combine(cost, hard - (query * target).sum(1) * scale))
    return torch.stack(terms)
