"""Retrieval across modalities: what counts as found, against loops, and what can't be measured."""

import pytest
import torch

from likewise.core.batch import Ragged, Tokens
from likewise.core.errors import InputError
from likewise.core.registry import load
from likewise.data.multimodal import from_columns
from likewise.data.scenes import drawn_scenes
from likewise.data.triples import digit_triples, xor_triples
from likewise.evaluate.retrieval import WRONG, Answers, Retrieval, found_among_few, found_within, same_content


def rows_of(num=40, dim=5, seed=0):
    return torch.randn(2, num, dim, generator=torch.Generator().manual_seed(seed)).unbind(0)


@pytest.mark.parametrize("queries", [1, 7, 1000])
def test_within_the_first_by_loops(queries):
    query, candidates = rows_of()
    same = torch.arange(40) // 3
    found = found_within(query, candidates, same, (1, 5, 10), queries)
    for k, value in zip((1, 5, 10), found):
        hits = 0
        for i in range(40):
            order = sorted(range(40), key=lambda j: -float(query[i] @ candidates[j]))
            hits += any(same[j] == same[i] for j in order[:k])
        assert value == pytest.approx(hits / 40)


def test_among_few_the_wrong_ones_are_wrong():
    same = torch.tensor([0, 1, 0, 2, 1, 0])
    # every candidate of the query's own number is a perfect answer, so that one of them would tie and lose
    rows = torch.eye(3)[same]
    assert found_among_few(rows, rows, same, 0) == 1.0
    assert found_among_few(rows, -rows, same, 0) == 0.0
    assert found_among_few(rows, rows, torch.zeros(6, dtype=torch.int64), 0) is None


def test_among_few_by_chance():
    query, candidates = rows_of(4000)
    found = found_among_few(query, candidates, torch.arange(4000), 0)
    assert found == pytest.approx(1 / (1 + WRONG), abs=0.02)


def test_equal_content_has_one_number():
    assert same_content(torch.tensor([[1.0, 2.0], [3.0, 2.0], [1.0, 2.0]])).tolist() == [0, 1, 0]
    ids = torch.tensor([[4, 5, 0], [4, 5, 9], [4, 6, 0]])
    assert same_content(Tokens(ids, torch.tensor([[1, 1, 0], [1, 1, 0], [1, 1, 1]]).bool())).tolist() == [0, 0, 1]
    with pytest.raises(InputError, match="no rows to compare"):
        same_content(Ragged(torch.zeros(3), torch.tensor([1, 2])))


class Told:
    """A learner that knows its modalities as they are, and views that show them."""

    roles = ("a", "b", "c")

    def __init__(self, query):
        self.query = query
        self.modules = self.parameters = self.buffers = lambda: iter(())

    def eval(self):
        return self

    def embed(self, view, role):
        return 2.0 * torch.cat([view, 1 - view], 1) - 1

    def plain(self, columns):
        return {name: column.float() for name, column in columns.items()}


def test_two_bits_tell_the_third_by_their_product():
    data = xor_triples(num=20, num_test=60)

    def product(others):  # 0 is (-1, 1), 1 is (1, -1): of two equal bits the product is 0's turned round
        return -(others[0] * others[1])[:, :1] * torch.tensor([[1.0, -1.0]])

    perfect, blind = Told(product), Told(lambda others: others[0] + others[1])
    found = Retrieval().evaluate(perfect, perfect, data)
    assert found["retrieval"] == found["retrieval_10"] == found["retrieval_third"] == 1.0
    assert found["retrieval_chance"] == pytest.approx(0.5, abs=0.05)
    assert found["pair_recall_1"] == pytest.approx(0.5, abs=0.15)
    assert Retrieval().evaluate(blind, blind, data)["retrieval"] < 0.8
    assert list(Retrieval().evaluate(perfect, perfect, data, what=["retrieval"])) == ["retrieval"]
    assert Retrieval().probe(perfect, perfect, data, rows=10, seed=0)["retrieval"] == 1.0


def test_the_data_say_what_is_the_same():
    data = from_columns(
        "d", {"a": torch.eye(3), "b": torch.eye(3), "c": torch.eye(3)}, test=torch.ones(3, dtype=torch.bool),
        answers={name: torch.tensor([0, 0, 1]) for name in "abc"},
    )  # fmt: skip
    learner = Told(lambda others: others[0].roll(1, 0))  # finds the row before
    assert Retrieval().evaluate(learner, learner, data)["retrieval"] == pytest.approx(1 / 3)
    data.shared.clear()
    assert Retrieval().evaluate(learner, learner, data)["retrieval"] == 0


def test_digits_of_test_triples_are_in_no_training_triple():
    data = digit_triples(num=300, num_test=100, image_size=8)
    pictures = {role: same_content(data.columns[role]) for role in "abc"}
    together = same_content(torch.cat([data.columns[role] for role in "abc"]))
    train = data.test.logical_not().repeat(3)
    assert not torch.isin(together[train], together[~train]).any()
    assert all(len(p.unique()) > 100 for p in pictures.values())
    parity = data.shared["answers"]
    assert torch.equal(parity["c"], parity["a"] ^ parity["b"])


def test_what_is_said_of_a_scene_is_its_picture():
    data = drawn_scenes(num=60, num_test=20, image_size=16)
    image = data.columns["image"].float()
    for i, key in enumerate(data.keys):
        red, green, blue = image[i].flatten(1).topk(6).values.mean(1)
        said = key.split(": ")[1]
        brightest = {"red": red > green + blue - 120, "green": green > red, "blue": blue > red, "yellow": red > blue}
        assert brightest[said], key
        half = image[i].sum(0)
        if "top" in key:
            assert half[:8].sum() > half[8:].sum()
        if "left" in key:
            assert half[:, :8].sum() > half[:, 8:].sum()


def test_what_cannot_be_measured():
    data = xor_triples(num=20, num_test=10)
    learner = Told(None)
    with pytest.raises(InputError, match="one kind of input"):
        Retrieval().evaluate(learner, learner, data)
    with pytest.raises(InputError, match="unknown metric 'retreval'"):
        Retrieval().evaluate(learner, learner, data, what=["retreval"])
    with pytest.raises(InputError, match="no turns"):
        Answers().evaluate(learner, learner, data)
    with pytest.raises(InputError, match="unknown metric"):
        Answers().evaluate(learner, learner, data, what=["x"])
    for measure in (Retrieval, Answers):
        with pytest.raises(InputError, match="at least 1"):
            measure(queries=0)


def test_answers_are_found_over_all_turns():
    data = drawn_scenes(num=8, num_test=10, image_size=8)
    recipe = load("muco").recipe("tiny")
    learner, views = recipe.learner.build(**data.facts()), recipe.views.build()
    found = Answers().evaluate(learner, views, data)
    assert 0 <= found["turn_recall_1"] <= found["turn_recall_5"] <= found["turn_recall_10"] <= 1
    words = data.take(data.test_rows)["answer"]
    number = len({tuple(t[m].tolist()) for t, m in zip(words.ids.flatten(0, 1), words.mask.flatten(0, 1))})
    assert found["turn_chance"] >= 1 / number - 1e-9
    assert Answers().probe(learner, views, data, rows=3, seed=0).keys() == {"turn_recall_1"}
