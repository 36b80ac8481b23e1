"""``likewise run``: agents on the command line."""

import json
import os
import signal

import numpy as np
import pytest

from likewise.train import agent as runs


def test_from_an_agent_to_its_page(cli, tmp_path):
    done = cli("run", "contrastive-ucb", "--size", "tiny", "--out", "runs/lock", "--json")
    assert done.code == 0, done.err
    assert {"regret", "final_regret", "model_error", "untrained"} <= set(done.json["metrics"])
    assert "7 states" not in done.err
    assert "5 states, 2 actions, 3 steps" in done.err
    assert cli("report", "runs/lock").code == 0
    page = (tmp_path / "runs/lock/report.html").read_text(encoding="utf-8")
    assert "Total regret" in page
    assert "likewise search" not in page
    assert "No metrics yet" not in page
    listed = cli("runs", "--json")
    assert listed.json[0]["method"] == "contrastive-ucb"
    assert listed.json[0]["regret"] == done.json["metrics"]["regret"]


def test_a_world_of_ones_own(cli, tmp_path):
    np.savez(tmp_path / "world.npz", P=np.full((3, 2, 3), 1 / 3), R=np.eye(3)[:, :2])
    words = ["run", "greedy-lowrank", "--data", "world.npz", "--episodes", "5", "--set", "data.horizon=4"]
    done = cli(*words, "--set", "dim=4", "--json")
    assert done.code == 0, done.err
    assert done.json["metrics"]["episodes"] == 5
    assert "3 states, 2 actions, 4 steps" in done.err


def test_a_stopped_run_is_listed_and_goes_on_by_its_folder(cli, tmp_path, monkeypatch):
    assert cli("run", "contrastive-ucb", "--size", "tiny", "--out", "runs/whole", "--quiet").code == 0
    play, calls = runs.play, []

    def stopping(*arguments):
        calls.append(1)
        if len(calls) == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return play(*arguments)

    monkeypatch.setattr(runs, "play", stopping)
    stopped = cli("run", "contrastive-ucb", "--size", "tiny", "--out", "runs/lock", "--quiet")
    assert stopped.code == 130
    assert "likewise run --out runs/lock --resume" in stopped.err
    assert "likewise run --out runs/lock --resume" in cli("runs").out
    assert "likewise train" not in (page := cli("report", "runs/lock")).err + page.out
    done = cli("run", "--out", "runs/lock", "--resume", "--quiet", "--json")
    assert done.code == 0, done.err
    whole = json.loads((tmp_path / "runs/whole/metrics.json").read_text())
    assert done.json["metrics"]["regret"] == whole["regret"]
    assert cli("run", "--out", "runs/lock", "--resume", "--set", "bonus=1").code == 2
    assert cli("run").code == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["run", "simclr"], "likewise train runs it"),
        (["train", "contrastive-ucb"], "likewise run runs it"),
        (["run", "contrastive-ucb", "--data", "nowhere.npz"], "no environment or file"),
        (["run", "contrastive-ucb", "--data", "combination-lok"], "combination-lock"),
        (["run", "contrastive-ucb", "--set", "bonis=1"], "bonis"),
        (["run", "contrastive-ucb", "--episodes", "0"], "episodes=0"),
        (["run", "contrastive-ucb", "--resume"], "--out"),
        (["run", "contrastive-uc"], "contrastive-ucb"),
    ],
)
def test_mistakes_are_told_in_a_line(cli, words, says):
    done = cli(*words)
    assert done.code == 2
    assert says in done.err.splitlines()[-1]


@pytest.mark.parametrize("words", [["embed", "--out", "x.npz"], ["search", "QUERY"], ["evaluate"]])
def test_what_an_agents_run_is_not_for(cli, tmp_path, words):
    assert cli("run", "greedy-lowrank", "--size", "tiny", "--episodes", "2", "--out", "held", "--quiet").code == 0
    done = cli(words[0], "held", *words[1:])
    assert done.code == 2
    assert "is an agent" in done.err.splitlines()[-1]


def test_agents_are_compared_over_seeds(cli, tmp_path):
    words = ["compare", "contrastive-ucb", "greedy-lowrank", "--size", "tiny", "--seeds", "2", "--set", "episodes=4"]
    done = cli(*words, "--out", "both", "--json")
    assert done.code == 0, done.err
    assert {row["method"] for row in done.json["rows"]} == {"contrastive-ucb", "greedy-lowrank"}
    assert done.json["ranked_by"] == "regret"
