"""Losses that rank what somebody took above what they did not, and what keeps embeddings small."""

import torch
from jaxtyping import Float
from torch import Tensor

from likewise.functional.precision import equation, softplus


@equation
def bpr(positive: Float[Tensor, " n"], negative: Float[Tensor, " n"], *, floor: float = 0.0) -> Float[Tensor, " n"]:
    r"""Bayesian personalised ranking of a positive's score against a negative's.

    .. math::  \ell = -\log\big(\epsilon + \sigma(s^+ - s^-)\big)

    with epsilon the ``floor``: 0 in the paper (computed in log space); SELFRec's code adds 1e-5, which takes the
    gradient away where the negative is far ahead.
    Source: Rendle et al., "BPR: Bayesian Personalized Ranking from Implicit Feedback", arXiv:1205.2618, Eq. 4 (with
    the sigmoid of section 4.3.1).
    """
    gap = positive - negative
    return -(floor + gap.sigmoid()).log() if floor else softplus(-gap)


@equation
def half_squares(*rows: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    r"""Half the squared lengths of the rows of several tables, summed: ``(|u|^2 + |p|^2 + |q|^2) / 2`` for each row.

    Source: He et al., "LightGCN", arXiv:2002.02126, Eq. 15, over the rows of a batch as in the authors' code.
    """
    return sum((r.square().sum(1) for r in rows), torch.zeros(())) / 2


@equation
def table_norms(*rows: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    r"""Frobenius norms of several tables, summed, over the number of rows: SELFRec's penalty, which is not squared."""
    return sum((r.norm() / len(r) for r in rows), torch.zeros(()))
