"""``likewise train``: train a method on data, into a run folder."""

import shlex
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from likewise.cli import terminal
from likewise.cli.arguments import Data, Json, Settings, Size, settings
from likewise.core.errors import InputError
from likewise.evaluate.catalogue import LEADS, METRICS

if TYPE_CHECKING:
    from likewise.train.plan import Plan


def train(
    method: Annotated[
        str | None,
        typer.Argument(help="A method's name, or file.py:Class of your own. With --resume it can be left out."),
    ] = None,
    data: Data = None,
    size: Size = "small",
    changes: Settings = None,
    epochs: Annotated[float | None, typer.Option(help="Passes over the training samples.")] = None,
    batch: Annotated[int | None, typer.Option(help="Samples per step, over all devices.")] = None,
    seed: Annotated[int, typer.Option(help="Decides everything that is random.")] = 0,
    devices: Annotated[int, typer.Option(help="How many GPUs, or processes on a CPU.")] = 1,
    precision: Annotated[str | None, typer.Option(help="32, bf16-mixed or 16-mixed.")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The run folder; by default a new one, runs/METHOD-DATA-N.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out, or begin it.")] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write curves to DIR/tensorboard for TensorBoard.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything and show it, but train nothing.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
    json: Json = False,
) -> None:
    """Train a method on data.

    Stop it with Ctrl-C; --resume goes on to the same numbers as if nothing had happened.

    Examples:
      likewise train dcl --data ~/photos --out runs/photos
      likewise train dcl --data fashion-mnist --set temperature=0.2 --set learner.encoder=resnet18
      likewise train dcl --data ~/photos --out runs/photos --resume
      likewise train my_method.py:MyMethod --data digits --size tiny
      likewise train dcl --data ~/photos --dry-run      # what would run, every setting written out
    """
    from likewise import api
    from likewise.train.events import Stopped
    from likewise.train.plan import Plan
    from likewise.train.run import open_folder
    from likewise.train.run import train as run_plan
    from likewise.train.runtime import make_runtime
    from likewise.train.tensorboard import mirrored

    wanted = settings(changes, epochs=epochs, batch=batch, precision=precision)
    if resume and out is None:
        raise InputError("--resume needs --out DIR, the run to continue (likewise runs lists them)")
    if method is None:
        if not resume or out is None:
            raise InputError("which method? likewise train METHOD --data ... (likewise methods lists them)")
        if wanted or data is not None:
            raise InputError("a run is continued with its own data and settings: leave out METHOD and all but --out")
        plan = Plan.read(out)
    else:
        plan = api.prepare(method, data, size=size, seed=seed, settings=wanted)
    folder = out if out is not None else api.new_folder(plan)
    # whatever can be found wrong is found before a folder is made
    make_runtime(devices, plan.recipe.precision)
    plan.learner()
    plan.views()
    plan.measure()
    if dry_run:
        _announce(plan, folder, devices)
        _show_plan(plan, json)
        return
    open_folder(plan, folder, resume)
    _announce(plan, folder, devices)
    try:
        with mirrored(folder) if tensorboard else nullcontext():
            run_plan(plan, folder, devices=devices, resume=True, quiet=quiet)
    except Stopped:
        again = ["likewise", "train", "--out", str(folder), "--resume"]
        terminal.line("next", shlex.join([*again, *(["--devices", str(devices)] if devices > 1 else [])]), stderr=True)
        raise
    run = api.Run(folder)
    if json:
        terminal.emit({"run": folder, "method": run.slug, **run.status(), "metrics": run.metrics})
        return
    terminal.line("done", f"{folder}   {_in_words(run.metrics)}")
    where = shlex.quote(str(folder))
    query = "PICTURE" if plan.card.modality == "image" else "KEY"
    more = [f"likewise recommend {where} USER"] if {"user", "item"} <= set(plan.dataset.tables) else []
    terminal.line("next", f"likewise report {where}", f"likewise search {where} {query}", *more)


def _announce(plan: "Plan", folder: Path, devices: int) -> None:
    data, recipe = plan.dataset, plan.recipe
    num_train, num_test = len(data.train_rows), len(data.test_rows)
    text = f"{len(data):,}, {num_train:,} to train and {num_test:,} to test"
    if data.classes is not None:
        text += f", in {len(data.classes)} {'folders' if data.root else 'classes'}"
    if data.skipped:
        text += f" ({len(data.skipped)} unreadable, listed in {folder / 'skipped.txt'})"
    terminal.line(plan.card.modality.removesuffix("s") + "s", text, stderr=True)
    encoder = recipe.learner.settings.get("encoder")
    length = f"{recipe.steps} steps" if recipe.steps else f"{recipe.epochs:g} epochs"
    parts = [plan.card.slug, getattr(encoder, "name", ""), recipe.views.name, f"batch {recipe.batch}", length]
    terminal.line("method", " · ".join([*filter(None, parts), _device(devices)]), stderr=True)
    for note in plan.notes:
        terminal.line("note", note, stderr=True)


def _device(devices: int) -> str:
    import torch

    name = "cuda" if torch.cuda.is_available() else "cpu"
    return name if devices == 1 else f"{devices} x {name}"


def _show_plan(plan: "Plan", json: bool) -> None:
    if json:
        terminal.emit(plan.to_json())
        return
    values = dict(plan.recipe.walk())
    terminal.line("settings", *(f"{path} = {value}" for path, value in values.items()))
    terminal.line("next", "the same command without --dry-run")


def _in_words(metrics: Mapping[str, Any]) -> str:
    """The main metrics in a line, with what an untrained encoder has."""
    before = metrics.get("untrained", {})
    out = []
    usual = [name for name in (*LEADS, "knn", "linear", "uniformity", "effective_rank") if name in metrics]
    if next(iter(metrics), "") not in usual:  # a measure of another kind, the most telling first
        usual = [n for n in metrics if n in METRICS and n not in ("seconds", "peak_memory_mb")][:4]
    for name in usual:
        if name in metrics:
            was = f" (untrained {terminal.show(before[name])})" if name in before else ""
            out.append(f"{name.replace('_', ' ')} {terminal.show(metrics[name])}{was}")
    return "  ".join(out)
