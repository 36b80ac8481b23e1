"""What each metric means, and what its value says, in plain words."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from likewise.report.page import number, signed

Tone = Literal["good", "bad", "warn", ""]


@dataclass(frozen=True)
class Meaning:
    """A metric for people.

    Attributes:
        title: short name.
        says: what it measures, in a sentence.
        better: the direction that is better, or "" where neither is as such.
        share: whether it is a share between 0 and 1.
    """

    title: str
    says: str
    better: Literal["higher", "lower", ""] = "higher"
    share: bool = False


@dataclass(frozen=True)
class Reading:
    """A sentence on a value, and how worried to be."""

    text: str
    tone: Tone = ""


MEANINGS = {
    "knn": Meaning("kNN accuracy", "The nearest training samples vote on each test sample's class.", share=True),
    "linear": Meaning(
        "Linear probe", "Accuracy on test samples of a linear classifier on frozen features.", share=True
    ),
    "few_shot": Meaning("Few-shot accuracy", "A linear classifier that saw only a few labels per class.", share=True),
    "nmi": Meaning(
        "Clustering, NMI", "Shared information of k-means clusters and classes: 0 none, 1 equal.", share=True
    ),
    "ari": Meaning("Clustering, ARI", "Agreement of k-means clusters and classes beyond chance: 0 chance, 1 equal."),
    "map": Meaning("Retrieval, mAP", "How far in front samples of the query's class come in the ranking.", share=True),
    "recall": Meaning("Recall", "Queries with one of their own among so many nearest.", share=True),
    "precision": Meaning("Precision", "Share of the nearest that have the query's class.", share=True),
    "r2": Meaning("R²", "Share of the target's variance that a linear fit on frozen features explains."),
    "alignment": Meaning(
        "Alignment", "Mean squared distance of two views of one sample on the sphere; 0 is the same point.", "lower"
    ),
    "uniformity": Meaning(
        "Uniformity",
        "How evenly features cover the sphere (log of a mean Gaussian kernel): 0 one point, −4 even.",
        "lower",
    ),
    "effective_rank": Meaning(
        "Effective rank", "How many dimensions the features really use: exponential of the spectrum's entropy (RankMe)."
    ),
    "lidar": Meaning("LiDAR", "Dimensions that tell samples apart beyond what augmentation changes."),
    "tolerance": Meaning("Tolerance", "Mean similarity of samples of one class."),
    "auc": Meaning(
        "Positives above negatives", "Chance that a positive pair is more alike than a negative one.", share=True
    ),
    "loss": Meaning("Loss", "The method's own objective; not comparable between methods.", "lower"),
    "seconds": Meaning("Time", "Seconds from start to end, evaluation included.", "lower"),
    "seconds_per_epoch": Meaning("Time per epoch", "Seconds for one pass over the training samples.", "lower"),
    "peak_memory_mb": Meaning("Peak memory", "Largest memory the process held, MB.", "lower"),
    "samples_per_s": Meaning("Throughput", "Training samples per second."),
    "wait_share": Meaning(
        "Waiting for data", "Share of the time in which the network waited for its batch.", "lower", True
    ),
    "lr": Meaning("Learning rate", "Of the first parameter group.", ""),
}


def meaning(name: str) -> Meaning:
    """What the metric ``name`` is; ``recall@5`` is read as recall among 5, an unknown name stands for itself."""
    if name in MEANINGS:
        return MEANINGS[name]
    found = re.fullmatch(r"(.+?)[@_](\d+)", name)
    if found and found[1] in MEANINGS:
        held = MEANINGS[found[1]]
        return Meaning(f"{held.title} @ {found[2]}", held.says, held.better, held.share)
    return Meaning(name.replace("_", " ").capitalize(), "", "")


def gain(name: str, value: float, before: float) -> float | None:
    """``value - before`` with the sign that makes positive better; None where no direction is."""
    sign = {"higher": 1, "lower": -1, "": None}[meaning(name).better]
    return None if sign is None else sign * (value - before)


def read_metric(name: str, value: float, *, untrained: float | None = None, dim: int | None = None) -> Reading:
    """What ``value`` says. ``dim`` is the width of the features, ``untrained`` the value before training."""
    if not math.isfinite(value):
        return Reading(f"{number(value)}: could not be computed, look at the loss and the features", "bad")
    if name in ("effective_rank", "lidar"):
        return _read_rank(name, value, dim)
    if name == "uniformity":
        steps = [(-0.2, "bad", "collapsed: all features point one way"), (-1, "warn", "crowded into a small cone")]
        steps += [(-2.5, "", "spread over part of the sphere"), (-math.inf, "good", "well spread over the sphere")]
        return next(Reading(text, tone) for bound, tone, text in steps if value >= bound)  # type: ignore[arg-type]
    if name == "alignment":
        steps = [(1, "bad", "views of one sample are hardly closer than chance (2)"), (0.4, "warn", "views stay apart")]
        steps += [(-math.inf, "good", "views of one sample lie close together")]
        return next(Reading(text, tone) for bound, tone, text in steps if value >= bound)  # type: ignore[arg-type]
    if untrained is not None and math.isfinite(untrained):
        better = gain(name, value, untrained)
        if better is None:
            return Reading("")
        if abs(better) < 0.005:
            return Reading("no different from the untrained encoder", "warn")
        word = "better" if better > 0 else "worse"
        return Reading(f"{word} than the untrained encoder by {number(abs(better))}", "good" if better > 0 else "bad")
    return Reading("")


def _read_rank(name: str, value: float, dim: int | None) -> Reading:
    of = f" of {dim}" if dim else ""
    what = "effective rank" if name == "effective_rank" else "LiDAR"
    if value < 2:
        return Reading(f"collapsed: {what} {value:.1f}{of}", "bad")
    if dim and value < 0.05 * dim:
        return Reading(f"narrow: uses about {value:.0f}{of} dimensions", "warn")
    if dim and value > 0.4 * dim:
        return Reading(f"rich: uses about {value:.0f}{of} dimensions", "good")
    return Reading(f"uses about {value:.0f}{of} dimensions")


def numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The plain numbers among ``metrics``; what is nested or text is left out."""
    return {k: float(v) for k, v in metrics.items() if isinstance(v, int | float) and not isinstance(v, bool)}


def verdict(metrics: Mapping[str, Any], *, dim: int | None = None, chance: float | None = None) -> list[Reading]:
    """A run in a few sentences: did it learn, is anything wrong.

    Args:
        metrics: of ``metrics.json``.
        dim: width of the features.
        chance: share of the most frequent class, what guessing would score.
    """
    values, before = numbers(metrics), numbers(metrics.get("untrained") or {})
    out = []
    lead = next((name for name in ("knn", "linear", "r2", "map") if name in values), None)
    if lead:
        out.append(_lead(lead, values[lead], before.get(lead), chance))
    rank, spread = values.get("effective_rank"), values.get("uniformity")
    if rank is not None:
        out.append(read_metric("effective_rank", rank, dim=dim))
    if spread is not None and not (out and out[-1].text.startswith("collapsed")):
        out.append(read_metric("uniformity", spread))
    return [Reading(r.text[:1].upper() + r.text[1:] + ".", r.tone) for r in out if r.text]


def _lead(name: str, value: float, before: float | None, chance: float | None) -> Reading:
    title = meaning(name).title
    if not math.isfinite(value):
        return Reading(f"{title} could not be computed", "bad")
    text = f"{title} {number(value)}"
    if before is not None and math.isfinite(before):
        better = value - before
        if abs(better) < 0.005:
            return Reading(f"{text}, no different from the untrained encoder's {number(before)}", "warn")
        tone: Tone = "good" if better > 0 else "bad"
        side = "above" if better > 0 else "below"
        return Reading(f"{text}, {signed(abs(better)).lstrip('+')} {side} the untrained encoder", tone)
    if chance is not None and name in ("knn", "linear") and value <= chance + 0.01:
        return Reading(f"{text}, no better than always guessing the most frequent class ({number(chance)})", "bad")
    return Reading(text)
