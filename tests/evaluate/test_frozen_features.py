import os
import random
import tempfile

import numpy as np
import pytest
import torch
from torch import nn

from likewise.core.batch import Graph
from likewise.core.errors import InputError
from likewise.core.learner import Learner
from likewise.data.dataset import Dataset
from likewise.evaluate.features import augmented, extract


def state(learner):
    modes = [module.training for module in learner.modules()]
    tensors = {k: v.clone() for k, v in learner.state_dict().items()}
    grads = [None if p.grad is None else p.grad.clone() for p in learner.parameters()]
    numpy_state = np.random.get_state()[1].tolist()  # noqa: NPY002 - the state that must not move
    rng = (torch.get_rng_state(), numpy_state, random.getstate())
    return modes, tensors, grads, rng


def assert_same(before, after):
    assert before[0] == after[0]
    assert all(torch.equal(before[1][k], after[1][k]) for k in before[1])
    for a, b in zip(before[2], after[2]):
        assert (a is None and b is None) or torch.equal(a, b)
    assert torch.equal(before[3][0], after[3][0])
    assert before[3][1:] == after[3][1:]


def test_extract_is_the_encoder_in_eval_mode_in_the_order_asked(learner, views, digits):
    index = torch.tensor([5, 3, 899, 0])
    z = extract(learner, views, digits, index, batch=3)
    learner.eval()
    with torch.no_grad():
        expected = learner.embed(digits.columns["image"][index].float() / 16)
    torch.testing.assert_close(z, expected)
    assert z.dtype == torch.float32
    assert not z.requires_grad


def test_extract_leaves_no_trace(learner, views, digits):
    next(learner.parameters()).grad = torch.ones_like(next(learner.parameters()))
    before = state(learner)
    first = extract(learner, views, digits, torch.arange(100))
    torch.manual_seed(99)
    before = (*before[:3], state(learner)[3])
    second = extract(learner, views, digits, torch.arange(100), batch=7)
    assert_same(before, state(learner))
    torch.testing.assert_close(first, second)


def test_a_failing_encoder_still_leaves_no_trace(learner, views, digits):
    before = state(learner)
    learner.embed = lambda view, role=None: torch.rand(3, 0, 1)
    with pytest.raises(TypeError, match="expected"):
        extract(learner, views, digits, torch.arange(5))
    assert_same(before, state(learner))


def test_a_cache_made_on_the_way_can_be_trained_with(views, digits):
    class Caching(Learner):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(64))
            self.cache = None

        def embed(self, view, role=None):
            if self.cache is None:
                self.cache = torch.arange(64.0)
            return view.flatten(1) * self.cache * self.weight

    learner = Caching()
    extract(learner, views, digits, torch.arange(3))
    learner.embed(torch.ones(2, 1, 8, 8)).sum().backward()
    assert torch.equal(learner.weight.grad, 2 * torch.arange(64.0))


def test_stochastic_encoders_give_the_same_features_each_time(views, digits):
    class Stochastic(Learner):
        def embed(self, view, role=None):
            return view.flatten(1) + torch.randn(len(view), 64)

    a, b = (extract(Stochastic(), views, digits, torch.arange(20)) for _ in range(2))
    assert torch.equal(a, b)


def test_roles_choose_the_view_and_reach_the_learner(make):
    class Towers(Learner):
        def embed(self, view, role=None):
            return view if role == "text" else -view

    class Pairs(nn.Module):
        def plain(self, columns):
            x = columns["image"]
            return {"image": x, "text": 2 * x}

    data = make(torch.ones(4, 3))
    assert torch.equal(extract(Towers(), Pairs(), data, torch.arange(2)), -torch.ones(2, 3))
    assert torch.equal(extract(Towers(), Pairs(), data, torch.arange(2), role="text"), 2 * torch.ones(2, 3))
    with pytest.raises(InputError, match="did you mean 'text'"):
        extract(Towers(), Pairs(), data, torch.arange(2), role="txt")


def test_big_features_go_to_a_file_that_vanishes(learner, views, digits, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    index = torch.arange(50)
    in_file = extract(learner, views, digits, index, in_memory=0, batch=16)
    assert torch.equal(in_file, extract(learner, views, digits, index, batch=16))
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_one_clear_line(learner, views, digits, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(InputError, match=r"features need .* GiB in .*: No space left on device; make room"):
        extract(learner, views, digits, torch.arange(5), in_memory=0)


def test_features_that_are_not_finite_name_the_row(table):
    z = torch.ones(6, 2)
    z[4, 1] = torch.nan
    with pytest.raises(InputError, match="'row 4' are not finite"):
        extract(*table(z), torch.tensor([0, 4, 5]))


def test_no_rows_is_an_error(learner, views, digits):
    with pytest.raises(InputError, match="no rows"):
        extract(learner, views, digits, torch.zeros(0, dtype=torch.int64))


def test_augmented_views_belong_to_rows(learner, views, digits):
    before = state(learner)
    all_rows = augmented(learner, views, digits, torch.arange(30), seed=3, num_views=5, batch=8)
    assert_same(before, state(learner))
    assert all_rows.shape == (30, 5, 256)
    some = augmented(learner, views, digits, torch.tensor([7, 2]), seed=3, num_views=2)
    torch.testing.assert_close(some, all_rows[[7, 2], :2])
    other = augmented(learner, views, digits, torch.arange(30), seed=4, num_views=5)
    assert (other - all_rows).abs().amax(2).min() > 0  # no view of any row is repeated
    assert (all_rows[:, 0] - all_rows[:, 2]).abs().amax(1).min() > 0


def test_a_graph_goes_through_whole():
    class Degree(Learner):
        def embed(self, view, role=None):
            return torch.zeros(len(view)).index_add_(0, view.edges[1], torch.ones(view.edges.shape[1]))[:, None]

    class Nodes(nn.Module):
        def forward(self, columns, draws):
            assert len(draws) == 4
            return {"a": columns["graph"], "b": columns["graph"]}

        def plain(self, columns):
            return columns

    graph = Graph(torch.zeros(4, 1), torch.tensor([[0, 1, 2, 3], [1, 3, 3, 2]]))
    data = Dataset("graph", {"graph": graph}, "abcd", torch.tensor([False, False, True, True]))
    index = torch.tensor([3, 1])
    assert extract(Degree(), Nodes(), data, index, batch=1).tolist() == [[2.0], [1.0]]
    assert augmented(Degree(), Nodes(), data, index).squeeze(2).tolist() == [[2.0, 2.0], [1.0, 1.0]]
