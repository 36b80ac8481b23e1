"""``likewise search``: what is nearest to a picture."""

from typing import Annotated

import typer

from likewise.cli import terminal
from likewise.cli.arguments import Json, RunFolder


def search(
    run: RunFolder,
    query: Annotated[str, typer.Argument(metavar="QUERY", help="A picture.")],
    index: Annotated[
        str | None, typer.Option(metavar="DATA", help="What to search: a name or path; the run's own data by default.")
    ] = None,
    k: Annotated[int, typer.Option("-k", "--number", help="How many answers.")] = 10,
    json: Json = False,
) -> None:
    """Find the pictures nearest to one, and write a sheet of them.

    Examples:
      likewise search runs/photos query.jpg
      likewise search runs/photos query.jpg --index ~/photos -k 20
      likewise search runs/photos query.jpg --json | jq -r '.hits[].key'
    """
    from likewise.api import Run

    held = Run(run)
    hits = held.search(query, index=index, k=k, progress=not json)
    sheet = None
    if json:
        terminal.emit({"run": run, "query": query, "hits": [vars(hit) for hit in hits], "page": sheet})
        return
    for hit in hits:
        terminal.line(f"{hit.score:.3f}", hit.key + (f"   {hit.label}" if hit.label else ""))
