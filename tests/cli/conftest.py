"""A command line in this process, a folder of pictures, and a run trained on them."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from likewise.cli import main

QUICK = [
    "--size",
    "tiny",
    "--set",
    "steps=2",
    "--set",
    "batch=8",
    "--set",
    "probe_every=0",
    "--set",
    "data.image_size=16",
]


@dataclass
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Result]:
    """``cli("train", "dcl", ...)`` in an empty folder, as a user would type it."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Result:
        capsys.readouterr()
        code = main([str(a) for a in arguments])
        return Result(code, *capsys.readouterr())

    return run


def draw(folder: Path, count: int, seed: int = 0) -> None:
    """Pictures of noise around a colour, in a folder for each of three colours."""
    rng = np.random.default_rng(seed)
    for i in range(count):
        name = ("red", "green", "blue")[i % 3]
        values = rng.integers(0, 120, (16, 16, 3))
        values[..., i % 3] += 130
        (folder / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(values.astype(np.uint8)).save(folder / name / f"{i:03d}.png")


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "photos"
    draw(folder, 45)
    (folder / "red" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno picture")
    return folder


@pytest.fixture(scope="session")
def trained_once(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "photos"
    assert main(["train", "dcl", "--data", str(photos), "--out", str(folder), "--quiet", *QUICK]) == 0
    return folder


@pytest.fixture
def run(trained_once: Path, tmp_path: Path) -> Path:
    """A finished run of its own for each test, in the folder where the test's commands run."""
    return Path(shutil.copytree(trained_once, tmp_path / "runs" / "photos"))
