"""Recipes of methods for time series: made-up waves for tests, a year of weather for claims."""

import dataclasses
from typing import Any

from likewise.core.recipe import Recipe, Spec, spec
from likewise.data.series import greensboro_weather, synthetic_waves
from likewise.evaluate.series import SeriesMeasure
from likewise.parts.optimizers import adamw
from likewise.parts.schedules import constant

_FIELDS = {field.name for field in dataclasses.fields(Recipe)}


def trends(largest: int) -> tuple[int, ...]:
    """Sizes of CoST's causal convolutions: 1, 2, 4, ... up to ``largest``."""
    return tuple(2**i for i in range(largest.bit_length()))


def tiny_series(method: type, /, *, encoder: Spec, views: Spec, **changes: Any) -> Recipe:
    """For tests: ten steps of milliseconds on waves that are made up."""
    base = {
        "data": spec(synthetic_waves),
        "views": views,
        "optimizer": spec(adamw, lr=1e-3, weight_decay=0.01),
        "schedule": spec(constant),
        "measure": spec(SeriesMeasure, horizons=(6, 12), context=20),
        "batch": 8,
        "steps": 10,
    }
    return _recipe(method, encoder, base, changes)


def long_series(
    method: type, /, *, encoder: Spec, views: Spec, section: int = 200, stride: int | None = None, **changes: Any
) -> Recipe:
    """A year of hourly weather, AdamW at a constant rate as the papers' codes have it.

    Args:
        method: the learner.
        encoder: of its time steps.
        views: of the method.
        section: steps of a row.
        stride: between the beginnings of rows.
        changes: of the recipe's other fields, or settings of the method.
    """
    base = {
        "data": spec(greensboro_weather, section=section, stride=stride),
        "views": views,
        "optimizer": spec(adamw, lr=1e-3, weight_decay=0.01),
        "schedule": spec(constant),
        "measure": spec(SeriesMeasure),
        "batch": 16,
        "steps": 200,
        "probe_every": 20.0,  # an epoch is a step or few
    }
    return _recipe(method, encoder, base, changes)


def _recipe(method: type, encoder: Spec, base: dict[str, Any], changes: dict[str, Any]) -> Recipe:
    of_recipe = {**base, **{name: value for name, value in changes.items() if name in _FIELDS}}
    settings = {name: value for name, value in changes.items() if name not in _FIELDS}
    return Recipe(spec(method, encoder=encoder, **settings), **of_recipe).copy()
