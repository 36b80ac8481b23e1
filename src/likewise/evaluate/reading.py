"""Metrics read aloud: what a run's numbers say, in plain words and with a level."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from likewise.evaluate.catalogue import LEADS, METRICS

_ERRORS = tuple(n for n in LEADS if METRICS[n].direction == "lower" and n.endswith(("_mse", "_mae")))
_SHARES = tuple(n for n in LEADS if METRICS[n].share and METRICS[n].direction == "higher")
Level = Literal["good", "warn", "bad"]


@dataclass(frozen=True)
class Reading:
    """One sentence about a run, and whether it is good news."""

    level: Level
    text: str

    def __str__(self) -> str:
        return self.text


def read(metrics: Mapping[str, Any], dim: int | None = None) -> list[Reading]:
    """What a run's metrics say, worst news first.

    Args:
        metrics: as :func:`~likewise.evaluate.probes.evaluate` or a probe gives them; ``"untrained"`` may hold those
            of the same encoder before training.
        dim: width of the features; ``metrics["dim"]`` if None.

    Returns:
        A sentence for each metric that has something to say; nothing for what is absent.
    """
    width = dim if dim is not None else int(metrics.get("dim", 0))
    readers: tuple[Callable[[Mapping[str, Any], int], Reading | None], ...] = (
        _rank,
        _uniformity,
        _alignment,
        *(_over_untrained(name) for name in ("knn", "linear_200", "linear", "r2", *_SHARES)),
        *(_under_untrained(name) for name in _ERRORS),
        _bicubic,
        _regret,
        _popular,
        _raw,
        _lidar,
    )
    found = [reading for reader in readers if (reading := reader(metrics, width)) is not None]
    return sorted(found, key=lambda r: ("bad", "warn", "good").index(r.level))


def _bicubic(metrics: Mapping[str, Any], dim: int) -> Reading | None:
    value, plain = metrics.get("psnr"), metrics.get("psnr_bicubic")
    if value is None or plain is None:
        return None
    text = f"PSNR {value:.4g} dB, {plain:.4g} of bicubic enlargement"
    return Reading("good", text) if value > plain else Reading("bad", f"no better than enlarging: {text}")


def _regret(metrics: Mapping[str, Any], dim: int) -> Reading | None:
    last, chance = metrics.get("final_regret"), (metrics.get("untrained") or {}).get("final_regret")
    if last is None or chance is None:
        return None
    text = f"regret {last:.3g} an episode at last, {chance:.3g} by acting at random"
    return Reading("good", text) if last < chance / 2 else Reading("warn", f"little learned: {text}")


def _rank(metrics: Mapping[str, Any], dim: int) -> Reading | None:
    rank = metrics.get("effective_rank")
    if rank is None or dim < 2:
        return None
    text = f"effective rank {rank:.3g} of {dim}"
    if rank < max(1.5, dim / 100):
        return Reading("bad", f"collapsed: {text}")
    if rank < dim / 10:
        return Reading("warn", f"few directions in use: {text}")
    return Reading("good", f"many directions in use: {text}")


def _uniformity(metrics: Mapping[str, Any], dim: int) -> Reading | None:
    value = metrics.get("uniformity")
    if value is None:
        return None
    text = f"uniformity {value:.2g}"
    if value > -0.1:
        return Reading("bad", f"all features point the same way ({text})")
    if value > -0.8:  # features behind a ReLU share a quadrant: evenly spread there, they reach about -1.5
        return Reading("warn", f"features are crowded into a narrow cone ({text})")
    return Reading("good", f"negatives spread evenly ({text})" if value < -2.5 else f"features well spread ({text})")


def _alignment(metrics: Mapping[str, Any], dim: int) -> Reading | None:
    value, apart = metrics.get("alignment"), metrics.get("apart")
    if value is None or apart is None or apart < 1e-3:  # all in one place: others tell
        return None
    share = value / apart
    text = f"alignment {value:.2g}, two samples {apart:.2g}"
    if share > 0.8:
        return Reading("bad", f"two views of a sample are hardly closer than two samples ({text})")
    if share > 0.5:
        return Reading("warn", f"two views of a sample are not much closer than two samples ({text})")
    return Reading("good", f"views of a sample stay together ({text})")


def _popular(metrics: Mapping[str, Any], dim: int) -> Reading | None:
    for k in (20, 10):
        value, popular = metrics.get(f"top{k}_recall"), metrics.get(f"top{k}_recall_popular")
        if value is None or popular is None:
            continue
        if value <= popular:
            return Reading("bad", f"recall@{k} {value:.3f}: recommending everybody the most popular has {popular:.3f}")
        return Reading("good", f"recall@{k} {value:.3f}, where the most popular for everybody have {popular:.3f}")
    return None


def _raw(metrics: Mapping[str, Any], dim: int) -> Reading | None:
    value, raw = metrics.get("node_accuracy"), metrics.get("node_accuracy_raw")
    if value is None or raw is None:
        return None
    if value <= raw:
        return Reading("bad", f"node accuracy {value:.2f}: the nodes' own features, without the graph, have {raw:.2f}")
    return Reading("good", f"node accuracy {value:.2f}, where the nodes' own features have {raw:.2f}")


def _over_untrained(name: str) -> Callable[[Mapping[str, Any], int], Reading | None]:
    def reader(metrics: Mapping[str, Any], dim: int) -> Reading | None:
        value = metrics.get(name)
        before = (metrics.get("untrained") or {}).get(name)
        if value is None:
            return None
        title = METRICS[name].title
        text = f"{title} {value:.2f}" if len(title) < 5 else f"{title}: {value:.2f}"
        chance = metrics.get("chance")
        if name != "r2" and chance is not None and value < chance + 0.01:
            return Reading("bad", f"{text}: no better than always answering the commonest label ({chance:.2f})")
        if before is None:
            return None
        points = round(100 * (value - before))
        if points < 0:
            return Reading("bad", f"{text}: {_points(-points)} under the untrained encoder")
        if points < 2:
            return Reading("warn", f"{text}: hardly over the untrained encoder ({before:.2f})")
        return Reading("good", f"{text}: {_points(points)} over the untrained encoder")

    return reader


def _under_untrained(name: str) -> Callable[[Mapping[str, Any], int], Reading | None]:
    naive = name.replace("forecast_", "naive_")

    def reader(metrics: Mapping[str, Any], dim: int) -> Reading | None:
        value, before, last = metrics.get(name), (metrics.get("untrained") or {}).get(name), metrics.get(naive)
        if value is None:
            return None
        text = f"{METRICS[name].title} {value:.3g}"
        if last is not None and value >= last:
            return Reading("bad", f"{text}: no better than repeating the last value ({last:.3g})")
        if not before:
            return None
        percent = round(100 * (1 - value / before))
        if percent < 0:
            return Reading("bad", f"{text}: {-percent} % above the untrained encoder's")
        if percent < 2:
            return Reading("warn", f"{text}: hardly below the untrained encoder's ({before:.3g})")
        return Reading("good", f"{text}: {percent} % below the untrained encoder's")

    return reader


def _points(number: int) -> str:
    return "1 point" if number == 1 else f"{number} points"


def _lidar(metrics: Mapping[str, Any], dim: int) -> Reading | None:
    value = metrics.get("lidar")
    if value is None or value >= 1.5 or dim < 2:
        return None
    return Reading("bad", f"samples can't be told apart beyond what augmentation changes (LiDAR {value:.2g} of {dim})")
