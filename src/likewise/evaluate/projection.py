"""Features on a plane: principal components, or t-SNE where there are few enough rows for it."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from likewise.core.errors import InputError

TSNE_ROWS = 5000
"""t-SNE up to so many rows: beyond, it takes minutes, and a plane of points is too crowded to show what it gains."""
_BEFORE = 50  # components that t-SNE starts from: van der Maaten and Hinton (2008), section 4


@dataclass(frozen=True)
class Projection:
    """Rows on a plane.

    Attributes:
        points: ``(n, 2)`` float32, finite.
        method: how they were made.
        says: the method and its settings in words, for a caption.
    """

    points: Tensor
    method: Literal["t-sne", "pca"]
    says: str


def pca(features: Tensor, dim: int = 2) -> tuple[Tensor, Tensor]:
    """Principal components of the rows, exact.

    Args:
        features: ``(n, d)``, finite.
        dim: how many components.

    Returns:
        Coordinates ``(n, dim)`` float32, zeros where there are fewer than ``dim`` directions, and the share of the
        variance of each ``(dim,)``. Signs are fixed: the coordinate of largest size along each component is positive.
    """
    n, d = features.shape
    points, shares = torch.zeros(n, dim), torch.zeros(dim)
    if n == 0 or d == 0:
        return points, shares
    centred = features.double().cpu() - features.double().cpu().mean(0)
    total = centred.square().sum()
    if total <= 1e-24 * max(1.0, float(features.double().square().sum())):
        return points, shares
    # the smaller of the two Gram matrices has the same non-zero eigenvalues
    if d <= n:
        values, vectors = torch.linalg.eigh(centred.T @ centred)
        found = centred @ vectors.flip(1)[:, :dim]
    else:
        values, vectors = torch.linalg.eigh(centred @ centred.T)
        found = vectors.flip(1)[:, :dim] * values.flip(0)[:dim].clamp_min(0).sqrt()
    largest = found.gather(0, found.abs().argmax(0, keepdim=True))
    found = found * torch.where(largest < 0, -1.0, 1.0)
    kept = found.shape[1]
    points[:, :kept] = found.float()
    shares[:kept] = (values.flip(0)[:kept].clamp_min(0) / total).float()
    return points, shares


def tsne(features: Tensor, seed: int = 0, perplexity: float = 30.0) -> Tensor:
    """t-SNE (van der Maaten and Hinton, 2008) of the rows ``(n, d)`` -> ``(n, 2)`` float32, started from PCA.

    The perplexity is lowered where there are too few rows for it. Same rows and seed, same machine: same points.
    """
    from sklearn.manifold import TSNE

    n, d = features.shape
    start, shares = pca(features)
    if n < 4 or float(shares.sum()) == 0:
        return start
    rows = pca(features, _BEFORE)[0] if d > _BEFORE else features.float().cpu()
    method = TSNE(
        perplexity=min(perplexity, (n - 1) / 3),
        init=(start / start[:, 0].std().clamp_min(1e-12) * 1e-4).numpy(),
        random_state=seed,
        n_jobs=torch.get_num_threads(),
    )
    return torch.from_numpy(method.fit_transform(rows.numpy())).float()


def project(
    features: Tensor, method: Literal["auto", "t-sne", "pca"] = "auto", *, unit: bool = True, seed: int = 0
) -> Projection:
    """Rows ``(n, d)`` on a plane.

    Args:
        features: finite values.
        method: ``"auto"``: t-SNE up to :data:`TSNE_ROWS` rows, PCA beyond.
        unit: scale rows to unit length first, so that distance means cosine similarity.
        seed: of t-SNE.

    Raises:
        InputError: for values that are not finite, and for t-SNE of too many rows.
    """
    if not bool(torch.isfinite(features).all()):
        raise InputError("features to project hold NaN or infinity: drop those rows first")
    n = len(features)
    if method == "t-sne" and n > TSNE_ROWS:
        raise InputError(f"t-SNE of {n} rows would take too long: take at most {TSNE_ROWS} rows, or 'pca'")
    rows = F.normalize(features.double(), dim=1) if unit else features.double()
    points, shares = pca(rows)
    if method == "pca" or n > TSNE_ROWS or n < 4 or float(shares.sum()) == 0:
        if float(shares.sum()) == 0:
            says = "all rows have the same direction" if unit else "all rows are the same"
        else:
            says = f"the two main directions, {shares[0]:.0%} and {shares[1]:.0%} of the variance"
        return Projection(points, "pca", f"PCA: {says}")
    perplexity = min(30.0, (n - 1) / 3)
    return Projection(
        tsne(rows, seed, perplexity),
        "t-sne",
        f"t-SNE, perplexity {perplexity:.0f}: near points are alike, far ones needn't differ",
    )
