"""SwAV: balanced codes, which crops predict which, frozen prototypes, the queue, crops of several sizes."""

import pytest
import torch
from torch.nn.functional import normalize

from likewise.core.batch import Batch
from likewise.core.comm import Collective
from likewise.core.errors import InputError
from likewise.core.learner import Context
from likewise.functional import sinkhorn, swapped_prediction


def context(step=0, epoch=0):
    return Context(step, 10, epoch, 5, Collective())


def crops(n=8, local=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    sizes = {"a": 16, "b": 16} | {f"local{i}": 8 for i in range(local)}
    views = {role: torch.randn(n, 1, size, size, generator=generator) for role, size in sizes.items()}
    return Batch(views, torch.arange(n))


def scores(n=60, k=6, seed=0):
    """Of samples that all like the first prototype best."""
    generator = torch.Generator().manual_seed(seed)
    out = torch.rand(n, k, generator=generator, dtype=torch.float64) * 0.3
    out[:, 0] += 0.5
    return out


def by_the_paper(score, epsilon, iterations):
    """Alternating normalisation of the exponentials, as the paper's appendix A.1 writes it."""
    q = (score / epsilon).exp().T
    q /= q.sum()
    for _ in range(iterations):
        q /= q.sum(1, keepdim=True) * q.shape[0]
        q /= q.sum(0, keepdim=True) * q.shape[1]
    return (q * q.shape[1]).T


@pytest.mark.parametrize("iterations", [1, 3, 10])
def test_codes_are_those_of_alternating_normalisation(iterations) -> None:
    found = sinkhorn(scores(), epsilon=0.05, iterations=iterations)
    assert torch.allclose(found, by_the_paper(scores(), 0.05, iterations), rtol=1e-9)
    assert torch.allclose(found.sum(1), torch.ones(60, dtype=torch.float64))


def test_rounds_spread_samples_over_prototypes_where_a_softmax_collapses() -> None:
    def peak(iterations):
        usage = sinkhorn(scores(), epsilon=0.05, iterations=iterations).mean(0)
        return float(usage.max() / usage.mean())

    assert peak(0) > 5.5
    assert peak(3) < 1.5


def test_codes_survive_a_tiny_epsilon() -> None:
    assert sinkhorn(scores().float(), epsilon=1e-4, iterations=3).isfinite().all()


def test_a_bank_or_other_processes_join_the_balance(doubled) -> None:
    whole, settings = scores(), {"epsilon": 0.05, "iterations": 3}
    alone = sinkhorn(whole, **settings)[:20]
    assert torch.allclose(sinkhorn(whole[:20], whole[20:], **settings), alone)
    assert not torch.allclose(sinkhorn(whole[:20], **settings), alone, rtol=1e-3)
    twice = sinkhorn(torch.cat([whole, whole]), **settings)
    assert torch.allclose(sinkhorn(whole, comm=doubled, **settings), twice[:60])


def test_every_other_view_predicts_each_code() -> None:
    torch.manual_seed(0)
    views = [normalize(torch.randn(5, 4, dtype=torch.float64), dim=1) for _ in range(4)]
    prototypes = normalize(torch.randn(3, 4, dtype=torch.float64), dim=1)
    codes = [torch.rand(5, 3, dtype=torch.float64).softmax(1) for _ in range(2)]
    terms = [
        -(codes[a] * (views[v] @ prototypes.T / 0.1).log_softmax(1)).sum(1)
        for a in range(2)
        for v in range(4)
        if v != a
    ]
    assert torch.allclose(swapped_prediction(views, codes, prototypes, temperature=0.1), sum(terms) / 6)


def test_one_view_predicts_nothing() -> None:
    with pytest.raises(InputError, match="two views"):
        swapped_prediction([torch.ones(2, 3)], [torch.ones(2, 3)], torch.ones(3, 3), temperature=0.1)


def test_crops_of_one_size_go_through_the_encoder_together(build) -> None:
    learner, seen = build("swav"), []
    learner.encoder.register_forward_hook(lambda module, inputs, out: seen.append(tuple(inputs[0].shape)))
    z = learner.encode(crops())
    assert seen == [(16, 1, 16, 16), (16, 1, 8, 8)]
    assert list(z) == ["a", "b", "local0", "local1"]


def test_small_crops_predict_and_are_never_predicted(build) -> None:
    learner = build("swav")
    z = {role: value.detach().requires_grad_() for role, value in learner.encode(crops()).items()}
    learner.objective(z, crops(), Collective()).loss.backward()
    assert all(value.grad.abs().sum() > 0 for value in z.values())
    changed = {**z, "local0": -z["local0"]}
    codes_alike = [learner.objective(rows, crops(), Collective()).logs["peak_usage"] for rows in (z, changed)]
    assert torch.equal(*codes_alike)


def test_prototypes_are_frozen_at_first_and_unit_always(build, train) -> None:
    learner = build("swav", frozen_steps=2)
    learner.on_epoch(context())
    start = learner.prototypes.detach().clone()
    for step, moved in ((0, False), (1, False), (2, True)):
        train(learner, crops(seed=step), step)
        assert (learner.prototypes.grad is not None) is moved
        assert torch.allclose(learner.prototypes, start, atol=1e-6) is not moved
        assert torch.allclose(learner.prototypes.norm(dim=1), torch.ones(12))


def test_the_queue_fills_from_its_epoch_on_and_counts_once_it_is_full(build, train) -> None:
    learner = build("swav", queue_size=16, queue_epoch=1)
    learner.on_epoch(context(epoch=0))
    train(learner, crops())
    assert len(learner.queue) == 0
    learner.on_epoch(context(epoch=1))
    for step, rows in ((1, 8), (2, 16)):
        assert learner._held(learner.prototypes) is None
        out = train(learner, crops(seed=step), step)
        assert len(learner.queue) == rows
    held = learner._held(learner.prototypes)
    assert torch.equal(held[8:].flatten(1), out.carry["rows"])
    # codes are balanced over what is held, too
    z = learner.encode(crops(seed=3))
    full = learner.objective(z, crops(), Collective()).loss
    learner.queue.written.zero_()
    assert not torch.equal(full, learner.objective(z, crops(), Collective()).loss)


def test_without_a_queue_two_crops_are_enough(build, train, batch) -> None:
    learner = build("swav", queue_size=0)
    assert train(learner, batch()).loss.isfinite()


@pytest.mark.parametrize("settings", [{"prototypes": 1}, {"iterations": -1}, {"queue_size": -1}, {"epsilon": 0.0}])
def test_settings_without_a_meaning_are_refused(build, settings) -> None:
    with pytest.raises(InputError, match="swav"):
        build("swav", **settings)
