"""The command line. One file per verb; whatever is heavy is imported by the verb that needs it, when it runs."""

import os
import sys
from collections.abc import Sequence

from likewise.cli.app import VERBS, build
from likewise.cli.exits import explained
from likewise.core.errors import InputError, near


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit status.

    Args:
        arguments: without the program's name; those of the process by default.
    """
    # read by OpenMP when torch is imported: threads that spin while they wait take the time of whatever else runs
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    given = list(sys.argv[1:] if arguments is None else arguments)
    rest = [a for a in given if a != "--debug"] or ["--help"]
    with explained(given) as outcome:
        if not rest[0].startswith("-") and rest[0] not in VERBS:
            raise InputError(f"unknown verb {rest[0]!r}{near(rest[0], VERBS)} (likewise --help says what each does)")
        outcome.code = build(rest[0])(rest, prog_name="likewise", standalone_mode=False) or 0
    return outcome.code
