"""The loop: same command same numbers, phases, stages, precision, runtimes, divergence."""

import warnings
from pathlib import Path

import pytest
import torch
from tests.train.conftest import curve, metrics, same, weights
from torch import nn

from likewise.core.errors import InputError
from likewise.core.learner import Learner, Phase, Step
from likewise.core.recipe import Stage, part, spec
from likewise.train.events import Diverged, EventLog, read_events, read_status

PLAIN = str(Path(__file__).with_name("plain_method.py")) + ":Plain"


def test_the_same_command_twice_gives_the_same_run(run):
    a, b = (run(name, probe_every=0.3, evaluate=True) for name in "ab")
    assert same(weights(a), weights(b))
    assert curve(a) == curve(b)
    assert metrics(a) == metrics(b)


def test_probes_never_touch_the_training(run):
    a, b = run("a"), run("b", probe_every=0.2)
    assert same(weights(a), weights(b))


def test_another_seed_gives_another_run(tmp_path, plan):
    first, second = plan(), plan()
    second.seed = 1
    a, b = first.learner().state_dict(), second.learner().state_dict()
    assert not same(a, b)


@pytest.mark.filterwarnings("ignore")
def test_fabric_on_one_device_has_equal_curves(run):
    pytest.importorskip("lightning_fabric")
    local, fabric = run("local", probe_every=0.5), run("fabric", probe_every=0.5, fabric=True)
    assert curve(local) == curve(fabric)
    assert same(weights(local), weights(fabric))
    assert metrics(local) == metrics(fabric)


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_two_processes_take_the_steps_of_one(run):
    pytest.importorskip("lightning_fabric")
    # without batch norm the only difference is the order of floating-point sums
    one, two = run("one", PLAIN), run("two", PLAIN, devices=2, evaluate=True)
    a, b = weights(one), weights(two)
    assert max((a[k].float() - b[k].float()).abs().max() for k in a) < 1e-4
    assert read_status(two)["state"] == "finished"
    assert "knn" in metrics(two)


def test_gradient_caching_is_the_whole_batch(run):
    whole, cached = weights(run("whole", PLAIN)), weights(run("cached", PLAIN, micro=24))
    assert max((whole[k].float() - cached[k].float()).abs().max() for k in whole) < 1e-5


def test_bfloat16_stays_close(run):
    a, b = curve(run("a")), curve(run("b", precision="bf16-mixed"))
    assert a != b
    assert max(abs(x - y) for x, y in zip(a, b)) < 0.1


def test_divergence_names_step_method_and_remedy_and_keeps_what_was_saved(run, tmp_path, monkeypatch):
    from likewise.train.trainer import Trainer

    taken = Trainer._train_step

    def poisoned(self, *args):
        if self.step == 4:
            with torch.no_grad():
                next(self.learner.parameters()).fill_(float("nan"))
        return taken(self, *args)

    monkeypatch.setattr(Trainer, "_train_step", poisoned)
    with pytest.raises(
        Diverged, match=r"simclr: the loss is not finite at step 5; the checkpoint of step 4 is intact\. Try"
    ):
        run(save_every=0.0)
    status = read_status(tmp_path / "run")
    assert status["state"] == "failed"
    assert "not finite" in status["message"]
    assert all(torch.isfinite(v).all() for v in weights(tmp_path / "run").values() if v.is_floating_point())


@part("learner", "two-phases")
class TwoPhases(Learner):
    """Two optimisers take turns on two heads; the second only every other step."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Flatten()
        self.encoder.dim = 64
        self.first, self.second = nn.Linear(64, 4, bias=False), nn.Linear(4, 1, bias=False)
        self.calls: list[str] = []

    def groups(self):
        return {"first": list(self.first.parameters()), "second": list(self.second.parameters())}

    def phases(self):
        return (
            Phase("one", ("first",), self.encode, self.loss_one),
            Phase("two", ("second",), self.encode, self.loss_two, every=2),
        )

    def encode(self, batch):
        return {"z": self.second(self.first(self.encoder(batch.views["a"])))}

    def loss_one(self, z, batch, comm):
        self.calls.append("one")
        assert not self.second.weight.requires_grad
        return Step(z["z"].square().mean(), {"one": z["z"].mean()}, {"z": z["z"].detach()})

    def loss_two(self, z, batch, comm):
        self.calls.append("two")
        assert not self.first.weight.requires_grad
        return Step(-z["z"].mean())

    def after_update(self, ctx):
        self.calls.append(f"after {ctx.step} {sorted(ctx.carry)}")

    def begin_stage(self, name, ctx):
        self.calls.append(f"stage {name} of {ctx.steps}")


def _trainer(plan, tmp_path, **changes):
    from likewise.train.runtime import LocalRuntime
    from likewise.train.trainer import Trainer

    made = plan("simclr", **changes)
    made.recipe.learner = spec(TwoPhases)
    made.recipe.views.settings["image_size"] = 8
    return Trainer(made, tmp_path, LocalRuntime())


def test_phases_take_turns_and_move_only_their_groups(plan, tmp_path):
    trainer = _trainer(plan, tmp_path, steps=10)
    learner = trainer.fit()
    expected = ["one", "after 1 ['z']", "one", "two", "after 2 ['z']", "one", "after 3 ['z']", "one", "two"]
    assert learner.calls[:9] == expected
    last = [e for e in read_events(tmp_path / "events.jsonl") if e["event"] == "step"][-1]
    assert {"loss/one", "loss/two"} <= set(last)  # what takes its turn every other step is logged, too


def test_stages_follow_each_other_with_settings_of_their_own(plan, tmp_path):
    trainer = _trainer(plan, tmp_path, steps=2)
    trainer.plan.recipe.stages = (Stage("warm", (("steps", 1),)), Stage("full", (("batch", 32), ("steps", 2))))
    trainer.stages = trainer.plan.recipe.stages
    learner = trainer.fit()
    assert [c for c in learner.calls if c.startswith("stage")] == ["stage warm of 1", "stage full of 2"]
    steps = [e["step"] for e in read_events(tmp_path / "events.jsonl") if e["event"] == "step"]
    assert steps == [1, 2, 3]


def test_more_batch_than_data_is_said_and_cut(plan):
    made = plan(batch=100_000)
    assert made.recipe.batch == made.facts["num_samples"]
    assert "100000" in made.notes[0]


@pytest.mark.parametrize(
    ("setting", "value"),
    [("epochs", -1), ("epochs", 0), ("batch", 0), ("micro", -1), ("steps", 0), ("clip", 0.0), ("probe_every", -1)],
)
def test_settings_out_of_range_are_found_before_anything_runs(plan, setting, value):
    changes = {"steps": None} if setting == "epochs" else {}
    with pytest.raises(InputError, match=f"{setting}="):
        plan(**{**changes, setting: value})


def test_a_method_that_needs_labels_says_so(tmp_path):
    from likewise.api import prepare

    with pytest.raises(InputError, match="supcon learns from labels"):
        prepare("supcon", torch.zeros(40, 8, 8, dtype=torch.uint8), size="tiny")


def test_events_survive_a_line_cut_short(tmp_path):
    log = EventLog(tmp_path / "events.jsonl")
    log.write("step", step=1, loss=2.0)
    log.write("step", step=2, loss=1.0)
    with log.path.open("a") as file:
        file.write('{"event": "st')
    assert [e["step"] for e in read_events(log.path)] == [1, 2]
    log.cut(1)
    assert [e["step"] for e in read_events(log.path)] == [1]


def test_importing_the_trainer_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        import likewise.train.trainer  # noqa: F401
