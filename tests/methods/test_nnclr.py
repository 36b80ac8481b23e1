"""NNCLR: whose neighbour is the positive, and when the queue changes."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from likewise.core.batch import Batch
from likewise.core.comm import Collective

NAMES = ("projection_a", "projection_b", "prediction_a", "prediction_b")


def test_by_loops(build) -> None:
    n, tau = 5, 0.3
    learner = build("nnclr", temperature=tau, queue_size=9, dim=4)
    z = {name: torch.randn(n, 4, dtype=torch.float64) for name in NAMES}
    u, queue = {name: normalize(value, dim=1) for name, value in z.items()}, learner.queue.read().double()
    loss = 0.0
    for of, by in (("projection_a", "prediction_b"), ("projection_b", "prediction_a")):
        for i in range(n):
            neighbour = max(queue, key=lambda row: float(row @ u[of][i]))
            log_sum = math.log(sum(math.exp(float(neighbour @ u[by][j]) / tau) for j in range(n)))
            loss -= (float(neighbour @ u[by][i]) / tau - log_sum) / n / 2
    found = learner.objective(z, Batch({}, torch.arange(n)), Collective()).loss
    assert float(found) == pytest.approx(loss, abs=1e-6)


def test_neighbours_come_from_the_queue_before_it_takes_the_batch(build, batch, train) -> None:
    learner, rows = build("nnclr", queue_size=20), batch(n=8)
    before = learner.queue.read().clone()
    z = learner.encode(rows)
    with torch.no_grad():
        expected = learner.objective(z, rows, Collective()).loss
    out = train(learner, rows)
    assert out.loss.item() == pytest.approx(float(expected), abs=1e-6)
    # with the batch in the queue every row would have been its own nearest neighbour
    assert torch.allclose(learner.queue.read()[:8], normalize(z["projection_a"], dim=1), atol=1e-6)
    assert torch.equal(learner.queue.read()[8:], before[8:])
    with torch.no_grad():
        own = learner._neighbour(z["projection_a"])
    assert torch.allclose(own, normalize(z["projection_a"], dim=1), atol=1e-6)


def test_the_queue_takes_everybodys_projections_of_the_first_view(build, batch, train, doubled) -> None:
    learner = build("nnclr", queue_size=20)
    taken = train(learner, batch(n=8), comm=doubled).carry["projection"]
    assert torch.equal(learner.queue.read()[:16], torch.cat([taken, taken]))


def test_gradient_reaches_predictions_only(build) -> None:
    z = {name: torch.randn(5, 4, requires_grad=True) for name in NAMES}
    loss = build("nnclr", dim=4).objective(z, Batch({}, torch.arange(5)), Collective()).loss
    grads = dict(zip(NAMES, torch.autograd.grad(loss, list(z.values()), allow_unused=True)))
    assert all((grad is None) == name.startswith("projection") for name, grad in grads.items())
