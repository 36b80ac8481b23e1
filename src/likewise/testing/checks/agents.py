"""What an agent promises, in the environment of its tiny course."""

import torch
from torch import Tensor

from likewise.core.agent import Agent, Experience
from likewise.core.card import Card
from likewise.testing.contract import check
from likewise.testing.subject import Subject, expect
from likewise.train.agent import AgentPlan, episode_generator, play, prepare

EPISODES = 8


def agents_only(card: Card) -> str:
    """For checks of methods that act."""
    return "" if card.kind == "agent" else f"a {card.kind} acts in no environment"


def _plan(subject: Subject) -> AgentPlan:
    return prepare(subject.method, size="tiny", seed=subject.seed)


def _played(
    plan: AgentPlan, first: int = 0, last: int = EPISODES, agent: Agent | None = None
) -> tuple[Agent, list[Tensor]]:
    """An agent after some episodes, and the policy of each."""
    world, agent, policies = plan.dataset, agent or plan.agent(), []
    for episode in range(first, last):
        generator = episode_generator(plan.seed, episode)
        agent.begin(episode, generator)
        policies.append(agent.policy().clone())
        play(world, agent, generator)
    return agent, policies


def _differing(a: Agent, b: Agent) -> list[str]:
    ours, theirs = a.state_dict(), b.state_dict()
    return [name for name in ours if not torch.equal(ours[name], theirs[name])]


@check(agents_only)
def courses_come_in_three_sizes(subject: Subject) -> None:
    """There is a course for tests, one for a laptop, and the paper's, and each is the same after a trip to its file."""
    for size in ("tiny", "small", "paper"):
        expect(size in subject.method.recipes, f"no course of size {size}")
        course = prepare(subject.method, size=size).recipe
        expect(course.learner.make is subject.method.cls, f"{size} runs {course.learner.make}, not this method")
        expect(type(course).from_json(course.to_json()).to_json() == course.to_json(), f"{size} differs after JSON")


@check(agents_only)
def a_policy_is_probabilities(subject: Subject) -> None:
    """Policies are probabilities of actions for every step and state, and what is done is drawn from them."""
    plan = _plan(subject)
    world = plan.dataset
    agent, policies = _played(plan)
    for policy in policies:
        shape = (world.horizon, world.num_states, world.num_actions)
        expect(policy.shape == shape, f"a policy has the shape {tuple(policy.shape)}, not {shape}")
        expect(
            bool((policy >= 0).all()) and torch.allclose(policy.sum(2), torch.ones(shape[:2]).to(policy)),
            "a policy does not add up to 1",
        )
    likely = agent.policy()[0, 0] > 0
    done = {agent.act(0, 0, episode_generator(7, i)) for i in range(20)}
    expect(all(bool(likely[action]) for action in done), "it does what its policy rules out")


@check(agents_only)
def a_seed_decides_an_agent(subject: Subject) -> None:
    """The same seed gives the same run, whatever the global generator does; another seed another one."""
    plan = _plan(subject)
    first, policies = _played(plan)
    torch.manual_seed(12345)
    second, again = _played(plan)
    expect(not (names := _differing(first, second)), f"another {', '.join(names[:3])} the second time")
    expect(all(torch.equal(a, b) for a, b in zip(policies, again)), "other policies the second time")
    other, _ = _played(prepare(subject.method, size="tiny", seed=subject.seed + 1))
    expect(bool(_differing(first, other)), "another seed changes nothing")


@check(agents_only)
def an_agent_is_saved_whole(subject: Subject) -> None:
    """Loaded into a fresh agent halfway, the rest of the run is the same to the last bit."""
    plan, half = _plan(subject), EPISODES // 2
    whole, policies = _played(plan)
    begun, _ = _played(plan, 0, half)
    fresh = plan.agent()
    fresh.load_state_dict(begun.state_dict())
    for name, optimizer in fresh.optimizers().items():
        optimizer.load_state_dict(begun.optimizers()[name].state_dict())
    rest, later = _played(plan, half, EPISODES, fresh)
    expect(not (names := _differing(whole, rest)), f"another {', '.join(names[:3])} after loading")
    expect(all(torch.equal(a, b) for a, b in zip(policies[half:], later)), "other policies after loading")


@check(agents_only)
def a_bonus_shrinks_with_visits(subject: Subject) -> None:
    """Whatever is seen again gets no larger bonus, and none is negative or infinite."""
    agent, _ = _played(_plan(subject))
    before = agent.bonus()
    if before is None:
        return
    expect(bool((before >= 0).all()) and bool(before.isfinite().all()), "a bonus is negative or not finite")
    for _ in range(5):
        agent.observe(Experience(0, 0, 1, 0.0, 0))
        after = agent.bonus()
        assert after is not None
        expect(bool((after <= before + 1e-9).all()), "a bonus grew when something was seen again")
        grew = before[0, 0, 1] > 0 and not after[0, 0, 1] < before[0, 0, 1]
        expect(not grew, "the bonus of what was seen again is as large as before")
        before = after


@check(agents_only)
def a_covariance_is_one(subject: Subject) -> None:
    """The covariance of what was seen is symmetric and positive definite, from the first episode on."""
    for episodes in (0, 1, EPISODES):
        sigma = _played(_plan(subject), 0, episodes)[0].covariance()
        if sigma is None:
            return
        expect(torch.equal(sigma, sigma.mT), f"after {episodes} episodes it is not symmetric")
        lowest = float(torch.linalg.eigvalsh(sigma).min())
        expect(lowest > 0, f"after {episodes} episodes its smallest eigenvalue is {lowest:.3g}")


@check(agents_only)
def a_model_is_probabilities(subject: Subject) -> None:
    """Next states that an agent believes in have probabilities that add up to 1."""
    for episodes in (0, EPISODES):
        model = _played(_plan(subject), 0, episodes)[0].model()
        if model is None:
            return
        fine = bool((model >= 0).all()) and torch.allclose(model.sum(3), torch.ones_like(model[..., 0]))
        expect(fine, f"after {episodes} episodes they do not")
