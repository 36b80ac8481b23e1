"""Worlds for agents: random ones of low rank, the combination lock, and a person's own from a file."""

import math
import os
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from likewise.core.errors import InputError, near
from likewise.core.recipe import Spec, find_part, part, part_names, spec
from likewise.functional.rl import backward_induction, policy_value


class Tabular:
    """A world that is written down: probabilities of next states and rewards for every step, state and action.

    Args:
        name: for people.
        transition: ``(h, s, a, s)`` float64, sums to 1 over the last axis.
        reward: ``(h, s, a)`` float64, 0 to 1.
        start: ``(s,)`` probabilities of the first state.
    """

    def __init__(self, name: str, transition: Tensor, reward: Tensor, start: Tensor) -> None:
        self.name, self.transition, self.reward, self.start = name, transition, reward, start
        self.horizon, self.num_states, self.num_actions, _ = transition.shape
        self._step = self._state = 0

    def reset(self, generator: torch.Generator) -> int:
        """Begin an episode; its first state."""
        self._step, self._state = 0, int(torch.multinomial(self.start, 1, generator=generator))
        return self._state

    def step(self, action: int, generator: torch.Generator) -> tuple[int, float, bool]:
        """Next state, reward, and whether the episode has ended."""
        if self._step >= self.horizon:
            raise RuntimeError(f"{self.name}: the episode has ended after {self.horizon} steps: reset() begins another")
        here = self._step, self._state, action
        reward = float(self.reward[here])
        self._state = int(torch.multinomial(self.transition[here], 1, generator=generator))
        self._step += 1
        return self._state, reward, self._step == self.horizon

    def optimal(self) -> float:
        """What the best policy collects in an episode, by exact value iteration."""
        best = backward_induction(self.transition, self.reward, torch.zeros_like(self.reward), math.inf)
        return float(best[0].amax(1) @ self.start)

    def value(self, policy: Tensor) -> float:
        """What a policy ``(h, s, a)`` collects in an episode on average, exactly."""
        return float(policy_value(self.transition, self.reward, policy.double()) @ self.start)


@part("environment")
def low_rank(states: int = 20, actions: int = 4, horizon: int = 5, rank: int = 3, seed: int = 0) -> Tabular:
    """A random world: each state and action mixes ``rank`` distributions of next states, others at each step.

    Args:
        states: how many.
        actions: how many.
        horizon: steps of an episode.
        rank: of the transition matrix of each step.
        seed: of the world; a run's own seed does not change it.
    """
    _at_least("low-rank", 1, states=states, actions=actions, horizon=horizon, rank=rank)
    rng = np.random.default_rng(seed)
    mixing = rng.dirichlet(np.full(rank, 0.3), (horizon, states, actions))
    basis = rng.dirichlet(np.full(states, 0.3), (horizon, rank))
    transition = np.einsum("hsak,hkt->hsat", mixing, basis)
    # few states pay, so that where one goes matters
    reward = np.repeat(rng.random((horizon, states, 1)) ** 4, actions, axis=2)
    start = np.full(states, 1 / states)
    return Tabular("low-rank", _normal(transition), torch.from_numpy(reward), torch.from_numpy(start))


@part("environment")
def combination_lock(length: int = 5, actions: int = 4, distraction: float = 0.1, seed: int = 0) -> Tabular:
    """A door that opens, for a reward of 1, when the right action is taken ``length`` times in a row.

    A wrong action leads to a state from which nothing can be won any more; the first wrong one pays ``distraction``,
    so that who only goes by rewards seen so far stays there. Chance finds the way once in ``actions ** length``
    episodes.

    Args:
        length: right actions, and steps of an episode.
        actions: to choose from.
        distraction: what giving up at the first step pays.
        seed: of the combination; a run's own seed does not change it.
    """
    _at_least("combination-lock", 1, length=length)
    _at_least("combination-lock", 2, actions=actions)
    if not 0 <= distraction < 1:
        raise InputError(f"combination-lock: distraction={distraction} must be at least 0 and below 1")
    right = np.random.default_rng(seed).integers(0, actions, length)
    lost, states = length + 1, length + 2
    transition, reward = (
        torch.zeros(length, states, actions, states, dtype=torch.float64),
        torch.zeros(length, states, actions, dtype=torch.float64),
    )
    transition[..., lost] = 1
    for step, action in enumerate(right.tolist()):
        transition[step, step, action] = torch.nn.functional.one_hot(torch.tensor(step + 1), states).double()
    reward[length - 1, length - 1, right[-1]] = 1
    reward[0, 0] = torch.where(torch.arange(actions) == right[0], reward[0, 0], distraction)
    start = torch.zeros(states, dtype=torch.float64)
    start[0] = 1
    return Tabular("combination-lock", transition, reward, start)


@part("environment")
def mdp_file(path: str, horizon: int | None = None) -> Tabular:
    """A world in an ``.npz`` file: ``P`` and ``R``, and perhaps ``start``, probabilities of the first state.

    ``P`` is ``(s, a, s)``, probabilities of the next state, and ``R`` ``(s, a)``, rewards from 0 to 1; or both with an
    axis of steps in front.

    Args:
        path: of the file.
        horizon: steps of an episode, where P has no axis of steps.

    Raises:
        InputError: no such file, or one that is no world; what is wrong and where.
    """
    held = _load(path)
    p, r = (held[name].astype(np.float64) for name in ("P", "R"))
    if p.ndim not in (3, 4) or p.shape[-1] != p.shape[-3] or 0 in p.shape:
        raise InputError(
            f"{path}: P has the shape {p.shape}; it must be (states, actions, states), or with steps first"
        )
    if r.shape != p.shape[:-1]:
        raise InputError(f"{path}: R has the shape {r.shape}, but goes with P as {p.shape[:-1]}")
    if p.ndim == 4 and horizon not in (None, len(p)):
        raise InputError(f"{path}: P has {len(p)} steps, so horizon={horizon} can't be")
    if p.ndim == 3 and (horizon is None or horizon < 1):
        raise InputError(f"{path}: P has no axis of steps: say how long an episode is, --set data.horizon=10")
    start = held.get("start", np.eye(p.shape[-1])[0]).astype(np.float64)
    if start.shape != p.shape[-1:]:
        raise InputError(f"{path}: start has the shape {start.shape}, but there are {p.shape[-1]} states")
    for name, values in (("P", p), ("R", r), ("start", start)):
        if not np.isfinite(values).all():
            raise InputError(f"{path}: {name} holds NaN or infinite values, first at {_first(~np.isfinite(values))}")
        if (values < 0).any():
            raise InputError(f"{path}: {name} holds negative values, first at {_first(values < 0)}")
    if (r > 1).any():
        at = _first(r > 1)
        raise InputError(f"{path}: R is {r[at]:g} at {at}; rewards go from 0 to 1: divide them")
    for name, sums in (("P", p.sum(-1)), ("start", start.sum(keepdims=True))):
        wrong = np.abs(sums - 1) > 1e-4
        if wrong.any():
            at = _first(wrong)
            raise InputError(f"{path}: the probabilities {name}{list(at)} add up to {sums[at]:g}, not to 1")
    if p.ndim == 3:
        p, r = (np.repeat(values[None], int(horizon or 1), 0) for values in (p, r))
    return Tabular(Path(path).stem, _normal(p), torch.from_numpy(r), _normal(start))


def resolve_environment(text: str) -> Spec:
    """The part for ``--data``: an environment's name, or the path of an ``.npz``.

    Raises:
        InputError: neither, with the nearest names.
    """
    names = [name for name in part_names("environment") if name != "mdp-file"]
    if text in names:
        return spec(find_part("environment", text))
    path = os.path.abspath(os.path.expanduser(text))
    if not os.path.isfile(path):
        raise InputError(f"no environment or file {text!r}{near(text, names)}; of your own: an .npz with P and R")
    return spec(mdp_file, path=path)


def _load(path: str) -> dict[str, np.ndarray]:
    file = os.path.expanduser(path)
    if not os.path.isfile(file):
        raise InputError(f"no file {path!r}")
    try:
        with np.load(file, allow_pickle=False) as opened:
            if not isinstance(opened, np.lib.npyio.NpzFile):
                raise ValueError("it holds one array")
            held = {name: opened[name] for name in opened.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, TypeError) as error:
        raise InputError(f"{path} is no .npz of arrays: {error}") from error
    missing = [name for name in ("P", "R") if name not in held]
    if missing:
        raise InputError(f"{path} has no array {missing[0]!r}; it holds {', '.join(held) or 'nothing'}")
    for name in ("P", "R", "start"):
        if name in held and held[name].dtype.kind not in "fiub":
            raise InputError(f"{path}: {name} holds {held[name].dtype}, not numbers")
    return held


def _first(wrong: np.ndarray) -> tuple[int, ...]:
    return tuple(int(i) for i in np.argwhere(wrong)[0])


def _normal(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values / values.sum(-1, keepdims=True))


def _at_least(name: str, least: int, **values: int) -> None:
    for key, value in values.items():
        if value < least:
            raise InputError(f"{name}: {key}={value} must be at least {least}")
