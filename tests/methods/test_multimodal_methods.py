"""Symile and pairwise CLIP: every cost by loops, who is drawn against whom, and using a run."""

import itertools
import math

import pytest
import torch

from likewise.api import fit
from likewise.core.comm import Collective
from likewise.core.errors import InputError
from likewise.core.registry import load
from likewise.functional import multilinear_nce, multilinear_product, pairwise_clip
from likewise.similarity import unit_rows


def rows_of(num=5, modalities=3, dim=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return list(unit_rows(torch.randn(modalities * num, dim, generator=generator).double()).split(num))


@pytest.mark.parametrize("modalities", [2, 3, 4])
def test_all_combinations_by_loops(modalities):
    rows, s = rows_of(4, modalities), 1.7
    found = multilinear_nce(rows, s)
    for m, i in itertools.product(range(modalities), range(4)):
        others = [r for o, r in enumerate(rows) if o != m]
        total = 0.0
        for picked in itertools.product(range(4), repeat=modalities - 1):
            tuple_ = [rows[m][i], *(r[j] for r, j in zip(others, picked))]
            total += math.exp(s * float(math.prod(tuple_[1:], start=tuple_[0]).sum()))
        own = float(multilinear_product([r[i : i + 1] for r in rows]))
        assert float(found[m, i]) == pytest.approx(math.log(total) - s * own)


def test_two_modalities_in_all_combinations_are_clip():
    rows = rows_of(6, 2)
    assert torch.allclose(multilinear_nce(rows, 3.0).mean(0), pairwise_clip(rows, 3.0))


def test_the_blocks_do_not_matter(monkeypatch):
    scale = torch.tensor([2.0], dtype=torch.float64)
    found = []
    for most in (1, 7, 10_000):
        monkeypatch.setattr("likewise.functional.multilinear.ANCHORS", most)
        leaves = [r.clone().requires_grad_() for r in [*rows_of(4, 4), scale]]
        loss = multilinear_nce(leaves[:4], leaves[4]).mean()
        found.append([loss, *torch.autograd.grad(loss, leaves)])
    for other in found[1:]:
        assert all(torch.allclose(a, b, rtol=1e-12) for a, b in zip(found[0], other))


def test_one_sample_costs_nothing():
    rows = [r.requires_grad_() for r in rows_of(1)]
    for orders in (None, torch.zeros(3, 2, 1, dtype=torch.int64)):
        loss = multilinear_nce(rows, 2.0, permutations=orders).mean()
        loss.backward()
        assert float(loss.detach()) == pytest.approx(0, abs=1e-12)
        assert all(r.grad.abs().max() < 1e-12 for r in rows)


def test_two_modalities_at_least():
    with pytest.raises(InputError, match="two at least"):
        multilinear_nce(rows_of(3, 1), 1.0)


@pytest.fixture
def symile():
    torch.manual_seed(0)
    learner = load("symile").recipe("tiny").learner
    modalities = ("a=vector:3", "b=vector:3", "c=vector:3")
    return learner.build(modalities=modalities)


def test_draws_are_permutations_that_belong_to_ids(symile):
    ids = torch.tensor([7, 3, 11, 5, 2])
    orders = symile._orders(ids)
    assert orders.shape == (3, 2, 5)
    assert torch.equal(orders.sort(-1).values, torch.arange(5).expand(3, 2, 5))
    again = torch.tensor([3, 0, 4, 1, 2])
    moved = symile._orders(ids[again])
    # whom each id is drawn with, whatever the order of the batch
    assert torch.equal(ids[again][moved], ids[orders][..., again])
    symile.after_update(None)
    assert not torch.equal(symile._orders(ids), orders)


def test_the_draws_of_modalities_differ(symile):
    orders = symile._orders(torch.arange(50))
    assert len({tuple(o.tolist()) for o in orders.flatten(0, 1)}) == 6


def test_a_query_is_a_product_or_a_sum(symile):
    rows = rows_of()
    assert torch.equal(symile.query(rows[1:]), rows[1] * rows[2])
    clip = load("pairwise-clip").recipe("tiny").learner.build(modalities=("a=vector:3", "b=vector:3"))
    assert torch.equal(clip.query(rows[1:]), rows[1] + rows[2])


def test_the_scale_is_held_by_clip_alone(symile):
    clip = load("pairwise-clip").recipe("tiny").learner.build(modalities=("a=vector:3", "b=vector:3"))
    for learner in (symile, clip):
        learner.scale.log_scale.data.fill_(9.0)
        learner.after_update(None)
    assert float(symile.scale.log_scale.detach()) == 9.0
    assert float(clip.scale().detach()) == pytest.approx(100.0)


@pytest.mark.parametrize("kind", ["n", "n_squared"])
def test_symile_learns_what_no_pair_tells(kind, tmp_path):
    settings = [("learner.encoder.depth", 0), ("learner.encoder.dim", 16), ("learner.temperature", 1.35)]
    settings += [("optimizer.lr", 0.05), ("data.bits", 1), ("steps", 90), ("batch", 32), ("probe_every", 0.0)]
    settings += [("data.num", 64), ("negatives", kind)]
    run = fit(None, "symile", size="tiny", out=tmp_path / "run", quiet=True, settings=settings)
    assert run.metrics["retrieval"] == 1.0
    assert run.metrics["pair_recall_1"] < 0.8


def test_wrong_settings():
    recipe = load("symile").recipe("tiny")
    with pytest.raises(InputError, match="modalities needs two"):
        recipe.learner.build(modalities=("a=vector:3",))
    with pytest.raises(InputError, match="NAME=KIND:SHAPE"):
        recipe.learner.build(modalities=("a", "b"))
    tower = recipe.learner.build(modalities=("a=vector:3", "b=image:1x8x8")).encoder
    with pytest.raises(InputError, match="'a' was trained on vectors of 3, and this is of 4"):
        tower(torch.zeros(2, 4), "a")
    with pytest.raises(InputError, match="no modality 'x'"):
        tower(torch.zeros(2, 4), "x")


@pytest.mark.parametrize("kind", ["n", "n_squared"])
def test_two_processes_agree_with_one(symile, kind):
    """Both halves of a batch, each seeing everybody's rows, cost what the whole does."""

    class Half(Collective):
        world = 2

        def __init__(self, rank, whole):
            self.rank, self.whole = rank, list(whole)

        def gather(self, rows):
            return torch.tensor([3, 3]) if rows.shape == (1,) else self.whole.pop(0)

    rows, ids = rows_of(6, 3), torch.arange(6)
    orders = symile._orders(ids) if kind == "n" else None
    whole = multilinear_nce(rows, 2.0, permutations=orders)
    for rank, mine in enumerate((slice(0, 3), slice(3, 6))):
        found = multilinear_nce([r[mine] for r in rows], 2.0, permutations=orders, comm=Half(rank, rows))
        assert torch.allclose(found, whole[:, mine])
