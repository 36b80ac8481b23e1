"""``likewise restore`` and training of the methods for restoration, as people type them."""

import json

import numpy as np
import pytest
from PIL import Image

from likewise.cli import main


@pytest.fixture(scope="module")
def waves(tmp_path_factory):
    folder = tmp_path_factory.mktemp("waves")
    (folder / "more").mkdir()
    for i in range(6):
        y, x = np.mgrid[0:40, 0:56]
        pattern = 127 + 100 * np.sin(x / (2 + i)) * np.cos(y / 3)
        Image.fromarray(np.stack([pattern, pattern[:, ::-1], 255 - pattern], 2).astype(np.uint8)).save(
            folder / ("more" if i % 2 else ".") / f"{i}.png"
        )
    return folder


@pytest.fixture(scope="module")
def trained(waves, tmp_path_factory):
    out = tmp_path_factory.mktemp("restoring") / "larger"
    settings = [
        "--size",
        "tiny",
        "--set",
        "steps=3",
        "--set",
        "data.image_size=16",
        "--set",
        "probe_every=0",
        "--quiet",
    ]
    assert main(["train", "edsr", "--data", str(waves), "--out", str(out), *settings]) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert {"psnr", "ssim", "detail_error", "psnr_bicubic"} <= set(metrics)
    assert "psnr" in metrics["untrained"]
    return out


def test_pictures_come_out_larger(trained, waves, tmp_path, cli):
    done = cli("restore", trained, waves, "--out", "out", "--json")
    assert done.code == 0, done.err
    assert len(done.json["written"]) == 6
    assert done.json["metrics"] == {}
    with Image.open(tmp_path / "out" / "more" / "1.png") as image:
        assert image.size == (112, 80)
    with Image.open(tmp_path / "out" / "comparison.png") as strip:
        assert strip.size == (2 * 80 + 4, 16 + 6 * 84 - 4)


def test_originals_are_compared_with(trained, waves, tmp_path, cli):
    done = cli("restore", trained, waves / "0.png", "--out", "out", "--full-size", "--json")
    assert done.code == 0, done.err
    assert set(done.json["metrics"]) == {"psnr", "psnr_bicubic", "ssim", "ssim_bicubic"}
    with Image.open(tmp_path / "out" / "0.png") as image:
        assert image.size == (56, 40)


def test_the_page_shows_the_pictures(trained, cli):
    assert cli("report", trained).code == 0
    page = (trained / "report.html").read_text(encoding="utf-8")
    assert "<h2>Pictures</h2>" in page
    assert "PSNR" in page


def test_embedding_and_search_work_on_a_run_that_restores(trained, waves, cli):
    assert cli("embed", trained, waves, "--out", "vectors.npz").code == 0
    assert cli("search", trained, waves / "0.png", "--index", waves).code == 0


def test_what_cannot_be_read_is_named_and_the_rest_goes_on(trained, waves, tmp_path, cli):
    folder = tmp_path / "mixed"
    folder.mkdir()
    (folder / "broken.png").write_bytes(b"no picture")
    (folder / "same.png").write_bytes((waves / "0.png").read_bytes())
    with Image.open(waves / "0.png") as image:
        image.save(folder / "same.bmp")
    done = cli("restore", trained, folder, "--out", "out")
    assert done.code == 0
    assert "broken.png: not an image" in done.err
    assert (tmp_path / "out" / "same.png.png").is_file()
    assert (tmp_path / "out" / "same.bmp.png").is_file()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda folder: None, "no pictures in"),
        (lambda folder: folder.rmdir(), "no folder or picture at"),
        (lambda folder: (folder / "a.png").write_bytes(b""), "none of the 1 picture(s)"),
    ],
)
def test_bad_folders_are_refused_in_a_line(trained, tmp_path, cli, make, says):
    folder = tmp_path / "given"
    folder.mkdir()
    make(folder)
    done = cli("restore", trained, folder, "--out", "out")
    assert done.code == 2
    assert says in done.err.splitlines()[-1]
    assert "Traceback" not in done.err


def test_only_runs_that_restore_can_restore(run, waves, cli):
    done = cli("restore", run, waves, "--out", "out")
    assert done.code == 2
    assert "restores no pictures" in done.err
