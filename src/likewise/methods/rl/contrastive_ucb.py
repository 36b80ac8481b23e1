"""Contrastive UCB: a model of the world learned by contrast, explored where its features are new."""

from likewise.core.agent import Course
from likewise.core.card import Card, Claim, Traits
from likewise.core.recipe import FROM_DATA, spec
from likewise.core.registry import recipe, register
from likewise.data.environments import combination_lock, low_rank
from likewise.parts.lowrank import LowRankAgent


@register(
    Card(
        slug="contrastive-ucb",
        title="Contrastive UCB: Provably Efficient Contrastive Self-Supervised Learning in Online Reinforcement "
        "Learning",
        name="Contrastive UCB",
        paper="arXiv:2207.14800",
        year=2022,
        modality="environment",
        task="acting in an unknown world: exploration with learned features",
        contrasts="a step with the state that really followed, against a step with a state drawn by chance",
        pick="Small worlds with numbered states whose reward is hard to come upon: it goes where it has not been. "
        "Where rewards are everywhere, greedy-lowrank is as good and simpler.",
        equation=r"\mathcal{L} = y\log\Big(1+\frac{1}{\psi(s')^\top\mu(z)}\Big) + (1-y)\log(1+\psi(s')^\top\mu(z)),"
        r"\quad \beta(z) = \gamma\sqrt{\phi(z)^\top\Sigma^{-1}\phi(z)}",
        code="Baichenjia/Contrastive-UCB (no licence at its root; the agent for Atari alone)",
        kind="agent",
        traits=Traits(splits="single", memory=("counts of steps",)),
        oracle="contrastive-ucb.npz",
        claim=Claim(
            says="With the bonus, average regret over 300 episodes at a combination lock is below that of the same "
            "agent without it",
            data="combination-lock",
            metric="regret",
            beats="greedy-lowrank",
            seeds=5,
            settings=(("episodes", 300),),
        ),
        deviations=(
            "The agent for Atari (SPR-UCB: replay, distributional Q-learning, 100,000 steps of pixels a game) is out "
            "of reach here; its equations are in likewise.functional.rl, tested against the code's numbers.",
            "mu and psi are tables, mu on the simplex; the paper has any class of positive products.",
            "Rewards are learned, the mean of those seen and 0 before; in the paper they are known.",
            "Every episode follows the optimistic policy after a random warm-up; the paper ends episodes with random "
            "actions for the sake of its proof.",
            "Believed probabilities are made to add up to 1; features have unit length and the bonus a constant "
            "weight.",
            "Single-agent worlds alone; the paper's Markov games of two players are left out.",
        ),
        status="small",
    )
)
class ContrastiveUCB(LowRankAgent):
    r"""Contrastive UCB (Qiu et al., 2022), for worlds with numbered states and actions.

    .. math:: \mathcal{L} = y\log\Big(1+\frac{1}{\psi(s')^\top\mu(z)}\Big) + (1-y)\log(1+\psi(s')^\top\mu(z)),\qquad
        Q(z) = \min\Big(r(z) + \beta(z) + \sum_{s'} \hat P(s'|z) V(s'),\, H\Big)

    with z a state and an action, y whether s' followed it or was drawn, P-hat = chance times psi mu, and
    beta(z) the elliptical bonus of phi = mu / \|mu\|.

    Args:
        num_states: of the world.
        num_actions: of the world.
        horizon: steps of an episode, H.
        dim: d, width of psi and mu.
        bonus: gamma.
        ridge: lambda, added to the covariance Sigma.
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
        bonus: float = 0.3,
        ridge: float = 1.0,
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
            bonus=bonus,
            ridge=ridge,
            warmup=warmup,
            updates=updates,
            batch=batch,
            lr=lr,
            spread=spread,
        )


@recipe(ContrastiveUCB)
def tiny() -> Course:
    """For tests: a lock of three actions in a row, 20 episodes."""
    return Course(spec(ContrastiveUCB, dim=8, batch=32), spec(combination_lock, length=3, actions=2), episodes=20)


@recipe(ContrastiveUCB)
def small() -> Course:
    """Seconds on one core: a lock of five."""
    return Course(spec(ContrastiveUCB), spec(combination_lock), episodes=300)


@recipe(ContrastiveUCB)
def paper() -> Course:
    """The paper's setting of theory: a world of low rank, features as wide as its rank."""
    return Course(spec(ContrastiveUCB, dim=3, spread=0.5), spec(low_rank), episodes=10_000)
