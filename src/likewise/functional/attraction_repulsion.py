r"""Attraction to distant positives and repulsion from close negatives, each weighted by a softmax of its own.

Costs are squared distances, :math:`c(a, b) = \lVert a - b\rVert^2`. Common arguments are those of
:mod:`likewise.functional.infonce`; ``views`` are V tensors ``(n, d)``, row i of each a view of sample i.
"""

import functools
from collections.abc import Sequence
from itertools import combinations
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from likewise.core.comm import Collective
from likewise.core.errors import InputError
from likewise.functional.infonce import info_nce
from likewise.functional.precision import equation
from likewise.similarity import SINGLE, Drop, Same, Self, attend


@equation
def attraction(views: Sequence[Float[Tensor, "n d"]], *, sharpness: float = 1.0) -> Float[Tensor, " n"]:
    r"""Distance of the views of a sample, the distant ones weighted more; the mean over views as queries.

    .. math::  \ell_i = \operatorname{mean}_x\sum_{v\neq x} w_{xv}\, c(u_{ix}, u_{iv}),\qquad
               w_{xv} = \frac{e^{t c(u_{ix}, u_{iv})}}{\sum_{v'\neq x} e^{t c(u_{ix}, u_{iv'})}}

    with u_ix view x of sample i and t the ``sharpness`` (it multiplies the distance); 0 weights all positives alike.
    Gradients flow through the weights, as in the authors' code.
    Source: Zheng et al., "Contrastive Attraction and Contrastive Repulsion", arXiv:2105.03746, L_CA.

    Raises:
        InputError: fewer than two views.
    """
    cost, weight = positive_weights(views, sharpness)
    return (cost * weight).sum(2).mean(1)


def positive_weights(views: Sequence[Tensor], sharpness: float) -> tuple[Tensor, Tensor]:
    """Squared distances of every two views of a sample and the weights of :func:`attraction`, ``(n, V, V)`` each.

    Raises:
        InputError: fewer than two views, or views of different shapes.
    """
    if len(views) < 2 or len({view.shape for view in views}) > 1:
        shapes = ", ".join("x".join(map(str, view.shape)) for view in views) or "none"
        raise InputError(f"attraction and repulsion need two views or more of equal shapes, got {shapes}")
    rows = torch.stack(list(views), 1)
    cost = (rows[:, :, None] - rows[:, None]).square().sum(3)
    own = torch.eye(len(views), dtype=torch.bool, device=rows.device)
    return cost, (sharpness * cost).masked_fill(own, -torch.inf).softmax(2)


@equation
def repulsion(
    views: Sequence[Float[Tensor, "n d"]],
    *,
    sharpness: float = 1.0,
    tau_plus: float = 0.0,
    variant: Literal["paper", "code"] = "paper",
    ids: Int[Tensor, " n"] | None = None,
    comm: Collective = SINGLE,
    similarity: str = "auto",
) -> Float[Tensor, " n"]:
    r"""Minus the distance of other samples, the close ones weighted more; the mean over pairs of views.

    .. math::  \ell_i = -\operatorname{mean}_{x<y}\sum_{j\neq i} w_{ij}\, c(u_{ix}, u_{jy}),\qquad
               w_{ij} = \frac{e^{-t c(u_{ix}, u_{jy})}}{\sum_{j'\neq i} e^{-t c(u_{ix}, u_{j'y})}}

    with t the ``sharpness`` (it multiplies the distance); 0 weights all negatives alike. Gradients flow through the
    weights, as in the authors' code. ``tau_plus`` corrects for negatives that are of the sample's class, after Chuang
    et al.: :math:`(\ell + \tau^+ c(u_{ix}, u_{iy})) / (1 - \tau^+)`; ``variant="code"`` subtracts that distance, as the
    code does (a sign that the derivation has not). A sample without any other costs 0 and has no gradient.
    Source: Zheng et al., arXiv:2105.03746, L_CR.

    Raises:
        InputError: fewer than two views, or ``tau_plus`` outside of [0, 1).
    """
    if len(views) < 2 or not 0 <= tau_plus < 1:
        raise InputError(f"repulsion needs two views or more and 0 <= tau_plus < 1, got {len(views)} and {tau_plus}")
    drop: Drop = Self() if ids is None else Same(ids, ids)
    near = functools.partial(_expected_cost, sharpness=sharpness, drop=drop, comm=comm, similarity=similarity)
    terms = []
    for a, b in combinations(views, 2):
        cost, alone = near(a, b)
        if tau_plus:
            sign = 1 if variant == "paper" else -1
            cost = (cost - sign * tau_plus * (a - b).square().sum(1)) / (1 - tau_plus)
        terms.append(torch.where(alone, 0.0, -cost))
    return torch.stack(terms).mean(0)


def attend_near(
    a: Tensor,
    b: Tensor,
    values: Tensor | None = None,
    *,
    sharpness: float,
    drop: Drop,
    comm: Collective = SINGLE,
    similarity: str = "auto",
) -> tuple[Tensor, Tensor]:
    """:func:`likewise.similarity.attend` with minus ``sharpness`` times the squared distance as logits.

    The log-sum-exp leaves out what is equal for all rows of ``b``. The values are ``[b, -|b|^2 / 2]`` when None, whose
    product with ``[a, 1]`` gives the distance.
    """
    # -t |a - b|^2 = 2 t (<a, b> - |b|^2 / 2) - t |a|^2, the middle one as one more coordinate
    anchors = torch.cat([a, torch.ones_like(a[:, :1])], 1)
    candidates = torch.cat([b, -b.square().sum(1, keepdim=True) / 2], 1)
    return attend(anchors, candidates, values, scale=2 * sharpness, drop=(drop,), comm=comm, similarity=similarity)


def _expected_cost(
    a: Tensor, b: Tensor, *, sharpness: float, drop: Drop, comm: Collective, similarity: str
) -> tuple[Tensor, Tensor]:
    """The weighted mean of the squared distances from each row of ``a``, and which rows have nobody, ``(n,)`` each."""
    lse, mean = attend_near(a, b, sharpness=sharpness, drop=drop, comm=comm, similarity=similarity)
    return a.square().sum(1) - 2 * ((a * mean[:, :-1]).sum(1) + mean[:, -1]), lse == -torch.inf


@equation
def key_attraction_repulsion(
    queries: Sequence[Float[Tensor, "n d"]],
    key: Float[Tensor, "n d"],
    *,
    temperature: float,
    cost: Literal["rbf", "euclid"] = "rbf",
    ids: Int[Tensor, " n"] | None = None,
    comm: Collective = SINGLE,
    similarity: str = "auto",
) -> Float[Tensor, " n"]:
    r"""The form for momentum keys: one key of each sample against several queries, weights without gradient.

    .. math::  \ell_i = \sum_v p_{iv}\,\ell_{iv},\qquad p_{iv} = \operatorname{softmax}_v(\lVert q_{iv} - k_i\rVert^2/T)

    with, for ``rbf``, :math:`\ell_{iv} = 2T\,\mathrm{InfoNCE}(q_{iv}; k)`, and for ``euclid``
    :math:`\ell_{iv} = (1 - \langle q_{iv}, k_i\rangle) - \sum_{j\neq i} r_{ij} (1 - \langle q_{iv}, k_j\rangle)`, r the
    softmax over j of :math:`\langle q_{iv}, k_j\rangle / T`. T is the temperature. The keys get no gradient. The
    authors' code takes the mean over samples for ``rbf`` and the sum for ``euclid``.
    Source: the ImageNet code of Zheng et al., arXiv:2105.03746 (moco/builder.py), for one of its keys.
    """
    key = key.detach()
    distance = torch.stack([(query.detach() - key).square().sum(1) for query in queries])
    share = (distance / temperature).softmax(0)
    drop: Drop = Self() if ids is None else Same(ids, ids)
    costs = []
    for query in queries:
        if cost == "rbf":
            nce = info_nce(query, key, temperature=temperature, ids=ids, comm=comm, similarity=similarity)
            costs.append(2 * temperature * nce)
            continue
        lse, mean = attend(query.detach(), key, scale=1 / temperature, drop=(drop,), comm=comm, similarity=similarity)
        apart = torch.where(lse == -torch.inf, 0.0, 1 - (query * mean).sum(1))
        costs.append(1 - (query * key).sum(1) - apart)
    return (torch.stack(costs) * share).sum(0)
