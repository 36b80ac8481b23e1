"""Recipes of methods for several modalities: bits for tests, digits on a laptop."""

import dataclasses
from typing import Any

from likewise.core.recipe import Recipe, spec
from likewise.data.triples import digit_triples, xor_triples
from likewise.evaluate.retrieval import Retrieval
from likewise.parts.optimizers import adamw
from likewise.parts.schedules import constant, cosine
from likewise.parts.towers import Towers
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
        "encoder": spec(Towers, dim=32, width=64),
        "views": spec(Modalities, shift=1, noise=0.05),
        "data": spec(digit_triples),
        "schedule": spec(cosine, warmup=0.05),
        "batch": 256,
        "epochs": 30,
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
