"""How good frozen features are: everything at the end of a run, and a quick look during it."""

import math
from collections.abc import Collection
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from likewise.core.errors import InputError, near
from likewise.core.learner import Learner
from likewise.data.dataset import Dataset
from likewise.evaluate.features import IN_MEMORY, Views, augmented, device_of, extract
from likewise.evaluate.linear import Standard, logistic
from likewise.evaluate.scores import NEIGHBOURS, SCORES, Frozen, of_views, spread
from likewise.functional import metrics as m

BINS = 40
"""Bins of the similarity histograms, from -1 to 1."""
_PROBE_VIEWS = 500  # rows with two views each in a quick look
_SHIFTS = 5  # random negatives per row in its histogram


def evaluate(
    learner: Learner,
    views: Views,
    dataset: Dataset,
    *,
    seed: int = 0,
    what: Collection[str] | None = None,
    rows: int | None = None,
    device: torch.device | str | None = None,
    role: str | None = None,
    batch: int = 512,
    progress: bool = False,
) -> dict[str, float]:
    """Metrics of frozen features: fitted on the train rows, scored on the test rows.

    What the data can't answer is absent: without labels, or with a single class, all that needs classes; with float
    labels, everything but the regression and the geometry. Data without test rows have their geometry measured on the
    train rows, and nothing else.

    Args:
        learner: in whatever mode; it is left as it was.
        views: as the run was trained with.
        dataset: where the rows are.
        seed: of subsets, draws and restarts; the same seed gives the same numbers.
        what: names of metrics (see ``METRICS``); all if None. A name brings those that are computed with it.
        rows: at most so many of the train rows and of the test rows.
        device: where to move the learner and compute; where it is if None.
        role: which plain view to embed, for learners with several.
        batch: rows at a time.
        progress: show a bar when it takes long.

    Returns:
        Name -> value; ``dim`` and ``test_rows`` are always there.

    Raises:
        InputError: an unknown name, no rows, a row on both sides, or features that are not finite.
    """
    names = [name for score in SCORES for name in score.gives]
    for name in what or ():
        if name not in names:
            raise InputError(f"unknown metric {name!r}{near(name, names)}")

    if device is not None:
        learner.to(device)
    frozen = _frozen(learner, views, dataset, rows, seed, role, batch=batch, progress=progress)
    out: dict[str, float] = {}
    for score in SCORES:
        if (what is None or set(score.gives) & set(what)) and frozen.has(score.needs):
            out |= score.run(frozen)
    return {
        **{name: value for name, value in out.items() if math.isfinite(value)},
        "dim": float(frozen.scored.shape[1]),
        "test_rows": float(frozen.num_test),
    }


def probe(learner: Learner, views: Views, dataset: Dataset, *, rows: int = 2000, seed: int = 0) -> dict[str, Any]:
    """A quick look during training, which leaves no trace: modes, buffers, gradients and random states stay.

    The same rows under the same seed each time: half train rows to fit on, half test rows to score on. Nothing in a
    run may choose by it, since it looks at test rows.

    Args:
        learner: in whatever mode, on whatever device.
        views: as the run is trained with.
        dataset: where the rows are.
        rows: samples to look at, at most.
        seed: of the subset and the augmentations.

    Returns:
        ``knn`` and ``linear`` (data with classes; a logistic regression with C = 0.1), ``effective_rank``,
        ``uniformity``, ``std``, ``anisotropy``, ``alignment``, ``apart``, ``lidar`` (of two views), and
        ``positive_hist`` and ``negative_hist``: counts in 40 bins of the cosines of two views of one sample, and of
        views of different samples.

    Raises:
        InputError: no rows, a row on both sides, or features that are not finite.
    """
    half = max(2, rows // 2)
    frozen = _frozen(learner, views, dataset, half, seed)
    out: dict[str, Any] = {}
    if frozen.has("classes"):
        y = frozen.classes[1].to(frozen.train.device)
        out["knn"] = frozen.accuracy(m.knn_predict(frozen.test, frozen.train, y, k=NEIGHBOURS))
        scale = Standard.of(frozen.train)
        model = logistic(scale(frozen.train), y, len(frozen.classes[0]), c=0.1, tolerance=1e-3, max_iter=100)
        out["linear"] = frozen.accuracy(model.predict(scale(frozen.test)))
    if frozen.has("pairs"):
        out |= spread(frozen.scored)
        pairs = frozen.views(_PROBE_VIEWS, 2)
        out |= of_views(pairs)
        a, b = F.normalize(pairs, dim=-1).unbind(1)
        apart = [(a * b.roll(shift, 0)).sum(1) for shift in range(1, min(_SHIFTS, len(a) - 1) + 1)]
        out["positive_hist"] = m.similarity_histogram((a * b).sum(1), bins=BINS).tolist()
        out["negative_hist"] = m.similarity_histogram(torch.cat(apart), bins=BINS).tolist()
    return {name: value for name, value in out.items() if isinstance(value, list) or math.isfinite(value)}


def _frozen(
    learner: Learner,
    views: Views,
    dataset: Dataset,
    most: int | None,
    seed: int,
    role: str | None = None,
    **more: Any,
) -> Frozen:
    """The data set's two sides, each cut to a random subset of at most so many rows."""
    generator = torch.Generator().manual_seed(seed)
    train, test = (_subset(side, most, generator) for side in (dataset.train_rows, dataset.test_rows))
    check_split(dataset, train, test)
    scored = test if len(test) else train
    if not len(scored):
        raise InputError(f"{dataset.name}: no rows to evaluate on")
    # rows in a file's order may be sorted by class; neighbours in a random order are unrelated
    mixed = scored[torch.randperm(len(scored), generator=generator)]
    where = device_of(learner)

    def near_learner(z: Tensor) -> Tensor:
        # no float64 on mps, and what did not fit into memory stays in its file
        return z if where.type == "mps" or z.nbytes > IN_MEMORY else z.to(where)

    return Frozen(
        train=lambda: near_learner(extract(learner, views, dataset, train, role=role, **more)),
        test=lambda: near_learner(extract(learner, views, dataset, test, role=role, **more)),
        views=lambda number, count: near_learner(
            augmented(learner, views, dataset, mixed[:number], seed=seed, num_views=count, **more)
        ),
        train_labels=None if dataset.labels is None else dataset.labels[train],
        test_labels=None if dataset.labels is None else dataset.labels[test],
        sizes=(len(train), len(test)),
        seed=seed,
    )


def _subset(index: Tensor, most: int | None, generator: torch.Generator) -> Tensor:
    """At most ``most`` of the positions, at random, in their order (files are read front to back)."""
    if most is None or len(index) <= most:
        return index
    return index[torch.randperm(len(index), generator=generator)[:most].sort().values]


def check_split(dataset: Dataset, train: Tensor, test: Tensor) -> None:
    """Raise an InputError if a sample, by position or key, is on both sides of the split."""
    both = set(train.tolist()) & set(test.tolist())
    keys = {dataset.keys[i] for i in train.tolist()} & {dataset.keys[i] for i in test.tolist()} if not both else set()
    shared = [str(dataset.keys[i]) for i in sorted(both)] or sorted(map(str, keys))
    if shared:
        raise InputError(
            f"{dataset.name}: {len(shared)} samples are in train and in test ({shared[0]!r}): the score would be a lie"
        )
