"""Checkpoints survive what happens to disks, and never hide that it happened."""

import errno
import json
import os
import pickle

import pytest
import torch
from torch import nn

from likewise.core.errors import InputError
from likewise.train import checkpoint


def _state(value=1.0):
    weight = torch.full((3, 2), value)
    return {
        "learner": {"w": weight, "tied": weight.t()},
        "optimizers": {
            "main": {"state": {0: {"step": torch.tensor(3.0), "m": weight * 2}}, "param_groups": [{"lr": 0.1}]}
        },
        "step": 7,
        "none": None,
    }


def test_round_trip_keeps_values_types_and_integer_keys(tmp_path):
    checkpoint.save(tmp_path, 7, _state())
    step, state = checkpoint.load(tmp_path)
    assert step == 7
    assert state["none"] is None
    assert state["optimizers"]["main"]["state"][0]["step"] == 3.0
    assert state["optimizers"]["main"]["param_groups"] == [{"lr": 0.1}]
    assert torch.equal(state["learner"]["tied"], state["learner"]["w"].t())


def test_bfloat16_and_empty_tensors_round_trip(tmp_path):
    held = {"a": torch.randn(4).bfloat16(), "b": torch.zeros(0, 3), "c": torch.tensor(5)}
    checkpoint.save(tmp_path, 1, held)
    found = checkpoint.load(tmp_path)[1]
    assert all(torch.equal(found[k], held[k]) and found[k].dtype == held[k].dtype for k in held)


def test_no_checkpoint_is_none(tmp_path):
    assert checkpoint.load(tmp_path) is None


def test_only_the_newest_are_kept(tmp_path):
    for step in (1, 2, 3, 4):
        checkpoint.save(tmp_path, step, _state(step))
    assert checkpoint.steps(tmp_path) == [3, 4]
    assert len(list(tmp_path.iterdir())) == 2 * checkpoint.KEEP


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(tmp_path, damage):
    for step in (1, 2):
        checkpoint.save(tmp_path, step, _state(float(step)))
    path = tmp_path / "step-00000002.safetensors"
    content = bytearray(path.read_bytes())
    if damage == "remove":
        path.unlink()
    elif damage == "truncate":
        path.write_bytes(content[:-5])
    else:
        content[-1] ^= 1
        path.write_bytes(content)
    with pytest.warns(UserWarning, match="step-00000002.safetensors"):
        step, state = checkpoint.load(tmp_path)
    assert step == 1
    assert state["learner"]["w"][0, 0] == 1.0


def test_only_damaged_checkpoints_are_an_error_that_names_one(tmp_path):
    checkpoint.save(tmp_path, 5, _state())
    (tmp_path / "step-00000005.json").write_text("{")
    with pytest.raises(InputError, match=r"no whole checkpoint.*step-00000005.json is damaged"):
        checkpoint.load(tmp_path)


def test_a_pickle_with_a_checkpoints_name_is_never_unpickled(tmp_path):
    fired = tmp_path / "fired"

    class Bomb:
        def __reduce__(self):
            return (fired.touch, ())

    checkpoint.save(tmp_path, 5, _state())
    weights, facts = tmp_path / "step-00000005.safetensors", tmp_path / "step-00000005.json"
    weights.write_bytes(pickle.dumps(Bomb()))
    held = json.loads(facts.read_text())
    facts.write_text(json.dumps({**held, "sha256": checkpoint._digest(weights)}))  # even with a matching checksum
    with pytest.raises(InputError, match=r"step-00000005.safetensors can't be read"):
        checkpoint.load(tmp_path)
    assert not fired.exists()


def test_a_full_disk_loses_nothing_that_was_written(tmp_path, monkeypatch):
    checkpoint.save(tmp_path, 1, _state())

    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(InputError, match=r"the disk is full; the checkpoint of step 1 is intact"):
        checkpoint.save(tmp_path, 2, _state(2.0))
    monkeypatch.undo()
    assert checkpoint.load(tmp_path)[0] == 1
    assert not list(tmp_path.glob(".*"))


def test_weights_of_another_model_say_what_does_not_fit():
    module = nn.Linear(2, 3)
    with pytest.raises(InputError, match=r"here holds another model's weights \(1 missing, first 'bias'; 1 unknown"):
        checkpoint.load_weights(module, {"weight": torch.zeros(3, 2), "other": torch.zeros(1)}, "here")
    with pytest.raises(InputError, match="1 of another shape"):
        checkpoint.load_weights(module, {"weight": torch.zeros(4, 2), "bias": torch.zeros(3)}, "here")
