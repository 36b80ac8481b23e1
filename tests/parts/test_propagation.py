"""Sparse products, LightGCN's layers and hypergraphs against full matrices."""

import copy

import pytest
import torch
from torch.nn.functional import normalize

from likewise.parts.encoders.propagation import Hypergraph, Interactions, SparseMatrix, nearest, neighbourhoods


def some(n, m, seed=0, share=0.4):
    matrix = (torch.rand(n, m, generator=torch.Generator().manual_seed(seed)) < share).double()
    matrix[0] = 0  # somebody without anything
    return matrix


def sparse(matrix, dtype=torch.float64):
    rows, cols = matrix.nonzero().T
    shuffled = torch.randperm(len(rows))
    return SparseMatrix(rows[shuffled], cols[shuffled], matrix[rows, cols][shuffled].to(dtype), tuple(matrix.shape))


@pytest.mark.parametrize("transposed", [False, True])
def test_products_and_gradients(transposed):
    full = some(5, 7) * torch.randn(5, 7).double()
    x = torch.randn(5 if transposed else 7, 3, dtype=torch.float64, requires_grad=True)
    one = sparse(full)
    expected = (full.T if transposed else full) @ x
    assert torch.allclose(one(x, transposed=transposed), expected)
    assert torch.autograd.gradcheck(lambda x: one(x, transposed=transposed), x)
    assert torch.autograd.gradgradcheck(lambda x: one(x, transposed=transposed), x)


def test_a_matrix_is_copied_moved_and_not_saved():
    one = sparse(some(5, 7), torch.float32)
    assert one.state_dict() == {}
    again = copy.deepcopy(one).double()
    x = torch.randn(7, 2)
    assert torch.allclose(again(x.double()).float(), one(x))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(one(x), (x.new_zeros(5, 2) + one(x)))
        assert one(x.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_lightgcn_with_the_whole_adjacency(layers):
    taken = some(6, 8)
    users, items = torch.randn(6, 4).double(), torch.randn(8, 4).double()
    adjacency = torch.zeros(14, 14, dtype=torch.float64)
    adjacency[:6, 6:], adjacency[6:, :6] = taken, taken.T
    weight = adjacency.sum(1).rsqrt().nan_to_num(posinf=0)
    adjacency = weight[:, None] * adjacency * weight
    x, total = torch.cat([users, items]), torch.zeros(14, 4).double()
    for _ in range(layers + 1):
        total, x = total + x, adjacency @ x
    graph = Interactions(taken.nonzero().T, 6, 8, dtype=torch.float64)
    assert torch.allclose(torch.cat(graph(users, items, layers)), total / (layers + 1))


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("loops", [False, True])
def test_a_hypergraph_with_the_whole_matrix(layers, loops):
    incidence = some(6, 5)
    incidence[1] = torch.tensor([0, 0, 0, 0, 1.0])
    incidence[2:, 4] = 0  # row 1 is alone in its edge
    shared = incidence @ incidence.T
    if not loops:
        shared.fill_diagonal_(0)
    degree = shared.sum(1)
    if loops:
        weight = degree.rsqrt().nan_to_num(posinf=0)
        matrix = weight[:, None] * shared * weight
    else:
        matrix = shared * degree.reciprocal().nan_to_num(posinf=0)[:, None]
    x = torch.randn(6, 3).double()
    expected = torch.linalg.matrix_power(matrix, layers) @ x
    found = Hypergraph(sparse(incidence), loops=loops)(x, layers)
    assert torch.allclose(found, expected, atol=1e-12)
    assert found[0].abs().max() == 0
    if not loops:
        assert found[1].abs().max() < 1e-12


@pytest.mark.parametrize("tile", [1, 4, 1000])
def test_the_nearest_are_those_of_largest_cosine(tile):
    features = torch.randn(11, 6, generator=torch.Generator().manual_seed(1))
    features[3] = 0
    cosine = normalize(features, dim=1) @ normalize(features, dim=1).T
    rows, cols = nearest(features, 4, tile=tile)
    found = set(zip(rows.tolist(), cols.tolist()))
    expected = {(i, j) for i in range(11) for j in cosine[i].argsort(descending=True)[:4].tolist() if cosine[i, j] > 0}
    assert found == expected
    assert 3 not in rows
    assert all((i, i) in found for i in range(11) if i != 3)
    assert len(nearest(features, 100)[0]) == int((cosine > 0).sum())


def test_neighbourhoods_of_two_kinds_stand_side_by_side():
    one, two = torch.eye(4), torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    edges = neighbourhoods([one, two], 2)(torch.eye(8))
    assert torch.equal(edges[:, :4], torch.eye(4))
    assert torch.equal(edges[:, 4:], torch.block_diag(torch.ones(2, 2), torch.ones(2, 2)))
