"""``likewise check``: the contract suite on a method, yours too."""

from typing import Annotated

import typer

from likewise.cli import terminal
from likewise.cli.arguments import Json
from likewise.core import registry

BROKEN = 1
"""Exit status when a check fails."""


def check(
    method: Annotated[str, typer.Argument(help="file.py:Class, package.module:Class, or a method's name.")],
    json: Json = False,
) -> None:
    """Run the contract checks on a method, yours too.

    The ones that every method of the library passes: gradients, devices, precision, saving, edge cases.
    The exit status is 1 if one fails.

    Examples:
      likewise check my_method.py:MyMethod
      likewise check my_package.my_method:MyMethod
      likewise check dcl --json
    """
    from likewise.testing.contract import report, run_checks

    outside = ":" in method or method.endswith(".py")
    found = registry.load_file(method) if outside else registry.load(method)
    results = run_checks(found)
    if json:
        terminal.emit([vars(result) for result in results])
    else:
        typer.echo(report(found, results))
    if not all(result.passed for result in results):
        raise typer.Exit(BROKEN)
    if not json and found.card.kind == "learner":
        terminal.line("next", f"likewise train {method}")
