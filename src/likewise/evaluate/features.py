"""Frozen features of a data set, a row per sample, without a trace on the learner."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from likewise.core.batch import Graph, View, move
from likewise.core.draws import Draws
from likewise.core.errors import InputError, near
from likewise.core.learner import Learner
from likewise.data.dataset import Dataset
from likewise.data.progress import Bar

IN_MEMORY = 2**31
"""Features of more bytes than this go to a temporary file."""


class Views(Protocol):
    """Turns raw rows into what a learner sees."""

    def __call__(self, columns: dict[str, View], draws: Draws, /) -> dict[str, View]:
        """Augmented views by role."""
        ...

    def plain(self, columns: dict[str, View]) -> dict[str, View]:
        """Views as evaluated, by role."""
        ...


def device_of(learner: Learner) -> torch.device:
    """Where a learner's parameters are; the CPU if it has none."""
    return next((t.device for t in (*learner.parameters(), *learner.buffers())), torch.device("cpu"))


@contextmanager
def at_rest(learner: Learner, device: torch.device | str | None = None) -> Iterator[torch.device]:
    """The learner in eval mode, without gradient or autocast; afterwards as if nothing had happened.

    Every module gets its own mode back, and random numbers drawn inside move no global generator: they start from a
    fixed state, so that a stochastic encoder gives the same features each time.

    Args:
        learner: whose modules.
        device: where to move it, for good; where it is if None.

    Yields:
        The learner's device.
    """
    if device is not None:
        learner.to(device)
    where = device_of(learner)
    modes = [(module, module.training) for module in learner.modules()]
    learner.eval()
    gpus = [where.index or 0] if where.type == "cuda" else []
    try:
        # not inference_mode: what a module caches on the way must stay usable for training
        with torch.random.fork_rng(gpus), torch.no_grad(), torch.autocast(where.type, enabled=False):
            torch.default_generator.manual_seed(0)
            if gpus:
                torch.cuda.manual_seed(0)
            yield where
    finally:
        for module, mode in modes:
            module.training = mode


def extract(
    learner: Learner,
    views: Views,
    dataset: Dataset,
    index: Tensor,
    *,
    batch: int = 512,
    device: torch.device | str | None = None,
    role: str | None = None,
    progress: bool = False,
    in_memory: int = IN_MEMORY,
) -> Tensor:
    """Features of rows as evaluated, without augmentation.

    Args:
        learner: in whatever mode; it is left as it was.
        views: turn the data set's columns into what the learner sees.
        dataset: where the rows are.
        index: ``(k,)`` int64, positions of the rows.
        batch: rows at a time.
        device: where to move the learner and compute; where it is if None.
        role: which plain view to embed; the first if None.
        progress: show a bar when it takes long.
        in_memory: features of more bytes than this are a memory map of a temporary file, which goes with the tensor.

    Returns:
        ``(k, d)`` float32 on the CPU, in the order of ``index``.

    Raises:
        InputError: no rows, an unknown role, or features that are not finite.
    """

    def embed(columns: dict[str, View], ids: Tensor) -> Tensor:
        plain = views.plain(columns)
        name = next(iter(plain)) if role is None else role
        if name not in plain:
            raise InputError(f"the data has no view {name!r} to embed{near(name, plain)}")
        # a learner with one kind of input is asked for no role, one with several for the tower of this view
        several = len(plain) > 1 or name in getattr(learner, "roles", ())
        return learner.embed(plain[name], name if several else role)

    with at_rest(learner, device) as where:
        return _stream(embed, dataset, index, batch, where, progress, in_memory)


def augmented(
    learner: Learner,
    views: Views,
    dataset: Dataset,
    index: Tensor,
    *,
    seed: int = 0,
    num_views: int = 2,
    batch: int = 512,
    device: torch.device | str | None = None,
    progress: bool = False,
    in_memory: int = IN_MEMORY,
) -> Tensor:
    """Features of augmented views of rows, for what compares views of a sample.

    A draw gives its first two views (the global crops where there are more), then the next draw follows, until there
    are ``num_views``. The first two are therefore a pair as it comes in training.

    Args:
        learner: in whatever mode; it is left as it was.
        views: as for :func:`extract`.
        dataset: as for :func:`extract`.
        index: ``(k,)`` int64, positions of the rows.
        seed: of the augmentations; with it, a row's views do not depend on the other rows.
        num_views: views per row.
        batch: rows at a time.
        device: as for :func:`extract`.
        progress: as for :func:`extract`.
        in_memory: as for :func:`extract`.

    Returns:
        ``(k, num_views, d)`` float32 on the CPU.
    """

    def embed(columns: dict[str, View], ids: Tensor) -> Tensor:
        found: list[Tensor] = []
        draw = 0
        while len(found) < num_views:
            made = views(columns, Draws(seed, draw, ids))
            found += [learner.embed(made[name], name) for name in list(made)[:2]]
            draw += 1
        if len({z.shape for z in found}) > 1:
            raise InputError("views of a sample have features of different width, so they can't be compared")
        return torch.stack(found[:num_views], 1)

    with at_rest(learner, device) as where:
        return _stream(embed, dataset, index, batch, where, progress, in_memory)


def _stream(
    embed: Callable[[dict[str, View], Tensor], Tensor],
    dataset: Dataset,
    index: Tensor,
    batch: int,
    device: torch.device,
    progress: bool,
    in_memory: int,
) -> Tensor:
    if len(index) == 0:
        raise InputError(f"{dataset.name}: no rows to embed")
    out: Tensor | None = None
    done = 0
    bar: Any = Bar(len(index), "embedding") if progress else nullcontext()
    with bar:
        for ids, columns in _batches(dataset, index, batch, device):
            z = embed(columns, ids.to(device)).float().cpu()
            if len(z) != len(ids) or z.ndim < 2:
                raise TypeError(f"embed() gave shape {tuple(z.shape)} for {len(ids)} rows: expected (n, d)")
            wrong = ~z.isfinite().flatten(1).all(1)
            if wrong.any():
                key = dataset.keys[int(ids[wrong.nonzero()[0, 0]])]
                raise InputError(f"{dataset.name}: the features of {key!r} are not finite: the training has diverged")
            if isinstance(next(iter(columns.values()), None), Graph):
                z = z[index]  # the whole graph went through at once
            if out is None:
                out = _space((len(index), *z.shape[1:]), in_memory)
            out[done : done + len(z)] = z
            done += len(z)
            if progress:
                bar.advance(len(z))
    assert out is not None
    return out


def _batches(
    dataset: Dataset, index: Tensor, batch: int, device: torch.device
) -> Iterator[tuple[Tensor, dict[str, View]]]:
    """Positions and columns, on the device; a graph can't be cut, so it comes whole."""
    if any(isinstance(column, Graph) for column in dataset.columns.values()):
        yield torch.arange(len(dataset)), {name: move(c, device) for name, c in dataset.columns.items()}
        return
    for rows in torch.split(index, batch):
        yield rows, {name: move(column, device) for name, column in dataset.take(rows).items()}


def _space(shape: tuple[int, ...], in_memory: int) -> Tensor:
    """Room for float32 of that shape: memory, or a file without a name that the system removes with the tensor."""
    size = 4 * int(np.prod(shape))
    if size <= in_memory:
        return torch.empty(shape)
    with tempfile.TemporaryFile(prefix="likewise-features-") as file:
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)  # a full disk is an error here, not a crash later
            return torch.from_numpy(np.memmap(file, dtype=np.float32, mode="w+", shape=shape))
        except OSError as error:
            where, need = tempfile.gettempdir(), size / 2**30
            raise InputError(
                f"features need {need:.1f} GiB in {where}: {error.strerror}; make room or set TMPDIR"
            ) from error
