"""Which path a reduction takes: decided per call, or for everything inside a ``with using(mode)``."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, cast, get_args

from likewise.core.errors import InputError, near

Mode = Literal["auto", "dense", "tiled"]
"""``dense``: plain PyTorch on the whole matrix, the reference. ``tiled``: linear memory, the ring over processes.
``auto``: as the surrounding :func:`using` says, else tiled, which is the faster one at every size."""

_default: ContextVar[Mode] = ContextVar("similarity", default="auto")


def checked_mode(mode: str) -> Mode:
    """``mode`` if there is such a path, else an :class:`InputError` that lists them."""
    if mode not in get_args(Mode):
        raise InputError(f"similarity is {mode!r}, which is no path of the reductions{near(mode, get_args(Mode))}")
    return cast(Mode, mode)


def resolve(mode: str) -> Mode:
    """An explicit mode as it is, ``auto`` as the surrounding ``using`` says."""
    found = checked_mode(mode)
    return _default.get() if found == "auto" else found


@contextmanager
def using(mode: str) -> Iterator[None]:
    """Every reduction inside the block that asks for ``auto`` takes the path ``mode``."""
    token = _default.set(checked_mode(mode))
    try:
        yield
    finally:
        _default.reset(token)
