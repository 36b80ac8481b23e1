"""What is measured on frozen features: a function per family of metrics, fitted on train and scored on test rows."""

import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from likewise.evaluate.linear import GRID, Standard, balanced, choose_c, fit_probe, fit_ridge, logistic
from likewise.functional import metrics as m

PAIRS = 10_000
"""Rows, at most, of metrics whose cost grows with the square of their number."""
QUERIES = 2_000
"""Test rows, at most, whose whole ranking is looked at."""
VIEW_ROWS, VIEWS = 1_000, 10
"""Test rows, at most, and views of each, for metrics of views: LiDAR's paper takes 1000 and finds 10 views enough."""
NEIGHBOURS = 20
_FEW_SHOT_C = 0.1  # five rows a class leave none to choose it on

Needs = Literal["classes", "targets", "pairs", "rows"]


class Frozen:
    """Features of the train and the test rows and their labels; features are computed when first asked for.

    Args:
        train: gives features ``(n, d)`` of the train rows; ``n`` may be 0.
        test: gives those of the test rows.
        views: gives ``(rows, number, d)`` features of augmented views of the first rows of what is scored.
        train_labels: ``(n,)``, or None.
        test_labels: ``(m,)``, or None.
        sizes: how many train rows and test rows there are.
        seed: of everything random.
    """

    def __init__(
        self,
        train: Callable[[], Tensor],
        test: Callable[[], Tensor],
        views: Callable[[int, int], Tensor],
        train_labels: Tensor | None,
        test_labels: Tensor | None,
        sizes: tuple[int, int],
        seed: int,
    ) -> None:
        self._train, self._test, self.views = train, test, views
        self.train_labels, self.test_labels = train_labels, test_labels
        self.num_train, self.num_test = sizes
        self.seed = seed

    @cached_property
    def train(self) -> Tensor:
        """Features ``(n, d)`` of the train rows."""
        return self._train()

    @cached_property
    def test(self) -> Tensor:
        """Features ``(m, d)`` of the test rows."""
        return self._test()

    @property
    def scored(self) -> Tensor:
        """What geometry is measured on: the test rows, or the train rows of data without a test split."""
        return self.test if self.num_test else self.train

    @property
    def scored_labels(self) -> Tensor | None:
        """Labels of :attr:`scored`."""
        return self.test_labels if self.num_test else self.train_labels

    def generator(self, name: str) -> torch.Generator:
        """Random numbers for one family of metrics, which no other family moves."""
        return torch.Generator().manual_seed(zlib.crc32(f"{self.seed} {name}".encode()))

    @cached_property
    def classes(self) -> tuple[Tensor, Tensor]:
        """The labels that occur in training, and each train row's position among them."""
        assert self.train_labels is not None
        labels, at = torch.unique(self.train_labels, return_inverse=True)
        return labels, at

    def has(self, needs: Needs) -> bool:
        """Whether the data allow a family of metrics."""
        if needs == "rows":
            return True
        if needs == "pairs":
            return (self.num_test or self.num_train) >= 2
        if self.train_labels is None or self.test_labels is None or not self.num_test or self.num_train < 2:
            return False
        if needs == "targets":
            return self.train_labels.is_floating_point()
        return not self.train_labels.is_floating_point() and len(self.classes[0]) >= 2

    def accuracy(self, at: Tensor) -> float:
        """Share of the test rows whose label is the ``at``-th class."""
        assert self.test_labels is not None
        found = self.classes[0][at.to(self.classes[0].device)]
        return float((found == self.test_labels.to(found.device)).double().mean())


@dataclass(frozen=True)
class Score:
    """A family of metrics: what it gives, what the data must have, and the function."""

    gives: tuple[str, ...]
    needs: Needs
    run: Callable[[Frozen], dict[str, float]]


SCORES: list[Score] = []


def _score(*gives: str, needs: Needs) -> Callable[[Callable[[Frozen], dict[str, float]]], None]:
    def add(run: Callable[[Frozen], dict[str, float]]) -> None:
        SCORES.append(Score(gives, needs, run))

    return add


@_score("knn", needs="classes")
def _knn(f: Frozen) -> dict[str, float]:
    return {"knn": f.accuracy(m.knn_predict(f.test, f.train, f.classes[1].to(f.train.device), k=NEIGHBOURS))}


@_score("linear", "linear_c", needs="classes")
def _linear(f: Frozen) -> dict[str, float]:
    scale = Standard.of(f.train)
    model, c = fit_probe(scale(f.train), f.classes[1].to(f.train.device), len(f.classes[0]), f.generator("linear"))
    return {"linear": f.accuracy(model.predict(scale(f.test))), "linear_c": c}


@_score("linear_200", "linear_200_std", needs="classes")
def _linear_200(f: Frozen) -> dict[str, float]:
    if f.num_train < 200:
        return {}
    # the scale needs no labels, so it is known from all train rows
    scale, y, generator = Standard.of(f.train), f.classes[1].to(f.train.device), f.generator("linear_200")
    draws = [balanced(y, generator)[0][:200].to(f.train.device) for _ in range(5)]
    first, num_classes = draws[0], len(f.classes[0])
    # chosen once, on the first draw: a choice for each would take five times as long and tell nothing more
    c = choose_c(scale(f.train[first]), y[first], num_classes, generator, grid=GRID[1:-1])
    fits = [logistic(scale(f.train[rows]), y[rows], num_classes, c=c) for rows in draws]
    found = [f.accuracy(model.predict(scale(f.test))) for model in fits]
    return _mean_and_std("linear_200", found)


@_score("few_shot_5", "few_shot_5_std", "few_shot_5_centroid", needs="classes")
def _few_shot(f: Frozen) -> dict[str, float]:
    scale, y, generator = Standard.of(f.train), f.classes[1].to(f.train.device), f.generator("few_shot")
    if int(torch.bincount(y).max()) < 5:
        return {}
    test, unit, linear, centroid = scale(f.test), F.normalize(f.test, dim=1), [], []
    for _ in range(10):
        order, before = balanced(y, generator)
        rows = order[before < 5].to(f.train.device)  # a class with fewer rows gives all it has
        x, label = f.train[rows], y[rows]
        linear.append(f.accuracy(logistic(scale(x), label, len(f.classes[0]), c=_FEW_SHOT_C).predict(test)))
        means = x.new_zeros(len(f.classes[0]), x.shape[1]).index_add_(0, label, F.normalize(x, dim=1))
        centroid.append(f.accuracy((unit @ F.normalize(means, dim=1).T).argmax(1)))
    return {**_mean_and_std("few_shot_5", linear), "few_shot_5_centroid": sum(centroid) / len(centroid)}


@_score("chance", needs="classes")
def _chance(f: Frozen) -> dict[str, float]:
    return {"chance": f.accuracy(torch.bincount(f.classes[1]).argmax()[None])}


@_score("map", "recall_at_1", "recall_at_5", "recall_at_10", needs="classes")
def _retrieval(f: Frozen) -> dict[str, float]:
    assert f.test_labels is not None
    # a random order decides ties, so that sorted classes can't make a constant embedding look good
    order = torch.randperm(f.num_test, generator=f.generator("retrieval"))[:PAIRS]
    gallery = F.normalize(f.test[order.to(f.test.device)], dim=1)
    labels = f.test_labels[order.to(f.test_labels.device)].to(gallery.device)
    sums: dict[str, float] = {}
    count = 0
    for own in torch.split(torch.arange(min(QUERIES, len(gallery)), device=gallery.device), 256):
        cosine = gallery[own] @ gallery.T
        cosine[torch.arange(len(own), device=own.device), own] = -torch.inf
        ranked = cosine.argsort(dim=1, descending=True, stable=True)[:, :-1]  # the query itself stands last
        relevant = labels[ranked] == labels[own][:, None]
        relevant = relevant[relevant.any(1)]  # a query without its like has no right answer
        count += len(relevant)
        hits = {f"recall_at_{k}": m.hit_at_k(relevant, k) for k in (1, 5, 10)}
        for name, values in {"map": m.average_precision(relevant), **hits}.items():
            sums[name] = sums.get(name, 0.0) + float(values.double().sum())
    return {name: value / count for name, value in sums.items()} if count else {}


@_score("nmi", "ari", needs="classes")
def _clusters(f: Frozen) -> dict[str, float]:
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    assert f.test_labels is not None
    if len(torch.unique(f.test_labels)) < 2:
        return {}
    generator = f.generator("clusters")
    rows = torch.randperm(f.num_train, generator=generator)[:PAIRS].to(f.train.device)
    state = int(torch.randint(2**31 - 1, (), generator=generator))
    kmeans = KMeans(len(f.classes[0]), n_init=5, random_state=state)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct rows than classes: the score says so
        kmeans.fit(F.normalize(f.train[rows], dim=1).cpu().numpy())
    found = kmeans.predict(F.normalize(f.test, dim=1).cpu().numpy())
    true = f.test_labels.cpu().numpy()
    return {
        "nmi": float(normalized_mutual_info_score(true, found)),
        "ari": float(adjusted_rand_score(true, found)),
    }


@_score("r2", "mae", needs="targets")
def _regression(f: Frozen) -> dict[str, float]:
    assert f.train_labels is not None
    assert f.test_labels is not None
    scale = Standard.of(f.train)
    w, b = fit_ridge(scale(f.train), f.train_labels, f.generator("regression"))
    true = f.test_labels.double().cpu()
    error = scale(f.test).cpu().double() @ w + b - true
    out = {"mae": float(error.abs().mean())}
    variance = float((true - true.mean()).square().sum())
    # a single row, or one value for all, has no variance to explain
    return {"r2": 1 - float(error.square().sum()) / variance, **out} if variance > 0 else out


@_score("effective_rank", "uniformity", "std", "anisotropy", "tolerance", needs="pairs")
def _spread(f: Frozen) -> dict[str, float]:
    rows = torch.randperm(len(f.scored), generator=f.generator("spread"))[:PAIRS].to(f.scored.device)
    z = f.scored[rows]
    out = spread(z)
    labels = f.scored_labels
    if labels is not None and not labels.is_floating_point():
        labels = labels[rows.to(labels.device)].to(z.device)
        if len(torch.unique(labels)) < len(labels):
            out["tolerance"] = float(m.tolerance(z, labels))
    return out


def spread(z: Tensor) -> dict[str, float]:
    """Geometry of rows ``(n, d)``, two or more."""
    return {
        "effective_rank": float(m.effective_rank(z)),
        "uniformity": float(m.uniformity(z)),
        # 1/sqrt(d) for directions without preference: as a multiple of it, widths compare
        "std": float(m.per_dimension_std(z).mean()) * z.shape[1] ** 0.5,
        "anisotropy": float(m.anisotropy(z)),
    }


@_score("alignment", "apart", "lidar", needs="pairs")
def _views(f: Frozen) -> dict[str, float]:
    return of_views(f.views(VIEW_ROWS, VIEWS))


def of_views(z: Tensor) -> dict[str, float]:
    """Alignment of the first two views and LiDAR of all, of ``(n, q, d)`` features; two samples or more.

    LiDAR's delta acts on an absolute scale, so the features are brought to a mean variance of 1 first.
    """
    flat = z.flatten(0, 1)
    size = flat.var(0, unbiased=False).mean().sqrt()
    a, b = F.normalize(z[:, :2].double(), dim=-1).unbind(1)
    alignment, n = float(m.alignment(a, b)), len(a)
    # the sum over all pairs of rows of a and b has a closed form; the pairs of one sample leave it again
    every = n * (a.square().sum() + b.square().sum()) - 2 * (a.sum(0) * b.sum(0)).sum()
    return {
        "alignment": alignment,
        "apart": (float(every) / n - alignment) / (n - 1),
        "lidar": float(m.lidar(z / size.clamp_min(torch.finfo(z.dtype).tiny))),
    }


def _mean_and_std(name: str, values: list[float]) -> dict[str, float]:
    found = torch.tensor(values, dtype=torch.float64)
    return {name: float(found.mean()), f"{name}_std": float(found.std(unbiased=True))}
