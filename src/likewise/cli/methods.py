"""``likewise methods``: which methods there are."""

from dataclasses import asdict
from typing import Annotated

import typer

from likewise.cli import terminal
from likewise.cli.arguments import Json
from likewise.core import registry
from likewise.core.errors import InputError, near


def methods(
    word: Annotated[str | None, typer.Argument(help="Only methods whose card has this word.")] = None,
    modality: Annotated[str | None, typer.Option(help="Only this modality: image, text, graph, ...")] = None,
    labels: Annotated[
        bool | None, typer.Option("--labels/--no-labels", help="Only methods that (don't) learn from labels.")
    ] = None,
    json: Json = False,
) -> None:
    """List the methods, from their cards.

    Examples:
      likewise methods
      likewise methods --modality image --no-labels
      likewise methods queue
      likewise methods --json | jq '.[].slug'
    """
    found = [listing.card for listing in registry.listings().values()]
    if modality is not None:
        known = {card.modality for card in found}
        if modality not in known:
            raise InputError(f"no method for the modality {modality!r}{near(modality, known)}")
        found = [card for card in found if card.modality == modality]
    if labels is not None:
        found = [card for card in found if ("labels" in card.traits.needs) is labels]
    if word is not None:
        found = [card for card in found if word.lower() in repr(card).lower()]
        if not found:
            raise InputError(f"no method's card has the word {word!r} (likewise methods lists all)")
    if json:
        terminal.emit([asdict(card) for card in found])
        return
    rows = [(card.slug, card.modality, str(card.year), card.status, card.pick) for card in found]
    terminal.table(("method", "modality", "year", "status", "when to pick it"), rows)
    terminal.line("next", "likewise show METHOD")
