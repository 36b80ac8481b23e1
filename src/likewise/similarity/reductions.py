"""The reductions of anchors x candidates that contrastive losses are made of.

Anchors ``(n, d)`` and candidates ``(m, d)`` are compared by their dot product. Every function takes ``comm``: the
candidates then are those of all processes, and gradients flow back to where they live. Several candidate banks are
several calls whose results :func:`combine` joins; a bank without gradient is one that is detached.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from likewise.core.comm import Collective
from likewise.similarity import dense
from likewise.similarity.rules import Bias, Drop, Rule, Term

SINGLE = Collective()
"""One process: every verb is the identity."""


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
    return dense.attend(anchors, candidates, values, Term(scale, drop, bias), comm)


def weighted_sum(
    n: int, candidates: Tensor, rule: Rule, *, comm: Collective = SINGLE, similarity: str = "auto"
) -> Tensor:
    """``sum_j w_ij c_j`` for ``n`` anchors, ``(n, d)``, with a rule's values as the weights ``w``.

    A weighted sum of similarities is a similarity with this sum: ``(anchors * weighted_sum(...)).sum(1)``.
    A ``Drop`` rule counts as 0 or 1.
    """
    return dense.weighted_sum(n, candidates, rule, comm)


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
    keys = comm.gather(torch.cat([row_keys, col_keys])).unique()
    where = torch.searchsorted(keys, col_keys)
    total = comm.sum(candidates.new_zeros((len(keys), candidates.shape[1])).index_add(0, where, candidates))
    count = comm.sum(torch.bincount(where, minlength=len(keys)))
    at = torch.searchsorted(keys, row_keys)
    return total[at], count[at]


def combine(*lses: Tensor) -> Tensor:
    """The log-sum-exp over several banks from that of each, elementwise; ``-inf`` where all are ``-inf``."""
    return dense.log_sum(torch.stack(lses), 0)


def _run(
    anchors: Tensor,
    candidates: Tensor | None,
    terms: Sequence[Term],
    both: bool,
    comm: Collective,
    similarity: str,
    tile: int | None,
) -> list[tuple[Tensor, Tensor | None]]:
    return dense.lse(anchors, anchors if candidates is None else candidates, terms, both, comm)
