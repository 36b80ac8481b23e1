"""``likewise claim``: run a paper's claim again, method against baseline under the same budget."""

from pathlib import Path
from typing import Annotated, Any

import typer

from likewise.cli import terminal
from likewise.cli.arguments import Json
from likewise.core.errors import InputError
from likewise.core.registry import listing, listings


def claim(
    methods: Annotated[list[str], typer.Argument(metavar="METHOD...|all", help="Whose claims; all: every one.")],
    seeds: Annotated[int | None, typer.Option(help="How many seeds; as many as the card says by default.")] = None,
    first_seed: Annotated[
        int, typer.Option(min=0, help="The first of them: others than before for a recipe that was changed since.")
    ] = 100,
    area: Annotated[str | None, typer.Option(help="With all: only this modality (image, text, graph, ...).")] = None,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of the results, a JSON file each, and the ledger page.")
    ] = Path("benchmarks/claims"),
    runs: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of the runs; finished ones are not repeated.")
    ] = Path("runs/claims"),
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
    json: Json = False,
) -> None:
    """Check papers' claims at small scale, and keep what comes out.

    The method and its baseline train on the same data with the same settings, over seeds that no recipe was tried
    with. The claim holds when the 95% confidence interval of the paired difference is on its side.

    Examples:
      likewise claim dcl
      likewise claim all --area image
      likewise claim dcl --seeds 8 --out my-claims
    """
    from likewise.comparison import claim as run_claim
    from likewise.report.ledger import read_results, tally, write_ledger
    from likewise.train.events import write_json

    wanted = _wanted(methods, area)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"can't write to {out}: {error.strerror or error}") from error
    found = []
    for slug in wanted:
        record = run_claim(slug, out=runs, seeds=seeds, first=first_seed, quiet=quiet or json)
        write_json(out / f"{slug}.json", record)
        found.append(record)
        if not json:
            _say(record)
    results = read_results(out)
    page = write_ledger(out / "ledger.html", results)
    if json:
        terminal.emit({"claims": found, "page": page})
        return
    terminal.line("ledger", f"{tally(results)}: {page}")


def _wanted(methods: list[str], area: str | None) -> list[str]:
    if methods != ["all"]:
        if area is not None:
            raise InputError("--area goes with all: likewise claim all --area image")
        for slug in methods:
            if listing(slug).card.claim is None:
                raise InputError(f"{slug} has no claim on its card: it is a baseline (likewise show {slug})")
        return methods
    cards = [found.card for found in listings().values()]
    chosen = [card.slug for card in cards if card.claim and area in (None, card.modality)]
    if not chosen:
        areas = sorted({card.modality for card in cards if card.claim})
        raise InputError(f"no method of the area {area!r} has a claim; there are: {', '.join(areas)}")
    return chosen


def _say(record: dict[str, Any]) -> None:
    from likewise.report.ledger import times

    terminal.line("claim", record["says"])
    columns = [str(seed) for seed in record["seeds"]]
    for held in [record, *record["also"]]:
        settings = ", ".join(f"{k}={v}" for k, v in held["settings"].items())
        low, high = held["interval"] or (None, None)
        reach = "" if low is None else f" [{low:+.4f}, {high:+.4f}]"
        terminal.line("settings", settings or "the recipes' own")
        sides = (("method", record["method"]), ("baseline", record["baseline"]))
        rows = [[name, *(f"{v:.4f}" for v in held["values"][side])] for side, name in sides]
        terminal.table([record["metric"], *(f"seed {c}" for c in columns)], rows)
        against = f" from {times(held['times'])}{record['baseline']}" if held["times"] != 1 else ""
        terminal.line("verdict", f"{held['verdict']}: difference{against} {held['difference']:+.4f}{reach}")
        for more in held.get("further", ()):
            mine, theirs = (", ".join(f"{v:.4f}" for v in more["values"][side]) for side in ("method", "baseline"))
            said = f"{more['metric']} {mine} against {times(more['times'])}{more['baseline']} {theirs}"
            terminal.line("beside it", f"{said}: {more['verdict']}, difference {more['difference']:+.4f}")
