"""Names and sentences for metrics on pages; their meaning is in :mod:`likewise.evaluate.catalogue`."""

import math
from collections.abc import Mapping
from typing import Any

from likewise.evaluate.catalogue import METRICS, Metric
from likewise.evaluate.reading import Reading, read

_ZHU = "Zhu et al. 2021, arXiv:2108.02982"
SCORES = {
    "positive_score": ("score of positives", "mean product of a query and its positive; lower is a harder task"),
    "positive_variance": ("variance of positives", "of the positives' scores over the batch"),
    "negative_score": ("score of negatives", "mean product of a query and the negatives"),
    "negative_variance": ("variance of negatives", "of a query's scores with the negatives, mean over queries"),
    "negative_soft_maximum": (
        "soft maximum of negatives",
        "temperature times the log of the mean of e^(score / temperature): near the hardest negative's score",
    ),
}
"""Statistics of scores that a method logs, each also as ``plain_...`` of the features that it did not transform yet."""
_LOGGED = {
    "loss": Metric("loss", "loss", "the method's own objective; not comparable between methods", "lower"),
    "lr": Metric("lr", "learning rate", "of the first parameter group"),
    "samples_per_s": Metric("samples_per_s", "samples per second", "training throughput", "higher"),
    "wait_share": Metric(
        "wait_share", "waiting for data", "share of the time that training waited", "lower", share=True
    ),
    "seconds_per_epoch": Metric("seconds_per_epoch", "s per epoch", "seconds for one pass over the data", "lower"),
    **{name: Metric(name, title, says, source=_ZHU) for name, (title, says) in SCORES.items()},
    **{f"plain_{n}": Metric(f"plain_{n}", f"{t}, not transformed", s) for n, (t, s) in SCORES.items()},
}
_CONTEXT = ("dim", "chance", "apart", "untrained")
"""What the reading of one metric may look at beside it."""


def metric(name: str) -> Metric:
    """What ``name`` is; a name that a method made up stands for itself."""
    return METRICS.get(name) or _LOGGED.get(name) or Metric(name, name.replace("_", " "), "")


def title(name: str) -> str:
    """The metric's name at the start of a line: ``Effective rank``, but ``kNN``."""
    return capital(metric(name).title)


def capital(text: str) -> str:
    """The first letter large, unless the second is already (``kNN``, ``mAP``)."""
    return text if text[1:2].isupper() else text[:1].upper() + text[1:]


def numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The plain numbers among ``metrics``; what is nested or text is left out."""
    return {k: float(v) for k, v in metrics.items() if isinstance(v, int | float) and not isinstance(v, bool)}


def gain(name: str, value: float, before: float) -> float | None:
    """``value - before`` with the sign that makes positive better; None where neither side is."""
    sign = {"higher": 1, "lower": -1, "neutral": None}[metric(name).direction]
    return None if sign is None else sign * (value - before)


def verdict(metrics: Mapping[str, Any], dim: int | None = None) -> list[Reading]:
    """The run in a few sentences, worst news first: all bad ones, few good ones."""
    found = read(finite(metrics), dim)
    bad = [Reading("bad", f"{name} is not a number") for name, v in numbers(metrics).items() if not math.isfinite(v)]
    sorry = bad + [r for r in found if r.level != "good"]
    good = sorted((r for r in found if r.level == "good"), key=lambda r: "untrained" not in r.text)
    return [Reading(r.level, capital(r.text) + ".") for r in [*sorry, *good[: max(2, 4 - len(sorry))]]]


def read_one(metrics: Mapping[str, Any], name: str, dim: int | None = None) -> Reading | None:
    """What one of ``metrics`` says, or None."""
    if not math.isfinite(metrics[name]):
        return Reading("bad", "could not be computed: look at the loss and the features")
    context = {k: metrics[k] for k in _CONTEXT if k in metrics}
    # the context alone says nothing, so whatever is said is about this metric
    found = read(finite({**context, name: metrics[name]}), dim)
    return found[0] if found else None


def finite(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The finite numbers among ``metrics``, those of the untrained encoder included."""
    kept = {k: v for k, v in numbers(metrics).items() if math.isfinite(v)}
    before = metrics.get("untrained")
    return {**kept, "untrained": finite(before)} if isinstance(before, Mapping) else kept
