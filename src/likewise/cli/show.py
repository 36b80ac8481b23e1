"""``likewise show``: everything about one method."""

from dataclasses import asdict
from typing import Annotated

import typer

from likewise.cli import terminal
from likewise.cli.arguments import Json
from likewise.core import registry
from likewise.core.card import Card
from likewise.report.card import STATUS, traits


def show(
    method: Annotated[str, typer.Argument(help="A method's name, as `likewise methods` lists it.")],
    settings: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Also every setting of the recipe of this size, for --set.")
    ] = None,
    json: Json = False,
) -> None:
    """Show everything about a method.

    Its equation and paper, what differs from the paper, knobs, evidence, and when to pick it.

    Examples:
      likewise show dcl
      likewise show dcl --settings small      # what `train --set` can change, with the values it has
      likewise show dcl --json
    """
    listing = registry.listing(method)
    card = listing.card
    values = None if settings is None else _settings(method, settings)
    if json:
        facts = {"module": listing.module, "file": listing.path, "sizes": listing.sizes, "knobs": dict(listing.knobs)}
        terminal.emit({**asdict(card), **facts, **({} if values is None else {"settings": values})})
        return
    terminal.line(card.name, f"{card.title} ({card.year}), {card.paper}")
    _lines("pick", card.pick)
    _lines("is", f"{card.modality} {card.kind}, {card.task}", f"status {card.status}: {STATUS[card.status]}")
    _lines("contrasts", card.contrasts)
    _lines("equation", card.equation)
    _lines("knobs", *(f"{name} = {default}" for name, default in listing.knobs))
    _lines("sizes", ", ".join(listing.sizes))
    _lines("behaves", *traits(card))
    _lines("differs", *card.deviations)
    _lines("evidence", *_evidence(card))
    _lines("waived", *(f"{check}: {reason}" for check, reason in card.waivers))
    _lines("code", card.code)
    _lines("file", str(listing.path))
    if values is not None:
        _lines("settings", *(f"{path} = {value}" for path, value in values.items()))
    source = f" --data {card.claim.data}" if card.claim else ""
    if card.kind == "learner":
        terminal.line("next", f"likewise train {card.slug}{source}")
    elif card.kind == "decoder":
        terminal.line("next", f'likewise decode {card.slug} --run RUN --prompt "..."')
    elif card.kind == "study":
        terminal.line("next", f"likewise study {card.slug}")


def _lines(label: str, *lines: str) -> None:
    kept = [text for text in lines if text]
    if kept:
        terminal.line(label, *kept)


def _evidence(card: Card) -> list[str]:
    out = [f"values and gradients tested against numbers of the authors' code ({card.oracle})" if card.oracle else ""]
    if card.claim:
        claim = card.claim
        beats = f"{claim.metric} on {claim.data} against {claim.beats}, {claim.seeds} seeds"
        out.append(f"claim: {claim.says} ({beats})")
    return out


def _settings(method: str, size: str) -> dict[str, object]:
    """Every setting of a recipe, defaults written out; what the data decides is left out."""
    from likewise.core.recipe import FROM_DATA
    from likewise.train.plan import import_parts

    loaded = registry.load(method)
    import_parts()
    return {path: value for path, value in loaded.recipe(size).resolve().walk() if value is not FROM_DATA}
