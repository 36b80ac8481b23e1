"""GRACE and CSGCL: what each adds to the equations, on the karate club."""

import pytest
import torch

from likewise.api import fit
from likewise.core.batch import Batch
from likewise.core.comm import Collective
from likewise.core.draws import Draws
from likewise.core.errors import InputError
from likewise.core.learner import Context
from likewise.core.registry import load
from likewise.data.sources import karate
from likewise.functional import node_nt_xent
from likewise.methods.graph.csgcl import ramp
from likewise.similarity import unit_rows
from likewise.train.plan import prepare
from likewise.views.graph import GraphViews

ALONE = Collective()


def plan(slug, *settings):
    return prepare(load(slug), size="tiny", settings=settings)


def a_batch(views, epoch=0):
    ids = torch.arange(34)
    return Batch(views(karate().columns, Draws(0, epoch, ids)), ids)


def at(learner, epoch):
    learner.on_epoch(Context(epoch, 10, epoch, 10.0, ALONE))
    return learner


def test_gamma_is_a_ramp():
    assert [ramp(e, start=100, most=1.0) for e in (1, 100, 101, 150, 200, 999)] == [0, 0, 0.01, 0.5, 1, 1]
    assert ramp(1000, start=0, most=4.0) == 4.0
    assert ramp(7, start=2, most=10.0, length=5) == 1.0


def test_epochs_are_counted_from_one():
    learner = plan("csgcl").learner()  # from epoch 2, growing by 1 in 5 epochs
    found = [float(at(learner, epoch).gamma) for epoch in range(8)]
    assert found == pytest.approx([0, 0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.0])


def test_csgcl_before_its_start_is_grace():
    ours, theirs = plan("csgcl").learner(), plan("grace").learner()
    theirs.load_state_dict({k: v for k, v in ours.state_dict().items() if k != "gamma"})
    batch = a_batch(plan("csgcl").views())
    for learner in (ours, theirs):
        learner.train()
    z, other = at(ours, 0).encode(batch), theirs.encode(batch)
    assert torch.equal(z["a"], other["a"])
    assert torch.equal(ours.objective(z, batch, ALONE).loss, theirs.objective(other, batch, ALONE).loss)


def test_csgcl_adds_gamma_times_the_strength():
    learner, batch = at(plan("csgcl").learner(), 5), a_batch(plan("csgcl").views())
    z = learner.encode(batch)
    step = learner.objective(z, batch, ALONE)
    bias = 0.8 * batch.views["strength"]
    expected = node_nt_xent(unit_rows(z["a"]), unit_rows(z["b"]), temperature=0.4, bias=bias).mean()
    assert float(step.loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-6)
    assert float(step.logs["gamma"]) == pytest.approx(0.8)
    without = learner.objective(z, Batch({**batch.views, "strength": 0 * bias}, batch.ids), ALONE)
    assert abs(float(without.loss.detach() - step.loss.detach())) > 1e-5


def test_csgcl_says_what_it_misses():
    learner, batch = plan("csgcl").learner(), a_batch(GraphViews())
    with pytest.raises(InputError, match="the views community-graph give"):
        learner.objective(learner.encode(batch), batch, ALONE)
    with pytest.raises(InputError, match="ramp_epochs=0"):
        plan("csgcl", ("ramp_epochs", 0)).learner()


def test_projections_are_of_both_views_and_the_head_is_elu():
    learner = plan("grace").learner()
    z = learner.encode(a_batch(GraphViews()))
    assert {role: tuple(v.shape) for role, v in z.items()} == {"a": (34, 16), "b": (34, 16)}
    assert [type(m).__name__ for m in learner.head] == ["Linear", "ELU", "Linear"]
    assert learner.embed(karate().columns["graph"]).shape == (34, 16)


@pytest.mark.parametrize("slug", ["grace", "csgcl"])
def test_training_tells_the_sides_of_the_club(slug, tmp_path):
    run = fit(None, slug, size="tiny", out=tmp_path / "run", quiet=True, steps=40, probe_every=0.0, evaluate=False)
    losses = [e["loss"] for e in run.events() if e["event"] == "step"]
    assert losses[-1] < losses[0] - 0.1
    z = torch.from_numpy(run.embed())
    same = run.plan.dataset.labels[:, None] == run.plan.dataset.labels
    cosine = (z @ z.T).fill_diagonal_(torch.nan)
    assert cosine[same].nanmean() > cosine[~same].nanmean() + 0.1
    hits = run.search("member 0", k=5)
    assert sum(hit.label == "Mr. Hi" for hit in hits) >= 4


@pytest.mark.parametrize("slug", ["grace", "csgcl"])
def test_the_same_command_gives_the_same_run(slug, tmp_path):
    runs = [
        fit(None, slug, size="tiny", out=tmp_path / str(i), quiet=True, steps=4, probe_every=0.0, evaluate=False)
        for i in range(2)
    ]
    assert (runs[0].embed() == runs[1].embed()).all()


def test_tiles_give_what_the_whole_matrix_gives(tmp_path):
    found = [
        fit(
            None, "csgcl", size="tiny", out=tmp_path / path, quiet=True, steps=6, similarity=path, probe_every=0.0,
            evaluate=False,
        ).embed()
        for path in ("dense", "tiled")
    ]  # fmt: skip
    assert abs(found[0] - found[1]).max() < 1e-4


def test_one_graph_is_not_shared_by_processes(tmp_path):
    with pytest.raises(InputError, match="devices=2: grace trains on one device"):
        fit(None, "grace", size="tiny", out=tmp_path / "run", quiet=True, devices=2)
