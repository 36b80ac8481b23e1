import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from likewise.core.draws import Draws

WORD = (1 << 64) - 1


def splitmix(x):
    """SplitMix64's finaliser in plain integers."""
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & WORD
    return x ^ (x >> 31)


def slow_uniform(seed, epoch, sample, call, column):
    golden = 0x9E3779B97F4A7C15
    key = splitmix((splitmix((seed + golden) & WORD) + epoch) & WORD)
    own = splitmix(splitmix((sample + golden) & WORD) ^ key)
    bits = splitmix((own + splitmix((column + (call << 32)) & WORD)) & WORD)
    return (bits >> 40) / 2**24


@given(st.integers(0, 2**40), st.integers(0, 10_000), st.lists(st.integers(0, 2**62), min_size=1, max_size=4))
def test_equals_the_generator_written_out(seed, epoch, ids):
    draws = Draws(seed, epoch, torch.tensor(ids))
    for call in (1, 2):
        values = draws.uniform(2)
        expected = [[slow_uniform(seed, epoch, i, call, c) for c in range(2)] for i in ids]
        assert values.tolist() == expected


def test_a_sample_keeps_its_draws_in_any_batch():
    ids = torch.tensor([7, 3, 11, 5])
    whole, part = Draws(1, 2, ids), Draws(1, 2, ids[[2, 0]])
    for draw in ("uniform", "normal"):
        assert torch.equal(getattr(whole, draw)(3)[[2, 0]], getattr(part, draw)(3))
    assert torch.equal(whole.integers(100)[[2, 0]], part.integers(100))


@pytest.mark.parametrize("other", [Draws(1, 0, torch.arange(500)), Draws(0, 1, torch.arange(500))])
def test_seeds_and_epochs_differ(other):
    assert (Draws(0, 0, torch.arange(500)).uniform() == other.uniform()).float().mean() < 0.02


def test_seed_and_epoch_are_not_exchangeable():
    assert not torch.equal(Draws(0, 1, torch.arange(9)).uniform(), Draws(1, 0, torch.arange(9)).uniform())


def test_forks_are_independent_and_do_not_move_the_parent():
    draws, plain = Draws(0, 0, torch.arange(2000)), Draws(0, 0, torch.arange(2000))
    a, b = draws.fork("a").uniform(), draws.fork("b").uniform()
    assert torch.equal(draws.uniform(), plain.uniform())
    assert torch.equal(a, Draws(0, 0, torch.arange(2000)).fork("a").uniform())
    correlation = torch.corrcoef(torch.stack([a, b, Draws(0, 0, torch.arange(2000)).uniform()]))
    assert (correlation - torch.eye(3)).abs().max() < 4 / math.sqrt(2000)


def test_uniform_is_uniform():
    values = Draws(3, 1, torch.arange(20_000)).uniform(2, low=-1.0, high=3.0)
    assert values.shape == (20_000, 2)
    assert values.min() >= -1
    assert values.max() < 3
    counts = torch.histc(values, 20, -1, 3)
    expected = values.numel() / 20
    assert ((counts - expected) ** 2 / expected).sum() < 43.8  # chi-squared with 19 degrees, 0.1 %
    assert torch.corrcoef(values.T)[0, 1].abs() < 4 / math.sqrt(20_000)


def test_normal_is_normal():
    values = Draws(3, 1, torch.arange(50_000)).normal()
    assert abs(float(values.mean())) < 4 / math.sqrt(50_000)
    assert abs(float(values.var()) - 1) < 4 * math.sqrt(2 / 50_000)
    assert abs(float((values**4).mean()) - 3) < 4 * math.sqrt(96 / 50_000)
    assert values.isfinite().all()


def test_integers_cover_their_range_evenly():
    values = Draws(0, 0, torch.arange(10_000)).integers(7, 2)
    counts = values.flatten().bincount(minlength=7)
    assert values.min() == 0
    assert values.max() == 6
    assert ((counts - 20_000 / 7) ** 2 / (20_000 / 7)).sum() < 22.5  # 6 degrees, 0.1 %


def test_bernoulli_has_its_probability():
    draws = Draws(0, 0, torch.arange(20_000))
    assert draws.bernoulli(0.0).sum() == 0
    assert draws.bernoulli(1.0).all()
    assert abs(float(draws.bernoulli(0.3).float().mean()) - 0.3) < 4 * math.sqrt(0.21 / 20_000)


def test_an_empty_batch_draws_nothing():
    draws = Draws(0, 0, torch.zeros(0, dtype=torch.int64))
    assert draws.normal(4).shape == (0, 4)
    assert len(draws) == 0


def test_pairs_have_draws_of_their_own_wherever_they_stand():
    rows, cols = torch.tensor([0, 1, 2, 0]), torch.tensor([1, 0, 2, 3])
    ids = torch.tensor([7, 3, 11, 5])
    plain = Draws(1, 2, ids).pairs(rows, cols).uniform(2)
    order = torch.tensor([2, 0, 3, 1])
    place = order.argsort()
    moved = Draws(1, 2, ids[order]).pairs(place[rows].flip(0), place[cols].flip(0)).uniform(2)
    assert torch.equal(moved.flip(0), plain)
    assert len(plain.unique()) == 8  # both directions of a pair, too


def test_other_things_have_draws_that_samples_do_not_move():
    def columns(ids, epoch=0, name="view"):
        return Draws(1, epoch, torch.tensor(ids)).fork(name).others(torch.arange(50)).uniform()

    assert torch.equal(columns([1, 2, 3]), columns([9]))
    assert not torch.equal(columns([1]), columns([1], epoch=1))
    assert not torch.equal(columns([1]), columns([1], name="another"))
    assert len(columns([1]).unique()) == 50
