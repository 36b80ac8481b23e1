"""How a sweep walks the matrix: the size of its tiles, and which pairs it drops in each."""

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from likewise.similarity.rules import Drop, Pairs, Self, Term

SMALLEST, LARGEST, ON_GPU = 128, 1024, 4096


@functools.cache
def cache_bytes() -> int:
    """What the last two levels of cache hold for the tiles of one process: all of L2, an eighth of L3."""
    sizes = {}
    for folder in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        try:
            kind, level, size = ((folder / name).read_text().strip() for name in ("type", "level", "size"))
        except OSError:
            continue
        if kind != "Instruction" and size.endswith("K"):
            sizes[int(level)] = int(size[:-1]) * 1024
    return max(2**20, sizes.get(2, 0) * torch.get_num_threads(), sizes.get(3, 0) // 8)


def pick_tile(dim: int, dtype: torch.dtype, device: torch.device) -> int:
    """Side of the tiles: two of them and four blocks of rows fit in the cache; a multiple of 128.

    On a GPU, where starting an operation costs more than a cache miss, a fixed larger side.
    """
    if device.type != "cpu":
        return ON_GPU
    items = cache_bytes() / dtype.itemsize  # 2 t^2 + 4 t d = items
    side = math.sqrt(dim * dim + items / 2) - dim
    return min(LARGEST, max(SMALLEST, int(side) // 128 * 128))


class Place(NamedTuple):
    """Where a tile is: numbers of its row and column block, their rows and columns, and if it stands for two tiles."""

    i: int
    j: int
    rows: slice
    cols: slice
    twice: bool


@dataclass(frozen=True)
class Sweep:
    """One walk over ``n`` anchors x ``m`` candidates.

    Attributes:
        n: anchors.
        m: candidates.
        symmetric: the candidates are the anchors and every rule is symmetric: tiles on and above the diagonal only.
        both: column reductions are wanted as well.
        terms: what is summed; see :class:`likewise.similarity.Term`.
        tile: side of the tiles.
        operands: half precision that holds the rows exactly, as they came in it; GPUs then multiply in it.
    """

    n: int
    m: int
    symmetric: bool
    both: bool
    terms: tuple[Term, ...]
    tile: int
    operands: torch.dtype | None = None

    def row_blocks(self) -> range:
        """Numbers of the row blocks."""
        return range(-(-self.n // self.tile))

    def places(self, i: int) -> Iterator[Place]:
        """The tiles to visit in a row block."""
        t = self.tile
        rows = slice(i * t, min(i * t + t, self.n))
        for j in range(i if self.symmetric else 0, -(-self.m // t)):
            yield Place(i, j, rows, slice(j * t, min(j * t + t, self.m)), self.symmetric and i != j)


class Drops:
    """The dropped pairs of a term, sorted by tile once, or compared where they are too many to list."""

    def __init__(self, rules: Sequence[Drop], sweep: Sweep, device: torch.device) -> None:
        self.sweep = sweep
        self.diagonal = any(isinstance(rule, Self) for rule in rules)
        self.compared: list[Drop] = []
        self.lists: list[Pairs] = []
        for rule in rules:
            if isinstance(rule, Self):
                continue
            found = rule.pairs(sweep.n, sweep.m)
            if found is None:
                self.compared.append(rule)
            elif len(found[0]):
                self.lists.append((found[0].to(device), found[1].to(device)))
        self.by_tile = self._sorted()

    def _sorted(self) -> dict[tuple[int, int], Tensor]:
        """Positions within each tile, by the numbers of its row and column block."""
        if not self.lists:
            return {}
        i, j = self._pairs()
        n, m, t = self.sweep.n, self.sweep.m, self.sweep.tile
        if n <= t and m <= t:
            return {(0, 0): i * m + j}
        bi, bj = i // t, j // t
        if self.sweep.symmetric:
            seen = bj >= bi
            i, j, bi, bj = i[seen], j[seen], bi[seen], bj[seen]
        columns = -(-m // t)
        key, order = (bi * columns + bj).sort()
        width = (m - bj * t).clamp(max=t)
        place = ((i - bi * t) * width + (j - bj * t))[order]
        keys, counts = torch.unique_consecutive(key, return_counts=True)
        parts = place.split_with_sizes(counts.tolist())
        return {(k // columns, k % columns): part for k, part in zip(keys.tolist(), parts)}

    def _pairs(self) -> Pairs:
        i, j = zip(*self.lists)
        return (torch.cat(i), torch.cat(j)) if len(i) > 1 else (i[0], j[0])

    def fill(self, values: Tensor, at: Place, value: float) -> None:
        """Overwrite the dropped pairs of a contiguous tile."""
        if self.diagonal and at.i == at.j:
            values.fill_diagonal_(value)
        part = self.by_tile.get((at.i, at.j))
        if part is not None:
            values.view(-1).index_fill_(0, part, value)
        for rule in self.compared:
            values.masked_fill_(rule.tile(at.rows, at.cols).to(values.device), value)

    def counts(self, like: Tensor) -> tuple[Tensor, Tensor] | None:
        """How many pairs each row ``(n,)`` and column ``(m,)`` has left, or None where that needs every tile."""
        if self.compared:
            return None
        n, m = self.sweep.n, self.sweep.m
        pairs = list(self.lists)
        if self.diagonal:
            i = torch.arange(min(n, m), device=like.device)
            pairs.append((i, i))
        if not pairs:
            return like.new_full((n,), m), like.new_full((m,), n)
        once = torch.unique(torch.cat([i * m + j for i, j in pairs]))
        gone = torch.bincount(once // m, minlength=n), torch.bincount(once % m, minlength=m)
        return (m - gone[0]).to(like.dtype), (n - gone[1]).to(like.dtype)
