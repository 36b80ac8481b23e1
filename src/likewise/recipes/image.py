"""Recipes of image methods: digits for tests, clothing for claims, ImageNet as published.

A method says what differs. Everything that a recipe holds can be given by name; other names are the method's settings.
"""

import dataclasses
from typing import Any

from likewise.core.recipe import Recipe, spec
from likewise.data.sources import digits, fashion_mnist, image_folder
from likewise.parts.encoders import ConvNet, resnet50
from likewise.parts.optimizers import adam, lars, sgd
from likewise.parts.schedules import cosine, linear_scale
from likewise.views.image import moco_v2_views, simclr_views

_FIELDS = {field.name for field in dataclasses.fields(Recipe)}

PLAIN = spec(moco_v2_views, blur_prob=0.0)
"""Crops, flips and colour; no blur, which small pictures don't survive."""
PLAIN_UNFLIPPED = spec(moco_v2_views, blur_prob=0.0, flip=False)
"""The same for digits, which are others when flipped."""


def _recipe(method: type, base: dict[str, Any], changes: dict[str, Any]) -> Recipe:
    of_recipe = {**base, **{name: value for name, value in changes.items() if name in _FIELDS}}
    encoder = of_recipe.pop("encoder")
    settings = {"encoder": encoder, **{name: value for name, value in changes.items() if name not in _FIELDS}}
    return Recipe(spec(method, **settings), **of_recipe).copy()


def tiny_images(method: type, /, **changes: Any) -> Recipe:
    """For tests: ten steps of milliseconds on digits, a small convnet."""
    base = {
        "encoder": spec(ConvNet, dim=32),
        "data": spec(digits),
        "views": spec(simclr_views, strength=0.5, blur_prob=0.0, flip=False),
        "optimizer": spec(adam, lr=1e-3),
        "schedule": spec(cosine),
        "batch": 32,
        "steps": 10,
    }
    return _recipe(method, base, changes)


def small_images(method: type, /, **changes: Any) -> Recipe:
    """Minutes on two cores: 15 epochs over 10,000 images of clothing, a convnet of width 128."""
    base = {
        "encoder": spec(ConvNet, dim=128),
        "data": spec(fashion_mnist, limit=10_000),
        "views": spec(simclr_views, strength=0.5, blur_prob=0.0, min_scale=0.2),
        "optimizer": spec(adam, lr=3e-3),
        "schedule": spec(cosine, warmup=0.05),
        "batch": 256,
        "epochs": 15,
    }
    return _recipe(method, base, changes)


def imagenet(method: type, /, *, batch: int, epochs: int, rate: float = 0.3, **changes: Any) -> Recipe:
    """ImageNet with ResNet-50 in mixed precision, by default as SimCLR: LARS, 10 epochs of warm-up, then a cosine.

    Args:
        method: the learner's class.
        batch: samples per step.
        epochs: passes over the data.
        rate: learning rate per 256 samples.
        changes: what differs, of the recipe or of the method.
    """
    base = {
        "encoder": spec(resnet50),
        "data": spec(image_folder, path="imagenet", image_size=224),
        "views": spec(simclr_views),
        "optimizer": spec(lars, lr=linear_scale(rate, batch=batch), weight_decay=1e-6),
        "schedule": spec(cosine, warmup=10 / epochs),
        "batch": batch,
        "epochs": epochs,
        "precision": "bf16-mixed",
    }
    return _recipe(method, base, changes)


def tiny_moco(method: type, /, **changes: Any) -> Recipe:
    """:func:`tiny_images` for methods on MoCo: its views and SGD, a short queue."""
    base: dict[str, Any] = {"dim": 16, "queue_size": 100, "momentum": 0.9, "norm_groups": 2}
    base |= {"views": PLAIN_UNFLIPPED, "optimizer": spec(sgd, lr=0.05)}
    return tiny_images(method, **{**base, **changes})


def small_moco(method: type, /, **changes: Any) -> Recipe:
    """:func:`small_images` for methods on MoCo: its views and SGD, a queue and a momentum for a short run."""
    base: dict[str, Any] = {"dim": 64, "queue_size": 2048, "momentum": 0.99, "norm_groups": 4}
    base |= {"views": PLAIN, "optimizer": spec(sgd, lr=0.06, weight_decay=5e-4), "schedule": spec(cosine)}
    return small_images(method, **{**base, **changes})


def imagenet_moco(method: type, /, **changes: Any) -> Recipe:
    """:func:`imagenet` for methods on MoCo v2, as in its code: SGD at batch 256, 200 epochs."""
    base: dict[str, Any] = {
        "encoder": spec(resnet50, zero_init=False),
        "views": spec(moco_v2_views),
        "optimizer": spec(sgd, lr=0.03, weight_decay=1e-4, decay_all=True),
        "schedule": spec(cosine),
    }
    return imagenet(method, batch=256, epochs=200, **{**base, **changes})
