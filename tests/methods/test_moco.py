"""MoCo v2 and v3: the order of keys, loss, momentum and queue."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from likewise.core.batch import Batch
from likewise.core.comm import Collective
from likewise.parts.momentum import Momentum


def project(learner, view: torch.Tensor) -> torch.Tensor:
    return learner.head(learner.encoder(view))


def test_moco_v2_by_loops(build) -> None:
    n, tau = 5, 0.3
    learner = build("moco-v2", temperature=tau, queue_size=7, dim=4)
    z = {name: torch.randn(n, 4, dtype=torch.float64) for name in ("query", "key")}
    q, k = normalize(z["query"], dim=1), normalize(z["key"], dim=1)
    queue = learner.queue.read().double()
    loss = 0.0
    for i in range(n):
        positive = float(q[i] @ k[i]) / tau
        negatives = sum(math.exp(float(q[i] @ row) / tau) for row in queue)
        loss -= positive - math.log(math.exp(positive) + negatives)
    found = learner.objective(z, Batch({}, torch.arange(n)), Collective()).loss
    assert float(found) == pytest.approx(loss / n, abs=1e-6)


def test_moco_v2_steps_in_the_order_of_the_card(build, batch, train) -> None:
    """Keys by the teacher before its update, loss on the old queue, then momentum, then the keys into the queue."""
    learner, rows = build("moco-v2", queue_size=20, norm_groups=1, momentum=0.9), batch(0, n=8)
    queue, teacher = learner.queue.read().clone(), [p.clone() for p in learner.teacher.parameters()]
    q = normalize(project(learner, rows.views["a"]), dim=1).detach()
    k = normalize(learner.teacher(rows.views["b"]), dim=1)
    logits = torch.cat([(q * k).sum(1, keepdim=True), q @ queue.T], dim=1) / 0.2
    expected = torch.nn.functional.cross_entropy(logits, torch.zeros(8, dtype=torch.int64))

    out = train(learner, rows)
    assert out.loss.item() == pytest.approx(float(expected), abs=1e-5)
    now = [*learner.encoder.parameters(), *learner.head.parameters()]
    for old, new, moved in zip(teacher, now, learner.teacher.parameters(), strict=True):
        assert torch.allclose(moved, 0.9 * old + 0.1 * new, atol=1e-7)
    assert torch.allclose(learner.queue.read()[:8], k, atol=1e-6)
    assert torch.equal(learner.queue.read()[8:], queue[8:])


def test_moco_v2_queue_wraps_and_keeps_the_newest_keys(build, batch, train) -> None:
    learner, keys = build("moco-v2", queue_size=12), []
    for step in range(3):
        keys.append(train(learner, batch(step, n=8), step).carry["key"])
    newest = torch.cat(keys)[-12:]
    held = learner.queue.read()
    assert len(learner.queue) == 12
    assert torch.equal(held[torch.arange(12, 24) % 12], newest)


def test_moco_v2_enqueues_everybodys_keys(build, batch, train, doubled) -> None:
    learner = build("moco-v2", queue_size=20)
    key = train(learner, batch(n=8), comm=doubled).carry["key"]
    assert torch.equal(learner.queue.read()[:16], torch.cat([key, key]))
    assert len(learner.queue) == 16


def test_moco_v2_keys_are_shuffled_between_norm_groups_and_queries_are_not(build, batch) -> None:
    learner, rows = build("moco-v2", norm_groups=2), batch(n=8)
    torch.manual_seed(1)
    first = learner.encode(rows)
    again = learner.encode(rows)
    assert torch.equal(first["query"], again["query"])
    assert not torch.allclose(first["key"], again["key"])
    halves = [project(learner, rows.views["a"][part]) for part in (slice(0, 4), slice(4, 8))]
    assert torch.allclose(first["query"], torch.cat(halves), atol=1e-6)


def test_moco_v3_by_loops(build) -> None:
    n, tau = 5, 0.4
    learner = build("moco-v3", temperature=tau)
    z = {name: torch.randn(n, 4, dtype=torch.float64) for name in ("query_a", "query_b", "key_a", "key_b")}
    u = {name: normalize(value, dim=1) for name, value in z.items()}
    loss = 0.0
    for q, k in (("query_a", "key_b"), ("query_b", "key_a")):
        for i in range(n):
            log_sum = math.log(sum(math.exp(float(u[q][i] @ u[k][j]) / tau) for j in range(n)))
            loss -= 2 * tau * (float(u[q][i] @ u[k][i]) / tau - log_sum) / n
    assert float(learner.objective(z, Batch({}, torch.arange(n)), Collective()).loss) == pytest.approx(loss, abs=1e-9)


def test_moco_v3_queries_pass_the_predictor_and_keys_do_not(build, batch) -> None:
    learner, rows = build("moco-v3"), batch()
    z = learner.encode(rows)
    assert torch.equal(z["query_b"], learner.predictor(project(learner, rows.views["b"])))
    assert torch.equal(z["key_b"], learner.teacher(rows.views["b"]))
    assert not z["key_b"].requires_grad


def test_moco_v3_keys_are_those_of_code_that_moves_the_teacher_first(build, batch, train) -> None:
    learner, steps = build("moco-v3", momentum=0.5), 4
    theirs = Momentum(learner.encoder, learner.head, momentum=0.5, final=1.0)
    for step in range(steps):
        rows = batch(step)
        # the released code: momentum update with this step's m, then the keys
        theirs.update(learner.encoder, learner.head, progress=step / steps)
        assert torch.allclose(learner.teacher(rows.views["a"]), theirs(rows.views["a"]), atol=1e-5)
        train(learner, rows, step, steps)


@pytest.mark.parametrize("slug", ["moco-v2", "moco-v3"])
def test_no_gradient_flows_into_the_keys(slug, build) -> None:
    learner = build(slug, dim=4)
    names = ("query", "key") if slug == "moco-v2" else ("query_a", "query_b", "key_a", "key_b")
    z = {name: torch.randn(5, 4, requires_grad=True) for name in names}
    loss = learner.objective(z, Batch({}, torch.arange(5)), Collective()).loss
    grads = dict(zip(names, torch.autograd.grad(loss, list(z.values()), allow_unused=True)))
    assert all((grad is None) == name.startswith("key") for name, grad in grads.items())
