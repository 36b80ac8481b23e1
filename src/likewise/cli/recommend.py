"""``likewise recommend``: what somebody may like."""

from typing import Annotated

import typer

from likewise.cli import terminal
from likewise.cli.arguments import Json, RunFolder


def recommend(
    run: RunFolder,
    user: Annotated[str, typer.Argument(metavar="USER", help="A user by name, as in the interactions.")],
    k: Annotated[int, typer.Option("-k", "--number", help="How many items.")] = 10,
    known: Annotated[bool, typer.Option("--known", help="Rank what the user has already, too.")] = False,
    json: Json = False,
) -> None:
    """Recommend items to a user of a recommender's run, best first; what the user has already is left out.

    Examples:
      likewise recommend runs/films 196
      likewise recommend runs/films 196 -k 20 --known
      likewise recommend runs/films 196 --json | jq -r '.hits[].key'
    """
    from likewise.api import Run

    hits = Run(run).recommend(user, k=k, known=known)
    if json:
        terminal.emit({"run": run, "user": user, "hits": [vars(hit) for hit in hits]})
        return
    for hit in hits:
        terminal.line(f"{hit.score:.3f}", hit.key)
    if not hits:
        terminal.line("none", f"{user} has everything already")
