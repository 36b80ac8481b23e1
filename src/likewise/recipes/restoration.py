"""Recipes of methods for restoration: digits for tests, clothing for claims, large pictures as published."""

import dataclasses
from typing import Any

from likewise.core.recipe import Recipe, spec
from likewise.data.sources import digits, fashion_mnist, image_folder
from likewise.evaluate.restoration import Restoration
from likewise.parts.encoders.sr import EDSR
from likewise.parts.optimizers import adam
from likewise.parts.schedules import cosine
from likewise.views.restoration import RestorationViews

_FIELDS = {field.name for field in dataclasses.fields(Recipe)}


def tiny_pictures(method: type, /, *, better: int = 0, **changes: Any) -> Recipe:
    """For tests: ten steps of milliseconds on digits, 8 pixels to 16."""
    base = {
        "encoder": spec(EDSR, dim=8, blocks=1),
        "data": spec(digits),
        "views": spec(RestorationViews, better=better, flip=False),
        "optimizer": spec(adam, lr=1e-3),
        "measure": spec(Restoration),
        "batch": 16,
        "steps": 10,
    }
    return _recipe(method, base, changes)


def small_pictures(method: type, /, *, better: int = 0, **changes: Any) -> Recipe:
    """Minutes on two cores: 10,000 pictures of clothing, 14 pixels to 28."""
    base = {
        "encoder": spec(EDSR, dim=24, blocks=3),
        "data": spec(fashion_mnist, limit=10_000, test_limit=1000),
        "views": spec(RestorationViews, better=better),
        "optimizer": spec(adam, lr=2e-3),
        "measure": spec(Restoration),
        "batch": 32,
        "steps": 600,
    }
    return _recipe(method, base, changes)


def published(method: type, /, *, batch: int, epochs: int, rate: float, better: int = 0, **changes: Any) -> Recipe:
    """Factor 4 on crops of 192 pixels from a folder ``DIV2K`` of large pictures.

    Args:
        method: the learner's class.
        batch: crops per step.
        epochs: passes over the data.
        rate: of Adam.
        better: sharpened and blurred versions that the views make.
        changes: what differs, of the recipe or of the method.
    """
    base = {
        "encoder": spec(EDSR, factor=4),
        "data": spec(image_folder, path="DIV2K", image_size=1024),
        "views": spec(RestorationViews, factor=4, crop=192, better=better),
        "optimizer": spec(adam, lr=rate),
        "measure": spec(Restoration),
        "batch": batch,
        "epochs": epochs,
    }
    return _recipe(method, base, changes)


def _recipe(method: type, base: dict[str, Any], changes: dict[str, Any]) -> Recipe:
    of_recipe = {**base, "schedule": spec(cosine), **{k: v for k, v in changes.items() if k in _FIELDS}}
    settings = {"encoder": of_recipe.pop("encoder"), **{k: v for k, v in changes.items() if k not in _FIELDS}}
    return Recipe(spec(method, **settings), **of_recipe).copy()
