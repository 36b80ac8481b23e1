"""PCL: when it clusters, what it clusters, and the prototype term."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from likewise.core.batch import Batch
from likewise.core.comm import Collective
from likewise.core.errors import InputError
from likewise.core.learner import Context

NUM = 40


def context(epoch: int, images: torch.Tensor, seen: list | None = None) -> Context:
    def extract(function):
        out = function(images)
        if seen is not None:
            seen.append(out)
        return out

    return Context(0, 10, epoch, 2.0, Collective(), {}, extract)


@pytest.fixture
def images() -> torch.Tensor:
    """Four kinds of images, ten each, in turn."""
    kinds = torch.randn(4, 1, 16, 16)
    return kinds[torch.arange(NUM) % 4] + 0.01 * torch.randn(NUM, 1, 16, 16)


def start(learner, epoch: int, images: torch.Tensor, seen: list | None = None) -> None:
    with torch.no_grad():
        learner.on_epoch(context(epoch, images, seen))


def test_the_warm_up_is_moco_alone(build, images, batch) -> None:
    learner, moco, rows = build("pcl", warmup_epochs=2), build("moco-v2"), batch()
    moco.load_state_dict({k: v for k, v in learner.state_dict().items() if k in moco.state_dict()})
    for epoch in (0, 1):
        start(learner, epoch, images)
        assert not learner.clustered
    losses = []
    for each in (learner, moco):
        torch.manual_seed(0)
        losses.append(each.objective(each.encode(rows), rows, Collective()))
    assert losses[0].loss.item() == losses[1].loss.item()
    assert "prototype_loss" not in losses[0].logs
    start(learner, 2, images)
    assert learner.clustered
    torch.manual_seed(0)
    out = learner.objective(learner.encode(rows), rows, Collective())
    moved = losses[1].loss.item() + float(out.logs["prototype_loss"])
    assert out.loss.item() == pytest.approx(moved, abs=1e-4)


def test_clusters_are_of_the_teachers_features_in_evaluation_mode(build, images) -> None:
    learner, seen = build("pcl"), []
    with torch.no_grad():
        for p in learner.encoder.parameters():
            p.add_(torch.randn_like(p))  # student and teacher differ
    start(learner, 0, images, seen)
    assert learner.training
    with torch.no_grad():
        expected = normalize(learner.eval().teacher(images), dim=1)
    assert torch.equal(seen[0], expected)


def test_images_of_a_kind_share_their_cluster_and_each_epoch_clusters_anew(build, images) -> None:
    learner = build("pcl", clusters=(4, 8), redo=5)
    start(learner, 0, images)
    coarse = learner.prototypes[0].assignment.clone()
    kinds = torch.arange(NUM) % 4
    assert torch.equal(coarse[:, None] == coarse, kinds[:, None] == kinds)
    assert [len(p.centroids) for p in learner.prototypes] == [4, 8]
    assert all(float(p.density.mean()) == pytest.approx(0.2, abs=1e-6) for p in learner.prototypes)
    start(learner, 1, images.flip(0))
    assert not torch.equal(learner.prototypes[0].assignment, coarse)


def test_the_prototype_term_by_loops(build, images) -> None:
    """Every sample's prototype stands in the denominator once per sample, others of the batch's clusters not at all."""
    n, learner = 6, build("pcl", clusters=(5, 9), num_negatives=100, dim=4, queue_size=7)
    start(learner, 0, images)
    ids = torch.tensor([0, 1, 4, 8, 13, 22])
    z = {name: torch.randn(n, 4) for name in ("query", "key")}
    q, total = normalize(z["query"], dim=1).double(), 0.0
    for held in learner.prototypes:
        own = held.assignment[ids].tolist()
        columns = own + [c for c in range(len(held)) if c not in own]
        c, phi = held.centroids.double(), held.density.double()
        for i in range(n):
            logits = [float(q[i] @ c[j] / phi[j]) for j in columns]
            total -= (logits[i] - math.log(sum(map(math.exp, logits)))) / n / 2
    out = learner.objective(z, Batch({}, ids), Collective())
    assert float(out.logs["prototype_loss"]) == pytest.approx(total, abs=1e-5)


def test_two_processes_have_the_prototypes_of_both(build, images) -> None:
    """The mean of what two processes get for their halves is what one gets for the whole batch."""
    learner = build("pcl", clusters=(8,), num_negatives=2, dim=4, queue_size=7)
    start(learner, 0, images)
    ids = torch.tensor([0, 1, 4, 8, 13, 22])
    z = {name: torch.randn(6, 4) for name in ("query", "key")}

    class Half(Collective):
        def gather(self, part: torch.Tensor) -> torch.Tensor:
            return ids if part.dtype == torch.int64 else part

    whole = float(learner.objective(z, Batch({}, ids), Collective()).loss)
    halves = [
        float(learner.objective({k: v[part] for k, v in z.items()}, Batch({}, ids[part]), Half()).loss)
        for part in (slice(0, 3), slice(3, 6))
    ]
    assert sum(halves) / 2 == pytest.approx(whole, abs=1e-5)


def test_clusters_are_saved_with_the_learner(build, images) -> None:
    learner, other = build("pcl"), build("pcl")
    start(learner, 0, images)
    other.load_state_dict(learner.state_dict())
    assert other.clustered
    assert torch.equal(other.prototypes[1].assignment, learner.prototypes[1].assignment)


def test_more_clusters_than_samples_are_refused(build) -> None:
    with pytest.raises(InputError, match=r"clusters=40: .* fewer than the 40 training samples"):
        build("pcl", clusters=(10, 40))
