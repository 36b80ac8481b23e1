"""BYOL, SimSiam, Barlow Twins and VICReg: what is predicted from what, what stands still, what is gathered."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from likewise.core.batch import Batch
from likewise.core.comm import Collective
from likewise.core.registry import load

NONE = Batch({}, torch.arange(6))


def rows(*names: str, n: int = 6, d: int = 5) -> dict[str, torch.Tensor]:
    return {name: torch.randn(n, d, dtype=torch.float64) for name in names}


def predictions() -> dict[str, torch.Tensor]:
    return rows("prediction_a", "prediction_b", "target_a", "target_b")


def cosine(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (normalize(a, dim=1) * normalize(b, dim=1)).sum(1).mean()


@pytest.mark.parametrize(("slug", "scale", "shift"), [("byol", -2.0, 4.0), ("simsiam", -0.5, 0.0)])
def test_each_view_predicts_the_other(slug, scale, shift, build) -> None:
    z = predictions()
    crossed = cosine(z["prediction_a"], z["target_b"]) + cosine(z["prediction_b"], z["target_a"])
    assert torch.allclose(build(slug).objective(z, NONE, Collective()).loss, shift + scale * crossed)


@pytest.mark.parametrize("slug", ["byol", "simsiam"])
def test_no_gradient_flows_into_the_targets(slug, build) -> None:
    z = {name: value.requires_grad_() for name, value in predictions().items()}
    loss = build(slug).objective(z, NONE, Collective()).loss
    grads = dict(zip(z, torch.autograd.grad(loss, list(z.values()), allow_unused=True)))
    assert grads["target_a"] is None
    assert grads["target_b"] is None
    assert grads["prediction_a"].abs().max() > 0


def test_byol_targets_are_the_teachers_and_simsiams_its_own(build, batch) -> None:
    byol, simsiam, both = build("byol"), build("simsiam"), batch()
    z = byol.encode(both)
    assert torch.equal(z["target_b"], byol.teacher(both.views["b"]))
    assert torch.equal(z["prediction_a"], byol.predictor(byol.head(byol.encoder(both.views["a"]))))
    z = simsiam.encode(both)
    own = simsiam.head(simsiam.encoder(both.views["b"]))
    assert torch.equal(z["target_b"], own)
    assert not z["target_b"].requires_grad
    assert torch.equal(z["prediction_b"], simsiam.predictor(own))


def test_byol_moves_its_teacher_by_the_momentum_of_the_step_taken(build, batch, train) -> None:
    learner = build("byol", momentum=0.9)
    for step in range(3):
        before = [p.clone() for p in learner.teacher.parameters()]
        train(learner, batch(step), step, steps=3)
        m = 1 - 0.1 * (math.cos(math.pi * step / 3) + 1) / 2
        now = [*learner.encoder.parameters(), *learner.head.parameters()]
        for old, new, moved in zip(before, now, learner.teacher.parameters(), strict=True):
            assert torch.allclose(moved, m * old + (1 - m) * new, atol=1e-7)


@pytest.mark.parametrize("slug", ["byol", "simsiam", "barlow-twins", "vicreg"])
def test_each_view_passes_batch_norm_by_itself(slug, build, batch) -> None:
    learner = build(slug)
    learner.encode(batch())
    assert int(learner.encoder.blocks[1].num_batches_tracked) == 2


@pytest.mark.parametrize("size", ["tiny", "small", "paper"])
def test_simsiam_recipes_hold_the_predictors_rate(size, build) -> None:
    recipe = load("simsiam").recipe(size)
    optimizer, factor = recipe.optimizer.build()(build("simsiam").groups()), recipe.schedule.build()
    rates = {
        name: [
            g["initial_lr"] * factor(t, 100, name)
            for g in optimizer.param_groups
            if g["name"] == name
            for t in (0, 50, 99)
        ]
        for name in ("encoder", "predictor")
    }
    lr = recipe.optimizer.settings["lr"]
    assert set(rates["predictor"]) == {lr}
    assert rates["encoder"][:3] == pytest.approx([lr, lr / 2, lr * (1 + math.cos(0.99 * math.pi)) / 2])


def test_simsiam_groups_part_the_predictor_from_the_rest(build) -> None:
    learner = build("simsiam")
    groups = learner.groups()
    assert [id(p) for p in groups["predictor"]] == [id(p) for p in learner.predictor.parameters()]
    rest = [*learner.encoder.parameters(), *learner.head.parameters()]
    assert [id(p) for p in groups["encoder"]] == [id(p) for p in rest]


def test_simsiam_shows_a_collapse(build) -> None:
    learner, z = build("simsiam"), rows("prediction_a", "prediction_b", "target_a", "target_b", n=500, d=64)
    assert float(learner.objective(z, NONE, Collective()).logs["spread"]) == pytest.approx(1.0, abs=0.02)
    z["target_a"] = torch.randn(1, 64) + 1e-4 * torch.randn(500, 64)
    assert float(learner.objective(z, NONE, Collective()).logs["spread"]) < 1e-3


@pytest.mark.parametrize("slug", ["barlow-twins", "vicreg"])
def test_statistics_are_those_of_everybodys_rows(slug, build) -> None:
    mine, theirs = rows("a", "b"), rows("a", "b")
    joined = {role: torch.cat([mine[role], theirs[role]]) for role in mine}

    class Other(Collective):
        def gather(self, part: torch.Tensor) -> torch.Tensor:
            other = next(theirs[role] for role in mine if mine[role] is part)
            return torch.cat([part, other])

    learner = build(slug)
    whole = learner.objective(joined, NONE, Collective()).loss
    assert torch.equal(learner.objective(mine, NONE, Other()).loss, whole)
    assert not torch.equal(learner.objective(mine, NONE, Collective()).loss, whole)


def test_barlow_twins_by_loops(build) -> None:
    z, weight = rows("a", "b", n=6, d=3), 0.1
    zn = {r: (v - v.mean(0)) / (v.var(0, unbiased=False) + 1e-5).sqrt() for r, v in z.items()}
    loss = 0.0
    for i in range(3):
        for j in range(3):
            c = sum(float(zn["a"][n, i] * zn["b"][n, j]) for n in range(6)) / 6
            loss += (1 - c) ** 2 if i == j else weight * c**2
    found = build("barlow-twins", redundancy=weight).objective(z, NONE, Collective()).loss
    assert float(found) == pytest.approx(loss, abs=1e-9)


@pytest.mark.parametrize("weights", [(25.0, 25.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)])
def test_vicreg_by_loops(weights, build) -> None:
    n, d = 6, 3
    z = {r: 0.5 * v for r, v in rows("a", "b", n=n, d=d).items()}
    distance = sum(float(z["a"][i, j] - z["b"][i, j]) ** 2 for i in range(n) for j in range(d)) / (n * d)
    hinge = correlation = 0.0
    for view in z.values():
        mean = [float(view[:, j].sum()) / n for j in range(d)]
        for i in range(d):
            for j in range(d):
                cov = sum(float(view[k, i] - mean[i]) * float(view[k, j] - mean[j]) for k in range(n)) / (n - 1)
                if i == j:
                    hinge += max(0.0, 1 - math.sqrt(cov + 1e-4)) / d / 2
                else:
                    correlation += cov**2 / d
    settings = dict(zip(("invariance", "variance", "covariance"), weights))
    found = build("vicreg", **settings).objective(z, NONE, Collective()).loss
    assert float(found) == pytest.approx(sum(w * t for w, t in zip(weights, (distance, hinge, correlation))), abs=1e-9)


@pytest.mark.parametrize("slug", ["barlow-twins", "vicreg"])
def test_one_row_has_no_statistics(slug, build) -> None:
    with pytest.raises(ValueError, match="at least 2 rows"):
        build(slug).objective(rows("a", "b", n=1), Batch({}, torch.arange(1)), Collective())


@pytest.mark.parametrize("slug", ["byol", "simsiam", "barlow-twins", "vicreg"])
def test_training_lowers_the_loss_without_collapse(slug, build, batch, train) -> None:
    learner, both = build(slug), batch(n=32)
    losses = [train(learner, both, step, steps=15).loss.item() for step in range(15)]
    assert losses[-1] < losses[0]
    z = normalize(learner.eval().embed(both.views["a"]), dim=1)
    assert float(z.detach().std(0).mean()) * z.shape[1] ** 0.5 > 0.1
