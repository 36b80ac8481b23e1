"""What a run is measured by: a part that a recipe names, frozen features where it names none.

A method of another kind of task (rankings, forecasts, pictures, text) brings a :class:`Measure` of its own kind. Its
metrics stand in :data:`likewise.evaluate.catalogue.METRICS`, so that reports and comparisons know which way is better.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from likewise.core.errors import InputError, near
from likewise.core.learner import Learner
from likewise.core.recipe import part
from likewise.data.dataset import Dataset
from likewise.evaluate import probes
from likewise.evaluate.features import Views


@dataclass(frozen=True)
class Asked:
    """What is to be measured, and how.

    Attributes:
        learner: in whatever mode; it is left as it was.
        views: as the run was trained with.
        dataset: what to measure on.
        seed: of everything random.
        what: names of metrics; all if None.
        device: where to move the learner and compute; where it is if None.
        progress: show a bar when it takes long.
    """

    learner: Learner
    views: Views
    dataset: Dataset
    seed: int = 0
    what: Collection[str] | None = None
    device: torch.device | str | None = None
    progress: bool = False

    def wants(self, *names: str) -> bool:
        """Whether any of these metrics is asked for."""
        return self.what is None or not set(names).isdisjoint(self.what)


class Measure:
    """Base of every measure. One overrides :meth:`measured`, and :meth:`probe` where a quick look is affordable."""

    untrained: tuple[str, ...] = ()
    """Metrics that are measured on the untrained learner, too: a number means little without it. None: not at all."""

    @property
    def names(self) -> Sequence[str]:
        """Every metric that may come out."""
        return ()

    def measured(self, asked: Asked) -> Mapping[str, Any]:
        """Metrics by name, the most telling first; what was not asked for may be left out, or is dropped.

        Raises:
            InputError: data that can't be measured.
        """
        raise NotImplementedError(f"{type(self).__name__}: measured() is abstract")

    def evaluate(
        self,
        learner: Learner,
        views: Views,
        dataset: Dataset,
        *,
        seed: int = 0,
        what: Collection[str] | None = None,
        device: torch.device | str | None = None,
        progress: bool = False,
    ) -> dict[str, Any]:
        """The metrics that are asked for; arguments as :class:`Asked`.

        Raises:
            InputError: an unknown name, or data that can't be measured.
        """
        for name in what or ():
            if name not in self.names:
                raise InputError(f"unknown metric {name!r}{near(name, self.names)}")
        found = self.measured(Asked(learner, views, dataset, seed, what, device, progress))
        return {name: value for name, value in found.items() if what is None or name in what}

    def probe(self, learner: Learner, views: Views, dataset: Dataset, *, rows: int, seed: int) -> dict[str, Any]:
        """A quick look during training that leaves no trace; nothing unless overridden."""
        return {}

    def illustrate(self, learner: Learner, views: Views, dataset: Dataset, folder: Path) -> None:
        """Write ``pictures.png`` or ``texts.json`` for the run's page into its folder; nothing unless overridden."""


@part("measure", "features")
class FrozenFeatures(Measure):
    """Probes of frozen features: neighbours, linear probes, geometry. The default."""

    untrained: tuple[str, ...] = ("knn", "linear", "uniformity", "effective_rank")

    def evaluate(
        self,
        learner: Learner,
        views: Views,
        dataset: Dataset,
        *,
        seed: int = 0,
        what: Collection[str] | None = None,
        device: torch.device | str | None = None,
        progress: bool = False,
    ) -> dict[str, Any]:
        """See :func:`likewise.evaluate.probes.evaluate`."""
        return dict(probes.evaluate(learner, views, dataset, seed=seed, what=what, device=device, progress=progress))

    def probe(self, learner: Learner, views: Views, dataset: Dataset, *, rows: int, seed: int) -> dict[str, Any]:
        """See :func:`likewise.evaluate.probes.probe`."""
        return probes.probe(learner, views, dataset, rows=rows, seed=seed)
