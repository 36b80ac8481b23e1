"""The rows that a page shows: where they stand on the map and whom they are near."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from likewise.core.errors import InputError
from likewise.evaluate.projection import TSNE_ROWS, Projection, project
from likewise.functional.metrics import nearest

NEIGHBOURS = 8
Array = NDArray[Any]


def as_numpy(values: Any) -> Array:
    """An array from whatever holds one, also from a tensor on another device."""
    return values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)


@dataclass(frozen=True)
class Samples:
    """Rows with features, as the caller hands them in: data only.

    Attributes:
        features: ``(n, d)`` floats; rows with NaN or infinity are left out of the page, which says so.
        keys: what a person calls each row (a path, ``"train/17"``, a sentence).
        labels: ``(n,)`` int classes (-1: not known), float targets, or None.
        classes: names of the classes, or None for their numbers.
        thumbnails: uint8 ``(n, c, h, w)``, grey or RGB (of other channels the first is shown), or None.
        predicted: ``(n,)`` int, the class that a probe on frozen features predicts; None: the page takes the vote
            of the nearest rows instead.
    """

    features: Any
    keys: Sequence[str]
    labels: Any = None
    classes: Sequence[str] | None = None
    thumbnails: Any = None
    predicted: Any = None

    def __post_init__(self) -> None:
        if len(self.features.shape) != 2:
            raise InputError(f"features for a page must be (n, d), got {tuple(self.features.shape)}")
        for name in ("keys", "labels", "thumbnails", "predicted"):
            part = getattr(self, name)
            if part is not None and len(part) != len(self.features):
                raise InputError(f"{name} for a page: {len(part)} rows, but features have {len(self.features)}")
        if self.thumbnails is not None and str(self.thumbnails.dtype).removeprefix("torch.") != "uint8":
            raise InputError(f"thumbnails for a page must be uint8, got {self.thumbnails.dtype}")

    def rows(self, kept: Array) -> "Samples":
        """The samples at ``kept (k,)``, as NumPy arrays."""
        held = {name: getattr(self, name) for name in ("features", "labels", "thumbnails", "predicted")}
        picked = {name: None if part is None else as_numpy(part[kept]) for name, part in held.items()}
        return Samples(keys=[str(self.keys[i]) for i in kept], classes=self.classes, **picked)


@dataclass(frozen=True)
class Shown:
    """Samples made ready to draw: at most a few thousand rows, every one finite.

    Attributes:
        keys: of the rows.
        labels: ``(n,)`` int, -1 where not known; None without classes.
        targets: ``(n,)`` float of a regression; None without.
        classes: a name per label.
        pictures: uint8 ``(n, c, h, w)`` with one channel or three, or None.
        near: ``(n, k)`` nearest rows by cosine similarity, nearest first, never the row itself.
        similarity: ``(n, k)`` of those.
        voted: ``(n,)`` predicted class.
        probe: whether ``voted`` comes from a probe rather than from the nearest rows.
        agreement: ``(n,)`` share of the nearest rows that have the row's own class; NaN where it is not known.
        map: the rows on a plane.
        plane: the same by PCA.
        notes: sentences on what was left out.
    """

    keys: Sequence[str]
    dim: int
    labels: Array | None
    targets: Array | None
    classes: Sequence[str]
    pictures: Array | None
    near: Array
    similarity: Array
    voted: Array | None
    probe: bool
    agreement: Array | None
    map: Projection
    plane: Projection
    notes: Sequence[str]

    def __len__(self) -> int:
        return len(self.keys)

    def label(self, row: int) -> str:
        """What the row is, in words; "" when it is not known."""
        if self.targets is not None:
            return f"{self.targets[row]:.4g}"
        return self.classes[self.labels[row]] if self.labels is not None and self.labels[row] >= 0 else ""

    def differ(self, row: int, other: int) -> bool:
        """Whether both classes are known and not the same."""
        if self.labels is None or min(self.labels[row], self.labels[other]) < 0:
            return False
        return bool(self.labels[row] != self.labels[other])


def prepare(samples: Samples, *, seed: int = 0, limit: int = TSNE_ROWS) -> Shown:
    """Thin to at most ``limit`` finite rows, find their neighbours among themselves, and put them on a plane."""
    total = len(samples.features)
    finite = np.flatnonzero(np.isfinite(as_numpy(samples.features)).all(1))
    kept, notes = finite, []
    if len(finite) < total:
        notes.append(f"{total - len(finite):,} of {total:,} rows are left out: their features hold NaN or infinity.")
    if len(finite) > limit:
        kept = np.sort(np.random.default_rng(seed).choice(finite, limit, replace=False))
        notes.append(f"Shown are {limit:,} of {total:,} rows, drawn at random.")
    chosen = samples.rows(kept)
    features = torch.from_numpy(chosen.features.astype(np.float32))
    labels, targets, classes = _labels(chosen)
    near, similarity = _nearest(features)
    voted = agreement = None
    if labels is not None:
        given = chosen.predicted is not None
        voted = chosen.predicted.astype(int) if given else _vote(labels, near, similarity, len(classes))
        agreement = (labels[near] == labels[:, None]).mean(1) if near.shape[1] else np.full(len(labels), np.nan)
        agreement = np.where(labels < 0, np.nan, agreement)
    return Shown(
        keys=chosen.keys,
        dim=features.shape[1],
        labels=labels,
        targets=targets,
        classes=classes,
        pictures=None if chosen.thumbnails is None else _grey_or_rgb(chosen.thumbnails),
        near=near,
        similarity=similarity,
        voted=voted,
        probe=chosen.predicted is not None,
        agreement=agreement,
        map=project(features, "auto", seed=seed),
        plane=project(features, "pca"),
        notes=notes,
    )


def _labels(samples: Samples) -> tuple[Array | None, Array | None, list[str]]:
    """``(labels, targets, names)``: one of the first two at most is there."""
    if samples.labels is None or len(samples.labels) == 0:
        return None, None, []
    if np.issubdtype(samples.labels.dtype, np.floating):
        return None, samples.labels, []
    labels = samples.labels.astype(int)
    names = [str(name) for name in samples.classes or ()]
    names += [str(c) for c in range(len(names), int(labels.max(initial=-1)) + 1)]
    return (labels, None, names) if names else (None, None, [])


def _nearest(features: torch.Tensor) -> tuple[Array, Array]:
    """Positions and cosine similarities ``(n, k)`` of the nearest other rows."""
    n = len(features)
    k = min(NEIGHBOURS, n - 1)
    if k < 1:
        return np.zeros((n, 0), int), np.zeros((n, 0), np.float32)
    similarity, near = nearest(features, features, k, exclude=torch.arange(n))
    return near.numpy(), similarity.numpy()


def _vote(labels: Array, near: Array, similarity: Array, classes: int) -> Array:
    """The class with the largest sum of similarities among the nearest rows whose class is known; -1 without any."""
    votes = np.zeros((len(labels), classes))
    theirs = labels[near]
    for column in range(near.shape[1]):
        known = np.flatnonzero(theirs[:, column] >= 0)
        votes[known, theirs[known, column]] += 1 + similarity[known, column]
    return np.where(votes.any(1), votes.argmax(1), -1) if classes else np.full(len(labels), -1)


def _grey_or_rgb(pictures: Array) -> Array:
    return pictures if pictures.shape[1] in (1, 3) else pictures[:, :1]
