"""MoCHi: what is mixed, when, and what must not be."""

import torch
from torch.nn.functional import normalize

from likewise.core.batch import Batch
from likewise.core.comm import Collective
from likewise.core.learner import Context
from likewise.functional import mix_with_query
from likewise.functional.metrics import nearest


def filled(build, **settings):
    learner = build("mochi", **{"queue_size": 30, "hard": 6, "dim": 5, "norm_groups": 1, **settings})
    learner.queue.write(normalize(torch.randn(30, 5), dim=1), torch.arange(30))
    learner.mixing.fill_(True)
    return learner


def drawn(n=4, dim=5):
    return {name: torch.randn(n, dim, dtype=torch.float64) for name in ("query", "key")}


def objective(learner, z, ids):
    return learner.objective(z, Batch({}, ids), Collective())


def test_without_synthetic_points_it_is_moco(build) -> None:
    learner, moco = filled(build, pairs=0, with_query=0), build("moco-v2", queue_size=30, dim=5)
    moco.queue.load_state_dict(learner.queue.state_dict())
    z, ids = drawn(), torch.arange(100, 104)  # nobody of the queue
    assert torch.allclose(objective(learner, z, ids).loss, objective(moco, z, ids).loss)


def test_mixing_starts_after_the_warm_up(build) -> None:
    learner = filled(build, warmup_epochs=2)
    for epoch, expected in ((0, False), (1, False), (2, True), (3, True)):
        learner.on_epoch(Context(0, 10, epoch, 5, Collective()))
        assert bool(learner.mixing) is expected
    z, ids = drawn(), torch.arange(100, 104)
    harder = objective(learner, z, ids).loss
    learner.mixing.fill_(False)
    assert harder > objective(learner, z, ids).loss  # more negatives in the denominator


def test_own_rows_of_the_queue_are_neither_negatives_nor_mixed(build) -> None:
    """Rows of the query's own sample may lie anywhere: the loss does not move."""
    learner, z = filled(build), drawn()
    ids = torch.full((4,), 3)
    first = objective(learner, z, ids)
    learner.queue.rows[3] = normalize(z["query"][0].float(), dim=0)  # as hard as can be
    assert torch.equal(objective(learner, z, ids).loss, first.loss)
    someone_else = torch.full((4,), 99)
    assert objective(learner, z, someone_else).loss > first.loss


def test_what_is_drawn_belongs_to_the_sample(build) -> None:
    learner, z, ids = filled(build), drawn(), torch.arange(100, 104)
    order = torch.tensor([2, 0, 3, 1])
    shuffled = objective(learner, {k: v[order] for k, v in z.items()}, ids[order])
    assert torch.allclose(shuffled.loss, objective(learner, z, ids).loss)
    before = objective(learner, z, ids).loss
    learner.queue.written += 4  # the next step draws anew
    assert objective(learner, z, ids).loss != before


def test_gradient_reaches_the_query_alone(build) -> None:
    learner, z = filled(build), drawn()
    z = {name: value.requires_grad_() for name, value in z.items()}
    objective(learner, z, torch.arange(100, 104)).loss.backward()
    assert z["key"].grad is None
    assert z["query"].grad.abs().sum() > 0
    assert learner.queue.rows.grad is None


def test_points_mixed_with_the_query_are_nearer_to_it_than_their_source() -> None:
    torch.manual_seed(0)
    query, queue = (normalize(torch.randn(n, 8, dtype=torch.float64), dim=1) for n in (5, 40))
    hard = queue[nearest(query, queue, 10)[1]]
    pick, share = torch.randint(10, (5, 30)), torch.rand(5, 30, dtype=torch.float64) / 2
    points = mix_with_query(query, hard, pick, share)
    source = torch.einsum("nd,nhd->nh", query, hard).gather(1, pick)
    assert (torch.einsum("nd,nsd->ns", query, points) > source).all()
    assert torch.allclose(points.norm(dim=2), torch.ones(5, 30, dtype=torch.float64))


def test_keys_are_enqueued_with_whose_they_are(build, batch, train) -> None:
    learner = build("mochi", queue_size=12, hard=4)
    train(learner, batch(0, n=8, first=20))
    assert learner.queue.ids.tolist() == [*range(20, 28), -1, -1, -1, -1]
