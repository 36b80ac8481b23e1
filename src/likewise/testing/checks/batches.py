"""What a method may and may not read of a batch."""

import torch
from torch import Tensor

from likewise.core.batch import Batch, count, rows
from likewise.core.card import Card
from likewise.core.learner import Step
from likewise.testing.contract import check, learners_only, rows_alone
from likewise.testing.subject import (
    ALONE,
    Outcome,
    Subject,
    close,
    expect,
    furthest,
    leaves,
    renumbered,
    same_gradients,
)
from likewise.train.caching import cached_gradients


def _ordered(card: Card) -> str:
    return rows_alone(card) or ("" if card.traits.permutable else "its loss depends on the order")


def _whole(card: Card) -> str:
    return rows_alone(card) or ("" if card.traits.cacheable else "its batch can't go through in parts")


def _no_graph(card: Card) -> str:
    return learners_only(card) or ("" if card.traits.whole else "its rows are no nodes of a graph")


@check(_ordered)
def order_does_not_matter(subject: Subject) -> None:
    """Another order of the batch gives the same loss, and each row the same gradient."""
    learner, batch = subject.learner(rowwise=True, double=True), subject.batch(double=True)
    order = torch.randperm(len(batch), generator=torch.Generator().manual_seed(3))
    for phase in learner.phases():
        z = phase.encode(batch)
        found = []
        for index in (torch.arange(len(batch)), order):
            inputs = leaves({name: value[index] for name, value in z.items()})
            torch.manual_seed(7)
            step = phase.objective(inputs, batch.rows(index), ALONE)
            step.loss.backward()  # type: ignore[no-untyped-call]
            found.append((step.loss.detach(), inputs))
        (loss, plain), (other, shuffled) = found
        expect(close(other, loss, 1e-9), f"loss {float(other):.12g} in another order, {float(loss):.12g} in this one")
        for name, value in plain.items():
            if value.grad is not None:
                theirs = shuffled[name].grad
                assert theirs is not None
                same = close(theirs, value.grad[order], 1e-7)
                expect(same, f"another gradient of z[{name!r}] in another order: {furthest(theirs, value.grad[order])}")


@check(_whole)
def parts_give_the_whole_gradient(subject: Subject) -> None:
    """Gradient caching (``micro``) gives the loss and the gradient of the whole batch."""
    # norms as in evaluation: what is checked is encode and objective, not the statistics of parts
    learner, batch = subject.learner(rowwise=True, double=True), subject.batch(double=True)
    for phase in learner.phases():
        whole = subject.turn(learner, phase, batch, seed=5)

        def objective(z: dict[str, Tensor], phase: object = phase) -> Step:
            return phase.objective(z, batch, ALONE)  # type: ignore[attr-defined, no-any-return]

        def reseed(chunk: int) -> None:
            torch.manual_seed(5)

        step = cached_gradients(
            learner,
            batch,
            3,
            encode=phase.encode,
            objective=objective,
            backward=lambda loss: loss.backward(),  # type: ignore[no-untyped-call]
            reseed=reseed,
        )
        weights = dict(learner.named_parameters())
        grads = {name: weights[name].grad for name in whole.grads}
        same_gradients([Outcome({}, step, grads)], [whole], 1e-6, "in parts of 3 rows")
        learner.zero_grad(set_to_none=True)


@check(_no_graph)
def nodes_have_no_order(subject: Subject) -> None:
    """Other numbers for a graph's nodes give the same loss, and each node the same embeddings and gradient."""
    learner, batch = subject.learner(rowwise=True, double=True), subject.batch(double=True)
    order = torch.randperm(len(batch), generator=torch.Generator().manual_seed(3))
    labels = None if batch.labels is None else batch.labels[order]
    extra = {name: value[order] for name, value in batch.extra.items()}
    views = {role: renumbered(view, order) for role, view in batch.views.items()}
    other = Batch(views, batch.ids[order], labels, extra)
    for phase in learner.phases():
        found = []
        for seen in (batch, other):
            torch.manual_seed(7)
            inputs = leaves(phase.encode(seen))
            step = phase.objective(inputs, seen, ALONE)
            step.loss.backward()  # type: ignore[no-untyped-call]
            found.append((step.loss.detach(), inputs))
        (loss, plain), (again, moved) = found
        for name, value in plain.items():
            theirs, ours, grad = moved[name].detach(), value.detach()[order], moved[name].grad
            expect(close(theirs, ours, 1e-8), f"another z[{name!r}] in another order: {furthest(theirs, ours)}")
            if value.grad is not None:
                assert grad is not None
                same = close(grad, value.grad[order], 1e-7)
                expect(same, f"another gradient of z[{name!r}]: {furthest(grad, value.grad[order])}")
        expect(close(again, loss, 1e-9), f"loss {float(again):.12g} in another order, {float(loss):.12g} in this one")
    view, resting = subject.plain(len(batch)), subject.learner().eval()
    with torch.no_grad():
        whole, repeated, moved_z = resting.embed(view), resting.embed(view), resting.embed(renumbered(view, order))
    expect(whole.ndim == 2 and len(whole) == count(view), f"embed gives {tuple(whole.shape)} for {count(view)} nodes")
    expect(whole.isfinite().all(), "embed gives numbers that are not finite")
    expect(torch.equal(whole, repeated), "embed gives other numbers the second time")
    expect(close(moved_z, whole[order], 1e-4), f"embed depends on the order: {furthest(moved_z, whole[order])}")


@check(rows_alone)
def a_row_is_embedded_alone(subject: Subject) -> None:
    """In evaluation ``embed`` gives (n, dim) rows that depend on no other row and on no chance."""
    learner = subject.learner().eval()
    view = subject.plain(subject.size)
    with torch.no_grad():
        whole = learner.embed(view)
        again = learner.embed(view)
        part = learner.embed(rows(view, torch.tensor([2, 0])))
    n = count(view)
    expect(whole.ndim == 2 and len(whole) == n, f"embed gives {tuple(whole.shape)} for {n} rows")
    dim = getattr(getattr(learner, "encoder", None), "dim", whole.shape[1])
    expect(whole.shape[1] == dim, f"embed gives {whole.shape[1]} numbers, the encoder's dim is {dim}")
    expect(whole.isfinite().all(), "embed gives numbers that are not finite")
    expect(torch.equal(whole, again), "embed gives other numbers the second time")
    expect(
        close(part, whole[[2, 0]], 1e-4), f"a row's embedding depends on the others: {furthest(part, whole[[2, 0]])}"
    )


def _mixed(card: Card) -> str:
    return rows_alone(card) or ("" if card.traits.row_independent else "it has batch norm")


@check(_mixed)
def rows_do_not_mix(subject: Subject) -> None:
    """In training a row's embedding does not depend on the other rows."""
    learner, batch = subject.learner(double=True), subject.batch(double=True)
    for phase in learner.phases():
        torch.manual_seed(7)
        whole = leaves(phase.encode(batch))
        other = batch.rows(torch.arange(len(batch)) % (len(batch) // 2))
        torch.manual_seed(7)
        again = phase.encode(other)
        half = len(batch) // 2
        for name, value in whole.items():
            expect(
                close(again[name][:half].detach(), value[:half].detach(), 1e-9),
                f"z[{name!r}] of a row depends on other rows",
            )


@check()
def ids_are_names(subject: Subject) -> None:
    """Identities are compared, never counted with: other names for the samples give the same loss."""
    learner, batch = subject.learner(), subject.batch()
    expected = [float(o.step.loss) for o in subject.turns(learner, batch)]
    batch.ids = batch.ids.flip(0) * 1_000_003 + 17
    found = [float(o.step.loss) for o in subject.turns(learner, batch)]
    same = all(abs(a - b) <= 1e-5 * max(1.0, abs(b)) for a, b in zip(found, expected, strict=True))
    expect(same, f"loss {found} under other ids, {expected} before")
