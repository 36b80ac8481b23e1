"""Equations of agents against slow versions and by their corner cases."""

import itertools
import math

import numpy as np
import pytest
import torch

from likewise.functional import rl


def world(horizon=3, states=3, actions=2, seed=0):
    rng = np.random.default_rng(seed)
    transition = torch.from_numpy(rng.dirichlet(np.ones(states), (horizon, states, actions)))
    return transition, torch.from_numpy(rng.random((horizon, states, actions)))


def collected(transition, reward, actions, state, step=0):
    """By following every branch."""
    if step == len(reward):
        return 0.0
    action = actions[step][state]
    after = (float(p) * collected(transition, reward, actions, s, step + 1)
             for s, p in enumerate(transition[step, state, action]))  # fmt: skip
    return float(reward[step, state, action]) + sum(after)


def test_the_best_policy_is_the_best_of_all():
    transition, reward = world(horizon=2)
    every = list(itertools.product(range(2), repeat=3))
    best = max(collected(transition, reward, choice, 1) for choice in itertools.product(every, repeat=2))
    found = rl.backward_induction(transition, reward, torch.zeros_like(reward), math.inf)
    assert float(found[0, 1].max()) == pytest.approx(best)


def test_a_policys_value_by_branches():
    transition, reward = world()
    actions = ((0, 1, 0), (1, 1, 0), (0, 0, 1))
    policy = torch.nn.functional.one_hot(torch.tensor(actions), 2).double()
    found = rl.policy_value(transition, reward, policy)
    for state in range(3):
        assert float(found[state]) == pytest.approx(collected(transition, reward, actions, state))


def test_optimism_adds_up_and_is_capped():
    transition, reward = world()
    zero = torch.zeros_like(reward)
    plain = rl.backward_induction(transition, reward, zero, math.inf)
    bold = rl.backward_induction(transition, reward, zero + 0.5, math.inf)
    steps_left = torch.tensor([3.0, 2.0, 1.0])[:, None, None]
    assert torch.allclose(bold, plain + 0.5 * steps_left.double())
    assert float(rl.backward_induction(transition, reward, zero + 9, 3.0).max()) == 3


def test_the_bonus_is_count_like_for_separate_features():
    phi = torch.eye(3, dtype=torch.float64)
    sigma = rl.covariance(phi, torch.tensor([0.0, 3.0, 8.0], dtype=torch.float64), 1.0)
    assert rl.elliptical_bonus(phi, sigma, 2.0).tolist() == pytest.approx([2.0, 1.0, 2 / 3])


def test_the_density_ratio_is_the_losses_minimum():
    p, q = torch.tensor([0.7, 0.2, 0.1]).double(), torch.tensor([0.2, 0.4, 0.4]).double()
    logit = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    yes, no = torch.ones(3, dtype=torch.bool), torch.zeros(3, dtype=torch.bool)
    optimizer = torch.optim.LBFGS([logit], line_search_fn="strong_wolfe", max_iter=100)

    def loss():
        optimizer.zero_grad()
        value = (p * rl.density_ratio_loss(logit, yes) + q * rl.density_ratio_loss(logit, no)).sum()
        value.backward()
        return value

    optimizer.step(loss)
    assert logit.detach().exp().tolist() == pytest.approx((p / q).tolist(), rel=1e-3)
    far = torch.tensor([1e4, -1e4])
    assert rl.density_ratio_loss(far, torch.tensor([True, False])).tolist() == [0, 0]


def test_bonuses_of_n_steps_by_loops():
    bonus, done = torch.rand(7, 2).double(), (torch.rand(7, 2) < 0.3).double()
    found = rl.n_step_bonus(bonus, done, discount=0.9, steps=3)
    for t, b in itertools.product(range(7), range(2)):
        expected = 0.0 if t >= 4 or done[t, b] else sum(0.9**u * float(bonus[t + u, b]) for u in range(3))
        assert float(found[t, b]) == pytest.approx(expected)
    assert not rl.n_step_bonus(bonus, done, discount=0.9, steps=7).any()


def test_the_projected_target_keeps_its_mass_and_its_mean():
    prob = torch.rand(4, 2, 11).double().softmax(2)
    gain, keep = torch.tensor([0.3, -0.7, 25.0, 0.0]).double(), torch.tensor([0.5, 0.0, 0.9, 1.0]).double()
    found = rl.c51_target(prob, prob, gain, keep)
    atoms = torch.linspace(-10, 10, 11).double()
    assert torch.allclose(found.sum(1), torch.ones(4).double())
    best = (prob * atoms).sum(2).argmax(1)
    mean = (prob[torch.arange(4), best] * atoms).sum(1)
    assert torch.allclose((found * atoms).sum(1)[[0, 1, 3]], (gain + keep * mean)[[0, 1, 3]])
    assert found[2, -1] > 0.99
