"""A row for every training sample, in clusters that follow the rows as training goes on (Zhan et al., ODC, 2020)."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from likewise.core.comm import Collective
from likewise.core.draws import Draws
from likewise.core.errors import InputError
from likewise.functional.metrics import nearest
from likewise.parts.clustering import kmeans

Sampling = Literal["semihard", "hard", "semieasy", "random"]


class ClusterMemory(nn.Module):
    """Unit rows, labels and centroids (means, not made unit) of ``num_samples`` samples, on every process the same.

    Args:
        num_samples: of the training set; ids are positions in it.
        dim: of the rows.
        clusters: C.
        min_cluster: smaller clusters are dissolved; ``clusters * min_cluster`` must be below ``num_samples``.
    """

    rows: Tensor
    labels: Tensor
    centroids: Tensor
    filled: Tensor

    def __init__(self, num_samples: int, dim: int, clusters: int, min_cluster: int) -> None:
        super().__init__()
        if clusters < 2 or min_cluster < 1 or clusters * min_cluster >= num_samples:
            raise InputError(
                f"clusters={clusters} must be at least 2, min_cluster={min_cluster} at least 1, and their product "
                f"below the number of training samples, {num_samples}"
            )
        self.min_cluster = min_cluster
        self.register_buffer("rows", normalize(torch.randn(num_samples, dim), dim=1))
        self.register_buffer("labels", torch.arange(num_samples) % clusters)
        self.register_buffer("centroids", torch.zeros(clusters, dim))
        self.register_buffer("filled", torch.zeros(1, dtype=torch.bool))

    @torch.no_grad()
    def fill(self, rows: Tensor, *, generator: torch.Generator, comm: Collective) -> None:
        """Take over ``rows (num_samples, dim)``, and cluster them; every process gets rank 0's clusters."""
        self.rows.copy_(normalize(rows, dim=1))
        found = kmeans(self.rows, len(self.centroids), generator=generator)
        self.labels.copy_(found.assignment)
        for held in (self.rows, self.labels):
            comm.broadcast(held)
        self.update_centroids()
        self.filled.fill_(True)

    @torch.no_grad()
    def write(self, ids: Tensor, rows: Tensor, momentum: float = 1.0) -> Tensor:
        """Move samples' rows by the share ``momentum`` towards unit ``rows (n, dim)``, and label them anew.

        Returns:
            The share of them whose label changed.
        """
        moved = normalize((1 - momentum) * self.rows[ids] + momentum * rows.to(self.rows), dim=1)
        before = self.labels[ids]
        self.rows[ids] = moved
        self.labels[ids] = (moved @ self.centroids.T).argmax(1)
        return (self.labels[ids] != before).to(moved.dtype).mean()

    @torch.no_grad()
    def update_centroids(self) -> None:
        """The means of the clusters; an empty one keeps its centroid."""
        counts = torch.bincount(self.labels, minlength=len(self.centroids))
        means = torch.zeros_like(self.centroids).index_add_(0, self.labels, self.rows) / counts.clamp(min=1)[:, None]
        self.centroids.copy_(torch.where((counts > 0)[:, None], means, self.centroids))

    @torch.no_grad()
    def dissolve_small(self) -> None:
        """Give the rows of small clusters to the others, and half of the then largest cluster to each freed one."""
        small = torch.bincount(self.labels, minlength=len(self.centroids)) < self.min_cluster
        if not small.any():
            return
        left = small[self.labels].nonzero().flatten()
        likeness = (self.rows[left] @ self.centroids.T).masked_fill(small, -torch.inf)
        self.labels[left] = likeness.argmax(1)
        for free in small.nonzero().flatten().tolist():
            largest = int(torch.bincount(self.labels, minlength=len(self.centroids)).argmax())
            members = (self.labels == largest).nonzero().flatten()
            halves = kmeans(self.rows[members], 2, generator=torch.Generator().manual_seed(0)).assignment
            if halves.min() == halves.max():  # rows that are all alike
                halves = torch.arange(len(members), device=members.device) % 2
            self.labels[members[halves == 1]] = free
            for c in (free, largest):
                self.centroids[c] = self.rows[self.labels == c].mean(0)

    def positives(self, ids: Tensor, draws: Draws) -> Tensor:
        """For each sample the position of one of its cluster ``(n,)``, each with the same chance, itself too."""
        order, first, counts = self._segments(ids)
        return order[first + (draws.uniform() * counts).long().minimum(counts - 1)]

    def negatives(
        self, query: Tensor, ids: Tensor, number: int, draws: Draws, *, sampling: Sampling, pool: int
    ) -> tuple[Tensor, Tensor]:
        """For each query the positions of ``number`` samples of other clusters, and whether they are there, ``(n, s)``.

        Args:
            query: ``(n, dim)``.
            ids: whose queries.
            number: how many; of a pool with fewer of other clusters, all of those.
            draws: of the samples.
            sampling: ``hard``: the most alike. ``semihard``, ``semieasy``: at random of the ``pool`` most, least alike.
                ``random``: of all.
            pool: how many are drawn from.
        """
        own = self.labels[ids]
        if sampling == "random":
            order, first, counts = self._segments(ids)
            at = (draws.uniform(number) * (len(self.rows) - counts)[:, None]).long()
            at = at.minimum((len(self.rows) - counts - 1).clamp_min(0)[:, None])
            at = torch.where(at < first[:, None], at, at + counts[:, None]).clamp_max(len(self.rows) - 1)
            found = order[at]
            return found, self.labels[found] != own[:, None]
        rows = self.rows.to(query.dtype)
        if sampling == "hard":
            likeness, found = nearest(query, rows, number, same=(own, self.labels))
            return found, likeness.isfinite()
        found = nearest(query if sampling == "semihard" else -query, rows, pool)[1]
        chance = draws.uniform(pool).masked_fill(self.labels[found] == own[:, None], -1)
        best, pick = chance.topk(min(number, pool), dim=1)
        return found.gather(1, pick), best >= 0

    def _segments(self, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """All positions in the order of their clusters; where in it each sample's cluster begins, and its size."""
        counts, own = torch.bincount(self.labels, minlength=len(self.centroids)), self.labels[ids]
        return self.labels.argsort(stable=True), (counts.cumsum(0) - counts)[own], counts[own]
