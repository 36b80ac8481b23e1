import json

import pytest
import torch

from likewise.api import prepare
from likewise.train.events import read_events
from likewise.train.run import train


@pytest.fixture
def plan():
    """A small plan: digits, tiny recipe, a few steps, every setting open to change."""

    def make(method="simclr", **changes):
        settings = {"steps": 12, "batch": 64, "probe_every": 0, "evaluate": False, **changes}
        return prepare(method, "digits", size="tiny", settings=list(settings.items()))

    return make


@pytest.fixture
def run(tmp_path, plan):
    """Train a small plan in a folder and return the folder."""

    def make(name="run", method="simclr", resume=False, fabric=False, devices=1, **changes):
        folder = tmp_path / name
        train(plan(method, **changes), folder, resume=resume, quiet=True, fabric=fabric, devices=devices)
        return folder

    return make


def weights(folder):
    """The newest checkpoint's learner weights."""
    from likewise.train import checkpoint

    return checkpoint.load(folder / "checkpoints")[1]["learner"]


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def curve(folder):
    return [e["loss"] for e in read_events(folder / "events.jsonl") if e["event"] == "step"]


def metrics(folder):
    held = json.loads((folder / "metrics.json").read_text())
    return {k: v for k, v in held.items() if k not in ("seconds", "peak_memory_mb")}
