"""Linear predictors that are computed from the second moment of what they predict from, not trained."""

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from likewise.functional.precision import equation

_TINY = 1e-30


def second_moment(rows: Tensor) -> Tensor:
    """Mean outer product of the rows ``(n, d)``, not centred: ``(d, d)``."""
    return rows.T @ rows / len(rows)


def on_eigenvalues(matrix: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """The symmetric matrix ``(d, d)`` with ``change`` of its eigenvalues ``(d,)``, the eigenvectors kept."""
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * change(values)) @ vectors.T


def predictor_spectrum(
    moments: Tensor,
    *,
    eps: float,
    variant: Literal["paper", "code", "inside"] = "code",
    shrink: float = 0.0,
    floor: float = 1e-4,
) -> Tensor:
    """The predictor's eigenvalues ``(d,)`` of those of the second moment, as :func:`direct_pred` has them."""
    s = moments.clamp(min=0)
    top = s.max().clamp(min=_TINY)
    if variant == "paper":
        return (s.sqrt() + eps * top) * (1 - shrink)
    if variant == "inside":
        return (s / top + eps).clamp(min=floor).sqrt() * (1 - shrink)
    return ((s / top).sqrt() + eps).clamp(min=floor) * (1 - shrink)


@equation
def direct_pred(
    moment: Float[Tensor, "d d"],
    *,
    eps: float = 0.1,
    variant: Literal["paper", "code", "inside"] = "code",
    shrink: float = 0.0,
) -> Float[Tensor, "d d"]:
    r"""DirectPred's predictor: the eigenvectors of the second moment, and the root of its eigenvalues.

    .. math::  W = U\,\mathrm{diag}(p)\,U^\top,\qquad F = U\,\mathrm{diag}(s)\,U^\top,\qquad
               p_j = \max\big(\sqrt{s_j / \max_k s_k} + \epsilon,\; 10^{-4}\big)

    with F the ``moment``. ``inside`` is the code's other setting, :math:`\sqrt{\max(s_j/\max_k s_k + \epsilon,
    10^{-4})}`; ``paper`` is :math:`\sqrt{s_j} + \epsilon\max_k s_k`, which depends on the scale of F. ``shrink`` takes
    that share off all eigenvalues. Where F is 0 so is what is under the root.
    Source: Tian et al., "Understanding Self-Supervised Learning Dynamics without Contrastive Pairs",
    arXiv:2102.06810, Eqs. 18 and 19, and the authors' code.
    """
    return on_eigenvalues(moment, lambda s: predictor_spectrum(s, eps=eps, variant=variant, shrink=shrink))


@equation
def direct_set(
    moment: Float[Tensor, "d d"], *, alpha: float = 1.0, eps: float = 0.3, variant: Literal["paper", "code"] = "paper"
) -> Float[Tensor, "d d"]:
    r"""DirectSet's predictor, a power of the second moment; with ``alpha=1`` DirectCopy, without eigenvectors.

    .. math::  W = (F / \lVert F\rVert_2)^\alpha + \epsilon I

    with F the ``moment`` and its spectral norm; ``variant="code"`` leaves the norm out, as the code of the first paper
    does (predictor "corr").
    Source: Wang et al., "Towards Demystifying Representation Learning with Non-contrastive Self-supervision",
    arXiv:2110.04947.
    """
    if variant == "paper":
        moment = moment / torch.linalg.matrix_norm(moment, 2).clamp(min=_TINY)
    power = moment if alpha == 1 else on_eigenvalues(moment, lambda s: s.clamp(min=0) ** alpha)
    return power + eps * torch.eye(len(moment), dtype=moment.dtype, device=moment.device)


@equation
def eigenspace_alignment(weight: Float[Tensor, "d d"], moment: Float[Tensor, "d d"]) -> Float[Tensor, ""]:
    """How far a predictor keeps the directions of the second moment's eigenvectors: the mean of |cos(W u, u)|, 0 to 1.

    Source: Tian et al., arXiv:2102.06810, whose theory says that the two align during training.
    """
    _, vectors = torch.linalg.eigh(moment)
    return torch.cosine_similarity(weight @ vectors, vectors, dim=0).abs().mean()
