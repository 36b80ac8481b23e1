"""Synthetic embeddings: convex combinations of real ones, on the unit sphere again.

What is mixed with what and how much is drawn by the caller, so that recorded draws give the same points.
"""

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from likewise.functional.precision import equation


@equation
def mix_pairs(
    hard: Float[Tensor, "n h d"], first: Int[Tensor, "n s"], second: Int[Tensor, "n s"], share: Float[Tensor, "n s"]
) -> Float[Tensor, "n s d"]:
    r"""Points between two hard negatives of a query, :math:`\alpha n_i + (1 - \alpha) n_j`, made unit.

    ``first`` and ``second`` are positions among the ``h`` hard negatives, ``share`` is alpha in (0, 1).
    Source: Kalantidis et al., "Hard Negative Mixing for Contrastive Learning", arXiv:2010.01028, Eq. 4.
    """
    alpha = share[:, :, None]
    return normalize(alpha * _picked(hard, first) + (1 - alpha) * _picked(hard, second), dim=2)


@equation
def mix_with_query(
    query: Float[Tensor, "n d"], hard: Float[Tensor, "n h d"], pick: Int[Tensor, "n s"], share: Float[Tensor, "n s"]
) -> Float[Tensor, "n s d"]:
    r"""Points between a query and a hard negative, :math:`\beta q + (1 - \beta) n_j`, made unit.

    ``share`` is beta, below 1/2 so that the query is the smaller part.
    Source: Kalantidis et al., arXiv:2010.01028, Eq. 5.
    """
    beta = share[:, :, None]
    return normalize(beta * query[:, None] + (1 - beta) * _picked(hard, pick), dim=2)


def _picked(hard: Tensor, pick: Tensor) -> Tensor:
    return hard.gather(1, pick[:, :, None].expand(-1, -1, hard.shape[2]))
