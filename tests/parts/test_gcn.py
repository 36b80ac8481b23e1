"""Graph convolutions against the dense formula; communities."""

import numpy as np
import pytest
import torch

from likewise.core.batch import Graph
from likewise.core.errors import InputError
from likewise.parts.communities import given, louvain
from likewise.parts.encoders import GCN
from likewise.parts.encoders.gcn import adjacency


def some_graph(n=9, e=20, weighted=False, seed=0):
    generator = torch.Generator().manual_seed(seed)
    edges = torch.randint(n - 1, (2, e), generator=generator)  # the last node is alone; pairs and loops may repeat
    weights = torch.rand(e, generator=generator) + 0.1 if weighted else None
    return Graph(torch.randn(n, 4, generator=generator), edges, weights)


def dense(graph):
    n = len(graph)
    a = torch.eye(n, dtype=torch.float64)
    for k, (source, target) in enumerate(graph.edges.T.tolist()):
        a[target, source] += 1.0 if graph.weights is None else float(graph.weights[k])
    scale = a.sum(1) ** -0.5
    return scale[:, None] * a * scale


@pytest.mark.parametrize("weighted", [False, True])
def test_the_propagation_matrix_is_the_dense_formula(weighted):
    graph = some_graph(weighted=weighted)
    x = torch.randn(9, 3, dtype=torch.float64, requires_grad=True)
    made = adjacency(graph, torch.float64)
    torch.testing.assert_close(made(x), dense(graph) @ x)
    upstream = torch.randn(9, 3, dtype=torch.float64)
    (found,) = torch.autograd.grad(made(x), x, upstream)
    torch.testing.assert_close(found, dense(graph).T @ upstream)


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_the_network_is_the_dense_formula(depth):
    graph = some_graph()
    graph.x = graph.x.double()
    net = GCN(num_features=4, width=6, dim=5, depth=depth, act="elu").double()
    widths = [4, *[6] * (depth - 1), 5]
    assert [tuple(layer.weight.shape) for layer in net.layers] == list(zip(widths[1:], widths))
    out = graph.x
    for layer in net.layers:
        torch.nn.init.normal_(layer.bias)
        out = torch.nn.functional.elu(dense(graph) @ out @ layer.weight.T + layer.bias)
    torch.testing.assert_close(net(graph), out)
    assert net(graph).shape == (9, 5)


def test_a_node_is_informed_from_as_far_as_there_are_layers():
    path = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]])
    for depth in (1, 2, 3):
        x = torch.zeros(5, 2, requires_grad=True)
        GCN(num_features=2, dim=3, depth=depth, act="elu")(Graph(x, path))[4].sum().backward()
        assert (x.grad.abs().sum(1) > 0).tolist() == [4 - i <= depth for i in range(5)]


def test_a_graph_without_edges_is_a_perceptron():
    graph = Graph(torch.randn(4, 3), torch.zeros(2, 0, dtype=torch.int64))
    net = GCN(num_features=3, dim=2, depth=1)
    torch.testing.assert_close(net(graph), (graph.x @ net.layers[0].weight.T).relu())


def test_under_autocast_the_mixing_stays_wide():
    graph, net = some_graph(), GCN(num_features=4, dim=5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = net(graph)
    out.sum().backward()
    torch.testing.assert_close(out.float(), net(graph), rtol=0.1, atol=0.05)


def test_what_a_gcn_refuses():
    with pytest.raises(InputError, match="depth=0"):
        GCN(num_features=3, depth=0)
    with pytest.raises(InputError, match="the nodes of a graph, and this is a Tensor"):
        GCN(num_features=3)(torch.zeros(2, 3))


# --- communities ------------------------------------------------------------------------------------------------------


def two_cliques(size=5):
    one = [(i, j) for i in range(size) for j in range(size) if i != j]
    bridge = [(0, size), (size, 0)]
    edges = one + [(i + size, j + size) for i, j in one] + bridge
    return Graph(torch.ones(2 * size, 1), torch.tensor(edges).T)


def test_louvain_finds_cliques_and_a_seed_decides():
    graph = two_cliques()
    found = louvain()(graph)
    assert found.dtype == torch.int64
    assert len(set(found[:5].tolist())) == len(set(found[5:].tolist())) == 1
    assert found[0] != found[5]
    assert torch.equal(louvain(seed=3)(graph), louvain(seed=3)(graph))
    assert len(set(louvain(resolution=0.01)(graph).tolist())) == 1
    with pytest.raises(InputError, match="resolution=0"):
        louvain(resolution=0.0)
    with pytest.raises(InputError, match="without edges"):
        louvain()(Graph(torch.ones(3, 1), torch.zeros(2, 0, dtype=torch.int64)))


def test_weights_count_for_communities():
    ring = torch.tensor([[0, 1, 2, 3, 1, 2, 3, 0], [1, 2, 3, 0, 0, 1, 2, 3]])
    weights = torch.tensor([9.0, 0.1, 9.0, 0.1] * 2)
    found = louvain()(Graph(torch.ones(4, 1), ring, weights))
    assert found[0] == found[1] != found[2] == found[3]


def test_communities_that_are_given(tmp_path):
    graph = two_cliques(2)
    (tmp_path / "c.txt").write_text("7\n7\n-2\n7\n")
    assert given(str(tmp_path / "c.txt"))(graph).tolist() == [1, 1, 0, 1]
    np.save(tmp_path / "c.npy", np.array([3, 3, 1, 0]))
    assert given(str(tmp_path / "c.npy"))(graph).tolist() == [2, 2, 1, 0]
    np.save(tmp_path / "short.npy", np.array([3, 3]))
    for name, message in (("short.npy", "for each of 4 nodes"), ("none.txt", "can't be read")):
        with pytest.raises(InputError, match=message):
            given(str(tmp_path / name))(graph)
    (tmp_path / "words.txt").write_text("a\nb\nc\nd\n")
    with pytest.raises(InputError, match="can't be read"):
        given(str(tmp_path / "words.txt"))(graph)
