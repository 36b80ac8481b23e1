"""CACR: which positives and negatives count more, by loops, with and without weights."""

import math

import pytest
import torch
from torch.nn.functional import normalize
from torch.testing import assert_close

from likewise import functional, similarity
from likewise.core.batch import Batch
from likewise.core.comm import Collective
from likewise.core.errors import InputError
from likewise.functional.attraction_repulsion import attend_near, positive_weights
from likewise.similarity import Self

IDS = torch.tensor([4, 7, 4, 9, 1])  # a sample twice


def unit_views(num: int, n: int = 5, d: int = 4) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(num)
    return list(normalize(torch.randn(num, n, d, generator=generator, dtype=torch.float64), dim=2))


def cost(a, b) -> float:
    return float(((a - b) ** 2).sum())


def softmax_mean(costs: list[float], sharpness: float) -> float:
    weights = [math.exp(sharpness * c) for c in costs]
    return sum(w * c for w, c in zip(weights, costs)) / sum(weights)


def loops(views, ids, t_pos, t_neg, tau_plus=0.0):
    num, attract, repel = len(views), [], []
    for i in range(len(ids)):
        pulls = [
            softmax_mean([cost(views[x][i], views[v][i]) for v in range(num) if v != x], t_pos) for x in range(num)
        ]
        attract.append(sum(pulls) / num)
        pushes = []
        for x in range(num):
            for y in range(x + 1, num):
                others = [cost(views[x][i], views[y][j]) for j in range(len(ids)) if ids[j] != ids[i]]
                push = softmax_mean(others, -t_neg)
                pushes.append((push - tau_plus * cost(views[x][i], views[y][i])) / (1 - tau_plus))
        repel.append(-sum(pushes) / len(pushes))
    return torch.tensor(attract, dtype=torch.float64), torch.tensor(repel, dtype=torch.float64)


@pytest.mark.parametrize("mode", ["dense", "tiled"])
@pytest.mark.parametrize(
    ("num", "t_pos", "t_neg", "tau_plus"), [(2, 1.0, 2.0, 0.0), (5, 3.0, 0.9, 0.0), (3, 0.0, 0.0, 0.1)]
)
def test_by_loops(num, t_pos, t_neg, tau_plus, mode) -> None:
    views = unit_views(num)
    attract, repel = loops(views, IDS.tolist(), t_pos, t_neg, tau_plus)
    with similarity.using(mode):
        assert_close(functional.attraction(views, sharpness=t_pos), attract)
        assert_close(functional.repulsion(views, sharpness=t_neg, tau_plus=tau_plus, ids=IDS), repel)


def test_distant_positives_and_close_negatives_count_more() -> None:
    angles = torch.tensor([0.2, 0.6, 1.0], dtype=torch.float64)
    around = torch.stack([angles.cos(), angles.sin()], 1)  # ever further from the query
    query = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    _, weights = positive_weights([query, *around[:, None]], 2.0)
    shares = weights[0, 0].tolist()
    assert shares[0] == 0
    assert shares[1] < shares[2] < shares[3]
    a, b = query.repeat(4, 1), torch.cat([query, around])
    _, weights = attend_near(a, b, torch.eye(4, dtype=torch.float64), sharpness=2.0, drop=Self())
    shares = weights[0].tolist()
    assert shares[0] == 0
    assert shares[1] > shares[2] > shares[3]


@pytest.mark.parametrize("equation", [functional.attraction, functional.repulsion])
def test_weights_make_it_harder(equation) -> None:
    views = unit_views(4)
    values = [equation(views, sharpness=t) for t in (0.0, 1.0, 4.0)]
    assert (values[0] < values[1]).all()
    assert (values[1] < values[2]).all()


def test_one_positive_has_all_the_weight() -> None:
    a, b = unit_views(2)
    assert_close(functional.attraction([a, b], sharpness=5.0), functional.alignment(a, b))


def test_nobody_else_repels_nothing() -> None:
    views = [view.requires_grad_() for view in unit_views(3, n=1)]
    value = functional.repulsion(views, sharpness=2.0)
    assert_close(value, torch.zeros(1, dtype=torch.float64))
    assert all(not grad.any() for grad in torch.autograd.grad(value.sum(), views))


def test_equal_rows_have_a_finite_gradient() -> None:
    views = [torch.ones(4, 3, requires_grad=True) for _ in range(3)]
    value = functional.attraction(views).sum() + functional.repulsion(views).sum()
    assert all(grad.isfinite().all() for grad in torch.autograd.grad(value, views))


@pytest.mark.parametrize("equation", [functional.attraction, functional.repulsion])
def test_one_view_is_refused(equation) -> None:
    with pytest.raises(InputError, match="two views or more"):
        equation(unit_views(1))


@pytest.mark.parametrize("kind", ["rbf", "euclid"])
def test_a_key_and_several_queries(kind) -> None:
    queries, (key, *_), t = unit_views(3), unit_views(4), 0.5
    tracked = key.clone().requires_grad_()
    found = functional.key_attraction_repulsion(queries, tracked, temperature=t, cost=kind, ids=IDS)
    assert not found.requires_grad  # the keys get no gradient
    for i in range(5):
        shares = torch.tensor([cost(q[i], key[i]) / t for q in queries]).softmax(0)
        others = [j for j in range(5) if IDS[j] != IDS[i]]
        terms = []
        for q in queries:
            s = [float(q[i] @ k) for k in key]
            if kind == "rbf":
                whole = sum(math.exp(s[j] / t) for j in [i, *others])
                terms.append(2 * t * (math.log(whole) - s[i] / t))
            else:
                near = torch.tensor([s[j] / t for j in others]).softmax(0)
                terms.append((1 - s[i]) - sum(float(w) * (1 - s[j]) for w, j in zip(near, others)))
        expected = sum(float(w) * term for w, term in zip(shares, terms))
        assert float(found[i]) == pytest.approx(expected, abs=1e-6)


def test_the_learner_weighs_both_terms_and_even_is_cacr_without_sharpness(build) -> None:
    views, rows = unit_views(4), Batch({}, torch.arange(5))
    z = dict(zip("abcd", views))
    pull, push = loops(views, range(5), 1.0, 2.0)
    learner = build("cacr", attract=0.5, repel=3.0)
    step = learner.objective(z, rows, Collective())
    assert_close(step.loss, 0.5 * pull.mean() + 3 * push.mean())
    assert_close(step.logs["attraction"], pull.mean())
    assert_close(step.logs["repulsion"], push.mean())
    even = build("cacr", positive_sharpness=0.0, negative_sharpness=0.0).objective(z, rows, Collective()).loss
    assert torch.equal(build("cacr-even").objective(z, rows, Collective()).loss, even)
    assert even != step.loss


@pytest.mark.parametrize("wrong", [{"tau_plus": 1.0}, {"negative_sharpness": -1.0}])
def test_wrong_settings_are_named(wrong, build) -> None:
    with pytest.raises(InputError, match=f"{next(iter(wrong))}={next(iter(wrong.values()))}"):
        build("cacr", **wrong)


def test_training_lowers_the_loss(build, batch, train) -> None:
    learner, both = build("cacr"), batch(n=24)
    losses = [train(learner, both, step).loss.item() for step in range(10)]
    assert losses[-1] < losses[0]
