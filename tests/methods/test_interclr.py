"""InterCLR: the memory of samples and its clusters, who is drawn, the margin, and the order of a step."""

import pytest
import torch
from torch.nn.functional import normalize

from likewise.core.batch import Batch
from likewise.core.comm import Collective
from likewise.core.draws import Draws
from likewise.core.errors import InputError
from likewise.core.learner import Context
from likewise.functional import info_nce, margin_nce
from likewise.parts.cluster_memory import ClusterMemory

SETTINGS = {"clusters": 4, "min_cluster": 3, "negatives": 8, "queue_size": 30}


def unit(*shape, seed=0):
    return normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def groups(per=10, dim=8, apart=4, seed=0):
    """Rows around so many axes, in turn."""
    rows = torch.eye(dim)[:apart].repeat(per, 1) + 0.05 * unit(per * apart, dim, seed=seed)
    return normalize(rows, dim=1)


def memory(**changes):
    held = ClusterMemory(**{"num_samples": 40, "dim": 8, "clusters": 4, "min_cluster": 3, **changes})
    held.fill(groups(), generator=torch.Generator().manual_seed(1), comm=Collective())
    held.labels.copy_(torch.arange(40) % 4)  # the groups, whatever k-means has found
    held.update_centroids()
    return held


def test_rows_are_replaced_labelled_anew_and_centroids_follow_later() -> None:
    held, ids = memory(), torch.tensor([0, 1, 2])
    centroids = held.centroids.clone()
    changed = held.write(ids, groups()[[3, 1, 2]])
    assert held.labels[:4].tolist() == [3, 1, 2, 3]
    assert changed == pytest.approx(1 / 3)
    assert torch.equal(held.centroids, centroids)
    held.update_centroids()
    assert torch.allclose(held.centroids[3], held.rows[held.labels == 3].mean(0))
    before = held.rows[5].clone()
    held.write(torch.tensor([5]), unit(1, 8), momentum=0.0)
    assert torch.allclose(held.rows[5], before)


def test_an_empty_cluster_keeps_its_centroid() -> None:
    held = memory()
    kept = held.centroids[0].clone()
    held.labels[held.labels == 0] = 1
    held.update_centroids()
    assert torch.equal(held.centroids[0], kept)


def test_a_small_cluster_takes_half_of_the_largest() -> None:
    held = memory()
    held.labels[torch.arange(0, 32, 4)] = 1  # two rows are left in cluster 0; cluster 1 holds two groups
    held.update_centroids()
    held.dissolve_small()
    counts = torch.bincount(held.labels, minlength=4)
    assert (counts >= 3).all()
    assert counts.sum() == 40
    rejoined = [held.labels[torch.arange(group, 32, 4)].unique().numel() for group in range(4)]
    assert rejoined == [1, 1, 1, 1]
    means = torch.stack([held.rows[held.labels == c].mean(0) for c in (0, 1)])
    assert torch.allclose(held.centroids[:2], means, atol=1e-6)
    state = held.labels.clone()
    held.dissolve_small()
    assert torch.equal(held.labels, state)


def test_a_positive_is_anybody_of_the_cluster() -> None:
    held, ids = memory(), torch.full((400,), 6)
    found = held.positives(ids, Draws(0, 0, torch.arange(400)))
    assert set(found.tolist()) == set(range(2, 40, 4))  # itself too


@pytest.mark.parametrize("sampling", ["semihard", "hard", "semieasy", "random"])
def test_negatives_are_of_other_clusters(sampling) -> None:
    held, ids = memory(), torch.arange(12)
    query = held.rows[ids]
    found, there = held.negatives(query, ids, 8, Draws(0, 0, ids), sampling=sampling, pool=25)
    assert found.shape == there.shape == (12, 8)
    assert there.all()
    assert (held.labels[found] != held.labels[ids][:, None]).all()
    likeness, everyone = (query[:, None] * held.rows[found]).sum(2), query @ held.rows.T
    others = everyone.masked_fill(held.labels[ids][:, None] == held.labels, torch.nan)
    middle = others.nanmedian(1, keepdim=True).values
    if sampling == "hard":
        assert (likeness.diff(dim=1) <= 1e-6).all()
        assert (likeness >= middle).all()
    if sampling.startswith("semi"):
        assert all(len(set(row)) == 8 for row in found.tolist())
        edge = everyone.sort(1, descending=sampling == "semihard").values[:, 24:25]
        assert (likeness >= edge - 1e-6 if sampling == "semihard" else likeness <= edge + 1e-6).all()


def test_a_pool_of_the_own_cluster_alone_gives_no_negatives() -> None:
    held, ids = memory(), torch.arange(4)
    query = held.rows[ids].clone().requires_grad_()
    found, there = held.negatives(query.detach(), ids, 8, Draws(0, 0, ids), sampling="semihard", pool=10)
    assert not there.any()
    loss = margin_nce(query, held.rows[ids], held.rows[found], there, temperature=0.2).sum()
    loss.backward()
    assert loss == 0
    assert torch.equal(query.grad, torch.zeros(4, 8))


def test_a_margin_below_zero_is_lenient_and_none_is_info_nce() -> None:
    query, positive, bank = unit(5, 8), unit(5, 8, seed=1), unit(12, 8, seed=2)
    own, there = bank.expand(5, 12, 8), torch.ones(5, 12, dtype=torch.bool)
    plain = margin_nce(query, positive, own, there, temperature=0.2)
    assert torch.allclose(plain, info_nce(query, positive, bank, temperature=0.2))
    assert (margin_nce(query, positive, own, there, temperature=0.2, margin=-0.5) < plain).all()


def test_the_two_losses_are_weighted_and_the_first_is_mocos(build) -> None:
    z, ids = {"query": unit(8, 16), "key": unit(8, 16, seed=1)}, torch.arange(8)
    learner, moco = build("interclr", **SETTINGS), build("moco-v2", queue_size=30)
    moco.queue.load_state_dict(learner.queue.state_dict())
    out = learner.objective(z, Batch({}, ids), Collective())
    expected = moco.objective(z, Batch({}, ids), Collective()).loss
    assert torch.allclose(out.logs["intra_loss"], expected)
    assert torch.allclose(out.loss, 0.75 * out.logs["intra_loss"] + 0.25 * out.logs["inter_loss"])


def test_the_memory_is_filled_once_and_follows_the_keys(build, batch, train) -> None:
    learner = build("interclr", **SETTINGS)
    learner.on_epoch(Context(0, 10, 0, 2, Collective(), {}, lambda function: groups(dim=16)))
    assert torch.allclose(learner.memory.rows, groups(dim=16), atol=1e-6)
    assert torch.bincount(learner.memory.labels, minlength=4).min() > 0
    out = train(learner, batch(n=8, first=20))
    assert torch.allclose(learner.memory.rows[20:28], out.carry["key"], atol=1e-6)
    assert torch.allclose(learner.memory.rows[:20], groups(dim=16)[:20], atol=1e-6)
    assert torch.equal(learner.queue.read()[:8], out.carry["key"])
    held = learner.memory.rows.clone()
    learner.on_epoch(Context(5, 10, 1, 2, Collective(), {}, lambda function: groups(dim=16, seed=3)))
    assert torch.equal(learner.memory.rows, held)


@pytest.mark.parametrize(
    "settings", [{"clusters": 1}, {"clusters": 20}, {"inter_weight": 1.5}, {"pool_share": -0.1}, {"negatives": 0}]
)
def test_settings_without_a_meaning_are_refused(build, settings) -> None:
    with pytest.raises(InputError, match=next(iter(settings))):
        build("interclr", **settings)
