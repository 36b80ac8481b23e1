"""The page that compares methods over seeds."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from os.path import relpath
from pathlib import Path
from typing import Any

from likewise.evaluate.catalogue import LEADS, METRICS
from likewise.evaluate.compare import Difference, Standing, Summary, holm, paired, rank, summary
from likewise.report import charts, page, words
from likewise.train.events import read_events, read_json, read_status

_LEAD = (*LEADS, "knn", "linear_200", "linear", "r2", "map", "effective_rank", "uniformity")
_SHOWN = (
    *LEADS,
    "knn",
    "linear_200",
    "linear",
    "few_shot_5",
    "r2",
    "map",
    "nmi",
    "effective_rank",
    "uniformity",
    "alignment",
)
"""Metrics with a plot, as far as the runs have them; the rest is in each run's page."""
_TABLE = (*LEADS, "knn", "linear", "linear_200", "r2", "effective_rank", "uniformity")
"""Of those, the columns of the table."""
_CURVES = (*LEADS, "knn", "linear", "effective_rank", "uniformity", "loss", "samples_per_s")


@dataclass(frozen=True)
class Entry:
    """One run of the comparison.

    Attributes:
        method: slug.
        seed: runs of one seed belong together in the paired tests.
        metrics: of ``metrics.json``; empty when the run did not finish.
        events: of ``events.jsonl``.
        report: path of the run's page from the comparison's, or "".
        state: ``"finished"``, ``"failed"``, ...
        message: why it did not finish.
        seconds_per_epoch: of training alone, without probes and evaluation, or None.
    """

    method: str
    seed: int
    metrics: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]] = ()
    report: str = ""
    state: str = "finished"
    message: str = ""
    seconds_per_epoch: float | None = None


def read_entry(folder: Path, page_folder: Path) -> Entry:
    """A run folder as an entry; its page is linked from ``page_folder``, where the comparison's is."""
    made, status = read_json(folder / "recipe.json") or {}, read_status(folder)
    events, facts = read_events(folder / "events.jsonl"), made.get("facts", {})
    rates = [e["samples_per_s"] for e in events if e.get("samples_per_s")]
    rows = facts.get("steps_per_epoch", 0) * facts.get("batch", 0)
    own_page = folder / "report.html"
    return Entry(
        method=str(made.get("method", folder.name)),
        seed=int(made.get("seed", 0)),
        metrics=read_json(folder / "metrics.json") or {},
        events=events,
        report=relpath(own_page, page_folder) if own_page.is_file() else "",
        state=str(status.get("state", "unknown")),
        message=str(status.get("message", "")),
        seconds_per_epoch=rows / statistics.median(rates) if rows and rates else None,
    )


@dataclass(frozen=True)
class Row:
    """A method's line in the table: each metric's mean and spread, its place, its cost."""

    method: str
    name: str
    metrics: Mapping[str, Summary]
    standing: Standing | None
    seconds_per_epoch: float | None
    peak_memory_mb: float | None


@dataclass(frozen=True)
class ComparisonPage:
    """What the page is made of.

    Attributes:
        entries: every run, in any order; those without metrics are listed, not compared.
        data: what all were trained on.
        metric: that ranks the methods; None: the first of kNN, linear, ... that all have.
        baseline: method that every other is also compared with, or None.
        names: slug -> name for people.
        settings: what was set in all recipes alike.
        command: that makes the comparison again.
        title: of the page.
    """

    entries: Sequence[Entry]
    data: str = ""
    metric: str | None = None
    baseline: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
    title: str = "Comparison"

    @cached_property
    def methods(self) -> list[str]:
        """Slugs in the order of the entries."""
        return list(dict.fromkeys(entry.method for entry in self.entries))

    def label(self, method: str) -> str:
        """The method's name for people; its slug where two methods have one name."""
        name = self.names.get(method, method)
        return name if sum(self.names.get(m, m) == name for m in self.methods) == 1 else method

    @cached_property
    def seeds(self) -> list[int]:
        """Seeds that every method finished: tests are paired by them."""
        done = [{e.seed for e in self.entries if e.method == m and e.metrics} for m in self.methods]
        done = [seeds for seeds in done if seeds]
        return sorted(set.intersection(*done)) if done else []

    @cached_property
    def results(self) -> dict[str, list[dict[str, float]]]:
        """Method -> finite metrics by seed, for the seeds that all share."""
        out = {}
        for method in self.methods:
            found = {e.seed: e for e in self.entries if e.method == method and e.metrics}
            if found and self.seeds:
                out[method] = [words.finite(words.numbers(found[seed].metrics)) for seed in self.seeds]
        return out

    @cached_property
    def ranked_by(self) -> str | None:
        """The metric that decides, or None when no metric is there for all."""
        wanted = [self.metric] if self.metric else _LEAD
        return next((name for name in wanted if self.results and self.values(name)), None)

    def values(self, name: str) -> dict[str, list[float]]:
        """Method -> values by seed, of the methods that have the metric in every seed."""
        return {
            method: [seed[name] for seed in seeds]
            for method, seeds in self.results.items()
            if all(name in seed for seed in seeds)
        }

    @cached_property
    def rows(self) -> list[Row]:
        """The table, best first; methods that can't be ranked last."""
        called = {self.label(method): method for method in self.methods}
        results = {self.label(method): seeds for method, seeds in self.results.items()}
        standings = rank(results, self.ranked_by) if self.ranked_by else []
        place = {called[standing.name]: standing for standing in standings}
        order = [*place, *(m for m in self.methods if m not in place)]
        return [self._row(method, place.get(method)) for method in order]

    def _row(self, method: str, standing: Standing | None) -> Row:
        mine = [e for e in self.entries if e.method == method and e.metrics]
        found = {name: summary(values[method]) for name in _SHOWN if method in (values := self.values(name))}
        times = [e.seconds_per_epoch for e in mine if e.seconds_per_epoch is not None]
        memory = [float(e.metrics["peak_memory_mb"]) for e in mine if "peak_memory_mb" in e.metrics]
        return Row(
            method=method,
            name=self.label(method),
            metrics=found,
            standing=standing,
            seconds_per_epoch=statistics.median(times) if times else None,
            peak_memory_mb=max(memory) if memory else None,
        )

    @cached_property
    def against_baseline(self) -> list[tuple[str, Difference, float | None]]:
        """``(method, method - baseline, adjusted p)`` of the metric that decides; p after Holm."""
        values = self.values(self.ranked_by) if self.ranked_by else {}
        if self.baseline not in values or self.baseline == self.rows[0].method:
            return []  # the best is compared with all others anyway
        found = {m: paired(v, values[self.baseline]) for m, v in values.items() if m != self.baseline}
        return list(zip(found, found.values(), holm([d.p for d in found.values()])))

    @property
    def reading(self) -> str:
        """The outcome in a sentence."""
        if not self.ranked_by:
            return "No metric was measured for every method: there is nothing to rank yet."
        best = self.rows[0]
        seeds = f"{len(self.seeds)} {'seed' if len(self.seeds) == 1 else 'seeds'}"
        mean = page.number(best.metrics[self.ranked_by].mean) if self.ranked_by in best.metrics else ""
        says = best.standing.says if best.standing else ""
        return f"{best.name}: {words.metric(self.ranked_by).title} {mean} over {seeds}, {says}."


def write_comparison(path: Path, comparison: ComparisonPage) -> Path:
    """Write the page."""
    return page.write(path, render_comparison(comparison))


def render_comparison(comparison: ComparisonPage) -> str:
    """The page as text."""
    rows = comparison.rows
    columns = [name for name in METRICS if any(name in row.metrics for row in rows)]
    if comparison.ranked_by in columns:
        columns = [comparison.ranked_by, *(name for name in columns if name != comparison.ranked_by)]
    colours = {method: i for i, method in enumerate(comparison.methods)}
    dots = [_dots(comparison, name, colours) for name in columns]
    curves = _curves(comparison, colours)
    unfinished = [e for e in comparison.entries if not e.metrics]
    has: dict[str, Any] = {"table": rows, "seeds": dots, "differences": comparison.ranked_by, "training": curves}
    has |= {"runs": comparison.entries, "again": comparison.command or comparison.settings}
    return page.render(
        "comparison.html",
        scripts=("charts.js",),
        data={"dots": dots, "curves": curves},
        title=comparison.title,
        comparison=comparison,
        rows=rows,
        table=[name for name in columns if name in _TABLE or name == comparison.ranked_by],
        best={name: _best(rows, name) for name in columns},
        metric_of=words.metric,
        title_of=words.title,
        dots=dots,
        curves=curves,
        unfinished=unfinished,
        sections=[name for name, there in has.items() if there],
        entries=[(e, page.address(e.report)) for e in comparison.entries],
    )


def _best(rows: Sequence[Row], name: str) -> str:
    """The method with the best mean of the metric, or "" where neither side is better."""
    direction = words.metric(name).direction
    held = {row.method: row.metrics[name].mean for row in rows if name in row.metrics}
    if direction == "neutral" or len(held) < 2:
        return ""
    return (max if direction == "higher" else min)(held, key=lambda method: held[method])


def _dots(comparison: ComparisonPage, name: str, colours: Mapping[str, int]) -> dict[str, Any]:
    values, out = comparison.values(name), []
    for row in comparison.rows:
        if row.method in values:
            held = values[row.method]
            # the interval of a mean is that of its difference from 0; two values say too little for one
            interval = paired(held, [0.0] * len(held)) if len(held) > 2 else None
            low, high = (None, None) if interval is None else (interval.low, interval.high)
            mean, colour = row.metrics[name].mean, colours[row.method]
            out.append({"name": row.name, "values": held, "mean": mean, "low": low, "high": high, "colour": colour})
    return charts.dots(words.title(name), out, says=words.metric(name).says)


def _curves(comparison: ComparisonPage, colours: Mapping[str, int]) -> list[dict[str, Any]]:
    out = []
    for name in _CURVES:
        lines, axes = [], set()
        for entry in comparison.entries:
            events = [e for e in entry.events if isinstance(e.get(name), int | float)]
            if events:
                axis, places = charts.horizontal(events)
                axes.add(axis)
                shown = comparison.label(entry.method)
                xs, ys = [places[i] for i in range(len(events))], [e[name] for e in events]
                told, colour = f"{shown}, seed {entry.seed}", colours[entry.method]
                lines.append(charts.line(told, xs, ys, colour=colour, group=shown, thin=True))
        if lines and len(axes) == 1:
            out.append(charts.chart(words.title(name), lines, x=axes.pop()))
    return out
