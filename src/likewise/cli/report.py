"""``likewise report``: the page of a run, or one page that compares several."""

from pathlib import Path
from typing import Annotated

import typer

from likewise.cli import terminal
from likewise.cli.arguments import Json


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders, as `train` makes them.")],
    json: Json = False,
) -> None:
    """Write the page of each run.

    It has curves, similarities over training, a map, neighbours, and metrics in plain words, in one HTML file that
    needs no network.

    Examples:
      likewise report runs/photos
      likewise report runs/*
    """
    from likewise.api import write_report

    pages = {str(path): write_report(path) for path in runs}
    if json:
        terminal.emit({"pages": pages})
        return
    terminal.line("done", *(str(page) for page in pages.values()))
    if len(runs) > 1:
        terminal.line("next", "likewise compare METHOD METHOD --data ... trains them over several seeds and compares")
