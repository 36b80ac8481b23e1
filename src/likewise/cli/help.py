"""Docstrings as the terminal's help."""

import inspect
import re
from collections.abc import Callable


def help_of(verb: Callable[..., object]) -> str:
    """A docstring for the terminal: blocks of examples keep their lines (the parser's sign for that is a backspace)."""
    return re.sub(r"^(Examples|Start here):$", "\b\n\\g<0>", inspect.getdoc(verb) or "", flags=re.MULTILINE)
