"""Full ranking against loops, and what a measure leaves out of it."""

import math

import pytest
import torch

from likewise.core.errors import InputError
from likewise.core.learner import Learner
from likewise.data.interaction_sources import synthetic_blocks
from likewise.data.interactions import TEST, TRAIN, VALID
from likewise.evaluate.catalogue import METRICS
from likewise.evaluate.ranking import KINDS, Ranking, pairs_of, ranking
from likewise.views.interactions import Triples


def by_loops(scores, wanted, hidden, ks):
    """Every metric from its definition, a user at a time."""
    out = {f"top{k}_{kind}": [] for k in ks for kind in KINDS}
    shown = {k: set() for k in ks}
    for u in range(len(scores)):
        mine = {i for v, i in wanted if v == u}
        if not mine:
            continue
        order = sorted((i for i in range(scores.shape[1]) if (u, i) not in hidden), key=lambda i: -scores[u, i])
        longest = [i in mine for i in order[: max(ks)]]
        for k in ks:
            hits = longest[:k]
            dcg = sum(1 / math.log2(r + 2) for r, hit in enumerate(hits) if hit)
            best = sum(1 / math.log2(r + 2) for r in range(min(k, len(mine))))
            found = sum(1 / math.log2(r + 2) for r in range(min(k, sum(longest))))
            values = (sum(hits) / len(mine), dcg / best, dcg / found if found else 0, sum(hits) / k, any(hits))
            for kind, value in zip(KINDS, values):
                out[f"top{k}_{kind}"].append(float(value))
            shown[k] |= set(order[:k])
    means = {name: sum(values) / len(values) for name, values in out.items()}
    return means | {f"top{k}_coverage": len(held) / scores.shape[1] for k, held in shown.items()}


@pytest.mark.parametrize("users", [1, 3, 100])
@pytest.mark.parametrize("seed", range(4))
def test_as_by_loops(seed, users):
    generator = torch.Generator().manual_seed(seed)
    user, item = torch.randn(9, 4, generator=generator), torch.randn(13, 4, generator=generator)
    split = torch.randint(0, 4, (9, 13), generator=generator)
    split[2] = 1  # everything but what is hidden is wanted
    split[5][split[5] == 1] = 0  # nothing is wanted: counts in no mean
    split[7] = 2
    split[7, 3] = 1  # all else is hidden: a list of one
    wanted, hidden = (split == 1).nonzero().T, (split == 2).nonzero().T
    ks = (2, 5, 20)  # the last longer than there are items
    found = ranking(user, item, wanted, hidden, ks, users)
    assert found.pop("ranked_users") == len(wanted[0].unique())
    expected = by_loops(user @ item.T, set(map(tuple, wanted.T.tolist())), set(map(tuple, hidden.T.tolist())), ks)
    assert found == pytest.approx(expected, abs=1e-12)


def test_the_best_order_is_1_and_the_worst_0():
    wanted = torch.tensor([[0, 0, 1], [0, 1, 2]])
    item = torch.eye(6)
    best = torch.tensor([[3.0, 2, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0]])
    nothing = torch.zeros(2, 0, dtype=torch.int64)
    found = ranking(best, item, wanted, nothing, (2,))
    assert [found[f"top2_{kind}"] for kind in ("recall", "ndcg", "ndcg_found", "hit")] == [1, 1, 1, 1]
    assert found["top2_precision"] == 0.75
    found = ranking(-best, item, wanted, nothing, (2,))
    assert found["top2_recall"] == found["top2_ndcg_found"] == found["top2_hit"] == 0


class Told(Learner):
    """Scores that are given, as embeddings against the identity."""

    def __init__(self, scores):
        super().__init__()
        self.register_buffer("scores", scores)

    def embed(self, view, role=None):
        return self.scores[view] if role == "user" else torch.eye(self.scores.shape[1])[view]


@pytest.fixture
def data():
    return synthetic_blocks()


def scores_that_find(data, *parts):
    out = torch.rand(data.known["num_users"], data.known["num_items"])
    for place, part in enumerate(parts):
        user, item = pairs_of(data, part)
        out[user, item] = 3.0 - place
    return out


def test_who_knows_the_test_items_is_perfect(data):
    learner = Told(scores_that_find(data, TEST))
    found = Ranking(ks=(20, 10)).evaluate(learner, Triples(), data)
    assert found["top20_recall"] == found["top20_ndcg"] == found["top20_hit"] == 1
    assert found["ranked_users"] == 48
    assert Ranking(ks=(20,)).probe(learner, Triples(), data, rows=10, seed=0)["top20_recall"] < 0.9


def test_training_items_are_left_out_and_validation_items_if_wanted(data):
    learner = Told(scores_that_find(data, TRAIN, VALID, TEST))  # what was trained on first
    assert Ranking(ks=(1,)).evaluate(learner, Triples(), data)["top1_recall"] == 1
    assert Ranking(ks=(1,), mask_valid=False).evaluate(learner, Triples(), data)["top1_recall"] == 0
    assert Ranking(ks=(1,), mask_valid=False).evaluate(learner, Triples(), data)["top1_coverage"] > 0
    assert Ranking(ks=(1,), split="valid").evaluate(learner, Triples(), data)["top1_recall"] == 1
    assert Ranking(ks=(1,)).probe(learner, Triples(), data, rows=10**6, seed=0) == {"top1_recall": 1, "top1_ndcg": 1}


def test_the_popular_are_ranked_by_training_alone(data):
    count = data.shared["train"][1].bincount(minlength=40).float()
    learner = Told(count.expand(48, -1))
    found = Ranking(ks=(10,)).evaluate(learner, Triples(), data)
    assert found["top10_recall_popular"] == found["top10_recall"] > 0


def test_names_are_checked_and_stand_in_the_catalogue(data):
    measure = Ranking()
    found = measure.evaluate(Told(torch.rand(48, 40)), Triples(), data)
    assert set(found) <= set(METRICS)
    assert measure.evaluate(Told(torch.rand(48, 40)), Triples(), data, what=["ranked_users"]) == {"ranked_users": 48}
    with pytest.raises(InputError, match="metric 'recall_20'; did you mean 'top20_recall'"):
        measure.evaluate(Told(torch.rand(48, 40)), Triples(), data, what=["recall_20"])
    with pytest.raises(InputError, match="at least 1 item"):
        Ranking(ks=())


def test_data_with_nothing_held_out(data):
    data.columns["part"] = torch.zeros_like(data.columns["part"])
    assert Ranking().probe(Told(torch.rand(48, 40)), Triples(), data, rows=10, seed=0) == {}
    with pytest.raises(InputError, match="no test interactions"):
        Ranking().evaluate(Told(torch.rand(48, 40)), Triples(), data)


def test_less_than_the_popular_is_bad_news():
    from likewise.evaluate.reading import read

    found = {"top20_recall": 0.12, "untrained": {"top20_recall": 0.02}}
    over, under = read({**found, "top20_recall_popular": 0.116}), read({**found, "top20_recall_popular": 0.125})
    assert {r.level for r in over} == {"good"}
    assert under[0].level == "bad"
    assert "0.125" in under[0].text
    assert len(read(found)) == 1
