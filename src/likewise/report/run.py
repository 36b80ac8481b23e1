"""The page of one run."""

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from likewise.core.card import Card
from likewise.core.errors import InputError
from likewise.evaluate.catalogue import LEADS, METRICS
from likewise.report import charts, page, settings, words
from likewise.report.equation import equation
from likewise.report.pictures import Sheet, picture, sheet
from likewise.report.samples import Samples, Shown, prepare
from likewise.train.events import read_events, read_json, read_status

_QUERIES = 8
_CLASSES = 24
"""Largest confusion table; with more classes the most frequent confusions are listed."""


@dataclass(frozen=True)
class RunPage:
    """What the page is made of; :func:`read_run` fills it from a run folder.

    Attributes:
        name: of the run.
        made: ``recipe.json``.
        environment: ``environment.json``.
        status: ``status.json``.
        events: ``events.jsonl``.
        metrics: ``metrics.json``; empty while there is none.
        card: of the method, if it is known.
        samples: what the map and the neighbours show; without, the page has neither.
        default: the method's recipe of that size as JSON, to mark what was changed.
        skipped: how many files could not be read.
        path: of the folder.
        pictures: ``pictures.png`` as a data URI, or "".
        texts: of ``texts.json``: a prompt, a decoder and its text each.
    """

    name: str
    made: Mapping[str, Any]
    environment: Mapping[str, Any] = field(default_factory=dict)
    status: Mapping[str, Any] = field(default_factory=dict)
    events: Sequence[Mapping[str, Any]] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    card: Card | None = None
    samples: Samples | None = None
    default: Mapping[str, Any] | None = None
    skipped: int = 0
    path: str = ""
    pictures: str = ""
    texts: Sequence[Mapping[str, str]] = ()

    @property
    def method(self) -> str:
        """The method's name for people."""
        return self.card.name if self.card else str(self.made.get("method", "a method"))

    @property
    def epochs(self) -> float | None:
        """Passes over the data so far, as logged; None without events."""
        found = [e["epoch"] for e in self.events if isinstance(e.get("epoch"), int | float)]
        return max(found) if found else None

    @property
    def data(self) -> str:
        """What it was trained on, in a word."""
        return PurePath(settings.data_name(self.made["recipe"])).name


def read_run(
    folder: Path, *, card: Card | None = None, samples: Samples | None = None, default: Mapping[str, Any] | None = None
) -> RunPage:
    """Everything that a run folder says. Only its recipe has to be there: a run that has just failed has a page, too.

    Raises:
        InputError: the folder holds no run, or its recipe is damaged.
    """
    if not (folder / "recipe.json").is_file():
        raise InputError(f"{folder} is not a run folder: it has no recipe.json (likewise runs lists runs)")
    made = read_json(folder / "recipe.json")
    if made is None or not isinstance(made.get("recipe"), dict):
        raise InputError(f"{folder / 'recipe.json'} is damaged: it is not the JSON of a recipe")
    skipped, shown = folder / "skipped.txt", folder / "pictures.png"
    return RunPage(
        name=folder.resolve().name,
        made=made,
        environment=read_json(folder / "environment.json") or {},
        status=read_status(folder),
        events=read_events(folder / "events.jsonl"),
        metrics=read_json(folder / "metrics.json") or {},
        card=card,
        samples=samples,
        default=default,
        skipped=len(skipped.read_text(encoding="utf-8", errors="replace").splitlines()) if skipped.is_file() else 0,
        path=str(folder),
        pictures=page.data_uri(shown.read_bytes(), "image/png") if shown.is_file() else "",
        texts=(read_json(folder / "texts.json") or {}).get("texts", ()),
    )


def write_run_report(
    folder: Path,
    *,
    card: Card | None = None,
    samples: Samples | None = None,
    default: Mapping[str, Any] | None = None,
    out: Path | None = None,
) -> Path:
    """Write the page of the run in ``folder``, to ``report.html`` in it unless ``out`` says otherwise."""
    made = read_run(folder, card=card, samples=samples, default=default)
    return page.write(out or folder / "report.html", render_run(made))


def render_run(run: RunPage) -> str:
    """The page as text."""
    seed = int(run.made.get("seed", 0))
    shown = prepare(run.samples, seed=seed) if run.samples is not None and len(run.samples.features) else None
    before = words.numbers(run.metrics.get("untrained") or {})
    dim = shown.dim if shown else _whole(run.metrics.get("dim"))
    groups = settings.groups(run.made["recipe"], run.default)
    changed = [s for _, held in groups for s in held if s.changed]
    drawn = charts.curves(run.events, before)
    pairs = charts.histograms(run.events)
    tiles = sheet(shown.pictures, _first(shown), seed) if shown and shown.pictures is not None else None
    data = {"charts": drawn, "pairs": pairs, "map": _map(shown, tiles) if shown else None}
    examples = _examples(shown, seed) if shown else []
    classes = _classes(shown) if shown else None
    has: dict[str, Any] = {
        "training": drawn,
        "similarities": pairs,
        "pictures": run.pictures,
        "texts": run.texts,
        "map": shown,
        "neighbours": examples,
        "classes": classes,
    }
    has |= {"metrics": run.metrics, "method": run.card, "recipe": True, "again": True}
    return page.render(
        "run.html",
        scripts=("charts.js", "map.js"),
        data=data,
        sections=[name for name, there in has.items() if there],
        title=f"{run.method} on {run.data}" if run.data else run.method,
        run=run,
        facts=_facts(run),
        banner=_banner(run.status),
        verdict=words.verdict(run.metrics, dim),
        tiles=_tiles(run, before, dim),
        metrics=_metric_table(run.metrics, before, dim),
        drawn=drawn,
        pairs=pairs,
        shown=shown,
        sheet=tiles,
        examples=examples,
        classes=classes,
        groups=groups,
        changed=changed,
        command_line=settings.command(run.made, run.environment, changed),
        next=_next(run),
        surroundings=list(_surroundings(run.environment)),
        equation=equation(run.card.equation) if run.card else "",
    )


def _facts(run: RunPage) -> list[str]:
    made = run.made
    out = [str(made.get("method", "")), f"size {made.get('size', page.DASH)}", f"seed {made.get('seed', page.DASH)}"]
    if run.epochs is not None:
        out.append(f"{page.number(run.epochs)} epochs")
    if run.status.get("steps"):
        out.append(f"{page.number(run.status['steps'])} steps")
    if isinstance(run.metrics.get("seconds"), int | float):
        out.append(page.duration(run.metrics["seconds"]))
    return out


def _whole(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _banner(status: Mapping[str, Any]) -> dict[str, str] | None:
    """What to say on top when the run did not end well; None when it did."""
    state, message = str(status.get("state", "unknown")), str(status.get("message", ""))
    where = ""
    if status.get("steps"):
        where = f" at step {page.number(status.get('step', 0))} of {page.number(status['steps'])}"
    heads = {
        "running": ("warn", f"Still running{where}: the page shows what there is so far."),
        "interrupted": ("warn", f"Interrupted{where}: add --resume to the command below to go on."),
        "failed": ("bad", f"Failed{where}."),
    }
    if state not in heads:
        return None
    tone, head = heads[state]
    return {"tone": tone, "head": head, "message": message}


def _next(run: RunPage) -> list[tuple[str, str]]:
    folder, method = shlex.quote(run.path), str(run.made.get("method", "METHOD"))
    other = "dcl" if method == "simclr" else "simclr"
    if run.card is not None and run.card.kind == "agent":
        return [
            (f"likewise run {method} --data world.npz", "in a world of yours"),
            (f"likewise show {method}", "its equation, settings and evidence"),
        ]
    return [
        (f"likewise search {folder} FILE --index FOLDER", "find what is alike in a folder of yours"),
        (f"likewise embed {folder} FOLDER --out features.npz", "features, keys and labels for other programs"),
        (f"likewise compare {method} {other} --seeds 3", "the method against another one, over seeds"),
        (f"likewise show {method}", "its equation, settings and evidence"),
    ]


def _surroundings(environment: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in environment.items():
        if name == "command" or value in (None, "", [], {}):
            continue
        if isinstance(value, Mapping):
            yield name, ", ".join(f"{k} {v}" for k, v in value.items())
        else:
            yield name, ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _tiles(run: RunPage, before: Mapping[str, float], dim: int | None) -> list[dict[str, Any]]:
    """The few numbers on top: what it reached, against the untrained encoder, and what it cost."""
    values = words.numbers(run.metrics)
    out = []
    for name in (*LEADS, "knn", "linear", "r2", "map", "effective_rank", "uniformity", "alignment"):
        if name not in values:
            continue
        value, held = values[name], before.get(name)
        better = words.gain(name, value, held) if held is not None else None
        said = words.read_one(run.metrics, name, dim)
        tile = {"title": words.title(name), "value": value, "unit": f"of {dim}" if name == "effective_rank" else ""}
        tile["delta"] = page.signed(value - held) if held is not None else ""
        out.append({**tile, "worse": better is not None and better < 0, "level": said.level if said else ""})
    return [{"delta": "", "worse": False, "level": "", **tile} for tile in out]


def _metric_table(metrics: Mapping[str, Any], before: Mapping[str, float], dim: int | None) -> list[dict[str, Any]]:
    values, out = words.numbers(metrics), []
    for name, value in values.items():
        if name.removesuffix("_std") in values and name.endswith("_std"):
            continue  # stands beside its mean
        row = {"name": name, "title": words.title(name), "metric": words.metric(name), "value": value}
        row |= {"sd": values.get(f"{name}_std"), "before": before.get(name)}
        out.append({**row, "says": words.read_one(metrics, name, dim)})
    return sorted(out, key=lambda row: _rank(str(row["name"])))


def _rank(name: str) -> int:
    """Place in the catalogue, which has the metrics to look at first first."""
    names = list(METRICS)
    return names.index(name) if name in names else len(names)


def _first(shown: Shown) -> Any:
    """Rows whose thumbnails the map can't do without: some of every class."""
    if shown.labels is None:
        return None
    return np.concatenate([np.flatnonzero(shown.labels == c)[:4] for c in np.unique(shown.labels)])


def _map(shown: Shown, tiles: Sheet | None) -> dict[str, Any]:
    """What ``map.js`` reads: whole numbers where they do, for a small page."""
    out: dict[str, Any] = {
        "keys": shown.keys,
        "places": [{"name": shown.map.method, "says": shown.map.says, "at": _places(shown.map.points.numpy())}],
        "near": shown.near,
        "similarity": (shown.similarity * 1000).round().astype(int),
    }
    if shown.plane.says != shown.map.says:
        points = shown.plane.points.numpy()
        out["places"].append({"name": "pca", "says": shown.plane.says, "at": _places(points)})
    if shown.labels is not None:
        out |= {"labels": shown.labels, "classes": shown.classes, "voted": shown.voted}
        out["agreement"] = [round(float(a), 3) if np.isfinite(a) else None for a in shown.agreement]  # type: ignore[union-attr]
    if shown.targets is not None:
        out["targets"] = [float(f"{t:.5g}") for t in shown.targets]
    if tiles is not None:
        out["sheet"] = {"columns": tiles.columns, "lines": tiles.lines, "side": tiles.side, "step": tiles.step}
        out["tiles"] = tiles.tiles
    return out


def _places(points: Any) -> Any:
    """``(2 n)`` whole numbers: both axes in one scale, 0 to 10000, so that shapes keep their proportions."""
    low, high = points.min(0), points.max(0)
    middle, width = (low + high) / 2, max(float((high - low).max()), 1e-12)
    return (((points - middle) / width + 0.5) * 10000).round().astype(int).flatten()


def _examples(shown: Shown, seed: int) -> list[dict[str, Any]]:
    """Groups of queries with their neighbours: some drawn at random, and those with neighbours of other classes."""
    if shown.near.shape[1] == 0:
        return []
    order = np.random.default_rng(seed).permutation(len(shown))
    if shown.labels is None or shown.agreement is None:
        return [{"title": "Drawn at random", "queries": [_query(shown, int(i)) for i in order[: 2 * _QUERIES]]}]
    # one of each class first, as long as there is room
    firsts = order[np.sort(np.unique(shown.labels[order], return_index=True)[1])]
    drawn = list(dict.fromkeys([*firsts[:_QUERIES].tolist(), *order[:_QUERIES].tolist()]))[:_QUERIES]
    each = ", every class at least once" if 1 < len(firsts) <= _QUERIES else ""
    out = [("Drawn at random" + each, drawn)]
    agreement = np.nan_to_num(shown.agreement, nan=1.0)
    worst = [int(i) for i in order[np.argsort(agreement[order], kind="stable")] if agreement[i] < 0.5][:_QUERIES]
    if worst:
        out.append(("Where it fails: most neighbours have another class", worst))
    return [{"title": title, "queries": [_query(shown, i) for i in rows]} for title, rows in out]


def _query(shown: Shown, row: int) -> dict[str, Any]:
    def item(i: int) -> dict[str, Any]:
        uri = picture(shown.pictures[i]) if shown.pictures is not None else ""
        return {"key": shown.keys[i], "label": shown.label(i), "picture": uri}

    pairs = zip(shown.near[row].tolist(), shown.similarity[row].tolist())
    near = [{**item(i), "similarity": s, "wrong": shown.differ(row, i)} for i, s in pairs]
    return {**item(row), "near": near, "wrong": sum(n["wrong"] for n in near)}


def _classes(shown: Shown) -> dict[str, Any] | None:
    """Per-class accuracy and who is taken for whom; None without two classes."""
    if shown.labels is None or shown.voted is None:
        return None
    known = (shown.labels >= 0) & (shown.voted >= 0)
    present = np.unique(np.concatenate([shown.labels[known], shown.voted[known]]))
    if len(present) < 2:
        return None
    names = {int(c): shown.classes[c] if c < len(shown.classes) else str(c) for c in present}
    table = np.zeros((len(present), len(present)), int)
    np.add.at(table, (np.searchsorted(present, shown.labels[known]), np.searchsorted(present, shown.voted[known])), 1)
    counts = table.sum(1)
    rows = []
    for i, c in enumerate(present.tolist()):
        right = float(table[i, i] / counts[i]) if counts[i] else None
        others = sorted(((int(n), j) for j, n in enumerate(table[i]) if j != i and n), reverse=True)
        taken = [{"name": names[int(present[j])], "count": n} for n, j in others[:3]]
        rows.append(
            {"name": names[c], "count": int(counts[i]), "right": right, "taken": taken, "cells": table[i].tolist()}
        )
    order = sorted((r for r in rows if r["count"]), key=lambda r: (r["right"], r["name"]))
    accuracy = float(np.trace(table) / max(1, table.sum()))
    full = len(present) <= _CLASSES
    return {"rows": rows, "order": order, "accuracy": accuracy, "names": list(names.values()), "full": full}
