"""A graph in text files: an edge list, and a table of nodes or features and labels beside it."""

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from likewise.core.errors import InputError
from likewise.data.table import LABELS, read_columns
from likewise.data.words import bag_of_words, is_category, one_hot, unit_sums

EDGE_FILES = tuple(f"{stem}{end}" for stem in ("edges", "edge_list", "graph") for end in (".csv", ".tsv", ".txt"))
NODE_FILES = ("nodes.csv", "nodes.tsv", "nodes.parquet")
FEATURE_FILES = ("features.npy", "features.npz", "features.csv", "features.tsv", "x.npy")
LABEL_FILES = ("labels.csv", "labels.tsv", "labels.npy", "labels.txt", "y.npy")
IDS = ("id", "node", "node_id", "name", "key")
ENDS = {"source", "target", "src", "dst", "from", "to", "u", "v", "node1", "node2", "head", "tail"}
HEADER = ENDS | {"weight", "weights", "id", "source_id", "target_id"}


@dataclass
class Edges:
    """What an edge list says: names of both ends of each edge, and weights ``(e,)`` if there are."""

    ends: list[tuple[str, str]]
    weights: np.ndarray | None = None


@dataclass
class Nodes:
    """What is known of the nodes, None where nothing is.

    Attributes:
        keys: names in order; nodes are numbers without.
        x: ``(n, f)``.
        labels: as written, in the order of the nodes.
        named: the same by name, of some nodes.
    """

    keys: list[str] | None = None
    x: np.ndarray | None = None
    labels: Sequence[Any] | np.ndarray | None = None
    named: dict[str, str] | None = None

    def labels_of(self, keys: Sequence[str], path: str) -> Sequence[Any] | np.ndarray | None:
        """Labels in the order of the nodes; "" where there is none."""
        if self.named is None:
            return self.labels
        known = set(keys)
        strange = next((name for name in self.named if name not in known), None)
        if strange is not None:
            raise InputError(f"{path!r}: a label of {strange!r}, which is no node")
        return [self.named.get(key, "") for key in keys]


def read_edges(place: str, path: str) -> Edges:
    """The edge list at ``place``, a file or a folder that has one; ``path`` is what the user wrote.

    Two columns, or three with weights; between them commas, tabs, or blanks in ``.txt`` files. A header is known by
    its words (``source``, ``target``, ``from``, ``to``, ...); lines that begin with # or % are
    remarks.
    """
    if os.path.isdir(place):
        found = _in_folder(place, EDGE_FILES)
        if found is None:
            raise InputError(
                f"{path!r} has no {EDGE_FILES[0]}: a graph's folder holds its edges in {_or(EDGE_FILES[:3])}"
            )
        place = found
    rows = _rows(place)
    if rows and _has_header([cells for _, cells in rows]):
        del rows[0]
    if not rows:
        raise InputError(f"{place!r} has no edges")
    width = len(rows[0][1])
    if width not in (2, 3):
        raise InputError(f"{place!r}: {width} columns; an edge list has two, source and target, or three with weights")
    ends, weights = [], []
    for number, cells in rows:
        if len(cells) != width or not all(cells):
            raise InputError(f"{place!r}, line {number}: {len([c for c in cells if c])} cells, expected {width}")
        ends.append((cells[0], cells[1]))
        if width == 3:
            weights.append(_number(cells[2], f"{place!r}, line {number}: the weight"))
    return Edges(ends, np.array(weights) if weights else None)


def read_nodes(folder: str, path: str, words: int) -> Nodes:
    """What a folder says of the nodes: ``nodes.csv``, or ``features`` and ``labels`` in files of their own.

    Args:
        folder: that holds the files.
        path: what the user wrote.
        words: columns, at most, that the words of text columns become.
    """
    out = Nodes()
    table = _in_folder(folder, NODE_FILES)
    if table is not None:
        columns = read_columns(table)
        out.keys = _take(columns, IDS)
        if out.keys is None:
            raise InputError(f"{table!r} has no column named {_or(IDS)}; it has {', '.join(columns)}")
        _unique(out.keys, table)
        out.labels = _take(columns, LABELS)
        out.x = _numbers(columns, words, table) if columns else None
    features = _in_folder(folder, FEATURE_FILES)
    if features is not None:
        keys, out.x = _features(features, words)
        _same_nodes(out, keys, features)
        out.keys = out.keys or keys
    labels = _in_folder(folder, LABEL_FILES)
    if labels is not None:
        _read_labels(labels, out)
    return out


def named_edges(edges: Edges, nodes: Nodes, path: str) -> tuple[np.ndarray, list[str]]:
    """Edges ``(2, e)`` as positions of nodes, and what people call the nodes.

    Nodes are those of the table, in its order; without one, numbers if all ends are whole numbers (positions in the
    features, if there are any), else names in their order.
    """
    ends = edges.ends
    keys = nodes.keys
    if keys is None:
        named = sorted({end for pair in ends for end in pair})
        rows = nodes.x if nodes.x is not None else nodes.labels
        whole = all(name.isdecimal() for name in named)
        if rows is not None:
            if not whole:
                odd = next(name for name in named if not name.isdecimal())
                raise InputError(
                    f"{path!r}: node {odd!r} is no number, and features or labels without names are by number; add a "
                    "column id to them"
                )
            keys = [str(i) for i in range(len(rows))]
        else:
            keys = sorted(named, key=int) if whole else named
    at = {key: i for i, key in enumerate(keys)}
    for row, pair in enumerate(ends):
        for end in pair:
            if end not in at and not (end.isdecimal() and str(int(end)) in at):
                raise InputError(
                    f"{path!r}: edge {row} has a node {end!r} of which nothing is known: add it to the nodes"
                )
    found = [(at.get(u, at.get(u.lstrip("0") or "0")), at.get(v, at.get(v.lstrip("0") or "0"))) for u, v in ends]
    return np.array(found, dtype=np.int64).T, keys


def _read_labels(place: str, out: Nodes) -> None:
    if place.endswith(".npy"):
        out.labels = _array(place)
    elif place.endswith(".txt"):
        out.labels = [" ".join(cells) for _, cells in _rows(place)]
    else:
        columns = read_columns(place)
        keys, values = _take(columns, IDS), _take(columns, LABELS)
        if values is None and len(columns) == 1:
            values = [str(v) for v in next(iter(columns.values()))]
        if values is None:
            raise InputError(f"{place!r} has no column named {_or(LABELS)}; it has {', '.join(columns)}")
        if keys is not None:
            _unique(keys, place)
            out.named = dict(zip(keys, values))
            return
        out.labels = values
    known = out.keys or out.x
    if known is not None and len(out.labels) != len(known):
        raise InputError(f"{place!r}: {len(out.labels)} labels for {len(known)} nodes")


def _features(place: str, words: int) -> tuple[list[str] | None, np.ndarray]:
    if place.endswith((".npy", ".npz")):
        return None, _array(place)
    columns = read_columns(place)
    keys = _take(columns, IDS)
    if not columns:
        raise InputError(f"{place!r} has no columns beside the nodes' names")
    found = _numbers(columns, words, place)
    assert found is not None
    return keys, found


def _same_nodes(out: Nodes, keys: list[str] | None, place: str) -> None:
    if out.keys is None or out.x is None:
        return
    if keys is not None:
        missing = set(out.keys).symmetric_difference(keys)
        if missing:
            raise InputError(f"{place!r}: node {sorted(missing)[0]!r} is in only one of the nodes and the features")
        at = {key: i for i, key in enumerate(keys)}
        out.x = out.x[[at[key] for key in out.keys]]
    elif len(out.x) != len(out.keys):
        raise InputError(f"{place!r}: {len(out.x)} rows of features for {len(out.keys)} nodes")


def _numbers(columns: dict[str, list[Any]], words: int, place: str) -> np.ndarray | None:
    """Every column as numbers: numbers brought to mean 0 and deviation 1, categories a column each, texts as words."""
    parts, texts = [], []
    for name, values in columns.items():
        cells = ["" if v is None or v != v else str(v).strip() for v in values]
        found = _column(cells)
        if found is not None:
            empty = next((i for i, cell in enumerate(cells) if not cell), None)
            if empty is not None or not np.isfinite(found).all():
                row = empty if empty is not None else int(np.flatnonzero(~np.isfinite(found))[0])
                raise InputError(
                    f"{place!r}: column {name!r} has {cells[row] or 'nothing'!r} in row {row}: not a number"
                )
            spread = found.std()
            parts.append(((found - found.mean()) / (spread or 1.0))[:, None].astype(np.float32))
        elif is_category(cells):
            parts.append(one_hot(cells)[0])
        else:
            texts.append(cells)
    if texts:
        bag, _ = bag_of_words([" ".join(row) for row in zip(*texts)], words)
        parts.append(unit_sums(bag) if not parts else bag)
    return np.concatenate(parts, 1) if parts else None


def _column(cells: Sequence[str]) -> np.ndarray | None:
    """Numbers with NaN for empty cells, or None where a cell is neither."""
    try:
        found = np.array([float(cell) if cell else np.nan for cell in cells])
    except ValueError:
        return None
    return found if any(cells) else None


def _take(columns: dict[str, list[Any]], names: Sequence[str]) -> list[str] | None:
    """The column with one of these names, as text, taken out."""
    found = next((c for name in names for c in columns if c.strip().lower() == name), None)
    if found is None:
        return None
    values = columns.pop(found)
    return ["" if v is None or v != v else str(v).strip() for v in values]


def _unique(keys: Sequence[str], place: str) -> None:
    seen: set[str] = set()
    for row, key in enumerate(keys):
        if not key or key in seen:
            raise InputError(f"{place!r}: row {row} has " + (f"the name {key!r} again" if key else "no name"))
        seen.add(key)


def _rows(place: str) -> list[tuple[int, list[str]]]:
    """Line number and cells of every line that is neither empty nor a remark."""
    try:
        with open(place, newline="", encoding="utf-8-sig") as file:
            lines = [(i, line.strip("\r\n")) for i, line in enumerate(file, 1)]
    except UnicodeDecodeError as error:
        raise InputError(f"{place!r} is no text in UTF-8: {error.reason}") from error
    except OSError as error:
        raise InputError(f"{place!r} can't be read: {error.strerror}") from error
    held = [(i, line) for i, line in lines if line.strip() and not line.lstrip().startswith(("#", "%"))]
    if not held:
        return []
    first = held[0][1]
    mark = "\t" if "\t" in first else "," if "," in first else ";" if ";" in first else None
    if mark is None:
        return [(i, line.split()) for i, line in held]
    try:
        cells = csv.reader([line for _, line in held], delimiter=mark)
        return [(i, [c.strip() for c in row]) for (i, _), row in zip(held, cells)]
    except csv.Error as error:
        raise InputError(f"{place!r} can't be read as a table: {error}") from error


def _has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names the columns: by words for ends, of which no node has one as its name."""
    first = [cell.lower() for cell in rows[0]]
    if "weight" in first[2:]:
        return True
    return set(first) <= HEADER and not any(cell.lower() in first[:2] for row in rows[1:] for cell in row[:2])


def _number(cell: str, what: str) -> float:
    try:
        return float(cell)
    except ValueError:
        raise InputError(f"{what} is {cell!r}, not a number") from None


def _array(place: str) -> np.ndarray:
    try:
        held = np.load(place)
        if isinstance(held, np.ndarray):
            return held
        with held:
            names = held.files
            if len(names) != 1:
                raise InputError(f"{place!r} holds {', '.join(names) or 'nothing'}: expected one array")
            found: np.ndarray = held[names[0]]
            return found
    except (OSError, ValueError, EOFError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{place!r} is no readable array: {str(error).splitlines()[0]}") from error


def _in_folder(folder: str, names: Sequence[str]) -> str | None:
    return next((os.path.join(folder, n) for n in names if os.path.isfile(os.path.join(folder, n))), None)


def _or(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + " or " + names[-1]
