"""``likewise runs``: what was trained, read from the run folders themselves."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from likewise.cli import terminal
from likewise.cli.arguments import Json, keep, sort
from likewise.core.errors import InputError
from likewise.core.registry import listings
from likewise.evaluate.catalogue import LEADS
from likewise.train.events import read_events, read_json, read_status


def runs(
    folder: Annotated[Path, typer.Argument(help="Where to look, subfolders included.")] = Path("runs"),
    sort_by: Annotated[
        str | None, typer.Option("--sort", metavar="NAME", help="By a column; -NAME: largest first.")
    ] = None,
    filters: Annotated[
        list[str] | None,
        typer.Option("--filter", metavar="CONDITION", help="method=dcl, 'knn>0.8', ...; can be repeated."),
    ] = None,
    json: Json = False,
) -> None:
    """List runs with their state and metrics. The folders are all there is: copy, move or delete them as you like.

    A run is `running` while its heartbeat goes on, `finished`, `interrupted` (--resume continues it), `failed`, or
    `damaged` when its recipe can't be read.

    Examples:
      likewise runs
      likewise runs --sort -knn
      likewise runs experiments --filter method=dcl --filter 'knn>0.8'
      likewise runs --json
    """
    if not folder.is_dir():
        raise InputError(f"no folder {folder}: give the one that holds your runs, likewise runs DIR")
    found = [describe(recipe.parent) for recipe in sorted(folder.rglob("recipe.json"))]
    chosen = sort(keep(found, filters), sort_by)
    if json:
        terminal.emit(chosen)
        return
    if not chosen:
        terminal.note(
            f"no runs in {folder}" if not found else f"none of the {len(found)} runs in {folder} fits the filter"
        )
        return
    names = [name for name in COLUMNS if any(name in run for run in chosen)]
    terminal.table([*names, "run"], [[_cell(run, name) for name in [*names, "run"]] for run in chosen])
    paused = [run for run in chosen if run["state"] == "interrupted"]
    if paused:
        found_one = listings().get(str(paused[0].get("method")))
        verb = "run" if found_one is not None and found_one.card.kind == "agent" else "train"
        terminal.line("next", f"likewise {verb} --out {paused[0]['run']} --resume")


COLUMNS = ("method", "data", "state", "done", "seed", *LEADS, "knn", "linear", "effective_rank", "uniformity", "age")


def describe(folder: Path) -> dict[str, Any]:
    """One run: what it is, how far it got, and its metrics (those of the last probe while it goes on)."""
    recipe, status = read_json(folder / "recipe.json"), read_status(folder)
    out: dict[str, Any] = {"run": str(folder), "state": status["state"]}
    if recipe is None or "method" not in recipe:
        return {**out, "state": "damaged"}
    data = recipe.get("recipe", {}).get("data", {})
    out |= {
        "method": recipe["method"],
        "data": _data_name(data),
        "size": recipe.get("size"),
        "seed": recipe.get("seed"),
    }
    out |= {name: status[name] for name in ("step", "steps", "message", "time") if status.get(name) not in (None, "")}
    if status.get("steps"):
        out["done"] = f"{100 * int(status.get('step', 0)) // int(status['steps'])}%"
    if "time" in status:
        out["age"] = _age(time.time() - float(status["time"]))
    return {**out, **_metrics(folder)}


def _metrics(folder: Path) -> Mapping[str, Any]:
    final = read_json(folder / "metrics.json")
    probes = [e for e in read_events(folder / "events.jsonl") if e["event"] == "probe"] if final is None else []
    held = final if final is not None else (probes[-1] if probes else {})
    return {k: v for k, v in held.items() if isinstance(v, int | float) and k not in ("step", "epoch", "time")}


def _data_name(data: Mapping[str, Any]) -> str:
    chosen = data.get("settings", {})
    return Path(str(chosen.get("path") or chosen.get("name") or data.get("part", ""))).name


def _age(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return "now"


def _cell(run: Mapping[str, Any], name: str) -> object:
    return "" if run.get(name) is None else run[name]
