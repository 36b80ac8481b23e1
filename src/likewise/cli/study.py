"""``likewise study``: what happens when a setting changes."""

from pathlib import Path
from typing import Annotated

import typer

from likewise.cli import terminal
from likewise.cli.arguments import Data, Json, settings


def study(
    name: Annotated[str, typer.Argument(metavar="STUDY", help="Which; likewise methods lists them.")],
    data: Data = None,
    seeds: Annotated[int, typer.Option(help="Runs of each variation.")] = 3,
    size: Annotated[str | None, typer.Option(help="Of the recipes: tiny, small or paper.")] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting of the study.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the runs and the page.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
    json: Json = False,
) -> None:
    """Train variations of a method and see what a setting does.

    Writes a page with a figure and a table, and finding.json. Stopped? The same command goes on where it was.

    Examples:
      likewise study isotropy
      likewise study isotropy --seeds 1 --set margins=0.5,1.0 --set steps=200
      likewise study isotropy --data book.txt --out runs/my-study --json
    """
    from likewise.study import study as run

    held = dict(settings(changes, size=size))
    found = run(name, data, seeds=seeds, settings=held, out=out, quiet=quiet or json)
    if json:
        terminal.emit(found.record | {"page": str(found.page)})
        return
    columns = list(dict.fromkeys(key for row in found.finding.rows for key in row))
    terminal.table(columns, [[_cell(row.get(key)) for key in columns] for row in found.finding.rows])
    terminal.line("reading", found.finding.reading)
    terminal.line("page", str(found.page))


def _cell(value: object) -> object:
    return "" if value is None else value
