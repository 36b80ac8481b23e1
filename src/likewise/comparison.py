"""Methods side by side over seeds, and a paper's claim checked the same way."""

import datetime
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from likewise.api import Run, prepare
from likewise.core import registry
from likewise.core.errors import InputError
from likewise.evaluate.catalogue import METRICS
from likewise.evaluate.compare import Standing, paired, rank
from likewise.train.events import write_json
from likewise.train.plan import Plan, environment
from likewise.train.run import train
from likewise.train.worker import train_isolated

CLAIM_SEEDS = 100
"""First seed of a claim: none of the seeds 0, 1, 2, ... that recipes are tried with."""


@dataclass
class Comparison:
    """What methods reached on the same data, under the same budget.

    Attributes:
        methods: slugs, as asked.
        seeds: that each was trained with.
        metrics: method -> metrics of each seed.
        runs: method -> run folder of each seed.
        metric: that they are ranked by.
        standings: best first.
        folder: where everything lies.
    """

    methods: list[str]
    seeds: list[int]
    metrics: dict[str, list[dict[str, Any]]]
    runs: dict[str, list[Path]]
    metric: str
    standings: list[Standing]
    folder: Path
    facts: dict[str, Any] = field(default_factory=dict)

    def values(self, method: str, metric: str) -> list[float]:
        """One metric of a method, a value per seed; empty if its runs don't have it."""
        held = self.metrics[method]
        return [float(m[metric]) for m in held] if all(metric in m for m in held) else []

    def seconds_per_epoch(self, method: str) -> float:
        """Median over seeds."""
        return _median([m["seconds"] / m["epochs"] for m in self.metrics[method]])

    def to_json(self) -> dict[str, Any]:
        """Plain values: every seed's metrics, and the ranking."""
        return {
            "metric": self.metric,
            "seeds": self.seeds,
            "metrics": self.metrics,
            "runs": {m: [str(p) for p in paths] for m, paths in self.runs.items()},
            "standings": [
                {"method": s.name, "mean": s.summary.mean, "sd": s.summary.sd, "p": s.p, "says": s.says}
                for s in self.standings
            ],
            **self.facts,
        }


def compare(
    methods: Sequence[str],
    data: Any = None,
    *,
    seeds: int | Sequence[int] = 3,
    size: str = "small",
    settings: Sequence[tuple[str, Any]] = (),
    metric: str | None = None,
    out: str | Path = "runs/compare",
    quiet: bool = False,
) -> Comparison:
    """Train every method with every seed and compare them; run again, it continues where it stopped.

    Each run has a process of its own, so that its memory is its own (arrays in memory are trained in this process).

    Args:
        methods: at least two slugs, or ``file.py:Class``.
        data: as for ``fit``; the first method's own data if None, for all.
        seeds: how many, or which.
        size: of the recipes.
        settings: ``(path, value)`` set in every recipe.
        metric: to rank by; by default the first of linear, knn, uniformity that all have.
        out: folder for the runs and ``comparison.json``.
        quiet: no progress.
    """
    if len(set(methods)) < 2:
        raise InputError(f"a comparison needs at least two different methods, got {', '.join(methods) or 'none'}")
    chosen = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if not chosen:
        raise InputError("a comparison needs at least one seed")
    if metric is not None and metric not in METRICS:
        raise InputError(f"unknown metric {metric!r}: there are {', '.join(METRICS)}")
    folder = Path(out)
    plans: dict[str, list[Plan]] = {}
    for method in dict.fromkeys(methods):
        # the same data for all: the first method's, where none is given
        plans[method] = [prepare(method, data, size=size, seed=s, settings=settings) for s in chosen]
        if data is None:
            data = plans[method][0].recipe.data
    named = {method: Path(method.partition(":")[0]).stem for method in plans}
    runs = {m: [folder / f"{named[m]}-seed{p.seed}" for p in held] for m, held in plans.items()}
    for method, held in plans.items():
        for plan, path in zip(held, runs[method]):
            _one(plan, path, quiet)
    metrics = {m: [_measured(Run(p)) for p in paths] for m, paths in runs.items()}
    chosen_metric = metric or _default_metric(metrics)
    found = Comparison(
        list(plans), chosen, metrics, runs, chosen_metric, rank(metrics, chosen_metric), folder,
        {"data": next(iter(plans.values()))[0].dataset.name, "size": size, "settings": dict(settings)},
    )  # fmt: skip
    write_json(folder / "comparison.json", found.to_json())
    return found


def claim(
    slug: str, *, out: str | Path = "runs/claims", seeds: int | None = None, quiet: bool = False
) -> dict[str, Any]:
    """Check the claim on a method's card against its baseline, whatever comes out.

    Args:
        slug: of the method.
        out: folder for the runs; finished ones are not run again.
        seeds: how many; as many as the card says by default, and never fewer than 2.
        quiet: no progress.

    Returns:
        The record that the ledger keeps: figures of every seed, difference with its 95 % interval, verdict.

    Raises:
        InputError: the card has no claim.
    """
    card = registry.listing(slug).card
    if card.claim is None:
        raise InputError(f"{slug} has no claim on its card: it is a baseline")
    made = card.claim
    first = CLAIM_SEEDS
    numbers = list(range(first, first + max(2, seeds or made.seeds)))
    began = time.monotonic()
    settings = [made.settings, *made.also]
    found = [
        _pair(slug, made.beats, made.data, made.metric, numbers, list(held), Path(out) / slug / str(i), quiet)
        for i, held in enumerate(settings)
    ]
    env = environment()
    return {
        "method": slug,
        "baseline": made.beats,
        "says": made.says,
        "metric": made.metric,
        "data": made.data,
        "seeds": numbers,
        **found[0],
        "also": found[1:],
        "machine": f"{platform.machine()}, {env['threads']} threads" + "".join(f", {g}" for g in env["gpus"]),
        "versions": {"likewise": env["likewise"], "python": env["python"], **env["packages"]},
        "date": datetime.date.today().isoformat(),
        "command": f"likewise claim {slug}",
        "seconds": round(time.monotonic() - began, 1),
    }


def _pair(
    slug: str, baseline: str, data: str, metric: str, seeds: list[int], settings: list[tuple[str, Any]], out: Path,
    quiet: bool,
) -> dict[str, Any]:  # fmt: skip
    found = compare([slug, baseline], data, seeds=seeds, settings=settings, metric=metric, out=out, quiet=quiet)
    mine, theirs = found.values(slug, metric), found.values(baseline, metric)
    sign = 1 if METRICS[metric].direction != "lower" else -1
    gap = paired([sign * v for v in mine], [sign * v for v in theirs])
    verdict = "undecided"
    if gap.low is not None and gap.high is not None and gap.low * gap.high > 0:
        verdict = "holds" if gap.mean > 0 else "does not hold"
    return {
        "settings": dict(settings),
        "values": {"method": mine, "baseline": theirs},
        "difference": gap.mean,
        "interval": [gap.low, gap.high],
        "p": gap.p,
        "verdict": verdict,
    }


def _one(plan: Plan, folder: Path, quiet: bool) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    if plan.recipe.data.name == "in-memory":
        train(plan, folder, resume=True, quiet=quiet)
        return
    train_isolated(plan, folder, quiet=quiet)


def _measured(run: Run) -> dict[str, Any]:
    per_epoch = run.plan.facts["steps_per_epoch"]
    return {**run.metrics, "epochs": run.plan.facts["steps"] / per_epoch}


def _default_metric(metrics: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    for name in ("linear", "knn", "r2", "uniformity"):
        if all(name in seed for held in metrics.values() for seed in held):
            return name
    raise InputError("the runs share no metric to compare them by: give one (--metric)")


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]
