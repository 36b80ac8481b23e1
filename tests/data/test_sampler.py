import itertools
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from likewise.core.errors import InputError
from likewise.core.recipe import find_part
from likewise.data.dataset import Dataset
from likewise.data.sampler import Balanced, Shuffled, batches, epoch_order, steps_per_epoch


def dataset(num: int, test: int = 0, labels: Tensor | None = None) -> Dataset:
    keys = [str(i) for i in range(num)]
    held = torch.arange(num) % (num // test) == 0 if test else torch.zeros(num, dtype=torch.bool)
    return Dataset("made", {"image": torch.zeros(num, 1, 1, 1, dtype=torch.uint8)}, keys, held, labels)


@given(st.integers(0, 300), st.integers(0, 2**40), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_an_order_is_a_permutation_and_a_pure_function(num: int, seed: int, epoch: int) -> None:
    order = epoch_order(num, seed, epoch)
    assert sorted(order.tolist()) == list(range(num))
    torch.manual_seed(1)
    assert torch.equal(order, epoch_order(num, seed, epoch))


def test_orders_differ_by_seed_epoch_and_stream() -> None:
    orders = [epoch_order(50, s, e, w) for s in (0, 1) for e in (0, 1) for w in ("order", "other")]
    assert len({tuple(o.tolist()) for o in orders}) == 8


def test_orders_never_change() -> None:
    # a resumed run of another version or machine must go on with the same rows
    assert epoch_order(10, 0, 0).tolist() == [5, 4, 3, 6, 8, 1, 7, 2, 0, 9]
    assert epoch_order(10, 7, 3).tolist() == [6, 2, 8, 9, 1, 3, 0, 5, 4, 7]


def test_every_place_gets_every_row() -> None:
    places = torch.stack([epoch_order(8, 0, epoch) for epoch in range(1600)])
    counts = torch.stack([(places == row).sum(0) for row in range(8)]).float()
    assert (((counts - 200) ** 2 / 200).sum()) < 110  # chi-squared with 49 degrees of freedom, p < 1e-6


@pytest.mark.parametrize("world", [1, 2, 4])
def test_the_shares_of_the_processes_join_to_the_batch(world: int) -> None:
    data = dataset(103, test=10)
    whole = list(batches(data, 12, seed=5, stop=20))
    shares = [list(batches(data, 12, seed=5, rank=r, world=world, stop=20)) for r in range(world)]
    for step, rows in enumerate(whole):
        assert torch.equal(torch.cat([shares[r][step] for r in range(world)]), rows)
        assert len(rows) == 12


def test_an_epoch_takes_no_row_twice_and_no_test_row() -> None:
    data = dataset(100, test=10)
    per_epoch = steps_per_epoch(data, 8)
    assert per_epoch == 90 // 8
    steps = list(batches(data, 8, seed=0, stop=3 * per_epoch))
    for epoch in range(3):
        rows = torch.cat(steps[epoch * per_epoch : (epoch + 1) * per_epoch])
        assert len(rows.unique()) == per_epoch * 8
        assert not data.test[rows].any()
    assert not torch.equal(steps[0], steps[per_epoch])


@pytest.mark.parametrize("sampler", [Shuffled(), Balanced(4)])
@pytest.mark.parametrize("start", [0, 1, 10, 11, 12, 25, 40])
def test_it_goes_on_from_any_step(sampler: object, start: int) -> None:
    data = dataset(100, test=10, labels=torch.arange(100) % 3)
    whole = list(batches(data, 8, seed=3, sampler=sampler, stop=50))
    rest = list(itertools.islice(batches(data, 8, seed=3, sampler=sampler, start=start), 50 - start))
    assert all(torch.equal(a, b) for a, b in zip(whole[start:], rest, strict=True))


@pytest.mark.parametrize(
    ("batch", "world", "message"),
    [
        (101, 1, "a batch of 101 is larger than the 90 training samples; try --set batch=90"),
        (9, 2, "can't be shared equally by 2 processes"),
        (0, 1, "batch=0"),
    ],
)
def test_batches_that_cannot_be(batch: int, world: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        batches(dataset(100, test=10), batch, seed=0, world=world)


def test_balanced_groups() -> None:
    labels = torch.tensor([0] * 70 + [1] * 20 + [2] * 10)
    data = dataset(100, test=10, labels=labels)
    rows = Balanced(3).rows(data, 12, seed=0, epoch=0)
    assert len(rows) == 90
    groups = labels[rows].view(-1, 3)
    assert (groups == groups[:, :1]).all()
    assert not data.test[rows].any()
    counts = Counter(groups[:, 0].tolist())
    assert max(counts.values()) - min(counts.values()) <= 1
    seen = Counter(rows.tolist())
    train = data.train_rows
    for label in (1, 2):  # small classes come round: every sample is as often there as the others, give or take one
        times = [seen[int(r)] for r in train[labels[train] == label]]
        assert max(times) - min(times) <= 1
        assert min(times) >= 1
    assert torch.equal(rows, Balanced(3).rows(data, 12, seed=0, epoch=0))
    assert not torch.equal(rows, Balanced(3).rows(data, 12, seed=0, epoch=1))


def test_a_class_smaller_than_the_group_repeats() -> None:
    labels = torch.tensor([0] * 9 + [1])
    rows = Balanced(4).rows(dataset(10, labels=labels), 8, seed=0, epoch=0)
    assert Counter(labels[rows].tolist()) == {0: 4, 1: 4}
    assert rows[labels[rows] == 1].tolist() == [9] * 4


def test_what_balanced_needs() -> None:
    labels = torch.arange(100) % 3
    with pytest.raises(InputError, match="needs classes, and 'made' has none"):
        Balanced(2).rows(dataset(100), 8, 0, 0)
    with pytest.raises(InputError, match="needs classes"):
        Balanced(2).rows(dataset(100, labels=labels.float()), 8, 0, 0)
    with pytest.raises(InputError, match="per_class=3 does not divide the batch of 8"):
        Balanced(3).rows(dataset(100, labels=labels), 8, 0, 0)
    with pytest.raises(InputError, match="per_class=0"):
        Balanced(0)


def test_they_are_parts() -> None:
    assert find_part("sampler", "shuffled") is Shuffled
    assert find_part("sampler", "balanced") is Balanced
