"""The verbs and where each one is."""

import inspect
import re
from collections.abc import Callable

import typer

from likewise import __version__
from likewise.cli.check import check
from likewise.cli.compare import compare
from likewise.cli.embed import embed
from likewise.cli.evaluate import evaluate
from likewise.cli.methods import methods
from likewise.cli.new import new
from likewise.cli.report import report
from likewise.cli.runs import runs
from likewise.cli.search import search
from likewise.cli.show import show
from likewise.cli.train import train

app = typer.Typer(
    name="likewise",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
VERBS: dict[str, Callable[..., None]] = {
    "methods": methods,
    "show": show,
    "train": train,
    "runs": runs,
    "report": report,
    "embed": embed,
    "search": search,
    "evaluate": evaluate,
    "compare": compare,
    "new": new,
    "check": check,
}


def _help(verb: Callable[..., object]) -> str:
    """A docstring for the terminal: blocks of examples keep their lines (the parser's sign for that is a backspace)."""
    return re.sub(r"^(Examples|Start here):$", "\b\n\\g<0>", inspect.getdoc(verb) or "", flags=re.MULTILINE)


for _name, _verb in VERBS.items():
    app.command(_name, help=_help(_verb))(_verb)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"likewise {__version__}")
        raise typer.Exit


def likewise(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an unexpected error; goes anywhere."),
) -> None:
    """Learn embeddings from what is alike.

    Start here:
      likewise methods                                list the methods
      likewise data                                   list the data that comes with it or can be brought
      likewise train dcl --data ~/photos --out runs/photos
      likewise report runs/photos                     a page with curves, a map and neighbours
      likewise search runs/photos query.jpg           the nearest pictures

    Every verb has --help with examples, and --json for programs.
    """


app.callback(help=_help(likewise))(likewise)
