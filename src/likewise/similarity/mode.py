"""Which path a reduction takes: decided per call, or for everything inside a ``with using(mode)``."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, cast, get_args

from likewise.core.errors import InputError, near

Mode = Literal["auto", "dense", "tiled"]
"""``dense``: plain PyTorch on the whole matrix, the reference. ``tiled``: linear memory, the ring over processes.
``auto``: as the surrounding :func:`using` says, else whichever is quicker: tiles for all but small batches."""

MODES = get_args(Mode)

_default: ContextVar[Mode] = ContextVar("similarity", default="auto")
_tile: ContextVar[int | None] = ContextVar("tile", default=None)


def checked_mode(mode: str) -> Mode:
    """``mode`` if there is such a path, else an :class:`InputError` that lists them."""
    if mode not in MODES:
        raise InputError(f"similarity is {mode!r}, which is no path of the reductions{near(mode, MODES)}")
    return cast(Mode, mode)


def checked_tile(tile: int) -> int:
    """``tile`` if it can be the side of a tile, else an :class:`InputError`."""
    if tile < 1:
        raise InputError(f"tile is {tile}, but the side of a tile must be at least 1 row")
    return tile


def resolve(mode: str) -> Mode:
    """An explicit mode as it is, ``auto`` as the surrounding ``using`` says."""
    found = checked_mode(mode)
    return _default.get() if found == "auto" else found


def forced_tile(tile: int | None) -> int | None:
    """An explicit side of the tiles, else what the surrounding ``using`` says, else None."""
    return _tile.get() if tile is None else checked_tile(tile)


@contextmanager
def using(mode: str, tile: int | None = None) -> Iterator[None]:
    """Every reduction inside the block that asks for ``auto`` takes the path ``mode``, with tiles of ``tile`` rows.

    Raises:
        InputError: no such mode, or a tile without rows.
    """
    modes, tiles = _default.set(checked_mode(mode)), _tile.set(None if tile is None else checked_tile(tile))
    try:
        yield
    finally:
        _default.reset(modes)
        _tile.reset(tiles)
