"""Views of a graph: edges left out and columns of the features set to 0, each with its own probability.

Draws belong to edges (by the ids of both ends) and to columns (by their number), so that a view depends neither on
the order of nodes and edges nor on what else is in the graph. Directions of an edge are drawn apart.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from likewise.core.batch import Graph, View
from likewise.core.draws import Draws
from likewise.core.errors import InputError
from likewise.core.recipe import part
from likewise.functional import communities as equations

ROLES = ("a", "b")


def drop_edges(graph: Graph, keep: float | Tensor, draws: Draws) -> Graph:
    """The graph without the edges that lose their draw.

    Args:
        graph: with ``e`` edges.
        keep: probability that an edge stays, for all or ``(e,)`` for each.
        draws: of the nodes.
    """
    kept = draws.fork("edges").pairs(*graph.edges).uniform() < keep
    return Graph(graph.x, graph.edges[:, kept], None if graph.weights is None else graph.weights[kept])


def mask_columns(graph: Graph, drop: float | Tensor, draws: Draws) -> Graph:
    """The graph with whole columns of its features set to 0.

    Args:
        graph: with ``f`` features.
        drop: probability that a column goes, for all or ``(f,)`` for each.
        draws: of the nodes.
    """
    columns = torch.arange(graph.x.shape[1], device=draws.device)
    kept = draws.fork("columns").others(columns).uniform() >= drop
    return Graph(graph.x * kept, graph.edges, graph.weights)


def the_graph(columns: dict[str, View]) -> Graph:
    """The column that is a graph."""
    found = next((c for c in columns.values() if isinstance(c, Graph)), None)
    if found is None:
        raise InputError(f"these views are for a graph; the data has {', '.join(columns)}")
    return found


class _Pair(nn.Module):
    def __init__(self, edge_drop: tuple[float, float], feature_mask: tuple[float, float]) -> None:
        super().__init__()
        for name, rates in (("edge_drop", edge_drop), ("feature_mask", feature_mask)):
            if not all(0 <= rate < 1 for rate in rates):
                given = ",".join(f"{rate:g}" for rate in rates)
                raise InputError(f"{name}={given}: two probabilities of at least 0, below 1")
        self.edge_drop, self.feature_mask = edge_drop, feature_mask

    def plain(self, columns: dict[str, View]) -> dict[str, View]:
        """The graph as it is."""
        return {"graph": the_graph(columns)}


@part("views", "graph")
class GraphViews(_Pair):
    """Two views of a graph: each directed edge is left out and each feature column set to 0 with one probability.

    As in GRACE (Zhu et al., arXiv:2006.04131). One column is masked for all nodes at once.

    Args:
        edge_drop: probability that an edge is left out, of both views.
        feature_mask: probability that a column is set to 0, of both views.
    """

    def __init__(
        self, *, edge_drop: tuple[float, float] = (0.2, 0.4), feature_mask: tuple[float, float] = (0.3, 0.4)
    ) -> None:
        super().__init__(edge_drop, feature_mask)

    def forward(self, columns: dict[str, View], draws: Draws) -> dict[str, View]:
        """Views ``a`` and ``b`` of the graph."""
        graph, out = the_graph(columns), {}
        for role, edge, mask in zip(ROLES, self.edge_drop, self.feature_mask):
            own = draws.fork(role)
            out[role] = mask_columns(drop_edges(graph, 1 - edge, own), mask, own)
        return dict(out)


@part("views", "community-graph")
class CommunityViews(_Pair):
    """Two views that respect communities: strong communities keep their edges, and columns that speak for them stay.

    As in CSGCL (Chen et al., arXiv:2305.04658): communities are found once, on the whole graph; ``edge_drop`` and
    ``feature_mask`` are the mean probabilities, which each edge and column share by the strength of its communities
    (:mod:`likewise.functional.communities`).

    Args:
        communities: what finds them: a graph -> the number of each node's community, ``(n,)`` int64 from 0.
        edge_drop: mean probability that an edge is left out, of both views.
        feature_mask: mean probability that a column is set to 0, of both views.
        most: no edge and no column is left out with more than this probability.
    """

    def __init__(
        self,
        communities: Callable[[Graph], Tensor],
        *,
        edge_drop: tuple[float, float] = (0.2, 0.4),
        feature_mask: tuple[float, float] = (0.3, 0.4),
        most: float = 1.0,
    ) -> None:
        super().__init__(edge_drop, feature_mask)
        if not 0 < most <= 1:
            raise InputError(f"most={most:g}: a probability above 0")
        self.communities, self.most = communities, most
        self._seen: Graph | None = None
        self._strength, self._keep, self._drop = torch.empty(0), list[Tensor](), list[Tensor]()

    def forward(self, columns: dict[str, View], draws: Draws) -> dict[str, View]:
        """Views ``a`` and ``b`` of the graph, and ``strength (n,)``, that of each node's community."""
        graph = the_graph(columns)
        self._look_at(graph)
        out: dict[str, View] = {}
        for role, keep, drop in zip(ROLES, self._keep, self._drop):
            own = draws.fork(role)
            out[role] = mask_columns(drop_edges(graph, keep, own), drop, own)
        return {**out, "strength": self._strength}

    def _look_at(self, graph: Graph) -> None:
        """Weights of the edges and columns: worked out once for a graph."""
        if self._seen is not None and _equal(graph, self._seen):
            return
        found = self.communities(graph).to(graph.x.device)
        strength = equations.community_strength(graph.edges, found, graph.weights)
        score = equations.edge_score(graph.edges, found, strength)
        votes = equations.attribute_votes(graph.x, strength[found])
        self._keep = [equations.keep_probability(score, p, most=self.most) for p in self.edge_drop]
        self._drop = [equations.drop_probability(votes, p, most=self.most) for p in self.feature_mask]
        self._strength, self._seen = strength[found].to(graph.x.dtype), graph


def _equal(a: Graph, b: Graph) -> bool:
    pairs: Sequence[tuple[Tensor | None, Tensor | None]] = ((a.edges, b.edges), (a.weights, b.weights), (a.x, b.x))
    if a.x.device != b.x.device:
        return False
    return all(p is q or (p is not None and q is not None and torch.equal(p, q)) for p, q in pairs)
