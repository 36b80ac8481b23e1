"""Graph convolutions on sparse matrices: every node's features are mixed with its neighbours'."""

import itertools
from typing import Literal

import torch
from torch import Tensor, nn

from likewise.core.batch import Graph
from likewise.core.errors import InputError
from likewise.core.recipe import FROM_DATA, part
from likewise.parts.encoders.propagation import SparseMatrix

Activation = Literal["relu", "prelu", "rrelu", "elu"]


def activation(name: Activation) -> nn.Module:
    """A fresh activation layer."""
    kinds: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "prelu": nn.PReLU, "rrelu": nn.RReLU, "elu": nn.ELU}
    return kinds[name]()


def adjacency(graph: Graph, dtype: torch.dtype) -> SparseMatrix:
    r"""The propagation matrix of a graph with self-loops, ``(n, n)``.

    .. math:: \hat A = D^{-1/2}(A + I)D^{-1/2}, \qquad D_{tt} = 1 + \sum_s A_{ts}

    with ``A[t, s]`` the weight of the edge from s to t: a node takes from where its edges come from. Where a view has
    lost one direction of an edge, A is not symmetric, and neither is the result.
    Source: Kipf and Welling, arXiv:1609.02907, Eq. 2.

    Args:
        graph: ``weights`` of 1 where it has none. An edge given twice counts twice.
        dtype: of the matrix.
    """
    n, device = len(graph), graph.x.device
    source, target = torch.cat([graph.edges, torch.arange(n, device=device).expand(2, -1)], 1)
    given = graph.x.new_ones(graph.edges.shape[1]) if graph.weights is None else graph.weights
    weights = torch.cat([given.to(dtype), torch.ones(n, dtype=dtype, device=device)])
    scale = torch.zeros(n, dtype=dtype, device=device).index_add_(0, target, weights).rsqrt()
    return SparseMatrix(target, source, weights * scale[source] * scale[target], (n, n))


@part("encoder", "gcn")
class GCN(nn.Module):
    r"""Graph convolutions (Kipf and Welling, arXiv:1609.02907): ``depth`` layers, each followed by its activation.

    .. math:: H^{l+1} = \sigma(\hat A H^l W^l + b^l)

    Args:
        num_features: of a node.
        width: of the layers before the last; None: twice ``dim``.
        dim: features out.
        depth: layers: from how many steps away a node is informed.
        act: activation; each layer has one of its own.
    """

    def __init__(
        self,
        *,
        num_features: int = FROM_DATA,
        width: int | None = None,
        dim: int = 128,
        depth: int = 2,
        act: Activation = "relu",
    ) -> None:
        super().__init__()
        if depth < 1:
            raise InputError(f"gcn: depth={depth}: at least one layer")
        self.dim = dim
        widths = [num_features, *[width or 2 * dim] * (depth - 1), dim]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))
        self.acts = nn.ModuleList(activation(act) for _ in self.layers)
        for layer in self.layers:
            nn.init.xavier_uniform_(layer.weight)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, view: Graph) -> Tensor:
        """Features ``(n, dim)`` of a graph's nodes; the mixing is in float32 or better, also under autocast."""
        if not isinstance(view, Graph):
            raise InputError(f"gcn embeds the nodes of a graph, and this is a {type(view).__name__}")
        x, matrix = view.x, adjacency(view, view.x.dtype)
        for layer, act in zip(self.layers, self.acts):
            assert isinstance(layer, nn.Linear)
            # first to the layer's width, then along the edges: features are wider than layers
            x = act(matrix(x @ layer.weight.T) + layer.bias)
        return x
