"""Greedy: the agent of Contrastive UCB without its bonus, to compare with."""

from likewise.core.agent import Course
from likewise.core.card import Card, Traits
from likewise.core.recipe import FROM_DATA, spec
from likewise.core.registry import recipe, register
from likewise.data.environments import combination_lock, low_rank
from likewise.parts.lowrank import LowRankAgent


@register(
    Card(
        slug="greedy-lowrank",
        title="Contrastive UCB: Provably Efficient Contrastive Self-Supervised Learning in Online Reinforcement "
        "Learning",
        name="Greedy",
        paper="arXiv:2207.14800",
        year=2022,
        modality="environment",
        task="acting in an unknown world, without exploration",
        contrasts="a step with the state that really followed, against a step with a state drawn by chance",
        pick="A baseline for contrastive-ucb, and enough where rewards are met everywhere.",
        equation=r"\mathcal{L} = y\log\Big(1+\frac{1}{\psi(s')^\top\mu(z)}\Big) + (1-y)\log(1+\psi(s')^\top\mu(z))",
        kind="agent",
        traits=Traits(splits="single", memory=("counts of steps",)),
        deviations=("As contrastive-ucb, with a bonus of 0.",),
        status="small",
    )
)
class GreedyLowRank(LowRankAgent):
    r"""The low-rank agent without optimism: it follows the best policy of what it believes.

    Args:
        num_states: of the world.
        num_actions: of the world.
        horizon: steps of an episode.
        dim: d, width of psi and mu.
        warmup: episodes of random actions at the beginning.
        updates: of psi and mu before each episode.
        batch: steps drawn for an update.
        lr: of Adam.
        spread: deviation of mu's logits at the start.
    """

    def __init__(
        self,
        num_states: int = FROM_DATA,
        num_actions: int = FROM_DATA,
        horizon: int = FROM_DATA,
        *,
        dim: int = 32,
        warmup: int = 5,
        updates: int = 5,
        batch: int = 128,
        lr: float = 0.05,
        spread: float = 3.0,
    ) -> None:
        super().__init__(
            num_states,
            num_actions,
            horizon,
            dim=dim,
            bonus=0.0,
            ridge=1.0,
            warmup=warmup,
            updates=updates,
            batch=batch,
            lr=lr,
            spread=spread,
        )


@recipe(GreedyLowRank)
def tiny() -> Course:
    """For tests: a lock of three actions in a row, 20 episodes."""
    return Course(spec(GreedyLowRank, dim=8, batch=32), spec(combination_lock, length=3, actions=2), episodes=20)


@recipe(GreedyLowRank)
def small() -> Course:
    """Seconds on one core: a lock of five."""
    return Course(spec(GreedyLowRank), spec(combination_lock), episodes=300)


@recipe(GreedyLowRank)
def paper() -> Course:
    """A world of low rank, features as wide as its rank."""
    return Course(spec(GreedyLowRank, dim=3, spread=0.5), spec(low_rank), episodes=10_000)
