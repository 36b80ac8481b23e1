"""What a learner keeps, when it changes, and that all of it is saved."""

import random
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from likewise.core.batch import Batch
from likewise.core.card import Card
from likewise.testing.contract import check, learners_only
from likewise.testing.subject import Subject, changed, expect
from likewise.train import checkpoint


def _statistics(learner: nn.Module) -> set[str]:
    """Names of the running statistics of batch norms, which change with every training pass."""
    kind = nn.modules.batchnorm._NormBase
    norms = [(name, m) for name, m in learner.named_modules() if isinstance(m, kind)]
    return {f"{name}.{buffer}" for name, m in norms for buffer, _ in m.named_buffers()}


def _copy(learner: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in learner.state_dict().items()}


def _differing(before: dict[str, Tensor], after: dict[str, Tensor]) -> list[str]:
    return [n for n in before if not torch.equal(before[n], after[n])]


def _global_state() -> dict[str, Any]:
    kind, keys, *place = np.random.get_state(legacy=True)  # noqa: NPY002 - the generator that others share
    return {
        "Python's random numbers": random.getstate(),
        "NumPy's random numbers": (kind, keys.tolist(), place),  # type: ignore[union-attr]
        "the default dtype": torch.get_default_dtype(),
        "gradient mode": torch.is_grad_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "deterministic mode": torch.are_deterministic_algorithms_enabled(),
        "the number of threads": torch.get_num_threads(),
    }


@check()
def memory_changes_after_the_update_alone(subject: Subject) -> None:
    """Encoding and the objective change no state but batch norm's statistics: queues and teachers move afterwards."""
    learner, batch = subject.learner(), subject.batch()
    before = _copy(learner)
    subject.turns(learner, batch)
    moved = set(_differing(before, _copy(learner))) - _statistics(learner)
    expect(not moved, f"changed by encode or objective: {', '.join(sorted(moved)[:3])}")


def _without_memory(card: Card) -> str:
    return learners_only(card) or ("" if card.traits.memory else "it keeps nothing beside its weights")


@check(_without_memory)
def memory_moves(subject: Subject) -> None:
    """A method that says it has a memory has state beside its weights, and a step moves some of it."""
    learner, batch = subject.learner(), subject.batch()
    trained = {name for name, p in learner.named_parameters() if p.requires_grad}
    before = _copy(learner)
    learner.on_epoch(subject.context(step=subject.steps - 2))
    subject.advance(learner, batch, rate=0.1)
    moved = set(_differing(before, _copy(learner))) - _statistics(learner) - trained
    expect(bool(moved), f"no state moved, though the card lists {', '.join(subject.card.traits.memory)}")


def _with_memory(card: Card) -> str:
    return learners_only(card) or ("it has a memory" if card.traits.memory else "")


@check(_with_memory)
def memory_is_on_the_card(subject: Subject) -> None:
    """A method whose card lists no memory keeps no state beside weights and batch norm's statistics."""
    learner = subject.learner()
    trained = {name for name, p in learner.named_parameters() if p.requires_grad}
    before = _copy(learner)
    subject.advance(learner, subject.batch(), rate=0.1)
    moved = set(_differing(before, _copy(learner))) - _statistics(learner) - trained
    expect(not moved, f"the card lists no memory, but a step moves {', '.join(sorted(moved)[:3])}")


@check()
def encoding_touches_nothing_else(subject: Subject) -> None:
    """A step leaves the batch, global settings, and the generators of Python and NumPy as they were."""
    learner, batch = subject.learner(), subject.batch()
    before = _global_state()
    modes = {name: m.training for name, m in learner.named_modules()}
    kept: list[tuple[Tensor, Tensor]] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append((tensor, tensor.clone()))
        return tensor

    for view in batch.views.values():
        changed(view, keep)
    held = [t for t in (batch.ids, batch.labels) if t is not None]
    kept += [(t, t.clone()) for t in held]
    subject.advance(learner, batch)
    expect(all(torch.equal(now, then) for now, then in kept), "a step changed the batch in place")
    after = _global_state()
    other = [name for name in before if before[name] != after[name]]
    expect(not other, f"a step changed {', '.join(other)}")
    switched = [name for name, m in learner.named_modules() if m.training != modes[name]]
    expect(not switched, f"a step switched training mode of {', '.join(switched[:3])}")


@check()
def a_seed_decides_everything(subject: Subject) -> None:
    """The same seed gives the same loss, gradient and state, to the last bit."""
    found = []
    for _ in range(2):
        learner = subject.learner()
        outcomes = subject.advance(learner, subject.batch())
        found.append((outcomes, _copy(learner)))
    (first, state), (second, other) = found
    for a, b in zip(first, second, strict=True):
        expect(torch.equal(a.step.loss, b.step.loss), f"losses {float(a.step.loss)} and {float(b.step.loss)}")
    expect(not (names := _differing(state, other)), f"another {', '.join(names[:3])} the second time")


@check()
def an_epoch_begins_alike(subject: Subject) -> None:
    """``on_epoch`` draws from a generator of its own, so that processes and resumed runs agree."""
    states = []
    for seed in (1, 2):
        learner = subject.learner()
        torch.manual_seed(seed)
        learner.on_epoch(subject.context(subject.steps - 1))
        states.append(_copy(learner))
    names = _differing(*states)
    expect(not names, f"{', '.join(names[:3])} depends on the global generator")


@check()
def everything_is_saved(subject: Subject) -> None:
    """Saved and loaded into a fresh learner, the next steps are the same to the last bit."""
    learner = subject.learner()
    subject.advance(learner, subject.batch(), step=subject.steps - 2)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint.save(Path(folder), 1, {"learner": learner.state_dict()})
        state = checkpoint.load_step(Path(folder), 1)["learner"]
    with torch.random.fork_rng():
        torch.manual_seed(subject.seed + 1)
        fresh = subject.plan.recipe.learner.build(**subject.plan.facts).train()
    fresh.attach(subject.dataset.shared)
    checkpoint.load_weights(fresh, state, "the checkpoint")
    shared = [(n, m) for n, m in _shared(learner).items() if _shared(fresh).get(n) != m]
    expect(not shared, f"weights that were one are two after loading: {shared[:1]}")
    for number in (1, 2):
        batch: Batch = subject.batch(first=number * subject.size)
        ours, theirs = subject.advance(learner, batch), subject.advance(fresh, batch)
        for a, b in zip(ours, theirs, strict=True):
            loss, expected = float(b.step.loss), float(a.step.loss)
            expect(loss == expected, f"loss {loss:.9g} after loading, {expected:.9g} without: some state is not saved")
    names = _differing(_copy(learner), _copy(fresh))
    expect(not names, f"after loading, another {', '.join(names[:3])}")


def _shared(learner: nn.Module) -> dict[str, str]:
    """Parameter name -> the first name of the same tensor."""
    first: dict[int, str] = {}
    return {n: first.setdefault(id(p), n) for n, p in learner.named_parameters(remove_duplicate=False)}
