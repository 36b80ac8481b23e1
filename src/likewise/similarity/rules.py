"""Pair rules: which pairs of anchor and candidate count, and with what bias, asked for a tile at a time.

A rule holds what it must know of each anchor and each candidate (ids, labels, side embeddings), never of each pair.
Rules are constants: no gradient flows through them. Over processes the candidates' side travels with the
candidates, so a rule can be asked for the block of any process (:meth:`Rule.block`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

Pairs = tuple[Tensor, Tensor]
"""Rows and columns ``(p,)``, int64, of a list of pairs."""


class Rule(Protocol):
    """What the reductions ask of a rule over ``n`` anchors and ``m`` candidates."""

    @property
    def payload(self) -> tuple[Tensor, ...]:
        """The candidates' side of the rule: tensors with ``m`` rows."""
        ...

    def block(self, payload: tuple[Tensor, ...], own: bool) -> "Rule | None":
        """The rule for the candidates of one process (``own``: this one's), or None where it says nothing."""
        ...

    def symmetric(self) -> bool:
        """Whether pair (i, j) is judged as (j, i), when anchors and candidates are the same rows."""
        ...

    def tile(self, rows: slice, cols: slice) -> Tensor:
        """The rule's values for these anchors and candidates, ``(r, c)``."""
        ...


class Drop(Rule, Protocol):
    """A rule whose true pairs do not count. ``tile`` is bool."""

    def pairs(self, n: int, m: int) -> Pairs | None:
        """All dropped pairs as a list, or None when there are too many to list."""
        ...


class Bias(Rule, Protocol):
    """A rule that adds to the logits of pairs. ``tile`` is float; ``-inf`` drops the pair."""


@dataclass(frozen=True)
class Self:
    """Drops pair (i, i) of this process: anchors are the first rows of the candidates."""

    payload: tuple[Tensor, ...] = ()

    def block(self, payload: tuple[Tensor, ...], own: bool) -> "Self | None":
        return self if own else None

    def symmetric(self) -> bool:
        return True

    def pairs(self, n: int, m: int) -> Pairs:
        i = torch.arange(min(n, m))
        return i, i

    def tile(self, rows: slice, cols: slice) -> Tensor:
        return torch.arange(rows.start, rows.stop)[:, None] == torch.arange(cols.start, cols.stop)


@dataclass(frozen=True)
class Own:
    """Drops pair (i, ``index[i]``) of this process: the anchor's own positive, say. ``index (n,)`` int64."""

    index: Tensor
    payload: tuple[Tensor, ...] = ()

    def block(self, payload: tuple[Tensor, ...], own: bool) -> "Own | None":
        return self if own else None

    def symmetric(self) -> bool:
        i = torch.arange(len(self.index), device=self.index.device)
        inside = self.index < len(self.index)
        return bool(inside.all()) and bool((self.index[self.index] == i).all())

    def pairs(self, n: int, m: int) -> Pairs:
        return torch.arange(n, device=self.index.device), self.index

    def tile(self, rows: slice, cols: slice) -> Tensor:
        return self.index[rows, None] == torch.arange(cols.start, cols.stop, device=self.index.device)


@dataclass(frozen=True)
class Same:
    """Drops pairs whose keys are equal (ids, labels), but keeps pair (i, ``keep[i]``) of this process.

    Attributes:
        rows: ``(n,)`` int64 key of each anchor.
        cols: ``(m,)`` int64 key of each candidate.
        keep: ``(n,)`` int64, the candidate of this process that each anchor keeps in spite of its key (its
            positive), or None.
    """

    rows: Tensor
    cols: Tensor
    keep: Tensor | None = None

    LISTED = 16
    """Pairs are listed while there are fewer than this many per row and column, else compared tile by tile."""

    @property
    def payload(self) -> tuple[Tensor, ...]:
        return (self.cols,)

    def block(self, payload: tuple[Tensor, ...], own: bool) -> "Same":
        return replace(self, cols=payload[0], keep=self.keep if own else None)

    def symmetric(self) -> bool:
        same = self.rows is self.cols or torch.equal(self.rows, self.cols)
        return same and (self.keep is None or Own(self.keep).symmetric())

    def pairs(self, n: int, m: int) -> Pairs | None:
        keys, order = self.cols.sort()
        first = torch.searchsorted(keys, self.rows)
        count = torch.searchsorted(keys, self.rows, right=True) - first
        if int(count.sum()) > self.LISTED * (n + m):
            return None
        i = torch.arange(n, device=keys.device).repeat_interleave(count)
        start = count.cumsum(0) - count
        nth = torch.arange(len(i), device=keys.device) - start.repeat_interleave(count)
        j = order[first.repeat_interleave(count) + nth]
        if self.keep is None:
            return i, j
        other = j != self.keep[i]
        return i[other], j[other]

    def tile(self, rows: slice, cols: slice) -> Tensor:
        same = self.rows[rows, None] == self.cols[None, cols]
        if self.keep is not None:
            same &= self.keep[rows, None] != torch.arange(cols.start, cols.stop, device=same.device)
        return same


@dataclass(frozen=True)
class Different:
    """Drops pairs whose keys differ: what is left are pairs of one label."""

    rows: Tensor
    cols: Tensor

    @property
    def payload(self) -> tuple[Tensor, ...]:
        return (self.cols,)

    def block(self, payload: tuple[Tensor, ...], own: bool) -> "Different":
        return replace(self, cols=payload[0])

    def symmetric(self) -> bool:
        return self.rows is self.cols or torch.equal(self.rows, self.cols)

    def pairs(self, n: int, m: int) -> Pairs | None:
        return None

    def tile(self, rows: slice, cols: slice) -> Tensor:
        return self.rows[rows, None] != self.cols[None, cols]


@dataclass(frozen=True)
class Listed:
    """Drops the listed pairs of this process, or adds ``values (p,)`` to their logits when used as a bias.

    A pair listed twice is dropped once; as a bias its values add up.
    """

    rows: Tensor
    cols: Tensor
    values: Tensor | None = None
    payload: tuple[Tensor, ...] = ()

    def block(self, payload: tuple[Tensor, ...], own: bool) -> "Listed | None":
        return self if own else None

    def symmetric(self) -> bool:
        return False

    def pairs(self, n: int, m: int) -> Pairs:
        return self.rows, self.cols

    def tile(self, rows: slice, cols: slice) -> Tensor:
        inside = (
            (self.rows >= rows.start) & (self.rows < rows.stop) & (self.cols >= cols.start) & (self.cols < cols.stop)
        )
        at = (self.rows[inside] - rows.start, self.cols[inside] - cols.start)
        shape = (rows.stop - rows.start, cols.stop - cols.start)
        if self.values is None:
            found = torch.zeros(shape, dtype=torch.bool, device=self.rows.device)
            found[at] = True
            return found
        out = self.values.new_zeros(shape)
        return out.index_put_(at, self.values[inside], accumulate=True)


@dataclass(frozen=True)
class Kernel:
    """Adds ``function(rows_tile, cols_tile)`` to the logits: a function of side embeddings (or prices, times, ...).

    Attributes:
        rows: ``(n, ...)`` what is known of each anchor.
        cols: ``(m, ...)`` what is known of each candidate.
        function: ``((r, ...), (c, ...)) -> (r, c)`` float; for a multiplicative weight w give ``log w``.
        commutes: the function gives the transposed tile for swapped arguments.
    """

    rows: Tensor
    cols: Tensor
    function: Callable[[Tensor, Tensor], Tensor]
    commutes: bool = False

    @property
    def payload(self) -> tuple[Tensor, ...]:
        return (self.cols,)

    def block(self, payload: tuple[Tensor, ...], own: bool) -> "Kernel":
        return replace(self, cols=payload[0])

    def symmetric(self) -> bool:
        return self.commutes and (self.rows is self.cols or torch.equal(self.rows, self.cols))

    def tile(self, rows: slice, cols: slice) -> Tensor:
        with torch.no_grad():
            return self.function(self.rows[rows], self.cols[cols])


@dataclass(frozen=True)
class Columns:
    """Adds ``values (m,)`` of each candidate to its logits: a log prior, a log count."""

    values: Tensor

    @property
    def payload(self) -> tuple[Tensor, ...]:
        return (self.values,)

    def block(self, payload: tuple[Tensor, ...], own: bool) -> "Columns":
        return Columns(payload[0])

    def symmetric(self) -> bool:
        return False

    def tile(self, rows: slice, cols: slice) -> Tensor:
        return self.values.detach()[None, cols].expand(rows.stop - rows.start, -1)


@dataclass(frozen=True)
class Term:
    """One log-sum-exp of a sweep: ``log sum_j exp(scale <a_i, c_j> + bias_ij)`` over the pairs that are not dropped.

    Attributes:
        scale: 1 / temperature; a number, or a tensor of one element that may learn.
        drop: rules whose pairs don't count.
        bias: rules that add to the logits.
    """

    scale: float | Tensor
    drop: Sequence[Drop] = ()
    bias: Sequence[Bias] = ()
