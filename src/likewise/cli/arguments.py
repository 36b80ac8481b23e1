"""What several verbs take, and how the strings that people type are read."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from likewise.core.errors import InputError, near

Data = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|PATH", help="A source of `likewise data`, or your folder, .npy, .npz, .csv or .parquet."
    ),
]
Out = Annotated[Path | None, typer.Option(metavar="DIR", help="Where to write.")]
Role = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Which of several views (text), or of what rows refer to (user, item)."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout; all else goes to stderr.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change a setting of the recipe; can be given several times."),
]
Size = Annotated[str, typer.Option(help="Which of the method's recipes: tiny, small or paper.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, as `train` makes it.")]


def settings(pairs: Sequence[str] | None, **options: Any) -> list[tuple[str, Any]]:
    """``(path, value)`` of every ``path=value``, and of the options that have a value."""
    out: list[tuple[str, Any]] = [(name, value) for name, value in options.items() if value is not None]
    for pair in pairs or ():
        path, sign, value = pair.partition("=")
        if not sign or not path.strip() or not value.strip():
            raise InputError(f"--set {pair}: expected PATH=VALUE, like --set temperature=0.2")
        out.append((path.strip(), value.strip()))
    return out


_COMPARISON = re.compile(r"\s*([\w.]+)\s*(<=|>=|!=|=|<|>)\s*(.*?)\s*")


def keep(rows: Sequence[Mapping[str, Any]], filters: Sequence[str] | None) -> list[Mapping[str, Any]]:
    """The rows for which every filter holds, like ``method=dcl`` or ``knn>0.8``; a row without the name fails."""
    out = list(rows)
    for text in filters or ():
        match = _COMPARISON.fullmatch(text)
        if match is None or not match[3]:
            raise InputError(f"--filter {text}: expected NAME and a value, like method=dcl or 'knn>0.8'")
        name, sign, value = match.groups()
        check_name(rows, name, f"--filter {text}")
        if sign in ("<", ">", "<=", ">=") and _number(value) is None:
            raise InputError(f"--filter {text}: {value!r} is not a number")
        out = [row for row in out if _holds(row.get(name), sign, value)]
    return out


def sort(rows: Sequence[Mapping[str, Any]], by: str | None) -> list[Mapping[str, Any]]:
    """The rows by a column, largest last; with a minus in front, largest first. Rows without it come last."""
    if by is None:
        return list(rows)
    name = by.removeprefix("-")
    check_name(rows, name, f"--sort {by}")
    having = [row for row in rows if row.get(name) is not None]
    numeric = all(isinstance(row[name], int | float) for row in having)
    ordered = sorted(having, key=lambda r: r[name] if numeric else str(r[name]), reverse=by.startswith("-"))
    return [*ordered, *(row for row in rows if row.get(name) is None)]


def check_name(rows: Sequence[Mapping[str, Any]], name: str, where: str) -> None:
    """An error with the nearest names unless some row has the column."""
    known = {key for row in rows for key in row}
    if rows and name not in known:
        raise InputError(f"{where}: no run has {name!r}{near(name, known)}")


def _holds(held: Any, sign: str, value: str) -> bool:
    number = _number(value)
    if isinstance(held, int | float) and number is not None:
        tests = {"<": held < number, ">": held > number, "<=": held <= number, ">=": held >= number}
        return {**tests, "=": held == number, "!=": held != number}[sign]
    return {"=": held is not None and str(held) == value, "!=": str(held) != value}.get(sign, False)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
