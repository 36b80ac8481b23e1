"""A method under test: its tiny recipe, built, with batches made as the trainer makes them."""

import copy
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from likewise.core import registry
from likewise.core.batch import Batch, Graph, View, count, rows
from likewise.core.card import Card
from likewise.core.comm import Collective
from likewise.core.draws import Draws
from likewise.core.learner import Context, Embeddings, Learner, Phase, Step
from likewise.core.registry import Method
from likewise.data.dataset import Dataset
from likewise.testing.pool import Pool
from likewise.train.plan import Plan, prepare

ALONE = Collective()
"""One process."""


class ContractError(AssertionError):
    """A method breaks its contract; the message says how."""


def expect(condition: bool | Tensor, message: str) -> None:
    """Raise :class:`ContractError` with ``message`` unless ``condition`` holds."""
    if not condition:
        raise ContractError(message)


@dataclass
class Outcome:
    """One turn of one phase: embeddings, what the objective returned, and the gradients it left, by name."""

    z: Embeddings
    step: Step
    grads: dict[str, Tensor | None]


class Subject:
    """What the checks work on.

    Args:
        method: a loaded method.
        pool: processes for the checks that need some; a subject without one makes and keeps its own.
        seed: of weights and data.
    """

    def __init__(self, method: Method, pool: Pool | None = None, seed: int = 0) -> None:
        self.method, self.seed = method, seed
        self.card: Card = method.card
        self._pool, self._own_pool = pool, pool is None

    @property
    def pool(self) -> Pool:
        """Processes that talk over gloo."""
        if self._pool is None:
            self._pool = Pool(size=2)
        return self._pool

    def close(self) -> None:
        """End the processes, if they are this subject's own."""
        if self._own_pool and self._pool is not None:
            self._pool.close()

    @cached_property
    def plan(self) -> Plan:
        """The tiny recipe, resolved on its own data."""
        return prepare(self.method, size="tiny", seed=self.seed)

    @property
    def dataset(self) -> Dataset:
        """The tiny recipe's data."""
        return self.plan.dataset

    @property
    def size(self) -> int:
        """Rows of the usual batch: few, and shared equally by two processes."""
        return max(8, 2 * self.card.traits.min_batch)

    @cached_property
    def views(self) -> nn.Module:
        """The tiny recipe's views."""
        return self.plan.views()

    @cached_property
    def _alone(self) -> Learner:
        return self._late(ALONE)

    def _late(self, comm: Collective) -> Learner:
        learner = self.plan.learner().train()
        # near the end of a run: whatever starts late (a prototype term, say) takes part
        learner.on_epoch(self.context(self.steps - 2, comm))
        return learner.train()

    def learner(self, *, rowwise: bool = False, double: bool = False, comm: Collective = ALONE) -> Learner:
        """A learner of its own, in training mode, late in its run.

        Args:
            rowwise: with batch norm and dropout as in evaluation, so that a row depends on no other row.
            double: weights and buffers in float64.
            comm: the processes that it trains on.
        """
        learner = copy.deepcopy(self._alone) if comm is ALONE else self._late(comm)
        for module in learner.modules() if rowwise else ():
            if isinstance(module, nn.modules.batchnorm._NormBase | nn.modules.dropout._DropoutNd):
                module.eval()
        return learner.double() if double else learner

    @property
    def steps(self) -> int:
        """How many steps the run takes."""
        return max(3, int(self.plan.facts["steps"]))

    def context(self, step: int, comm: Collective = ALONE, carry: Mapping[str, Tensor] | None = None) -> Context:
        """Where a run of the tiny recipe stands after ``step`` steps."""
        per_epoch = max(1, int(self.plan.facts["steps_per_epoch"]))
        return Context(step, self.steps, step // per_epoch, self.steps / per_epoch, comm, carry or {}, self._extract)

    def _extract(self, function: Callable[[View], Tensor]) -> Tensor:
        with torch.no_grad():
            plain: dict[str, View] = self.views.plain(self.dataset.take(self.dataset.train_rows))  # type: ignore[operator]
            return function(next(iter(plain.values()))).float()

    def batch(self, n: int | None = None, *, first: int = 0, double: bool = False) -> Batch:
        """``n`` training samples from position ``first`` on, seen through the recipe's views.

        Of a graph the whole, and ``first`` tells one draw of its views from another.
        """
        if self.dataset.whole:
            return self._graph(first, double)
        ids = (torch.arange(self.size if n is None else n) + first) % len(self.dataset.train_rows)
        rows = self.dataset.train_rows[ids]
        with torch.no_grad():
            views = self.views(self.dataset.take(rows), Draws(self.seed, 0, ids))
        labels = None if self.dataset.labels is None else self.dataset.labels[rows]
        return in_double(Batch(views, ids, labels)) if double else Batch(views, ids, labels)

    def _graph(self, draw: int, double: bool) -> Batch:
        ids = torch.arange(len(self.dataset))
        with torch.no_grad():
            views = self.views(self.dataset.take(ids), Draws(self.seed, draw, ids))
        out = Batch(views, ids, self.dataset.labels)
        return in_double(out) if double else out

    def plain(self, n: int) -> View:
        """``n`` samples as they are evaluated; of a graph the whole."""
        index = self.dataset.train_rows if self.dataset.whole else self.dataset.train_rows[:n]
        views: dict[str, View] = self.views.plain(self.dataset.take(index))  # type: ignore[operator]
        return next(iter(views.values()))

    def turns(self, learner: Learner, batch: Batch, comm: Collective = ALONE, *, seed: int = 7) -> list[Outcome]:
        """Each phase of a step in its turn, gradients taken but no update made."""
        return [self.turn(learner, phase, batch, comm, seed=seed) for phase in learner.phases()]

    def turn(self, learner: Learner, phase: Phase, batch: Batch, comm: Collective = ALONE, *, seed: int = 7) -> Outcome:
        """One phase's embeddings, loss, and gradients of the parameters that it moves."""
        groups = learner.groups()
        mine = {id(p) for name in phase.groups for p in groups[name]}
        named = {n: p for n, p in learner.named_parameters() if id(p) in mine}
        learner.zero_grad(set_to_none=True)
        torch.manual_seed(seed)
        z = phase.encode(batch)
        step = phase.objective(z, batch, comm)
        step.loss.backward()  # type: ignore[no-untyped-call]
        comm.average_gradients(named.values())
        grads = {n: None if p.grad is None else p.grad.clone() for n, p in named.items()}
        learner.zero_grad(set_to_none=True)
        return Outcome(z, Step(step.loss.detach(), step.logs, step.carry), grads)

    def advance(
        self, learner: Learner, batch: Batch, comm: Collective = ALONE, *, step: int | None = None, rate: float = 0.01
    ) -> list[Outcome]:
        """A whole step: the phases' turns, plain gradient descent, and the learner's ``after_update``."""
        outcomes: list[Outcome] = []
        carry: dict[str, Tensor] = {}
        weights = dict(learner.named_parameters())
        for phase in learner.phases():
            out = self.turn(learner, phase, batch, comm)
            with torch.no_grad():
                for name, grad in out.grads.items():
                    if grad is not None:
                        weights[name].sub_(grad, alpha=rate)
            outcomes.append(out)
            carry.update(out.step.carry)
        with torch.no_grad():
            learner.after_update(self.context(self.steps - 1 if step is None else step, comm, carry))
        return outcomes


def leaves(z: Embeddings, change: Callable[[Tensor], Tensor] = Tensor.clone) -> Embeddings:
    """Embeddings as inputs, floating ones changed: those that carry a gradient get one of their own."""
    out = {}
    for name, value in z.items():
        held = change(value.detach()) if value.is_floating_point() else value.clone()
        out[name] = held.requires_grad_(value.requires_grad)
    return out


def changed(view: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """``change`` on every floating tensor of a payload."""
    if isinstance(view, Tensor):
        return change(view) if view.is_floating_point() else view
    if view is None:
        return None
    return type(view)(**{f.name: changed(getattr(view, f.name), change) for f in fields(view)})


def alike(view: View) -> View:
    """The view with every row as the first; of a graph the nodes' features, its edges stay."""
    if isinstance(view, Graph):
        return Graph(view.x[:1].expand_as(view.x).clone(), view.edges, view.weights)
    out: View = rows(view, torch.zeros(count(view), dtype=torch.int64))
    return out


def renumbered(view: View, order: Tensor) -> View:
    """The view with its rows in another ``order (n,)``; a graph's edges go with their nodes, in another order, too."""
    if not isinstance(view, Graph):
        moved: View = rows(view, order)
        return moved
    edges = order.argsort()[view.edges]
    shuffled = torch.randperm(edges.shape[1], generator=torch.Generator().manual_seed(11))
    weights = None if view.weights is None else view.weights[shuffled]
    return Graph(view.x[order], edges[:, shuffled], weights)


def in_double(batch: Batch) -> Batch:
    """The batch in float64."""
    views = {role: changed(view, Tensor.double) for role, view in batch.views.items()}
    return Batch(views, batch.ids, batch.labels, {k: changed(v, Tensor.double) for k, v in batch.extra.items()})


def close(ours: Tensor, theirs: Tensor, rtol: float) -> bool:
    """Whether two tensors agree to ``rtol`` of their largest entry (of 1e-6 at least)."""
    if ours.shape != theirs.shape:
        return False
    if not ours.numel():
        return True
    scale = max(1e-6, float(theirs.abs().max()))
    return bool(((ours - theirs).abs() <= rtol * scale).all())


def same_gradients(ours: Iterable[Outcome], theirs: Iterable[Outcome], rtol: float, what: str) -> None:
    """Expect equal losses and gradients of two lists of turns."""
    for a, b in zip(ours, theirs, strict=True):
        loss, expected = float(a.step.loss), float(b.step.loss)
        expect(
            abs(loss - expected) <= rtol * max(1.0, abs(expected)), f"{what}: loss {loss:.9g}, expected {expected:.9g}"
        )
        for name, grad in b.grads.items():
            mine = a.grads[name]
            expect((mine is None) == (grad is None), f"{what}: only one side has a gradient of {name}")
            if mine is not None and grad is not None:
                expect(close(mine, grad, rtol), f"{what}: another gradient of {name}: {furthest(mine, grad)}")


def furthest(ours: Tensor, theirs: Tensor) -> str:
    """Where two tensors differ most, in words."""
    at = int((ours - theirs).abs().argmax())
    return f"{float(ours.flatten()[at]):.6g} where {float(theirs.flatten()[at]):.6g} is expected"


def finite(outcomes: Iterable[Outcome], what: str) -> None:
    """Expect a finite loss and finite gradients."""
    for out in outcomes:
        loss = out.step.loss.detach()
        expect(loss.isfinite(), f"{what}: the loss is {float(loss)}")
        bad = [n for n, g in out.grads.items() if g is not None and not g.isfinite().all()]
        expect(not bad, f"{what}: the gradient of {', '.join(bad[:3])} is not finite")


def reference(method: Method) -> tuple[str, str, str]:
    """Where another process finds a method: module, class, file."""
    module = method.cls.__module__
    return module, method.cls.__name__, str(getattr(sys.modules.get(module), "__file__", ""))


def find(module: str, name: str, file: str) -> Method:
    """The method of :func:`reference`, imported here."""
    held = sys.modules.get(module)
    if held is None:
        spec = importlib.util.find_spec(module)
        known = spec is not None and spec.origin == file
    else:
        known = getattr(held, "__file__", "") == file
    if not known:  # a file of somebody's own, whose name says nothing about where it is
        return registry.load_file(f"{file}:{name}")
    cls = getattr(importlib.import_module(module), name)
    return registry.load(cls.card.slug)
