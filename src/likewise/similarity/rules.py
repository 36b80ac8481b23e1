"""Pair rules: which pairs of anchor and candidate count, and with what bias, asked for a tile at a time.

A rule holds what it must know of each anchor and each candidate (ids, labels, side embeddings), never of each pair.
Rules are constants: no gradient flows through them. Over processes the candidates' side travels with the
candidates, so a rule can be asked for the block of any process (:meth:`Rule.block`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

Pairs = tuple[Tensor, Tensor]
"""Rows and columns ``(p,)``, int64, of a list of pairs."""


class Rule:
    """What the reductions ask of a rule over ``n`` anchors and ``m`` candidates."""

    def payload(self) -> tuple[Tensor, ...]:
        """The candidates' side of the rule, which travels with them: tensors with ``m`` rows."""
        return ()

    def block(self, payload: tuple[Tensor, ...], own: bool) -> "Rule | None":
        """The rule for the candidates of one process (``own``: this one's), or None where it says nothing.

        As it stands here: a rule about pairs within one process.
        """
        return self if own else None

    def symmetric(self) -> bool:
        """Whether pair (i, j) is judged as (j, i), when anchors and candidates are the same rows.

        Over processes also where i and j are rows of two processes that both say so.
        """
        return False

    def tile(self, rows: slice, cols: slice) -> Tensor:
        """The rule's values for these anchors and candidates, ``(r, c)``."""
        raise NotImplementedError(f"{type(self).__name__}: tile() is abstract")


class Drop(Rule):
    """A rule whose true pairs do not count; ``tile`` is bool."""

    def pairs(self, n: int, m: int) -> Pairs | None:
        """The dropped pairs of the first ``n`` anchors as a list, or None when they are too many to list."""
        return None

    def spares(self) -> bool:
        """Whether an anchor's own positive is likely to be kept; only speed depends on it."""
        return False

    def fill(self, matrix: Tensor, value: float) -> Tensor:
        """Overwrite the dropped pairs of the whole matrix ``(n, m)``; gives the matrix."""
        mask = self.tile(slice(0, matrix.shape[0]), slice(0, matrix.shape[1]))
        return matrix.masked_fill_(mask.to(matrix.device), value)


class Bias(Rule):
    """A rule that adds to the logits of pairs; ``tile`` is float, ``-inf`` drops the pair."""


@dataclass(frozen=True, eq=False)
class Self(Drop):
    """Drops pair (i, i) of this process: the anchors are the first rows of the candidates."""

    def symmetric(self) -> bool:
        """Always."""
        return True

    def pairs(self, n: int, m: int) -> Pairs:
        """The diagonal."""
        i = torch.arange(min(n, m))
        return i, i

    def spares(self) -> bool:
        """Always."""
        return True

    def fill(self, matrix: Tensor, value: float) -> Tensor:
        """Overwrite the diagonal."""
        return matrix.fill_diagonal_(value)

    def tile(self, rows: slice, cols: slice) -> Tensor:
        """True on the diagonal."""
        return torch.arange(rows.start, rows.stop)[:, None] == torch.arange(cols.start, cols.stop)


@dataclass(frozen=True, eq=False)
class Own(Drop):
    """Drops pair (i, ``index[i]``) of this process: the anchor's own positive, say.

    Attributes:
        index: ``(n,)`` int64.
        mutual: whether ``index[index[i]] == i``; None looks.
    """

    index: Tensor
    mutual: bool | None = None

    def symmetric(self) -> bool:
        """When the index is its own inverse."""
        return _inverts_itself(self.index) if self.mutual is None else self.mutual

    def pairs(self, n: int, m: int) -> Pairs:
        """One pair per anchor."""
        return torch.arange(n, device=self.index.device), self.index

    def fill(self, matrix: Tensor, value: float) -> Tensor:
        """Overwrite one number in each row."""
        return matrix.scatter_(1, self.index[:, None], value)

    def tile(self, rows: slice, cols: slice) -> Tensor:
        """True at the index of each row."""
        return self.index[rows, None] == torch.arange(cols.start, cols.stop, device=self.index.device)


@dataclass(frozen=True, eq=False)
class Same(Drop):
    """Drops pairs whose keys are equal (ids, labels), but keeps pair (i, ``keep[i]``) of this process.

    Attributes:
        rows: ``(n,)`` int64 key of each anchor.
        cols: ``(m,)`` int64 key of each candidate.
        keep: ``(n,)`` int64, the candidate of this process that each anchor keeps in spite of its key (its
            positive), or None.
        mutual: whether anchors keep each other; None looks.
        limit: pairs are listed while there are at most this many per row and column, else compared tile by tile.
    """

    rows: Tensor
    cols: Tensor
    keep: Tensor | None = None
    mutual: bool | None = None
    limit: int = 16

    def payload(self) -> tuple[Tensor, ...]:
        """The candidates' keys."""
        return (self.cols,)

    def block(self, payload: tuple[Tensor, ...], own: bool) -> "Same":
        """The same keys of the anchors against other candidates."""
        return replace(self, cols=payload[0], keep=self.keep if own else None)

    def symmetric(self) -> bool:
        """When both sides have the same keys and keep each other."""
        same = self.rows is self.cols or torch.equal(self.rows, self.cols)
        if self.keep is None or self.mutual is not None:
            return same and self.mutual is not False
        return same and _inverts_itself(self.keep)

    def spares(self) -> bool:
        """When it keeps a pair of each anchor."""
        return self.keep is not None

    def pairs(self, n: int, m: int) -> Pairs | None:
        """Equal keys, found by sorting; None above the limit."""
        keys, order = self.cols.sort()
        first = torch.searchsorted(keys, self.rows[:n])
        count = torch.searchsorted(keys, self.rows[:n], right=True) - first
        if int(count.sum()) > self.limit * (n + m):
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
        """True where keys are equal and the pair isn't kept."""
        same = self.rows[rows, None] == self.cols[None, cols]
        if self.keep is not None:
            same &= self.keep[rows, None] != torch.arange(cols.start, cols.stop, device=same.device)
        return same


@dataclass(frozen=True, eq=False)
class Different(Drop):
    """Drops pairs whose keys differ: what is left are pairs of one label. ``rows (n,)``, ``cols (m,)`` int64."""

    rows: Tensor
    cols: Tensor

    def payload(self) -> tuple[Tensor, ...]:
        """The candidates' keys."""
        return (self.cols,)

    def block(self, payload: tuple[Tensor, ...], own: bool) -> "Different":
        """The same keys of the anchors against other candidates."""
        return replace(self, cols=payload[0])

    def symmetric(self) -> bool:
        """When both sides have the same keys."""
        return self.rows is self.cols or torch.equal(self.rows, self.cols)

    def tile(self, rows: slice, cols: slice) -> Tensor:
        """True where keys differ."""
        return self.rows[rows, None] != self.cols[None, cols]


@dataclass(frozen=True, eq=False)
class Listed(Drop):
    """Drops the listed pairs of this process: ``rows (p,)`` and ``cols (p,)`` int64; a pair may be listed twice."""

    rows: Tensor
    cols: Tensor

    def pairs(self, n: int, m: int) -> Pairs:
        """The list."""
        return self.rows, self.cols

    def tile(self, rows: slice, cols: slice) -> Tensor:
        """True at the listed pairs of this tile."""
        _, at = _inside(self.rows, self.cols, rows, cols)
        found = torch.zeros(rows.stop - rows.start, cols.stop - cols.start, dtype=torch.bool, device=self.rows.device)
        found[at] = True
        return found


@dataclass(frozen=True, eq=False)
class ListedBias(Bias):
    """Adds ``values (p,)`` to the logits of the listed pairs of this process; a pair listed twice gets both."""

    rows: Tensor
    cols: Tensor
    values: Tensor

    def tile(self, rows: slice, cols: slice) -> Tensor:
        """The values at the listed pairs of this tile, else 0."""
        inside, at = _inside(self.rows, self.cols, rows, cols)
        out = self.values.new_zeros(rows.stop - rows.start, cols.stop - cols.start)
        return out.index_put_(at, self.values.detach()[inside], accumulate=True)


@dataclass(frozen=True, eq=False)
class Kernel(Bias):
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

    def payload(self) -> tuple[Tensor, ...]:
        """What is known of the candidates."""
        return (self.cols,)

    def block(self, payload: tuple[Tensor, ...], own: bool) -> "Kernel":
        """The same function of the anchors and other candidates."""
        return replace(self, cols=payload[0])

    def symmetric(self) -> bool:
        """When the function commutes and both sides are the same."""
        return self.commutes and (self.rows is self.cols or torch.equal(self.rows, self.cols))

    def tile(self, rows: slice, cols: slice) -> Tensor:
        """The function of this tile."""
        with torch.no_grad():
            return self.function(self.rows[rows], self.cols[cols])


@dataclass(frozen=True, eq=False)
class Columns(Bias):
    """Adds ``values (m,)`` of each candidate to its logits: a log prior, a log count."""

    values: Tensor

    def payload(self) -> tuple[Tensor, ...]:
        """The values."""
        return (self.values.detach(),)

    def block(self, payload: tuple[Tensor, ...], own: bool) -> "Columns":
        """The values of other candidates."""
        return Columns(payload[0])

    def tile(self, rows: slice, cols: slice) -> Tensor:
        """The values of these candidates, for each row."""
        return self.values.detach()[None, cols].expand(rows.stop - rows.start, -1)


@dataclass(frozen=True, eq=False)
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

    def rules(self) -> tuple[Rule, ...]:
        """All its rules, in one order."""
        return (*self.drop, *self.bias)

    def of(self, rules: Sequence[Any]) -> "Term":
        """The term with other rules in the same order; None where a rule has nothing to say."""
        drop, bias = rules[: len(self.drop)], rules[len(self.drop) :]
        return Term(self.scale, tuple(r for r in drop if r is not None), tuple(r for r in bias if r is not None))


def _inverts_itself(index: Tensor) -> bool:
    inside = (index >= 0) & (index < len(index))
    return bool(inside.all()) and bool((index[index] == torch.arange(len(index), device=index.device)).all())


def _inside(i: Tensor, j: Tensor, rows: slice, cols: slice) -> tuple[Tensor, Pairs]:
    """Which listed pairs lie in a tile, and where."""
    inside = (i >= rows.start) & (i < rows.stop) & (j >= cols.start) & (j < cols.stop)
    return inside, (i[inside] - rows.start, j[inside] - cols.start)
