"""Recipes of graph methods: a karate club for tests, manual pages for claims, the papers' graphs as published."""

from typing import Any

from likewise.core.recipe import Recipe, Spec, spec
from likewise.data.graph_sources import karate, man_pages
from likewise.data.graphs import graph
from likewise.evaluate.nodes import NodeClassification
from likewise.parts.encoders import GCN
from likewise.parts.optimizers import adam
from likewise.parts.schedules import constant


def _graph(method: type, data: Spec, views: Spec, lr: float, dim: int, settings: dict[str, Any]) -> Recipe:
    return Recipe(
        spec(method, encoder=spec(GCN, dim=dim), dim=dim, **settings),
        data=data,
        views=views,
        optimizer=spec(adam, lr=lr, weight_decay=1e-5, decay_all=True),
        schedule=spec(constant),
        measure=spec(NodeClassification),
    )


def tiny_graph(method: type, views: Spec, /, **settings: Any) -> Recipe:
    """For tests: ten steps of milliseconds on the karate club. ``settings`` are the method's."""
    out = _graph(method, spec(karate), views, 0.01, 16, settings)
    out.steps, out.probe_every, out.measure = 10, 5, spec(NodeClassification, splits=2)
    return out


def small_graph(method: type, views: Spec, /, **settings: Any) -> Recipe:
    """A minute on two cores: 200 epochs on the citations among manual pages, GRACE's settings for Cora."""
    out = _graph(method, spec(man_pages), views, 5e-4, 128, settings)
    out.epochs, out.probe_every = 200, 20
    return out


def published_graph(method: type, path: str, views: Spec, /, *, lr: float, epochs: int, **settings: Any) -> Recipe:
    """A paper's graph, which the user has as a file, with one layer of 256 and one of 128."""
    out = _graph(method, spec(graph, path=path), views, lr, 128, settings)
    out.epochs, out.probe_every = epochs, 50
    return out
