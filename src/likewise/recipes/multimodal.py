"""Recipes of methods for several modalities: bits for tests, digits on a laptop."""

import dataclasses
from typing import Any

from likewise.core.recipe import Recipe, spec
from likewise.data.scenes import drawn_scenes
from likewise.data.triples import digit_triples, xor_triples
from likewise.evaluate.retrieval import Answers, Retrieval
from likewise.parts.dialogues import PromptDecoder
from likewise.parts.optimizers import adamw
from likewise.parts.schedules import constant
from likewise.parts.towers import Towers
from likewise.views.dialogues import Turns
from likewise.views.multimodal import Modalities

_FIELDS = {field.name for field in dataclasses.fields(Recipe)}


def tiny_towers(method: type, /, **changes: Any) -> Recipe:
    """For tests: twenty steps of milliseconds on the exclusive or of bits."""
    base = {
        "encoder": spec(Towers, dim=8, width=8),
        "data": spec(xor_triples, num=64, num_test=16, bits=3),
        "schedule": spec(constant),
        "batch": 16,
        "steps": 20,
    }
    return _recipe(method, base, changes)


def small_towers(method: type, /, **changes: Any) -> Recipe:
    """Minutes on two cores: triples of digits that only fit together."""
    base = {
        "encoder": spec(Towers, dim=16, width=64),
        "views": spec(Modalities, shift=1, noise=0.05),
        "data": spec(digit_triples),
        "optimizer": spec(adamw, lr=1e-3, weight_decay=0.01),
        "schedule": spec(constant),
        "batch": 256,
        "epochs": 15,
    }
    return _recipe(method, base, changes)


def _recipe(method: type, base: dict[str, Any], changes: dict[str, Any]) -> Recipe:
    base = {
        "views": spec(Modalities),
        "optimizer": spec(adamw, lr=2e-3, weight_decay=0.01),
        "measure": spec(Retrieval),
        "probe_every": 5.0,
        **base,
        **changes,
    }
    of_recipe = {name: value for name, value in base.items() if name in _FIELDS}
    settings = {name: value for name, value in base.items() if name not in _FIELDS}
    return Recipe(spec(method, **settings), **of_recipe).copy()


def tiny_dialogues(method: type, /, **changes: Any) -> Recipe:
    """For tests: ten steps of milliseconds on drawn scenes."""
    base = {
        "encoder": spec(PromptDecoder, depth=1, dim=16, heads=2),
        "data": spec(drawn_scenes, num=48, num_test=12, image_size=8),
        "batch": 8,
        "steps": 10,
    }
    return _dialogues(method, base, changes)


def small_dialogues(method: type, /, **changes: Any) -> Recipe:
    """A minute on two cores: questions about drawn scenes."""
    base = {
        "encoder": spec(PromptDecoder),
        "data": spec(drawn_scenes),
        "batch": 32,
        "steps": 600,
    }
    return _dialogues(method, base, changes)


def _dialogues(method: type, base: dict[str, Any], changes: dict[str, Any]) -> Recipe:
    shared = {
        "views": spec(Turns),
        "optimizer": spec(adamw, lr=1e-3, weight_decay=0.01),
        "schedule": spec(constant, warmup=0.05),
        "measure": spec(Answers),
        "probe_rows": 100,
    }
    return _recipe(method, {**shared, **base}, changes)
