"""The verbs and where each one is."""

import importlib
from typing import Annotated

import typer

from likewise import __version__
from likewise.cli.help import help_of

VERBS = (
    "methods",
    "show",
    "data",
    "train",
    "run",
    "runs",
    "report",
    "embed",
    "search",
    "recommend",
    "decode",
    "restore",
    "evaluate",
    "compare",
    "claim",
    "study",
    "new",
    "check",
)
"""Each is a function of its name in the module of its name, or a group of verbs called ``app`` there."""


def likewise(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of any error; goes anywhere.")] = False,
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
    if version:
        typer.echo(f"likewise {__version__}")
        raise typer.Exit


def build(verb: str | None = None) -> typer.Typer:
    """The command line with one verb, or with all. One is enough to run it, and takes a third of the time."""
    app = typer.Typer(
        name="likewise",
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    )
    app.callback(invoke_without_command=True, help=help_of(likewise))(likewise)
    for name in VERBS if verb not in VERBS else (verb,):
        module = importlib.import_module(f"likewise.cli.{name}")
        if hasattr(module, "app"):
            app.add_typer(module.app, name=name)
        else:
            app.command(name, help=help_of(getattr(module, name)))(getattr(module, name))
    return app
