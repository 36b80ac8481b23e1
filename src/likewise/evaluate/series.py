"""What is measured on time series: forecasts of one long series, classes of many."""

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor

from likewise.core.errors import InputError, near
from likewise.core.learner import Learner
from likewise.core.recipe import part
from likewise.data.dataset import Dataset
from likewise.evaluate.catalogue import METRICS
from likewise.evaluate.features import Views, extract
from likewise.evaluate.forecasting import Forecasting
from likewise.evaluate.linear import Standard
from likewise.evaluate.measure import FrozenFeatures

PENALTIES = tuple(10.0**power for power in range(-4, 5))
"""C of the support vector machine, chosen by cross-validation; TS2Vec's code has these and no penalty at all."""
_ROWS = 10_000  # a support vector machine takes time with the square of its rows


@part("measure", "series")
class SeriesMeasure(FrozenFeatures):
    """Forecasts where the data are one long series, probes of frozen features where they are many.

    Many series with classes get a support vector machine with Gaussian kernel on their features beside the usual
    probes, as in TS2Vec (arXiv:2106.10466, section 4.1), its penalty chosen by cross-validation.

    Args:
        horizons: see :class:`Forecasting`.
        context: see :class:`Forecasting`.
    """

    untrained = ("svm", "knn", "linear", "forecast_mse", "forecast_mae", "effective_rank")

    def __init__(self, *, horizons: tuple[int, ...] = (24, 48, 168, 336, 720), context: int = 200) -> None:
        self.forecasting = Forecasting(horizons=horizons, context=context)

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
        """Forecasting metrics, or ``svm`` and those of frozen features; what the data can't answer is absent."""
        for name in what or ():
            if name not in METRICS:
                raise InputError(f"unknown metric {name!r}{near(name, METRICS)}")
        ahead = set(self.forecasting.names)
        out: dict[str, Any] = {}
        if "series" in dataset.shared and (what is None or ahead & set(what)):
            wanted = None if what is None else ahead & set(what)
            out |= self.forecasting.evaluate(learner, views, dataset, seed=seed, what=wanted, device=device)
        if (what is None or "svm" in what) and _classified(dataset):
            out["svm"] = svm(learner, views, dataset, seed=seed, device=device)
        rest = None if what is None else [name for name in what if name not in ahead | {"svm"}]
        if rest is None or rest:
            out |= super().evaluate(learner, views, dataset, seed=seed, what=rest, device=device, progress=progress)
        return out


def _classified(dataset: Dataset) -> bool:
    labels = dataset.labels
    if labels is None or labels.is_floating_point() or not len(dataset.test_rows):
        return False
    return len(labels[dataset.train_rows].unique()) > 1


def svm(
    learner: Learner, views: Views, dataset: Dataset, *, seed: int = 0, device: torch.device | str | None = None
) -> float:
    """Test accuracy of a support vector machine on the standardised features of the training rows.

    Of more than 10,000 training rows a random subset is taken. Where a class has fewer than two rows, C is 1.
    """
    import numpy as np
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.svm import SVC

    assert dataset.labels is not None
    train = dataset.train_rows
    if len(train) > _ROWS:
        train = train[torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))[:_ROWS]]
    x, z = (extract(learner, views, dataset, rows, device=device).double() for rows in (train, dataset.test_rows))
    scale = Standard.of(x)
    y = dataset.labels[train].numpy()
    fewest = int(np.unique(y, return_counts=True)[1].min())
    model: Any = SVC(C=1.0, gamma="scale")
    if fewest >= 2:
        folds = StratifiedKFold(min(5, fewest), shuffle=True, random_state=seed)
        model = GridSearchCV(model, {"C": PENALTIES}, cv=folds)
    model.fit(scale(x).numpy(), y)
    right: Tensor = torch.from_numpy(model.predict(scale(z).numpy())) == dataset.labels[dataset.test_rows]
    return float(right.double().mean())
