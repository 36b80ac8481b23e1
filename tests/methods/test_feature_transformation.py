"""FT: what is moved and mixed, who draws it, what is logged, and what the queue keeps."""

import pytest
import torch
from torch.nn.functional import normalize

from likewise.core.batch import Batch
from likewise.core.comm import Collective
from likewise.core.draws import Draws
from likewise.core.errors import InputError
from likewise.functional import extrapolate, interpolate, score_statistics
from likewise.methods.image.feature_transformation import symmetric_beta
from likewise.report import charts

SLUG = "feature-transformation"


def unit(*shape, seed=0):
    return normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64), dim=-1)


def drawn(n=4, dim=16):
    return {"query": unit(n, dim), "key": unit(n, dim, seed=1)}


def objective(learner, z=None, ids=None):
    z = z or drawn()
    ids = torch.arange(len(z["query"])) if ids is None else ids
    return learner.objective(z, Batch({}, ids), Collective())


def test_the_pairs_score_falls_by_the_papers_amount() -> None:
    query, key, share = unit(6, 5), unit(6, 5, seed=1), 1.4
    before = (query * key).sum(1)
    a, b = extrapolate(query, key, torch.full((1, 1), share, dtype=torch.float64))
    assert torch.allclose((a * b).sum(1), before + 2 * share * (1 - share) * (1 - before))


def test_mixed_negatives_lie_closer_together() -> None:
    queue, order = unit(500, 5), torch.randperm(500)
    mixed = interpolate(queue, order, torch.full((1, 1), 0.3, dtype=torch.float64))
    assert torch.allclose(mixed[7], 0.3 * queue[7] + 0.7 * queue[order[7]])
    assert torch.allclose(mixed.mean(0), queue.mean(0))
    assert (mixed.var(0) < 0.8 * queue.var(0)).all()


@pytest.mark.parametrize("alpha", [0.6, 1.0, 1.6, 2.0, 5.0])
def test_shares_follow_the_beta_distribution(alpha) -> None:
    found = symmetric_beta(Draws(0, 0, torch.arange(200)), alpha, 200).flatten().double()
    expected = torch.distributions.Beta(alpha, alpha)
    assert found.min() >= 0
    assert found.max() <= 1
    assert abs(found.mean() - 0.5) < 5e-3
    assert abs(found.var() / expected.variance - 1) < 0.02
    kurtosis = (found - 0.5).pow(4).mean() / found.var().square()
    assert abs(kurtosis - (3 - 6 / (2 * alpha + 3))) < 0.03


def test_statistics_are_those_of_the_matrix_of_scores() -> None:
    query, key, bank = unit(6, 5), unit(6, 5, seed=1), unit(40, 5, seed=2) * 1.3
    held, scores = score_statistics(query, key, bank, temperature=0.2), query @ bank.T
    assert torch.allclose(held["positive_score"], (query * key).sum(1))
    assert torch.allclose(held["negative_score"], scores.mean(1))
    assert torch.allclose(held["negative_variance"], scores.var(1))
    assert torch.allclose(held["negative_soft_maximum"], 0.2 * (scores / 0.2).exp().mean(1).log())
    cold = score_statistics(query, key, bank, temperature=1e-4)["negative_soft_maximum"]
    assert torch.allclose(cold, scores.amax(1), atol=1e-3)
    assert torch.equal(score_statistics(query, key, bank[:1], temperature=0.2)["negative_variance"], torch.zeros(6))


def test_without_either_it_is_moco(build) -> None:
    learner, moco = build(SLUG, positives=False, negatives=False), build("moco-v2")
    moco.queue.load_state_dict(learner.queue.state_dict())
    ours = objective(learner)
    assert torch.allclose(ours.loss, objective(moco).loss)
    assert all(torch.equal(ours.logs[n], ours.logs[f"plain_{n}"]) for n in ours.logs if not n.startswith("plain_"))


def test_positives_get_harder_and_negatives_more_alike(build) -> None:
    learner = build(SLUG)
    for written in range(5):
        learner.queue.written.fill_(written)
        logs = objective(learner).logs
        assert logs["positive_score"] < logs["plain_positive_score"]
    only = objective(build(SLUG, positives=False)).logs
    assert only["negative_variance"] < only["plain_negative_variance"]
    assert torch.equal(only["positive_score"], only["plain_positive_score"])


@pytest.mark.parametrize("by_dimension", ["none", "positives", "negatives", "both"])
def test_what_is_drawn_belongs_to_the_step_and_the_sample(build, by_dimension) -> None:
    learner, z, ids = build(SLUG, by_dimension=by_dimension), drawn(), torch.arange(4)
    first, order = objective(learner, z, ids).loss, torch.tensor([2, 0, 3, 1])
    assert torch.allclose(objective(learner, {k: v[order] for k, v in z.items()}, ids[order]).loss, first)
    by_sample = by_dimension in ("positives", "both")
    assert torch.allclose(objective(learner, z, ids + 10).loss, first) is not by_sample
    learner.queue.written += 4  # the next step draws anew
    assert not torch.allclose(objective(learner, z, ids).loss, first)


def test_gradient_flows_through_both_moved_points_and_not_through_the_key(build) -> None:
    learner, z = build(SLUG, negatives=False), drawn()
    z = {name: value.requires_grad_() for name, value in z.items()}
    objective(learner, z).loss.backward()
    assert z["key"].grad is None
    assert z["query"].grad.abs().sum() > 0
    assert learner.queue.rows.grad is None


def test_the_queue_keeps_the_original_keys(build, batch, train) -> None:
    learner = build(SLUG, queue_size=20)
    out = train(learner, batch())
    assert torch.allclose(out.carry["key"].norm(dim=1), torch.ones(8))
    assert torch.equal(learner.queue.read()[:8], out.carry["key"])


def test_a_page_draws_scores_with_and_without_the_transformation_together(build) -> None:
    logs = {name: float(value) for name, value in objective(build(SLUG)).logs.items()}
    events = [{"event": "step", "step": s, "epoch": s / 5, "loss": 1.0, **logs} for s in (1, 2, 3)]
    drawn_together = [[one["name"] for one in chart["lines"]] for chart in charts.curves(events, {})]
    pairs = [lines for lines in drawn_together if len(lines) == 2]
    assert len(pairs) == len(logs) / 2 == 5
    assert ["Score of positives", "Score of positives, not transformed"] in pairs


@pytest.mark.parametrize("name", ["positive_alpha", "negative_alpha"])
def test_shapes_of_no_use_are_refused(build, name) -> None:
    with pytest.raises(InputError, match=name):
        build(SLUG, **{name: 0.5})
