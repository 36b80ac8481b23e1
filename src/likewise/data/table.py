"""A table of image paths: CSV, TSV, Parquet, or a data frame."""

import csv
import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from likewise.core.errors import InputError, require
from likewise.core.recipe import part
from likewise.data.dataset import Dataset, split_by_key
from likewise.data.decode import decode
from likewise.data.images import Fit
from likewise.data.labels import encode_text, held_out

PATHS = ("path", "image", "file", "filename", "filepath", "file_name", "image_path")
LABELS = ("label", "labels", "class", "category", "target")
SPLITS = ("split", "set", "subset")


@part("data")
def table(
    path: str, image_size: int = 64, fit: Fit = "crop", limit: int | None = None, test_share: float = 0.2
) -> Dataset:
    """The images that a CSV, TSV or Parquet file lists, always RGB, in its order.

    Columns by name: ``path`` (or ``image``, ``file``, ``filename``), relative to the table's folder; ``label`` (or
    ``class``, ``category``, ``target``) if there are labels; ``split`` with ``train``, ``test``, ``val`` if there is
    one. Images that can't be read, and paths listed before, are in ``skipped``.

    Args:
        path: of the table.
        image_size: pixels on a side that every image is brought to.
        fit: cut the middle square out (``"crop"``), add white borders (``"pad"``) or ``"stretch"``.
        limit: use at most this many training samples.
        test_share: share of the images held out, by a hash of the path, where the table has no split.

    Raises:
        InputError: no such table, no column of paths, a missing label, no readable image.
    """
    folder = os.path.dirname(os.path.abspath(os.path.expanduser(path)))
    return from_columns(path, read_columns(path), folder, image_size, fit, test_share).limited(limit)


def read_columns(path: str, delimiter: str | None = None) -> dict[str, list[Any]]:
    """The columns of a CSV, TSV or Parquet file by their names, in its order; cells of text files are text.

    Args:
        path: of the file.
        delimiter: between cells; a tab in ``.tsv`` files, else a comma, if None.

    Raises:
        InputError: no such file, not UTF-8, empty, rows of different length, or a broken Parquet file.
    """
    file = os.path.abspath(os.path.expanduser(path))
    if not os.path.isfile(file):
        raise InputError(f"no file {path!r}")
    suffix = os.path.splitext(file)[1].lower()
    if suffix == ".parquet":
        return _read_parquet(file)
    return dict(_read_text(file, delimiter or ("\t" if suffix == ".tsv" else ",")))


def from_columns(
    name: str, columns: Mapping[str, Sequence[Any]], root: str, image_size: int, fit: Fit, test_share: float
) -> Dataset:
    """The images listed in ``columns``; see :func:`table`.

    Args:
        name: of the table, for messages.
        columns: column name -> values.
        root: folder that the paths are relative to.
        image_size: pixels on a side.
        fit: see :func:`likewise.data.images.read_image`.
        test_share: share held out where there is no split.
    """
    paths = _column(columns, PATHS)
    if paths is None:
        raise InputError(f"{name!r} has no column named path, image, file or filename; it has {', '.join(columns)}")
    if not paths:
        raise InputError(f"{name!r} has a header but no rows")
    labels, splits = _column(columns, LABELS), _column(columns, SPLITS)
    first: dict[str, int] = {}
    skipped = []
    for row, key in enumerate(paths):
        if not key:
            raise InputError(f"{name!r}: no path in row {row}")
        if key in first:
            skipped.append((key, f"listed in row {first[key]} already"))
        first.setdefault(key, row)
    keys = list(first)
    decoded = decode(root, keys, image_size, fit)
    skipped += [(keys[i], reason) for i, reason in decoded.skipped.items()]
    kept = [keys[i] for i in decoded.kept]
    rows = [first[key] for key in kept]
    codes, classes = (None, None) if labels is None else encode_text(labels, repr(name))
    if splits is None:
        test = split_by_key([kept[decoded.copies.get(i, i)] for i in range(len(kept))], test_share)
    else:
        test = held_out(splits, repr(name))[torch.tensor(rows)]
    codes = None if codes is None else codes[torch.tensor(rows)]
    return Dataset(name, {"image": decoded.images}, kept, test, codes, classes, skipped, root=root)


def _column(columns: Mapping[str, Sequence[Any]], names: Sequence[str]) -> list[str] | None:
    by_name = {str(column).strip().lower(): values for column, values in columns.items()}
    values = next((by_name[name] for name in names if name in by_name), None)
    # a missing cell of a data frame is None or NaN, the one value that differs from itself
    return None if values is None else ["" if v is None or v != v else str(v).strip() for v in values]


def _read_text(path: str, delimiter: str) -> dict[str, list[str]]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file, delimiter=delimiter) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path!r} can't be read as a table in UTF-8: {error}") from error
    except OSError as error:
        raise InputError(f"{path!r} can't be read: {error.strerror}") from error
    if not rows:
        raise InputError(f"{path!r} is empty")
    header = rows[0]
    for number, row in enumerate(rows[1:]):
        if len(row) != len(header):
            raise InputError(f"{path!r}: row {number} has {len(row)} cells, the header has {len(header)}")
    return {name: [row[i] for row in rows[1:]] for i, name in enumerate(header)}


def _read_parquet(path: str) -> dict[str, list[Any]]:
    pandas = require("pandas", "tables", "reading Parquet")
    require("pyarrow", "tables", "reading Parquet")
    try:
        frame = pandas.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path!r} is not a whole Parquet file: {' '.join(str(error).split())}") from error
    return frame_columns(frame)


def frame_columns(frame: Any) -> dict[str, list[Any]]:
    """A data frame's columns as lists."""
    return {str(name): frame[name].tolist() for name in frame.columns}
