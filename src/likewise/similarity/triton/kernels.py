"""The two kernels, and the functions that they share.

A tile is a block of rows times a block of columns. Rows are the anchors, or the candidates where a kernel is called
with the roles ``SWAPPED``: rules and weights are looked up by the numbers ``a`` of anchors and ``c`` of candidates,
``(rows, 1)`` and ``(1, columns)`` or the other way round, and so do not notice.

No kernel uses atomics: each number is written by one program, so two runs give the same bits.
"""

import triton
import triton.language as tl

from likewise.similarity.triton import lowering

SELF, OWN = tl.constexpr(lowering.SELF), tl.constexpr(lowering.OWN)
DIFFERENT, OF_COLUMN = tl.constexpr(lowering.DIFFERENT), tl.constexpr(lowering.OF_COLUMN)


@triton.jit
def load_rows(source, at, limit, width, start, BLOCK_D: tl.constexpr):
    """Columns ``start`` to ``start + BLOCK_D`` of the rows ``at``; 0 outside of ``(limit, width)``."""
    d = start + tl.arange(0, BLOCK_D)
    where = source + at.to(tl.int64)[:, None] * width + d[None, :]
    return tl.load(where, mask=(at < limit)[:, None] & (d < width)[None, :], other=0.0)


@triton.jit
def dot(x, y, total, PRECISION: tl.constexpr):
    """``total + x @ y`` in float32."""
    if PRECISION == "widened":  # the interpreter takes the bits of bfloat16 for integers; their products are exact
        total += tl.dot(x.to(tl.float32), y.to(tl.float32), input_precision="ieee")
    else:
        total = tl.dot(x, y, total, input_precision=PRECISION)
    return total


@triton.jit
def products(
    held, left, rows, num_rows, right, cols, num_cols, width,
    BLOCK_D: tl.constexpr, WHOLE: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Dot products of a tile in float32; ``held`` are its rows, if a block is as wide as they are (``WHOLE``)."""
    tile = tl.zeros((rows.shape[0], cols.shape[0]), tl.float32)
    if WHOLE:
        tile = dot(held, tl.trans(load_rows(right, cols, num_cols, width, 0, BLOCK_D)), tile, PRECISION)
    else:
        for start in tl.range(0, width, BLOCK_D):
            x = load_rows(left, rows, num_rows, width, start, BLOCK_D)
            y = load_rows(right, cols, num_cols, width, start, BLOCK_D)
            tile = dot(x, tl.trans(y), tile, PRECISION)
    return tile


@triton.jit
def side(values, slot, at, limit):
    """What a slot of ``(slots, limit)`` holds for the anchors or candidates ``at``; 0 outside."""
    return tl.load(values + slot * limit + at, mask=at < limit, other=0)


@triton.jit
def masked(
    tile, scale, shift, a, c, n, m, row_keys, col_keys, col_bias,
    TERMS: tl.constexpr, K: tl.constexpr, EVEN: tl.constexpr,
):  # fmt: skip
    """Base-2 logits of term ``K`` less a shift; ``-inf`` for dropped pairs and outside of ``(n, m)``."""
    logits = tile * scale - shift
    for r in tl.static_range(len(TERMS[K])):
        if TERMS[K][r][0] == SELF:
            logits = tl.where(a == c, -float("inf"), logits)
        elif TERMS[K][r][0] == OWN:
            logits = tl.where(side(row_keys, TERMS[K][r][1], a, n) == c, -float("inf"), logits)
        elif TERMS[K][r][0] == OF_COLUMN:
            logits += side(col_bias, TERMS[K][r][2], c, m)
        elif TERMS[K][r][0] == DIFFERENT:
            differ = side(row_keys, TERMS[K][r][1], a, n) != side(col_keys, TERMS[K][r][2], c, m)
            logits = tl.where(differ, -float("inf"), logits)
        else:
            gone = side(row_keys, TERMS[K][r][1], a, n) == side(col_keys, TERMS[K][r][2], c, m)
            if TERMS[K][r][3] >= 0:
                gone = gone & (side(row_keys, TERMS[K][r][3], a, n) != c)
            logits = tl.where(gone, -float("inf"), logits)
    if not EVEN:
        logits = tl.where((a < n) & (c < m), logits, -float("inf"))
    return logits


@triton.jit
def sums_kernel(
    left, right, row_keys, col_keys, col_bias, scales, shift, items, row_out, col_out,
    num_rows, num_cols, width, num_items,
    TERMS: tl.constexpr, PRODUCT: tl.constexpr, RUNNING: tl.constexpr, COLUMNS: tl.constexpr, MIRRORED: tl.constexpr,
    SWAPPED: tl.constexpr, EVEN: tl.constexpr, WHOLE: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Sums of ``2^(logits - shift)`` over columns, and over rows if ``COLUMNS``; base-2 log-sum-exps if ``RUNNING``.

    A program takes every ``num_programs``-th item: a row block, and a run of column blocks. The sums of an item's rows
    go to a line of ``row_out`` that is its own; sums over rows go to the program's own line of ``col_out``, which it
    adds to. ``MIRRORED``: items hold the tiles on and above the diagonal, those above it stand for two.
    """
    program = tl.program_id(0)
    scale = tl.load(scales)
    for item in tl.range(program, num_items, tl.num_programs(0)):
        i, first = tl.load(items + item * 4), tl.load(items + item * 4 + 1)
        last, part = tl.load(items + item * 4 + 2), tl.load(items + item * 4 + 3)
        rows = i * BLOCK_M + tl.arange(0, BLOCK_M)
        held = load_rows(left, rows, num_rows, width, 0, BLOCK_D)
        total = tl.zeros((BLOCK_M,), tl.float32)
        top = tl.full((BLOCK_M,), -float("inf"), tl.float32)
        for j in tl.range(first, last):
            cols = j * BLOCK_N + tl.arange(0, BLOCK_N)
            if COLUMNS:  # asked for before the product, so that the answer does not keep it waiting
                line = col_out + program.to(tl.int64) * num_cols + cols
                inside = cols < num_cols
                if MIRRORED:  # a tile on the diagonal has both triangles
                    inside = inside & (cols >= (i + 1) * BLOCK_M)
                before = tl.load(line, mask=inside, other=0.0)
            if PRODUCT:
                tile = products(
                    held, left, rows, num_rows, right, cols, num_cols, width, BLOCK_D, WHOLE, PRECISION
                )  # fmt: skip
            else:
                tile = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
            if SWAPPED:
                logits = masked(
                    tile, scale, shift, cols[None, :], rows[:, None], num_cols, num_rows,
                    row_keys, col_keys, col_bias, TERMS, 0, EVEN,
                )  # fmt: skip
            else:
                logits = masked(
                    tile, scale, shift, rows[:, None], cols[None, :], num_rows, num_cols,
                    row_keys, col_keys, col_bias, TERMS, 0, EVEN,
                )  # fmt: skip
            if RUNNING:
                highest = tl.maximum(top, tl.max(logits, 1))
                base = tl.where(highest == -float("inf"), 0.0, highest)
                total = total * tl.exp2(top - base) + tl.sum(tl.exp2(logits - base[:, None]), 1)
                top = highest
            else:
                powers = tl.exp2(logits)
                total += tl.sum(powers, 1)
                if COLUMNS:
                    tl.store(line, before + tl.sum(powers, 0), mask=inside)
        if RUNNING:
            total = tl.where(total > 0, top + tl.log2(tl.where(total > 0, total, 1.0)), -float("inf"))
        tl.store(row_out + part.to(tl.int64) * num_rows + rows, total, mask=rows < num_rows)
        if COLUMNS:  # the line is read again in the next item, by whichever threads
            tl.debug_barrier()


@triton.jit
def pull_kernel(
    left, right, other, more_left, more_right, out, row_keys, col_keys, col_bias,
    scales, factors, shifts, a_lse, a_weight, c_lse, c_weight, a_offset, items, scale_out,
    num_rows, num_cols, width, other_width, more_width,
    TERMS: tl.constexpr, LEARNED: tl.constexpr, SHIFTED: tl.constexpr, BY_ANCHOR: tl.constexpr,
    BY_CANDIDATE: tl.constexpr, MORE: tl.constexpr, SWAPPED: tl.constexpr, EVEN: tl.constexpr, WHOLE: tl.constexpr,
    MORE_WHOLE: tl.constexpr, SHARED: tl.constexpr, PRECISION: tl.constexpr, BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_E: tl.constexpr, BLOCK_F: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    r"""``out_i = sum_j G_ij other_j``, with G the gradient with respect to the logits of a tile, computed again.

    For each term ``G = factor * p * weight``, where p is relative to the log-sum-exp of the anchor, of the candidate,
    or both (their sum); with one ``SHIFTED`` exponential the weights have the log-sum-exps in them. ``MORE``: G is
    multiplied by ``a_offset`` plus a second product of rows and columns. A program has a run of column blocks of one
    row block, and ``BLOCK_E`` columns of the result, in a part of ``out`` that is its own. ``SHARED``: ``other`` are
    the columns of the product, which are loaded once. ``LEARNED``: each program sums ``G / factor`` times the product.
    """
    item = tl.program_id(0)
    i, first = tl.load(items + item * 4), tl.load(items + item * 4 + 1)
    last, part = tl.load(items + item * 4 + 2), tl.load(items + item * 4 + 3)
    chunk = tl.program_id(1) * BLOCK_E
    rows = i * BLOCK_M + tl.arange(0, BLOCK_M)
    held = load_rows(left, rows, num_rows, width, 0, BLOCK_D)
    more_held = load_rows(more_left, rows, num_rows, more_width, 0, BLOCK_F)
    total = tl.zeros((BLOCK_M, BLOCK_E), tl.float32)
    numbers = tl.arange(0, BLOCK_K)[None, :]
    learned = tl.zeros((BLOCK_M, BLOCK_K), tl.float32)
    for j in tl.range(first, last):
        cols = j * BLOCK_N + tl.arange(0, BLOCK_N)
        if SHARED:
            carried = load_rows(right, cols, num_cols, width, 0, BLOCK_D)
            tile = dot(held, tl.trans(carried), tl.zeros((BLOCK_M, BLOCK_N), tl.float32), PRECISION)
        else:
            tile = products(held, left, rows, num_rows, right, cols, num_cols, width, BLOCK_D, WHOLE, PRECISION)
            carried = load_rows(other, cols, num_cols, other_width, chunk, BLOCK_E)
        if SWAPPED:
            a, c, n, m = cols[None, :], rows[:, None], num_cols, num_rows
        else:
            a, c, n, m = rows[:, None], cols[None, :], num_rows, num_cols
        gradient = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
        for k in tl.static_range(len(TERMS)):
            shift = tl.load(shifts + k) if SHIFTED else 0.0
            logits = masked(
                tile, tl.load(scales + k), shift, a, c, n, m, row_keys, col_keys, col_bias, TERMS, k, EVEN
            )  # fmt: skip
            if SHIFTED:
                pulls = tl.exp2(logits) * (side(a_weight, k, a, n) + side(c_weight, k, c, m))
            elif BY_ANCHOR:
                pulls = tl.exp2(logits - side(a_lse, k, a, n)) * side(a_weight, k, a, n)
                if BY_CANDIDATE:
                    pulls += tl.exp2(logits - side(c_lse, k, c, m)) * side(c_weight, k, c, m)
            else:
                pulls = tl.exp2(logits - side(c_lse, k, c, m)) * side(c_weight, k, c, m)
            if LEARNED:
                learned += tl.where(numbers == k, tl.sum(pulls * tile, 1)[:, None], 0.0)
            gradient += pulls * tl.load(factors + k)
        if MORE:
            second = products(
                more_held, more_left, rows, num_rows, more_right, cols, num_cols, more_width, BLOCK_F, MORE_WHOLE,
                PRECISION,
            )  # fmt: skip
            gradient *= second + side(a_offset, 0, a, n)
        total = dot(gradient.to(carried.dtype), carried, total, PRECISION)
    e = chunk + tl.arange(0, BLOCK_E)
    where = out + (part.to(tl.int64) * num_rows + rows)[:, None] * other_width + e[None, :]
    tl.store(where, total, mask=(rows < num_rows)[:, None] & (e < other_width)[None, :])
    if LEARNED:
        inside = numbers < tl.where(chunk == 0, len(TERMS), 0)
        tl.store(scale_out + item * len(TERMS) + numbers, tl.sum(learned, 0)[None, :], mask=inside)
