"""Graphs whose nodes are the rows: made from arrays, an ``.npz``, a networkx graph or a PyG ``Data``, or from files."""

import os
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from likewise.core.batch import Graph
from likewise.core.errors import InputError
from likewise.core.recipe import part
from likewise.data.catalogue import About
from likewise.data.dataset import Dataset
from likewise.data.graph_files import Nodes, named_edges, read_edges, read_nodes
from likewise.data.labels import encode, encode_text
from likewise.data.readers import Reader, register_reader

EDGES = ("edges", "edge_index", "edge_list")
FEATURES = ("x", "features", "feat", "attr_matrix")
LABELS = ("y", "labels", "label")
WEIGHTS = ("weights", "edge_weight", "edge_weights")
NAMES = ("names", "keys", "ids")
STRUCTURE = 64
"""Columns of the features that nodes without any get from their place in the graph."""


@part("data")
def graph(path: str, directed: bool = False, words: int = 2000) -> Dataset:
    """A graph of one's own: an edge list, a folder with edges and nodes, or an ``.npz``. See ``docs/graphs.md``.

    Args:
        path: a ``.csv``, ``.tsv`` or ``.txt`` of two columns (and weights); a folder with ``edges.csv`` and perhaps
            ``nodes.csv``, ``features.npy``, ``labels.csv``; an ``.npz`` with ``edges``, ``x``, ``y``.
        directed: edges hold in the direction that is written; else in both.
        words: columns, at most, that the words of text columns become.

    Raises:
        InputError: no such file, a file that is none of these, or edges, features and labels that don't fit together.
    """
    place = os.path.abspath(os.path.expanduser(path))
    if not os.path.exists(place):
        raise InputError(f"no file or folder {path!r}")
    if place.endswith(".npz"):
        return from_mapping(path, _load(place, path), directed=directed)
    listed = read_edges(place, path)
    nodes = read_nodes(place, path, words) if os.path.isdir(place) else Nodes()
    edges, keys = named_edges(listed, nodes, path)
    told = nodes.labels_of(keys, path)
    labels, classes = (None, None) if told is None else partly_labelled(told, path)
    return from_arrays(
        path, edges, nodes.x, labels, weights=listed.weights, keys=keys, classes=classes, directed=directed
    )


def from_arrays(
    name: str,
    edges: Any,
    x: Any = None,
    labels: Tensor | None = None,
    *,
    weights: Any = None,
    keys: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    directed: bool = False,
    about: About | None = None,
) -> Dataset:
    """A data set of one graph. Self-loops are left out, and an edge that is listed twice counts once.

    Args:
        name: of the data, for messages.
        edges: ``(2, e)`` or ``(e, 2)`` node numbers from 0.
        x: ``(n, f)`` features; what the graph alone says of each node if None (:func:`place_in_graph`).
        labels: ``(n,)`` int64, -1 where there is none, or float targets, or None.
        weights: ``(e,)`` positive weights, or None. Of an edge that is listed twice the larger holds.
        keys: what people call each node; its number otherwise.
        classes: names of the labels.
        directed: edges hold in the direction that is written; else in both.
        about: origin and licence.

    Raises:
        InputError: shapes that don't fit together, numbers that no node has, or values that are not finite.
    """
    ends = _whole(_as_array(edges), f"{name}: edges")
    if ends.ndim != 2 or 2 not in ends.shape:
        raise InputError(f"{name}: edges have shape {tuple(ends.shape)}, expected (2, e) or (e, 2)")
    pairs = torch.from_numpy(ends if ends.shape[0] == 2 else ends.T.copy())
    if not pairs.shape[1]:
        raise InputError(f"{name}: a graph without edges; give at least one")
    features = None if x is None else _features(name, x)
    num = len(keys) if keys is not None else int(pairs.max()) + 1 if features is None else len(features)
    for what, rows in (("features", features), ("labels", labels)):
        if rows is not None and len(rows) != num:
            raise InputError(f"{name}: {len(rows)} rows of {what} for {num} nodes")
    if int(pairs.min()) < 0 or int(pairs.max()) >= num:
        wrong = int(pairs.min()) if int(pairs.min()) < 0 else int(pairs.max())
        raise InputError(f"{name}: an edge with node {wrong}, but the {num} nodes are 0 to {num - 1}")
    held = None if weights is None else _weights(name, weights, pairs.shape[1])
    pairs, held = tidy(pairs, held, num, directed)
    if not pairs.shape[1]:
        raise InputError(f"{name}: every edge is from a node to itself")
    if features is None:
        features = place_in_graph(pairs, num)
    made = Graph(features, pairs, held)
    names = [str(k) for k in range(num)] if keys is None else list(keys)
    return Dataset(name, {"graph": made}, names, torch.zeros(num, dtype=torch.bool), labels, classes, about=about)


def tidy(edges: Tensor, weights: Tensor | None, num: int, directed: bool) -> tuple[Tensor, Tensor | None]:
    """Edges ``(2, e)`` sorted by both ends, without loops and repetitions, in both directions unless ``directed``."""
    apart = edges[0] != edges[1]
    edges, weights = edges[:, apart], None if weights is None else weights[apart]
    if not directed:
        edges = torch.cat([edges, edges.flip(0)], 1)
        weights = None if weights is None else weights.repeat(2)
    code, at = torch.unique(edges[0] * num + edges[1], return_inverse=True)
    if weights is not None:
        largest = np.zeros(len(code), np.float32)
        np.maximum.at(largest, at.numpy(), weights.numpy())
        weights = torch.from_numpy(largest)
    return torch.stack([code // num, code % num]), weights


def place_in_graph(edges: Tensor, num: int, size: int = STRUCTURE) -> Tensor:
    """Features of nodes that have none: leading eigenvectors of the normalised adjacency, and the log of the degree.

    Args:
        edges: ``(2, e)`` in both directions.
        num: of nodes.
        size: eigenvectors, at most.
    """
    from scipy.sparse import coo_array, diags_array
    from scipy.sparse.linalg import eigsh

    source, target = edges.numpy()
    degree = np.bincount(source, minlength=num) + np.bincount(target, minlength=num)
    ones = coo_array((np.ones(len(source)), (source, target)), shape=(num, num))
    scale = diags_array(np.maximum(degree, 1) ** -0.5)
    matrix = (scale @ (ones + ones.T) @ scale).tocsr()
    if num <= size + 2:
        values, vectors = np.linalg.eigh(matrix.toarray())
    else:
        values, vectors = eigsh(matrix, k=size, which="LA", v0=np.ones(num))
    # the sign of an eigenvector means nothing: its largest entry is made positive
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(0), np.arange(vectors.shape[1])])
    order = np.argsort(-values)[:size]
    columns = np.column_stack([vectors[:, order] * np.sqrt(num), np.log1p(degree)])
    return torch.from_numpy(columns.astype(np.float32))


def partly_labelled(values: Sequence[Any] | np.ndarray, where: str) -> tuple[Tensor, list[str] | None]:
    """Labels of nodes of which some have none (empty, None, NaN, below 0): class numbers with -1 there, and names."""
    array = _as_array(values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise InputError(f"{where}: labels have shape {array.shape}, expected one a node: (n,)")
    if array.dtype.kind in "OUS":
        texts = ["" if v is None or v != v else str(v).strip() for v in array.tolist()]
        held = np.array([bool(t) for t in texts])
        found = encode_text([t for t in texts if t], where) if held.any() else None
    else:
        held = ~np.isnan(array) if array.dtype.kind == "f" else np.ones(len(array), bool)
        whole = array.dtype.kind in "iub" or bool((array[held] == np.round(array[held])).all())
        held &= (array >= 0) if whole else True
        known = array[held].astype(np.int64) if whole else array[held]
        found = encode(known, where) if held.any() else None
    if found is None:
        raise InputError(f"{where}: no node has a label; leave labels out")
    codes, classes = found
    if codes.is_floating_point():
        if not held.all():
            raise InputError(f"{where}: node {int(np.flatnonzero(~held)[0])} has no target; every node needs one")
        return codes, classes
    out = torch.full((len(held),), -1, dtype=torch.int64)
    out[torch.from_numpy(held)] = codes
    return out, classes


def from_mapping(name: str, held: Mapping[str, Any], *, directed: bool = False) -> Dataset:
    """A graph from arrays by name, as an ``.npz`` holds them, also in the scipy layout of Shchur et al. (2018)."""
    edges, x = _first(held, EDGES), _first(held, FEATURES)
    if edges is None and "adj_indices" in held:
        edges = np.stack(_sparse(name, held, "adj").nonzero())
    if x is None and "attr_indices" in held:
        x = _sparse(name, held, "attr").toarray()
    if edges is None:
        raise InputError(f"{name!r} has no array named edges or edge_index; it holds {', '.join(held) or 'nothing'}")
    y, keys = _first(held, LABELS), _first(held, NAMES)
    labels, classes = (None, None) if y is None else partly_labelled(y, name)
    names = None if keys is None else [str(key) for key in np.asarray(keys).tolist()]
    return from_arrays(
        name, edges, x, labels, weights=_first(held, WEIGHTS), keys=names, classes=classes, directed=directed
    )


def from_object(data: Any) -> Dataset:
    """A graph that a Python user has.

    Args:
        data: ``(edges, x)`` or ``(edges, x, y)`` arrays or tensors (x may be None); a dict of arrays by the names of an
            ``.npz``; a networkx graph (node attributes ``x`` or ``features`` and ``y`` or ``label``, edge attribute
            ``weight``); a PyG ``Data``; a :class:`~likewise.core.batch.Graph`.

    Raises:
        InputError: something else, or a graph that can't be used.
    """
    if isinstance(data, Graph):
        return from_arrays("graph", data.edges, data.x, weights=data.weights, directed=True)
    if isinstance(data, Mapping):
        return from_mapping("graph", data)
    if isinstance(data, tuple | list) and len(data) in (2, 3):
        labels, classes = partly_labelled(data[2], "labels") if len(data) == 3 and data[2] is not None else (None, None)
        return from_arrays("graph", data[0], data[1], labels, classes=classes)
    if hasattr(data, "edge_index"):  # PyG, which need not be installed for this
        held = {"edges": data.edge_index, "x": getattr(data, "x", None), "y": getattr(data, "y", None)}
        weights = getattr(data, "edge_weight", None)
        return from_mapping("graph", {**held, "weights": weights})
    if hasattr(data, "nodes") and hasattr(data, "edges") and hasattr(data, "adj"):
        return _from_networkx(data)
    raise InputError(
        f"data of type {type(data).__name__} is no graph: give a path, (edges, x) or (edges, x, y) arrays, a networkx "
        "graph, or a PyG Data"
    )


def _from_networkx(graph: Any) -> Dataset:
    nodes = list(graph.nodes)
    at = {node: i for i, node in enumerate(nodes)}
    ends = np.array([(at[u], at[v]) for u, v in graph.edges()], dtype=np.int64).reshape(-1, 2)
    given = [w for _, _, w in graph.edges(data="weight") if w is not None]
    if given and len(given) != len(ends):
        raise InputError("some edges of the networkx graph have a weight and some have none")

    def attribute(names: Sequence[str]) -> list[Any] | None:
        name = next((n for n in names if any(n in graph.nodes[node] for node in nodes)), None)
        return None if name is None else [graph.nodes[node].get(name) for node in nodes]

    x, y = attribute(FEATURES), attribute((*LABELS, "club"))
    if x is not None and any(row is None for row in x):
        raise InputError(f"node {nodes[x.index(None)]!r} of the networkx graph has no features, others have")
    labels, classes = (None, None) if y is None else partly_labelled(np.array(y, dtype=object), "labels")
    return from_arrays(
        "networkx graph",
        ends.T,
        None if x is None else np.array(x),
        labels,
        weights=np.array(given, dtype=np.float64) if given else None,
        keys=[str(node) for node in nodes],
        classes=classes,
        directed=bool(graph.is_directed()),
    )


def _first(held: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((held[name] for name in names if held.get(name) is not None), None)


def _as_array(values: Any) -> np.ndarray:
    if isinstance(values, Tensor):
        return values.detach().cpu().numpy()
    if hasattr(values, "toarray"):  # scipy's sparse matrices
        return np.asarray(values.toarray())
    return np.asarray(values)


def _whole(array: np.ndarray, where: str) -> np.ndarray:
    if array.dtype.kind == "f" and np.isfinite(array).all() and (array == np.round(array)).all():
        array = array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise InputError(f"{where} are of type {array.dtype}: expected whole numbers, the positions of nodes")
    return array.astype(np.int64)


def _features(name: str, x: Any) -> Tensor:
    array = _as_array(x)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.dtype.kind not in "fiub" or not array.shape[1]:
        raise InputError(f"{name}: features have shape {array.shape} of {array.dtype}, expected numbers (n, f)")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        row, column = np.argwhere(~np.isfinite(array))[0].tolist()
        raise InputError(f"{name}: feature {column} of node {row} is {array[row, column]}; every one must be finite")
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))


def _weights(name: str, weights: Any, num: int) -> Tensor:
    array = _as_array(weights)
    if array.shape != (num,) or array.dtype.kind not in "fiu":
        raise InputError(f"{name}: weights have shape {array.shape} of {array.dtype} for {num} edges")
    bad = np.flatnonzero(~(np.isfinite(array) & (array > 0)))
    if len(bad):
        raise InputError(f"{name}: edge {bad[0]} has the weight {array[bad[0]]}; weights are numbers above 0")
    return torch.from_numpy(array.astype(np.float32))


def _sparse(name: str, held: Mapping[str, Any], what: str) -> Any:
    from scipy.sparse import csr_array

    try:
        parts = [held[f"{what}_{piece}"] for piece in ("data", "indices", "indptr")]
        return csr_array(tuple(parts), shape=tuple(held[f"{what}_shape"]))
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"{name!r}: the arrays {what}_* are no sparse matrix: {error}") from error


def _load(place: str, path: str) -> dict[str, Any]:
    try:
        with np.load(place) as held:
            return {key: held[key] for key in held.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path!r} is not a readable .npz of plain arrays: {str(error).splitlines()[0]}") from error


register_reader(
    Reader(
        "graph",
        "an edge list (.csv, .tsv, .txt), a folder with edges.csv and perhaps nodes.csv or features.npy, or an .npz "
        "with edges, x, y",
        graph,
        from_object,
    )
)
