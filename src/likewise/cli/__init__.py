"""The command line. One file per verb; whatever is heavy is imported by the verb that needs it, when it runs."""

import sys
from collections.abc import Sequence

from likewise.cli.app import app
from likewise.cli.exits import explained


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit status.

    Args:
        arguments: without the program's name; those of the process by default.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    verb = [a for a in given if a != "--debug"] or ["--help"]
    with explained(given) as outcome:
        outcome.code = app(verb, prog_name="likewise", standalone_mode=False) or 0
    return outcome.code
