"""Methods side by side over seeds, and a paper's claim checked the same way."""

import datetime
import platform
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from likewise.api import Run, prepare, prepare_agent, write_report
from likewise.core import registry
from likewise.core.card import Claim
from likewise.core.errors import InputError, near
from likewise.evaluate.catalogue import METRICS
from likewise.report.comparison import ComparisonPage, Row, read_entry, write_comparison
from likewise.report.ledger import judge
from likewise.train.agent import AgentPlan
from likewise.train.agent import run as run_agent
from likewise.train.display import make_display
from likewise.train.plan import Plan, environment
from likewise.train.run import train
from likewise.train.worker import train_isolated

CLAIM_SEEDS = 100
"""First seed of a claim: none of the seeds 0, 1, 2, ... that recipes are tried with."""


@dataclass
class Comparison:
    """What methods reached on the same data, under the same budget.

    Attributes:
        table: every run's metrics, the ranking and its tests; ``rows`` is the table, best first.
        runs: slug -> run folder of each seed.
        page: where it can be looked at.
    """

    table: ComparisonPage
    runs: dict[str, list[Path]]
    page: Path

    @property
    def rows(self) -> list[Row]:
        """A line per method, best first."""
        return self.table.rows

    def to_json(self) -> dict[str, Any]:
        """Plain values: the table, its ranking and tests, and where the runs are."""
        rows = [
            {
                "method": row.method,
                "metrics": {name: {"mean": s.mean, "sd": s.sd, "n": s.n} for name, s in row.metrics.items()},
                "says": row.standing.says if row.standing else "",
                "p": row.standing.p if row.standing else None,
                "seconds_per_epoch": row.seconds_per_epoch,
                "peak_memory_mb": row.peak_memory_mb,
            }
            for row in self.rows
        ]
        runs = {method: [str(path) for path in paths] for method, paths in self.runs.items()}
        return {
            "rows": rows,
            "ranked_by": self.table.ranked_by,
            "seeds": self.table.seeds,
            "runs": runs,
            "page": str(self.page),
        }

    def values(self, method: str, metric: str) -> list[float]:
        """One metric of a method, a value per seed; empty if its runs don't have it."""
        return self.table.values(metric).get(method, [])


def compare(
    methods: Sequence[str],
    data: Any = None,
    *,
    seeds: int | Sequence[int] = 3,
    size: str = "small",
    settings: Sequence[tuple[str, Any]] = (),
    metric: str | None = None,
    out: str | Path = "runs/compare",
    pages: bool = True,
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
        metric: to rank by; by default the first of knn, linear_200, linear, ... that all have.
        out: folder for the runs and the page.
        pages: write each run's page, too.
        quiet: no progress.
    """
    if len(set(methods)) < 2:
        raise InputError(f"a comparison needs at least two different methods, got {', '.join(methods) or 'none'}")
    chosen = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if not chosen:
        raise InputError("a comparison needs at least one seed")
    if metric is not None and metric not in METRICS:
        raise InputError(
            f"unknown metric {metric!r}{near(metric, METRICS, listed=False)}; likewise runs --json shows a run's"
        )
    folder = Path(out)
    plans: dict[str, list[Plan | AgentPlan]] = {}
    for method in dict.fromkeys(methods):
        # the same data for all: the first method's, where none is given
        plan_one = prepare_agent if _acts(method) else prepare
        plans[method] = [plan_one(method, data, size=size, seed=s, settings=settings) for s in chosen]
        if data is None:
            data = plans[method][0].recipe.data
    named = {method: Path(method.partition(":")[0]).stem for method in plans}
    runs = {m: [folder / f"{named[m]}-seed{p.seed}" for p in held] for m, held in plans.items()}
    display, total = make_display(quiet), len(plans) * len(chosen)
    for i, (method, held) in enumerate(plans.items()):
        for j, (plan, path) in enumerate(zip(held, runs[method])):
            display.note(f"run {i * len(chosen) + j + 1}/{total}  {method}, seed {plan.seed}")
            _one(plan, path, quiet)
            if pages and not (path / "report.html").exists():
                write_report(path)
    first = next(iter(plans.values()))[0]
    table = ComparisonPage(
        [read_entry(path, folder) for paths in runs.values() for path in paths],
        data=first.dataset.name,
        metric=metric,
        baseline=first.card.slug,
        names={plan.card.slug: plan.card.name for held in plans.values() for plan in held},
        settings=dict(settings),
        command=_command(methods, first, len(chosen), size, settings, folder),
        title="Comparison of " + ", ".join(held[0].card.name for held in plans.values()),
    )
    by_slug = {held[0].card.slug: runs[method] for method, held in plans.items()}
    return Comparison(table, by_slug, write_comparison(folder / "comparison.html", table))


def _command(
    methods: Sequence[str],
    plan: Plan | AgentPlan,
    seeds: int,
    size: str,
    settings: Sequence[tuple[str, Any]],
    out: Path,
) -> str:
    held = plan.recipe.data
    data = str(held.settings.get("path") or held.settings.get("name") or held.name)
    words = ["likewise", "compare", *methods, "--data", data, "--seeds", str(seeds), "--size", size, "--out", str(out)]
    for path, value in settings:
        words += ["--set", f"{path}={value}"]
    return shlex.join(words)


def claim(
    slug: str,
    *,
    out: str | Path = "runs/claims",
    seeds: int | None = None,
    first: int = CLAIM_SEEDS,
    quiet: bool = False,
) -> dict[str, Any]:
    """Check the claim on a method's card against its baseline, whatever comes out.

    Args:
        slug: of the method.
        out: folder for the runs; finished ones are not run again.
        seeds: how many; as many as the card says by default, and never fewer than 2.
        first: of them. A claim whose recipe was changed after its result was seen needs seeds that nobody has seen.
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
    numbers = list(range(first, first + max(2, seeds or made.seeds)))
    began = time.monotonic()
    # a decoder has no runs of its own: it works on those of a model, which another claim may have made
    folder = Path(out) / (made.under or slug)
    found = [
        _judged(slug, made, numbers, list(held), folder / str(i), quiet)
        for i, held in enumerate([made.settings, *made.also])
    ]
    env = environment()
    # runs that were there already took their time, too
    trained = sum(held.pop("trained") for held in found)
    return {
        "method": slug,
        "baseline": made.beats,
        "says": made.says,
        "metric": made.of(made.metric, slug),
        "data": made.data,
        "seeds": numbers,
        **({"under": made.under} if made.under else {}),
        **found[0],
        "also": found[1:],
        "machine": f"{platform.machine()}, {env['threads']} threads" + "".join(f", {g}" for g in env["gpus"]),
        "versions": {"likewise": env["likewise"], "python": env["python"], **env["packages"]},
        "date": datetime.date.today().isoformat(),
        "command": f"likewise claim {slug}" + (f" --first-seed {first}" if first != CLAIM_SEEDS else ""),
        "seconds": round(max(time.monotonic() - began, trained), 1),
    }


def _judged(
    slug: str, made: Claim, seeds: list[int], settings: list[tuple[str, Any]], out: Path, quiet: bool
) -> dict[str, Any]:
    """The claim and what stands beside it, under some settings."""
    baselines = [made.beats, *(baseline for _, baseline, _ in made.further)]
    if made.under:
        runs = [prepare(made.under, made.data, seed=s, settings=settings) for s in seeds]
        paths = [out / f"{made.under}-seed{plan.seed}" for plan in runs]
        for plan, path in zip(runs, paths):
            _one(plan, path, quiet)
        measured = [Run(path).metrics for path in paths]
        trained = sum(metrics.get("seconds", 0.0) for metrics in measured)

        def values(metric: str, method: str) -> list[float]:
            return [float(found[made.of(metric, method)]) for found in measured]

    else:
        compared = compare(
            [slug, *dict.fromkeys(baselines)], made.data, seeds=seeds, settings=settings, metric=made.metric, out=out,
            pages=False, quiet=quiet,
        )  # fmt: skip
        trained = sum(entry.metrics.get("seconds", 0.0) for entry in compared.table.entries)

        def values(metric: str, method: str) -> list[float]:
            return compared.values(method, metric)

    judged = []
    for metric, baseline, times in ((made.metric, made.beats, made.times), *made.further):
        mine, theirs = values(metric, slug), values(metric, baseline)
        verdict = judge(made.of(metric, slug), mine, [times * value for value in theirs])
        sides = {"values": {"method": mine, "baseline": theirs}}
        judged.append({"metric": metric, "baseline": baseline, "times": times, **sides, **verdict})
    main = {name: value for name, value in judged[0].items() if name not in ("metric", "baseline")}
    further = {"further": judged[1:]} if made.further else {}
    return {"settings": dict(settings), **main, **further, "trained": trained}


def _acts(method: str) -> bool:
    """Whether a method is an agent; one from a file is not."""
    found = registry.listings().get(method)
    return found is not None and found.card.kind == "agent"


def _one(plan: Plan | AgentPlan, folder: Path, quiet: bool) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(plan, AgentPlan):
        run_agent(plan, folder, resume=True, quiet=quiet)
        return
    if plan.recipe.data.name == "in-memory":
        train(plan, folder, resume=True, quiet=quiet)
        return
    train_isolated(plan, folder, quiet=quiet)
