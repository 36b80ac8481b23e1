"""MuCo and its baseline: what a turn sees, whom it is compared with, and sequences as they are built."""

import math

import pytest
import torch

from likewise.core.batch import Batch, Prompt, Tokens
from likewise.core.comm import Collective
from likewise.core.draws import Draws
from likewise.core.errors import InputError
from likewise.core.registry import load
from likewise.core.tokens import ASSISTANT, EMBED, MASK, USER, words_of
from likewise.data.scenes import drawn_scenes
from likewise.functional import at_markers, reconstruction_nce
from likewise.similarity import unit_rows
from likewise.views.dialogues import Reconstruction, Turns, dialogue, masked

ALONE = Collective()


@pytest.fixture(scope="module")
def data():
    return drawn_scenes(num=24, num_test=6, image_size=8)


@pytest.fixture
def build(data):
    def make(slug, **settings):
        torch.manual_seed(0)
        recipe = load(slug).recipe("tiny").copy()
        for name, value in settings.items():
            recipe.set(f"learner.{name}", value)
        return recipe.learner.build(**data.facts()).double()

    return make


def batch_of(data, views, num=6, seed=0):
    ids = torch.arange(num)
    made = views(data.take(data.train_rows[ids]), Draws(seed, 0, ids))
    return Batch({role: in_double(view) for role, view in made.items()}, ids)


def in_double(view):
    return Prompt(view.image.double(), view.ids, view.mask) if isinstance(view, Prompt) else view


def text(*words):
    ids = torch.tensor([[*words]])
    return Tokens(ids, ids > 0)


def test_a_dialogue_is_turns_without_gaps():
    ids = torch.tensor([[[11, 12, 0], [13, 0, 0]], [[21, 0, 0], [22, 23, 24]]])
    found = dialogue(Tokens(ids, ids > 0))
    one = [USER, 11, 12, ASSISTANT, EMBED, USER, 13, ASSISTANT, EMBED]
    two = [USER, 21, ASSISTANT, EMBED, USER, 22, 23, 24, ASSISTANT, EMBED]
    assert found.ids[0][found.mask[0]].tolist() == one
    assert found.ids[1][found.mask[1]].tolist() == two
    assert found.ids.shape == (2, 10)


def test_masks_next_to_each_other_are_one():
    line = text(11, 12, 13, 14, 15, 0)
    each = torch.tensor([[True, True, False, True, False, True]])
    found = masked(line, torch.tensor([False]), each)
    assert found.ids[found.mask].tolist() == [MASK, 13, MASK, 15]
    found = masked(line, torch.tensor([True]), each)
    assert found.ids[found.mask].tolist() == [MASK]
    found = masked(line, torch.tensor([False]), ~line.mask)
    assert found.ids[found.mask].tolist() == [11, 12, 13, 14, 15]


def test_both_sides_have_the_turns_in_one_order(data):
    columns, ids = data.take(torch.arange(10)), torch.arange(10)
    made = Turns()(columns, Draws(0, 0, ids))
    orders = set()
    for i in range(10):
        said = [columns[name] for name in ("question", "answer")]
        turns = [[t.ids[i, k][t.mask[i, k]].tolist() for k in range(4)] for t in said]
        query, target = (made[r].ids[i][made[r].mask[i]].tolist() for r in ("query", "target"))
        order = split_of(query, turns[0])
        assert split_of(target, turns[1]) == order
        assert sorted(order) == [0, 1, 2, 3]
        orders.add(tuple(order))
    assert len(orders) > 3
    one = Turns(turns=1)(columns, Draws(0, 0, ids))
    assert ((one["query"].ids == EMBED).sum(1) == 1).all()
    again = Turns()(data.take(torch.arange(5, 10)), Draws(0, 0, ids[5:]))
    width = again["target"].ids.shape[1]
    assert torch.equal(again["target"].ids, made["target"].ids[5:, :width])


def split_of(sequence, texts):
    """Which texts a sequence is made of."""
    out, line = [], []
    for token in sequence:
        line = [] if token == USER else [*line, token]
        if token == EMBED:
            out.append(texts.index(line[:-2]))
    return out


def test_turns_see_those_before_them_alone(build, data):
    learner = build("muco")
    batch = batch_of(data, Turns())
    query = batch.views["query"]
    whole = learner.encoder.markers(query)
    last = (query.ids == EMBED).int().cumsum(1) == 3  # after the third marker: the fourth turn
    changed = Prompt(query.image, torch.where(last & (query.ids > MASK), 99, query.ids), query.mask)
    found = learner.encoder.markers(changed)
    assert torch.equal(found[:, :3], whole[:, :3])
    assert not torch.allclose(found[:, 3], whole[:, 3])
    other = Prompt(query.image.flip(0), query.ids, query.mask)
    assert not torch.allclose(learner.encoder.markers(other)[:, 0], whole[:, 0])


def test_padding_does_not_matter(build, data):
    learner = build("muco")
    query = batch_of(data, Turns()).views["query"]
    wide = [torch.nn.functional.pad(t, (0, 5)) for t in (query.ids, query.mask)]
    assert torch.allclose(learner.encoder.markers(Prompt(query.image, *wide)), learner.encoder.markers(query))


@pytest.mark.parametrize("mask", [True, False])
def test_muco_by_loops(build, data, mask):
    learner, batch = build("muco", group_mask=mask, temperature=0.3), batch_of(data, Turns())
    z = {name: value.detach().requires_grad_() for name, value in learner.encode(batch).items()}
    assert z["query"].shape == (6, 4, 16)
    loss = learner.objective(z, batch, ALONE).loss
    q, t = (unit_rows(z[r].detach().flatten(0, 1)).view(6, 4, -1) for r in ("query", "target"))
    total = 0.0
    for i, k in [(i, k) for i in range(6) for k in range(4)]:
        seen = [(j, m) for j in range(6) for m in range(4) if j != i or m == k or not mask]
        each = [math.exp(float(q[i, k] @ t[j, m]) / 0.3) for j, m in seen]
        total += (math.log(sum(each)) - float(q[i, k] @ t[i, k]) / 0.3) / 24
    assert float(loss.detach()) == pytest.approx(total)


def test_other_turns_of_a_picture_get_no_gradient(build, data):
    learner, batch = build("muco"), batch_of(data, Turns(), num=1)
    z = {name: value.detach().requires_grad_() for name, value in learner.encode(batch).items()}
    loss = learner.objective(z, batch, ALONE).loss
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0, abs=1e-12)
    assert all(value.grad.abs().max() < 1e-12 for value in z.values())


def test_a_cut_sequence_is_refused():
    hidden, ids = torch.randn(2, 4, 3), torch.tensor([[EMBED, 5, EMBED, 5], [EMBED, 5, 5, 5]])
    with pytest.raises(InputError, match="1 to 2 embedding tokens"):
        at_markers(hidden, ids, EMBED)
    with pytest.raises(InputError, match="0 to 0"):
        at_markers(hidden, ids, 77)
    found = at_markers(hidden, torch.tensor([[EMBED, 5, EMBED, 5], [5, EMBED, 5, EMBED]]), EMBED)
    assert torch.equal(found[1], hidden[1, [1, 3]])


def test_the_second_stage(build, data):
    learner, batch = build("muco"), batch_of(data, Reconstruction())
    assert {r: int((v.ids[0] == EMBED).sum()) for r, v in batch.views.items()} == {
        "query": 2,
        "target": 2,
        "negative": 1,
    }
    z = learner.encode(batch)
    loss = learner.objective(z, batch, ALONE).loss
    (q1, q2), (p1, p2) = ([unit_rows(x) for x in z[r].unbind(1)] for r in ("query", "target"))
    n = unit_rows(z["negative"][:, 0])
    total = torch.zeros((), dtype=torch.float64)
    for q in (q1, q2):
        for p in (p1, p2):
            logits = torch.cat([q @ p.T, q @ n.T], 1) / 0.02
            total = total + torch.nn.functional.cross_entropy(logits, torch.arange(6))
    assert float(loss.detach()) == pytest.approx(float(total.detach()))
    terms = reconstruction_nce((q1, q2), (p1, p2), n, temperature=0.02)
    assert terms.shape == (4, 6)


def test_the_hard_negative_is_another_answer_about_the_picture(data):
    columns, ids = data.take(torch.arange(8)), torch.arange(8)
    made = Reconstruction(whole=1.0)(columns, Draws(0, 0, ids))
    for i in range(8):
        answers = [columns["answer"].ids[i, k][columns["answer"].mask[i, k]].tolist() for k in range(4)]
        [negative] = split_of(made["negative"].ids[i][made["negative"].mask[i]].tolist(), answers)
        target = made["target"].ids[i][made["target"].mask[i]].tolist()
        first = target[1 : target.index(ASSISTANT)]
        assert answers.index(first) != negative
        assert target.count(MASK) == 1  # the question, wholly hidden


def test_words_are_hashed_alike():
    one = words_of([["What colour?", "a"]])
    two = words_of([["what colour ? and more", "b"]])
    assert one.ids[0, 0, :3].tolist() == two.ids[0, 0, :3].tolist()
    assert int(one.mask[0, 1].sum()) == 1


def test_wrong_settings(build, data):
    for settings in ({"encoder.dim": 10}, {"encoder.patch": 3}, {"encoder.depth": 0}, {"temperature": 0.0}):
        with pytest.raises(InputError):
            build("muco", **settings)
    columns = data.take(torch.arange(2))
    for name in ("question", "answer"):
        columns[name] = Tokens(columns[name].ids[:, :1], columns[name].mask[:, :1])
    with pytest.raises(InputError, match="give it two turns"):
        Reconstruction()(columns, Draws(0, 0, torch.arange(2)))
    with pytest.raises(InputError, match="pictures with questions"):
        Turns().plain({"image": torch.zeros(2, 3, 8, 8)})
