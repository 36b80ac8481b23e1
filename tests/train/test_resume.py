"""A run that was stopped, killed or crashed goes on to the very numbers that it would have had."""

import os
import signal
import subprocess
import sys
import time

import pytest
from tests.train.conftest import curve, metrics, same, weights

from likewise.core.errors import InputError
from likewise.train import checkpoint
from likewise.train.events import Interrupted, Preempted, read_events, read_status
from likewise.train.run import open_folder
from likewise.train.trainer import Trainer


def _worker(folder):
    command = [sys.executable, "-m", "likewise.train.worker", str(folder), "--quiet"]
    return subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})


def _wait_for_step(folder, process, step):
    end = time.monotonic() + 90
    while time.monotonic() < end:
        if (checkpoint.steps(folder / "checkpoints") or [0])[-1] >= step:
            return
        assert process.poll() is None, "the worker ended before it was killed"
        time.sleep(0.005)
    raise AssertionError("no checkpoint in time")


@pytest.mark.parametrize("method", ["simclr", "moco-v2"])
def test_a_killed_process_resumes_to_equal_bits(tmp_path, run, plan, method):
    settings = {"steps": 40, "save_every": 0.0, "probe_every": 0.4}
    whole = run("whole", method, **settings)
    folder = tmp_path / "killed"
    open_folder(plan(method, **settings), folder, resume=False)
    for step in (7, 23):
        process = _worker(folder)
        _wait_for_step(folder, process, step)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert read_status(folder)["state"] == "interrupted"
        assert "heartbeat" in read_status(folder)["message"]
    assert _worker(folder).wait() == 0
    assert same(weights(folder), weights(whole))
    assert curve(folder) == curve(whole)
    assert metrics(folder) == metrics(whole)
    probes = [
        [(e["step"], e["knn"]) for e in read_events(f / "events.jsonl") if e["event"] == "probe"]
        for f in (folder, whole)
    ]
    assert probes[0] == probes[1]
    assert len(probes[0]) > 2


@pytest.mark.parametrize(
    ("number", "error", "code"),
    [(signal.SIGINT, Interrupted, 130), (signal.SIGTERM, Preempted, 75), (signal.SIGUSR1, Preempted, 75)],
)
def test_a_signal_saves_and_says_how_it_ended(run, tmp_path, monkeypatch, number, error, code):
    whole = run("whole")
    taken = Trainer._train_step

    def interrupted(self, *args):
        if self.step == 5:
            os.kill(os.getpid(), number)
        return taken(self, *args)

    monkeypatch.setattr(Trainer, "_train_step", interrupted)
    with pytest.raises(error, match="stopped after step 6 and saved"):
        run("stopped")
    monkeypatch.undo()
    folder = tmp_path / "stopped"
    assert error.exit_code == code
    assert read_status(folder)["state"] == "interrupted"
    assert checkpoint.steps(folder / "checkpoints")[-1] == 6
    run("stopped", resume=True)
    assert read_status(folder)["state"] == "finished"
    assert same(weights(folder), weights(whole))
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_resume_of_a_finished_run_changes_nothing(run):
    folder = run()
    before = (folder / "metrics.json").stat().st_mtime_ns
    run(resume=True)
    assert (folder / "metrics.json").stat().st_mtime_ns == before


def test_resume_falls_back_when_the_newest_checkpoint_is_damaged(run, tmp_path, monkeypatch):
    whole = run("whole", save_every=0.0)
    folder = run("broken", save_every=0.0)
    newest = sorted((folder / "checkpoints").glob("*.safetensors"))[-1]
    newest.write_bytes(newest.read_bytes()[:-100])
    (folder / "status.json").unlink()
    with pytest.warns(UserWarning, match="using the one before it"):
        run("broken", save_every=0.0, resume=True)
    assert same(weights(folder), weights(whole))
    assert curve(folder) == curve(whole)


def test_an_existing_run_is_not_overwritten(run):
    run()
    with pytest.raises(InputError, match=r"holds a run already: add --resume"):
        run()
    with pytest.raises(InputError, match=r"other settings \(learner.temperature: 0.\d there, 0.07 now\)"):
        run(resume=True, temperature=0.07)


def test_a_folder_of_something_else_is_not_touched(tmp_path, run):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match="is not empty and holds no run"):
        run()
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is a file"):
        run("file")
