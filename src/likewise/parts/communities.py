"""Communities of a graph: groups of nodes with more edges inside than between them."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from likewise.core.batch import Graph
from likewise.core.errors import InputError, require
from likewise.core.recipe import part

Communities = Callable[[Graph], Tensor]
"""A graph -> the community of each node, ``(n,)`` int64 from 0."""


@part("communities")
def louvain(resolution: float = 1.0, seed: int = 0) -> Communities:
    """The Louvain method (Blondel et al., arXiv:0803.0476) as networkx has it: modularity, greedily, in levels.

    Args:
        resolution: above 1 for smaller communities, below for larger ones.
        seed: of the order in which nodes are visited.
    """
    if not resolution > 0:
        raise InputError(f"louvain: resolution={resolution:g} must be above 0")

    def find(graph: Graph) -> Tensor:
        if not graph.edges.shape[1]:
            raise InputError("a graph without edges has no communities")
        networkx = require("networkx", "graph", "finding communities")
        found = networkx.Graph()
        found.add_nodes_from(range(len(graph)))
        edges = graph.edges.cpu()
        weights = torch.ones(edges.shape[1]) if graph.weights is None else graph.weights.cpu()
        found.add_weighted_edges_from(zip(*edges.tolist(), weights.tolist()))
        out = torch.empty(len(graph), dtype=torch.int64)
        for number, nodes in enumerate(networkx.community.louvain_communities(found, resolution=resolution, seed=seed)):
            out[list(nodes)] = number
        return out

    return find


@part("communities")
def given(path: str) -> Communities:
    """Communities that are known: a whole number for each node, in the order of the nodes.

    Args:
        path: a ``.npy`` of shape ``(n,)``, or a text file with a number a line.
    """

    def find(graph: Graph) -> Tensor:
        try:
            numbers = np.load(path) if path.endswith(".npy") else np.loadtxt(path, ndmin=1)
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f"communities {path!r} can't be read: {str(error).splitlines()[0]}") from error
        if numbers.shape != (len(graph),) or numbers.dtype.kind not in "iuf" or (numbers != np.round(numbers)).any():
            found = f"communities {path!r} have shape {numbers.shape}"
            raise InputError(f"{found}: expected a whole number for each of {len(graph)} nodes")
        return torch.from_numpy(np.unique(numbers, return_inverse=True)[1].reshape(-1).astype(np.int64))

    return find
