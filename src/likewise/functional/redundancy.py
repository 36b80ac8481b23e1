"""Losses without negatives: two views agree, and something else keeps the embeddings from collapsing.

Barlow Twins and VICReg read statistics over the batch: over several processes, gather the rows first.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from likewise.functional.precision import equation


@equation
def negative_cosine(prediction: Float[Tensor, "n d"], target: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    r"""Minus the cosine of each row of the prediction with its target; one value per row.

    .. math:: D(p, z) = -\frac{p}{\lVert p\rVert_2}\cdot\frac{z}{\lVert z\rVert_2}

    Source: Chen & He, "Exploring Simple Siamese Representation Learning", arXiv:2011.10566, Eq. 1, where the target
    is detached. BYOL's squared distance of unit vectors (arXiv:2006.07733, Eq. 2) is ``2 + 2 * negative_cosine``.
    A row of zeros has cosine 0 with everything.
    """
    return -F.cosine_similarity(prediction, target, dim=-1)


@equation
def barlow_twins(a: Float[Tensor, "n d"], b: Float[Tensor, "n d"], *, redundancy: float = 0.0051) -> Float[Tensor, ""]:
    r"""The cross-correlation of two views' dimensions, drawn to the identity.

    .. math:: \mathcal{L} = \sum_i (1 - C_{ii})^2 + \lambda\sum_i\sum_{j\neq i} C_{ij}^2

    with C the ``(d, d)`` correlation over the n rows and lambda the ``redundancy``. Each dimension is standardised
    as batch norm does: biased variance, with 1e-5 under the root.
    Source: Zbontar et al., arXiv:2103.03230, Eqs. 1 and 2; constants as in the authors' code.

    Raises:
        ValueError: fewer than two rows.
    """
    n = _rows("barlow_twins", a)
    correlation = _standard(a).T @ _standard(b) / n
    on = correlation.diagonal()
    return (on - 1).square().sum() + redundancy * (correlation.square().sum() - on.square().sum())


@equation
def vicreg(
    a: Float[Tensor, "n d"],
    b: Float[Tensor, "n d"],
    *,
    invariance: float = 25.0,
    variance: float = 25.0,
    covariance: float = 1.0,
) -> Float[Tensor, ""]:
    r"""Views close, every dimension spread, dimensions uncorrelated.

    .. math::
        \mathcal{L} = \lambda\,\frac{1}{nd}\lVert A - B\rVert^2
            + \mu\,\tfrac12\big[v(A) + v(B)\big] + \nu\,\big[c(A) + c(B)\big]

        v(Z) = \frac1d\sum_j\max\big(0,\, 1 - \sqrt{\mathrm{Var}(z^j) + 10^{-4}}\big),\qquad
        c(Z) = \frac1d\sum_{i\neq j}\mathrm{Cov}(Z)_{ij}^2

    with lambda, mu, nu the three coefficients. Variance and covariance divide by n - 1.
    Source: Bardes et al., arXiv:2105.04906, Eqs. 1 to 6, weighted as the authors' code does: the paper's Eq. 6 has
    the squared distance per row (not per element) and the variance terms without the half.

    Raises:
        ValueError: fewer than two rows.
    """
    _rows("vicreg", a)
    spread = (_hinge(a) + _hinge(b)) / 2
    return invariance * F.mse_loss(a, b) + variance * spread + covariance * (_off_diagonal(a) + _off_diagonal(b))


def _standard(z: Tensor) -> Tensor:
    centred = z - z.mean(0)
    return centred / (centred.square().mean(0) + 1e-5).sqrt()


def _hinge(z: Tensor) -> Tensor:
    return F.relu(1 - (z.var(0) + 1e-4).sqrt()).mean()


def _off_diagonal(z: Tensor) -> Tensor:
    centred = z - z.mean(0)
    cov = centred.T @ centred / (len(z) - 1)
    return (cov.square().sum() - cov.diagonal().square().sum()) / z.shape[1]


def _rows(name: str, z: Tensor) -> int:
    if len(z) < 2:
        raise ValueError(f"{name} needs at least 2 rows for its statistics, got {len(z)}")
    return len(z)
