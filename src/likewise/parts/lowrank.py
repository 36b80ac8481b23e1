"""Agents that learn a low-rank model of a small world by contrast, and plan in it."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from likewise.core.agent import Agent, Experience
from likewise.core.errors import InputError
from likewise.functional.rl import backward_induction, covariance, density_ratio_loss, elliptical_bonus


class LowRankAgent(Agent):
    """Learns how much likelier each next state is than by chance, and follows the best policy of what it believes.

    For every step of the episode there are two tables: mu of states and actions, on the simplex, and psi of next
    states, positive; the ratio is their product. Rewards are means of those seen, 0 where none was. Where values are
    equal, chance decides anew in every episode.

    Args:
        num_states: of the world.
        num_actions: of the world.
        horizon: steps of an episode.
        dim: d, width of both tables.
        bonus: gamma, on rewards in directions of mu that were seldom seen; 0: none.
        ridge: lambda, of the covariance.
        warmup: episodes of random actions at the beginning.
        updates: of the tables before each episode.
        batch: steps that an update draws for each step of the episode; half of them, on average, get a drawn state.
        lr: of Adam.
        spread: deviation of mu's logits at the start: large ones tell states and actions apart before they are seen.
    """

    counts: Tensor
    rewards: Tensor
    _policy: Tensor

    def __init__(
        self,
        num_states: int,
        num_actions: int,
        horizon: int,
        *,
        dim: int,
        bonus: float,
        ridge: float,
        warmup: int,
        updates: int,
        batch: int,
        lr: float,
        spread: float,
    ) -> None:
        super().__init__()
        for name, value, least in (
            ("dim", dim, 1),
            ("warmup", warmup, 0),
            ("updates", updates, 0),
            ("batch", batch, 1),
        ):
            if value < least:
                raise InputError(f"{name}={value} must be at least {least}")
        for name, number in (("ridge", ridge), ("lr", lr)):
            if not number > 0:
                raise InputError(f"{name}={number} must be above 0")
        if bonus < 0:
            raise InputError(f"bonus={bonus} must be at least 0")
        self.weight, self.ridge, self.warmup, self.updates, self.batch = bonus, ridge, warmup, updates, batch
        shape = (horizon, num_states, num_actions)
        self.mu = nn.Parameter(spread * torch.randn(horizon, num_states * num_actions, dim))
        self.psi = nn.Parameter(0.1 * torch.randn(horizon, num_states, dim))
        self.register_buffer("counts", torch.zeros(*shape, num_states, dtype=torch.float64))
        self.register_buffer("rewards", torch.zeros(shape, dtype=torch.float64))
        # made anew before every episode
        self.register_buffer("_policy", torch.full(shape, 1 / num_actions, dtype=torch.float64), persistent=False)
        self.optimizer = torch.optim.Adam([self.mu, self.psi], lr=lr)

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """Of both tables."""
        return {"tables": self.optimizer}

    def observe(self, seen: Experience) -> None:
        """Count a step, and add up its reward."""
        self.counts[seen.step, seen.state, seen.action, seen.next_state] += 1
        self.rewards[seen.step, seen.state, seen.action] += seen.reward

    def begin(self, episode: int, generator: torch.Generator) -> Mapping[str, float]:
        """Update the tables, then plan."""
        logs = {}
        if bool(self.counts.any()):
            losses = [self.update(generator) for _ in range(self.updates)]
            logs = {"loss": sum(losses) / len(losses)} if losses else {}
        if episode < self.warmup:
            self._policy.fill_(1 / self._policy.shape[2])
            return logs
        with torch.no_grad():
            values = self.values()
            best = values >= values.amax(2, keepdim=True) - 1e-12
            tied = torch.rand(values.shape, generator=generator, dtype=torch.float64).masked_fill(~best, -1)
            self._policy.copy_(nn.functional.one_hot(tied.argmax(2), values.shape[2]))
        return logs | {"bonus": float(self.bonus().mean())}

    def policy(self) -> Tensor:
        """Greedy in what is believed; uniform during the warm-up."""
        return self._policy

    def update(self, generator: torch.Generator) -> float:
        """One step of Adam on the contrastive loss of steps drawn from those seen; its value."""
        horizon, states = self.psi.shape[:2]
        seen = self.counts.flatten(1)
        drawn = torch.multinomial(seen, self.batch, replacement=True, generator=generator)
        pair, state = drawn // states, drawn % states
        real = torch.rand(drawn.shape, generator=generator) < 0.5
        chance = torch.randint(states, drawn.shape, generator=generator)
        state = torch.where(real, state, chance)
        at = torch.arange(horizon)[:, None]
        logit = (self.mu[at, pair].log_softmax(2) + self.psi[at, state]).logsumexp(2)
        loss = density_ratio_loss(logit, real).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return float(loss.detach())

    @torch.no_grad()
    def model(self) -> Tensor:
        """``(h, s, a, s)``: chance, which is uniform, times the ratio, made to add up to 1."""
        log_mu, psi = self.mu.double().log_softmax(2), self.psi.double()
        # over the d of a product of small tables, so that no logarithm of it is needed
        ratio = log_mu.exp() @ psi.exp().mT
        return (ratio / ratio.sum(2, keepdim=True)).view(self.counts.shape)

    @torch.no_grad()
    def features(self) -> Tensor:
        """``(h, s * a, d)`` of unit length."""
        return nn.functional.normalize(self.mu.double().softmax(2), dim=2)

    def covariance(self) -> Tensor:
        """Of the features of every step seen so far, ``(h, d, d)``, by their tables of now."""
        return covariance(self.features(), self.counts.sum(3).flatten(1), self.ridge)

    def bonus(self) -> Tensor:
        """``(h, s, a)``, at most the horizon."""
        shape = self.counts.shape[:3]
        if self.weight == 0:
            return self.counts.new_zeros(shape)
        found = elliptical_bonus(self.features(), self.covariance(), self.weight)
        return found.clamp_max(len(self.counts)).view(shape)

    def values(self) -> Tensor:
        """Optimistic values of actions ``(h, s, a)``, at most the horizon."""
        reward = self.rewards / self.counts.sum(3).clamp_min(1)
        return backward_induction(self.model(), reward, self.bonus(), float(len(self.counts)))
