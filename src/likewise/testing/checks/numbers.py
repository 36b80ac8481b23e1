"""Losses and gradients stay finite, and mean the same in any precision."""

import time
from collections.abc import Callable

import torch
from torch import Tensor

from likewise.core.batch import Batch
from likewise.core.card import Card
from likewise.testing.contract import check, learners_only, rows_alone
from likewise.testing.subject import ALONE, Outcome, Subject, alike, expect, finite, leaves

SLOWEST = 1.0
"""Seconds of processor time that a tiny step may take, on any machine."""


@check()
def rows_are_embedded(subject: Subject) -> None:
    """``encode`` gives a finite row per sample under every name."""
    learner, batch = subject.learner(), subject.batch()
    for phase in learner.phases():
        for name, value in phase.encode(batch).items():
            expect(len(value) == len(batch), f"z[{name!r}] has {len(value)} rows for {len(batch)} samples")
            expect(value.isfinite().all(), f"z[{name!r}] is not finite")


@check()
def loss_is_a_finite_scalar(subject: Subject) -> None:
    """The loss is one finite float32 number with a gradient; logs are finite scalars, carried tensors are detached."""
    learner, batch = subject.learner(), subject.batch()
    for phase in learner.phases():
        step = phase.objective(phase.encode(batch), batch, ALONE)
        expect(step.loss.shape == (), f"the loss has shape {tuple(step.loss.shape)}")
        expect(step.loss.dtype == torch.float32, f"the loss is {step.loss.dtype}")
        expect(step.loss.requires_grad, "the loss has no gradient")
        for name, value in step.logs.items():
            expect(torch.as_tensor(value).numel() == 1, f"log {name!r} is no scalar")
            expect(torch.as_tensor(value).isfinite().all(), f"log {name!r} is {float(value)}")
            expect(not torch.as_tensor(value).requires_grad, f"log {name!r} keeps the graph alive: detach it")
        attached = [name for name, value in step.carry.items() if value.requires_grad]
        expect(not attached, f"carried tensors keep the graph alive: {', '.join(attached)}")
    finite(subject.turns(learner, batch), "a plain batch")


@check()
def every_weight_learns(subject: Subject) -> None:
    """``groups`` holds every trainable weight once, the phases move all of them, and a gradient reaches each."""
    learner = subject.learner()
    groups = learner.groups()
    held = [id(p) for group in groups.values() for p in group]
    names = {id(p): n for n, p in learner.named_parameters()}
    trainable = {id(p) for p in learner.parameters() if p.requires_grad}
    expect(len(held) == len(set(held)), "a weight is in two groups, or twice in one")
    lost = [names[i] for i in trainable - set(held)]
    expect(not lost, f"in no group: {', '.join(lost[:3])}")
    frozen = [names.get(i, "a weight of something else") for i in set(held) - trainable]
    expect(not frozen, f"in a group, but not trainable: {', '.join(frozen[:3])}")
    moved = {name for phase in learner.phases() for name in phase.groups}
    expect(moved == set(groups), f"no phase moves the groups {', '.join(sorted(set(groups) - moved))}")
    unreached = {names[i] for i in trainable}
    for number in range(3):
        for out in subject.advance(learner, subject.batch(first=number * subject.size)):
            unreached -= {n for n, g in out.grads.items() if g is not None and bool(g.any())}
    expect(not unreached, f"no gradient reached {', '.join(sorted(unreached)[:3])} in 3 steps")


def _needs_labels(card: Card) -> str:
    return learners_only(card) or ("it needs labels" if "labels" in card.traits.needs else "")


@check(_needs_labels)
def labels_are_ignored(subject: Subject) -> None:
    """A method that needs no labels gives the same loss for other labels, and without any."""
    learner, batch = subject.learner(), subject.batch()
    expected = [float(o.step.loss) for o in subject.turns(learner, batch)]
    other = None if batch.labels is None else batch.labels.flip(0)
    for labels in (other, None):
        changed_batch = Batch(batch.views, batch.ids, labels, batch.extra)
        found = [float(o.step.loss) for o in subject.turns(learner, changed_batch)]
        expect(found == expected, f"the loss depends on the labels: {found}, {expected} before")


@check(rows_alone)
def smallest_batch_works(subject: Subject) -> None:
    """A batch of the smallest size works; a smaller one is refused with a ValueError or has a finite loss."""
    least = subject.card.traits.min_batch
    finite(subject.turns(subject.learner(), subject.batch(least)), f"a batch of {least}")
    for n in range(1, least):
        try:
            outcomes = subject.turns(subject.learner(rowwise=True), subject.batch(n))
        except ValueError:
            continue
        finite(outcomes, f"a batch of {n}")


@check(rows_alone)
def repeated_samples_are_harmless(subject: Subject) -> None:
    """A batch with each sample twice has a finite loss and gradient."""
    batch = subject.batch()
    twice = torch.arange(len(batch)) // 2
    finite(subject.turns(subject.learner(), batch.rows(twice)), "a batch with each sample twice")
    first = torch.zeros(len(batch), dtype=torch.int64)
    finite(subject.turns(subject.learner(), batch.rows(first)), "a batch of one sample repeated")


@check()
def identical_rows_are_harmless(subject: Subject) -> None:
    """Different samples that look the same give a finite loss and gradient."""
    batch = subject.batch()
    views = {role: alike(view) for role, view in batch.views.items()}
    same = Batch(views, batch.ids, batch.labels, batch.extra)
    finite(subject.turns(subject.learner(), same), "a batch of identical rows")


@check()
def one_label_is_harmless(subject: Subject) -> None:
    """A batch of a single class, and one where every sample has a class of its own, give a finite loss and gradient."""
    batch = subject.batch()
    for labels, what in (
        (torch.zeros_like(batch.ids), "one class"),
        (torch.arange(len(batch)), "as many classes as rows"),
    ):
        finite(
            subject.turns(subject.learner(), Batch(batch.views, batch.ids, labels, batch.extra)), f"a batch of {what}"
        )


@check()
def extreme_embeddings_are_harmless(subject: Subject) -> None:
    """Embeddings that are huge, tiny, all equal or all zero give a finite loss and gradient."""
    learner, batch = subject.learner(), subject.batch()
    changes: dict[str, Callable[[Tensor], Tensor]] = {
        "10,000 times as long": lambda t: t * 1e4,
        "10,000 times as short": lambda t: t * 1e-4,
        "all equal": lambda t: t[:1].expand_as(t).clone(),
        "all zero": torch.zeros_like,
    }
    for phase in learner.phases():
        z = phase.encode(batch)
        for what, change in changes.items():
            inputs = leaves(z, change)
            step = phase.objective(inputs, batch, ALONE)
            step.loss.backward()  # type: ignore[no-untyped-call]
            grads = {f"z[{k!r}]": v.grad for k, v in inputs.items()}
            finite([Outcome(inputs, step, grads)], f"embeddings {what}")


@check()
def half_precision_is_close(subject: Subject) -> None:
    """Under bfloat16 autocast the loss is close to float32's, and the equations still run in float32."""
    learner, batch = subject.learner(), subject.batch()
    for phase in learner.phases():
        torch.manual_seed(7)
        z = phase.encode(batch)
        full = phase.objective(z, batch, ALONE).loss.detach()
        torch.manual_seed(7)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            low = phase.encode(batch)
        wide = {k: v.float() if v.is_floating_point() else v for k, v in low.items()}
        mixed = phase.objective(wide, batch, ALONE).loss.detach()
        allowed = 0.1 * max(1.0, abs(float(full)))
        expect(
            abs(float(mixed - full)) <= allowed, f"loss {float(mixed):.4g} in bfloat16, {float(full):.4g} in float32"
        )
        with torch.autocast("cpu", dtype=torch.bfloat16):
            inside = phase.objective(wide, batch, ALONE).loss.detach()
        expect(inside.dtype == torch.float32, f"the objective computes in {inside.dtype} inside autocast")
        error = abs(float(inside - mixed))
        expect(error <= 1e-4 * max(1.0, abs(float(mixed))), f"autocast reaches into the equation: off by {error:.2g}")


@check()
def double_stays_double(subject: Subject) -> None:
    """In float64 everything stays float64."""
    learner, batch = subject.learner(double=True), subject.batch(double=True)
    for out in subject.turns(learner, batch):
        expect(out.step.loss.dtype == torch.float64, f"the loss is {out.step.loss.dtype}")
        single = [name for name, value in out.z.items() if value.dtype == torch.float32]
        expect(not single, f"float32 in float64: z of {', '.join(single)}")


@check()
def a_tiny_step_is_quick(subject: Subject) -> None:
    """A step of the tiny recipe takes well under a second."""
    learner, batch = subject.learner(), subject.batch(int(subject.plan.recipe.batch))
    times = []
    for _ in range(3):
        start = time.process_time()
        subject.advance(learner, batch)
        times.append(time.process_time() - start)
    expect(min(times) < SLOWEST, f"a tiny step takes {min(times):.2f} s")
