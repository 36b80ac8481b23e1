"""Several modalities of the same samples: folders of files with equal names, tables of paths and texts, arrays.

Every modality is a column under its own name: images uint8 ``(n, c, h, h)``, vectors float32 ``(n, f)``, texts
:class:`likewise.core.batch.Tokens`. What parts need to know of them is in ``known``: ``modalities`` (see
:class:`likewise.core.modality.Modality`), and ``center`` and ``spread`` of the vectors' features in the training part.
``shared["answers"]`` may say which values of a modality count as the same, ``(n,)`` numbers by name.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from likewise.core.batch import Tokens, View, rows
from likewise.core.errors import InputError
from likewise.core.modality import Modality
from likewise.core.recipe import part
from likewise.core.tokens import NUM_PIECES, pieces_of
from likewise.data.arrays import load_numpy, to_images
from likewise.data.catalogue import About
from likewise.data.dataset import Dataset, split_by_key
from likewise.data.decode import decode
from likewise.data.images import SUFFIXES
from likewise.data.labels import encode, held_out
from likewise.data.modality_files import of_file, of_folder
from likewise.data.readers import Reader, register_reader
from likewise.data.table import LABELS, SPLITS, frame_columns

KEYS = ("key", "id")


@part("data")
def multimodal(path: str, image_size: int = 32, limit: int | None = None, test_share: float = 0.2) -> Dataset:
    """Samples with several modalities each.

    * a folder with a folder per modality, where the files of a sample have one name: ``photo/eagle.jpg``,
      ``caption/eagle.txt``, ``sensor/eagle.npy``;
    * a ``.csv``, ``.tsv``, ``.parquet`` or ``.jsonl`` file with a column per modality: paths (from the file's folder)
      of pictures, ``.txt`` or ``.npy`` files, or the text, number or list of numbers itself;
    * an ``.npz`` with an array per modality: images, vectors or texts.

    In tables and arrays ``label``, ``split`` (train, test, val) and ``key`` are no modalities. A sample lacks none;
    those whose picture can't be read are left out of all.

    Args:
        path: of it.
        image_size: pixels on a side that pictures from files are brought to.
        limit: use at most this many training samples.
        test_share: share of the samples held out, by a hash of the key, where there is no ``split``.

    Raises:
        InputError: nothing of this kind, a missing cell or file, rows of different length, numbers that are not finite.
    """
    place = os.path.abspath(os.path.expanduser(path))
    if os.path.isdir(place):
        columns, root = of_folder(place, path), place
    else:
        columns, root = of_file(place, path), os.path.dirname(place)
    return from_columns(path, columns, root=root, image_size=image_size, test_share=test_share).limited(limit)


def from_object(data: Any) -> Dataset:
    """A dict of modalities by name, or a data frame -> a data set; see :func:`multimodal`.

    Args:
        data: values are arrays or tensors of images ``(n, h, w[, c])`` or vectors ``(n[, f])``, or lists of texts,
            paths or vectors, all of one length.

    Raises:
        InputError: something else.
    """
    if hasattr(data, "columns") and type(data).__module__.split(".")[0] == "pandas":
        data = frame_columns(data)
    if not isinstance(data, Mapping) or not data:
        raise InputError(
            f"data of type {type(data).__name__} have no modalities: give a path, a data frame, or a dict from each "
            "modality's name to its array or list"
        )
    return from_columns("dict", {str(name): values for name, values in data.items()}, root=os.getcwd())


def from_columns(
    name: str,
    columns: Mapping[str, Any],
    *,
    root: str = "",
    image_size: int = 32,
    test_share: float = 0.2,
    test: Tensor | None = None,
    about: About | None = None,
    answers: Mapping[str, Tensor] | None = None,
) -> Dataset:
    """The data set of a value per sample in every column; see :func:`multimodal`.

    Args:
        name: for messages.
        columns: name -> array, tensor, or list.
        root: folder that paths are relative to.
        image_size: pixels on a side of pictures from files.
        test_share: share held out where there is no column ``split``.
        test: ``(n,)`` bool, instead of it.
        about: origin and licence.
        answers: ``shared["answers"]``.
    """
    special = {k: _taken(columns, names) for k, names in (("label", LABELS), ("split", SPLITS), ("key", KEYS))}
    kept = {c: values for c, values in columns.items() if values is not None and c not in map(_first, special.values())}
    lengths = {column: len(values) for column, values in columns.items()}
    if not kept:
        raise InputError(f"{name!r} has no column that could be a modality")
    if len(set(lengths.values())) > 1:
        raise InputError(
            f"{name!r}: the modalities differ in length: {', '.join(f'{c} {n}' for c, n in lengths.items())}"
        )
    num = next(iter(lengths.values()))
    if num == 0:
        raise InputError(f"{name!r} has no rows")
    read = {column: _read(values, f"{name!r}, {column}", root, image_size) for column, values in kept.items()}
    skipped = [(f"{column} {row}", why) for column, r in read.items() for row, why in r.bad.items()]
    good = torch.tensor([row for row in range(num) if not any(row in r.bad for r in read.values())])
    if not len(good):
        raise InputError(f"{name!r}: no sample can be read: {skipped[0][1]} ({skipped[0][0]})")
    keys = _keys(special["key"], kept, num, name)
    labels, classes = None, None
    if special["label"] is not None:
        labels, classes = encode(_numbers_if_all(special["label"][1]), f"{name!r}, {special['label'][0]}")
    if test is None and special["split"] is not None:
        test = held_out([str(v) for v in special["split"][1]], repr(name))
    test = split_by_key(keys, test_share) if test is None else test
    train = good[~test[good]]
    known, center, spread = [], [], []
    for column, r in read.items():
        known.append(r.modality(column))
        if r.kind == "vector" and isinstance(r.values, Tensor):
            mine = (r.values[train] if len(train) else r.values).double()
            deviation = mine.std(0, correction=0)
            center += mine.mean(0).tolist()
            spread += torch.where(deviation > 1e-8, deviation, 1.0).tolist()
    out = Dataset(
        name,
        {column: rows(r.values, good) if r.bad else r.values for column, r in read.items()},
        [keys[i] for i in good.tolist()],
        test[good],
        None if labels is None else labels[good],
        classes,
        skipped,
        about=about,
        shared={"answers": {role: numbers[good] for role, numbers in (answers or {}).items()}},
        known={"modalities": tuple(map(str, known)), "center": tuple(center), "spread": tuple(spread)},
    )
    sizes = [m.shape[-1] for m in known if m.kind == "image"]
    return out if not sizes else _with(out, image_size=sizes[0])


def _with(dataset: Dataset, **known: Any) -> Dataset:
    dataset.known |= known
    return dataset


@dataclass
class _Column:
    """Values of one column, with what could not be read: row -> reason (its value stands for nothing)."""

    kind: Any
    values: View
    bad: dict[int, str] = field(default_factory=dict)

    def modality(self, name: str) -> Modality:
        if isinstance(self.values, Tokens):
            return Modality(name, "text", (NUM_PIECES,))
        assert isinstance(self.values, Tensor)
        return Modality(name, self.kind, tuple(self.values.shape[1:]))


def _read(values: Any, where: str, root: str, image_size: int) -> _Column:
    if isinstance(values, np.ndarray | Tensor) and not (isinstance(values, np.ndarray) and values.dtype.kind in "OSU"):
        if values.ndim >= 3:
            return _Column("image", to_images(values, where))
        return _Column("vector", _vectors(values, where))
    cells = [v.decode(errors="replace") if isinstance(v, bytes) else v for v in list(values)]
    for row, cell in enumerate(cells):
        # a missing cell of a data frame is None or NaN, the one value that differs from itself
        if cell is None or (isinstance(cell, float) and cell != cell) or (isinstance(cell, str) and not cell.strip()):
            raise InputError(f"{where}: nothing in row {row}; every sample needs every modality")
    texts = [cell.strip() for cell in cells if isinstance(cell, str)]
    if not texts:
        return _Column("vector", _vectors(_stacked(cells, where), where))
    if len(texts) < len(cells):
        row = next(i for i, cell in enumerate(cells) if not isinstance(cell, str))
        raise InputError(f"{where}: text and other values are mixed (row {row} is a {type(cells[row]).__name__})")
    return _of_texts(texts, where, root, image_size)


def _of_texts(texts: list[str], where: str, root: str, image_size: int) -> _Column:
    """Paths of pictures, texts or vectors; numbers; or texts."""
    suffixes = {os.path.splitext(text)[1].lower() for text in texts}
    if suffixes <= SUFFIXES:
        paths = list(dict.fromkeys(texts))
        found = decode(root, paths, image_size, "crop")
        at = {paths[i]: row for row, i in enumerate(found.kept)}
        why = {paths[i]: reason for i, reason in found.skipped.items()}
        picked = torch.tensor([at.get(text, 0) for text in texts])
        bad = {row: why[text] for row, text in enumerate(texts) if text not in at}
        return _Column("image", found.images[picked], bad)
    if suffixes == {".npy"}:
        arrays = [_array(os.path.join(root, text), where) for text in texts]
        return _Column("vector", _vectors(_stacked(arrays, where), where))
    if suffixes == {".txt"}:
        return _Column("text", pieces_of([_text(os.path.join(root, text), where) for text in texts]))
    numbers = _numbers_if_all(texts)
    return _Column("text", pieces_of(texts)) if numbers is texts else _Column("vector", _vectors(numbers, where))


def _numbers_if_all(cells: Any) -> Any:
    """An array of numbers of cells that all are some, else the cells."""
    if not all(isinstance(cell, str) for cell in cells):
        return cells
    for kind in (int, float):
        try:
            return np.array([kind(cell) for cell in cells])
        except (ValueError, OverflowError):
            continue
    return cells


def _stacked(cells: Sequence[Any], where: str) -> np.ndarray:
    try:
        arrays = [np.asarray(cell) for cell in cells]
    except ValueError:
        raise InputError(f"{where}: a value that is neither a number nor a list of numbers") from None
    for row, array in enumerate(arrays):
        if array.shape != arrays[0].shape:
            raise InputError(
                f"{where}: row {row} has shape {array.shape}, row 0 has {arrays[0].shape}: make them equal"
            )
    return np.stack(arrays)


def _vectors(values: Any, where: str) -> Tensor:
    array = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    if array.dtype.kind not in "buif" or array.ndim == 0 or not array[0].size:
        raise InputError(f"{where}: values of type {array.dtype} and shape {array.shape} are no vectors of numbers")
    flat = array.reshape(len(array), -1).astype(np.float32)
    wrong = np.flatnonzero(~np.isfinite(flat).all(1))
    if len(wrong):
        raise InputError(f"{where}: row {wrong[0]} has a value that is no finite number")
    return torch.from_numpy(flat)


def _array(path: str, where: str) -> np.ndarray:
    held = load_numpy(path)
    if not isinstance(held, np.ndarray):
        raise InputError(f"{where}: {path!r} holds several arrays; a vector is a .npy file of one")
    return np.array(held)


def _text(path: str, where: str) -> str:
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{where}: {path!r} can't be read as text in UTF-8: {error}") from error
    if not text.strip():
        raise InputError(f"{where}: {path!r} is empty; every sample needs every modality")
    return text


def _taken(columns: Mapping[str, Any], names: Sequence[str]) -> tuple[str, Any] | None:
    by_name = {str(c).strip().lower(): (c, values) for c, values in columns.items()}
    return next((by_name[name] for name in names if name in by_name), None)


def _first(found: tuple[str, Any] | None) -> str | None:
    return None if found is None else found[0]


def _keys(told: tuple[str, Any] | None, columns: Mapping[str, Any], num: int, name: str) -> list[str]:
    """The column ``key``, else the first one of texts that differ, else numbers."""
    if told is not None:
        keys = [str(v) for v in told[1]]
        if len(set(keys)) < num:
            twice = next(k for i, k in enumerate(keys) if k in keys[:i])
            raise InputError(f"{name!r}: the {told[0]} {twice!r} comes twice")
        return keys
    for values in columns.values():
        texts = isinstance(values, list) and all(isinstance(v, str) and len(v) < 200 for v in values)
        if texts and len(set(values)) == num:
            return list(values)
    return [str(i) for i in range(num)]


register_reader(
    Reader(
        "multimodal",
        "a folder with a folder per modality and files of equal names, a .csv or .jsonl with a column per modality, "
        "or an .npz with an array per modality",
        multimodal,
        from_object,
    )
)
