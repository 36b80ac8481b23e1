"""``likewise evaluate``: metrics of what a run learned, on its own data or on other."""

from pathlib import Path
from typing import Annotated

import typer

from likewise.cli import terminal
from likewise.cli.arguments import Data, Json, RunFolder
from likewise.evaluate.catalogue import METRICS, Metric


def evaluate(
    run: RunFolder,
    data: Data = None,
    what: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this metric (knn, linear, ...); can be repeated.")
    ] = None,
    json: Json = False,
) -> None:
    """Measure what a run learned.

    kNN, linear probe, few-shot, clustering, retrieval and geometry of the frozen features on the test split. Nothing is
    trained but the probes, on the training split.

    Examples:
      likewise evaluate runs/photos
      likewise evaluate runs/photos --what knn --what linear
      likewise evaluate runs/photos --data other-photos --json
    """
    from likewise.api import Run
    from likewise.evaluate.reading import read

    held = Run(run)
    found = held.evaluate(data, what=what)
    if json:
        terminal.emit({"run": Path(run), "data": data, "metrics": found})
        return
    before = held.metrics.get("untrained", {}) if data is None else {}
    rows = []
    for name in [*(m for m in METRICS if m in found), *(m for m in found if m not in METRICS)]:
        about = METRICS.get(name, Metric(name, name.replace("_", " "), ""))
        if isinstance(found[name], int | float):
            rows.append((about.title, found[name], before.get(name, ""), about.says))
    terminal.table(("metric", "value", "untrained", ""), rows)
    terminal.line("reading", *(str(reading) for reading in read({**found, "untrained": before})))
    terminal.line("next", f"likewise report {run}")
