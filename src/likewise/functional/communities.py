"""How strong communities of a graph are, and what their strength means for its edges and feature columns.

All of Chen et al., "CSGCL: Community-Strength-Enhanced Graph Contrastive Learning", arXiv:2305.04658.
Edges come in both directions; communities are ``0 .. c - 1``. Everything here is a constant of the graph: computed
once, in float64, without gradient.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from likewise.functional.precision import equation


@equation
def community_strength(
    edges: Int[Tensor, "2 e"], community: Int[Tensor, " n"], weights: Float[Tensor, " e"] | None = None
) -> Float[Tensor, " c"]:
    r"""The share of each community in the graph's modularity; it can be negative.

    .. math::  S_c = \frac{\mathrm{in}_c}{m} - \Big(\frac{\mathrm{vol}_c}{2m}\Big)^2

    with m the weight of all undirected edges, in_c of those inside c (a self-loop counts once), and vol_c the sum of
    the degrees in c (a self-loop counts twice).
    """
    weight = torch.ones_like(edges[0], dtype=torch.float64) if weights is None else weights.double()
    weight = torch.where(edges[0] == edges[1], weight, weight / 2)  # each edge is there twice, a loop once
    source, target = community[edges]
    num = int(community.max()) + 1
    zeros = weight.new_zeros(num)
    inside = zeros.index_add(0, source, torch.where(source == target, weight, 0.0))
    volume = zeros.index_add(0, source, weight).index_add(0, target, weight)
    total = weight.sum()
    return inside / total - (volume / (2 * total)).square()


@equation
def edge_score(
    edges: Int[Tensor, "2 e"], community: Int[Tensor, " n"], strength: Float[Tensor, " c"]
) -> Float[Tensor, " e"]:
    r"""How much an edge matters, 0 to 1: the strength of the community that it is inside of.

    .. math::  w_{uv} = S_c \text{ if } u, v \in c, \quad -(S_{c(u)} + S_{c(v)}) \text{ else},

    min-max normalised over all edges. Where all are equal (one community, say) each gets 1; the paper's code divides
    0 by 0.
    """
    source, target = community[edges]
    score = torch.where(source == target, strength[source], -(strength[source] + strength[target]))
    low, high = score.min(), score.max()
    return (score - low) / (high - low) if high > low else torch.ones_like(score)


@equation
def keep_probability(score: Float[Tensor, " e"], rate: float, *, most: float = 1.0) -> Float[Tensor, " e"]:
    """Probability that an edge stays: ``score / mean(score) * (1 - rate)``, from ``1 - most`` to 1.

    Args:
        score: of each edge, at least 0.
        rate: mean probability of being left out, as far as nothing is clipped.
        most: no edge is left out with more than this probability.
    """
    return (score / score.mean() * (1 - rate)).clamp(1 - most, 1.0)


@equation
def attribute_votes(
    x: Float[Tensor, "n f"], strength: Float[Tensor, " n"], *, dense: bool = False
) -> Float[Tensor, " f"]:
    r"""How little a column speaks for strong communities, at least 0: 0 for the column that does most.

    .. math::  g = |X|^\top s, \qquad \frac{\max\log g - \log g}{\max\log g - \min\log g}

    A column with ``g`` of 0 (or below, where weak communities have it: the paper's code gives NaN) counts as the
    largest. Where all are equal each gets 1. ``dense``: the code's variant for embeddings as features, without that
    rule for zeros.
    """
    g = x.abs().T.to(strength.dtype) @ strength
    voted = g > 0
    if not dense and voted.any():
        g = torch.where(voted, g, g[voted].max())
    elif not dense:
        g = torch.ones_like(g)
    g = g.log()
    low, high = g.min(), g.max()
    return (high - g) / (high - low) if high > low else torch.ones_like(g)


@equation
def drop_probability(votes: Float[Tensor, " f"], rate: float, *, most: float = 1.0) -> Float[Tensor, " f"]:
    """Probability that a column is set to 0: ``votes / mean(votes) * rate``, at most ``most``.

    Args:
        votes: of :func:`attribute_votes`.
        rate: mean probability, as far as nothing is clipped.
        most: no column is left out with more than this probability.
    """
    return (votes / votes.mean() * rate).clamp(0.0, most)
