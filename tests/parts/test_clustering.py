import math
import sys

import pytest
import torch
from torch.nn.functional import normalize

from likewise.core.comm import Collective
from likewise.core.errors import InputError
from likewise.parts import clustering
from likewise.parts.clustering import Clusters, Prototypes, concentration, kmeans


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def blobs(num: int, each: int, spread: float = 0.05) -> tuple[torch.Tensor, torch.Tensor]:
    """``num`` well separated groups of ``each`` rows, shuffled, and who is in which."""
    labels = torch.arange(num).repeat_interleave(each)[torch.randperm(num * each)]
    return torch.eye(num)[labels] + spread * torch.randn(num * each, num), labels


def same_partition(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.equal(a[:, None] == a, b[:, None] == b)


@pytest.mark.parametrize("faiss", [False, True])
def test_kmeans_finds_separated_groups(faiss, monkeypatch) -> None:
    if faiss:
        pytest.importorskip("faiss")
        monkeypatch.setattr(clustering, "_LARGE", 1)
    rows, labels = blobs(5, 30)
    found = kmeans(rows, 5, generator=seeded(), redo=8)
    assert same_partition(found.assignment, labels)
    for c in range(5):
        assert torch.allclose(found.centroids[c], rows[found.assignment == c].mean(0), atol=1e-5)
    assert torch.allclose(found.distances, (rows - found.centroids[found.assignment]).norm(dim=1), atol=1e-6)


def test_kmeans_assigns_every_row_to_its_nearest_centroid_and_beats_its_start() -> None:
    rows = torch.randn(400, 6)
    found = kmeans(rows, 20, generator=seeded())
    assert torch.equal(found.assignment, torch.cdist(rows, found.centroids).argmin(1))
    start = kmeans(rows, 20, generator=seeded(), iterations=0)
    assert found.distances.square().sum() < 0.8 * start.distances.square().sum()
    assert len(found.assignment.unique()) == 20


def test_kmeans_is_decided_by_its_generator() -> None:
    rows = torch.randn(200, 4)
    a, b = (kmeans(rows, 10, generator=seeded(3)) for _ in range(2))
    assert torch.equal(a.assignment, b.assignment)
    assert torch.equal(a.centroids, b.centroids)
    assert not same_partition(a.assignment, kmeans(rows, 10, generator=seeded(4)).assignment)


def test_more_starts_never_make_it_worse() -> None:
    rows = torch.randn(150, 3)
    cost = [kmeans(rows, 12, generator=seeded(5), redo=n).distances.square().sum() for n in (1, 3, 9)]
    assert cost[0] >= cost[1] >= cost[2]


def test_a_block_of_rows_at_a_time_gives_the_same(monkeypatch) -> None:
    rows, centroids = torch.randn(50, 4), torch.randn(7, 4)
    whole, blocks = clustering._assign(rows, centroids), clustering._assign(rows, centroids, tile=21)
    assert all(torch.equal(a, b) for a, b in zip(whole, blocks))


@pytest.mark.parametrize("seed", range(4))
def test_clusters_that_lose_all_rows_start_again(seed) -> None:
    # where more than one start falls on the equal rows, all but one of those centroids are left empty
    rows = torch.cat([torch.full((6, 2), 5.0), torch.full((1, 2), 9.0), torch.full((1, 2), -3.0)])
    found = kmeans(rows, 3, generator=seeded(seed))
    assert found.distances.max() == 0


def test_without_faiss_large_problems_are_solved_here(monkeypatch) -> None:
    rows = torch.randn(60, 3)
    here = kmeans(rows, 4, generator=seeded())
    monkeypatch.setattr(clustering, "_LARGE", 1)
    monkeypatch.setitem(sys.modules, "faiss", None)
    assert torch.equal(kmeans(rows, 4, generator=seeded()).assignment, here.assignment)


def test_more_clusters_than_rows_are_refused() -> None:
    with pytest.raises(InputError, match="8 clusters need at least as many rows, got 7"):
        kmeans(torch.randn(7, 2), 8, generator=seeded())


def test_concentration_is_the_papers_by_loops() -> None:
    """Eq. 12 and the rules of the released code, three lines per symbol."""
    assignment = torch.tensor([0] * 5 + [1] * 2 + [2] + [3] * 9 + [5] * 4)  # 2 is a singleton, 4 is empty
    distances = torch.rand(len(assignment)) + 0.1
    phi = []
    for c in range(6):
        mine = [float(d) for d, a in zip(distances, assignment) if a == c]
        phi.append(sum(mine) / len(mine) / math.log(len(mine) + 10) if len(mine) > 1 else None)
    largest = max(p for p in phi if p is not None)
    full = sorted(largest if p is None else p for p in phi)

    def percentile(share: float) -> float:
        place = share * (len(full) - 1)
        low = int(place)
        return full[low] + (place - low) * (full[min(low + 1, len(full) - 1)] - full[low])

    clipped = [min(max(largest if p is None else p, percentile(0.1)), percentile(0.9)) for p in phi]
    expected = torch.tensor([0.2 * p / (sum(clipped) / 6) for p in clipped])
    found = concentration(Clusters(torch.zeros(6, 2), assignment, distances), 0.2)
    assert torch.allclose(found, expected, atol=1e-6)
    assert found.mean() == pytest.approx(0.2, abs=1e-6)


@pytest.mark.parametrize("assignment", [[0, 1, 2], [0, 0, 0]])
def test_concentration_of_singletons_and_of_equal_rows_is_the_temperature(assignment) -> None:
    rows = Clusters(torch.zeros(3, 2), torch.tensor(assignment), torch.zeros(3))
    assert torch.allclose(concentration(rows, 0.2), torch.full((3,), 0.2))


def test_prototypes_are_unit_centres_and_are_saved() -> None:
    rows, labels = blobs(4, 10)
    held, other = Prototypes(4, 40, 4), Prototypes(4, 40, 4)
    held.fit(rows, temperature=0.3, generator=seeded(), comm=Collective())
    assert same_partition(held.assignment, labels)
    assert torch.allclose(held.centroids.norm(dim=1), torch.ones(4))
    assert held.density.mean() == pytest.approx(0.3, abs=1e-6)
    own = torch.stack([normalize(rows[held.assignment == c].mean(0), dim=0) for c in range(4)])
    assert torch.allclose(held.centroids, own, atol=1e-5)
    other.load_state_dict(held.state_dict())
    assert torch.equal(other.assignment, held.assignment)


def test_negative_prototypes_are_clusters_without_a_sample_of_the_batch() -> None:
    held = Prototypes(10, 30, 2)
    held.assignment.copy_(torch.arange(30) % 10)
    ids = torch.tensor([0, 1, 11, 25])  # clusters 0, 1, 1, 5
    free = {2, 3, 4, 6, 7, 8, 9}
    assert set(held.negatives(ids, ids, 100).tolist()) == free
    some = held.negatives(ids, ids, 3)
    assert len(set(some.tolist()) & free) == len(some) == 3
    assert torch.equal(some, held.negatives(ids, ids, 3))
    # another process's samples stand beside one's own, each once: 3 and 5 (again), 1 (again)
    everyone = torch.tensor([3, 15, 0, 1, 11, 25, 21])
    assert sorted(held.negatives(ids, everyone, 0).tolist()) == [1, 3, 5]


@pytest.mark.parametrize("k", [1, 20])
def test_impossible_numbers_of_prototypes_are_refused(k) -> None:
    with pytest.raises(InputError, match=f"clusters={k}: .* fewer than the 20 training samples"):
        Prototypes(k, 20, 2)
