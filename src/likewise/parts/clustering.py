"""k-means over embeddings, and the prototypes that PCL makes of it."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from likewise.core.comm import Collective
from likewise.core.errors import InputError

_LARGE = 1 << 25
"""Distances per iteration from which faiss is worth its import."""


@dataclass(frozen=True)
class Clusters:
    """A clustering of n rows into k.

    Attributes:
        centroids: ``(k, d)``.
        assignment: ``(n,)`` int64, the nearest centroid of each row.
        distances: ``(n,)`` Euclidean distance to it.
    """

    centroids: Tensor
    assignment: Tensor
    distances: Tensor


@torch.no_grad()
def kmeans(rows: Tensor, k: int, *, generator: torch.Generator, iterations: int = 20, redo: int = 1) -> Clusters:
    """Lloyd's k-means with Euclidean distances, the best of ``redo`` starts.

    Small problems are solved here, the same on every machine; large ones by faiss where it is installed.

    Args:
        rows: ``(n, d)`` float.
        k: clusters, at most n.
        generator: a CPU generator that decides the starts.
        iterations: of assignment and update.
        redo: starts.

    Raises:
        InputError: more clusters than rows.
    """
    if not 1 <= k <= len(rows):
        raise InputError(f"k-means: {k} clusters need at least as many rows, got {len(rows)}")
    if len(rows) * k >= _LARGE and (found := _faiss(rows, k, generator, iterations, redo)):
        return found
    best: Clusters | None = None
    for _ in range(redo):
        found = _lloyd(rows, k, generator, iterations)
        if best is None or found.distances.square().sum() < best.distances.square().sum():
            best = found
    assert best is not None
    return best


def _lloyd(rows: Tensor, k: int, generator: torch.Generator, iterations: int) -> Clusters:
    centroids = rows[torch.randperm(len(rows), generator=generator)[:k].to(rows.device)].clone()
    for _ in range(iterations):
        assignment, distances = _assign(rows, centroids)
        sums = torch.zeros_like(centroids).index_add_(0, assignment, rows)
        counts = torch.bincount(assignment, minlength=k)
        empty = (counts == 0).nonzero().flatten()
        centroids = sums / counts.clamp(min=1)[:, None]
        # a centroid that lost all its rows starts again at one of the rows that fit worst
        centroids[empty] = rows[distances.topk(len(empty)).indices]
    return Clusters(centroids, *_assign(rows, centroids))


def _assign(rows: Tensor, centroids: Tensor, tile: int = 1 << 22) -> tuple[Tensor, Tensor]:
    """The nearest centroid of each row and the distance to it, a block of rows at a time."""
    parts = []
    for block in torch.split(rows, max(1, tile // len(centroids))):
        squared = centroids.square().sum(1) - 2 * block @ centroids.T  # without the row's own square: no matter
        parts.append(squared.argmin(1))
    assignment = torch.cat(parts)
    return assignment, (rows - centroids[assignment]).norm(dim=1)


def _faiss(rows: Tensor, k: int, generator: torch.Generator, iterations: int, redo: int) -> Clusters | None:
    try:
        import faiss
    except ImportError:
        return None
    seed = int(torch.randint(2**31 - 1, (), generator=generator))
    points = rows.detach().float().cpu().numpy()
    solver = faiss.Kmeans(
        points.shape[1], k, niter=iterations, nredo=redo, seed=seed, min_points_per_centroid=1,
        max_points_per_centroid=1000,
    )  # fmt: skip
    solver.train(points)
    centroids = torch.tensor(solver.centroids).to(rows)
    return Clusters(centroids, *_assign(rows, centroids))


def concentration(clusters: Clusters, temperature: float) -> Tensor:
    r"""PCL's temperature of each cluster, ``(k,)``: small where a cluster is tight or large.

    .. math:: \phi_c = \frac{1}{n_c \log(n_c + 10)}\sum_{i\in c}\lVert v_i - c\rVert

    Clusters of fewer than two rows take the largest phi, all are clipped to their 10th and 90th percentile, and scaled
    to a mean of ``temperature``. Source: Li et al., arXiv:2005.04966, Eq. 12; the clipping is the released code's.
    """
    k = len(clusters.centroids)
    counts = torch.bincount(clusters.assignment, minlength=k)
    sums = clusters.distances.new_zeros(k).index_add_(0, clusters.assignment, clusters.distances)
    phi = sums / counts.clamp(min=1) / (counts + 10).log()
    phi = torch.where(counts > 1, phi, phi[counts > 1].max() if (counts > 1).any() else 1.0)
    low, high = phi.quantile(torch.tensor([0.1, 0.9], dtype=phi.dtype, device=phi.device))
    phi = phi.clamp(low, high)
    # rows that are all equal have no distances at all: every cluster is as tight as the others then
    mean = phi.mean()
    return torch.where(mean > 0, temperature * phi / mean, temperature)


class Prototypes(nn.Module):
    """The clusters of the training samples at one granularity: unit centroids, their temperatures, who is in which.

    They are buffers, so a resumed run goes on with the clusters of the epoch that it was stopped in.

    Args:
        k: clusters.
        num_samples: of the training set; more than k.
        dim: of the embeddings.
    """

    centroids: Tensor
    density: Tensor
    assignment: Tensor

    def __init__(self, k: int, num_samples: int, dim: int) -> None:
        super().__init__()
        if not 1 < k < num_samples:
            raise InputError(
                f"clusters={k}: there must be at least 2, and fewer than the {num_samples} training samples"
            )
        self.register_buffer("centroids", normalize(torch.randn(k, dim), dim=1))
        self.register_buffer("density", torch.ones(k))
        self.register_buffer("assignment", torch.zeros(num_samples, dtype=torch.int64))

    def __len__(self) -> int:
        return len(self.centroids)

    @torch.no_grad()
    def fit(
        self, rows: Tensor, *, temperature: float, generator: torch.Generator, comm: Collective, redo: int = 5
    ) -> None:
        """Cluster ``rows (num_samples, dim)``, the samples in the order of their ids; every process gets rank 0's."""
        found = kmeans(rows, len(self), generator=generator, redo=redo)
        self.centroids.copy_(normalize(found.centroids, dim=1))
        self.density.copy_(concentration(found, temperature))
        self.assignment.copy_(found.assignment)
        for held in (self.centroids, self.density, self.assignment):
            comm.broadcast(held)

    def negatives(self, ids: Tensor, everyone: Tensor, most: int) -> Tensor:
        """The clusters ``(r,)`` that stand against samples ``ids (n,)`` beside their own.

        They are those of the other processes' samples, one entry per sample, and at most ``most`` of the clusters
        that no sample of the whole batch ``everyone (m,)`` is in, drawn the same on every process.
        """
        k = len(self)
        counts = torch.bincount(self.assignment[everyone], minlength=k)
        elsewhere = counts - torch.bincount(self.assignment[ids], minlength=k)
        free = (counts == 0).nonzero().flatten()
        # the draw is a function of the batch: processes agree, and a resumed run repeats it
        generator = torch.Generator().manual_seed(int(everyone.sum()))
        drawn = free[torch.randperm(len(free), generator=generator)[:most].to(free.device)]
        return torch.cat([torch.arange(k, device=ids.device).repeat_interleave(elsewhere), drawn])
