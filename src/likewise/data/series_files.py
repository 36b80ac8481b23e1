"""Files of time series: tables, NumPy arrays and the ``.ts`` format of the UCR and UEA archives."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from likewise.core.errors import InputError
from likewise.data.arrays import load_numpy, member
from likewise.data.table import LABELS, SPLITS, read_columns

IDS = ("series", "series_id", "unique_id", "item_id", "sample", "sample_id", "id")
TIMES = ("time", "timestamp", "date", "datetime", "ds", "index", "")
SUFFIXES = (".csv", ".tsv", ".parquet", ".npy", ".npz", ".ts")
_MISSING = frozenset({"", "nan", "na", "n/a", "null", "none", "?"})


@dataclass
class Found:
    """What a file holds, before it is split or cut.

    Attributes:
        rows: ``(t, c)`` float32 each, NaN where a value is missing.
        keys: a name for each.
        labels: a word or number for each, or None.
        test: whether each is held out, or None where the file does not say.
        times: of a single long series: what to call each of its steps.
        long: it is one long series rather than many.
    """

    rows: list[np.ndarray]
    keys: list[str] = field(default_factory=list)
    labels: list[Any] | None = None
    test: list[bool] | None = None
    times: Sequence[str] | None = None
    long: bool = False

    def __post_init__(self) -> None:
        self.keys = self.keys or [str(i) for i in range(len(self.rows))]


def read(path: str) -> Found:
    """The series of a file; what is understood stands in ``docs/series.md``.

    Raises:
        InputError: an unknown kind of file, or contents that are no series.
    """
    suffix = os.path.splitext(path)[1].lower()
    if suffix in (".npy", ".npz"):
        return _numpy(path)
    if suffix == ".ts":
        return _ts_with_test(path)
    if suffix in (".csv", ".tsv", ".parquet"):
        return from_table(read_columns(path), repr(path))
    what = "a folder" if os.path.isdir(path) else "a file of an unknown kind"
    raise InputError(f"data {path!r} is {what}: time series are read from {', '.join(SUFFIXES)}")


def from_table(columns: Mapping[str, Sequence[Any]], where: str, times: Sequence[str] | None = None) -> Found:
    """Series in a table: a column for each channel of one long series, or rows of many series named by a column.

    Args:
        columns: column name -> values, in order of time.
        where: for error messages.
        times: what to call each row; a column of times if None.
    """
    by_name = {name.strip().lower(): name for name in columns}
    ids = next((by_name[name] for name in IDS if name in by_name), None)
    time = next((by_name[name] for name in TIMES if name in by_name), None)
    label = next((by_name[name] for name in LABELS if name in by_name), None) if ids else None
    split = next((by_name[name] for name in SPLITS if name in by_name), None) if ids else None
    first = next(iter(columns), None)
    if time is None and ids is None and first is not None and not _numeric(columns[first]):
        time = first
    channels = [name for name in columns if name not in (ids, time, label, split)]
    if not channels:
        raise InputError(f"{where} has no column of values beside {', '.join(filter(None, (ids, time, label, split)))}")
    if not len(columns[channels[0]]):
        raise InputError(f"{where} has a header but no rows")
    values = np.stack([_numbers(columns[name], name, where) for name in channels], 1)
    if ids is None:
        said = times if times is not None else None if time is None else [str(t) for t in columns[time]]
        return Found([values], times=said, long=True)
    return _grouped(values, columns, ids, label, split, where)


def _grouped(
    values: np.ndarray,
    columns: Mapping[str, Sequence[Any]],
    ids: str,
    label: str | None,
    split: str | None,
    where: str,
) -> Found:
    places: dict[str, list[int]] = {}
    for row, key in enumerate(columns[ids]):
        if _is_missing(key):
            raise InputError(f"{where}: no {ids} in row {row}")
        places.setdefault(str(key).strip(), []).append(row)
    told = {name: [_one(columns[name], rows, name, key, where) for key, rows in places.items()]
            for name in (label, split) if name is not None}  # fmt: skip
    test = None
    if split is not None:
        from likewise.data.labels import held_out

        test = held_out([str(word) for word in told[split]], where).tolist()
    return Found([values[rows] for rows in places.values()], list(places), None if label is None else told[label], test)


def _one(column: Sequence[Any], rows: Sequence[int], name: str, key: str, where: str) -> Any:
    """The value that all rows of a series share."""
    for row in rows:
        if column[row] != column[rows[0]]:
            raise InputError(f"{where}: series {key!r} has {name} {column[rows[0]]!r} and {column[row]!r}: give it one")
    return column[rows[0]]


def _is_missing(cell: Any) -> bool:
    # a missing cell of a data frame is None or NaN, the one value that differs from itself
    return cell is None or cell != cell or (isinstance(cell, str) and cell.strip().lower() in _MISSING)


def _numeric(cells: Sequence[Any]) -> bool:
    for cell in cells:
        if not _is_missing(cell):
            try:
                float(cell)
            except (TypeError, ValueError):
                return False
            return not isinstance(cell, bool)
    return True


def _numbers(cells: Sequence[Any], name: str, where: str) -> np.ndarray:
    out = np.empty(len(cells), np.float32)
    for row, cell in enumerate(cells):
        try:
            out[row] = np.nan if _is_missing(cell) else float(cell)
        except (TypeError, ValueError):
            said = f"{where}: {str(cell)!r} in column {name!r}, row {row} is no number"
            raise InputError(f"{said} (a column that names many series is called {IDS[0]} or {IDS[-1]})") from None
    return out


def _numpy(path: str) -> Found:
    held = load_numpy(path)
    if isinstance(held, np.ndarray):
        return from_array(held, None, repr(path))
    x = member(path, held, ("series", "x", "X", "data", "x_train", "X_train", "arr_0"))
    if x is None:
        raise InputError(f"{path!r} has no array named series, x or x_train; it holds {', '.join(held) or 'nothing'}")
    y = member(path, held, ("labels", "label", "y", "Y", "y_train", "arr_1"))
    found = from_array(x, y, repr(path))
    more = member(path, held, ("test_series", "x_test", "X_test"))
    if more is None:
        return found
    y_test = member(path, held, ("test_labels", "y_test", "Y_test"))
    if (y is None) != (y_test is None):
        raise InputError(f"{path!r} has labels for only one of the training and the test series")
    return joined(found, from_array(more, y_test, repr(path)))


def joined(train: Found, test: Found) -> Found:
    """Training and test series of two tables or files as one."""
    labels = None if train.labels is None or test.labels is None else [*train.labels, *test.labels]
    keys = [f"train/{key}" for key in train.keys] + [f"test/{key}" for key in test.keys]
    held_out = [False] * len(train.rows) + [True] * len(test.rows)
    return Found([*train.rows, *test.rows], keys, labels, held_out)


def from_array(values: Any, labels: Any, where: str) -> Found:
    """Series in an array: ``(t,)`` is one long series, ``(n, t)`` are many, ``(n, t, c)`` many of several channels."""
    x = np.asarray(values)
    if x.dtype.kind not in "buif":
        raise InputError(f"{where}: values of type {x.dtype} are no time series; numbers wanted, NaN where missing")
    if x.ndim not in (1, 2, 3) or x.size == 0:
        raise InputError(f"{where}: shape {x.shape} is not that of series: (t,), (n, t) or (n, t, c) wanted")
    x = x.astype(np.float32)
    if x.ndim == 1:
        if labels is not None:
            raise InputError(f"{where}: labels are of many series (n, t), this is one of shape {x.shape}")
        return Found([x[:, None]], long=True)
    rows = list(x if x.ndim == 3 else x[..., None])
    said = None if labels is None else np.asarray(labels).tolist()
    if said is not None and (not isinstance(said, list) or len(said) != len(rows)):
        count = len(said) if isinstance(said, list) else "one value as"
        raise InputError(f"{where}: {len(rows)} series but {count} labels")
    return Found(rows, labels=said)


def _ts_with_test(path: str) -> Found:
    """A ``.ts`` file; where its name ends in ``_TRAIN``, the one beside it that ends in ``_TEST`` is the test set."""
    stem, suffix = os.path.splitext(path)
    beside = stem.removesuffix("_TRAIN") + "_TEST" + suffix
    if stem.endswith("_TRAIN") and os.path.isfile(beside):
        return joined(read_ts(path), read_ts(beside))
    return read_ts(path)


def read_ts(path: str) -> Found:
    """The series of a ``.ts`` file: a line each, channels between colons, the class last where there are classes.

    Raises:
        InputError: no such file, no ``@data``, time stamps, or a line that does not fit.
    """
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path!r} can't be read: {error}") from error
    head: dict[str, str] = {}
    start = None
    for number, line in enumerate(lines):
        if line.lower().startswith("@data"):
            start = number + 1
            break
        if line.startswith("@"):
            name, _, value = line[1:].partition(" ")
            head[name.lower()] = value.strip()
    if start is None:
        raise InputError(f"{path!r} is no .ts file: it has no line @data")
    if head.get("timestamps", "").lower() == "true":
        raise InputError(f"{path!r} has time stamps, which are not read: write values alone")
    labelled = head.get("classlabel", "").lower().startswith("true")
    rows: list[np.ndarray] = []
    labels: list[str] = []
    for number, line in enumerate(lines[start:], start + 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = line.split(":")
        if labelled:
            labels.append(parts.pop().strip())
        where = f"{path!r}, line {number}"
        channels = [_numbers(part.split(","), str(c), where) for c, part in enumerate(parts)]
        lengths = {len(channel) for channel in channels}
        if len(lengths) != 1:
            raise InputError(f"{where}: channels of different length ({', '.join(map(str, sorted(lengths)))})")
        rows.append(np.stack(channels, 1))
    if not rows:
        raise InputError(f"{path!r} has no series behind @data")
    return Found(rows, labels=labels if labelled else None)
