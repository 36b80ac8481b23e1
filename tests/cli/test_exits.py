"""How a command ends when something happens to it: exit statuses that scripts can tell apart."""

import json
import os
import re
import signal
import threading
import time
from pathlib import Path

import pytest

from .conftest import QUICK

LONG = [
    "--size",
    "tiny",
    "--set",
    "steps=100000",
    "--set",
    "batch=8",
    "--set",
    "probe_every=0",
    "--set",
    "evaluate=false",
]


def test_an_unexpected_error_is_one_line_and_the_traceback_is_kept(cli, monkeypatch, run):
    def broken(*_, **__):
        raise ZeroDivisionError("in our own code\nwith a second line")

    monkeypatch.setattr("likewise.api.Run.evaluate", broken)
    result = cli("evaluate", run)
    assert (result.code, result.out, result.err.count("\n")) == (1, "", 1)
    found = re.search(r"ZeroDivisionError: in our own code \(the full traceback is in (\S+)\)", result.err)
    kept = Path(found[1]).read_text()
    assert "likewise evaluate" in kept
    assert "in broken" in kept
    assert "Traceback" in cli("--debug", "evaluate", run).err
    assert "Traceback" in cli("evaluate", run, "--debug").err


def test_a_loss_that_is_not_finite_ends_with_3_and_says_what_to_try(cli, photos, tmp_path):
    result = cli("train", "dcl", "--data", photos, *QUICK, "--set", "optimizer.lr=1e30", "--set", "steps=9", "--quiet")
    line = result.err.splitlines()[-1]
    assert (result.code, result.out) == (3, "")
    assert re.match(r"likewise: error: dcl: the loss is not finite at step \d+; .* Try ", line)
    assert cli("runs", "--json").json[0]["state"] == "failed"


def test_ctrl_c_before_training(cli, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("likewise.core.registry.listings", interrupted)
    result = cli("methods")
    assert (result.code, result.err) == (130, "likewise: interrupted\n")


def test_a_disk_that_fills_up_anywhere_is_the_users_to_know(cli, monkeypatch, run):
    def full(*_, **__):
        raise OSError(28, "No space left on device", "/somewhere/file")

    monkeypatch.setattr("likewise.api.Run.evaluate", full)
    result = cli("evaluate", run)
    assert (result.code, result.err) == (2, "likewise: error: /somewhere/file: the disk is full\n")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)], ids=["ctrl-c", "preempted"])
def test_a_stopped_run_says_how_it_goes_on_and_goes_on(cli, photos, tmp_path, number, code):
    events = tmp_path / "run" / "events.jsonl"

    def stop_after_some_steps():
        while not (events.is_file() and '"step": 10,' in events.read_text()):
            time.sleep(0.02)
        os.kill(os.getpid(), number)

    threading.Thread(target=stop_after_some_steps, daemon=True).start()
    result = cli("train", "dcl", "--data", photos, "--out", "run", "--quiet", *LONG)
    assert (result.code, result.out) == (code, "")
    assert re.search(r"^next +likewise train --out run --resume$", result.err, re.M)
    step = int(re.search(r"^likewise: stopped after step (\d+) and saved$", result.err, re.M)[1])
    assert cli("runs", ".", "--json").json[0]["state"] == "interrupted"

    # the printed command goes on; the recipe is shortened, so that it also ends
    recipe = json.loads((tmp_path / "run" / "recipe.json").read_text())
    recipe["recipe"]["steps"] = recipe["facts"]["steps"] = step + 20
    (tmp_path / "run" / "recipe.json").write_text(json.dumps(recipe))
    resumed = cli("train", "--out", "run", "--resume")
    assert resumed.code == 0, resumed.err
    assert re.search(rf"resumed +after step {step}\b", resumed.err)
    assert cli("runs", ".", "--json").json[0]["state"] == "finished"
