"""The contract of a method that trains: ``encode`` rows, state the ``objective``, ``embed`` afterwards.

The split between ``encode`` (per row, no communication) and ``objective`` (equations over the whole batch) is what
gives gradient caching, several processes and any precision to every method without a line in its file.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from likewise.core.batch import Batch, View
from likewise.core.comm import Collective

Embeddings = dict[str, Tensor]
"""Name -> ``(n, ...)`` tensor with a row per sample."""


@dataclass
class Step:
    """What an objective returns.

    Attributes:
        loss: scalar with gradient.
        logs: scalars worth a curve, by name.
        carry: detached tensors that ``after_update`` needs (keys to enqueue, assignments).
    """

    loss: Tensor
    logs: Mapping[str, Tensor | float] = field(default_factory=dict)
    carry: Mapping[str, Tensor] = field(default_factory=dict)


@runtime_checkable
class Encoder(Protocol):
    """Anything with a known width that maps a view to ``(n, dim)``. Its ``dim`` never waits for a first batch."""

    dim: int

    def __call__(self, view: Any, /) -> Tensor:
        """Features ``(n, dim)`` of the rows of ``view``."""
        ...


@dataclass(frozen=True)
class Phase:
    """One optimiser's turn within a training step.

    Attributes:
        name: of the optimiser, unique in the learner.
        groups: names of the parameter groups it moves; everything else is held still during the phase.
        encode: batch -> embeddings.
        objective: (embeddings, batch, collective) -> step.
        every: take the turn in one of so many steps, the last of them.
    """

    name: str
    groups: tuple[str, ...]
    encode: Callable[[Batch], Embeddings]
    objective: Callable[[Embeddings, Batch, Collective], Step]
    every: int = 1


@dataclass
class Context:
    """Where a run stands, for the hooks of a learner.

    Attributes:
        step: optimiser steps taken so far (within the stage).
        steps: how many the stage will take.
        epoch: passes over the training samples begun so far, from 0.
        epochs: how many the stage will make.
        comm: the other processes.
        carry: ``Step.carry`` of the phases of this step.
        extract: function of a view of ``n`` samples to rows ``(n, d)`` -> its rows for every training sample,
            without augmentation or gradient, in the order of the samples' positions ``0 .. num_samples - 1``.
    """

    step: int
    steps: int
    epoch: int
    epochs: float
    comm: Collective
    carry: Mapping[str, Tensor] = field(default_factory=dict)
    extract: Callable[[Callable[[View], Tensor]], Tensor] | None = None

    @property
    def progress(self) -> float:
        """The share of the steps that is done, 0 to 1."""
        return min(1.0, self.step / max(1, self.steps))


class Learner(nn.Module):
    """Base of every method that trains. A method overrides ``encode``, ``objective`` and often nothing else."""

    def encode(self, batch: Batch) -> Embeddings:
        """Embeddings of the rows of ``batch``, by name.

        Runs under autocast, may draw random numbers, never communicates and never mixes rows outside of layers
        that do so by nature (batch norm). What comes back without gradient (a teacher's keys) stays so.
        """
        raise NotImplementedError(f"{type(self).__name__}: encode() is abstract")

    def objective(self, z: Embeddings, batch: Batch, comm: Collective) -> Step:
        """The loss over the whole batch; runs outside autocast, in float32 or better."""
        raise NotImplementedError(f"{type(self).__name__}: objective() is abstract")

    def embed(self, view: View, role: str | None = None) -> Tensor:
        """Features ``(n, d)`` for use after training: the encoder's, before any projection head."""
        encoder = getattr(self, "encoder", None)
        if encoder is None:
            raise NotImplementedError(f"{type(self).__name__} has no encoder attribute: embed() is abstract then")
        out: Tensor = encoder(view)
        return out

    def attach(self, shared: Mapping[str, Any]) -> None:
        """Given once, before training or use: what belongs to the data set as a whole (``Dataset.shared``).

        A learner that reads a graph of its rows, or features of the items that rows refer to, keeps them here, in
        buffers that are not saved (``persistent=False``): they come with the data again.
        """

    def phases(self) -> Sequence[Phase]:
        """The turns of a step, in order. One turn over all groups unless a method has several optimisers."""
        return (Phase("main", tuple(self.groups()), self.encode, self.objective),)

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """Named parameter groups, so that a recipe can give each its own learning rate. Covers what trains, once."""
        return {"all": [p for p in self.parameters() if p.requires_grad]}

    def on_epoch(self, ctx: Context) -> None:
        """Called before the first batch of an epoch (clustering, mining, pseudo-labels)."""

    def after_update(self, ctx: Context) -> None:
        """Called after all phases of a step: momentum encoders, queues, prototypes. ``ctx.step`` counts this step."""

    def begin_stage(self, name: str, ctx: Context) -> None:
        """Called before a stage of a run with several begins, after the previous one has ended."""
