"""Synthetic embeddings: between real ones, or beyond them.

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


@equation
def extrapolate(
    query: Float[Tensor, "n d"], key: Float[Tensor, "n d"], share: Float[Tensor, "#n #d"]
) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n d"]]:
    r"""A harder positive pair: both moved away from each other, :math:`\lambda q + (1 - \lambda) k` and the reverse.

    ``share`` is lambda, from 1 to 2, one for all rows and axes or one each. With one for all and unit rows their
    product falls from S to :math:`S + 2\lambda(1 - \lambda)(1 - S)`. The points are not made unit.
    Source: Zhu et al., "Improving Contrastive Learning by Visualizing Feature Transformation", arXiv:2108.02982,
    "positive extrapolation".
    """
    return share * query + (1 - share) * key, share * key + (1 - share) * query


@equation
def interpolate(
    negatives: Float[Tensor, "k d"], order: Int[Tensor, " k"], share: Float[Tensor, "#k #d"]
) -> Float[Tensor, "k d"]:
    r"""Negatives mixed with each other, :math:`\lambda n_j + (1 - \lambda) n_{\pi(j)}`; they are not made unit.

    ``order`` is the permutation pi, ``share`` is lambda from 0 to 1, one for all rows and axes or one each.
    Source: Zhu et al., arXiv:2108.02982, "negative interpolation".
    """
    return share * negatives + (1 - share) * negatives[order]


def _picked(hard: Tensor, pick: Tensor) -> Tensor:
    return hard.gather(1, pick[:, :, None].expand(-1, -1, hard.shape[2]))
