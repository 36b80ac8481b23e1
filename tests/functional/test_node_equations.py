"""Contrast of nodes against loops over pairs; communities against networkx and by hand."""

import math

import networkx
import pytest
import torch
from torch.nn.functional import normalize

from likewise import functional, similarity
from likewise.functional import communities
from likewise.losses import NodeNTXent


def rows(n=7, d=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [normalize(torch.randn(n, d, generator=generator, dtype=torch.float64), dim=1) for _ in "ab"]


def slow(a, b, temperature, bias, drop_self=True):
    """One pair at a time."""
    n = len(a)
    beta = [0.0] * n if bias is None else bias.tolist()

    def one_way(x, y):
        out = []
        for i in range(n):
            total = 0.0
            for j in range(n):
                total += math.exp((float(x[i] @ y[j]) + beta[i] + beta[j]) / temperature)
                if j != i or not drop_self:
                    total += math.exp((float(x[i] @ x[j]) + beta[i] + beta[j]) / temperature)
            out.append(math.log(total) - (float(x[i] @ y[i]) + 2 * beta[i]) / temperature)
        return out

    return [(there + back) / 2 for there, back in zip(one_way(a, b), one_way(b, a))]


@pytest.mark.parametrize("path", ["dense", "tiled"])
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("drop_self", [False, True])
def test_node_contrast_equals_the_loop(path, with_bias, drop_self):
    a, b = rows()
    bias = torch.linspace(-0.3, 0.5, 7, dtype=torch.float64) if with_bias else None
    with similarity.using(path, tile=3 if path == "tiled" else None):
        found = functional.node_nt_xent(a, b, temperature=0.3, bias=bias, drop_self=drop_self)
    assert found.tolist() == pytest.approx(slow(a, b, 0.3, bias, drop_self), rel=1e-12)


def test_the_anchors_own_share_of_a_bias_cancels():
    """Moving every candidate's logit by its own bias is all that the bias does."""
    a, b = rows()
    bias = torch.linspace(-1, 1, 7, dtype=torch.float64)
    found = functional.node_nt_xent(a, b, temperature=0.5, bias=bias)
    ways = []
    for x, y in ((a, b), (b, a)):
        logits = torch.cat([x @ y.T, (x @ x.T).fill_diagonal_(-torch.inf)], 1) / 0.5 + bias.repeat(2) / 0.5
        ways.append(torch.nn.functional.cross_entropy(logits, torch.arange(7), reduction="none"))
    torch.testing.assert_close(found, (ways[0] + ways[1]) / 2)
    same_for_all = functional.node_nt_xent(a, b, temperature=0.5, bias=torch.full_like(bias, 3.0))
    torch.testing.assert_close(same_for_all, functional.node_nt_xent(a, b, temperature=0.5))


def test_gradients_of_both_paths_agree_and_none_flows_to_the_bias():
    a, b = rows(n=11)
    bias = torch.rand(11, dtype=torch.float64, requires_grad=True)
    grads = []
    for path in ("dense", "tiled"):
        leaves = [x.clone().requires_grad_() for x in (a, b)]
        with similarity.using(path, tile=4 if path == "tiled" else None):
            functional.node_nt_xent(*leaves, temperature=0.2, bias=bias).sum().backward()
        grads.append([x.grad for x in leaves])
    torch.testing.assert_close(grads[0], grads[1])
    assert bias.grad is None


def test_one_node_costs_nothing():
    a, b = rows(n=1)
    a.requires_grad_()
    loss = functional.node_nt_xent(a, b, temperature=0.4)
    loss.sum().backward()
    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert a.grad.abs().max() < 1e-12


def test_the_module_normalises():
    a, b = rows()
    loss = NodeNTXent(0.4)
    assert float(loss(3 * a, 0.1 * b)) == pytest.approx(float(functional.node_nt_xent(a, b, temperature=0.4).mean()))
    with pytest.raises(ValueError, match="temperature"):
        NodeNTXent(0.0)


# --- communities ------------------------------------------------------------------------------------------------------


def both_ways(graph):
    pairs = [(u, v) for u, v in graph.edges if u != v]
    loops = [(u, v) for u, v in graph.edges if u == v]
    return torch.tensor(pairs + [(v, u) for u, v in pairs] + loops).T


@pytest.mark.parametrize("loops", [False, True])
def test_strengths_add_up_to_the_modularity(loops):
    graph = networkx.karate_club_graph()
    if loops:
        graph.add_edges_from([(3, 3), (20, 20)])
    held = torch.tensor([i % 3 if i < 20 else 3 for i in range(34)])
    found = communities.community_strength(both_ways(graph), held)
    parts = [{i for i in range(34) if held[i] == c} for c in range(4)]
    assert float(found.sum()) == pytest.approx(networkx.community.modularity(graph, parts, weight=None))


def test_strength_with_weights():
    graph = networkx.karate_club_graph()
    edges = both_ways(graph)
    weights = torch.tensor([float(graph.edges[u, v]["weight"]) for u, v in edges.T.tolist()])
    held = torch.tensor([0 if graph.nodes[i]["club"] == "Officer" else 1 for i in range(34)])
    parts = [{i for i in range(34) if held[i] == c} for c in range(2)]
    expected = networkx.community.modularity(graph, parts, weight="weight")
    assert float(communities.community_strength(edges, held, weights).sum()) == pytest.approx(expected)


def test_edges_by_hand():
    edges = torch.tensor([[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]])
    strength = torch.tensor([0.3, 0.1])
    score = communities.edge_score(edges, torch.tensor([0, 0, 1, 1]), strength)
    # inside 0: 0.3, between: -0.4, inside 1: 0.1
    torch.testing.assert_close(score, torch.tensor([1, 1, 0, 0, 5 / 7, 5 / 7]))
    keep = communities.keep_probability(score, 0.5)
    torch.testing.assert_close(keep, (score / score.mean() * 0.5).clamp(0, 1))
    assert float(communities.keep_probability(score, 0.5, most=0.7).min()) == pytest.approx(0.3)


def test_the_mean_rate_is_the_rate_while_nothing_is_clipped():
    score = torch.tensor([0.9, 1.0, 1.1, 1.0])
    assert float(communities.keep_probability(score, 0.4).mean()) == pytest.approx(0.6)
    assert float(communities.drop_probability(score, 0.3).mean()) == pytest.approx(0.3)


def test_edges_inside_communities_are_kept_more_often():
    graph = networkx.karate_club_graph()
    edges = both_ways(graph)
    held = torch.tensor([0 if graph.nodes[i]["club"] == "Officer" else 1 for i in range(34)])
    score = communities.edge_score(edges, held, communities.community_strength(edges, held))
    keep = communities.keep_probability(score, 0.4)
    inside = held[edges[0]] == held[edges[1]]
    assert keep[inside].mean() > keep[~inside].mean() + 0.3


def test_one_community_or_equal_columns_give_the_mean_probability():
    edges = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    one = torch.zeros(3, dtype=torch.int64)
    score = communities.edge_score(edges, one, communities.community_strength(edges, one))
    assert communities.keep_probability(score, 0.3).tolist() == pytest.approx([0.7] * 4)
    votes = communities.attribute_votes(torch.ones(3, 2), torch.full((3,), 0.2))
    assert communities.drop_probability(votes, 0.3).tolist() == pytest.approx([0.3] * 2)
    lost = communities.attribute_votes(torch.ones(3, 2), torch.full((3,), -0.2))
    assert communities.drop_probability(lost, 0.3).tolist() == pytest.approx([0.3] * 2)


def test_columns_of_strong_communities_stay():
    x = torch.tensor([[1.0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 2]])
    strength = torch.tensor([0.3, 0.3, 0.1, -0.05])
    votes = communities.attribute_votes(x, strength)
    assert votes.tolist() == pytest.approx([0, 1, 0, 0])  # nobody has the third, only a weak one the fourth
    assert communities.drop_probability(votes, 0.1).tolist() == pytest.approx([0, 0.4, 0, 0])
    assert communities.drop_probability(votes, 0.9, most=0.7).max() == pytest.approx(0.7)
