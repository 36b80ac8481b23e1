import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from likewise.cli import main
from likewise.data import catalogue

Paint = Callable[..., Path]
Output = pytest.CaptureFixture[str]


def test_the_list_imports_no_torch() -> None:
    code = "import sys; from likewise.cli import main; main(['data', '--json']); assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    listed = json.loads(done.stdout)
    assert [record["name"] for record in listed] == list(catalogue.SOURCES)
    assert all(record["licence"] and record["origin"] and record["serves"] for record in listed)
    assert listed[0]["here"] is True


def test_the_list_says_how_to_get_what_is_absent(capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "_installed", lambda place: None)
    for name in catalogue.SOURCES:
        monkeypatch.delenv(catalogue.variable(name), raising=False)
    assert main(["data"]) == 0
    out = capsys.readouterr().out
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert "  no  " in lines["fashion-mnist"]
    assert "  yes  " in lines["digits"]
    assert "likewise data get fashion-mnist\n" in out


def test_get(tmp_path: Path, own_cache: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIKEWISE_DATA_MNIST", raising=False)
    names = [name for name, _ in catalogue.source("mnist").files]
    (tmp_path / "made").mkdir()
    for name in names:
        (tmp_path / "made" / name).write_bytes(b"not the real ones")
    assert main(["data", "get", "mnist", "--from", str(tmp_path / "made")]) == 2
    assert "--any-version" in capsys.readouterr().err
    assert main(["data", "get", "mnist", "--from", str(tmp_path / "made"), "--any-version", "--json"]) == 0
    folder = own_cache / "sources" / "mnist"
    assert json.loads(capsys.readouterr().out) == {"name": "mnist", "folder": str(folder), "fetched": True}
    assert main(["data", "get", "mnist"]) == 0
    assert capsys.readouterr().out.startswith("here")
    assert main(["data", "get", "minst"]) == 2
    assert "did you mean 'mnist'" in capsys.readouterr().err


def test_show_counts_what_training_would_see(paint: Paint, tmp_path: Path, capsys: Output) -> None:
    for i in range(10):
        paint(f"in/cat/{i}.png")
        paint(f"in/dog/{i}.jpg")
    (tmp_path / "in" / "dog" / "bad.png").write_text("no picture")
    assert main(["data", "show", str(tmp_path / "in"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["train"] + facts["test"] == 20
    assert {name: sum(counts.values()) for name, counts in facts["classes"].items()} == {"cat": 10, "dog": 10}
    assert facts["columns"] == {"image": [3, 64, 64]}
    assert facts["skipped"] == [{"path": "dog/bad.png", "reason": "not an image"}]
    assert main(["data", "show", str(tmp_path / "in")]) == 0
    assert "dog/bad.png: not an image" in capsys.readouterr().out


def test_show_draws_a_sheet(paint: Paint, tmp_path: Path, capsys: Output) -> None:
    for name, colour in (("black", 0), ("white", 255)):
        (tmp_path / "in" / name).mkdir(parents=True)
        for i in range(3):
            Image.new("L", (16, 16), colour).save(tmp_path / "in" / name / f"{i}.png")
    sheet = tmp_path / "out" / "sheet.png"
    assert main(["data", "show", str(tmp_path / "in"), "--out", str(sheet)]) == 0
    assert str(sheet) in capsys.readouterr().out
    pixels = np.asarray(Image.open(sheet).convert("L"))
    tile = pixels[4:68, 120:184]  # the first of the first line
    assert tile.max() == 0
    assert pixels[72:136, 120:184].min() == 255
    assert pixels[4:68, :120].min() < 255  # the class's name
    assert main(["data", "show", "digits", "--out", str(tmp_path / "sheet.txt")]) == 2
    assert "ends in .png" in capsys.readouterr().err
    np.save(tmp_path / "x.npy", np.zeros((5, 8, 8), np.uint8))
    assert main(["data", "show", str(tmp_path / "x.npy"), "--out", str(tmp_path / "plain.png")]) == 0
    assert "none" in capsys.readouterr().out


def test_show_of_nothing(capsys: Output) -> None:
    assert main(["data", "show", "fasion-mnist"]) == 2
    assert "did you mean 'fashion-mnist'" in capsys.readouterr().err
