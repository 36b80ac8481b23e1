"""A saved recipe as a table, and as the command that makes the run again."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

IN_MEMORY = "in-memory"
"""The data part that stands for arrays handed over in Python."""
_GROUPS = ("learner", "data", "views", "optimizer", "schedule")


@dataclass(frozen=True)
class Setting:
    """A line of the table.

    Attributes:
        path: as ``--set`` takes it.
        value: in words.
        default: the recipe's own value where this run changed it, else "".
    """

    path: str
    value: str
    default: str = ""

    @property
    def changed(self) -> bool:
        """Whether it differs from the default that it was compared with."""
        return bool(self.default)


def flatten(recipe: Mapping[str, Any]) -> dict[str, str]:
    """``{path: value}`` of a recipe as ``Recipe.to_json`` writes it; a part's name stands at its own path."""
    return dict(_walk("", recipe))


def _walk(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and "part" in value:
        yield path, str(value["part"])
        value = value.get("settings", {})
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _walk(f"{path}.{name}" if path else str(name), inner)
    elif isinstance(value, list | tuple) and any(isinstance(v, Mapping) for v in value):
        for i, inner in enumerate(value):
            yield from _walk(f"{path}.{i}", inner)
    elif isinstance(value, list | tuple):
        yield path, ",".join(map(_say, value)) or "none"
    else:
        yield path, _say(value)


def _say(value: Any) -> str:
    words = {None: "none", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return words[value]
    return str(int(value)) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else str(value)


def groups(recipe: Mapping[str, Any], default: Mapping[str, Any] | None = None) -> list[tuple[str, list[Setting]]]:
    """``(heading, settings)``: the run's own numbers first, then part by part.

    Args:
        recipe: what ran.
        default: the method's recipe of the same size; what differs from it is marked. None: nothing is.
    """
    values, usual = flatten(recipe), flatten(default or {})
    out: dict[str, list[Setting]] = {"training": []}
    for path, value in values.items():
        head = path.split(".")[0]
        before = usual.get(path, "") if default is not None else ""
        # a default that the run filled from the data ("FROM_DATA") is not written out, so it can't differ
        setting = Setting(path, value, before if before != value else "")
        out.setdefault(head if head in _GROUPS else "training", []).append(setting)
    return [(name, held) for name, held in out.items() if held]


def data_name(recipe: Mapping[str, Any]) -> str:
    """What ``--data`` was: a source's name or a path; of data handed over in Python, what it is called."""
    held = recipe.get("data")
    if not isinstance(held, Mapping):
        return ""
    given = held.get("settings", {})
    return str(
        given.get("path") or (given.get("name") if held.get("part") == IN_MEMORY else "") or held.get("part", "")
    )


def command(made: Mapping[str, Any], environment: Mapping[str, Any], changed: Sequence[Setting] = ()) -> str:
    """What makes the run again: the command that was typed, or one from the recipe; Python for data from Python."""
    typed = environment.get("command")
    if isinstance(typed, list) and len(typed) > 1 and PurePath(str(typed[0])).name in ("likewise", "likewise.exe"):
        return shlex.join(["likewise", *map(str, typed[1:])])
    method = str(made.get("source") or made.get("method", "METHOD"))
    size, seed = str(made.get("size", "small")), made.get("seed", 0)
    pairs = [(s.path, s.value) for s in changed if s.path not in ("data", "data.path", "data.name")]
    if made["recipe"].get("data", {}).get("part") == IN_MEMORY:
        settings = f", settings={pairs!r}" if pairs else ""
        return f"likewise.fit(data, method={method!r}, size={size!r}, seed={seed}{settings})"
    words = ["likewise", "train", method, "--data", data_name(made["recipe"]), "--size", size, "--seed", str(seed)]
    for path, value in pairs:
        words += ["--set", f"{path}={value}"]
    return shlex.join(words)
