"""Tiny learners and a bare training step, so that each test can look at one mechanism."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from likewise.core.batch import Batch
from likewise.core.comm import Collective
from likewise.core.learner import Context, Learner, Step
from likewise.core.registry import load

FACTS = {"channels": 1, "image_size": 16, "num_samples": 40, "steps": 10, "batch": 8, "steps_per_epoch": 5}


class Doubled(Collective):
    """Stands for two processes that hold the same rows in the same order."""

    world = 2

    def gather(self, rows: Tensor) -> Tensor:
        return torch.cat([rows, rows])


@pytest.fixture
def doubled() -> Collective:
    return Doubled()


@pytest.fixture
def build() -> Callable[..., Learner]:
    """``build(slug, setting=value, ...)``: the learner of the tiny recipe."""

    def make(slug: str, **settings: Any) -> Learner:
        torch.manual_seed(0)
        recipe = load(slug).recipe("tiny").copy()
        for name, value in settings.items():
            recipe.set(f"learner.{name}".replace("__", "."), value)
        return recipe.learner.build(**FACTS)

    return make


@pytest.fixture
def batch() -> Callable[..., Batch]:
    """``batch(seed, n)``: two noisy views of ``n`` random images with two labels."""

    def make(seed: int = 0, n: int = 8, first: int = 0) -> Batch:
        generator = torch.Generator().manual_seed(seed)
        image = torch.randn(n, 1, 16, 16, generator=generator)
        views = {r: image + 0.3 * torch.randn(n, 1, 16, 16, generator=generator) for r in ("a", "b")}
        return Batch(views, torch.arange(first, first + n), torch.arange(n) % 2)

    return make


@pytest.fixture
def train() -> Callable[..., Step]:
    """``train(learner, batch, step)``: one whole step with plain gradient descent, hooks included."""

    def go(learner: Learner, batch: Batch, step: int = 0, steps: int = 10, comm: Collective | None = None) -> Step:
        comm = comm or Collective()
        weights = [p for group in learner.groups().values() for p in group]
        for p in weights:
            p.grad = None
        out = learner.objective(learner.encode(batch), batch, comm)
        out.loss.backward()
        with torch.no_grad():
            for p in weights:
                if p.grad is not None:
                    p -= 0.1 * p.grad
            learner.after_update(Context(step + 1, steps, 0, 1.0, comm, out.carry))
        return out

    return go
