"""MCL's stages: what is clustered, who is whose negative, what trains, what is kept."""

import pytest
import torch

from likewise.api import Run
from likewise.core.comm import Collective
from likewise.core.errors import InputError
from likewise.core.learner import Context
from likewise.core.registry import load
from likewise.data.composed import coloured_digits
from likewise.data.sampler import Grouped, batches
from likewise.parts.encoders import ConvNet
from likewise.parts.ensemble import Ensemble, fresh
from likewise.train.plan import prepare
from likewise.train.run import train


def test_a_fresh_copy_starts_differently_in_the_same_way() -> None:
    torch.manual_seed(0)
    one = ConvNet(8, channels=1)
    two = fresh(one)
    for (name, a), b in zip(one.named_parameters(), two.parameters(), strict=True):
        assert torch.equal(a.flatten().sort().values, b.flatten().sort().values), name
    assert not torch.equal(one.blocks[0].weight, two.blocks[0].weight)


def test_features_stand_side_by_side() -> None:
    torch.manual_seed(0)
    both, x = Ensemble(ConvNet(8, channels=1), 2).eval(), torch.randn(3, 1, 16, 16)
    assert both(x).shape == (3, 8) == (3, both.dim)
    both.used.fill_(2)
    assert torch.equal(both(x), torch.cat([member(x) for member in both.members], 1))
    assert both.newest is both.members[1]


def staged(build, features, **settings):
    """A learner whose first stage has just ended, on samples with these features (in place of the network's)."""
    learner = build("mcl-multistage", **settings)
    ctx = Context(0, 10, 0, 2, Collective(), extract=lambda function: features)
    learner.begin_stage("stage-0", ctx)
    learner.begin_stage("stage-1", ctx)
    return learner, ctx


def test_groups_are_what_all_stages_agree_on(build) -> None:
    corners = torch.tensor([[1.0, 0], [0, 1.0]])
    first, second = torch.arange(40) % 2, torch.arange(40) // 20
    learner, ctx = staged(build, corners[first], clusters=2, num_stages=3)
    groups = learner.sample_groups()
    assert len(torch.unique(groups)) == 2
    assert all(len(torch.unique(groups[first == c])) == 1 for c in (0, 1))
    ctx.extract = lambda function: corners[second]
    learner.begin_stage("stage-2", ctx)
    pairs = {(int(a), int(b)): int(g) for a, b, g in zip(first, second, learner.sample_groups())}
    assert len(set(pairs.values())) == 4  # not the groups of the last stage alone


def test_only_the_stage_that_runs_is_trained(build, batch, train) -> None:
    learner, _ = staged(build, torch.randn(40, 8))
    before = [p.clone() for p in learner.encoder.members[0].parameters()]
    mine = {id(p) for p in learner.groups()["all"]}
    assert mine == {id(p) for m in (learner.encoder.members[1], learner.heads[1]) for p in m.parameters()}
    now = [p.clone() for p in learner.encoder.members[1].parameters()]
    train(learner, batch())
    assert all(torch.equal(a, b) for a, b in zip(before, learner.encoder.members[0].parameters()))
    assert not all(torch.equal(a, b) for a, b in zip(now, learner.encoder.members[1].parameters()))


def test_every_batch_is_of_one_group() -> None:
    class Knows:
        def sample_groups(self):
            return groups

    data = coloured_digits(limit=100)
    groups = (torch.arange(100) % 7).clamp(max=3) * 10  # 15, 15, 14 and 56 samples
    sampler = Grouped()
    sampler.attach(Knows())
    steps = list(batches(data, 8, 0, sampler=sampler, stop=24))
    place = torch.full((len(data),), -1)
    place[data.train_rows] = torch.arange(100)
    seen = [groups[place[rows]] for rows in steps]
    assert all(len(rows) == 8 == len(torch.unique(rows)) for rows in steps)
    assert all(len(torch.unique(g)) == 1 for g in seen)
    assert {int(g[0]) for g in seen} == {0, 10, 20, 30}
    assert [s.tolist() for s in batches(data, 8, 0, sampler=sampler, start=13, stop=24)] == [
        s.tolist() for s in steps[13:]
    ]
    with pytest.raises(InputError, match="the largest of 4 groups has 56 samples, fewer than a batch of 64"):
        next(iter(batches(data, 64, 0, sampler=sampler)))


def test_a_stage_too_many_is_an_error(build) -> None:
    learner, ctx = staged(build, torch.randn(40, 8))
    with pytest.raises(InputError, match="stage-2, but num_stages=2"):
        learner.begin_stage("stage-2", ctx)


def test_a_run_of_two_stages_keeps_both_encoders(tmp_path) -> None:
    settings = [("data.limit", 120), ("evaluate", False), ("probe_every", 0)]
    train(prepare(load("mcl-multistage"), size="tiny", settings=settings), tmp_path / "run", quiet=True)
    run = Run(tmp_path / "run")
    assert run.embed().shape == (len(run.plan.dataset), 64)
    assert len(torch.unique(run.learner.sample_groups())) == 2
    assert [e["stage"] for e in run.events() if e["event"] in ("start", "stage")] == ["stage-0", "stage-1"]


def test_colours_say_nothing_about_digits() -> None:
    digit, colour = coloured_digits(), coloured_digits(label="colour")
    assert torch.equal(digit.columns["image"], colour.columns["image"])
    table = torch.zeros(10, 4).index_put_((digit.labels, colour.labels), torch.ones(()), accumulate=True)
    expected = table.sum(1, keepdim=True) * table.sum(0) / table.sum()
    assert ((table - expected) ** 2 / expected).sum() < 55  # chi-squared with 27 degrees of freedom, p = 0.001
    with pytest.raises(InputError, match="contrast=0"):
        coloured_digits(contrast=0)
