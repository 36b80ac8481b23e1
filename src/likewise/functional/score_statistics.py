"""What the scores of a query against its positive and a bank of negatives look like, without the matrix of scores."""

import math

from jaxtyping import Float
from torch import Tensor

from likewise.functional.precision import equation
from likewise.similarity import row_lse


@equation
def score_statistics(
    query: Float[Tensor, "n d"],
    positive: Float[Tensor, "n d"],
    negatives: Float[Tensor, "k d"],
    *,
    temperature: float,
    similarity: str = "auto",
) -> dict[str, Float[Tensor, " n"]]:
    r"""Statistics of each query's scores :math:`\langle q, \cdot\rangle`, by name.

    Returns:
        ``positive_score``: with the positive. ``negative_score`` and ``negative_variance``: mean and (unbiased)
        variance over the negatives, from their first two moments. ``negative_soft_maximum``:
        :math:`\tau\log\frac1K\sum_j e^{\langle q, n_j\rangle/\tau}`, which lies the nearer to the hardest negative the
        smaller the temperature; the mean of the exponentials themselves overflows. One negative has a variance of 0.

    Source: Zhu et al., "Improving Contrastive Learning by Visualizing Feature Transformation", arXiv:2108.02982;
    the exponentials are what the released code records, without the logarithm.
    """
    k = len(negatives)
    mean = negatives.mean(0)
    apart = negatives - mean
    covariance = apart.T @ apart / max(1, k - 1)
    lse = row_lse(query, negatives, scale=1 / temperature, similarity=similarity)
    return {
        "positive_score": (query * positive).sum(1),
        "negative_score": query @ mean,
        "negative_variance": ((query @ covariance) * query).sum(1).clamp_min(0),
        "negative_soft_maximum": temperature * (lse - math.log(k)),
    }
