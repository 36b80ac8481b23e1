"""LightGCN and MMHCL: what each term is, what a user's turn in the graph must not know, and using a run."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from likewise.api import Run, fit
from likewise.core.batch import Batch
from likewise.core.comm import Collective
from likewise.core.draws import Draws
from likewise.core.errors import InputError
from likewise.core.registry import load
from likewise.data.interaction_sources import synthetic_blocks

SLUGS = ("lightgcn", "mmhcl")
ALONE = Collective()


@pytest.fixture(scope="module")
def data():
    return synthetic_blocks()


@pytest.fixture
def build(data):
    """``build(slug, setting=value)``: the tiny recipe's learner in float64, with its graph."""

    def make(slug, dataset=data, **settings):
        torch.manual_seed(0)
        recipe = load(slug).recipe("tiny").copy()
        for name, value in settings.items():
            recipe.set(f"learner.{name}", value)
        out = recipe.learner.build(**dataset.facts())
        out.attach(dataset.shared)
        return out.double()

    return make


@pytest.fixture
def batch(data):
    triples = load("lightgcn").recipe("tiny").views.build()
    triples.attach(data.shared)
    ids = torch.arange(40)
    return Batch(triples(data.take(data.train_rows[ids]), Draws(0, 0, ids)), ids)


def loss_of(learner, batch):
    return learner.objective(learner.encode(batch), batch, ALONE)


def by_triples(users, items, batch):
    u, p, n = (batch.views[role].tolist() for role in ("user", "positive", "negative"))
    users, items = users.detach(), items.detach()
    return [(users[a], items[b], items[c]) for a, b, c in zip(u, p, n)]


def half_squares(rows):
    return sum(float(e.square().sum()) for row in rows for e in row) / 2 / len(rows)


def test_lightgcn_by_loops(build, batch):
    learner = build("lightgcn", penalty=0.1)
    rows = by_triples(*learner.tables(), batch)
    rank = sum(math.log1p(math.exp(float(u @ n - u @ p))) for u, p, n in rows) / 40
    learned = half_squares(by_triples(learner.user, learner.item, batch))
    out = loss_of(learner, batch)
    assert float(out.logs["bpr"]) == pytest.approx(rank)
    assert out.loss.item() == pytest.approx(rank + 0.1 * learned)
    other = build("lightgcn", penalty=0.1, penalised="propagated")
    assert loss_of(other, batch).loss.item() == pytest.approx(rank + 0.1 * half_squares(rows))


def test_without_layers_it_is_matrix_factorisation(build):
    learner = build("lightgcn", layers=0)
    assert torch.equal(learner.tables()[0], learner.user)


def test_mmhcl_by_loops(build, batch):
    learner = build("mmhcl", temperature=0.3, user_ratio=0.2, item_ratio=0.5, penalty=0.01)
    users, items, of_users, of_items = learner.tables()
    plain = build("lightgcn")
    with torch.no_grad():
        plain.user.copy_(learner.user)
        plain.item.copy_(learner.item)
    assert torch.allclose(users, plain.tables()[0] + normalize(of_users, dim=1))
    assert torch.allclose(items, plain.tables()[1] + normalize(of_items, dim=1))
    rows = by_triples(users, items, batch)
    expected = sum(math.log1p(math.exp(float(u @ n - u @ p))) for u, p, n in rows) / 40
    expected += 0.01 * half_squares(rows)
    for ratio, a, b in ((0.2, users, of_users), (0.5, items, of_items)):
        a, b = normalize(a.detach(), dim=1), normalize(b.detach(), dim=1)
        for i in range(len(a)):
            others = [float(a[i] @ b[j]) for j in range(len(a))]
            others += [float(a[i] @ a[j]) for j in range(len(a)) if j != i]
            total = sum(math.exp(v / 0.3) for v in others)
            expected += ratio / len(a) * (math.log(total) - float(a[i] @ b[i]) / 0.3)
    assert loss_of(learner, batch).loss.item() == pytest.approx(expected, rel=1e-9)


def test_without_its_branches_mmhcl_is_lightgcn(build, batch):
    one, two = build("mmhcl", user_ratio=0.0, item_ratio=0.0), build("lightgcn", penalty=1e-3, penalised="propagated")
    assert list(one.state_dict()) == list(two.state_dict()) == ["user", "item"]
    found = []
    for learner in (one, two):
        out = loss_of(learner, batch)
        out.loss.backward()
        found.append((out.loss, learner.user.grad, learner.item.grad))
    assert all(torch.equal(a, b) for a, b in zip(*found))


@pytest.mark.parametrize(("off", "on"), [("user", "item"), ("item", "user")])
def test_a_branch_that_is_off_has_no_weights(build, batch, off, on):
    learner = build("mmhcl", **{f"{off}_ratio": 0.0})
    assert f"{off}_shared" not in learner.state_dict()
    logs = loss_of(learner, batch).logs
    assert f"{on}_contrast" in logs
    assert f"{off}_contrast" not in logs


def test_two_users_with_the_same_items_have_the_same_neighbours(build):
    """Renumbering users renumbers their embeddings: nothing depends on who comes first."""
    data = synthetic_blocks()
    order = torch.randperm(48, generator=torch.Generator().manual_seed(3))
    other = synthetic_blocks()
    other.shared["train"] = torch.stack([order[data.shared["train"][0]], data.shared["train"][1]])
    one, two = build("mmhcl", data), build("mmhcl", other)
    with torch.no_grad():
        for name in ("user", "user_shared"):
            getattr(two, name)[order] = getattr(one, name)
    for mine, theirs in zip(one.tables(), two.tables()):
        moved = theirs[order] if len(theirs) == 48 else theirs
        assert torch.allclose(mine, moved, atol=1e-12)


def test_kinds_of_features_are_chosen_by_name(build, data):
    with pytest.raises(InputError, match=r"no features 'pictures'; .*attributes"):
        build("mmhcl", features=("pictures",))
    one = build("mmhcl", neighbours=1)  # everybody is in their own edge alone
    assert torch.allclose(one.tables()[3], one.item_shared)
    bare = synthetic_blocks()
    bare.shared["item_features"] = {}
    with pytest.raises(InputError, match=r"items\.csv beside the interactions"):
        build("mmhcl", bare)
    build("mmhcl", bare, item_ratio=0.0)


def test_wrong_settings():
    for settings, says in (({"temperature": 0.0}, "temperature"), ({"neighbours": 0}, "neighbours=0")):
        with pytest.raises(InputError, match=says):
            load("mmhcl").cls(num_users=3, num_items=3, **settings)
    with pytest.raises(InputError, match="holds nothing"):
        load("lightgcn").cls(num_users=3, num_items=3, dim=0)


# --- a run ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=SLUGS)
def run(request, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / request.param
    return fit("synthetic-blocks", request.param, size="tiny", steps=120, out=out, quiet=True)


def test_blocks_are_found(run):
    untrained, popular = run.metrics["untrained"]["top10_recall"], run.metrics["top10_recall_popular"]
    assert run.metrics["top10_recall"] > max(untrained, popular) + 0.1
    probes = [event["top10_recall"] for event in run.events() if event["event"] == "probe"]
    assert max(probes) > probes[0]
    hits = run.search("item 5 of block 1", k=4)
    assert sum(hit.key.endswith("block 1") for hit in hits) >= 3


def test_users_and_items_are_embedded(run):
    assert run.embed().shape == run.embed(role="item").shape == (40, 8)
    assert run.embed(role="user").shape == (48, 8)
    with pytest.raises(InputError, match="no 'usr'"):
        run.embed(role="usr")


def test_recommended_is_what_is_new(run):
    user = run.dataset(role="user").keys[7]
    data = run._dataset(None)
    has = {data.tables["item"].keys[i] for i in data.columns["item"][data.columns["user"] == 7].tolist()}
    hits = run.recommend(user, k=5)
    assert len(hits) == 5
    assert not {hit.key for hit in hits} & has
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    everything = run.recommend(user, k=100, known=True)
    assert len({hit.key for hit in everything}) == 40
    assert len(run.recommend(user, k=100)) == 40 - len(has)
    assert [h.key for h in everything if h.key not in has][:5] == [h.key for h in hits]
    with pytest.raises(InputError, match="no user 'user 0007' in synthetic-blocks; did you mean 'user 007'"):
        run.recommend("user 0007")
    with pytest.raises(InputError, match="k=0"):
        run.recommend(user, k=0)


def test_a_run_is_opened_again(run):
    again = Run(run.path)
    assert again.evaluate() == {k: v for k, v in run.metrics.items() if k in again.evaluate()}
    with pytest.raises(InputError, match="learned an embedding of each item"):
        again.evaluate((["a", "a", "b"], ["x", "y", "y"]))
    assert again.evaluate("synthetic-blocks") == again.evaluate()
