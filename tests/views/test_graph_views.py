"""What graph views leave out: by their probabilities, by edge and column, and the same wherever a node stands."""

import pytest
import torch

from likewise.core.batch import Graph
from likewise.core.draws import Draws
from likewise.core.errors import InputError
from likewise.data.sources import karate
from likewise.parts.communities import louvain
from likewise.views.graph import CommunityViews, GraphViews, drop_edges, mask_columns


def big(n=100, e=4000, f=500):
    generator = torch.Generator().manual_seed(0)
    code = torch.randperm(n * n, generator=generator)[:e]
    return Graph(torch.ones(n, f), torch.stack([code // n, code % n]), torch.rand(e, generator=generator))


def kept(before, after):
    """Which edges are still there."""
    held = set(map(tuple, after.edges.T.tolist()))
    return torch.tensor([pair in held for pair in map(tuple, before.edges.T.tolist())])


def draws(n, seed=0, epoch=0):
    return Draws(seed, epoch, torch.arange(n))


def test_shares_are_the_probabilities():
    graph = big()
    for rate in (0.1, 0.6):
        assert len(drop_edges(graph, 1 - rate, draws(100)).edges.T) / 4000 == pytest.approx(1 - rate, abs=0.03)
        gone = (mask_columns(graph, rate, draws(100)).x == 0).float()
        assert gone.mean().item() == pytest.approx(rate, abs=0.06)
        assert (gone == gone[0]).all()  # whole columns
    assert torch.equal(drop_edges(graph, 1.0, draws(100)).edges, graph.edges)
    assert drop_edges(graph, 0.0, draws(100)).edges.shape == (2, 0)


def test_each_edge_and_column_has_its_own_probability():
    graph = big()
    keep = torch.linspace(0, 1, 4000)
    share = torch.stack([kept(graph, drop_edges(graph, keep, draws(100, epoch=e))).float() for e in range(8)]).mean(0)
    assert share[:1000].mean() == pytest.approx(0.125, abs=0.03)
    assert share[3000:].mean() == pytest.approx(0.875, abs=0.03)
    gone = mask_columns(graph, torch.tensor([0.0, 1.0]).repeat(250), draws(100)).x[0] == 0
    assert gone.tolist() == [False, True] * 250


def test_weights_stay_with_their_edges():
    graph = big()
    by_edge = {tuple(pair): w for pair, w in zip(graph.edges.T.tolist(), graph.weights.tolist())}
    view = drop_edges(graph, 0.5, draws(100))
    assert [by_edge[tuple(pair)] for pair in view.edges.T.tolist()] == view.weights.tolist()


def test_directions_are_drawn_apart():
    i = torch.arange(40)
    ring = torch.cat([torch.stack([i, (i + 1) % 40]), torch.stack([(i + 1) % 40, i])], 1)
    there, back = kept(Graph(torch.ones(40, 1), ring), drop_edges(Graph(torch.ones(40, 1), ring), 0.5, draws(40))).view(
        2, 40
    )
    assert 0 < (there != back).sum() < 40


def test_a_view_belongs_to_seed_epoch_and_role():
    data, views = karate().columns, GraphViews(edge_drop=(0.4, 0.4), feature_mask=(0.4, 0.4))
    first, again = views(data, draws(34)), views(data, draws(34))
    assert list(first) == ["a", "b"]
    assert torch.equal(first["a"].edges, again["a"].edges)
    assert torch.equal(first["b"].x, again["b"].x)
    for other in (first["b"], views(data, draws(34, seed=1))["a"], views(data, draws(34, epoch=1))["a"]):
        assert not torch.equal(kept(data["graph"], first["a"]), kept(data["graph"], other))
        assert not torch.equal(first["a"].x, other.x)


def test_other_numbers_for_the_nodes_leave_out_the_same_edges():
    graph = karate().columns["graph"]
    order = torch.randperm(34, generator=torch.Generator().manual_seed(5))
    moved = Graph(graph.x[order], order.argsort()[graph.edges].flip(1))
    views = GraphViews()
    plain, other = views({"g": graph}, draws(34))["a"], views({"g": moved}, Draws(0, 0, order))["a"]
    assert set(map(tuple, order[other.edges].T.tolist())) == set(map(tuple, plain.edges.T.tolist()))
    assert torch.equal(other.x, plain.x[order])


def test_community_views_prefer_communities_and_tell_their_strength():
    data = karate().columns
    views = CommunityViews(louvain(), edge_drop=(0.4, 0.4), feature_mask=(0.2, 0.2))
    held = louvain()(data["graph"])
    inside = held[data["graph"].edges[0]] == held[data["graph"].edges[1]]
    share = torch.zeros(len(inside))
    for epoch in range(40):
        out = views(data, draws(34, epoch=epoch))
        share += kept(data["graph"], out["a"]).float() / 40
    assert share[inside].mean() > share[~inside].mean() + 0.2
    assert share.mean().item() == pytest.approx(0.6, abs=0.1)
    assert list(out) == ["a", "b", "strength"]
    assert out["strength"].shape == (34,)
    assert len(out["strength"].unique()) == len(held.unique())
    assert list(views.plain(data)) == ["graph"]


def test_communities_are_found_once_for_a_graph():
    calls = []

    def find(graph):
        calls.append(len(graph))
        return torch.arange(len(graph)) % 2

    views, club = CommunityViews(find), karate().columns
    for epoch in range(3):
        views(club, draws(34, epoch=epoch))
    assert calls == [34]
    other = Graph(torch.rand(5, 3), torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]]))
    assert views({"graph": other}, draws(5))["strength"].shape == (5,)
    assert calls == [34, 5]


@pytest.mark.parametrize("make", [GraphViews, lambda **s: CommunityViews(louvain(), **s)])
def test_what_views_refuse(make):
    with pytest.raises(InputError, match=r"edge_drop=0\.2,1: two probabilities"):
        make(edge_drop=(0.2, 1.0))
    with pytest.raises(InputError, match=r"feature_mask=-0\.1,0"):
        make(feature_mask=(-0.1, 0.0))
    with pytest.raises(InputError, match="for a graph; the data has vector"):
        make()({"vector": torch.zeros(3, 2)}, draws(3))
    with pytest.raises(InputError, match="most=0"):
        CommunityViews(louvain(), most=0.0)
