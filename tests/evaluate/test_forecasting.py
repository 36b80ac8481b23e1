"""Forecasts by ridge regression: what a step may see, what is fitted where, and figures that can be derived."""

import numpy as np
import pytest
import torch
from torch import nn

from likewise.core.errors import InputError
from likewise.core.learner import Learner
from likewise.core.registry import load
from likewise.data.dataset import Dataset
from likewise.data.resolve import from_object
from likewise.evaluate.forecasting import ALPHAS, Forecasting, Split, causal_features, fit_and_score
from likewise.evaluate.series import SeriesMeasure
from likewise.views.series import Series


class Recent(Learner):
    """The values of the last ``k`` steps, and how many steps a window had: a linear model can be exact."""

    def __init__(self, k: int = 4) -> None:
        super().__init__()
        self.k, self.weight, self.windows = k, nn.Parameter(torch.zeros(1)), []

    def steps(self, view):
        self.windows.append(view)
        x = view.nan_to_num()
        return torch.cat([x.roll(i, 1) for i in range(self.k)], 2)

    def embed(self, view, role=None):
        return view.nan_to_num().amax(1).repeat(1, 2)


def dataset(x, **more):
    ends = torch.tensor([int(0.6 * len(x)), int(0.8 * len(x))])
    rows = x.split(20)[:5]
    return Dataset(
        "made", {"series": torch.stack(rows)}, list("abcde"), torch.arange(5) > 2,
        shared={"series": x, "split": ends}, **more,
    )  # fmt: skip


def plain_views(channels=1):
    return Series(center=(0.0,) * channels, spread=(1.0,) * channels)


def sine(steps=400, period=12.5):
    return torch.sin(torch.arange(steps) * 2 * np.pi / period)[:, None]


def test_a_step_sees_its_window_and_nothing_later():
    x, learner = torch.arange(30.0)[:, None], Recent()
    features = causal_features(learner, x, context=5, batch=7)
    assert features[:, 0].tolist() == list(range(30))
    windows = torch.cat(learner.windows)
    assert windows.shape == (30, 6, 1)
    assert windows[2, :, 0].isnan().tolist() == [True] * 3 + [False] * 3
    assert windows[17, :, 0].tolist() == [12, 13, 14, 15, 16, 17]


def test_windows_are_no_longer_than_a_step_can_see():
    torch.manual_seed(0)
    learner = load("ts2vec").recipe("tiny").learner.build(channels=1).eval()
    x, whole = sine(60), Recent()
    whole.steps = learner.steps  # says nothing of its reach
    assert learner.reach == 14
    assert torch.allclose(causal_features(learner, x, context=40), causal_features(whole, x, context=40), atol=1e-6)


def test_a_linear_law_is_forecast_exactly_and_the_last_value_is_not():
    """A sine is a linear function of its last two values."""
    found = Forecasting(horizons=(6, 12), context=8).evaluate(Recent(), plain_views(), dataset(sine()))
    assert found["mse_6"] < 1e-3
    assert found["mse_12"] < 1e-3
    assert found["forecast_mse"] == pytest.approx((found["mse_6"] + found["mse_12"]) / 2)
    assert found["forecast_mae"] == pytest.approx((found["mae_6"] + found["mae_12"]) / 2)
    assert found["naive_mse"] > 0.5
    assert list(found)[:3] == ["forecast_mse", "forecast_mae", "naive_mse"]


def test_figures_are_those_of_scikit_learn():
    from sklearn.linear_model import Ridge

    x = torch.randn(300, 2, generator=torch.Generator().manual_seed(0)).cumsum(0)
    z = torch.randn(300, 5, generator=torch.Generator().manual_seed(1)) + x.repeat(1, 3)[:, :5]
    split = Split.of(x, [180, 240], 7)
    assert [(int(p[0]), int(p[-1])) for p in (split.train, split.valid, split.test)] == [
        (0, 172), (180, 232), (240, 292)
    ]  # fmt: skip

    def targets(part):
        return np.stack([x[t + 1 : t + 8].flatten().numpy() for t in part.tolist()])

    def errors(model, part):
        off = model.predict(z[part].double().numpy()) - targets(part)
        return float((off**2).mean()), float(np.abs(off).mean())

    models = [Ridge(alpha).fit(z[split.train].double().numpy(), targets(split.train)) for alpha in ALPHAS]
    valid = [errors(model, split.valid) for model in models]
    best = models[int(np.argmin([mse**0.5 + mae for mse, mae in valid]))]
    found = fit_and_score(z, x, split, 7)
    assert (found["mse"], found["mae"]) == pytest.approx(errors(best, split.test), rel=1e-5)
    last = x[split.test].repeat(1, 7).numpy()
    assert found["naive"] == pytest.approx(float(((last - targets(split.test)) ** 2).mean()), rel=1e-5)


def test_small_pieces_give_the_same(monkeypatch):
    data = dataset(sine(300) + 0.1 * torch.randn(300, 1, generator=torch.Generator().manual_seed(0)))
    whole = Forecasting(horizons=(6,), context=8).evaluate(Recent(), plain_views(), data)
    monkeypatch.setattr("likewise.evaluate.forecasting._NUMBERS", 50)
    pieces = Forecasting(horizons=(6,), context=8, batch=13).evaluate(Recent(), plain_views(), data)
    assert pieces == pytest.approx(whole)


def test_forecasts_do_not_cross_the_split_and_leave_missing_targets_out():
    x = sine(100)
    x[70, 0] = torch.nan
    split = Split.of(x, [60, 80], 5)
    assert split.train.tolist() == list(range(55))
    assert split.valid.tolist() == [60, 61, 62, 63, 64, 70, 71, 72, 73, 74]  # 70 is a target of 65 to 69
    assert split.test.tolist() == list(range(80, 95))
    found = Forecasting(horizons=(6,), context=8).evaluate(Recent(), plain_views(), dataset(x))
    assert all(np.isfinite(value) for value in found.values())


def test_horizons_that_do_not_fit_are_left_out():
    data = dataset(sine(200))  # parts of 120, 40 and 40 steps
    found = Forecasting(horizons=(24, 48), context=8).evaluate(Recent(), plain_views(), data)
    assert {"mse_24"} == {name for name in found if name.startswith("mse_")}
    found = Forecasting(horizons=(336, 720), context=8).evaluate(Recent(), plain_views(), data)
    assert {"mse_24"} == {name for name in found if name.startswith("mse_")}  # the longest of all that fits


def test_settings_and_data_that_do_not_fit():
    with pytest.raises(InputError, match="horizon 25 is none of 1, 6, 12, 24"):
        Forecasting(horizons=(25,))
    with pytest.raises(InputError, match="at least one"):
        Forecasting(horizons=())
    many = from_object(np.random.default_rng(0).normal(size=(10, 12)), modality="series")
    with pytest.raises(InputError, match="no long series"):
        Forecasting().evaluate(Recent(), plain_views(), many)
    with pytest.raises(InputError, match="no features of time steps"):
        Forecasting(horizons=(6,)).evaluate(Learner(), plain_views(), dataset(sine()))
    with pytest.raises(InputError, match="did you mean 'mse_24'"):
        Forecasting().evaluate(Recent(), plain_views(), dataset(sine()), what=["mse_25"])


def test_the_measure_of_series_takes_what_the_data_allow():
    measure = SeriesMeasure(horizons=(6,), context=8)
    found = measure.evaluate(Recent(), views_with_pairs(), dataset(sine()))
    assert next(iter(found)) == "forecast_mse"
    assert "effective_rank" in found
    assert set(measure.evaluate(Recent(), plain_views(), dataset(sine()), what=["mse_6"])) == {"mse_6"}
    rng = np.random.default_rng(0)
    level = np.arange(60) % 3
    x = level[:, None, None] * 3 + rng.normal(size=(60, 9, 2))
    labelled = from_object((x, level), modality="series")
    found = measure.evaluate(Recent(), views_with_pairs(2), labelled, what=["svm", "knn"])
    assert found["svm"] > 0.9
    assert "knn" in found
    assert "forecast_mse" not in found


def views_with_pairs(channels=1):
    class Twice(Series):
        def forward(self, columns, draws):
            x = self.standard(columns)
            return {"a": x, "b": x + 0.1 * draws.normal(*x.shape[1:])}

    return Twice(center=(0.0,) * channels, spread=(1.0,) * channels)
