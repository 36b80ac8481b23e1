"""Samples in rows, with a fixed split into train and test."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from likewise.core.batch import Graph, View, rows
from likewise.core.errors import InputError
from likewise.data.catalogue import About as About


@dataclass
class Dataset:
    """Rows of one or more columns.

    Attributes:
        name: of the source, or the user's path.
        columns: column -> payload with a row per sample; images are uint8 ``(n, c, h, w)`` (memory-mapped if large).
        keys: what a person calls each row: a relative path, or ``"train/17"``.
        test: ``(n,)`` bool, the rows that training never sees.
        labels: ``(n,)`` int64, or float for regression targets, or None.
        classes: names of the labels, or None.
        skipped: ``(path, reason)`` of what could not be read.
        about: origin and licence.
        root: folder that the keys are relative to, or "".
        shared: what belongs to the set as a whole rather than to a row, by name: tensors, graphs, vocabularies.
        tables: what rows refer to, by role (``"user"``, ``"item"``): a data set each.
        known: numbers (or tuples of them) that parts are built with, beside those that the columns tell.
    """

    name: str
    columns: dict[str, View]
    keys: Sequence[str]
    test: Tensor
    labels: Tensor | None = None
    classes: Sequence[str] | None = None
    skipped: Sequence[tuple[str, str]] = field(default_factory=tuple)
    about: About | None = None
    root: str = ""
    shared: dict[str, Any] = field(default_factory=dict)
    tables: dict[str, "Dataset"] = field(default_factory=dict)
    known: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.test)

    @property
    def whole(self) -> bool:
        """Whether the rows are nodes of a graph, which belong together: every batch is the whole set."""
        return any(isinstance(column, Graph) for column in self.columns.values())

    @property
    def train_rows(self) -> Tensor:
        """Positions of the training samples, int64."""
        return (~self.test).nonzero().flatten()

    @property
    def test_rows(self) -> Tensor:
        """Positions of the test samples, int64."""
        return self.test.nonzero().flatten()

    def pictures(self, role: str | None = None) -> str:
        """Which column can be shown as pictures: ``role``, else ``image``, else the first of images; "" if none can."""
        images = [
            n for n, c in self.columns.items() if isinstance(c, Tensor) and c.dtype == torch.uint8 and c.ndim == 4
        ]
        return next((name for name in (role, "image", *images) if name in images), "")  # type: ignore[return-value]

    def take(self, index: Tensor) -> dict[str, View]:
        """The columns' rows at ``index (k,)``; of a graph's nodes all, in order."""
        if self.whole:
            if len(index) != len(self) or not torch.equal(index, torch.arange(len(self))):
                raise InputError(f"{self.name}: the nodes of a graph can't be taken apart")
            return dict(self.columns)
        return {name: _rows(column, index) for name, column in self.columns.items()}

    def subset(self, index: Tensor) -> "Dataset":
        """The samples at ``index (k,)``, int64, in that order; classes keep their numbers."""
        return replace(
            self,
            columns=self.take(index),
            keys=[self.keys[i] for i in index.tolist()],
            test=self.test[index],
            labels=None if self.labels is None else self.labels[index],
        )

    def limited(self, train: int | None, test: int | None = None) -> "Dataset":
        """At most that many training and test samples: a fixed choice by key, in turn from every class."""
        if train is None and test is None:
            return self
        picked = [self._first(self.train_rows, train), self._first(self.test_rows, test)]
        return self.subset(torch.cat(picked).sort().values)

    def _first(self, where: Tensor, limit: int | None) -> Tensor:
        if limit is None or limit >= len(where):
            return where
        if limit < 1:
            raise InputError(f"a limit of {limit} samples leaves nothing: give at least 1")
        by_hash = sorted(where.tolist(), key=lambda i: _digest(self.keys[i]))
        classed = self.labels is not None and not self.labels.is_floating_point()
        labels = (
            self.labels[torch.tensor(by_hash)].tolist() if classed and self.labels is not None else [0] * len(where)
        )
        seen: Counter[int] = Counter()
        turns = []  # how many of its class come before it
        for label in labels:
            turns.append(seen[label])
            seen[label] += 1
        order = sorted(range(len(turns)), key=turns.__getitem__)
        return torch.tensor([by_hash[i] for i in order[:limit]])

    def facts(self) -> dict[str, Any]:
        """What parts may ask of the data (see ``FROM_DATA``)."""
        out: dict[str, Any] = {"num_samples": int((~self.test).sum())}
        image = self.columns.get("image")
        if isinstance(image, Tensor):
            out |= {"channels": image.shape[1], "image_size": image.shape[-1]}
        vector = self.columns.get("vector")
        if isinstance(vector, Tensor):
            out["num_features"] = vector.shape[1]
        if self.classes is not None:
            out["num_classes"] = len(self.classes)
        graph = next((c for c in self.columns.values() if isinstance(c, Graph)), None)
        if graph is not None:
            out |= {"num_nodes": len(graph), "num_features": graph.x.shape[1]}
        return out | self.known


def _rows(column: View, index: Tensor) -> View:
    if isinstance(column, Tensor) and column.device.type == "cpu" and column.dtype == torch.uint8:
        # NumPy copies whole rows, torch byte by byte: many times faster for pictures
        return torch.from_numpy(column.numpy()[index.numpy()])
    return rows(column, index)


def split_by_key(keys: Sequence[str], share: float = 0.2) -> Tensor:
    """``(n,)`` bool: test rows, chosen by a hash of each key, so that new files never move old ones.

    A set too small for the hash to fill both sides gets its first key as test. A share of 0 holds nothing out.
    """
    if not 0 <= share < 1:
        raise InputError(f"test_share={share}: the share of test samples is at least 0 and below 1")
    test = torch.tensor([_digest(key) / 2**64 < share for key in keys], dtype=torch.bool)
    if share > 0 and len(test) > 1 and (test.all() or not test.any()):
        same = torch.tensor([key == keys[0] for key in keys])
        test = same if not same.all() else torch.arange(len(keys)) == 0
    return test


def _digest(key: str) -> int:
    return int.from_bytes(hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).digest(), "big")
