"""Which method is better, over seeds: means, paired differences, and how sure one can be."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from likewise.core.errors import InputError
from likewise.evaluate.catalogue import Metric, metric

EXACT = 16
"""Up to so many seeds every pattern of signs is counted (65,536); beyond, a fixed random sample of them."""


@dataclass(frozen=True)
class Summary:
    """Mean and standard deviation (n - 1) of ``n`` values; no deviation from a single one."""

    mean: float
    sd: float | None
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.3g}" if self.sd is None else f"{self.mean:.3g} ± {self.sd:.2g}"


@dataclass(frozen=True)
class Difference:
    """Paired differences ``a - b`` over the same seeds.

    One seed gives a mean and nothing else. Differences that are all the same have an interval without width and no
    t-test (its statistic divides by 0); the sign-flip test still tells how surprising equal signs are.

    Attributes:
        mean: of the differences.
        low: end of the confidence interval by Student's t, or None.
        high: its other end, or None.
        p: two-sided paired t-test, or None.
        p_exact: two-sided sign-flip permutation test of the mean, or None; never below 2 / 2^n, so that three seeds
            can't give less than 0.25.
        n: pairs.
    """

    mean: float
    low: float | None
    high: float | None
    p: float | None
    p_exact: float | None
    n: int


@dataclass(frozen=True)
class Standing:
    """A method's place in a comparison.

    Attributes:
        name: of the method.
        summary: of its values.
        behind: the best method's values less its own, signed so that positive means the best one is better; None for
            the best itself.
        p: of ``behind``, adjusted for the number of methods compared with the best (Holm), or None.
        says: the place in words.
    """

    name: str
    summary: Summary
    behind: Difference | None
    p: float | None
    says: str


def summary(values: Sequence[float]) -> Summary:
    """Mean and spread of one method's values."""
    found = _checked(values)
    return Summary(float(found.mean()), float(found.std(ddof=1)) if len(found) > 1 else None, len(found))


def paired(a: Sequence[float], b: Sequence[float], *, confidence: float = 0.95) -> Difference:
    """How much larger ``a`` is than ``b``, values of the same seeds in the same order.

    Raises:
        InputError: different numbers of values, none, or values that are not finite.
    """
    if len(a) != len(b):
        raise InputError(f"a paired comparison needs the same seeds on both sides, got {len(a)} and {len(b)} values")
    d = _checked(a) - _checked(b)
    n, mean = len(d), float(d.mean())
    if n == 1:
        return Difference(mean, None, None, None, None, 1)
    # equal up to the rounding of a subtraction
    if np.ptp(d) <= 1e-12 * max(1.0, float(np.abs(d).max())):
        return Difference(mean, mean, mean, None, _sign_flip(d), n)
    from scipy import stats

    error = float(d.std(ddof=1)) / math.sqrt(n)
    reach = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * error
    p = 2 * float(stats.t.sf(abs(mean) / error, n - 1))
    return Difference(mean, mean - reach, mean + reach, p, _sign_flip(d), n)


def _sign_flip(d: np.ndarray) -> float:
    """Share of the sign patterns whose sum is at least as far from 0 (Fisher's randomisation test)."""
    n = len(d)
    if n <= EXACT:
        signs = np.array(list(itertools.product((1.0, -1.0), repeat=n)))
        extra = 0
    else:
        signs = np.random.default_rng(0).choice((1.0, -1.0), size=(2**EXACT, n))
        extra = 1  # the pattern that was seen counts, so that p is never 0
    sums = np.abs(signs @ d)
    reached = int((sums >= abs(d.sum()) - 1e-12 * np.abs(d).sum()).sum())
    return (reached + extra) / (len(signs) + extra)


def holm(p: Sequence[float | None]) -> list[float | None]:
    """P-values adjusted for their number (Holm 1979); None stays None and does not count."""
    known = sorted((value, i) for i, value in enumerate(p) if value is not None)
    out: list[float | None] = [None] * len(p)
    largest = 0.0
    for rank, (value, i) in enumerate(known):
        largest = max(largest, min(1.0, value * (len(known) - rank)))
        out[i] = largest
    return out


def rank(results: Mapping[str, Sequence[Mapping[str, float]]], name: str, *, level: float = 0.05) -> list[Standing]:
    """Methods by the mean of a metric, best first, each compared with the best over the same seeds.

    Args:
        results: method -> metrics of each seed, seeds in the same order everywhere.
        name: of the metric; methods without it in some seed are left out.
        level: a difference with a smaller adjusted p of the t-test counts as one.

    Raises:
        InputError: an unknown metric, one without a better side, different numbers of seeds, or no method that has it.
    """
    entry = metric(name)
    if entry.direction == "neutral":
        raise InputError(f"{name} has no better side ({entry.says}): choose another metric to rank by")
    values = {
        method: [float(seed[name]) for seed in seeds]
        for method, seeds in results.items()
        if seeds and all(name in seed for seed in seeds)
    }
    if not values:
        raise InputError(f"no result has the metric {name!r}")
    sign = 1 if entry.direction == "higher" else -1
    order = sorted(values, key=lambda method: (-sign * summary(values[method]).mean, method))
    best, rest = order[0], order[1:]
    behind = {method: paired(*_signed(values[best], values[method], sign)) for method in rest}
    adjusted = dict(zip(rest, holm([behind[method].p for method in rest])))
    beaten = [m for m in rest if (p := adjusted[m]) is not None and p < level]
    out = [Standing(best, summary(values[best]), None, None, _best(beaten, adjusted, rest))]
    for method in rest:
        says = _place(behind[method], adjusted[method], best, entry, level)
        out.append(Standing(method, summary(values[method]), behind[method], adjusted[method], says))
    return out


def _signed(a: Sequence[float], b: Sequence[float], sign: int) -> tuple[list[float], list[float]]:
    return [sign * v for v in a], [sign * v for v in b]


def _best(beaten: Sequence[str], adjusted: Mapping[str, float | None], rest: Sequence[str]) -> str:
    if not rest:
        return "the only one"
    if not beaten:
        return "best on average"
    over = ", ".join(f"{m} (paired, {_p(adjusted[m])})" for m in beaten)
    return f"best; better than {over}"


def _place(behind: Difference, p: float | None, best: str, entry: Metric, level: float) -> str:
    gap = f"{100 * behind.mean:.1f} points" if entry.share else f"{behind.mean:.3g}"
    if behind.n == 1:
        return f"{gap} behind {best}; one seed can't tell whether that is chance"
    if p is None:
        return f"the same as {best}" if behind.mean == 0 else f"{gap} behind {best} in every seed"
    return f"{gap} behind {best} ({_p(p)}{'' if p < level else ', could be chance'})"


def _p(p: float | None) -> str:
    if p is None:
        return "p unknown"
    return "p < .001" if p < 0.001 else f"p = {p:.2g}".replace("0.", ".")


def _checked(values: Sequence[float]) -> np.ndarray:
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1 or len(found) == 0 or not np.isfinite(found).all():
        raise InputError(f"a comparison needs finite numbers, at least one: got {list(values)}")
    return found
