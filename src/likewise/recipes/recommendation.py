"""Recipes of recommenders: made-up blocks of taste for tests, MovieLens-100k for claims, a table for the papers'."""

from typing import Any

from likewise.core.recipe import Recipe, spec
from likewise.data.interaction_sources import ml_100k, synthetic_blocks
from likewise.data.interactions import interactions
from likewise.data.user_sampler import DistinctUsers
from likewise.evaluate.ranking import Ranking
from likewise.parts.optimizers import adam
from likewise.parts.schedules import constant
from likewise.views.interactions import Triples


def tiny_blocks(method: type, /, **settings: Any) -> Recipe:
    """For tests: milliseconds a step on made-up users and items."""
    return Recipe(
        spec(method, **{"dim": 8, "layers": 2, **settings}),
        data=spec(synthetic_blocks),
        views=spec(Triples),
        optimizer=spec(adam, lr=0.01, weight_decay=0.0),
        schedule=spec(constant),
        batch=64,
        steps=10,
        measure=spec(Ranking, ks=(10,)),
    )


def small_movies(method: type, /, **settings: Any) -> Recipe:
    """Minutes on two cores: ratings of four and five stars in MovieLens-100k, a user's last tenth for testing."""
    return Recipe(
        spec(method, **{"dim": 64, "layers": 2, **settings}),
        data=spec(ml_100k),
        views=spec(Triples),
        sampler=spec(DistinctUsers),
        optimizer=spec(adam, lr=5e-3, weight_decay=0.0),
        schedule=spec(constant),
        batch=4096,  # a step costs what the graph costs, whatever the batch
        epochs=40,
        probe_every=10,
        measure=spec(Ranking),
    )


def published(method: type, /, *, path: str, **changes: Any) -> Recipe:
    """As published, on a file of the paper's own; what differs is given by name, of the recipe or of the method."""
    base = {
        "data": spec(interactions, path=path),
        "views": spec(Triples),
        "optimizer": spec(adam, lr=1e-3, weight_decay=0.0),
        "schedule": spec(constant),
        "epochs": 1000,
        "probe_every": 5,
        "measure": spec(Ranking),
    }
    of_recipe = {name: changes.pop(name) for name in (*base, "batch", "sampler") if name in changes}
    return Recipe(spec(method, **changes), **{**base, **of_recipe})
