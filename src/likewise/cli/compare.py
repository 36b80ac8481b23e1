"""``likewise compare``: several methods on the same data over several seeds."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from likewise.cli import terminal
from likewise.cli.arguments import Data, Json, Settings, Size, settings
from likewise.evaluate.catalogue import LEADS

if TYPE_CHECKING:
    from likewise.report.comparison import Row

COLUMNS = (*LEADS, "knn", "linear", "linear_200", "r2", "effective_rank", "uniformity")


def compare(
    methods: Annotated[list[str], typer.Argument(metavar="METHOD...", help="Two or more.")],
    data: Data = None,
    seeds: Annotated[int, typer.Option(help="Runs of each method; the comparison is paired by seed.")] = 3,
    size: Size = "small",
    changes: Settings = None,
    epochs: Annotated[float | None, typer.Option(help="Passes over the training samples, for all.")] = None,
    batch: Annotated[int | None, typer.Option(help="Samples per step, for all.")] = None,
    metric: Annotated[
        str | None, typer.Option(help="What decides; by default linear, knn, ... as the data has.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the runs and the page.")] = Path("runs/compare"),
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
    json: Json = False,
) -> None:
    """Train methods over seeds and compare them.

    Prints mean, spread and a paired test, and writes a page. Stopped? The same command goes on where it was.

    Examples:
      likewise compare simclr dcl --data digits
      likewise compare simclr dcl byol --data ~/photos --seeds 5 --epochs 50 --out runs/photos-compare
      likewise compare simclr dcl --data digits --set learner.temperature=0.2 --json
    """
    from likewise.comparison import compare as run_all

    wanted = settings(changes, epochs=epochs, batch=batch)
    found = run_all(methods, data, seeds=seeds, size=size, settings=wanted, metric=metric, out=out, quiet=quiet or json)
    if json:
        terminal.emit(found.to_json())
        return
    names = [name for name in COLUMNS if any(name in row.metrics for row in found.rows)]
    rows = [_cells(row, names) for row in found.rows]
    terminal.table(["method", *names, "s/epoch", "memory", ""], rows, bold=0)
    terminal.line("reading", found.table.reading)
    terminal.line("page", str(found.page))
    terminal.line("next", *(f"likewise report {shlex.quote(str(paths[0]))}" for paths in found.runs.values()))


def _cells(row: "Row", names: list[str]) -> list[object]:
    from likewise.report.page import number, size

    metrics = [str(row.metrics[name]) if name in row.metrics else "" for name in names]
    seconds = "" if row.seconds_per_epoch is None else number(row.seconds_per_epoch)
    memory = "" if row.peak_memory_mb is None else size(row.peak_memory_mb * 2**20)
    return [row.method, *metrics, seconds, memory, row.standing.says if row.standing else "not ranked"]
