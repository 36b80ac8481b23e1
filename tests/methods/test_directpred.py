"""DirectPred: what the predictor is made of, when it is set, and where targets and gradients come from."""

import pytest
import torch
from torch.nn.functional import cosine_similarity, normalize
from torch.testing import assert_close

from likewise import functional
from likewise.core.errors import InputError
from likewise.parts.predictors import LinearPredictor


def moment(d: int = 5, n: int = 40) -> torch.Tensor:
    rows = torch.randn(n, d, dtype=torch.float64) @ torch.randn(d, d, dtype=torch.float64)
    return rows.T @ rows / n


def test_direct_pred_keeps_the_eigenvectors_and_takes_roots() -> None:
    f = moment()
    s, u = torch.linalg.eigh(f)
    for vector, value in zip(u.T, s):
        expected = (value / s.max()).sqrt() + 0.05
        assert_close(functional.direct_pred(f, eps=0.05) @ vector, expected * vector)
    assert_close(functional.direct_pred(7 * f, eps=0.05), functional.direct_pred(f, eps=0.05))
    plain = functional.direct_pred(f, eps=0.05, variant="paper")
    assert_close(plain @ u[:, 0], (s[0].sqrt() + 0.05 * s.max()) * u[:, 0])


def test_direct_set_is_a_power_and_direct_copy_the_moment_itself() -> None:
    f, eye = moment(), torch.eye(5, dtype=torch.float64)
    norm = torch.linalg.eigvalsh(f).max()
    assert_close(functional.direct_set(f, eps=0.3), f / norm + 0.3 * eye)
    root = functional.direct_set(f, alpha=0.5, eps=0.0)
    assert_close(root @ root, f / norm)
    assert_close(functional.direct_set(f, alpha=0.5, eps=0.1), functional.direct_pred(f, eps=0.1))
    assert_close(functional.direct_set(f, eps=0.3, variant="code"), f + 0.3 * eye)


@pytest.mark.parametrize("rule", [functional.direct_pred, functional.direct_set])
def test_a_moment_of_zeros_or_low_rank_gives_finite_weights(rule) -> None:
    row = torch.randn(5, dtype=torch.float64)
    for f in (torch.zeros(5, 5, dtype=torch.float64), torch.outer(row, row)):
        assert rule(f).isfinite().all()


def test_alignment_is_one_for_what_is_set_and_less_for_chance() -> None:
    f = moment(20)
    assert float(functional.eigenspace_alignment(functional.direct_pred(f), f)) == pytest.approx(1)
    assert float(functional.eigenspace_alignment(torch.randn(20, 20, dtype=torch.float64), f)) < 0.5


def test_the_moment_follows_batches_and_the_matrix_waits_its_turn() -> None:
    held = LinearPredictor(3, lambda f: 2 * f, decay=0.25, every=2).double()
    first, second = (torch.randn(8, 3, dtype=torch.float64) for _ in range(2))
    assert torch.equal(held(first), first)  # the identity until it is set
    held.update(*held.statistics(first))
    assert_close(held.moment, first.T @ first / 8)
    assert torch.equal(held.weight, torch.eye(3, dtype=torch.float64))
    held.update(*held.statistics(second))
    expected = 0.25 * first.T @ first / 8 + 0.75 * second.T @ second / 8
    assert_close(held.moment, expected)
    assert_close(held.weight.detach(), 2 * expected)
    assert not held.weight.requires_grad


def test_centred_moments_are_covariances() -> None:
    held, rows = LinearPredictor(3, lambda f: f, centre=True).double(), torch.randn(50, 3, dtype=torch.float64) + 4
    held.update(*held.statistics(rows))
    assert_close(held.weight.detach(), rows.T.cov(correction=0))


@pytest.mark.parametrize("wrong", [{"decay": 1.0}, {"every": 0}])
def test_wrong_settings_are_named(wrong, build) -> None:
    with pytest.raises(InputError, match="linear predictor: decay="):
        build("directpred", **wrong)


@pytest.mark.parametrize("how", ["directpred", "directcopy", "directset"])
def test_a_step_sets_the_predictor_from_the_projections(how, build, batch, train) -> None:
    learner, both = build("directpred", predictor=how, eps=0.2, decay=0.0, alpha=0.7), batch()
    z = learner.encode(both)
    f = torch.cat([z["projection_a"], z["projection_b"]])
    train(learner, both)
    rules = {
        "directpred": lambda m: functional.direct_pred(m, eps=0.2),
        "directcopy": lambda m: functional.direct_set(m, eps=0.2),
        "directset": lambda m: functional.direct_set(m, eps=0.2, alpha=0.7),
    }
    assert_close(learner.predictor.weight.detach(), rules[how](f.T @ f / len(f)), rtol=1e-3, atol=1e-4)
    again = learner.encode(both)
    rows = learner.head(learner.encoder(both.views["a"]))
    assert_close(again["prediction_a"], rows @ learner.predictor.weight.T)


@pytest.mark.parametrize("base", ["byol", "simsiam"])
def test_each_view_predicts_the_others_target(base, build, batch, train) -> None:
    learner, both = build("directpred", base=base), batch()
    train(learner, batch(1))
    z = learner.encode(both)
    network = learner.teacher if base == "byol" else lambda view: learner.head(learner.encoder(view))
    assert_close(z["target_b"], network(both.views["b"]))
    assert not z["target_b"].requires_grad
    crossed = cosine_similarity(z["prediction_a"], z["target_b"]) + cosine_similarity(z["prediction_b"], z["target_a"])
    assert_close(train(learner, both).loss, (4 - 2 * crossed).mean())


def test_byols_target_follows_and_simsiam_has_none(build, batch, train) -> None:
    learner = build("directpred", momentum=0.75)
    before = [p.clone() for p in learner.teacher.parameters()]
    train(learner, batch())
    now = [*learner.encoder.parameters(), *learner.head.parameters()]
    for old, new, moved in zip(before, now, learner.teacher.parameters(), strict=True):
        assert_close(moved, 0.75 * old + 0.25 * new)
    assert build("directpred", base="simsiam").teacher is None


def test_the_baseline_trains_its_predictor_and_says_how_far_it_is_aligned(build, batch, train) -> None:
    learner = build("byol-linear")
    before = learner.predictor.weight.detach().clone()
    assert "alignment" not in train(learner, batch()).logs
    assert not torch.equal(learner.predictor.weight, before)
    logs = train(learner, batch(1)).logs
    assert 0 < float(logs["alignment"]) < 1
    assert "alignment" not in train(build("directpred"), batch()).logs


def test_training_lowers_the_loss_without_collapse(build, batch, train) -> None:
    learner, both = build("directpred"), batch(n=32)
    losses = [train(learner, both, step).loss.item() for step in range(15)]
    assert losses[-1] < losses[0]
    z = normalize(learner.eval().embed(both.views["a"]), dim=1)
    assert float(z.detach().std(0).mean()) * z.shape[1] ** 0.5 > 0.1


@pytest.mark.parametrize("how", ["directpred", "directcopy"])
def test_without_a_predictor_targets_collapse_and_with_a_set_one_they_spread(how, build, batch, train) -> None:
    after = {}
    for predictor in ("identity", how):
        learner = build("directpred", predictor=predictor)
        spreads = [float(train(learner, batch(step, n=32)).logs["spread"]) for step in range(30)]
        after[predictor] = spreads[-1] / spreads[0]
    assert after["identity"] < 0.8
    assert after[how] > 1
