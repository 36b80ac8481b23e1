"""Which rules the kernels know, and how they are handed over: integer vectors that a tile compares.

Nothing else decides whether a sweep runs in Triton: :func:`lower` gives None for what the kernels can't do, and the
eager path of that device takes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from likewise.similarity.rules import Columns, Different, Own, Rule, Same, Self
from likewise.similarity.tiles import Sweep
from likewise.similarity.walk import LOG2E

SELF, OWN, SAME, DIFFERENT, OF_COLUMN = range(5)

RuleCode = tuple[int, int, int, int]
"""``(kind, slot of the anchors' side, slot of the candidates' side, slot of what is kept)``; -1 where there is none."""


@dataclass(frozen=True)
class Lowered:
    """The rules of a sweep as the kernels read them.

    Attributes:
        terms: the rules of each term; a compile-time constant of the kernels.
        row_keys: ``(slots, n)`` int64, what is known of each anchor.
        col_keys: ``(slots, m)`` int64, what is known of each candidate.
        col_bias: ``(slots, m)`` float32, what is added to the base-2 logits of each candidate.
    """

    terms: tuple[tuple[RuleCode, ...], ...]
    row_keys: Tensor
    col_keys: Tensor
    col_bias: Tensor


class _Slots:
    """Vectors of one side, each with a slot; a vector that comes twice has one."""

    def __init__(self) -> None:
        self.vectors: list[Tensor] = []

    def add(self, vector: Tensor) -> int:
        for slot, known in enumerate(self.vectors):
            if known is vector:
                return slot
        self.vectors.append(vector)
        return len(self.vectors) - 1

    def stacked(self, like: Tensor, dtype: torch.dtype) -> Tensor:
        if not self.vectors:
            return torch.zeros(1, 1, dtype=dtype, device=like.device)
        return torch.stack([v.detach().to(like.device, dtype) for v in self.vectors])


def lower(sweep: Sweep, *rows: Tensor) -> Lowered | None:
    """The rules of a sweep over these rows, or None if it is one for the eager path.

    That are: rules other than ``Self``, ``Own``, ``Same``, ``Different`` and ``Columns``, rows in another precision
    than float32, and an empty side.
    """
    if not sweep.n or not sweep.m or any(x.dtype != torch.float32 or not x.shape[1] for x in rows):
        return None
    known, keys, bias = _Slots(), _Slots(), _Slots()
    terms = []
    for term in sweep.terms:
        codes = _codes(term.rules(), known, keys, bias)
        if codes is None:
            return None
        terms.append(codes)
    return Lowered(
        tuple(terms),
        known.stacked(rows[0], torch.int64),
        keys.stacked(rows[0], torch.int64),
        bias.stacked(rows[0], torch.float32) * LOG2E,
    )


def _codes(rules: Sequence[Rule], known: _Slots, keys: _Slots, bias: _Slots) -> tuple[RuleCode, ...] | None:
    found: list[RuleCode] = []
    for rule in rules:
        if type(rule) is Self:
            found.append((SELF, -1, -1, -1))
        elif type(rule) is Own:
            found.append((OWN, known.add(rule.index), -1, -1))
        elif type(rule) is Same:
            keep = -1 if rule.keep is None else known.add(rule.keep)
            found.append((SAME, known.add(rule.rows), keys.add(rule.cols), keep))
        elif type(rule) is Different:
            found.append((DIFFERENT, known.add(rule.rows), keys.add(rule.cols), -1))
        elif type(rule) is Columns:
            found.append((OF_COLUMN, -1, bias.add(rule.values), -1))
        else:
            return None
    return tuple(found)
