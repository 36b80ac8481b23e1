"""Forecasts from frozen representations: ridge regression from one time step's features to the steps that follow."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from likewise.core.errors import InputError
from likewise.core.learner import Learner
from likewise.core.recipe import part
from likewise.evaluate.catalogue import HORIZONS
from likewise.evaluate.features import at_rest, device_of
from likewise.evaluate.measure import Asked, Measure

ALPHAS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
"""Regularisations that are chosen from on the validation part."""
_NUMBERS = 2**22  # targets that are held at a time


@part("measure")
class Forecasting(Measure):
    """Ridge regression from causal features to the next ``horizon`` steps of all channels.

    The features of step t are those of the last step of the window that ends there, so that nothing later takes part.
    Fitted on the first 60 % of the series, alpha chosen on the next 20 % by RMSE + MAE, scored on the last 20 %, on
    channels of deviation 1. The protocol of TS2Vec (arXiv:2106.10466, section 4.2) and of those after it. Beside it
    stands what repeating the last value gives. Horizons that don't fit into each part of the split are left out (where
    none does, the longest listed one that does is taken), and so are targets with missing values.

    Args:
        horizons: steps ahead.
        context: steps before t that its features see.
        batch: windows at a time.
    """

    untrained = ("forecast_mse", "forecast_mae")

    def __init__(
        self, *, horizons: tuple[int, ...] = (24, 48, 168, 336, 720), context: int = 200, batch: int = 256
    ) -> None:
        if not horizons or min(horizons) < 1:
            raise InputError(f"forecasting: horizons={horizons} must be whole numbers of steps, at least one of them")
        unlisted = sorted(set(horizons) - set(HORIZONS))
        if unlisted:
            raise InputError(f"forecasting: horizon {unlisted[0]} is none of {', '.join(map(str, HORIZONS))}")
        if context < 1 or batch < 1:
            raise InputError(f"forecasting: context={context} and batch={batch} must be at least 1")
        self.horizons, self.context, self.batch = tuple(sorted(set(horizons))), context, batch

    @property
    def names(self) -> tuple[str, ...]:
        """Every metric that may come out."""
        each = [f"{metric}_{h}" for metric in ("mse", "mae") for h in HORIZONS]
        return ("forecast_mse", "forecast_mae", "naive_mse", *each)

    def measured(self, asked: Asked) -> dict[str, Any]:
        """MSE and MAE for each horizon and their means."""
        learner, dataset = asked.learner, asked.dataset
        if "series" not in dataset.shared:
            raise InputError(f"{dataset.name} is no long series, so nothing can be forecast")
        # the views may stand on a GPU
        where = device_of(learner) if asked.device is None else asked.device
        plain = asked.views.plain({"series": dataset.shared["series"][None].to(where)})["series"]
        assert isinstance(plain, Tensor)
        x, ends = plain[0].cpu(), [int(end) for end in dataset.shared["split"]]
        features = causal_features(learner, x, context=self.context, batch=self.batch, device=asked.device)
        splits = {horizon: Split.of(x, ends, horizon) for horizon in HORIZONS}
        fitting = [horizon for horizon, split in splits.items() if split is not None]
        found: dict[str, float] = {}
        for horizon in [h for h in self.horizons if h in fitting] or fitting[-1:]:
            split = splits[horizon]
            assert split is not None
            found |= {f"{k}_{horizon}": v for k, v in fit_and_score(features, x, split, horizon).items()}
        return _summed_up(found)


def _summed_up(found: dict[str, float]) -> dict[str, float]:
    """Means over the horizons, then the figures of each."""
    out: dict[str, float] = {}
    for name, kind in (("forecast_mse", "mse_"), ("forecast_mae", "mae_"), ("naive_mse", "naive_")):
        values = [value for key, value in found.items() if key.startswith(kind)]
        if values:
            out[name] = sum(values) / len(values)
    return out | {name: value for name, value in found.items() if not name.startswith("naive_")}


def causal_features(
    learner: Learner, x: Tensor, *, context: int, batch: int = 256, device: torch.device | str | None = None
) -> Tensor:
    """Features ``(t, d)`` of every step of a standardised series ``(t, c)``, each of the window that ends there.

    Args:
        learner: with a method ``steps(view) -> (n, t, d)``, and perhaps a number ``reach``, beyond which a step sees
            nothing, so that longer windows make no difference; it is left as it was.
        x: the series; before its beginning lie missing values.
        context: steps of a window before its last.
        batch: windows at a time.
        device: where to move the learner and compute; where it is if None.

    Raises:
        InputError: the learner has no features of time steps, or they are not finite.
    """
    steps = getattr(learner, "steps", None)
    if steps is None:
        raise InputError(f"{type(learner).__name__} has no features of time steps, which forecasts are made from")
    context = min(context, getattr(learner, "reach", context))
    before = x.new_full((context, x.shape[1]), torch.nan)
    windows = torch.cat([before, x]).unfold(0, context + 1, 1).transpose(1, 2)  # a view: (t, context + 1, c)
    with at_rest(learner, device) as where:
        # a copy, as a piece of a large tensor would keep the whole of it
        parts = [steps(part.to(where))[:, -1].float().cpu().clone() for part in windows.split(batch)]
    out = torch.cat(parts)
    if not out.isfinite().all():
        raise InputError("the features are not finite: the training has diverged")
    return out


@dataclass(frozen=True)
class Split:
    """Steps from which a forecast starts, ``(k,)`` each: its targets are whole and in the same part of the series."""

    train: Tensor
    valid: Tensor
    test: Tensor

    @classmethod
    def of(cls, x: Tensor, ends: list[int], horizon: int) -> "Split | None":
        """Of a series ``(t, c)`` whose training and validation end at ``ends``; None where one part has no room."""
        missing = torch.cat([torch.zeros(1), x.isnan().any(1).float().cumsum(0)])
        parts = []
        for begin, end in zip([0, *ends], [*ends, len(x)]):
            t = torch.arange(begin, max(begin, end - horizon))
            parts.append(t[(missing[t + horizon + 1] == missing[t + 1])])
        return cls(*parts) if all(len(part) >= 2 for part in parts) else None


def fit_and_score(features: Tensor, x: Tensor, split: Split, horizon: int) -> dict[str, float]:
    """Test ``mse`` and ``mae`` of the best ridge regression, and ``naive``, the MSE of repeating the last value.

    Args:
        features: ``(t, d)``.
        x: ``(t, c)``.
        split: where forecasts start.
        horizon: how many steps they have.
    """
    z = features.double()
    mean_z = z[split.train].mean(0)
    count, dim, targets = len(split.train), z.shape[1], horizon * x.shape[1]
    mean_y = torch.zeros(targets, dtype=torch.float64)
    cross = torch.zeros(dim, targets, dtype=torch.float64)
    for rows, y in _targets(x, split.train, horizon):
        mean_y += y.sum(0) / count
        cross += (z[rows] - mean_z).T @ y
    centred = z[split.train] - mean_z
    values, vectors = torch.linalg.eigh(centred.T @ centred)
    rotated = vectors.T @ (cross - centred.sum(0)[:, None] * mean_y)

    def weights(alpha: float) -> Tensor:
        return vectors @ (rotated / (values.clamp(min=0) + alpha)[:, None])

    def errors(alpha: float, part: Tensor) -> tuple[float, float]:
        w, square, absolute = weights(alpha), 0.0, 0.0
        for rows, y in _targets(x, part, horizon):
            off = (z[rows] - mean_z) @ w + mean_y - y
            square += float(off.square().sum())
            absolute += float(off.abs().sum())
        size = len(part) * targets
        return square / size, absolute / size

    def validation(alpha: float) -> float:
        square, absolute = errors(alpha, split.valid)
        return square**0.5 + absolute

    mse, mae = errors(min(ALPHAS, key=validation), split.test)
    naive, known = 0.0, 0
    for rows, y in _targets(x, split.test, horizon):
        off = y.view(len(rows), horizon, -1) - x[rows, None].double()
        naive += float(off.square().nansum())
        known += int(off.isfinite().sum())
    return {"mse": mse, "mae": mae, **({"naive": naive / known} if known else {})}


def _targets(x: Tensor, starts: Tensor, horizon: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Pieces of ``starts``, and what follows each: ``(k, horizon * c)`` float64."""
    size = max(1, _NUMBERS // (horizon * x.shape[1]))
    ahead = torch.arange(1, horizon + 1)
    for rows in starts.split(size):
        yield rows, x[rows[:, None] + ahead].flatten(1).double()
