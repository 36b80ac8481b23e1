"""What the page's charts draw, from events; the drawing itself is ``charts.js``."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.evaluate.catalogue import LEADS
from likewise.report.page import number
from likewise.report.words import SCORES, metric
from likewise.report.words import title as title_of

Event = Mapping[str, Any]
Array = NDArray[Any]
_POINTS = 240
_FRAMES = 100
_NOT_CURVES = {"event", "time", "step", "epoch", "stage", "message", "positive_hist", "negative_hist"}
_TOGETHER = (
    ("knn", "linear"),
    ("effective_rank", "lidar"),
    ("alignment", "apart"),
    *((name, f"plain_{name}") for name in SCORES),
)
"""Numbers on one scale that belong in one chart."""
_FIRST = ("loss", *LEADS, "knn", "linear", "effective_rank", "lidar", "uniformity", "alignment", "apart", "lr")
_LAST = ("samples_per_s", "wait_share", "anisotropy", "std", "tolerance")
"""For those who look closely: folded away on the page."""


def line(name: str, x: Sequence[float], y: Sequence[float | None], *, colour: int = 0, **extra: Any) -> dict[str, Any]:
    """A line of a chart. Long ones are thinned to means of neighbouring points with a band from lowest to highest."""
    values = np.array([math.nan if v is None else v for v in y], dtype=float)
    values[~np.isfinite(values)] = np.nan
    xs = np.array(x, dtype=float)
    out: dict[str, Any] = {"name": name, "colour": colour, **extra}
    if len(values) <= 2 * _POINTS:
        return out | {"x": _short(xs), "y": _short(values)}
    groups = np.array_split(np.arange(len(values)), _POINTS)
    known = [g[np.isfinite(values[g])] for g in groups]
    held = [values[g] if len(g) else np.array([np.nan]) for g in known]
    out |= {"low": _short(np.array([v.min() for v in held])), "high": _short(np.array([v.max() for v in held]))}
    return out | {
        "x": _short(np.array([xs[g].mean() for g in groups])),
        "y": _short(np.array([v.mean() for v in held])),
    }


def _short(values: Array) -> list[float | None]:
    # six digits are more than a screen can show, and a third of the bytes
    return [float(f"{v:.6g}") if math.isfinite(v) else None for v in values]


def chart(title: str, lines: Sequence[Mapping[str, Any]], *, x: str = "epoch", **extra: Any) -> dict[str, Any]:
    """A line chart, with a sentence for those who can't see it."""
    said = []
    for one in lines:
        known = [v for v in one["y"] if v is not None]
        if known:
            said.append(f"{one['name']} from {number(known[0])} to {number(known[-1])}, lowest {number(min(known))}")
    return {"kind": "lines", "title": title, "xlabel": x, "lines": list(lines), "alt": "; ".join(said), **extra}


def horizontal(events: Sequence[Event]) -> tuple[str, dict[int, float]]:
    """Name of the horizontal axis, and where on it each event stands (by position in ``events``).

    Epochs, unless they start anew within the run (stages) or are missing: then steps.
    """
    for key in ("epoch", "step"):
        found = [(i, float(e[key])) for i, e in enumerate(events) if isinstance(e.get(key), int | float)]
        places = [x for _, x in found]
        if found and len(found) == len(events) and places == sorted(places):
            return key, dict(found)
    return "event", {i: float(i) for i in range(len(events))}


def curves(events: Sequence[Event], untrained: Mapping[str, float]) -> list[dict[str, Any]]:
    """A chart for every number that the run logged, the important ones first; the untrained encoder as a line."""
    logged = [e for e in events if e.get("event") in ("step", "probe")]
    axis, places = horizontal(logged)
    series: dict[str, tuple[list[float], list[float]]] = {}
    for i, event in enumerate(logged):
        for name, value in event.items():
            if name not in _NOT_CURVES and isinstance(value, int | float) and not isinstance(value, bool):
                xs, ys = series.setdefault(name, ([], []))
                xs.append(places[i])
                ys.append(float(value))
    order = sorted(series, key=lambda n: (_FIRST.index(n) if n in _FIRST else len(_FIRST), n in _LAST, n))
    out, done = [], set()
    for name in order:
        if name in done:
            continue
        group = next((g for g in _TOGETHER if name in g), (name,))
        names = [n for n in group if n in series]
        done |= set(names)
        lines = [line(title_of(n), *series[n], colour=i) for i, n in enumerate(names)]
        marks = [{"y": untrained[n], "name": "untrained", "colour": i} for i, n in enumerate(names) if n in untrained]
        title = " and ".join([title_of(names[0]), *(metric(n).title for n in names[1:])])
        out.append(chart(title, lines, x=axis, marks=marks, says=metric(name).says, folded=name in _LAST))
    return out


def histograms(events: Sequence[Event]) -> dict[str, Any] | None:
    """Similarities of positive and negative pairs at every probe, and how far apart they are; None without any."""
    probes = [e for e in events if e.get("event") == "probe" and e.get("positive_hist") and e.get("negative_hist")]
    if not probes:
        return None
    axis, places = horizontal(probes)
    frames: list[dict[str, Any]] = []
    for i in np.unique(np.linspace(0, len(probes) - 1, min(len(probes), _FRAMES)).round().astype(int)).tolist():
        event = probes[i]
        sides = {}
        for side in ("positive", "negative"):
            counts = np.nan_to_num(np.array(event[f"{side}_hist"], dtype=float))
            sides[side] = counts / max(counts.sum(), 1e-12)
        frames.append({"x": places[i], **{k: _short(v) for k, v in sides.items()}, "auc": _apart(**sides)})
    trend = []
    for colour, side in enumerate(("positive", "negative")):
        mean, low, high = zip(*(_spread(np.array(f[side])) for f in frames))
        trend.append(line(f"{side} pairs", [f["x"] for f in frames], mean, colour=colour, low=low, high=high))
    said = f"Similarity over training, mean and middle 80% of the pairs, by {axis}"
    return {"kind": "histograms", "xlabel": axis, "frames": frames, "trend": chart(said, trend, x=axis, range=[-1, 1])}


def _apart(positive: Array, negative: Array) -> float:
    """Chance that a positive pair is more alike than a negative one; pairs in one bin count half."""
    below = np.concatenate([[0], np.cumsum(negative)[:-1]])
    return float((positive * (below + negative / 2)).sum())


def _spread(shares: Array) -> tuple[float, float, float]:
    """Mean, and the bounds of the middle 80%, of a histogram over -1 .. 1."""
    middles = (np.arange(len(shares)) + 0.5) / len(shares) * 2 - 1
    cumulated = np.cumsum(shares)
    low, high = (float(middles[min(int(np.searchsorted(cumulated, q)), len(middles) - 1)]) for q in (0.1, 0.9))
    return float((shares * middles).sum()), low, high


def dots(title: str, rows: Iterable[Mapping[str, Any]], **extra: Any) -> dict[str, Any]:
    """A dot a seed, the mean and its interval, a row per method: ``{name, values, mean, low, high}``."""
    held = list(rows)
    said = "; ".join(f"{r['name']}: mean {number(r['mean'])} over {len(r['values'])}" for r in held)
    return {"kind": "dots", "title": title, "rows": held, "alt": said, **extra}
