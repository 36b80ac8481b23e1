"""Many views of an image in one term: by loops, at two views, at the edges, and as a learner."""

import math

import pytest
import torch
from torch.nn.functional import normalize
from torch.testing import assert_close

from likewise import functional, similarity
from likewise.core.batch import Batch
from likewise.core.comm import Collective
from likewise.core.errors import InputError
from likewise.core.registry import load
from likewise.functional.multi_view import names

IDS = torch.tensor([4, 7, 4, 9, 1])  # a sample twice
LOSSES = (functional.mv_info_nce, functional.mv_dhel, functional.poly_view_nce)


def unit_views(num: int, n: int = 5, d: int = 4) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(num)
    return list(normalize(torch.randn(num, n, d, generator=generator, dtype=torch.float64), dim=2))


def exponential(views, v, i, m, j, tau):
    return math.exp(float(views[v][i] @ views[m][j]) / tau)


def loops_info_nce(views, ids, tau, same_view):
    num, out = range(len(views)), []
    for i in range(len(ids)):
        positive = sum(exponential(views, v, i, m, i, tau) for v in num for m in num if m != v)
        negative = sum(
            exponential(views, v, i, m, j, tau)
            for v in num for m in num for j in range(len(ids))
            if ids[j] != ids[i] and (m != v or same_view)
        )  # fmt: skip
        out.append(-math.log(positive / (positive + negative)))
    return torch.tensor(out, dtype=torch.float64)


def loops_dhel(views, ids, tau):
    num, out = range(len(views)), []
    for i in range(len(ids)):
        positive = sum(exponential(views, v, i, m, i, tau) for v in num for m in num if v < m)
        spread = [sum(exponential(views, v, i, v, j, tau) for j in range(len(ids)) if ids[j] != ids[i]) for v in num]
        out.append(-math.log(positive) + sum(map(math.log, spread)))
    return torch.tensor(out, dtype=torch.float64)


def loops_poly_view(views, ids, tau):
    num, out = range(len(views)), []
    for i in range(len(ids)):
        terms = []
        for v in num:
            others = sum(exponential(views, v, i, k, j, tau) for k in num for j in range(len(ids)) if ids[j] != ids[i])
            own = [exponential(views, v, i, m, i, tau) for m in num if m != v]
            terms += [-math.log(e / (e + others)) for e in own]
        out.append(sum(terms) / len(terms))
    return torch.tensor(out, dtype=torch.float64)


@pytest.mark.parametrize("mode", ["dense", "tiled"])
@pytest.mark.parametrize("num", [2, 3, 8])
def test_by_loops(num, mode) -> None:
    views, ids, tau = unit_views(num), IDS.tolist(), 0.4
    with similarity.using(mode):
        options = {"temperature": tau, "ids": IDS}
        assert_close(functional.mv_info_nce(views, **options), loops_info_nce(views, ids, tau, False))
        assert_close(functional.mv_info_nce(views, variant="code", **options), loops_info_nce(views, ids, tau, True))
        assert_close(functional.mv_dhel(views, **options), loops_dhel(views, ids, tau))
        assert_close(functional.poly_view_nce(views, **options), loops_poly_view(views, ids, tau))


@pytest.mark.parametrize("aggregate", ["pairs", "mean", "poly-view"])
def test_two_views_are_simclr(aggregate, build) -> None:
    z = dict(zip("ab", unit_views(2)))
    learner = build("multi-view-simclr", aggregate=aggregate, temperature=0.3)
    loss = learner.objective(z, Batch({}, torch.arange(5)), Collective()).loss
    assert_close(loss, functional.nt_xent(z["a"], z["b"], temperature=0.3).mean())


@pytest.mark.parametrize("loss", LOSSES)
def test_the_order_of_views_and_samples_does_not_matter(loss) -> None:
    views, order = unit_views(4), torch.tensor([3, 0, 4, 2, 1])
    expected = loss(views, temperature=0.2, ids=IDS)
    assert_close(loss([views[i] for i in (2, 0, 3, 1)], temperature=0.2, ids=IDS), expected)
    assert_close(loss([view[order] for view in views], temperature=0.2, ids=IDS[order]), expected[order])


@pytest.mark.parametrize("loss", LOSSES)
def test_nobody_else_costs_nothing(loss) -> None:
    views = [view.requires_grad_() for view in unit_views(3, n=1)]
    value = loss(views, temperature=0.5)
    assert_close(value, torch.zeros(1, dtype=torch.float64))
    assert all(not grad.any() for grad in torch.autograd.grad(value.sum(), views))


@pytest.mark.parametrize("loss", LOSSES)
def test_one_view_is_refused(loss) -> None:
    with pytest.raises(InputError, match="two views or more of equal shapes, got 5x4"):
        loss(unit_views(1), temperature=0.5)


@pytest.mark.parametrize("loss", LOSSES)
def test_eight_views_at_a_low_temperature_stay_finite(loss) -> None:
    """A product of eight sums of exp(1 / 0.02) is far beyond float32."""
    views = [view.float().requires_grad_() for view in unit_views(8, n=20)]
    value = loss(views, temperature=0.02).mean()
    assert value.isfinite()
    assert all(grad.isfinite().all() for grad in torch.autograd.grad(value, views))


@pytest.mark.parametrize("loss", LOSSES)
def test_copies_in_other_processes_are_no_negatives(loss, doubled) -> None:
    views = unit_views(3)
    twice = loss([torch.cat([v, v]) for v in views], temperature=0.5, ids=torch.arange(5).repeat(2))
    assert_close(loss(views, temperature=0.5, ids=torch.arange(5), comm=doubled), twice[:5])


def test_samples_of_two_processes_without_ids_are_different() -> None:
    class Second(Collective):
        rank, world = 1, 2

    first, second = (names(4, None, comm, torch.device("cpu")).tolist() for comm in (Collective(), Second()))
    assert len({*first, *second}) == 8
    assert torch.equal(names(5, IDS, Second(), torch.device("cpu")), IDS)


def test_the_learner_takes_every_view_there_is(build, batch) -> None:
    learner, two = build("mv-infonce", loss="mv-infonce", variant="code", temperature=0.5), batch()
    five = Batch({role: two.views["a"] + i for i, role in enumerate("abcde")}, two.ids)
    z = learner.encode(five)
    assert list(z) == list("abcde")
    assert int(learner.encoder.blocks[1].num_batches_tracked) == 1  # the views pass the batch norms together
    views = [normalize(rows, dim=1) for rows in z.values()]
    expected = functional.mv_info_nce(views, temperature=0.5, variant="code").mean()
    assert_close(learner.objective(z, five, Collective()).loss, expected)


@pytest.mark.parametrize("num", [2, 5])
def test_the_number_of_views_is_a_setting(num) -> None:
    recipe = load("mv-infonce").recipe("tiny").copy()
    recipe.set("views.num_global", num)
    assert len(recipe.views.build(channels=1, image_size=16).augments) == num


def test_the_temperature_is_checked(build) -> None:
    with pytest.raises(InputError, match="temperature is 0"):
        build("mv-infonce", temperature=0.0)


@pytest.mark.parametrize("loss", ["mv-dhel", "mv-infonce"])
def test_training_lowers_the_loss(loss, build, batch, train) -> None:
    learner, both = build("mv-infonce", loss=loss), batch(n=24)
    losses = [train(learner, both, step).loss.item() for step in range(10)]
    assert losses[-1] < losses[0]
