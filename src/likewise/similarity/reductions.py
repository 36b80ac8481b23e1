"""The reductions of anchors x candidates that contrastive losses are made of.

Anchors ``(n, d)`` and candidates ``(m, d)`` are compared by their dot product. Every function takes ``comm``: the
candidates then are those of all processes, and gradients flow back to where they live. Several candidate banks are
several calls whose results :func:`combine` joins; a bank without gradient is one that is detached.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch
from torch import Tensor

from likewise.core.comm import Collective
from likewise.similarity import dense, ring, small, tiles
from likewise.similarity.autograd import Attend, LogSumExp, TargetDot, WeightedSum, divided
from likewise.similarity.backends import is_eager
from likewise.similarity.mode import forced_tile, resolve
from likewise.similarity.rules import Bias, Drop, Rule, Term
from likewise.similarity.small import OneTile
from likewise.similarity.spread import RingAttend, RingLogSumExp, RingWeightedSum
from likewise.similarity.tiles import Sweep

SINGLE = Collective()
"""One process: every verb is the identity."""

_HALF = (torch.float16, torch.bfloat16)


def unit_rows(rows: Tensor) -> Tensor:
    """Rows of unit length ``(n, d)``, in float32 or better; zeros stay zeros."""
    # autocast has no lower precision for these operations
    return divided(rows.float() if rows.dtype in _HALF else rows, 1e-12)


def row_lse(
    anchors: Tensor,
    candidates: Tensor | None = None,
    *,
    scale: float | Tensor,
    drop: Sequence[Drop] = (),
    bias: Sequence[Bias] = (),
    comm: Collective = SINGLE,
    similarity: str = "auto",
    tile: int | None = None,
) -> Tensor:
    r"""``log sum_j exp(scale <a_i, c_j> + bias_ij)`` over the candidates that are not dropped, ``(n,)``.

    Args:
        anchors: ``(n, d)``.
        candidates: ``(m, d)``, or None for the anchors themselves (half the work).
        scale: 1 / temperature; a tensor of one element gets its gradient.
        drop: rules whose pairs don't count.
        bias: rules that add to the logits.
        comm: the processes whose candidates take part.
        similarity: ``auto``, ``dense`` or ``tiled``.
        tile: side of the tiles; None picks it from the cache and ``d``.

    An anchor without any candidate gets ``-inf`` and no gradient.
    """
    return sweep(anchors, candidates, [Term(scale, drop, bias)], comm=comm, similarity=similarity, tile=tile)[0]


def cross_entropy(
    anchors: Tensor,
    candidates: Tensor | None,
    target: Tensor,
    *,
    scale: float | Tensor,
    drop: Sequence[Drop] = (),
    comm: Collective = SINGLE,
    similarity: str = "auto",
    tile: int | None = None,
) -> Tensor:
    r"""``-scale <a_i, c_target(i)> + log sum_j exp(scale <a_i, c_j>)`` for each anchor, ``(n,)``.

    Args:
        anchors: ``(n, d)``.
        candidates: ``(m, d)``, or None for the anchors themselves.
        target: ``(n,)`` int64, the positive of each anchor among this process's candidates. A rule may drop it from the
            sum; its logit is subtracted all the same.
        scale: 1 / temperature.
        drop: rules whose pairs don't count.
        comm: the processes whose candidates take part.
        similarity: ``auto``, ``dense`` or ``tiled``.
        tile: side of the tiles.

    ``inf`` never comes up: an anchor whose sum is empty gets ``-inf``.
    """
    half = _half(anchors, candidates)
    anchors, *rest = _full(anchors, *([] if candidates is None else [candidates]))
    columns = rest[0] if rest else anchors
    with _outside_autocast(anchors):
        if comm.world == 1:
            if _is_dense(similarity, comm) or _is_quick(similarity, anchors, columns, drop, tile):
                return dense.cross_entropy(anchors, columns, target, scale, drop)[0]
            sweep = _sweep(anchors, rest[0] if rest else None, [Term(scale, drop)], False, tile)
            if _in_one_tile(sweep, anchors, [scale]):
                both_roles = None if sweep.symmetric else columns
                return cast(Tensor, OneTile.apply(sweep, anchors, both_roles, target, scale)[0])
        positive = TargetDot.apply(anchors, columns, target, _side(tile, anchors)) * scale
        terms = [Term(scale, drop)]
        [(rows, _)] = _run(anchors, rest[0] if rest else None, terms, False, comm, similarity, tile, half)
        return rows - positive


def both_cross_entropy(
    anchors: Tensor,
    candidates: Tensor,
    *,
    scale: float | Tensor,
    drop: Sequence[Drop] = (),
    comm: Collective = SINGLE,
    similarity: str = "auto",
    tile: int | None = None,
) -> tuple[Tensor, Tensor]:
    """:func:`cross_entropy` of every anchor and of every candidate, ``(n,)`` each: row i belongs to row i.

    Arguments as :func:`cross_entropy`; over processes as :func:`both_lse`.
    """
    half = _half(anchors, candidates)
    anchors, candidates = _full(anchors, candidates)
    with _outside_autocast(anchors):
        if comm.world == 1 and _is_quick(similarity, anchors, candidates, drop, tile):
            own = torch.arange(len(anchors), device=anchors.device)
            rows, cols = dense.cross_entropy(anchors, candidates, own, scale, drop, both=True)
            return rows, cols
        [(rows, found)] = _run(anchors, candidates, [Term(scale, drop)], True, comm, similarity, tile, half)
        positive = (anchors * candidates).sum(1) * scale
        return rows - positive, cast(Tensor, found) - positive


def both_lse(
    anchors: Tensor,
    candidates: Tensor,
    *,
    scale: float | Tensor,
    drop: Sequence[Drop] = (),
    bias: Sequence[Bias] = (),
    comm: Collective = SINGLE,
    similarity: str = "auto",
    tile: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Row log-sum-exp ``(n,)`` and column log-sum-exp ``(m,)`` in one sweep; arguments as :func:`row_lse`.

    Over processes: of this process's anchors over everybody's candidates, and the other way round.
    """
    [(rows, cols)] = _run(anchors, candidates, [Term(scale, drop, bias)], True, comm, similarity, tile)
    return rows, cast(Tensor, cols)


def sweep(
    anchors: Tensor,
    candidates: Tensor | None,
    terms: Sequence[Term],
    *,
    comm: Collective = SINGLE,
    similarity: str = "auto",
    tile: int | None = None,
) -> list[Tensor]:
    """Several row log-sum-exps (temperatures, rules) of the same similarities in one sweep: ``(n,)`` each."""
    return [rows for rows, _ in _run(anchors, candidates, terms, False, comm, similarity, tile)]


def attend(
    anchors: Tensor,
    candidates: Tensor,
    values: Tensor | None = None,
    *,
    scale: float | Tensor,
    drop: Sequence[Drop] = (),
    bias: Sequence[Bias] = (),
    comm: Collective = SINGLE,
    similarity: str = "auto",
    tile: int | None = None,
) -> tuple[Tensor, Tensor]:
    """The row log-sum-exp ``(n,)`` and the softmax-weighted mean of the values ``(n, v)``.

    ``values (m, v)`` are the candidates themselves when None. An anchor without candidates gets ``-inf`` and zeros.
    The expectation of the similarity itself is ``(anchors * mean).sum(1)``. Other arguments as :func:`row_lse`.
    """
    half = _half(anchors, candidates, values)
    anchors, candidates, *rest = _full(anchors, candidates, *([] if values is None else [values]))
    carried = rest[0] if rest else None
    term = Term(scale, tuple(drop), tuple(bias))
    with _outside_autocast(anchors):
        if _is_dense(similarity, comm):
            return dense.attend(anchors, candidates, carried, term, comm)
        here = _sweep(anchors, candidates, [term], False, tile, half)
        return _attend(here, anchors, candidates, carried, scale, comm)


def weighted_sum(
    n: int,
    candidates: Tensor,
    rule: Rule,
    *,
    comm: Collective = SINGLE,
    similarity: str = "auto",
    tile: int | None = None,
) -> Tensor:
    """``sum_j w_ij c_j`` for ``n`` anchors, ``(n, d)``, with a rule's values as the weights ``w``.

    A weighted sum of similarities is a similarity with this sum: ``(anchors * weighted_sum(...)).sum(1)``.
    A ``Drop`` rule counts as 0 or 1.
    """
    [candidates] = _full(candidates)
    with _outside_autocast(candidates):
        if _is_dense(similarity, comm):
            return dense.weighted_sum(n, candidates, rule, comm)
        side = _side(tile, candidates)
        if comm.world > 1:
            return RingWeightedSum.apply(rule, n, side, comm, candidates)
        return WeightedSum.apply(rule, n, side, candidates)


def same_sum(
    row_keys: Tensor, candidates: Tensor, col_keys: Tensor, comm: Collective = SINGLE
) -> tuple[Tensor, Tensor]:
    """The sum ``(n, d)`` and number ``(n,)`` of the candidates with each anchor's key, in O((n + m) d).

    Args:
        row_keys: ``(n,)`` int64 key of each anchor (a label).
        candidates: ``(m, d)`` of this process; those of every process are summed.
        col_keys: ``(m,)`` int64 key of each candidate.
        comm: the processes.
    """
    if comm.world == 1 and len(row_keys) * len(col_keys) <= dense.QUICK:
        same = row_keys[:, None] == col_keys
        return torch.mm(same.to(candidates.dtype), candidates), same.sum(1)
    keys = torch.unique(comm.gather(torch.cat([row_keys, col_keys])))
    where = torch.searchsorted(keys, col_keys)
    total = comm.sum(candidates.new_zeros((len(keys), candidates.shape[1])).index_add(0, where, candidates))
    count = comm.sum(torch.bincount(where, minlength=len(keys)))
    at = torch.searchsorted(keys, row_keys)
    return total[at], count[at]


def combine(*lses: Tensor) -> Tensor:
    """The log-sum-exp over several banks from that of each, elementwise; ``-inf`` where all are ``-inf``."""
    return dense.log_sum(torch.stack(lses), 0)


def _full(*tensors: Tensor) -> list[Tensor]:
    """Tensors in float32 or better."""
    return [t.float() if t.dtype in _HALF else t for t in tensors]


def _half(*rows: Tensor | None) -> torch.dtype | None:
    """The half precision that all these rows came in, which holds them exactly, or None."""
    [dtype, *others] = {x.dtype for x in rows if x is not None}
    return dtype if not others and dtype in (torch.float16, torch.bfloat16) else None


def _outside_autocast(like: Tensor) -> AbstractContextManager[Any]:
    device = like.device.type
    return torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext()


def _is_dense(similarity: str, comm: Collective) -> bool:
    """Whether to take the plain path: asked for, or a collective that the ring can't talk over."""
    return resolve(similarity) == "dense" or (comm.world > 1 and not ring.possible(comm))


def _is_quick(similarity: str, anchors: Tensor, candidates: Tensor, drop: Sequence[Drop], tile: int | None) -> bool:
    """Whether a cross entropy is quicker by the plain path. Who asks for a tile wants tiles."""
    few = anchors.shape[0] * candidates.shape[0] <= dense.QUICK and anchors.device.type == "cpu"
    asked = resolve(similarity) != "auto" or forced_tile(tile) is not None
    return few and not asked and all(rule.spares() for rule in drop)


def _sweep(
    anchors: Tensor,
    candidates: Tensor | None,
    terms: Sequence[Term],
    both: bool,
    tile: int | None,
    half: torch.dtype | None = None,
) -> Sweep:
    # scales are passed beside the sweep: it must not hold on to their graph
    fixed = tuple(Term(0.0, term.drop, term.bias) for term in terms)
    symmetric = candidates is None and all(rule.symmetric() for term in terms for rule in term.rules())
    side = _side(tile, anchors)
    return Sweep(len(anchors), len(anchors if candidates is None else candidates), symmetric, both, fixed, side, half)


def _side(tile: int | None, rows: Tensor) -> int:
    forced = forced_tile(tile)
    return tiles.pick_tile(rows.shape[1], rows.dtype, rows.device) if forced is None else forced


def _attend(
    sweep: Sweep,
    anchors: Tensor,
    candidates: Tensor,
    values: Tensor | None,
    scale: float | Tensor,
    comm: Collective,
) -> tuple[Tensor, Tensor]:
    if comm.world > 1:
        return RingAttend.apply(sweep, comm, anchors, candidates, values, scale)
    return Attend.apply(sweep, anchors, candidates, values, scale)


def _run(
    anchors: Tensor,
    candidates: Tensor | None,
    terms: Sequence[Term],
    both: bool,
    comm: Collective,
    similarity: str,
    tile: int | None,
    half: torch.dtype | None = None,
) -> list[tuple[Tensor, Tensor | None]]:
    half = half or _half(anchors, candidates)
    anchors, *rest = _full(anchors, *([] if candidates is None else [candidates]))
    columns = rest[0] if rest else anchors
    scales = [term.scale for term in terms]
    with _outside_autocast(anchors):
        if _is_dense(similarity, comm):
            return dense.lse(anchors, columns, terms, both, comm)
        sweep = _sweep(anchors, rest[0] if rest else None, terms, both, tile, half)
        # processes must decide alike, whatever their numbers of rows: the one tile is for a single one
        if comm.world == 1 and _in_one_tile(sweep, anchors, scales):
            out = OneTile.apply(sweep, anchors, None if sweep.symmetric else columns, None, *scales)
        elif len(terms) == 1 and rest and not both and _constant(columns) and not _constant(anchors):
            # the softmax mean of constant candidates is the gradient: no second sweep
            out = _attend(sweep, anchors, columns, None, scales[0], comm)[:1]
        elif comm.world > 1:
            out = RingLogSumExp.apply(sweep, comm, anchors, rest[0] if rest else None, *scales)
        else:
            out = LogSumExp.apply(sweep, anchors, None if sweep.symmetric else columns, *scales)
    return [(out[k], out[len(terms) + k] if both else None) for k in range(len(terms))]


def _in_one_tile(sweep: Sweep, anchors: Tensor, scales: Sequence[float | Tensor]) -> bool:
    return small.fits(sweep, scales) and is_eager(anchors.device)


def _constant(rows: Tensor) -> bool:
    return not (torch.is_grad_enabled() and rows.requires_grad)
