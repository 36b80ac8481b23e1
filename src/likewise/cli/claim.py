"""``likewise claim``: check what a paper claims, whatever comes out."""

from pathlib import Path
from typing import Annotated, Any

import typer

from likewise.cli import terminal
from likewise.cli.arguments import Json
from likewise.core import registry


def claim(
    methods: Annotated[list[str], typer.Argument(metavar="METHOD...|all", help="Methods with a claim on their card.")],
    seeds: Annotated[int | None, typer.Option(help="How many; as many as the card says by default.")] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the runs; finished ones stay.")] = Path(
        "runs/claims"
    ),
    record: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Also write each result to DIR/METHOD.json, as the ledger has it."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
    json: Json = False,
) -> None:
    """Check the claims of papers over seeds.

    A card's claim names data, metric, a baseline and a budget for both. Both are trained with seeds that no recipe was
    tried with. What comes out is recorded, also when the claim does not hold.

    Examples:
      likewise claim dcl
      likewise claim all --record benchmarks/claims
      likewise claim dcl --seeds 5 --json
    """
    from likewise.comparison import claim as check
    from likewise.train.events import write_json

    chosen = [slug for slug, held in registry.listings().items() if held.card.claim] if methods == ["all"] else methods
    for slug in chosen:
        registry.listing(slug)  # a wrong name is found before hours of training
    results = []
    for slug in chosen:
        result = check(slug, out=out, seeds=seeds, quiet=quiet or json)
        results.append(result)
        if record is not None:
            record.mkdir(parents=True, exist_ok=True)
            write_json(record / f"{slug}.json", result)
        if not json:
            terminal.line(slug, result["says"], _in_words(result))
    if json:
        terminal.emit(results)


def _in_words(result: dict[str, Any]) -> str:
    means = {side: sum(values) / len(values) for side, values in result["values"].items()}
    low, high = result["interval"]
    interval = "" if low is None else f" (95 %: {terminal.show(low)} to {terminal.show(high)})"
    figures = f"{terminal.show(means['method'])} against {terminal.show(means['baseline'])} of {result['baseline']}"
    where = f"{result['metric']} on {result['data']}, {len(result['seeds'])} seeds"
    return f"{result['verdict']}: {figures}, difference {terminal.show(result['difference'])}{interval}; {where}"
