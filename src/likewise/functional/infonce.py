"""InfoNCE and its relatives: a positive against a log-sum-exp over candidates.

Rows come as they are (a method normalises them first; :mod:`likewise.losses` does it inside); the functions return one
value per anchor. Common arguments:

* ``ids (n,)``: identity of each sample. Another row with the anchor's id is the same sample: it is neither positive nor
  negative and is left out. Without ids every row is a sample of its own.
* ``comm``: anchors are this process's rows, candidates are everybody's.
* ``similarity``: the path of the reductions (:mod:`likewise.similarity`).

Empty cases: an anchor whose only candidate is its own positive costs 0 and has no gradient (so does a batch of one).
"""

import functools
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from likewise.core.comm import Collective
from likewise.core.errors import InputError
from likewise.functional.precision import equation, softplus
from likewise.similarity import (
    SINGLE,
    Drop,
    Own,
    Same,
    Self,
    both_cross_entropy,
    combine,
    cross_entropy,
    log_sum,
    row_lse,
    same_sum,
    some,
)


@functools.lru_cache(maxsize=4)  # a loop asks for the same one at every step
def partners(n: int, device: torch.device) -> Tensor:
    """Where each row's other view stands when two views of ``n`` samples are stacked, ``(2n,)``; not to be changed."""
    with torch.inference_mode(False):  # whoever asked first, autograd may save it
        return torch.arange(2 * n, device=device).roll(n)


def stacked(a: Tensor, b: Tensor) -> Tensor:
    """The rows of two views of the same samples, ``(2n, d)``."""
    if a.shape != b.shape:
        sizes = " and ".join("x".join(map(str, view.shape)) for view in (a, b))
        raise InputError(f"two views of the same samples must have equal shapes, got {sizes}")
    return torch.cat([a, b])


def others(n: int, ids: Tensor | None, device: torch.device, *, with_positive: bool) -> tuple[Drop, ...]:
    """What two stacked views of ``n`` samples drop: self and duplicates, and the positive unless ``with_positive``."""
    if ids is None and with_positive:
        return (Self(),)
    partner = partners(n, device)
    if ids is None:
        return Self(), Own(partner, mutual=True)
    keys = torch.cat([ids, ids])
    return (Same(keys, keys, keep=partner if with_positive else None, mutual=True),)


def copies(ids: Tensor | None) -> tuple[Drop, ...]:
    """What anchors against everybody's positives drop: other rows of the anchor's sample."""
    return () if ids is None else (Same(ids, ids, keep=torch.arange(len(ids), device=ids.device)),)


def contrast_views(
    rows: Tensor, drop: Sequence[Drop], temperature: float | Tensor, comm: Collective, similarity: str
) -> Tensor:
    """Each row of two stacked views against all rows that are not dropped, with its other view as the positive."""
    target = partners(rows.shape[0] // 2, rows.device)
    return cross_entropy(rows, None, target, scale=1 / temperature, drop=drop, comm=comm, similarity=similarity)


@equation
def nt_xent(
    a: Float[Tensor, "n d"],
    b: Float[Tensor, "n d"],
    *,
    temperature: float | Tensor,
    ids: Int[Tensor, " n"] | None = None,
    comm: Collective = SINGLE,
    similarity: str = "auto",
) -> Float[Tensor, " 2*n"]:
    r"""Normalised temperature-scaled cross entropy of two views; anchors are the rows of ``a``, then of ``b``.

    .. math::  \ell_i = -\langle u_i, u_{p(i)}\rangle/\tau + \log\sum_{k \ne i} e^{\langle u_i, u_k\rangle/\tau}

    with u the rows of both views, p(i) the other view of sample i, and tau the temperature.
    Source: Chen et al., "A Simple Framework for Contrastive Learning", arXiv:2002.05709, Eq. 1.
    """
    drop = others(a.shape[0], ids, a.device, with_positive=True)
    return contrast_views(stacked(a, b), drop, temperature, comm, similarity)


@equation
def info_nce(
    query: Float[Tensor, "n d"],
    positive: Float[Tensor, "n d"],
    negatives: Float[Tensor, "k d"] | None = None,
    *,
    temperature: float | Tensor,
    own_negatives: Float[Tensor, "n s d"] | None = None,
    ids: Int[Tensor, " n"] | None = None,
    negative_ids: Int[Tensor, " k"] | None = None,
    comm: Collective = SINGLE,
    similarity: str = "auto",
) -> Float[Tensor, " n"]:
    r"""One-way InfoNCE: a query, its positive, and a bank of negatives or everybody's positives.

    .. math::  \ell_i = -\langle q_i, k_i\rangle/\tau + \log\Big(e^{\langle q_i, k_i\rangle/\tau}
               + \sum_{j} e^{\langle q_i, c_j\rangle/\tau}\Big)

    With ``negatives`` c are its rows (the same on every process): MoCo's queue. Without, c are the other samples'
    positives on every process: MoCo v3, NNCLR. ``negative_ids (k,)``: rows of the bank that hold the anchor's own
    sample are left out (needs ``ids``). ``own_negatives`` are further negatives of each query alone: mined or mixed.
    Source: He et al., arXiv:1911.05722, Eq. 1; Chen, Xie and He, arXiv:2104.02057, Eq. 1 (without its factor 2 tau).
    """
    if negative_ids is not None and (ids is None or negatives is None):
        raise InputError("info_nce: negative_ids say whose rows the negatives are, so they need ids and negatives")
    scale = 1 / temperature
    pull = (query * positive).sum(1) * scale
    mine = None if own_negatives is None else log_sum((own_negatives @ query[:, :, None]).squeeze(2) * scale, 1)
    if negatives is None:
        own = torch.arange(len(query), device=query.device)
        cost = cross_entropy(query, positive, own, scale=scale, drop=copies(ids), comm=comm, similarity=similarity)
        return cost if mine is None else combine(cost, mine - pull)
    drop = () if ids is None or negative_ids is None else (Same(ids, negative_ids),)
    repel = row_lse(query, negatives, scale=scale, drop=drop, similarity=similarity)
    return softplus((repel if mine is None else combine(repel, mine)) - pull)


@equation
def sup_con(
    views: Sequence[Float[Tensor, "n d"]],
    labels: Int[Tensor, " n"],
    *,
    temperature: float,
    base_temperature: float,
    anchors: Literal["all", "one"] = "all",
    comm: Collective = SINGLE,
    similarity: str = "auto",
) -> Float[Tensor, " anchors"]:
    r"""Supervised contrastive loss, the mean over positives outside of the logarithm.

    .. math::  \ell_i = -\frac{\tau}{\tau_0}\frac{1}{|P_i|}\sum_{j\in P_i}
               \Big(\langle u_i, u_j\rangle/\tau - \log\sum_{k\ne i} e^{\langle u_i, u_k\rangle/\tau}\Big)

    with u all rows of all views, P_i the other rows with the label of i, and tau_0 the base temperature. Anchors are
    all rows, view by view, or the rows of the first view (``"one"``). Labels alone decide: two rows of one sample are
    positives of each other. An anchor without positives costs 0 and has no gradient (it still counts in a mean).
    Source: Khosla et al., "Supervised Contrastive Learning", arXiv:2004.11362, Eq. 2 (L_out).
    """
    rows, keys = torch.cat(list(views)), torch.cat([labels] * len(views))
    chosen = rows if anchors == "all" else views[0]
    lse = row_lse(
        chosen,
        None if anchors == "all" else rows,
        scale=1 / temperature,
        drop=(Self(),),
        comm=comm,
        similarity=similarity,
    )
    total, count = same_sum(keys[: len(chosen)], rows, keys, comm)
    # the anchor is no positive of its own
    pull = (total - chosen) / ((count - 1).clamp(min=1).to(rows.dtype) * temperature)[:, None]
    loss = lse - (chosen * pull).sum(1)
    if temperature != base_temperature:
        loss = loss * (temperature / base_temperature)
    none = count <= 1
    return torch.where(none, 0.0, loss) if some(none) else loss


@equation
def clip(
    image: Float[Tensor, "n d"],
    text: Float[Tensor, "n d"],
    scale: float | Float[Tensor, "..."],
    *,
    ids: Int[Tensor, " n"] | None = None,
    comm: Collective = SINGLE,
    similarity: str = "auto",
) -> Float[Tensor, " n"]:
    r"""Symmetric cross-modal InfoNCE, the mean of both directions for each pair.

    .. math::  \ell_i = \tfrac12\Big(\log\sum_j e^{s\langle x_i, y_j\rangle}
               + \log\sum_j e^{s\langle x_j, y_i\rangle}\Big)
               - s\langle x_i, y_i\rangle

    with x the images, y the texts, and s the (learnable) scale.
    Source: Radford et al., arXiv:2103.00020, Figure 3.
    """
    rows, cols = both_cross_entropy(image, text, scale=scale, drop=copies(ids), comm=comm, similarity=similarity)
    return (rows + cols) / 2


@equation
def prototype_nce(
    query: Float[Tensor, "n d"],
    prototypes: Float[Tensor, "k d"],
    assignment: Int[Tensor, " n"],
    density: Float[Tensor, " k"],
    negatives: Int[Tensor, " r"] | None = None,
    *,
    ids: Int[Tensor, " n"] | None = None,
    similarity: str = "auto",
) -> Float[Tensor, " n"]:
    r"""InfoNCE against cluster centres, each with the temperature of its own density.

    .. math::  \ell_i = -\langle q_i, c_{s(i)}\rangle/\phi_{s(i)}
               + \log\sum_{j\in B\cup R} e^{\langle q_i, c_j\rangle/\phi_j}

    with s the ``assignment`` of samples to clusters and phi their ``density``. B are the clusters of the samples of the
    batch, one column per sample (a cluster that two samples share counts twice, as in the released code), R the
    ``negatives``: positions of clusters to which no sample of the batch belongs; None takes all of those.
    Source: Li et al., "Prototypical Contrastive Learning", arXiv:2005.04966, Eq. 11, for one clustering.
    """
    if negatives is None:
        free = torch.ones(len(prototypes), dtype=torch.bool, device=query.device)
        free[assignment] = False
        negatives = free.nonzero().flatten()
    columns = torch.cat([assignment, negatives])
    scaled = prototypes[columns] / density[columns, None]
    own = torch.arange(len(query), device=query.device)
    drop: tuple[Drop, ...] = ()
    if ids is not None:
        unlike = (ids.min() - 1).expand(len(negatives))  # a key that no sample has
        drop = (Same(ids, torch.cat([ids, unlike]), keep=own),)
    return cross_entropy(query, scaled, own, scale=1.0, drop=drop, similarity=similarity)
