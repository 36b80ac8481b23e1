"""Many picture files -> one uint8 tensor, decoded once and kept in the user's cache."""

import hashlib
import json
import logging
import os
import time
import warnings
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from likewise.core.errors import InputError
from likewise.data.catalogue import cache_dir
from likewise.data.images import Fit, UnreadableImageError, read_image
from likewise.data.progress import Bar

_log = logging.getLogger("likewise.data")

_FORMAT = 1
"""Raise it when :func:`read_image` gives other pixels for the same file."""
_WORTH_KEEPING = 4 << 20
"""Bytes of picture files from which on they are decoded into the cache."""
_MAP_FROM = 512 << 20
"""Bytes of decoded pictures from which on they are mapped from the cache, not read into memory."""
_CHUNK = 256


@dataclass
class Decoded:
    """Pictures in the order of the files, without those that could not be read.

    Attributes:
        images: ``(n, 3, size, size)`` uint8.
        kept: positions of the ``n`` readable files among those asked for.
        skipped: position -> reason of the others.
        copies: row -> the first row with the same pixels, of every row that is not the first.
    """

    images: Tensor
    kept: list[int]
    skipped: dict[int, str]
    copies: dict[int, int]


def decode(root: str, keys: Sequence[str], size: int, fit: Fit) -> Decoded:
    """Decode the files ``root/key``, or take them from the cache if none has changed since.

    Args:
        root: folder that the keys are relative to.
        keys: paths of the files.
        size: pixels on a side.
        fit: see :func:`likewise.data.images.read_image`.

    Raises:
        InputError: not one file is readable.
    """
    if size < 1:
        raise InputError(f"image_size={size}: give at least 1 pixel")
    paths = [os.path.join(root, key) for key in keys]
    stats = [_stat(path) for path in paths]
    out = None
    if sum(length for length, _ in stats) >= _WORTH_KEEPING:
        out = _through_cache(_names(root, keys, stats, size, fit), paths, size, fit)
    if out is None:
        found = _Found()
        chunks = list(_decoded(paths, size, fit, found))
        out = _result(np.concatenate(chunks) if chunks else np.zeros((0, 3, size, size), np.uint8), found, len(keys))
    if keys and not out.kept:
        first = f"{keys[0]}: {out.skipped[0]}"
        raise InputError(f"none of the {len(keys)} pictures in {root!r} can be read; {first}")
    return out


@dataclass
class _Found:
    """What decoding finds beside the pixels."""

    skipped: dict[int, str] = field(default_factory=dict)
    copies: dict[int, int] = field(default_factory=dict)


def _result(images: np.ndarray, found: _Found, asked: int) -> Decoded:
    kept = [i for i in range(asked) if i not in found.skipped]
    return Decoded(torch.from_numpy(images), kept, found.skipped, found.copies)


def _stat(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return (0, 0)
    return (found.st_size, found.st_mtime_ns)


def _names(root: str, keys: Sequence[str], stats: Sequence[tuple[int, int]], size: int, fit: str) -> tuple[Path, str]:
    """The folder of the cache and the file's name there: what is asked for, then the state of the files."""
    asked = hashlib.sha256(json.dumps([_FORMAT, os.path.abspath(root), size, fit]).encode()).hexdigest()[:16]
    state = hashlib.sha256()
    for key, (length, changed) in zip(keys, stats):
        state.update(f"{key}\0{length}\0{changed}\n".encode("utf-8", "surrogateescape"))
    return cache_dir() / "decoded", f"{asked}-{state.hexdigest()[:24]}"


def _through_cache(names: tuple[Path, str], paths: Sequence[str], size: int, fit: Fit) -> Decoded | None:
    """From the cache, filled if need be; None if the cache can't be written."""
    folder, name = names
    held = _read(folder / name, len(paths), size)
    if held is not None:
        return held
    temporary = folder / f".{name}-{os.getpid()}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = _write(temporary, paths, size, fit)
        with open(temporary.with_suffix(".json"), "w", encoding="utf-8") as file:
            json.dump({**asdict(found), "checksum": _checksum(temporary)}, file)
        _clean(folder, name)
        os.replace(temporary, folder / f"{name}.npy")
        os.replace(temporary.with_suffix(".json"), folder / f"{name}.json")
    except OSError as error:
        _log.warning("the cache %s can't be written (%s): decoding into memory", folder, error.strerror or error)
        return None
    finally:
        for left in (temporary, temporary.with_suffix(".json")):
            with suppress(OSError):
                left.unlink(missing_ok=True)
    return _read(folder / name, len(paths), size)


def _clean(folder: Path, name: str) -> None:
    """Remove what was decoded before the pictures changed, and what a killed process has left."""
    for old in folder.glob(name.split("-")[0] + "-*"):
        if not old.name.startswith(name):
            old.unlink(missing_ok=True)
    for left in folder.glob(".*.part"):
        if time.time() - left.stat().st_mtime > 24 * 3600:
            left.unlink(missing_ok=True)


def _write(path: Path, paths: Sequence[str], size: int, fit: Fit) -> _Found:
    # written, not mapped: a full disk is then an error that can be caught, not a signal that kills
    found = _Found()
    with open(path, "wb") as file:
        _header(file, len(paths), size)
        start = file.tell()
        for chunk in _decoded(paths, size, fit, found):
            file.write(chunk.data)
        file.seek(0)
        _header(file, len(paths) - len(found.skipped), size)
        if file.tell() != start:
            raise OSError("the header of the array has changed its length")
    return found


def _header(file: object, rows: int, size: int) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": (rows, 3, size, size)}
    np.lib.format.write_array_header_1_0(file, header)  # type: ignore[arg-type]


def _read(path: Path, asked: int, size: int) -> Decoded | None:
    array, facts = path.with_suffix(".npy"), path.with_suffix(".json")
    try:
        held = json.loads(facts.read_text(encoding="utf-8"))
        if _checksum(array) != held["checksum"]:
            raise ValueError("checksum")
        found = _Found({int(i): str(reason) for i, reason in held["skipped"].items()})
        found.copies = {int(i): int(first) for i, first in held["copies"].items()}
        large = array.stat().st_size >= _MAP_FROM
        # copy-on-write: torch wants memory that it could write to, and the file stays as it is
        images = np.load(array, mmap_mode="c" if large else None, allow_pickle=False)
        if images.shape != (asked - len(found.skipped), 3, size, size) or images.dtype != np.uint8:
            raise ValueError("shape")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        _log.warning("%s is damaged: decoding the pictures again", array)
        return None
    return _result(images, found, asked)


def _checksum(path: Path) -> str:
    """Length and CRC-32 of a file, of evenly spaced blocks (64 MB in all) if it is larger."""
    block, blocks = 1 << 16, 1024
    length = path.stat().st_size
    crc = 0
    with open(path, "rb") as file:
        if length <= block * blocks:
            while data := file.read(1 << 20):
                crc = zlib.crc32(data, crc)
        else:
            for i in range(blocks):
                file.seek((length - block) * i // (blocks - 1))
                crc = zlib.crc32(file.read(block), crc)
    return f"{length}-{crc:08x}"


def _decoded(paths: Sequence[str], size: int, fit: Fit, found: _Found) -> Iterator[np.ndarray]:
    """``(k, 3, size, size)`` arrays of the readable files in order; what else there is to say goes into ``found``."""

    def read(path: str) -> np.ndarray | str:
        try:
            return read_image(path, size, fit)
        except UnreadableImageError as error:
            return str(error)

    first: dict[bytes, int] = {}
    row = 0
    # Pillow warns of odd metadata in readable pictures; what it can't read is listed as skipped
    with warnings.catch_warnings(), Bar(len(paths), "reading pictures") as bar, ThreadPoolExecutor(_workers()) as pool:
        warnings.simplefilter("ignore")
        for start in range(0, len(paths), _CHUNK):
            images = []
            for i, result in enumerate(pool.map(read, paths[start : start + _CHUNK]), start):
                bar.advance(1)
                if isinstance(result, str):
                    found.skipped[i] = result
                    continue
                images.append(result)
                same = first.setdefault(hashlib.blake2b(result.data, digest_size=16).digest(), row)
                if same != row:
                    found.copies[row] = same
                row += 1
            if images:
                yield np.stack(images)


def _workers() -> int:
    if hasattr(os, "sched_getaffinity"):
        return min(16, len(os.sched_getaffinity(0)))
    return min(16, os.cpu_count() or 1)
