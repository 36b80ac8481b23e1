"""In which order the training samples come: pure functions of seed and epoch, so that any step can be found again."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from likewise.core.draws import Draws
from likewise.core.errors import InputError
from likewise.core.recipe import part
from likewise.data.dataset import Dataset


def epoch_order(num: int, seed: int, epoch: int, stream: str = "order") -> Tensor:
    """``(num,)`` int64: a random order of ``0 .. num - 1``, the same on every machine and version.

    Args:
        num: how many.
        seed: of the run.
        epoch: pass over the data.
        stream: another name gives an independent order.
    """
    draws = Draws(seed, epoch, torch.arange(num)).fork(stream)
    # two draws of 24 bits: with one, equal values in a million rows would favour the first
    return torch.argsort(draws.uniform().double() + draws.uniform().double() / 2**24, stable=True)


class Sampler(Protocol):
    """Decides the order of an epoch.

    One that goes by what the learner knows of the samples has a method ``attach(learner)``, too, which is called when
    a stage begins.
    """

    def rows(self, dataset: Dataset, batch: int, seed: int, epoch: int) -> Tensor:
        """``(num_samples,)`` int64 at most: training rows in order; every ``batch`` of them is a step."""
        ...


@part("sampler", "shuffled")
class Shuffled:
    """Every training sample once an epoch, in random order."""

    def rows(self, dataset: Dataset, batch: int, seed: int, epoch: int) -> Tensor:
        """All training rows, shuffled."""
        where = dataset.train_rows
        return where[epoch_order(len(where), seed, epoch)]


@part("sampler", "balanced")
class Balanced:
    """Every class equally often, in groups, so that each sample has partners of its class in the batch.

    The classes take turns in a new random order each round; at its turn a class gives its next ``per_class`` samples,
    and starts again, shuffled anew, when it has none left. A class with fewer than ``per_class`` samples repeats
    them in one batch.

    Args:
        per_class: samples of one class that stand together.
    """

    def __init__(self, per_class: int = 2) -> None:
        if per_class < 1:
            raise InputError(f"per_class={per_class}: give at least 1")
        self.per_class = per_class

    def rows(self, dataset: Dataset, batch: int, seed: int, epoch: int) -> Tensor:
        """Training rows in groups of one class.

        Raises:
            InputError: no classes, or groups that don't fit into the batch.
        """
        where = dataset.train_rows
        if dataset.labels is None or dataset.labels.is_floating_point():
            raise InputError(f"the balanced sampler needs classes, and {dataset.name!r} has none")
        if batch % self.per_class:
            raise InputError(f"per_class={self.per_class} does not divide the batch of {batch}")
        labels = dataset.labels[where]
        present = torch.unique(labels)
        turns = len(where) // self.per_class
        rounds = -(-turns // len(present))
        classes = torch.cat([epoch_order(len(present), seed, epoch, f"round {r}") for r in range(rounds)])[:turns]
        out = torch.empty(turns, self.per_class, dtype=torch.int64)
        for i, label in enumerate(present.tolist()):
            mine = where[labels == label]
            wanted = int((classes == i).sum()) * self.per_class
            passes = -(-wanted // len(mine))
            stream = [mine[epoch_order(len(mine), seed, epoch, f"class {label} pass {p}")] for p in range(passes)]
            if stream:
                out[classes == i] = torch.cat(stream)[:wanted].view(-1, self.per_class)
        return out.flatten()


def group_batches(groups: Tensor, orders: Sequence[Tensor], batch: int, world: int = 1) -> Tensor:
    """Batches whose samples all belong to one group, group by group in turn, ``(steps, world, batch)`` positions.

    Every group deals its samples to the processes in turn and gives its last ``batch`` each time; what does not fill a
    batch of every process is left out. Source: the sampler of MajorDavidZhang/MCL.

    Args:
        groups: ``(n,)`` int64, of each sample.
        orders: for each group, a permutation of its samples' places.
        batch: samples of one process.
        world: processes.
    """
    turns = []
    for number, order in enumerate(orders):
        mine = (groups == number).nonzero().flatten()[order]
        kept = mine[: len(mine) // (batch * world) * batch * world]
        # (steps, batch, world), from the end: the newest pile first, each pile upside down
        turns.append(kept.view(-1, batch, world).flip(0, 1).transpose(1, 2))
    steps = [turn[i] for i in range(max(map(len, turns), default=0)) for turn in turns if i < len(turn)]
    return torch.stack(steps) if steps else torch.zeros(0, world, batch, dtype=torch.int64)


@part("sampler", "grouped")
class Grouped:
    """Batches from one group at a time, as the learner groups the samples: negatives that share what is known already.

    Samples of groups smaller than a batch are left out; the groups are gone through again, in another order, until the
    epoch is full.
    """

    def __init__(self) -> None:
        self.groups: Tensor | None = None

    def attach(self, learner: Any) -> None:
        """Take ``learner.sample_groups()``, ``(num_samples,)`` int64."""
        self.groups = learner.sample_groups().cpu()

    def rows(self, dataset: Dataset, batch: int, seed: int, epoch: int) -> Tensor:
        """Training rows, every ``batch`` of them from one group.

        Raises:
            InputError: no group is as large as a batch.
        """
        assert self.groups is not None, "grouped: attach(learner) comes first"
        where, needed = dataset.train_rows, len(dataset.train_rows) // batch
        present, groups = torch.unique(self.groups, return_inverse=True)
        counts = torch.bincount(groups)
        if int(counts.max()) < batch:
            raise InputError(
                f"grouped: the largest of {len(present)} groups has {int(counts.max())} samples, fewer than a batch of "
                f"{batch}: take a smaller batch or fewer clusters"
            )
        made: list[Tensor] = []
        while sum(map(len, made)) < needed:
            words = (f"pass {len(made)} group {g}" for g in range(len(present)))
            orders = [epoch_order(int(n), seed, epoch, word) for n, word in zip(counts, words)]
            made.append(group_batches(groups, orders, batch)[:, 0])
        return where[torch.cat(made)[:needed].flatten()]


def steps_per_epoch(dataset: Dataset, batch: int) -> int:
    """Full batches in an epoch; the rest of each epoch's order is left out.

    Raises:
        InputError: the batch is larger than the training set.
    """
    num = int((~dataset.test).sum())
    if batch < 1:
        raise InputError(f"batch={batch}: give at least 1")
    if num < batch:
        raise InputError(f"a batch of {batch} is larger than the {num} training samples; try --set batch={max(num, 1)}")
    return num // batch


def batches(
    dataset: Dataset,
    batch: int,
    seed: int,
    *,
    sampler: Sampler | None = None,
    rank: int = 0,
    world: int = 1,
    start: int = 0,
    stop: int | None = None,
) -> Iterator[Tensor]:
    """Rows of this process's share of each step, ``(batch / world,)`` int64, from step ``start``.

    A step's rows depend on the seed and the step alone: a resumed run goes on with ``start``. Step ``s`` is in epoch
    ``s // steps_per_epoch(dataset, batch)``.

    Args:
        dataset: whose training rows are taken.
        batch: samples a step, over all processes.
        seed: of the run.
        sampler: :class:`Shuffled` if not given.
        rank: of this process.
        world: how many processes share a batch, in equal parts in rank order.
        start: first step.
        stop: step to stop before; endless if not given.

    Raises:
        InputError: a batch that the processes can't share equally, or larger than the training set.
    """
    per_epoch = steps_per_epoch(dataset, batch)
    if dataset.whole and world > 1:
        raise InputError(f"{dataset.name} is one graph, which can't be shared by {world} processes: use one device")
    if batch % world:
        raise InputError(f"a batch of {batch} can't be shared equally by {world} processes")
    return _batches(dataset, batch, seed, sampler or Shuffled(), rank, world, start, stop, per_epoch)


def _batches(
    dataset: Dataset,
    batch: int,
    seed: int,
    sampler: Sampler,
    rank: int,
    world: int,
    step: int,
    stop: int | None,
    per_epoch: int,
) -> Iterator[Tensor]:
    share = batch // world
    if dataset.whole:
        while stop is None or step < stop:
            yield torch.arange(len(dataset))
            step += 1
        return
    held, rows = -1, torch.empty(0, dtype=torch.int64)
    while stop is None or step < stop:
        epoch, place = divmod(step, per_epoch)
        if epoch != held:
            held, rows = epoch, sampler.rows(dataset, batch, seed, epoch)
        first = place * batch + rank * share
        yield rows[first : first + share]
        step += 1
