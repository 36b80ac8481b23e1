"""How the kernels are started: operands, the order of the tiles, and the buffers that they write to."""

import functools
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from likewise.similarity.tiles import Sweep
from likewise.similarity.triton.blocks import Blocks, Kind, choose, power, pull_blocks, sums_blocks
from likewise.similarity.triton.kernels import pull_kernel, sums_kernel
from likewise.similarity.triton.lowering import Lowered, RuleCode
from likewise.similarity.walk import LN2, LOG2E

L2_BYTES = 2**24
"""Columns that all programs sweep at a time should stay in the second level of cache."""

PROGRAMS_ON_CPU = 3
"""Programs under the interpreter: enough that each has several items."""


@dataclass(frozen=True)
class Operands:
    """In what the products are taken; they are summed in float32.

    Attributes:
        dtype: of the rows.
        precision: how float32 rows are multiplied: ``ieee``, or ``tf32`` on tensor cores.
    """

    dtype: torch.dtype
    precision: str = "ieee"

    @property
    def half(self) -> bool:
        """Whether they take two bytes each."""
        return self.dtype != torch.float32

    @property
    def kind(self) -> Kind:
        """What blocks are chosen by."""
        return "half" if self.half else "tf32" if self.precision == "tf32" else "ieee"

    def on(self, device: torch.device) -> str:
        """The precision as the kernels take it; the interpreter has no products in half precision."""
        return "widened" if device.type == "cpu" and self.half else self.precision


def forward_operands(sweep: Sweep) -> Operands:
    """Half-precision rows as they came; float32 ones as ``torch.set_float32_matmul_precision`` says."""
    if sweep.operands is not None:
        return Operands(sweep.operands)
    setting = torch.get_float32_matmul_precision()
    if setting == "medium":
        return Operands(torch.bfloat16)
    return Operands(torch.float32, "tf32" if setting == "high" else "ieee")


def backward_operands(sweep: Sweep) -> Operands:
    """As forward, but float16 rows go as tf32, which holds them exactly: gradients leave the range of float16."""
    found = forward_operands(sweep)
    return Operands(torch.float32, "tf32") if found.dtype == torch.float16 else found


@functools.lru_cache(maxsize=64)
def runs(row_blocks: int, col_blocks: int, mirrored: bool, parts: int, device: torch.device) -> Tensor:
    """Items ``(number, 4)`` int32: row block, first and last column block of the run, number of the run in its row.

    Runs of the same columns follow each other, so that programs at work at the same time read the same columns.
    """
    length = -(-col_blocks // parts)
    table = [
        (i, max(i, first) if mirrored else first, min(first + length, col_blocks), part)
        for part, first in enumerate(range(0, col_blocks, length))
        for i in range(row_blocks)
        if not mirrored or i < min(first + length, col_blocks)
    ]
    return torch.tensor(table, dtype=torch.int32).to(device)


def num_programs(device: torch.device) -> int:
    """Programs that run at the same time."""
    if device.type == "cpu":
        return PROGRAMS_ON_CPU
    return int(torch.cuda.get_device_properties(device).multi_processor_count)


def _on(device: torch.device) -> AbstractContextManager[object]:
    """Triton starts kernels on the current GPU, so that must be the one with the rows."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def _parts(row_blocks: int, col_blocks: int, wanted: int, col_bytes: int) -> int:
    """In how many runs a row of tiles is cut: for ``wanted`` items in all, and columns that fit in the cache."""
    return min(col_blocks, max(-(-wanted // row_blocks), -(-col_blocks * col_bytes // L2_BYTES)))


def sums(
    left: Tensor,
    right: Tensor,
    scale: Tensor,
    lowered: Lowered,
    rules: tuple[RuleCode, ...],
    operands: Operands,
    *,
    shift: float = 0.0,
    product: bool = True,
    running: bool = False,
    columns: bool = False,
    mirrored: bool = False,
    swapped: bool = False,
) -> tuple[Tensor, Tensor]:
    """Sums of ``2^(logits - shift)`` of rows ``(n,)`` and, if ``columns``, of columns ``(m,)``; see ``sums_kernel``.

    ``running``: base-2 log-sum-exps of rows instead. ``scale``: base-2 logits per product, one element.
    """
    device, width, num_rows, num_cols = left.device, left.shape[1], len(left), len(right)

    def start(blocks: Blocks) -> tuple[Tensor, Tensor]:
        programs, row_blocks, col_blocks = (
            num_programs(device),
            -(-num_rows // blocks.rows),
            -(-num_cols // blocks.cols),
        )
        parts = _parts(row_blocks, col_blocks, 8 * programs, blocks.cols * width * left.element_size())
        items = runs(row_blocks, col_blocks, mirrored, parts, device)
        programs = min(programs, len(items))
        row_out = left.new_full((parts, num_rows), -torch.inf if running else 0.0, dtype=torch.float32)
        col_out = left.new_zeros((programs, num_cols) if columns else (1, 1), dtype=torch.float32)
        sums_kernel[(programs,)](
            left, right, lowered.row_keys, lowered.col_keys, lowered.col_bias, scale, shift, items, row_out, col_out,
            num_rows, num_cols, width, len(items),
            TERMS=(rules,), PRODUCT=product, RUNNING=running, COLUMNS=columns, MIRRORED=mirrored, SWAPPED=swapped,
            EVEN=num_rows % blocks.rows == 0 and num_cols % blocks.cols == 0, WHOLE=blocks.dim >= width,
            PRECISION=operands.on(device), BLOCK_M=blocks.rows, BLOCK_N=blocks.cols, BLOCK_D=blocks.dim,
            num_warps=blocks.warps, num_stages=blocks.stages, enable_fp_fusion=True,
        )  # fmt: skip
        if running:
            return (row_out * LN2).logsumexp(0) * LOG2E if parts > 1 else row_out[0], col_out
        return row_out.sum(0), col_out.sum(0)

    choices = sums_blocks(width, operands.kind, mirrored, device)
    form = (product, running, columns, mirrored, swapped, rules)
    key = ("sums", device, power(num_rows), power(num_cols), width, operands, form)
    with _on(device):
        return choose(key, choices, start, pairs=num_rows * num_cols)


@dataclass(frozen=True)
class Weights:
    """What multiplies the exponentials of each term: ``(terms, n)`` for anchors, ``(terms, m)`` for candidates.

    Attributes:
        factors: ``(terms,)``, multiplies a term's part of the gradient.
        anchors: weights by anchor, or None.
        candidates: weights by candidate, or None.
        anchor_lse: base-2 log-sum-exps that the exponentials by anchor are relative to.
        candidate_lse: the same of candidates.
        shifts: ``(terms,)``: one exponential less this shift serves both sides, the weights have the rest.
        offset: ``(1, n)``, with a second product: added to it.
    """

    factors: Tensor
    anchors: Tensor | None = None
    candidates: Tensor | None = None
    anchor_lse: Tensor | None = None
    candidate_lse: Tensor | None = None
    shifts: Tensor | None = None
    offset: Tensor | None = None


def pull(
    left: Tensor,
    right: Tensor,
    other: Tensor,
    scales: Tensor,
    lowered: Lowered,
    rules: tuple[tuple[RuleCode, ...], ...],
    operands: Operands,
    weights: Weights,
    *,
    more: tuple[Tensor, Tensor] | None = None,
    learned: bool = False,
    swapped: bool = False,
) -> tuple[Tensor, Tensor]:
    """``sum_j G_ij other_j``, ``(rows, width of other)``, and ``(terms,)`` what ``learned`` asks; see ``pull_kernel``.

    ``rules`` and ``scales (terms,)`` (base-2 logits per product) of each term. ``more``: rows and columns of the second
    product. ``swapped``: rows are the candidates.
    """
    device, num_rows, num_cols = left.device, len(left), len(right)
    width, other_width = left.shape[1], other.shape[1]
    more_left, more_right = (left, right) if more is None else more
    more_width, terms = more_left.shape[1], len(rules)
    shared = other is right and more is None
    unused = weights.factors
    sides = (weights.anchor_lse, weights.anchors, weights.candidate_lse, weights.candidates, weights.offset)

    def start(blocks: Blocks) -> tuple[Tensor, Tensor]:
        row_blocks, col_blocks, chunks = (
            -(-size // block)
            for size, block in ((num_rows, blocks.rows), (num_cols, blocks.cols), (other_width, blocks.out))
        )
        parts = min(col_blocks, -(-2 * num_programs(device) // (row_blocks * chunks)))
        items = runs(row_blocks, col_blocks, False, parts, device)
        parts, more_dim = len(items) // row_blocks, min(blocks.dim, power(more_width))
        out = left.new_empty((parts, num_rows, other_width), dtype=torch.float32)
        scale_out = out.new_empty((len(items) if learned else 0, terms))
        pull_kernel[(len(items), chunks)](
            left, right, other, more_left, more_right, out, lowered.row_keys, lowered.col_keys, lowered.col_bias,
            scales, weights.factors, unused if weights.shifts is None else weights.shifts,
            *(unused if x is None else x for x in sides), items, scale_out if learned else unused,
            num_rows, num_cols, width, other_width, more_width,
            TERMS=rules, LEARNED=learned, SHIFTED=weights.shifts is not None, BY_ANCHOR=weights.anchors is not None,
            BY_CANDIDATE=weights.candidates is not None, MORE=more is not None, SWAPPED=swapped,
            EVEN=num_rows % blocks.rows == 0 and num_cols % blocks.cols == 0, WHOLE=blocks.dim >= width,
            MORE_WHOLE=more_dim >= more_width, SHARED=shared and blocks.dim == blocks.out >= width,
            PRECISION=operands.on(device), BLOCK_M=blocks.rows, BLOCK_N=blocks.cols, BLOCK_D=blocks.dim,
            BLOCK_E=blocks.out, BLOCK_F=more_dim, BLOCK_K=1 << (terms - 1).bit_length(),
            num_warps=blocks.warps, num_stages=blocks.stages, enable_fp_fusion=True,
        )  # fmt: skip
        return out.sum(0) if parts > 1 else out[0], scale_out.sum(0)

    choices = pull_blocks(width, other_width, operands.kind, shared, device)
    form = (more is not None, learned, swapped, shared, weights.shifts is not None, rules)
    key = ("pull", device, power(num_rows), power(num_cols), width, other_width, more_width, operands, form)
    with _on(device):
        return choose(key, choices, start, pairs=num_rows * num_cols)
