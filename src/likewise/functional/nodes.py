"""Contrast of the nodes of one graph in two views, against all other nodes of both views."""

import torch
from jaxtyping import Float
from torch import Tensor

from likewise.functional.precision import equation
from likewise.similarity import Bias, Drop, Kernel, Self, both_lse, combine, row_lse


def _sum(rows: Tensor, cols: Tensor) -> Tensor:
    return rows[:, None] + cols


@equation
def node_nt_xent(
    a: Float[Tensor, "n d"],
    b: Float[Tensor, "n d"],
    *,
    temperature: float | Tensor,
    bias: Float[Tensor, " n"] | None = None,
    drop_self: bool = True,
    similarity: str = "auto",
) -> Float[Tensor, " n"]:
    r"""Contrast of nodes with inter-view and intra-view negatives, the mean of both directions for each node.

    .. math::  \ell(a, b)_i = -\frac{s(a_i, b_i)}{\tau} + \log\Big(\sum_j e^{s(a_i, b_j)/\tau}
               + \sum_{j\ne i} e^{s(a_i, a_j)/\tau}\Big), \qquad
               s(x_i, y_j) = \langle x_i, y_j\rangle + \beta_i + \beta_j

    and the value of node i is ``(l(a, b)_i + l(b, a)_i) / 2``. With a and b of unit length, tau the temperature, and
    beta the ``bias (n,)``: what each node adds to its similarities (none: 0). The anchor's own share of it cancels:
    in effect every candidate's logit, the positive's too, moves by its own. The bias is a constant: no gradient flows
    to it. A graph of one node costs 0.

    Args:
        a: nodes of the first view.
        b: the same nodes in the second view.
        temperature: tau.
        bias: added to the similarities of each node, or None.
        drop_self: leave the pair of a row with itself out, as the papers say; PyGCL's version keeps it.
        similarity: the path of the reductions. ``tiled`` takes rows and columns in tiles: linear memory in ``n``.

    Source: Zhu et al., "Deep Graph Contrastive Representation Learning", arXiv:2006.04131, Eq. 1 and 2; with a bias
    Chen et al., "CSGCL: Community-Strength-Enhanced Graph Contrastive Learning", arXiv:2305.04658.
    """
    scale = 1 / temperature
    drop: tuple[Drop, ...] = (Self(),) if drop_self else ()
    added: tuple[Bias, ...] = ()
    positive = (a * b).sum(1) * scale
    if bias is not None:
        with torch.no_grad():
            own = bias.detach().to(a.dtype) * scale
        added = (Kernel(own, own, _sum, commutes=True),)  # symmetric: one sweep serves both directions
        positive = positive + 2 * own
    there, back = both_lse(a, b, scale=scale, bias=added, similarity=similarity)
    within = [row_lse(view, scale=scale, drop=drop, bias=added, similarity=similarity) for view in (a, b)]
    return (combine(there, within[0]) + combine(back, within[1])) / 2 - positive


@equation
def node_info_nce(
    anchor: Float[Tensor, "n d"],
    positive: Float[Tensor, "n d"],
    *,
    temperature: float | Tensor,
    similarity: str = "auto",
) -> Float[Tensor, " n"]:
    r"""One direction of :func:`node_nt_xent`: negatives are the other rows of both sides.

    .. math::  \ell_i = -\langle a_i, p_i\rangle/\tau + \log\Big(\sum_j e^{\langle a_i, p_j\rangle/\tau}
               + \sum_{j\ne i} e^{\langle a_i, a_j\rangle/\tau}\Big)

    with a the anchors and p the positives, unit rows or zeros, and tau the temperature.
    Source: Zhu et al., arXiv:2006.04131, Eq. 1.
    """
    scale = 1 / temperature
    across = row_lse(anchor, positive, scale=scale, similarity=similarity)
    within = row_lse(anchor, scale=scale, drop=(Self(),), similarity=similarity)
    return combine(across, within) - (anchor * positive).sum(1) * scale
