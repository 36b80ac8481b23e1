"""How well embeddings of a graph's nodes tell their classes: logistic regressions over random splits, and clusters."""

import warnings
import zlib
from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from likewise.core.batch import Graph
from likewise.core.errors import InputError
from likewise.core.learner import Learner
from likewise.core.recipe import part
from likewise.data.dataset import Dataset
from likewise.evaluate.features import Views, extract
from likewise.evaluate.linear import Logistic, Standard, logistic
from likewise.evaluate.measure import Asked, Measure
from likewise.evaluate.scores import spread

GRID = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Inverse regularisations that the validation nodes choose from."""


def split(num: int, train: float, validation: float, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Positions of training, validation and test nodes: a random split; each side gets at least one of three nodes."""
    order = torch.randperm(num, generator=generator)
    first = max(1, round(train * num))
    second = max(1, round(validation * num))
    return order[:first], order[first : first + second], order[first + second :]


def accuracy_on(z: Tensor, y: Tensor, rows: tuple[Tensor, Tensor, Tensor]) -> float:
    """Test accuracy of a logistic regression on rows ``z (n, d)``, its C chosen on the validation rows."""
    train, validation, test = rows
    num = int(y.max()) + 1
    best: tuple[float, Logistic] | None = None
    for c in GRID:
        model = logistic(z[train], y[train], num, c=c, tolerance=1e-3, start=best[1] if best else None)
        right = float((model.predict(z[validation]) == y[validation]).double().mean())
        if best is None or right > best[0]:
            best = right, model
    assert best is not None
    return float((best[1].predict(z[test]) == y[test]).double().mean())


class _Nodes:
    """What the families of metrics share: features of all nodes, and those with a class."""

    def __init__(self, z: Tensor, dataset: Dataset, measure: "NodeClassification", seed: int) -> None:
        self.z, self.dataset, self.measure, self.seed = z, dataset, measure, seed

    @cached_property
    def held(self) -> Tensor:
        """Positions of the nodes with a class; none where there are no classes."""
        y = self.dataset.labels
        if y is None or y.is_floating_point():
            return torch.zeros(0, dtype=torch.int64)
        return (y >= 0).nonzero().flatten()

    @cached_property
    def y(self) -> Tensor:
        """Their classes, from 0."""
        assert self.dataset.labels is not None
        return torch.unique(self.dataset.labels[self.held], return_inverse=True)[1]

    @property
    def classed(self) -> bool:
        """Whether there is anything to classify."""
        return len(self.held) >= 10 and int(self.y.max()) > 0

    def generator(self, name: str) -> torch.Generator:
        """Random numbers of one family, which no other moves; the same for every embedding of a graph."""
        return torch.Generator().manual_seed(zlib.crc32(f"{self.seed} {name}".encode()))

    def classify(self, z: Tensor) -> list[float]:
        """Test accuracy over the random splits."""
        rows = F.normalize(z[self.held], dim=1)
        scaled, generator = Standard.of(rows)(rows), self.generator("splits")
        shares = (self.measure.train_share, self.measure.validation_share)
        return [accuracy_on(scaled, self.y, split(len(self.y), *shares, generator)) for _ in range(self.measure.splits)]


def _accuracy(n: _Nodes) -> dict[str, float]:
    found = torch.tensor(n.classify(n.z), dtype=torch.float64)
    out = {"node_accuracy": float(found.mean())}
    return {**out, "node_accuracy_std": float(found.std())} if len(found) > 1 else out


def _raw(n: _Nodes) -> dict[str, float]:
    graph = next(c for c in n.dataset.columns.values() if isinstance(c, Graph))
    found = n.classify(graph.x.float())
    return {"node_accuracy_raw": sum(found) / len(found)}


def _clusters(n: _Nodes) -> dict[str, float]:
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    state = int(torch.randint(2**31 - 1, (), generator=n.generator("clusters")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct rows than classes: the score says so
        rows = F.normalize(n.z[n.held], dim=1).numpy()
        found = KMeans(int(n.y.max()) + 1, n_init=5, random_state=state).fit_predict(rows)
    true = n.y.numpy()
    return {
        "nmi": float(normalized_mutual_info_score(true, found)),
        "ari": float(adjusted_rand_score(true, found)),
    }


def _chance(n: _Nodes) -> dict[str, float]:
    return {"chance": float(torch.bincount(n.y).max()) / len(n.y)}


def _geometry(n: _Nodes) -> dict[str, float]:
    return spread(n.z)


_FAMILIES: tuple[tuple[tuple[str, ...], bool, Callable[[_Nodes], dict[str, float]]], ...] = (
    (("node_accuracy", "node_accuracy_std"), True, _accuracy),
    (("node_accuracy_raw",), True, _raw),
    (("nmi", "ari"), True, _clusters),
    (("chance",), True, _chance),
    (("effective_rank", "uniformity", "std", "anisotropy"), False, _geometry),
)
"""Metrics of a family, whether it needs classes, and its function."""


@part("measure")
class NodeClassification(Measure):
    """Accuracy of logistic regressions on the nodes' embeddings over random splits; clusters; geometry.

    Each split has its own training, validation (which chooses the regularisation) and test nodes, the protocol of
    GRACE and its followers (10 %, 10 %, 80 %), with a regression fitted to convergence on standardised unit rows.
    Nodes without a class are left out; a graph without classes has its geometry measured alone.

    Args:
        splits: random splits, of which mean and standard deviation are given.
        train_share: share of the nodes with a class that the regression is fitted to.
        validation_share: share that its regularisation is chosen on; the rest is scored.
    """

    untrained = ("node_accuracy", "nmi", "effective_rank", "uniformity")

    def __init__(self, splits: int = 20, *, train_share: float = 0.1, validation_share: float = 0.1) -> None:
        if splits < 1:
            raise InputError(f"node-classification: splits={splits}: at least one")
        if not (train_share > 0 and validation_share > 0 and train_share + validation_share < 1):
            raise InputError("node-classification: the shares must be above 0 and leave nodes to test on")
        self.splits, self.train_share, self.validation_share = splits, train_share, validation_share

    @property
    def names(self) -> tuple[str, ...]:
        """Every metric that may come out."""
        return (*(name for gives, _, _ in _FAMILIES for name in gives), "dim")

    def measured(self, asked: Asked) -> dict[str, Any]:
        """See :meth:`Measure.measured`."""
        dataset, rows = asked.dataset, torch.arange(len(asked.dataset))
        z = extract(asked.learner, asked.views, dataset, rows, device=asked.device, progress=asked.progress)
        nodes = _Nodes(z, dataset, self, asked.seed)
        out: dict[str, Any] = {}
        for gives, needs_classes, run in _FAMILIES:
            if asked.wants(*gives) and (nodes.classed or not needs_classes) and len(z) > 1:
                out |= run(nodes)
        return out | {"dim": z.shape[1]}

    def probe(self, learner: Learner, views: Views, dataset: Dataset, *, rows: int, seed: int) -> dict[str, Any]:
        """Accuracy over two splits, and geometry."""
        quick = NodeClassification(
            min(2, self.splits), train_share=self.train_share, validation_share=self.validation_share
        )
        what = ("node_accuracy", "effective_rank", "uniformity")
        return quick.evaluate(learner, views, dataset, seed=seed, what=what)
