"""What the verbs print: aligned text for people, plain where nobody watches, and JSON alone on stdout for programs."""

import json
import math
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

LABEL = 11
"""Columns of the label in front of a line, as in ``next     likewise report runs/photos``."""


def console(*, stderr: bool = False) -> "Console":
    """A rich console: colours only at a terminal and without NO_COLOR; lines are not folded into a pipe or a file."""
    from rich.console import Console

    at_terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(stderr=stderr, highlight=False, markup=False, width=None if at_terminal else 1000)


def line(label: str, *lines: str, stderr: bool = False) -> None:
    """A label and one or more lines that stand under each other; at a terminal, long ones are folded."""
    from rich.text import Text

    out = console(stderr=stderr)
    room = out.width - LABEL if out.is_terminal else None
    folded = [part for text in lines for part in (_fold(text, room) if room else [text])]
    for i, text in enumerate(folded):
        head = f"{label if i == 0 else '':<{LABEL - 1}} "
        line = Text.assemble((head, "bold cyan" if label == "next" else "bold"), text)
        out.print(line, soft_wrap=True)


def _fold(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(20, width), break_long_words=False, break_on_hyphens=False) or [""]


def note(text: str) -> None:
    """A line for people on stderr."""
    sys.stderr.write(text + "\n")


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, bold: int | None = None) -> None:
    """Rows under headings, numbers to the right; the last column takes what room is left."""
    from rich.table import Table
    from rich.text import Text

    out = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for i, name in enumerate(columns):
        last = i == len(columns) - 1
        numbers = any(isinstance(row[i], int | float) for row in rows)
        out.add_column(name, justify="right" if numbers else "left", no_wrap=not last, overflow="fold")
    for i, row in enumerate(rows):
        out.add_row(*(Text(show(value)) for value in row), style="bold" if i == bold else None)
    screen = console()
    if screen.is_terminal:
        screen.print(out)
        return
    with screen.capture() as captured:
        screen.print(out)
    sys.stdout.writelines(text.rstrip() + "\n" for text in captured.get().splitlines())


def show(value: object) -> str:
    """A value as people read it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    from likewise.report.page import number

    return number(value)


def emit(value: Any) -> None:
    """``value`` as JSON on stdout. What JSON has no number for (NaN, infinity) becomes null."""
    json.dump(_plain(value), sys.stdout, indent=2, ensure_ascii=False, allow_nan=False)
    sys.stdout.write("\n")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
