"""InfoNCE of more than two views of a sample: all views in one term, or means over pairs of views.

Common arguments are those of :mod:`likewise.functional.infonce`; ``views`` are V tensors ``(n, d)``, row i of each a
view of sample i, of unit length.
"""

import functools
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from likewise.core.comm import Collective
from likewise.core.errors import InputError
from likewise.functional.precision import equation, softplus
from likewise.similarity import SINGLE, Drop, Same, log_sum, row_lse, some

TwoViews = Callable[[Tensor, Tensor], Tensor]
"""A loss of two views of the same samples: ``(n, d)``, ``(n, d)`` -> values, one or many."""


def view_products(views: Sequence[Tensor]) -> Tensor:
    """The inner products of every two views of each sample, ``(n, V, V)``.

    Raises:
        InputError: fewer than two views, or views of different shapes.
    """
    if len(views) < 2 or len({view.shape for view in views}) > 1:
        shapes = ", ".join("x".join(map(str, view.shape)) for view in views) or "none"
        raise InputError(f"a multi-view loss needs two views or more of equal shapes, got {shapes}")
    rows = torch.stack(list(views), 1)
    return rows @ rows.transpose(1, 2)


def names(n: int, ids: Tensor | None, comm: Collective, device: torch.device) -> Tensor:
    """A key for each sample ``(n,)``: its id, or where there are none a number that no process shares."""
    return torch.arange(n, device=device) + (comm.rank << 32) if ids is None else ids


def _pairs(views: Sequence[Tensor], temperature: float, *, ordered: bool) -> Tensor:
    """Log of the sum of exponentials over pairs of different views, ``(n,)``."""
    products = view_products(views) / temperature
    i, j = torch.triu_indices(len(views), len(views), 1, device=products.device)
    within = products[:, i, j]
    return log_sum(torch.cat([within, within], 1) if ordered else within, 1)


def _negatives(
    views: Sequence[Tensor],
    temperature: float,
    ids: Tensor | None,
    comm: Collective,
    similarity: str,
    *,
    same_view: bool = True,
) -> Tensor:
    """Each view's log-sum-exp over all views of the other samples, ``(V, n)``; ``-inf`` without others."""
    n, device = len(views[0]), views[0].device
    keys = names(n, ids, comm, device).repeat(len(views))
    drop: tuple[Drop, ...] = (Same(keys, keys),)
    if not same_view:
        view = torch.arange(len(views), device=device).repeat_interleave(n)
        drop += (Same(view, view),)
    lse = row_lse(torch.cat(list(views)), scale=1 / temperature, drop=drop, comm=comm, similarity=similarity)
    return lse.view(len(views), n)


@equation
def mv_info_nce(
    views: Sequence[Float[Tensor, "n d"]],
    *,
    temperature: float,
    variant: Literal["paper", "code"] = "paper",
    ids: Int[Tensor, " n"] | None = None,
    comm: Collective = SINGLE,
    similarity: str = "auto",
) -> Float[Tensor, " n"]:
    r"""MV-InfoNCE: one softmax for all views of a sample.

    .. math::  \ell_i = -\log\frac{\sum_{l\neq m} e^{\langle u_{il}, u_{im}\rangle/\tau}}
               {\sum_{l\neq m}\sum_{j} e^{\langle u_{il}, u_{jm}\rangle/\tau}}

    with u_il view l of sample i and tau the temperature. The denominator holds the positives (j = i) and other samples'
    *other* views; ``variant="code"`` takes their same view (m = l) as well, as the authors' code does. For two views
    this is not NT-Xent: the mean over both anchors stands inside of the logarithm. A batch of one costs 0.
    Source: Koromilas et al., "A Principled Framework for Multi-View Contrastive Learning", arXiv:2507.06979.

    Raises:
        InputError: fewer than two views.
    """
    positive = _pairs(views, temperature, ordered=True)
    negative = _negatives(views, temperature, ids, comm, similarity, same_view=variant == "code")
    return softplus(log_sum(negative, 0) - positive)


@equation
def mv_dhel(
    views: Sequence[Float[Tensor, "n d"]],
    *,
    temperature: float,
    ids: Int[Tensor, " n"] | None = None,
    comm: Collective = SINGLE,
    similarity: str = "auto",
) -> Float[Tensor, " n"]:
    r"""MV-DHEL: the views of a sample are drawn together as one, each view is spread by itself.

    .. math::  \ell_i = -\log\sum_{l<m} e^{\langle u_{il}, u_{im}\rangle/\tau}
               + \sum_{l}\log\sum_{j\neq i} e^{\langle u_{il}, u_{jl}\rangle/\tau}

    with u_il view l of sample i and tau the temperature; O(n^2 V) where the others are O(n^2 V^2). For two views it is
    DHEL. Kept in log space, where the authors' code divides by a product of V sums, which overflows. Over ordered pairs
    of views, as the README sums, the value is log 2 less. A sample without any other costs 0 and has no gradient.
    Source: Koromilas et al., arXiv:2507.06979, MV-DHEL.

    Raises:
        InputError: fewer than two views.
    """
    positive = _pairs(views, temperature, ordered=False)
    keys = names(len(views[0]), ids, comm, views[0].device)
    other = functools.partial(
        row_lse, scale=1 / temperature, drop=(Same(keys, keys),), comm=comm, similarity=similarity
    )
    spread = torch.stack([other(view) for view in views]).sum(0)
    none = spread == -torch.inf
    return torch.where(none, 0.0, spread - positive) if some(none) else spread - positive


@equation
def poly_view_nce(
    views: Sequence[Float[Tensor, "n d"]],
    *,
    temperature: float,
    ids: Int[Tensor, " n"] | None = None,
    comm: Collective = SINGLE,
    similarity: str = "auto",
) -> Float[Tensor, " n"]:
    r"""Poly-view contrast, geometric mean: every ordered pair of views against all views of other samples.

    .. math::  \ell_i = \operatorname{mean}_{l\neq m}\Big[-\langle u_{il}, u_{im}\rangle/\tau
               + \log\Big(e^{\langle u_{il}, u_{im}\rangle/\tau}
               + \sum_{j\neq i}\sum_{k} e^{\langle u_{il}, u_{jk}\rangle/\tau}\Big)\Big]

    For two views it is NT-Xent. A batch of one costs 0.
    Source: Shidani et al., "Poly-View Contrastive Learning", arXiv:2403.05490, as in the code of Koromilas et al.

    Raises:
        InputError: fewer than two views.
    """
    products = view_products(views) / temperature
    negative = _negatives(views, temperature, ids, comm, similarity)
    cost = softplus(negative.T[:, :, None] - products)
    apart = ~torch.eye(len(views), dtype=torch.bool, device=products.device)
    return cost[:, apart].mean(1)


def pairwise(views: Sequence[Tensor], loss: TwoViews) -> Tensor:
    """A two-view loss as the mean over all unordered pairs of views (PWE); views of any shape that ``loss`` takes."""
    return torch.stack([loss(a, b) for a, b in combinations(views, 2)]).mean(0)


def against_mean(views: Sequence[Tensor], loss: TwoViews) -> Tensor:
    """A two-view loss of each view and the mean of the others, averaged over views (AVG); the mean isn't made unit."""
    total = torch.stack(list(views)).sum(0)
    return torch.stack([loss(view, (total - view) / (len(views) - 1)) for view in views]).mean(0)
