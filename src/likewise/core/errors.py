"""Errors for people: one line that says what is wrong, where, and what to do."""

import difflib
import importlib
from collections.abc import Iterable
from typing import Any


class InputError(ValueError):
    """Something the user gave can't be used. The command line prints the message and exits with 2."""


class MissingExtraError(InputError, ImportError):
    """An optional package is not installed."""


def near(name: str, options: Iterable[str], *, listed: bool = True) -> str:
    """``"; did you mean 'x' or 'y'?"`` for the closest options; if none is close all, where ``listed``."""
    options = sorted(options)
    close = difflib.get_close_matches(name, options, n=3, cutoff=0.5)
    if close:
        return "; did you mean " + " or ".join(repr(c) for c in close) + "?"
    if not listed:
        return ""
    return "; there are: " + ", ".join(options) if options else "; there are none"


def require(module: str, extra: str, why: str) -> Any:
    """Import an optional ``module``, or say which extra brings it and what it is needed for."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.split(".")[0]
        raise MissingExtraError(
            f"{why} needs the package {package!r}, which is not installed: pip install 'likewise[{extra}]'"
        ) from error
