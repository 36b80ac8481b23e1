"""Worlds for agents: what they are, and what a file may not be."""

import numpy as np
import pytest
import torch

from likewise.core.agent import Environment
from likewise.core.errors import InputError
from likewise.data.environments import combination_lock, low_rank, mdp_file, resolve_environment


def test_a_lock_opens_for_one_combination_alone():
    lock = combination_lock(length=4, actions=3, distraction=0.2)
    assert isinstance(lock, Environment)
    assert lock.optimal() == pytest.approx(1)
    generator = torch.Generator().manual_seed(0)
    uniform = torch.full((4, 6, 3), 1 / 3)
    assert lock.value(uniform) == pytest.approx(1 / 81 + 2 / 3 * 0.2)
    right = [int(lock.transition[h, h, :, h + 1].argmax()) for h in range(4)]
    lock.reset(generator)
    told = [lock.step(action, generator) for action in right]
    assert [reward for _, reward, _ in told] == [0, 0, 0, 1]
    assert [ended for _, _, ended in told] == [False, False, False, True]
    lock.reset(generator)
    state, reward, _ = lock.step((right[0] + 1) % 3, generator)
    assert (state, reward) == (5, pytest.approx(0.2))
    assert all(lock.step(a, generator)[:2] == (5, 0) for a in right[1:])
    with pytest.raises(RuntimeError, match="has ended"):
        lock.step(0, generator)


def test_a_world_of_low_rank_has_that_rank_and_its_seed_decides_it():
    world = low_rank(states=12, actions=3, horizon=2, rank=3)
    for step in range(2):
        assert int(torch.linalg.matrix_rank(world.transition[step].view(36, 12))) == 3
    assert torch.equal(world.transition, low_rank(12, 3, 2, 3).transition)
    assert not torch.equal(world.transition, low_rank(12, 3, 2, 3, seed=1).transition)
    assert 0 < world.value(torch.full((2, 12, 3), 1 / 3)) < world.optimal() < 2


def save(path, **arrays):
    np.savez(path, **arrays)
    return str(path)


P, R = np.full((2, 3, 2), 0.5), np.linspace(0, 1, 6).reshape(2, 3)


def test_a_file_is_a_world(tmp_path):
    path = save(tmp_path / "coin.npz", P=P, R=R)
    world = mdp_file(path, horizon=4)
    assert (world.name, world.horizon, world.num_states, world.num_actions) == ("coin", 4, 2, 3)
    assert world.optimal() == pytest.approx(0.4 + 3 * 0.7)
    steps = mdp_file(save(tmp_path / "steps.npz", P=P[None].repeat(5, 0), R=R[None].repeat(5, 0), start=[0.0, 1.0]))
    assert (steps.horizon, float(steps.start[1])) == (5, 1)
    assert resolve_environment(path).settings["path"] == path
    assert resolve_environment("combination-lock").make is combination_lock


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"P": P}, "no array 'R'"),
        ({"P": P[0], "R": R}, "P has the shape (3, 2)"),
        ({"P": P, "R": R[:1]}, "R has the shape (1, 3)"),
        ({"P": P * 0.9, "R": R}, "P[0, 0] add up to 0.9"),
        ({"P": P, "R": R * 2}, "R is 1.2 at (1, 0)"),
        ({"P": P, "R": R - 0.1}, "R holds negative values, first at (0, 0)"),
        ({"P": P, "R": np.where(R > 0.9, np.nan, R)}, "R holds NaN or infinite values, first at (1, 2)"),
        ({"P": P, "R": R, "start": [1.0]}, "start has the shape (1,)"),
        ({"P": P, "R": R, "start": [0.2, 0.2]}, "start[0] add up to 0.4"),
        ({"P": P.astype(str), "R": R}, "not numbers"),
    ],
)
def test_a_file_that_is_no_world_is_refused(tmp_path, arrays, says):
    with pytest.raises(InputError) as error:
        mdp_file(save(tmp_path / "world.npz", **arrays), horizon=3)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_other_files_and_names_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"data\.horizon=10"):
        mdp_file(save(tmp_path / "world.npz", P=P, R=R))
    (tmp_path / "text.npz").write_text("no arrays")
    with pytest.raises(InputError, match=r"is no \.npz"):
        mdp_file(str(tmp_path / "text.npz"))
    with pytest.raises(InputError, match="combination-lock"):
        resolve_environment("combinationlock")
    for wrong in ({"length": 0}, {"actions": 1}, {"distraction": 1.0}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            combination_lock(**wrong)
