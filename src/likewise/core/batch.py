"""What a method sees of the data: named views of the same samples.

Views carry roles, not positions: ``"a"`` and ``"b"`` for two crops, ``"image"`` and ``"text"`` for a pair,
``"query"`` and ``"positive"`` for retrieval. A payload is anything with rows: a tensor, or one of the small
classes below where one tensor is not enough.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

import torch
from torch import Tensor


@dataclass
class Tokens:
    """Token sequences: ``ids (n, t)`` int64 and ``mask (n, t)`` bool, true where there is a token."""

    ids: Tensor
    mask: Tensor


@dataclass
class Prompt:
    """A picture and the tokens that follow it: ``image (n, c, h, w)``, ``ids (n, t)`` int64, ``mask (n, t)`` bool."""

    image: Tensor
    ids: Tensor
    mask: Tensor


@dataclass
class Points:
    """Point clouds: ``xyz (n, p, 3)`` and ``features (n, p, c)`` per point."""

    xyz: Tensor
    features: Tensor


@dataclass
class Ragged:
    """Rows of different length: ``values (total, ...)`` and ``lengths (n,)`` int64 that add up to ``total``."""

    values: Tensor
    lengths: Tensor

    def __len__(self) -> int:
        return len(self.lengths)

    def rows(self, index: Tensor) -> "Ragged":
        """The rows at ``index (k,)``, in that order."""
        starts = self.lengths.cumsum(0) - self.lengths
        picked = [torch.arange(int(starts[i]), int(starts[i] + self.lengths[i])) for i in index.tolist()]
        where = torch.cat(picked) if picked else torch.zeros(0, dtype=torch.int64)
        return Ragged(self.values[where.to(self.values.device)], self.lengths[index])


@dataclass
class Graph:
    """One graph whose rows are its nodes: ``x (n, f)``, ``edges (2, e)`` int64, ``weights (e,)`` or None.

    A graph can't be cut into rows without losing edges, so it has no row selection and no concatenation.
    """

    x: Tensor
    edges: Tensor
    weights: Tensor | None = None

    def __len__(self) -> int:
        return len(self.x)


View = Tensor | Tokens | Prompt | Points | Ragged | Graph
V = TypeVar("V", bound=Any)


def _fieldwise(change: Callable[[Any], Any], view: Any) -> Any:
    """``change`` on a tensor, or on every tensor of a payload class."""
    if isinstance(view, Tensor):
        return change(view)
    values = {f.name: getattr(view, f.name) for f in fields(view)}
    return type(view)(**{k: v if v is None else change(v) for k, v in values.items()})


def count(view: View) -> int:
    """How many rows a view has."""
    if isinstance(view, Tensor | Ragged | Graph):
        return len(view)
    return len(getattr(view, fields(view)[0].name))


def rows(view: V, index: Tensor) -> V:
    """The rows of a view at ``index (k,)``, int64 or bool."""
    if isinstance(view, Graph):
        raise TypeError("a graph has no row selection: its rows are nodes that belong together")
    if isinstance(view, Ragged):
        return view.rows(index.nonzero().flatten() if index.dtype == torch.bool else index)  # type: ignore[return-value]
    return _fieldwise(lambda t: t[index.to(t.device)], view)


def cat(views: Sequence[V]) -> V:
    """Join views of one kind, rows of the first first."""
    first = views[0]
    if isinstance(first, Tensor):
        return torch.cat(list(views))  # type: ignore[return-value]
    if isinstance(first, Graph):
        raise TypeError("graphs can't be joined into one batch: train on one graph at a time")
    return type(first)(**{f.name: torch.cat([getattr(v, f.name) for v in views]) for f in fields(first)})


def move(view: V, device: torch.device | str) -> V:
    """The same view on ``device``."""
    return _fieldwise(lambda t: t.to(device, non_blocking=True), view)


@dataclass
class Batch:
    """Views of ``n`` samples, by role, with who they are.

    Attributes:
        views: role -> payload with ``n`` rows each.
        ids: ``(n,)`` int64, the identity of each sample in its source. Two rows with one id are the same sample,
            wherever they stand: positives are found by id, never by position.
        labels: ``(n,)`` int64 classes or float targets, or None. Unsupervised methods never look.
        extra: anything else by name with ``n`` rows each (prices, timestamps, teacher scores, ...).
    """

    views: dict[str, View]
    ids: Tensor
    labels: Tensor | None = None
    extra: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for role, view in self.views.items():
            if count(view) != len(self.ids):
                raise ValueError(f"view {role!r} has {count(view)} rows, but the batch has {len(self.ids)} ids")

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, index: Tensor) -> "Batch":
        """The samples at ``index (k,)``."""
        return self._each(lambda view: rows(view, index))

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on ``device``."""
        return self._each(lambda view: move(view, device))

    def chunks(self, size: int) -> Iterator["Batch"]:
        """Consecutive batches of at most ``size`` samples that join to this one."""
        for index in torch.arange(len(self)).split(size):
            yield self.rows(index)

    def _each(self, change: Callable[[Any], Any]) -> "Batch":
        labels = None if self.labels is None else change(self.labels)
        return Batch(
            {role: change(view) for role, view in self.views.items()},
            change(self.ids),
            labels,
            {name: change(value) for name, value in self.extra.items()},
        )

    @staticmethod
    def cat(batches: Sequence["Batch"]) -> "Batch":
        """Join batches with the same roles."""
        first = batches[0]
        labels = None if first.labels is None else torch.cat([b.labels for b in batches if b.labels is not None])
        return Batch(
            {role: cat([b.views[role] for b in batches]) for role in first.views},
            torch.cat([b.ids for b in batches]),
            labels,
            {name: torch.cat([b.extra[name] for b in batches]) for name in first.extra},
        )


def join(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Join embeddings of consecutive chunks by name."""
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
