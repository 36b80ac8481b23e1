r"""Row and column log-sum-exps of a sweep in plain PyTorch operations.

Logits are in base 2 (``2^x`` is cheaper than ``e^x``) and scaled by the matrix product itself. With one number c as
shift, a single exponential of a tile serves its rows and its columns, forward and backward. That is exact while the
sums of every row and column stay well inside the range of the dtype, which is checked afterwards. Where one doesn't
(temperatures near 0.005 with very unequal rows), the sweep is repeated with running maxima.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from likewise.similarity.tiles import Drops, Sweep
from likewise.similarity.walk import HIGHEST, LN2, LOG2E, LOWEST, Scales, Sums, Walk, drops_of

KEEP_BYTES = 2**24
"""Exponentials that the forward sweep keeps for the backward one, instead of computing them twice."""


@dataclass
class Trace:
    """What a forward sweep leaves for its backward sweep.

    Attributes:
        shifts: of each swept term, valid for the kept tiles.
        kept: exponentials by row and column block of the tile, then by term.
        drops: sorted dropped pairs, shared by terms with the same rules.
    """

    shifts: dict[int, float] = field(default_factory=dict)
    kept: dict[tuple[int, int], dict[int, Tensor]] = field(default_factory=dict)
    drops: dict[int, Drops] = field(default_factory=dict)


def lse_forward(
    sweep: Sweep, anchors: Tensor, candidates: Tensor, scales: Scales, *, keep: bool
) -> tuple[Sums, Sums, Trace]:
    """Natural log-sum-exps of rows and, if ``sweep.both``, of columns, one tensor per term."""
    trace = Trace()
    counted = _counted(sweep, anchors, scales, trace)
    terms = [k for k in range(len(scales)) if k not in counted]
    found = {k: (rows.log(), cols.log()) for k, (rows, cols) in counted.items()}
    if terms:
        walk = Walk(sweep, anchors, candidates, scales, terms, trace.drops)
        trace.shifts = guess_shifts(walk)
        sums = _shifted_sums(walk, trace, KEEP_BYTES if keep else 0)
        if all(in_reach(walk, k, values, trace.shifts[k]) for k in terms for values in sums[k]):
            for k in terms:
                for values in sums[k]:
                    values.log2_().add_(trace.shifts[k]).mul_(LN2)
        else:
            trace.kept.clear()  # they hold numbers out of reach
            sums = _running_maxima(walk)
        found |= sums
    numbers = range(len(scales))
    return [found[k][0] for k in numbers], [found[k][1] for k in numbers if sweep.both], trace


def _counted(sweep: Sweep, like: Tensor, scales: Scales, trace: Trace) -> dict[int, tuple[Tensor, Tensor]]:
    """The sums of terms whose scale is the number 0: how many pairs are left, which needs no tile."""
    found = {}
    for k, scale in enumerate(scales):
        if not isinstance(scale, Tensor) and scale == 0 and not sweep.terms[k].bias:
            counts = drops_of(sweep, k, trace.drops, like.device).counts(like)
            if counts is not None:
                found[k] = counts
    return found


def guess_shifts(walk: Walk) -> dict[int, float]:
    """A number near the middle of every term's row sums: 0 if unit rows allow it, else from a sample of the rows."""
    sweep, shifts = walk.sweep, dict.fromkeys(walk.terms, 0.0)
    if not sweep.n or not sweep.m:
        return shifts
    rows, cols = slice(0, min(sweep.n, max(1, sweep.tile // 4))), slice(0, min(sweep.m, sweep.tile))
    for k in walk.terms:
        term = sweep.terms[k]
        if abs(float(walk.scales[k])) <= -LOWEST[walk.anchors.dtype] and not term.bias:
            continue
        logits = (walk.anchors[rows] @ walk.candidates[cols].T) * walk.scales[k]
        for rule in term.bias:
            logits += rule.tile(rows, cols).to(logits.device, logits.dtype) * LOG2E
        for drop in term.drop:
            logits.masked_fill_(drop.tile(rows, cols).to(logits.device), -torch.inf)
        top = logits.amax(1)
        top = top[top.isfinite()]
        if len(top):
            shifts[k] = float(top.max() + top.min()) / 2
    return shifts


def in_reach(walk: Walk, k: int, sums: Tensor, shift: float) -> bool:
    """Whether these sums relative to the shift are exact. A sum of 0 is, if no logit can be that small."""
    if not len(sums):
        return True
    dtype = walk.anchors.dtype
    low, high = (float(x) for x in sums.aminmax())
    if low == 0 and not walk.sweep.terms[k].bias:
        if walk.sweep.n and walk.sweep.m:
            length = walk.anchors.norm(dim=1).amax() * walk.candidates.norm(dim=1).amax()
            if float(length * abs(walk.scales[k])) + abs(shift) > -LOWEST[dtype]:
                return False
        some = sums[sums > 0]
        low = float(some.amin()) if len(some) else 1.0
    return 2.0 ** LOWEST[dtype] <= low and high <= 2.0 ** HIGHEST[dtype]


def _shifted_sums(walk: Walk, trace: Trace, budget: int) -> dict[int, tuple[Tensor, Tensor]]:
    sweep = walk.sweep
    sums = {k: (walk.anchors.new_zeros(sweep.n), walk.anchors.new_zeros(sweep.m * sweep.both)) for k in walk.terms}
    blocks = {k: (by_row.split(sweep.tile), by_col.split(sweep.tile)) for k, (by_row, by_col) in sums.items()}
    for i in sweep.row_blocks():
        left = walk.left(i)
        for at in sweep.places(i):
            cost = len(left) * len(walk.cols[at.j]) * left.element_size() * len(walk.terms)
            keep = cost <= budget
            budget -= cost if keep else 0
            product = walk.product(left, at, fresh=keep and walk.single)
            tiles = {}
            for k in walk.terms:
                tile = walk.exponentials(k, product, at, trace.shifts[k], fresh=keep)
                by_row, by_col = blocks[k]
                by_row[i].add_(tile.sum(1))
                if sweep.both or at.twice:
                    (by_col if sweep.both else by_row)[at.j].add_(tile.sum(0))
                tiles[k] = tile
            if keep:
                trace.kept[at.i, at.j] = tiles
    return sums


class _Running:
    """Sums of ``2^logits`` relative to running maxima, exact for any logits."""

    def __init__(self, like: Tensor, size: int, tile: int) -> None:
        self.top, self.sum = like.new_full((size,), -torch.inf), like.new_zeros(size)
        self._tops, self._sums = self.top.split(tile), self.sum.split(tile)

    def add(self, logits: Tensor, dim: int, block: int) -> None:
        """Add the logits of a tile, summed over ``dim``."""
        before, total = self._tops[block], self._sums[block]
        top = torch.maximum(before, logits.amax(dim))
        base = top.masked_fill(top == -torch.inf, 0.0)
        total.mul_((before - base).exp2_()).add_((logits - base.unsqueeze(dim)).exp2_().sum(dim))
        before.copy_(top)

    def lse(self) -> Tensor:
        """Natural log-sum-exp; ``-inf`` for an empty sum."""
        return (self.sum.log2() + self.top.masked_fill(self.top == -torch.inf, 0.0)) * LN2


def _running_maxima(walk: Walk) -> dict[int, tuple[Tensor, Tensor]]:
    sweep, like = walk.sweep, walk.anchors
    sums = {k: [_Running(like, size, sweep.tile) for size in (sweep.n, sweep.m * sweep.both)] for k in walk.terms}
    for i in sweep.row_blocks():
        left = walk.left(i)
        for at in sweep.places(i):
            product = walk.product(left, at)
            for k in walk.terms:
                logits = walk.masked(k, product, at)
                by_row, by_col = sums[k]
                by_row.add(logits, 1, i)
                if sweep.both or at.twice:
                    (by_col if sweep.both else by_row).add(logits, 0, at.j)
    return {k: (by_row.lse(), by_col.lse()) for k, (by_row, by_col) in sums.items()}
