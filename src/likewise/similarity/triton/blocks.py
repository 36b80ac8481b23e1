"""Sizes of the kernels' blocks: a short list per width and dtype, of which a GPU takes the fastest that fits.

The lists go from what suits the largest GPUs to what fits everywhere (99 KiB of shared memory). Where more than one
fits, a large sweep times them once per shape. ``torch.use_deterministic_algorithms(True)`` takes the first that fits
instead, so that every run of a program adds in the same order.
"""

import functools
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
from triton.runtime.errors import OutOfResources, PTXASError

T = TypeVar("T")

Kind = Literal["half", "tf32", "ieee"]
"""How products are taken: two-byte or float32 rows on tensor cores, or float32 without them."""

LARGE = 2**22
"""Pairs from which a sweep is worth timing."""


@dataclass(frozen=True)
class Blocks:
    """Sizes of a kernel's blocks, and how it is run.

    Attributes:
        rows: rows of a tile.
        cols: columns of a tile.
        dim: how much of the rows' width a product takes at a time.
        out: how much of the result's width a program has (``pull``).
        warps: per program.
        stages: of the pipeline of loads.
    """

    rows: int
    cols: int
    dim: int
    out: int
    warps: int
    stages: int


def power(width: int) -> int:
    """The next power of two; at least 16, the least that a matrix product takes."""
    return max(16, 1 << (width - 1).bit_length())


def _interpreted(width: int) -> list[Blocks]:
    """What the interpreter takes: small, so that small problems have many tiles."""
    return [Blocks(16, 16, 32 if width <= 32 else 16, 32, 1, 1)]


def sums_blocks(width: int, kind: Kind, square: bool, device: torch.device) -> list[Blocks]:
    """Choices for the forward sweep: whole rows stay on the chip while they are narrow. ``square`` tiles if asked."""
    if device.type == "cpu":
        return _interpreted(width)
    half, whole, dim = kind == "half", power(width), 64 if kind == "half" else 32
    if kind == "ieee":  # without tensor cores, larger tiles do not fit in the registers
        return [Blocks(128, 128, 32, 16, 8, 3), Blocks(64, 64, min(whole, dim), 16, 4, 3)]
    found = []
    if whole <= (128 if half else 64):
        found += [Blocks(128, 128, whole, 16, 8, 3), Blocks(128, 128, whole, 16, 8, 2)]
    elif whole <= (256 if half else 128):
        found += [Blocks(128, 128, whole, 16, 8, 2)]
    if whole > dim:
        found += [] if square else [Blocks(128, 256, dim, 16, 8, 3)]
        found += [Blocks(128, 128, dim, 16, 8, 3)]
    return [*found, Blocks(64, 64, min(whole, dim), 16, 4, 3)]


def pull_blocks(width: int, other_width: int, kind: Kind, shared: bool, device: torch.device) -> list[Blocks]:
    """Choices for the backward sweep, whose result stays in registers; ``shared``: it is made of the product's columns.

    Columns that are shared are loaded once, as wide as they are.
    """
    if device.type == "cpu":
        return _interpreted(width)
    half, whole, out, dim = kind == "half", power(width), power(other_width), 64 if kind == "half" else 32
    found = []
    if whole <= (128 if half else 64) and out <= 128:
        found += [Blocks(128, 64, whole, out, 8, 2), Blocks(128, 128, whole, out, 8, 2)]
    elif shared and whole <= (256 if half else 128):
        found += [Blocks(128, 64, whole, out, 8, 2), Blocks(64, 64, whole, out, 8, 2)]
    elif shared and half and whole <= 512:
        found += [Blocks(64, 64, whole, out, 8, 2), Blocks(64, 32, whole, out, 8, 2)]
    if half and out > 256:
        found += [Blocks(64, 64, min(whole, dim), 512, 8, 2)]
    if kind == "ieee":  # without tensor cores, larger tiles do not fit in the registers
        found = []
    return [
        *found,
        Blocks(64, 64, min(whole, dim), min(out, 256 if half else 128), 8, 2),
        Blocks(64, 32, min(whole, dim), min(out, 128), 4, 2),
    ]


_chosen: dict[Hashable, Blocks] = {}


def choose(key: Hashable, choices: Sequence[Blocks], start: Callable[[Blocks], T], *, pairs: int) -> T:
    """What ``start`` gives with the best of these blocks, which is found once per ``key``."""
    if key in _chosen:
        return start(_chosen[key])
    timed = pairs >= LARGE and len(choices) > 1 and not torch.are_deterministic_algorithms_enabled()
    best, refused = torch.inf, None
    for blocks in choices:
        try:
            found = start(blocks)
        except (OutOfResources, PTXASError) as error:
            refused = error
            continue
        if not timed:
            _chosen[key] = blocks
            return found
        taken = _milliseconds(functools.partial(start, blocks))
        if taken < best:
            best, _chosen[key] = taken, blocks
    if key not in _chosen:
        raise RuntimeError(f"no blocks of the similarity kernels fit on this GPU: {refused}") from refused
    return start(_chosen[key])


def _milliseconds(run: Callable[[], object]) -> float:
    """The quicker of two runs on the current GPU."""
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(3)]
    for mark in marks[:2]:
        mark.record()
        run()
    marks[2].record()
    marks[2].synchronize()
    return min(marks[0].elapsed_time(marks[1]), marks[1].elapsed_time(marks[2]))
