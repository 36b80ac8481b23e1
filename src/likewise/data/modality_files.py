"""Files of several modalities as columns: a folder per modality, tables, lines of JSON, arrays by name."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from likewise.core.errors import InputError
from likewise.data.arrays import load_numpy, member
from likewise.data.images import SUFFIXES
from likewise.data.table import read_columns

_TABLES = (".csv", ".tsv", ".parquet")


def of_folder(folder: str, said: str) -> dict[str, Any]:
    """Columns of paths, a modality each, of the names that all folders in ``folder`` have; ``said`` is for messages."""
    found: dict[str, dict[str, str]] = {}
    for inner in sorted(Path(folder).iterdir()):
        if inner.is_dir() and not inner.name.startswith("."):
            held = [f for f in sorted(inner.rglob("*")) if f.is_file() and not f.name.startswith(".")]
            found[inner.name] = {str(f.relative_to(inner).with_suffix("")): str(f.relative_to(folder)) for f in held}
    found = {name: files for name, files in found.items() if files}
    if not found:
        raise InputError(f"{said!r} has no folders with files: make one for each modality, like photo and caption")
    names = sorted(set.intersection(*(set(files) for files in found.values())))
    if not names:
        raise InputError(
            f"{said!r}: no name is in all of {', '.join(found)}: files of a sample have the same name in each folder"
        )
    for modality, files in found.items():
        kinds = {_kind(files[name]) for name in names}
        if len(kinds) > 1 or None in kinds:
            odd = next(files[name] for name in names if _kind(files[name]) in (None, *list(kinds)[1:]))
            raise InputError(f"{said!r}: {modality} holds {odd}: pictures, .txt or .npy files are read, one kind each")
    return {"key": names, **{m: [files[name] for name in names] for m, files in found.items()}}


def _kind(path: str) -> str | None:
    suffix = os.path.splitext(path)[1].lower()
    return "image" if suffix in SUFFIXES else suffix if suffix in (".txt", ".npy") else None


def of_file(file: str, said: str) -> dict[str, Any]:
    """Columns of a table, of lines of JSON, or of arrays; ``said`` is for messages."""
    suffix = os.path.splitext(file)[1].lower()
    if suffix in _TABLES:
        return dict(read_columns(file))
    if suffix == ".jsonl":
        return _of_lines(file, said)
    if suffix == ".npz":
        held = load_numpy(file)
        assert isinstance(held, Mapping)
        arrays = {name: member(said, held, (name,)) for name in held}
        return {name: array for name, array in arrays.items() if array is not None and array.ndim > 0}
    raise InputError(
        f"{said!r} is a file of an unknown kind: a folder, .csv, .tsv, .parquet, .jsonl and .npz hold modalities"
    )


def _of_lines(file: str, said: str) -> dict[str, list[Any]]:
    out: dict[str, list[Any]] = {}
    try:
        lines = Path(file).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{said!r} can't be read in UTF-8: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            held = json.loads(line)
        except ValueError as error:
            raise InputError(f"{said!r}, line {number} is no JSON: {error}") from error
        if not isinstance(held, dict) or (out and set(held) != set(out)):
            raise InputError(f"{said!r}, line {number}: every line is an object with the same names")
        for name, value in held.items():
            out.setdefault(name, []).append(value)
    if not out:
        raise InputError(f"{said!r} has no rows")
    return out
