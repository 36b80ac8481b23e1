"""Time series on the command line: long tables, many series, and what is refused in one line."""

import numpy as np
import pytest

TINY = ["--size", "tiny", "--set", "steps=3", "--set", "probe_every=0", "--quiet"]


def table(path, steps=200, columns=2):
    rng = np.random.default_rng(0)
    t = np.arange(steps)
    values = np.sin(t[:, None] / (3 + np.arange(columns))) + 0.1 * rng.normal(size=(steps, columns))
    lines = [f"day {i}," + ",".join(f"{v:.4f}" for v in row) for i, row in enumerate(values)]
    path.write_text("\n".join(["date," + ",".join(f"c{i}" for i in range(columns)), *lines]) + "\n")
    return path


@pytest.mark.parametrize("slug", ["ts2vec", "autotcl", "infonce-series"])
def test_from_a_table_to_vectors_and_a_page(cli, tmp_path, slug):
    table(tmp_path / "grid.csv")
    done = cli("train", slug, "--data", "grid.csv", "--out", "runs/grid", *TINY, "--json")
    assert done.code == 0, done.err
    metrics = done.json["metrics"]
    assert {"forecast_mse", "mse_6", "mse_12", "naive_mse"} <= set(metrics)
    assert "forecast_mse" in metrics["untrained"]
    assert "time series" not in done.err
    table(tmp_path / "more.csv", 80)
    done = cli("embed", "runs/grid", "more.csv", "--out", "more.npz", "--json")
    assert done.code == 0, done.err
    with np.load(tmp_path / "more.npz") as held:
        assert held["vectors"].shape == (done.json["rows"], 16)
        assert held["keys"][0] == "day 0"
    done = cli("search", "runs/grid", "day 0", "--json")
    assert done.code == 0, done.err
    done = cli("evaluate", "runs/grid", "--data", "more.csv", "--json")
    assert done.code == 0, done.err
    assert cli("report", "runs/grid").code == 0
    page = (tmp_path / "runs/grid/report.html").read_text(encoding="utf-8")
    assert "forecast MSE" in page


def test_other_channels_than_the_run_was_trained_on(cli, tmp_path):
    table(tmp_path / "grid.csv")
    table(tmp_path / "three.csv", columns=3)
    assert cli("train", "ts2vec", "--data", "grid.csv", "--out", "runs/grid", *TINY).code == 0
    done = cli("embed", "runs/grid", "three.csv", "--out", "three.npz")
    assert done.code == 2
    assert "series of 3 channels; the run was trained on 2" in done.err


def test_many_labelled_series(cli, tmp_path):
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    np.savez(tmp_path / "many.npz", x=y[:, None] * 2 + rng.normal(size=(40, 25)), y=y)
    done = cli("train", "ts2vec", "--data", "many.npz", "--out", "runs/many", *TINY, "--json")
    assert done.code == 0, done.err
    assert {"svm", "knn", "linear"} <= set(done.json["metrics"])


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("short.csv", "time,a\n1,2\n", "too short"),
        ("words.csv", "a,b\n1,x\n", "is no number"),
        ("ragged.csv", "a,b\n1\n", "has 1 cells"),
        ("empty.csv", "", "is empty"),
        ("film.mp4", "x", "unknown kind"),
        ("one.ts", "@data\n1,2,3\n", "needs at least 2"),
    ],
)
def test_files_that_can_not_be_used(cli, tmp_path, name, content, says):
    (tmp_path / name).write_text(content)
    done = cli("train", "ts2vec", "--data", name, "--out", "runs/x", *TINY)
    assert done.code == 2
    assert says in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_data_that_are_not_there(cli):
    done = cli("train", "ts2vec", "--data", "gunpont", *TINY)
    assert done.code == 2
    assert "did you mean 'gunpoint'" in done.err
