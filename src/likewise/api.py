"""The library in Python: train, open a run, use what it learned, compare methods."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from likewise.core import registry
from likewise.core.card import Card
from likewise.core.errors import InputError, near
from likewise.core.learner import Learner
from likewise.core.recipe import Recipe
from likewise.data.dataset import Dataset
from likewise.data.resolve import from_object
from likewise.data.text import in_vocabulary
from likewise.data.vocabulary import Vocabulary
from likewise.evaluate.features import extract
from likewise.evaluate.index import Index
from likewise.evaluate.retrieval import missing
from likewise.parts.generation import Writer
from likewise.parts.generation import decoder as make_decoder
from likewise.parts.language import LanguageLearner
from likewise.train import agent as agents
from likewise.train import checkpoint
from likewise.train.agent import AgentPlan
from likewise.train.events import read_events, read_json, read_status
from likewise.train.plan import Plan
from likewise.train.plan import prepare as _prepare
from likewise.train.run import train


@dataclass(frozen=True)
class Hit:
    """An answer of a search: cosine similarity (or score, if recommended), key, label's name or "", file or None."""

    score: float
    key: str
    label: str
    path: Path | None
    row: int


class Run:
    """A run folder and what was trained in it.

    Args:
        path: the folder.

    Raises:
        InputError: it is not a run folder, or it is damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise InputError(f"no run folder at {self.path} (likewise runs lists runs)")
        self.plan = Plan.read(self.path)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, method={self.slug!r}, state={self.status().get('state')!r})"

    @property
    def slug(self) -> str:
        """The method."""
        return self.plan.card.slug

    @property
    def card(self) -> Card:
        """The method's card."""
        return self.plan.card

    @property
    def recipe(self) -> Recipe:
        """The resolved recipe."""
        return self.plan.recipe

    def status(self) -> dict[str, Any]:
        """State, step, heartbeat (see ``docs/architecture.md``)."""
        return read_status(self.path)

    def events(self) -> list[dict[str, Any]]:
        """What the run logged, oldest first."""
        return read_events(self.path / "events.jsonl")

    @property
    def metrics(self) -> dict[str, Any]:
        """Final metrics, or those of the last probe of a run that has not finished."""
        final = read_json(self.path / "metrics.json")
        if final is not None:
            return final
        probes = [e for e in self.events() if e["event"] == "probe"]
        drop = ("event", "time", "step", "epoch", "positive_hist", "negative_hist")
        return {k: v for k, v in probes[-1].items() if k not in drop} if probes else {}

    @cached_property
    def learner(self) -> Learner:
        """The trained learner, in evaluation mode, with the newest whole checkpoint's weights.

        Raises:
            InputError: there is no checkpoint, or none that is whole.
        """
        found = checkpoint.load(self.path / "checkpoints")
        if found is None:
            raise InputError(f"{self.path} has no checkpoint yet: train it first (--resume)")
        out = self.plan.learner()
        checkpoint.load_weights(out, found[1]["learner"], f"checkpoint of step {found[0]} in {self.path}")
        return out.to(self.device).eval()

    @cached_property
    def views(self) -> Any:
        """The views part that the run was trained with."""
        return self.plan.views().to(self.device)

    @property
    def device(self) -> torch.device:
        """Where the run's model is used."""
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def dataset(self, data: Any = None, role: str | None = None) -> Dataset:
        """``data`` (a name, path, arrays, ...) in the shape that the run was trained on, or the run's own data.

        Where rows refer to other things (interactions to users and items), those of ``role`` are given, by default
        the first.

        Raises:
            InputError: the data can't be read, or have no such role.
        """
        found = self._dataset(data)
        if role is not None and role not in found.tables and found.tables:
            raise InputError(f"{found.name} has no {role!r}{near(role, found.tables)}")
        return found.tables.get(role or next(iter(found.tables), ""), found)

    def _dataset(self, data: Any) -> Dataset:
        if data is None:
            return self.plan.dataset
        found = from_object(data, image_size=self.plan.facts.get("image_size"), modality=self.card.modality)
        if found.tables and not isinstance(data, Dataset):
            own = self.plan.dataset.tables
            others = [r for r in own if r not in found.tables or list(found.tables[r].keys) != list(own[r].keys)]
            if others:
                raise InputError(
                    f"{self.slug} learned an embedding of each {others[0]} that it was trained with, and {found.name} "
                    f"has others: leave the data out to use the run's own, or train on the new ones"
                )
        return _in_shape(found, self.plan.facts)

    def embed(
        self, data: Any = None, *, role: str | None = None, batch: int = 512, progress: bool = False
    ) -> np.ndarray:
        """Embeddings ``(n, d)`` float32 of unit length, a row per item of ``data`` (the run's own if None).

        Args:
            data: a name, path, arrays, ..., or a :class:`Dataset`.
            role: which view of several (``"text"``), or which of the things that rows refer to (``"user"``); the
                first if None.
            batch: rows at a time.
            progress: show a bar when it takes long.
        """
        dataset = self.dataset(data, role)
        return self._unit(dataset, torch.arange(len(dataset)), role, batch, progress).numpy()

    def _unit(
        self, dataset: Dataset, rows: Tensor, role: str | None = None, batch: int = 512, progress: bool = False
    ) -> Tensor:
        found = extract(
            self.learner, self.views, dataset, rows, batch=batch, device=self.device, role=role, progress=progress
        )
        return nn.functional.normalize(found, dim=1)

    def search(
        self, query: Any, *, index: Any = None, k: int = 10, role: str | None = None, progress: bool = False
    ) -> list[Hit]:
        """The ``k`` items of ``index`` (the run's own data if None) nearest to ``query``, best first.

        Args:
            query: an item of ``index`` by its key (which then is not among the answers), a file, an array
                ``(h, w[, c])``, or anything that ``embed`` takes with a single item.
            index: what to search, as for :meth:`embed`.
            k: how many.
            role: as for :meth:`embed`. A query that has other modalities, but not this one, asks for it.
            progress: show a bar while the index is embedded.
        """
        if k < 1:
            raise InputError(f"k={k}: must be at least 1")
        dataset = self.dataset(index, role)
        own = _row(dataset, query, self.card.modality)
        if own is None:
            wanted = self.dataset(_one(query, dataset, self.card.modality), role)
            if len(wanted) != 1:
                raise InputError(f"a query is one item; this is {len(wanted)}")
        vectors = self._unit(dataset, torch.arange(len(dataset)), role, progress=progress)
        if own is not None:
            target = vectors[own : own + 1]
        elif role is not None and role not in wanted.columns and hasattr(self.learner, "query"):
            target = missing(self.learner, self.views, wanted, torch.arange(1), role, device=self.device)
        else:
            target = self._unit(wanted, torch.arange(1), role)
        found = Index(vectors, list(dataset.keys)).search(target, k=min(k + (own is not None), len(dataset)))
        scores, rows = found
        hits = [_hit(dataset, float(s), int(r)) for s, r in zip(scores[0], rows[0])]
        return [hit for hit in hits if hit.row != own][:k]

    def recommend(self, user: Any, *, k: int = 10, known: bool = False) -> list[Hit]:
        """The ``k`` items of largest score for a user, best first; the score is a dot product of embeddings.

        Args:
            user: by name, as in the data.
            k: how many.
            known: rank what the user has already, too (in training, validation or test).

        Raises:
            InputError: the run is no recommender's, or there is no such user.
        """
        from likewise.evaluate.ranking import recommend

        scores, rows = recommend(
            self.learner, self.views, self.plan.dataset, str(user), k, known=known, device=self.device
        )
        return [_hit(self.dataset(role="item"), score, i) for score, i in zip(scores.tolist(), rows.tolist())]

    @property
    def writer(self) -> Writer:
        """A language model's run as something that writes.

        Raises:
            InputError: the run is no language model's.
        """
        words = self.plan.facts.get("vocabulary")
        if words is None or not isinstance(self.learner, LanguageLearner):
            raise InputError(f"{self.path} is a run of {self.slug}, which is no language model: it can't write")
        known = Vocabulary(words)
        special = (known.pad, known.unknown)
        return Writer(self.learner, known.encode, known.decode, known.end, known.end, special, self.device)

    def generate(
        self,
        prompt: str | Sequence[str],
        decoder: str = "contrastive-search",
        *,
        steps: int = 64,
        seed: int = 0,
        stop: bool = True,
        **settings: Any,
    ) -> Any:
        """What follows a prompt; of several prompts, a list.

        Args:
            prompt: a text, or several.
            decoder: by name: ``contrastive-search``, ``greedy``, ``nucleus``, ...
            steps: tokens to write, at most.
            seed: of what is drawn.
            stop: where the model ends the text; else it goes on.
            settings: of the decoder, ``k=5``.
        """
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        out = self.writer.write(prompts, make_decoder(decoder, settings), steps, seed=seed, stop=stop)
        return out[0] if isinstance(prompt, str) else out

    def evaluate(self, data: Any = None, *, what: Sequence[str] | None = None) -> dict[str, Any]:
        """What the run's measure finds on ``data`` (the run's own if None): as a rule, metrics on its test split."""
        dataset = self._dataset(data)
        measure = self.plan.measure()
        return dict(
            measure.evaluate(self.learner, self.views, dataset, seed=self.plan.seed, device=self.device, what=what)
        )

    def report(self, *, rows: int = 2000) -> Path:
        """Write the run's page and say where it is.

        Args:
            rows: how many samples the map shows at most; of the test split where that has enough, else of all.
        """
        from likewise.report.curves import curves
        from likewise.report.run import write_run_report
        from likewise.report.samples import Samples

        samples = None
        if checkpoint.steps(self.path / "checkpoints"):
            dataset = self.dataset()
            shown = dataset.test_rows if len(dataset.test_rows) >= min(rows, 300) else torch.arange(len(dataset))
            if len(shown) > rows:
                shown = shown[torch.linspace(0, len(shown) - 1, rows).long()]
            taken = {} if dataset.whole else dataset.take(shown)
            image: Any = taken.get(dataset.pictures())
            series = taken.get("series")
            if image is None and isinstance(series, Tensor):
                image = curves(series.numpy())
            samples = Samples(
                features=self._unit(dataset, shown),
                keys=[str(dataset.keys[i]) for i in shown.tolist()],
                labels=None if dataset.labels is None else dataset.labels[shown],
                classes=dataset.classes,
                thumbnails=image,
            )
        method = registry.load(self.slug) if not self.plan.source else registry.load_file(self.plan.source)
        default = method.recipe(self.plan.size).resolve(**self.plan.facts).to_json()
        return write_run_report(self.path, card=self.card, samples=samples, default=default)


def prepare(
    method: str,
    data: Any = None,
    *,
    size: str = "small",
    seed: int = 0,
    settings: Sequence[tuple[str, Any]] = (),
) -> Plan:
    """What ``fit`` would run: every name, type and value checked, nothing trained."""
    if ":" in method or method.endswith(".py"):
        found = registry.load_file(method)
        return _prepare(found, data=data, size=size, seed=seed, settings=settings, source=method)
    return _prepare(registry.load(method), data=data, size=size, seed=seed, settings=settings)


def prepare_agent(
    method: str,
    data: Any = None,
    *,
    size: str = "small",
    seed: int = 0,
    settings: Sequence[tuple[str, Any]] = (),
) -> AgentPlan:
    """What an agent would run in an environment; :func:`likewise.train.agent.run` then runs it in a folder."""
    outside = ":" in method or method.endswith(".py")
    found = registry.load_file(method) if outside else registry.load(method)
    return agents.prepare(found, data=data, size=size, seed=seed, settings=settings, source=method if outside else "")


def write_report(path: str | Path) -> Path:
    """Write the page of a run of any kind; where it is."""
    folder = Path(path)
    slug = str((read_json(folder / "recipe.json") or {}).get("method", ""))
    found = registry.listings().get(slug)
    if found is not None and found.card.kind == "agent":
        from likewise.report.run import write_run_report

        return write_run_report(folder, card=found.card)
    return Run(folder).report()


def fit(
    data: Any = None,
    method: str = "dcl",
    *,
    size: str = "small",
    out: str | Path | None = None,
    seed: int = 0,
    resume: bool = False,
    devices: int = 1,
    quiet: bool = False,
    settings: Sequence[tuple[str, Any]] = (),
    **changes: Any,
) -> Run:
    """Train a method and return the run.

    Args:
        data: a source's name, a path, arrays or tensors ``(n, h, w[, c])``, ``(X, y)``, a torch Dataset, a DataFrame
            with paths, or None for the recipe's own data.
        method: slug, or ``file.py:Class`` of your own.
        size: of the recipe: ``tiny``, ``small`` or ``paper``.
        out: run folder; a new one under ``runs/`` if None.
        seed: one number that decides everything random.
        resume: continue the run in ``out``.
        devices: how many GPUs (or CPU processes).
        quiet: no progress.
        settings: ``(path, value)`` pairs, as ``--set``.
        changes: the same by keyword, ``epochs=60``, ``temperature=0.2``.

    Raises:
        InputError: something given can't be used; the message says what and why.
    """
    plan = prepare(method, data, size=size, seed=seed, settings=[*settings, *changes.items()])
    folder = Path(out) if out is not None else new_folder(plan)
    train(plan, folder, devices=devices, resume=resume, quiet=quiet)
    run = Run(folder)
    run.plan._dataset = plan.dataset
    return run


def load(path: str | Path) -> Run:
    """Open a run folder."""
    return Run(path)


def runs(folder: str | Path = "runs") -> list[Run]:
    """The runs in a folder and its subfolders, by path; folders with a damaged recipe are left out."""
    out = []
    for recipe in sorted(Path(folder).rglob("recipe.json")):
        try:
            out.append(Run(recipe.parent))
        except InputError:
            continue
    return out


def new_folder(plan: Plan | AgentPlan, root: str | Path = "runs") -> Path:
    """A folder that is not there yet, named after method and data."""
    data = re.sub(r"[^\w-]+", "-", Path(plan.dataset.name).name).strip("-").lower() or "data"
    stem = Path(root) / f"{plan.card.slug}-{data}"
    number = 1
    while (folder := Path(f"{stem}-{number}")).exists():
        number += 1
    return folder


def _row(dataset: Dataset, query: Any, modality: str) -> int | None:
    """Where the item with the key ``query`` stands; of pictures, a file of that name comes before it."""
    if not isinstance(query, str) or (modality == "image" and Path(query).is_file()):
        return None
    keys = list(map(str, dataset.keys))
    return keys.index(query) if query in keys else None


def _one(query: Any, dataset: Dataset, modality: str) -> Any:
    """A single item as something that a dataset can be made of."""
    if modality == "text" and isinstance(query, str) and not Path(query).is_file():
        return [query]  # any text is a query
    if isinstance(query, str | Path):
        if not Path(query).is_file():
            hint = near(str(query), map(str, dataset.keys), listed=False)
            raise InputError(f"no file at {str(query)!r} and no item of that name to search with{hint}")
        return [str(query)] if modality == "image" else str(query)
    if isinstance(query, np.ndarray | Tensor) and query.ndim <= 3:
        return np.asarray(query)[None]
    return query


def _hit(dataset: Dataset, score: float, row: int) -> Hit:
    label = ""
    if dataset.labels is not None and dataset.classes is not None and dataset.labels[row] >= 0:
        label = str(dataset.classes[int(dataset.labels[row])])
    path = Path(dataset.root) / dataset.keys[row] if dataset.root else None
    return Hit(score, str(dataset.keys[row]), label, path, row)


def _in_shape(dataset: Dataset, facts: Mapping[str, Any]) -> Dataset:
    """The dataset with the image channels, or the tokens, that a model was trained on."""
    if "vocabulary" in facts and "vocabulary" in dataset.known:
        return in_vocabulary(dataset, facts["vocabulary"], facts["length"])
    image, channels = dataset.columns.get("image"), facts.get("channels")
    if not isinstance(image, Tensor) or channels in (None, image.shape[1]):
        return dataset
    if image.shape[1] == 1:
        image = image.expand(-1, channels, -1, -1)
    elif channels == 1:
        # the luma of ITU-R BT.601, as Pillow's "L"
        weights = torch.tensor([0.299, 0.587, 0.114])[: image.shape[1], None, None]
        image = torch.cat([(part * weights).sum(1, keepdim=True).round().byte() for part in image.split(1024)])
    else:
        raise InputError(f"{dataset.name} has {image.shape[1]} channels; the run was trained on {channels}")
    dataset.columns = {**dataset.columns, "image": image}
    return dataset
