"""A whole run in its folder: train, evaluate, leave everything readable."""

import sys
from pathlib import Path
from typing import Any, Protocol

import torch

from likewise.core.errors import InputError
from likewise.core.learner import Learner
from likewise.data.dataset import Dataset
from likewise.train.display import make_display
from likewise.train.events import EventLog, Heartbeat, Stopped, read_json, read_status, write_json
from likewise.train.plan import Plan, environment
from likewise.train.runtime import LocalRuntime, make_runtime
from likewise.train.trainer import Trainer


class Planned(Protocol):
    """What a run folder is opened for: a :class:`Plan`, or an agent's."""

    def to_json(self) -> dict[str, Any]:
        """What ``recipe.json`` holds."""
        ...

    @property
    def dataset(self) -> Any:
        """The data or the environment."""
        ...


def train(
    plan: Plan, folder: Path, *, devices: int = 1, resume: bool = False, quiet: bool = False, fabric: bool = False
) -> None:
    """Train ``plan`` in ``folder`` and write its metrics; see ``docs/architecture.md`` for the files.

    Raises:
        InputError: the folder holds another run, can't be written, or holds this one and ``resume`` is false.
        Stopped: a signal asked to stop; the run is saved.
        Diverged: the loss is not finite.
    """
    if resume and finished(plan, folder):
        return
    if devices > 1 and plan.card.traits.splits == "single":
        raise InputError(f"devices={devices}: {plan.card.slug} trains on one device")
    open_folder(plan, folder, resume)
    runtime = make_runtime(devices, plan.recipe.precision, fabric)
    # processes are told the folder, not the plan: a method from a file can't be sent to them
    held = plan.dataset if devices > 1 and plan.recipe.data.name == "in-memory" else None
    runtime.launch(_work, folder, plan if devices == 1 else None, held, resume, quiet)


def finished(plan: Plan, folder: Path) -> bool:
    """Whether ``folder`` holds this very plan, trained to the end."""
    return read_status(folder).get("state") == "finished" and _same(plan, folder)


def train_folder(folder: Path, *, resume: bool = False, quiet: bool = False) -> None:
    """Train the plan that stands in ``folder``, on one device."""
    plan = Plan.read(folder)
    _work(make_runtime(1, plan.recipe.precision), folder, plan, None, resume, quiet)


def _work(
    runtime: LocalRuntime, folder: Path, plan: Plan | None, dataset: Dataset | None, resume: bool, quiet: bool
) -> None:
    plan = plan or Plan.read(folder)
    plan._dataset = plan._dataset or dataset
    first = runtime.comm.rank == 0
    beat = Heartbeat(folder / "status.json", epochs=plan.recipe.epochs, method=plan.card.slug)
    log = EventLog(folder / "events.jsonl")
    if first:
        beat.__enter__()
    try:
        display = make_display(quiet or not first)
        trainer = Trainer(plan, folder, runtime, display=display, beat=beat.update, resume=resume)
        learner = trainer.fit()
        if first:
            seconds = round(trainer.seconds, 2)
            metrics = _measure(plan, learner, runtime, folder) if plan.recipe.evaluate else {}
            metrics |= {"seconds": seconds, "peak_memory_mb": round(peak_memory_mb(runtime.device), 1)}
            write_json(folder / "metrics.json", metrics)
            log.write("end", step=trainer.taken + trainer.step)
            beat.end("finished")
    except BaseException as error:
        if first:
            state = "interrupted" if isinstance(error, Stopped | KeyboardInterrupt) else "failed"
            message = str(error) or type(error).__name__
            leave(beat, log, state, message)
        raise
    runtime.comm.barrier()


def leave(beat: Heartbeat, log: EventLog, state: str, message: str) -> None:
    """Write down how a run ended that did not finish."""
    try:
        log.write(state, step=int(beat.fields.get("step", 0)), message=message)
        beat.end(state, message)
    except OSError:
        # the disk that ended the run can't take its last words either; the error itself reaches the user
        return


def _measure(plan: Plan, learner: Learner, runtime: LocalRuntime, folder: Path) -> dict[str, Any]:
    views, measure = plan.views().to(runtime.device), plan.measure()
    out: dict[str, Any] = measure.evaluate(learner, views, plan.dataset, seed=plan.seed)
    if measure.untrained:
        fresh = plan.learner().to(runtime.device)
        out["untrained"] = measure.evaluate(fresh, views, plan.dataset, seed=plan.seed, what=measure.untrained)
    measure.illustrate(learner, views, plan.dataset, folder)
    return out


def open_folder(plan: Planned, folder: Path, resume: bool) -> None:
    """Make the run folder and write down what will run, or refuse a folder that holds something else."""
    recipe = folder / "recipe.json"
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: choose another folder for the run (--out)")
    if recipe.exists() and not resume:
        raise InputError(f"{folder} holds a run already: add --resume to continue it, or choose another --out")
    if recipe.exists() and not _same(plan, folder):
        raise InputError(
            f"{folder} holds a run with other settings ({_difference(plan, folder)}): choose another --out"
        )
    if folder.is_dir() and not recipe.exists() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty and holds no run: choose another folder (--out)")
    try:
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        write_json(recipe, plan.to_json())
        write_json(folder / "environment.json", environment(sys.argv))
        lines = [f"{path}\t{reason}\n" for path, reason in getattr(plan.dataset, "skipped", ())]
        if lines:
            (folder / "skipped.txt").write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise InputError(f"run folder {folder} can't be written: {error.strerror or error}") from error


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        return {k: v for name, inner in value.items() for k, v in _flat(inner, f"{path}.{name}".strip(".")).items()}
    return {path: list(value) if isinstance(value, tuple) else value}


def _difference(plan: Planned, folder: Path) -> str:
    mine, held = _flat(plan.to_json()), _flat(read_json(folder / "recipe.json") or {})
    for path in [*mine, *held]:
        if path != "version" and mine.get(path) != held.get(path):
            return (
                f"{path.replace('recipe.', '').replace('settings.', '')}: {held.get(path)} there, {mine.get(path)} now"
            )
    return ""


def _same(plan: Planned, folder: Path) -> bool:
    return read_json(folder / "recipe.json") is not None and not _difference(plan, folder)


def peak_memory_mb(device: torch.device) -> float:
    """Largest memory that this process held so far: on the GPU where there is one, else resident; nan if unknown."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
