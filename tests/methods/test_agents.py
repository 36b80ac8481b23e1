"""Contrastive UCB and greedy: what they learn, where they go, and runs that go on."""

import json
import os
import signal

import pytest
import torch

from likewise.api import prepare, prepare_agent
from likewise.core.agent import Experience
from likewise.core.errors import InputError
from likewise.data.environments import low_rank
from likewise.methods.rl.contrastive_ucb import ContrastiveUCB
from likewise.train import agent as runs
from likewise.train.events import Interrupted, read_events


def agent(slug="contrastive-ucb", data=None, **settings):
    made = prepare_agent(slug, data, size="tiny", settings=list(settings.items()))
    return made, made.agent()


def observe(learner, world, episodes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(episodes):
        state = world.reset(generator)
        for step in range(world.horizon):
            action = int(torch.randint(world.num_actions, (), generator=generator))
            following, reward, _ = world.step(action, generator)
            learner.observe(Experience(step, state, action, reward, following))
            state = following


def test_the_contrastive_model_comes_nearer_to_the_world_with_data():
    world, errors = low_rank(states=8, actions=2, horizon=2), []
    for episodes in (30, 1000):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            learner = ContrastiveUCB(8, 2, 2, dim=3, spread=0.5, batch=256, lr=0.03)
        observe(learner, world, episodes)
        generator = torch.Generator().manual_seed(1)
        for _ in range(400):
            learner.update(generator)
        errors.append(float((learner.model() - world.transition).abs().sum(3).mean() / 2))
    chance = float((1 / 8 - world.transition).abs().sum(3).mean() / 2)
    assert errors[1] < 0.5 * min(errors[0], chance)


def test_an_untried_action_gets_the_larger_bonus_and_greedy_none():
    _, learner = agent(dim=16)
    for _ in range(20):
        learner.observe(Experience(0, 0, 1, 0.0, 4))
    bonus = learner.bonus()
    assert bonus[0, 0, 0] > 1.5 * bonus[0, 0, 1]
    assert bonus.max() <= 0.3
    assert not agent("greedy-lowrank")[1].bonus().any()


def test_rewards_are_means_of_those_seen_and_nothing_before():
    _, learner = agent("greedy-lowrank")
    assert not learner.values().any()
    for reward in (1.0, 0.0):
        learner.observe(Experience(2, 0, 1, reward, 4))
    assert float(learner.values()[2, 0, 1]) == pytest.approx(0.5)
    assert not learner.values()[2, 0, 0]


def test_the_warm_up_is_random_and_then_the_best_is_done():
    made, learner = agent(warmup=2)
    for episode in range(3):
        generator = runs.episode_generator(0, episode)
        learner.begin(episode, generator)
        policy = learner.policy()
        assert bool((policy == 0.5).all()) is (episode < 2)
        runs.play(made.dataset, learner, generator)
    assert torch.equal(policy.sum(2), torch.ones_like(policy[..., 0]))
    assert torch.equal(policy.amax(2), torch.ones_like(policy[..., 0]))


def test_the_bonus_opens_the_lock_and_greed_does_not(tmp_path):
    found = {}
    for slug in ("contrastive-ucb", "greedy-lowrank"):
        made = prepare_agent(slug, "combination-lock", size="tiny", seed=1, settings=[("episodes", 60), ("warmup", 2)])
        runs.run(made, tmp_path / slug, quiet=True)
        found[slug] = json.loads((tmp_path / slug / "metrics.json").read_text())
    assert found["contrastive-ucb"]["final_regret"] < 0.2
    assert found["greedy-lowrank"]["final_regret"] > 0.8
    ours = found["contrastive-ucb"]
    steps = [e for e in read_events(tmp_path / "contrastive-ucb" / "events.jsonl") if e["event"] == "step"]
    assert ours["episodes"] == len(steps) == 60
    assert steps[-1]["total_regret"] / 60 == pytest.approx(ours["regret"])
    assert ours["untrained"]["regret"] == pytest.approx(1 - (4**-5 + 0.1 * 3 / 4))


def test_an_interrupted_run_goes_on_to_the_same_numbers(tmp_path, monkeypatch):
    made = prepare_agent("contrastive-ucb", size="tiny")
    runs.run(made, tmp_path / "whole", quiet=True)
    play = runs.play
    calls = []

    def stopping(*arguments):
        calls.append(1)
        if len(calls) == 8:
            os.kill(os.getpid(), signal.SIGINT)
        return play(*arguments)

    monkeypatch.setattr(runs, "play", stopping)
    with pytest.raises(Interrupted, match="episode 8"):
        runs.run(made, tmp_path / "parts", quiet=True)
    assert json.loads((tmp_path / "parts" / "status.json").read_text())["state"] == "interrupted"
    with pytest.raises(InputError, match="holds a run already"):
        runs.run(made, tmp_path / "parts", quiet=True)
    runs.run(made, tmp_path / "parts", resume=True, quiet=True)
    both = [json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("whole", "parts")]
    for held in both:
        held.pop("seconds"), held.pop("peak_memory_mb")
    assert both[0] == both[1]
    curves = [[(e["step"], e["regret"]) for e in read_events(tmp_path / name / "events.jsonl") if e["event"] == "step"]
              for name in ("whole", "parts")]  # fmt: skip
    assert curves[0] == curves[1]


def test_agents_and_learners_are_told_apart():
    with pytest.raises(InputError, match="likewise run runs it"):
        prepare("contrastive-ucb")
    with pytest.raises(InputError, match="is no agent"):
        prepare_agent("simclr")
    for wrong in ({"dim": 0}, {"bonus": -1.0}, {"ridge": 0.0}, {"episodes": 0}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            agent(**wrong)
