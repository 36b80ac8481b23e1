"""The ledger of claims: what each paper promises, re-run here over seeds, also where it failed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from likewise.core.errors import InputError
from likewise.evaluate.compare import paired
from likewise.report import charts, page, words

Verdict = Literal["holds", "does not hold", "undecided"]
VERDICTS: tuple[Verdict, ...] = ("holds", "does not hold", "undecided")


@dataclass(frozen=True)
class Result:
    """One claim, checked; a file of ``benchmarks/claims`` has these names.

    Attributes:
        method: slug of the method whose claim it is.
        baseline: slug of what it has to beat.
        says: the claim in a sentence.
        metric: name in the runs' metrics.
        data: source that both were trained on.
        seeds: one run of each for every seed.
        settings: set in both recipes.
        values: ``{"method": [...], "baseline": [...]}``, the metric by seed, in the order of ``seeds``.
        difference: mean over seeds of method - times * baseline.
        interval: 95% confidence interval of the difference, or None with one seed.
        p: of the paired test, or None.
        verdict: ``"holds"``, ``"does not hold"`` or ``"undecided"``.
        machine: what it ran on.
        versions: of likewise, torch and Python.
        date: ``YYYY-MM-DD``.
        command: that runs it again.
        seconds: of all runs together.
        times: how many times the baseline's metric the method has to beat.
        further: what the same runs were also judged by: the same names without the runs' own.
    """

    method: str
    baseline: str
    says: str
    metric: str
    data: str
    seeds: Sequence[int]
    values: Mapping[str, Sequence[float]]
    difference: float
    verdict: Verdict
    interval: Sequence[float] | None = None
    p: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    machine: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    date: str = ""
    command: str = ""
    seconds: float | None = None
    times: float = 1.0
    further: Sequence[Mapping[str, Any]] = ()

    @property
    def against(self) -> str:
        """What the method has to beat, in words."""
        return times(self.times) + self.baseline

    def mean(self, side: str) -> float:
        """Mean over seeds of ``"method"`` or ``"baseline"``."""
        return sum(self.values[side]) / len(self.values[side])


def read_results(folder: Path) -> list[Result]:
    """The results in ``folder``, by method; none if there is no such folder.

    Raises:
        InputError: a file is not the JSON of a result; its name and what is wrong.
    """
    found = [_read(path) for path in sorted(folder.glob("*.json"))]
    return sorted(found, key=lambda r: (r.method, r.baseline, r.metric))


def _read(path: Path) -> Result:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not the JSON of a claim's result: {error}") from error
    if not isinstance(held, dict):
        raise InputError(f"{path} is not the JSON of a claim's result: it holds no object")
    names = [f.name for f in fields(Result)]
    needed = ("method", "baseline", "says", "metric", "data", "seeds", "values", "difference", "verdict")
    missing = [name for name in needed if name not in held]
    if missing:
        raise InputError(f"{path}: {', '.join(missing)} missing from a claim's result")
    out = Result(**{name: value for name, value in held.items() if name in names})
    if out.verdict not in VERDICTS:
        raise InputError(f"{path}: verdict {out.verdict!r} is none of {', '.join(VERDICTS)}")
    for side in ("method", "baseline"):
        if len(out.values.get(side, ())) != len(out.seeds) or not out.seeds:
            raise InputError(f"{path}: {len(out.values.get(side, ()))} {side} values for {len(out.seeds)} seeds")
    return out


def judge(metric: str, method: Sequence[float], baseline: Sequence[float]) -> dict[str, Any]:
    """``difference``, ``interval``, ``p`` and ``verdict`` of a claim that ``method`` beats ``baseline``.

    It holds when the whole 95% confidence interval of the paired difference is on its side, does not hold when the
    whole interval is on the other, and is undecided in between; one seed decides nothing.

    Args:
        metric: of the catalogue; says which side is better.
        method: values by seed.
        baseline: values of the same seeds.
    """
    found = paired(method, baseline)
    sign = -1 if words.metric(metric).direction == "lower" else 1
    verdict: Verdict = "undecided"
    if found.low is not None and found.high is not None:
        near, far = sorted((sign * found.low, sign * found.high))
        verdict = "holds" if near > 0 else "does not hold" if far < 0 else "undecided"
    interval = None if found.low is None else [found.low, found.high]
    return {"difference": found.mean, "interval": interval, "p": found.p, "verdict": verdict}


def times(factor: float) -> str:
    """``"3 times "`` in front of a baseline's name; nothing for once."""
    return "" if factor == 1 else f"{factor:g} times "


def tally(results: Sequence[Result]) -> str:
    """``"3 claims: 2 holding, 0 not holding, 1 undecided"``."""
    counts = {verdict: sum(r.verdict == verdict for r in results) for verdict in VERDICTS}
    said = f"{counts['holds']} holding, {counts['does not hold']} not holding, {counts['undecided']} undecided"
    return f"{len(results)} {'claim' if len(results) == 1 else 'claims'}: {said}"


def markdown(results: Sequence[Result]) -> str:
    """The content of ``docs/claims.md``."""
    lines = [
        "# Claims",
        "",
        "What each paper promises, shrunk to a laptop and re-run: the method against its baseline under the same "
        "budget, on the same data, over the same seeds. The interval is the 95% confidence interval of the mean "
        "difference (paired by seed, Student's t). A claim *holds* when the whole interval is on its side, *does not "
        "hold* when the whole interval is on the other, and is *undecided* in between. Failures stay in the "
        "list.",
        "",
        f"**{tally(results)}.**",
        "",
    ]
    if not results:
        return "\n".join([*lines[:4], "No claim has been run yet: `make claims` runs them.", ""])
    lines += [
        "| method | against | data, metric | method | baseline | difference | verdict |",
        "|---|---|---|--:|--:|--:|---|",
    ]
    for r in results:
        cells = [f"[`{r.method}`](#{_anchor(r)})", f"{times(r.times)}`{r.baseline}`", f"{r.data}, {r.metric}"]
        cells += [page.number(r.mean("method")), page.number(r.mean("baseline")), _difference(r), f"**{r.verdict}**"]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    for r in results:
        lines += ["", f'<a id="{_anchor(r)}"></a>', "", f"## {r.method} against {r.against}", "", f"> {r.says}", ""]
        lines += [f"**{r.verdict.capitalize()}**: {r.metric} on {r.data} differs by {_difference(r)}{_p(r)}.", ""]
        lines += ["| seed | " + " | ".join(map(str, r.seeds)) + " |", "|---|" + "--:|" * len(r.seeds)]
        for side, name in (("method", r.method), ("baseline", r.baseline)):
            lines.append(f"| `{name}` | " + " | ".join(page.number(v) for v in r.values[side]) + " |")
        for more in r.further:
            lines += ["", f"Beside it: {_beside(more)}."]
        if r.settings:
            lines += ["", "Set in both: " + ", ".join(f"`{k}={v}`" for k, v in r.settings.items()) + "."]
        if r.command:
            lines += ["", f"```\n{r.command}\n```"]
        lines += ["", _where(r)]
    return "\n".join(lines).rstrip() + "\n"


def write_ledger(path: Path, results: Sequence[Result]) -> Path:
    """The ledger as a page of its own."""
    rows = [
        {
            "result": r,
            "difference": _difference(r),
            "p": _p(r),
            "where": _where(r),
            "factor": times(r.times),
            "beside": list(map(_beside, r.further)),
        }
        for r in results
    ]
    level = {"holds": "good", "does not hold": "bad", "undecided": "warn"}
    data = {"dots": [_dots(r) for r in results]}
    text = page.render(
        "ledger.html", ("charts.js",), data, title="Claims", rows=rows, tally=tally(results), level=level
    )
    return page.write(path, text)


def _dots(r: Result) -> dict[str, Any]:
    sides = (("method", r.method), ("baseline", r.baseline))
    rows = [
        {"name": name, "values": list(r.values[side]), "mean": r.mean(side), "low": None, "high": None, "colour": i}
        for i, (side, name) in enumerate(sides)
    ]
    return charts.dots(f"{r.metric} on {r.data}", rows)


def _beside(more: Mapping[str, Any]) -> str:
    """What else the runs were judged by, in a line."""
    mine, theirs = (", ".join(page.number(v) for v in more["values"][side]) for side in ("method", "baseline"))
    return (
        f"{more['metric']} {mine} against {times(more.get('times', 1))}{more['baseline']} ({theirs}): {more['verdict']}"
    )


def _anchor(r: Result) -> str:
    return f"{r.method}-{r.baseline}-{r.metric}".lower().replace("_", "-")


def _difference(r: Result) -> str:
    if r.interval is None:
        return page.signed(r.difference)
    return f"{page.signed(r.difference)} ({page.signed(r.interval[0])} to {page.signed(r.interval[1])})"


def _p(r: Result) -> str:
    if r.p is None:
        return ""
    return f", p {'< 0.001' if r.p < 0.001 else f'= {r.p:.2g}'}, {len(r.seeds)} seeds"


def _where(r: Result) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in r.versions.items())
    took = f"took {page.duration(r.seconds)}" if r.seconds is not None else ""
    return "; ".join(part for part in (r.date, r.machine, versions, took) if part)
