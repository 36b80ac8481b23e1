"""Learning-rate schedules: pure functions ``f(step, steps, group) -> factor``, so that resuming needs no state."""

import math
from collections.abc import Callable

from likewise.core.errors import InputError
from likewise.core.recipe import part

Schedule = Callable[[int, int, str], float]
"""``(step from 0, steps of the run, name of the parameter group) -> factor on the learning rate``."""


def linear_scale(lr: float, batch: int) -> float:
    """The linear scaling rule ``lr * batch / 256`` (Goyal et al., 2017)."""
    return lr * batch / 256


@part("schedule")
def constant(warmup: float = 0.0) -> Schedule:
    """The full learning rate throughout, after a linear warm-up over the share ``warmup`` of the steps."""
    _check("constant", warmup=warmup)
    return lambda step, steps, group: _ramp(step, warmup * steps)


@part("schedule")
def cosine(warmup: float = 0.0, end: float = 0.0, hold: tuple[str, ...] = ()) -> Schedule:
    """Half a cosine from 1 to ``end`` (Loshchilov & Hutter, 2017) after a linear warm-up.

    Args:
        warmup: share of the steps; ``10 / 100`` for ten of a hundred epochs.
        end: factor that the cosine falls to.
        hold: parameter groups that keep the full rate throughout (SimSiam's predictor).
    """
    _check("cosine", warmup=warmup, end=end)

    def factor(step: int, steps: int, group: str) -> float:
        if group in hold:
            return 1.0
        warm = warmup * steps
        if step < warm:
            return _ramp(step, warm)
        done = min(1.0, (step - warm) / max(1.0, steps - warm))
        return end + (1 - end) * (1 + math.cos(math.pi * done)) / 2

    return factor


@part("schedule")
def exponential(end: float = 0.1) -> Schedule:
    """Every step the same factor below the one before, so that it has fallen to ``end`` after the last.

    Args:
        end: ``0.96 ** 20`` for 0.96 every 50 of 1000 epochs.
    """
    _check("exponential", end=end)
    return lambda step, steps, group: end ** (step / max(1, steps))


@part("schedule")
def step(at: tuple[float, ...] = (0.6, 0.8), factor: float = 0.1, warmup: float = 0.0) -> Schedule:
    """The rate times ``factor`` at each of the shares ``at`` of the run, after a linear warm-up.

    Args:
        at: shares of the steps, like ``(0.6, 0.8)`` for epochs 120 and 160 of 200.
        factor: at each of them.
        warmup: share of the steps.
    """
    _check("step", warmup=warmup, **{f"at[{i}]": share for i, share in enumerate(at)})
    return lambda step, steps, group: _ramp(step, warmup * steps) * factor ** sum(step >= a * steps for a in at)


def _ramp(step: int, warm: float) -> float:
    """Linear from ``1 / warm`` at step 0 (a first step of rate 0 would be wasted) to 1."""
    return min(1.0, (step + 1) / warm) if warm > 0 else 1.0


def _check(name: str, **shares: float) -> None:
    for setting, value in shares.items():
        if not 0 <= value <= 1:
            raise InputError(f"schedule {name}: {setting} is a share of the run and must be from 0 to 1, got {value}")
