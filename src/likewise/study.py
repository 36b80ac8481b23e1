"""Studies: the runs that a study asks for, its finding, and a page of it."""

import datetime
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from likewise.api import Run, prepare
from likewise.core import registry
from likewise.core.errors import InputError, near
from likewise.core.recipe import spec
from likewise.core.study import Finding, Study, Variation
from likewise.report.study import write_study
from likewise.report.words import numbers
from likewise.train.display import make_display
from likewise.train.events import write_json
from likewise.train.worker import train_isolated


@dataclass(frozen=True)
class Studied:
    """A study that was run.

    Attributes:
        finding: its table, and what it says.
        runs: the run folder of each variation.
        record: what ``finding.json`` holds.
        page: where it can be looked at.
    """

    finding: Finding
    runs: Mapping[Path, Variation]
    record: dict[str, Any]
    page: Path


def study(
    name: str,
    data: str | None = None,
    *,
    seeds: int | Sequence[int] = 3,
    settings: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    quiet: bool = False,
) -> Studied:
    """Make the runs of a study and read them; run again, it continues where it stopped.

    Args:
        name: of the study.
        data: a source's name or a path; the recipes' own if None.
        seeds: how many, or which.
        settings: of the study; strings are read as the type that a setting has.
        out: folder for the runs and the page; ``runs/study-NAME`` if None.
        quiet: no progress.

    Raises:
        InputError: an unknown study or setting, or no seed.
    """
    method = registry.load(name)
    if method.card.kind != "study":
        names = [slug for slug, found in registry.listings().items() if found.card.kind == "study"]
        raise InputError(f"{name} is a {method.card.kind}, not a study{near(name, names)}")
    chosen = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if not chosen:
        raise InputError("a study needs at least one seed")
    held: Study = spec(method.cls, **(settings or {})).build()
    folder = Path(out) if out is not None else Path("runs") / f"study-{name}"
    asked = list(held.variations(chosen))
    # every setting of every run is checked before the first one starts
    plans = [prepare(v.method, data, size=v.size, seed=v.seed, settings=list(v.settings.items())) for v in asked]
    display, runs, results = make_display(quiet), {}, []
    for number, (variation, plan) in enumerate(zip(asked, plans), 1):
        path = folder / _folder(variation)
        display.note(f"run {number}/{len(asked)}  {path.name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        train_isolated(plan, path, quiet=quiet)
        runs[path] = variation
        results.append((variation, numbers(Run(path).metrics)))
    finding = held.read(results)
    given = settings or {}
    record = {
        "study": name,
        "data": plans[0].dataset.name,
        "seeds": chosen,
        "settings": {key: value if isinstance(value, int | float) else str(value) for key, value in given.items()},
        "reading": finding.reading,
        "rows": [dict(row) for row in finding.rows],
        "x": finding.x,
        "y": list(finding.y),
        "series": finding.series,
        "notes": dict(finding.notes),
        "runs": [str(path.relative_to(folder)) for path in runs],
        "date": datetime.date.today().isoformat(),
        "command": _command(name, data, chosen, given, folder),
    }
    write_json(folder / "finding.json", record)
    page = write_study(folder / "study.html", method.card, finding, record)
    return Studied(finding, runs, record, page)


def _folder(variation: Variation) -> str:
    """``simctg-margin-0.5-seed0``: the run's method, settings and seed."""
    words = [variation.method, variation.size, *(f"{k}-{v}" for k, v in sorted(variation.settings.items()))]
    return re.sub(r"[^\w.-]+", "-", "-".join(words)) + f"-seed{variation.seed}"


def _command(name: str, data: str | None, seeds: Sequence[int], settings: Mapping[str, Any], out: Path) -> str:
    words = ["likewise", "study", name, *([] if data is None else ["--data", data]), "--seeds", str(len(seeds))]
    for key, value in settings.items():
        words += ["--set", f"{key}={value}"]
    return shlex.join([*words, "--out", str(out)])
