"""The page of a run, in all the ways in which a run can be odd."""

import json
import math
import time

import numpy as np
import pytest
import torch
from pages import CARD, EVIL, METRICS, Reader, events, part, recipe, samples, write_run

from likewise.core.errors import InputError
from likewise.evaluate import projection
from likewise.report.run import read_run, render_run, write_run_report
from likewise.report.samples import Samples


def page(folder, **given):
    run = write_run(folder, **{k: v for k, v in given.items() if k not in ("card", "samples", "default")})
    chosen = {k: given[k] for k in ("card", "samples", "default") if k in given}
    return Reader(render_run(read_run(run, **chosen)))


def test_whole_page(tmp_path):
    path = write_run_report(write_run(tmp_path / "run"), card=CARD, samples=samples(), default=recipe(batch=32))
    assert path == tmp_path / "run" / "report.html"
    found = Reader(path.read_text(encoding="utf-8"))
    sections = [a["id"] for t, a in found.tags if t == "section"]
    assert sections == [
        "training", "similarities", "map", "neighbours", "classes", "metrics", "method", "recipe", "again"
    ]  # fmt: skip
    assert "DCL on my photos" in found.text
    assert "6 points over the untrained encoder" in found.text
    assert "0.800 ± 0.020" in found.text  # a mean with the spread of its draws
    assert "64 instead of 32" in found.text
    assert "likewise train dcl --data 'my photos'" in found.text
    assert found.count("a", href="https://arxiv.org/abs/2110.06848") == 1
    assert "Decoupled <b>Contrastive</b> Learning" in found.text
    links = {a["href"][1:] for t, a in found.tags if t == "a" and a["href"].startswith("#")}
    assert links - {"main"} == set(sections)


def test_every_chart_has_its_data(tmp_path):
    found = page(tmp_path / "run", samples=samples())
    wanted = [a["data-chart"] for _, a in found.tags if "data-chart" in a]
    assert "charts.0" in wanted
    assert "pairs.trend" in wanted
    for path in wanted:
        value = found.data()
        for name in path.split("."):
            value = value[int(name)] if isinstance(value, list) else value[name]
        assert value["kind"] in ("lines", "histograms")


def test_curves_are_the_logged_values(tmp_path):
    data = page(tmp_path / "run").data()
    by_title = {c["title"]: c for c in data["charts"]}
    loss = by_title["Loss"]["lines"][0]
    assert loss["x"] == [s / 10 for s in range(1, 41)]
    assert loss["y"] == pytest.approx([5 / s for s in range(1, 41)], rel=1e-5)
    knn = by_title["KNN" if "KNN" in by_title else "kNN"]
    assert knn["marks"] == [{"y": 0.85, "name": "untrained", "colour": 0}]
    assert "Tau" in by_title  # what the method logs has a curve, too
    assert data["pairs"]["frames"][-1]["auc"] == 1.0
    assert data["pairs"]["frames"][0]["auc"] == 0.5  # both in one bin: as good as a coin


def test_nothing_but_a_recipe(tmp_path):
    found = page(tmp_path / "run", events=None, metrics=None, status=None, environment=None)
    assert [a["id"] for t, a in found.tags if t == "section"] == ["recipe", "again"]
    assert "No metrics yet" in found.text
    assert "likewise train dcl --data '/home/me/my photos' --size small --seed 3" in found.text


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({"state": "failed", "message": "the loss is not finite at step 7"}, "Failed. the loss is not finite"),
        ({"state": "interrupted", "step": 5, "steps": 40}, "Interrupted at step 5 of 40"),
        ({"state": "running", "time": time.time() - 1000, "pid": 1, "host": "x"}, "no heartbeat"),
        ({"state": "failed", "message": "<script>window.pwned=1</script>"}, "<script>window.pwned=1</script>"),
    ],
)
def test_unfinished_run_says_so_first(tmp_path, status, words):
    found = page(tmp_path / "run", status=status, metrics=None)
    assert words in found.text
    assert any("banner" in a.get("class", "") for _, a in found.tags)


def test_running_run_is_no_failure(tmp_path):
    import os
    import socket

    status = {"state": "running", "time": time.time(), "pid": os.getpid(), "host": socket.gethostname()}
    assert "Still running" in page(tmp_path / "run", status=status).text


def test_not_a_number(tmp_path):
    metrics = {**METRICS, "knn": math.nan, "uniformity": math.inf, "untrained": {"knn": math.nan}}
    found = page(tmp_path / "run", metrics=metrics, events=events(bad_step=7), samples=samples())
    assert "knn is not a number" in found.text.lower()
    assert "could not be computed" in found.text
    loss = next(c for c in found.data()["charts"] if c["title"] == "Loss")
    assert loss["lines"][0]["y"][6] is None
    assert all(word not in json.dumps(found.data()) for word in ("NaN", "Infinity"))


def test_collapse_is_named(tmp_path):
    metrics = {"effective_rank": 1.02, "uniformity": -0.01, "dim": 64.0}
    same = samples(features=np.ones((60, 8), np.float32))
    found = page(tmp_path / "run", metrics=metrics, samples=same)
    assert "Collapsed: effective rank 1.02 of 8" in found.text
    assert "all rows have the same direction" in found.data()["map"]["places"][0]["says"]


def test_damaged_lines_of_events_are_left_out(tmp_path):
    run = write_run(tmp_path / "run")
    with (run / "events.jsonl").open("a") as file:
        file.write('\nnot json\n[1, 2]\n{"event": "step", "step": 41, "epo')
    loss = next(c for c in Reader(render_run(read_run(run))).data()["charts"] if c["title"] == "Loss")
    assert len(loss["lines"][0]["y"]) == 40


def test_stages_fall_back_to_steps(tmp_path):
    twice = [e for e in events(2) if e["event"] == "step"]
    again = [{**e, "step": e["step"] + 20} for e in twice]  # epochs begin anew, steps go on
    found = page(tmp_path / "run", events=[*twice, *again])
    assert {c["xlabel"] for c in found.data()["charts"]} == {"step"}


def test_without_labels(tmp_path):
    found = page(tmp_path / "run", samples=samples(labels=None, classes=None))
    held = found.data()["map"]
    assert "labels" not in held
    assert "agreement" not in held
    assert not any(a.get("id") == "classes" for _, a in found.tags)
    assert not any(a.get("class") == "wrong" for _, a in found.tags)
    assert found.count("img") == 16 * 9  # sixteen queries and eight neighbours of each


def test_without_pictures(tmp_path):
    sentences = [f"sentence {i} about <things> & more" for i in range(60)]
    found = page(tmp_path / "run", samples=samples(thumbnails=None, keys=sentences))
    assert found.count("img") == 0
    assert "sheet" not in found.data()["map"]
    assert "sentence 3 about <things> & more" in found.data()["map"]["keys"]


def test_float_targets(tmp_path):
    found = page(tmp_path / "run", samples=samples(labels=np.linspace(0, 1, 60), classes=None))
    assert found.data()["map"]["targets"][-1] == 1.0
    assert not any(a.get("id") == "classes" for _, a in found.tags)


def test_one_class(tmp_path):
    found = page(tmp_path / "run", samples=samples(num_classes=1))
    assert not any(a.get("id") == "classes" for _, a in found.tags)
    assert found.data()["map"]["classes"] == ["class 0"]


def test_unknown_labels(tmp_path):
    labels = np.array([0, 1, -1] * 20)
    found = page(tmp_path / "run", samples=samples(labels=labels, classes=["a", "b"]))
    assert found.data()["map"]["agreement"][2] is None
    assert found.data()["map"]["labels"][2] == -1


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5])
def test_very_few_rows(tmp_path, n):
    found = page(tmp_path / "run", samples=samples(n=n))
    assert any(a.get("id") == "map" for _, a in found.tags) == (n > 0)
    if n:
        assert len(found.data()["map"]["keys"]) == n
        assert [len(row) for row in found.data()["map"]["near"]] == [min(8, n - 1)] * n


def test_rows_that_are_not_finite(tmp_path):
    features = samples().features.copy()
    features[3, 2] = np.nan
    features[4, 1] = np.inf
    found = page(tmp_path / "run", samples=samples(features=features))
    assert "2 of 60 rows are left out" in found.text
    assert "folder/3.png" not in found.data()["map"]["keys"]
    all_bad = page(tmp_path / "bad", samples=samples(features=np.full((60, 8), np.nan)))
    assert not any(a.get("id") == "map" for _, a in all_bad.tags)


def test_many_classes_list_confusions_only(tmp_path):
    found = page(tmp_path / "run", samples=samples(n=120, num_classes=60))
    assert found.count("table", **{"class": "confusion"}) == 0
    assert "classes with the highest accuracy are left out" in found.text


def test_classes_are_counted(tmp_path):
    labels, predicted = np.array([0, 0, 0, 1, 1, 1] * 10), np.array([0, 0, 1, 1, 1, 1] * 10)
    found = page(tmp_path / "run", samples=samples(labels=labels, classes=["cat", "dog"], predicted=predicted))
    assert "The probe names the right class for 0.833 of the samples" in found.text
    assert "cat 30 0.67 dog 10" in found.text.replace("\xa0", " ")


def test_dangerous_names(tmp_path):
    keys = [EVIL[i % len(EVIL)] + str(i) for i in range(60)]
    made = {"method": EVIL[0], "size": EVIL[1], "seed": 0, "recipe": recipe(data=part("data", "x", path=EVIL[0]))}
    held = samples(keys=keys, classes=list(EVIL[:3]))
    names = {EVIL[0]: 1.0, "knn": 0.5, EVIL[1]: 2.0}
    run = write_run(tmp_path / "run", recipe=made, metrics=names, environment={EVIL[0]: EVIL[1], "command": [EVIL[2]]})
    path = write_run_report(run, samples=held)
    found = Reader(path.read_text(encoding="utf-8"))
    plain = page(tmp_path / "plain", samples=samples())
    assert found.count("script") == plain.count("script")
    assert found.data()["map"]["keys"] == keys  # undecodable names too: JSON writes them as escapes
    assert EVIL[0] in found.text
    assert EVIL[1] in found.text


def test_thousands_of_rows_stay_small(tmp_path, monkeypatch):
    monkeypatch.setattr(projection, "TSNE_ROWS", 100)
    n = 5200
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 255, (n, 3, 32, 32), dtype=np.uint8)  # noise: the worst for any compression
    path = write_run_report(write_run(tmp_path / "run"), samples=samples(n=n, thumbnails=pictures))
    assert path.stat().st_size < 6e6
    found = Reader(path.read_text(encoding="utf-8"))
    assert "Shown are 5,000 of 5,200 rows" in found.text
    tiles = np.array(found.data()["map"]["tiles"])
    assert 1500 <= (tiles >= 0).sum() < 5000
    assert found.data()["map"]["places"][0]["name"] == "pca"


def test_tensors_and_grey_and_other_channels(tmp_path):
    held = samples()
    for channels in (1, 2, 5):
        shown = Samples(
            torch.from_numpy(held.features),
            held.keys,
            torch.from_numpy(held.labels),
            held.classes,
            torch.zeros(60, channels, 12, 20, dtype=torch.uint8),
        )
        found = page(tmp_path / str(channels), samples=shown)
        assert "sheet" in found.data()["map"]


def test_wrong_samples_are_refused():
    with pytest.raises(InputError, match="keys for a page: 3 rows, but features have 60"):
        samples(keys=["a", "b", "c"])
    with pytest.raises(InputError, match=r"must be \(n, d\)"):
        samples(features=np.zeros((60, 2, 2)))
    with pytest.raises(InputError, match="must be uint8"):
        samples(thumbnails=np.zeros((60, 3, 8, 8), np.float32))


def test_no_run_and_a_damaged_run(tmp_path):
    with pytest.raises(InputError, match="not a run folder"):
        read_run(tmp_path)
    (tmp_path / "recipe.json").write_text("{")
    with pytest.raises(InputError, match="damaged"):
        read_run(tmp_path)


def test_page_that_can_not_be_written(tmp_path):
    run = write_run(tmp_path / "run")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="can't write"):
        write_run_report(run, out=tmp_path / "file" / "report.html")
    assert not list(run.glob(".*.tmp"))


def test_same_run_same_page(tmp_path):
    run = write_run(tmp_path / "run")
    first, second = (render_run(read_run(run, samples=samples())) for _ in range(2))
    assert first == second


def test_command_of_a_run_from_python(tmp_path):
    in_memory = recipe(data=part("data", "in-memory", name="array"), batch=16)
    made = {"method": "dcl", "size": "tiny", "seed": 1, "recipe": in_memory}
    given = {"environment": {"command": ["script.py"]}, "recipe": made, "default": recipe()}
    found = page(tmp_path / "run", **given)
    assert "likewise.fit(data, method='dcl', size='tiny', seed=1, settings=[('batch', '16')])" in found.text
    assert "DCL" not in found.text
    assert "dcl on array" in found.text


def test_skipped_files_are_mentioned(tmp_path):
    run = write_run(tmp_path / "run")
    (run / "skipped.txt").write_text("a.png\tbroken\nb.png\tbroken\n")
    assert "2 files could not be read" in Reader(render_run(read_run(run))).text
