"""The contract of a method that acts: episodes in an environment, learning between them, and what it chooses."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from likewise.core.recipe import Settings


@runtime_checkable
class Environment(Protocol):
    """A world with numbered states and actions, in episodes of ``horizon`` steps.

    Its probabilities are there so that what an agent loses can be told exactly; agents never look at them.
    """

    name: str
    num_states: int
    num_actions: int
    horizon: int
    transition: Tensor
    """``(horizon, states, actions, states)`` probabilities of the next state."""
    reward: Tensor
    """``(horizon, states, actions)``, 0 to 1."""
    start: Tensor
    """``(states,)`` probabilities of the first state."""

    def reset(self, generator: torch.Generator) -> int:
        """Begin an episode; its first state."""
        ...

    def step(self, action: int, generator: torch.Generator) -> tuple[int, float, bool]:
        """Next state, reward, and whether the episode has ended."""
        ...


@dataclass(frozen=True)
class Experience:
    """One step of an episode, counted from 0."""

    step: int
    state: int
    action: int
    reward: float
    next_state: int


class Agent(nn.Module):
    """Base of every method that acts. Whatever it remembers is in parameters and buffers, so that it is saved.

    All randomness comes from the generator that it is given, so that a run is decided by its seed, and goes on after
    an interruption as if there had been none.
    """

    def begin(self, episode: int, generator: torch.Generator) -> Mapping[str, float]:
        """Learn from what was seen and plan the next episode; what is worth a curve, by name."""
        raise NotImplementedError(f"{type(self).__name__}: begin() is abstract")

    def policy(self) -> Tensor:
        """Probabilities ``(horizon, states, actions)`` of what will be done in this episode."""
        raise NotImplementedError(f"{type(self).__name__}: policy() is abstract")

    def observe(self, seen: Experience) -> None:
        """Remember a step."""
        raise NotImplementedError(f"{type(self).__name__}: observe() is abstract")

    def act(self, step: int, state: int, generator: torch.Generator) -> int:
        """What to do, drawn from the policy."""
        return int(torch.multinomial(self.policy()[step, state].double(), 1, generator=generator))

    def model(self) -> Tensor | None:
        """Probabilities ``(horizon, states, actions, states)`` that it believes in; None without a model."""
        return None

    def bonus(self) -> Tensor | None:
        """What it adds to rewards ``(horizon, states, actions)`` where it knows little; None if it never does."""
        return None

    def covariance(self) -> Tensor | None:
        """Of the features that it has seen, ``(horizon, d, d)``; None without features."""
        return None

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """What is saved beside the weights."""
        return {}


@dataclass
class Course(Settings):
    """What decides a run of an agent, apart from the seed: ``learner`` is the agent, ``data`` the environment.

    Attributes:
        episodes: how many.
        save_every: seconds between checkpoints, at most.
    """

    episodes: int = 300
    save_every: float = 30.0
