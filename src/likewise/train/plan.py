"""A run before it runs: the method, its resolved recipe, the data, and how to rebuild all of it from a folder."""

import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from likewise import __version__
from likewise.core import registry
from likewise.core.card import Card
from likewise.core.errors import InputError
from likewise.core.learner import Learner
from likewise.core.recipe import Recipe, Spec, part, spec
from likewise.data.dataset import Dataset
from likewise.evaluate.measure import FrozenFeatures, Measure
from likewise.train.events import read_json


@dataclass
class Plan:
    """Everything that decides a run.

    Attributes:
        card: of the method.
        recipe: resolved: every default and every fact of the data written out.
        seed: one seed for weights, order, views and whatever the method draws.
        size: which of the method's recipes it came from.
        facts: what the data and the schedule told the parts.
        source: ``module`` or file that registers the method, for methods from outside.
        notes: what was adjusted and the user should know.
    """

    card: Card
    recipe: Recipe
    seed: int
    size: str
    facts: dict[str, Any]
    source: str = ""
    notes: list[str] = field(default_factory=list)
    _dataset: Dataset | None = None

    @property
    def dataset(self) -> Dataset:
        """The data, loaded when first used."""
        if self._dataset is None:
            self._dataset = self.recipe.data.build()
        return self._dataset

    def learner(self) -> Learner:
        """A fresh learner, its weights drawn from the seed without touching the global generator."""
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            out: Learner = self.recipe.learner.build(**self.facts)
        if type(out).attach is not Learner.attach:  # else the data need not be loaded
            out.attach(self.dataset.shared)
        return out

    def views(self, recipe: Recipe | None = None, facts: Mapping[str, Any] | None = None) -> Any:
        """The views part, a module as ``docs/architecture.md`` describes it; that of a stage's recipe if given."""
        out = (recipe or self.recipe).views.build(**(facts or self.facts))
        if hasattr(out, "attach"):
            out.attach(self.dataset.shared)
        return out

    def measure(self) -> Measure:
        """What is measured on the learner."""
        found: Measure = self.recipe.measure.build(**self.facts) if self.recipe.measure else FrozenFeatures()
        return found

    def to_json(self) -> dict[str, Any]:
        """What ``recipe.json`` holds."""
        return {
            "method": self.card.slug,
            "size": self.size,
            "seed": self.seed,
            "source": self.source,
            "version": __version__,
            "facts": self.facts,
            "recipe": self.recipe.to_json(),
        }

    @classmethod
    def read(cls, folder: Path) -> "Plan":
        """The plan of the run in ``folder``.

        Raises:
            InputError: there is no run, its recipe is damaged, or its method is not installed.
        """
        path = folder / "recipe.json"
        if not path.is_file():
            raise InputError(f"{folder} is not a run folder: it has no recipe.json (likewise runs lists runs)")
        held = read_json(path)
        if held is None or not {"method", "recipe", "facts", "seed", "size"} <= set(held):
            raise InputError(f"{path} is damaged: it is not the JSON of a recipe")
        return cls.from_json(held, str(path))

    @classmethod
    def from_json(cls, held: Mapping[str, Any], where: str = "recipe") -> "Plan":
        """A plan from :meth:`to_json`'s values; ``where`` names them in errors."""
        method = registry.load_file(held["source"]) if held.get("source") else registry.load(held["method"])
        if method.card.kind == "agent":
            raise InputError(
                f"{where}: {method.card.slug} is an agent, and its run has nothing to embed, search or evaluate: "
                "likewise report shows it"
            )
        import_parts()
        try:
            recipe = Recipe.from_json(held["recipe"])
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            raise InputError(f"{where} is damaged: {error}") from error
        return cls(method.card, recipe, held["seed"], held["size"], held["facts"], held.get("source", ""))


def prepare(
    method: registry.Method,
    *,
    data: Any = None,
    size: str = "small",
    seed: int = 0,
    settings: Sequence[tuple[str, Any]] = (),
    source: str = "",
) -> Plan:
    """Resolve a method, data and settings into a plan; every wrong setting is found here, before anything runs.

    Args:
        method: a loaded method.
        data: a source's name, a path, a data part, arrays, a Dataset, or None for the recipe's own.
        size: of the recipe.
        seed: of the run.
        settings: ``(path, value)`` over the recipe's.
        source: where a method from outside is registered.
    """
    from likewise.data.resolve import from_object, resolve

    import_parts()
    if method.card.kind != "learner":
        verb = {"decoder": "decode", "study": "study", "agent": "run"}[method.card.kind]
        raise InputError(f"{method.card.slug} is a {method.card.kind}, not something to train: likewise {verb} runs it")
    recipe = method.recipe(size).copy()
    held: Dataset | None = None
    if isinstance(data, Spec):
        recipe.data = data
    elif isinstance(data, str | Path):
        # a Path is a path, also where a source has the same name
        recipe.data = resolve(data if isinstance(data, str) else str(data.absolute()), method.card.modality)
    elif data is not None:
        held = from_object(data, modality=method.card.modality)
        recipe.data = spec(in_memory, name=held.name)
    for path, value in settings:
        recipe.set(path, value)
    _check(recipe)
    dataset = held if held is not None else recipe.data.build()
    plan = Plan(method.card, recipe, seed, size, {}, source, [], dataset)
    _fit_to_data(plan, dataset)
    plan.recipe = recipe.resolve(**plan.facts)
    if not plan.facts.get("num_classes") and "labels" in method.card.traits.needs:
        raise InputError(f"{method.card.slug} learns from labels, and {dataset.name} has none: use class folders")
    return plan


@part("data")
def in_memory(*, name: str) -> Dataset:
    """Stands in a saved recipe for arrays that were handed over in Python."""
    raise InputError(f"the run was trained on {name} held in memory: pass data to it")


def import_parts() -> None:
    """Register the parts that a recipe or ``--set`` can name."""
    import likewise.data.resolve
    import likewise.evaluate.measure
    import likewise.parts
    import likewise.views  # noqa: F401


def _check(recipe: Recipe) -> None:
    bounds = [("batch", 1), ("micro", 0), ("probe_every", 0), ("probe_rows", 2), ("save_every", 0)]
    for name, low in bounds:
        if getattr(recipe, name) < low:
            raise InputError(f"{name}={getattr(recipe, name)}: must be at least {low}")
    if recipe.steps is None and not recipe.epochs > 0:
        raise InputError(f"epochs={recipe.epochs}: must be above 0")
    if recipe.steps is not None and recipe.steps < 1:
        raise InputError(f"steps={recipe.steps}: must be at least 1")
    if recipe.clip is not None and not recipe.clip > 0:
        raise InputError(f"clip={recipe.clip}: must be above 0, or none")


def _fit_to_data(plan: Plan, dataset: Dataset) -> None:
    recipe, least = plan.recipe, plan.card.traits.min_batch
    if plan.card.traits.whole and not dataset.whole:
        raise InputError(f"{plan.card.slug} learns from a graph, and {dataset.name} is none: give edges and nodes")
    num = int((~dataset.test).sum())
    if num < least:
        raise InputError(f"{dataset.name} has {num} training sample(s); {plan.card.slug} needs at least {least}")
    if dataset.whole:
        recipe.batch = num  # every step sees the whole graph
    if recipe.batch < least:
        raise InputError(f"batch={recipe.batch}: {plan.card.slug} needs at least {least} samples in a batch")
    if recipe.batch > num:
        plan.notes.append(f"batch {recipe.batch} is more than the {num} training samples: {num} is used")
        recipe.batch = num
    plan.facts = {**dataset.facts(), "batch": recipe.batch, **length(recipe, num)}


def length(recipe: Recipe, num: int) -> dict[str, int]:
    """How long a recipe trains on ``num`` samples: the facts ``steps`` and ``steps_per_epoch``."""
    per_epoch = num // min(recipe.batch, num)
    return {"steps": recipe.steps or max(1, round(recipe.epochs * per_epoch)), "steps_per_epoch": per_epoch}


def environment(command: Sequence[str] = ()) -> dict[str, Any]:
    """Versions and machine, for ``environment.json``."""
    packages = ("torch", "numpy", "scikit-learn", "pillow", "safetensors", "lightning-fabric", "faiss-cpu")
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "likewise": __version__,
        "python": platform.python_version(),
        "packages": found,
        "machine": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "command": list(command or sys.argv),
    }
