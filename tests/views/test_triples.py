"""Negatives that nobody has taken, and users who take turns."""

import pytest
import torch

from likewise.core.draws import Draws
from likewise.core.errors import InputError
from likewise.data.interaction_sources import synthetic_blocks
from likewise.data.interactions import TRAIN
from likewise.data.user_sampler import DistinctUsers
from likewise.views.interactions import Triples


def attached(train, num_users, num_items):
    out = Triples()
    out.attach({"train": torch.tensor(train), "num_users": num_users, "num_items": num_items})
    return out


def test_every_free_item_comes_equally_often_and_no_other():
    # user 0 has 1 and 3 of five items, user 1 nothing, user 2 all, user 3 the last
    triples = attached([[0, 0, 2, 2, 2, 2, 2, 3], [1, 3, 0, 1, 2, 3, 4, 4]], 4, 5)
    chance = torch.arange(1200) / 1200
    for user, free in ((0, [0, 2, 4]), (1, [0, 1, 2, 3, 4]), (3, [0, 1, 2, 3])):
        who = torch.full((1200,), user)
        found = triples.negatives(who, torch.zeros_like(who), chance)
        assert found.unique().tolist() == free
        assert set(found.bincount()[free].tolist()) == {1200 // len(free)}
        assert found.tolist() == sorted(found.tolist())


def test_who_has_everything_gets_the_positive():
    triples = attached([[0, 0], [0, 1]], 1, 2)
    positive = torch.tensor([0, 1, 1])
    assert torch.equal(triples.negatives(torch.zeros(3).long(), positive, torch.rand(3)), positive)


def test_triples_of_a_batch():
    data = synthetic_blocks()
    triples = Triples()
    triples.attach(data.shared)
    rows = data.train_rows
    found = triples(data.take(rows), Draws(0, 0, torch.arange(len(rows))))
    assert list(found) == ["user", "positive", "negative"]
    train = set(map(tuple, data.shared["train"].T.tolist()))
    assert set(zip(found["user"].tolist(), found["positive"].tolist())) == train
    assert not set(zip(found["user"].tolist(), found["negative"].tolist())) & train
    other = triples(data.take(rows), Draws(0, 1, torch.arange(len(rows))))
    assert not torch.equal(found["negative"], other["negative"])  # anew each epoch
    some = torch.tensor([5, 3])
    part = triples(data.take(rows[some]), Draws(0, 0, some))
    assert torch.equal(part["negative"], found["negative"][some])  # whatever the batch
    assert list(triples.plain(data.take(rows))) == ["item", "user"]


def test_users_of_a_step_are_different_and_their_items_come_alike():
    data = synthetic_blocks()
    sampler, seen = DistinctUsers(), []
    for epoch in range(60):
        rows = sampler.rows(data, 30, seed=0, epoch=epoch)
        assert len(rows) == len(data.train_rows) // 30 * 30
        assert (data.columns["part"][rows] == TRAIN).all()
        for step in rows.split(30):
            assert len(data.columns["user"][step].unique()) == 30
        seen.append(rows)
    assert not torch.equal(seen[0], seen[1])
    assert torch.equal(seen[1], sampler.rows(data, 30, seed=0, epoch=1))
    every = torch.cat(seen)
    users = data.columns["user"][every].bincount()
    assert users.min() > 0.75 * users.float().mean()  # alike, though some have three times as many interactions
    counts = every.bincount(minlength=len(data))[data.train_rows]
    assert (counts > 0).all()
    assert users.max() < 1.25 * users.float().mean()


def test_more_rows_than_users_are_drawn_with_replacement():
    data = synthetic_blocks()
    rows = DistinctUsers().rows(data, 120, seed=0, epoch=0)
    assert len(rows) == 360
    assert len(data.columns["user"][rows[:120]].unique()) < 48
    assert len(data.columns["user"][rows].unique()) == 48


def test_blocks_need_items():
    with pytest.raises(InputError):
        synthetic_blocks(users=1)
