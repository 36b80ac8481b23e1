"""``likewise search``: what is nearest to something."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from likewise.cli import terminal
from likewise.cli.arguments import Json, Role, RunFolder

if TYPE_CHECKING:
    from likewise.api import Hit, Run


def search(
    run: RunFolder,
    query: Annotated[str, typer.Argument(metavar="QUERY", help="A picture or other file, or an item by its key.")],
    index: Annotated[
        str | None, typer.Option(metavar="DATA", help="What to search: a name or path; the run's own data by default.")
    ] = None,
    role: Role = None,
    k: Annotated[int, typer.Option("-k", "--number", help="How many answers.")] = 10,
    json: Json = False,
) -> None:
    """Find what is nearest to a picture, or to an item by its key, and write a sheet of the answers.

    Examples:
      likewise search runs/photos query.jpg
      likewise search runs/photos query.jpg --index ~/photos -k 20
      likewise search runs/films "Toy Story (1995)" --role item
      likewise search runs/photos query.jpg --json | jq -r '.hits[].key'
    """
    from likewise.api import Run

    held = Run(run)
    hits = held.search(query, index=index, k=k, role=role, progress=not json)
    sheet = _sheet(held, query, index, role, hits)
    if json:
        terminal.emit({"run": run, "query": query, "hits": [vars(hit) for hit in hits], "page": sheet})
        return
    for hit in hits:
        terminal.line(f"{hit.score:.3f}", hit.key + (f"   {hit.label}" if hit.label else ""))
    terminal.line("sheet", str(sheet))


def _sheet(run: "Run", query: str, index: str | None, role: str | None, hits: Sequence["Hit"]) -> Path:
    from likewise.report.sheet import Item, write_search_sheet

    dataset = run.dataset(index, role)
    asked = run.dataset([query]) if run.card.modality == "image" and Path(query).is_file() else None
    pictures: Any = None if asked is None else asked.columns.get("image")
    shown: Any = dataset.columns.get(dataset.pictures(role))
    name = re.sub(r"[^\w-]+", "-", Path(query).stem).strip("-") or "query"
    path = run.path / f"search-{name}.html"
    items = [
        Item(
            key=hit.key,
            picture=None if shown is None else shown[hit.row],
            label=hit.label,
            score=hit.score,
            link="" if hit.path is None else os.path.relpath(hit.path, run.path),
        )
        for hit in hits
    ]
    first = Item(query, None if pictures is None else pictures[0])
    return write_search_sheet(path, first, items, about=f"{run.slug} in {run.path}, searched in {dataset.name}")
