"""How a command ends: one line on stderr and a status that scripts can tell apart."""

import errno
import itertools
import os
import shlex
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer

from likewise.cli.app import VERBS
from likewise.core.errors import InputError

OK, BUG, INPUT, DIVERGED, PREEMPTED, INTERRUPTED = 0, 1, 2, 3, 75, 130
"""Exit statuses. 75 is EX_TEMPFAIL: a cluster that sees it should start the same command again."""

_SYSTEM = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would be larger than allowed here",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "not permitted",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EISDIR: "is a folder, not a file",
    errno.ENOENT: "no such file or folder",
    errno.EEXIST: "exists already",
    errno.ENAMETOOLONG: "the name is too long",
}
"""What the system refuses because of where people point, not because of what we do."""


@dataclass
class Outcome:
    """The exit status of a command, once it has ended."""

    code: int = OK


@contextmanager
def explained(arguments: Sequence[str]) -> Iterator[Outcome]:
    """Turn whatever ends the block into an exit status and, where it went wrong, one line on stderr."""
    outcome = Outcome()
    try:
        yield outcome
        if outcome.code == INTERRUPTED:  # the parser turns Ctrl-C into an exit of its own
            _say("interrupted")
        sys.stdout.flush()
    except BrokenPipeError:
        _reader_has_gone()
    except SystemExit as error:
        if not isinstance(error.__context__, BrokenPipeError):  # which the parser turns into an exit
            raise
        _reader_has_gone()
    except (KeyboardInterrupt, typer.Abort):
        _say("interrupted")
        outcome.code = INTERRUPTED
    except Exception as error:
        if "--debug" in arguments:
            traceback.print_exc()
        outcome.code = _explain(error, arguments)


def _reader_has_gone() -> None:
    # head or less had enough, which is no error; a second attempt to flush at exit would complain
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno() if sys.__stdout__ else 1)


def _explain(error: Exception, arguments: Sequence[str]) -> int:
    if isinstance(error, InputError):
        _say(f"error: {error}")
        return INPUT
    if hasattr(error, "format_message"):  # the parser's own: unknown option, missing argument
        _say(f"error: {error.format_message()}{_help_for(arguments)}")
        return INPUT
    code = getattr(error, "exit_code", None)
    if isinstance(code, int):
        _say(str(error) if code in (INTERRUPTED, PREEMPTED) else f"error: {error}")
        return code
    if isinstance(error, OSError) and error.errno in _SYSTEM:
        where = f"{error.filename}: " if error.filename is not None else ""
        _say(f"error: {where}{_SYSTEM[error.errno]}")
        return INPUT
    try:
        where = f"the full traceback is in {_save_traceback(arguments)}"
    except OSError:
        where = "--debug shows the traceback"
    _say(f"error: {type(error).__name__}: {_first_line(error)} ({where})")
    return BUG


def _say(text: str) -> None:
    # whatever a message holds, it stays one line
    sys.stderr.write("likewise: " + " ".join(text.split()) + "\n")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0]


def _help_for(arguments: Sequence[str]) -> str:
    verb = next((a for a in arguments if not a.startswith("-")), None)
    return f" (likewise {verb} --help shows how)" if verb in VERBS else " (likewise --help lists the verbs)"


def _save_traceback(arguments: Sequence[str]) -> Path:
    """Write the traceback in flight where it can be found: the run folder named by ``--out``, or a temporary folder."""
    out = next((b for a, b in itertools.pairwise(arguments) if a == "--out"), None)
    folder = Path(out) if out and Path(out).is_dir() else Path(tempfile.mkdtemp(prefix="likewise-"))
    path = folder / "traceback.txt"
    path.write_text(f"likewise {shlex.join(arguments)}\n\n{traceback.format_exc()}", encoding="utf-8")
    return path
