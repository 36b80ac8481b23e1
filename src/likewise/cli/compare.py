"""``likewise compare``: several methods on the same data over several seeds."""

from pathlib import Path
from typing import Annotated

import typer

from likewise.cli import terminal
from likewise.cli.arguments import Data, Json, Settings, Size, settings


def compare(
    methods: Annotated[list[str], typer.Argument(metavar="METHOD...", help="Two or more.")],
    data: Data = None,
    seeds: Annotated[int, typer.Option(help="Runs of each method; the comparison is paired by seed.")] = 3,
    size: Size = "small",
    changes: Settings = None,
    epochs: Annotated[float | None, typer.Option(help="Passes over the training samples, for all.")] = None,
    batch: Annotated[int | None, typer.Option(help="Samples per step, for all.")] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the runs and the page.")] = Path("runs/compare"),
    json: Json = False,
) -> None:
    """Train methods over seeds and compare them.

    Prints mean, spread and a paired test, and writes a page. Stopped? The same command goes on where it was.

    Examples:
      likewise compare simclr dcl --data digits
      likewise compare simclr dcl byol --data ~/photos --seeds 5 --epochs 50 --out runs/photos-compare
      likewise compare simclr dcl --data digits --set learner.temperature=0.2 --json
    """
    from likewise.api import compare as run_all

    found = run_all(
        methods, data, seeds=seeds, size=size, out=out, settings=settings(changes, epochs=epochs, batch=batch)
    )
    if json:
        terminal.emit({"rows": found.rows, "page": found.page})
        return
    terminal.line("page", str(found.page))
