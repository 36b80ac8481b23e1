"""Each verb as a user would type it: what it prints, what it writes, its JSON."""

import csv
import json
import re
import subprocess
import sys

import numpy as np
import pytest

from likewise.cli.app import VERBS

from .conftest import QUICK


def test_help_lists_every_verb_with_a_whole_sentence(cli):
    result = cli("--help")
    assert (result.code, result.err) == (0, "")
    listed = dict(re.findall(r"^  (\w+) +(\S.*)$", result.out.split("Commands:")[1], re.M))
    assert set(listed) == set(VERBS)
    assert cli().out == result.out


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_teaches_with_an_example_and_offers_json(cli, verb):
    result = cli(verb, "--help")
    assert (result.code, result.err) == (0, "")
    example = re.search(r"Examples:\n((?:    .+\n)+)", result.out)
    assert example is not None
    assert re.search(rf"likewise {verb}\b", example[1])
    assert "--json" in result.out


def test_version(cli):
    assert re.fullmatch(r"likewise \d+\.\d+\.\d+\n", cli("--version").out)


def test_methods(cli):
    result = cli("methods")
    assert result.code == 0
    assert re.search(r"^dcl +image +2021 +exact +\S", result.out, re.M)
    assert {card["slug"] for card in cli("methods", "--json").json} >= {"dcl", "simclr", "byol"}
    assert "supcon" in [card["slug"] for card in cli("methods", "--labels", "--json").json]
    assert "supcon" not in [card["slug"] for card in cli("methods", "--no-labels", "--json").json]
    assert all("queue" in json.dumps(card) for card in cli("methods", "queue", "--json").json)


def test_show(cli):
    result = cli("show", "dcl")
    assert result.code == 0
    for text in ("arXiv:2110.06848", "temperature = 0.1", r"\log", "next", "likewise train dcl"):
        assert text in result.out
    card = cli("show", "dcl", "--settings", "tiny", "--json").json
    assert card["traits"]["splits"] == "gather"
    assert (card["settings"]["learner.temperature"], card["knobs"]["temperature"]) == (0.1, "0.1")
    assert card["settings"]["batch"] == 32


def test_train_says_what_it_does_and_what_comes_next(cli, photos):
    result = cli("train", "dcl", "--data", photos, "--out", "runs/photos", *QUICK)
    assert result.code == 0
    assert re.search(
        r"^images +45, \d+ to train and \d+ to test, in 3 folders \(1 unreadable, listed in", result.err, re.M
    )
    assert re.search(r"^method +dcl · convnet · simclr · batch 8 · 2 steps · c", result.err, re.M)
    assert re.search(r"^done +runs/photos   knn \d\S* \(untrained \d\S*\)", result.out, re.M)
    assert re.search(r"^next +likewise report runs/photos$", result.out, re.M)


def test_train_numbers_its_runs_and_prints_json_alone(cli, photos):
    result = cli("train", "dcl", "--data", photos, "--json", "--quiet", *QUICK)
    assert result.json["state"] == "finished"
    assert result.json["run"] == "runs/dcl-photos-1"
    assert 0 <= result.json["metrics"]["knn"] <= 1


def test_dry_run_shows_the_settings_and_writes_nothing(cli, photos, tmp_path):
    result = cli("train", "dcl", "--data", photos, "--dry-run", "--set", "temperature=0.3", *QUICK)
    assert result.code == 0
    assert "learner.temperature = 0.3" in result.out
    assert not (tmp_path / "runs").exists()
    made = cli("train", "dcl", "--data", photos, "--dry-run", "--json", *QUICK).json
    assert (made["method"], made["facts"]["batch"]) == ("dcl", 8)


def test_a_finished_run_is_left_as_it_is_by_resume(cli, run):
    before = (run / "metrics.json").read_bytes()
    result = cli("train", "--out", run, "--resume")
    assert (result.code, (run / "metrics.json").read_bytes()) == (0, before)
    assert "done" in result.out


def test_runs(cli, run, tmp_path):
    other = tmp_path / "runs" / "broken"
    other.mkdir()
    (other / "recipe.json").write_text("{")
    result = cli("runs")
    assert re.search(r"^dcl +photos +finished +100%", result.out, re.M)
    assert re.search(r"damaged .*runs/broken$", result.out, re.M)
    listed = cli("runs", "runs", "--json").json
    assert [r["state"] for r in listed] == ["damaged", "finished"]
    assert [r["run"] for r in cli("runs", "--filter", "method=dcl", "--json").json] == ["runs/photos"]
    assert cli("runs", "--filter", "knn>2", "--json").json == []
    assert [r["run"] for r in cli("runs", "--sort", "-knn", "--json").json] == ["runs/photos", "runs/broken"]
    assert "none of the 2 runs" in cli("runs", "--filter", "seed!=0", "--filter", "method=dcl").err


def test_runs_tells_how_to_go_on_with_one_whose_process_is_gone(cli, run):
    process = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    status = json.loads((run / "status.json").read_text())
    status |= {"state": "running", "pid": int(process.stdout)}
    (run / "status.json").write_text(json.dumps(status))
    result = cli("runs")
    assert "interrupted" in result.out
    assert re.search(r"^next +likewise train --out runs/photos --resume$", result.out, re.M)


@pytest.mark.parametrize("name", ["x.npz", "x.csv", "deep/folder/x.parquet"])
def test_embed_writes_ids_keys_labels_and_unit_vectors(cli, run, photos, tmp_path, name):
    result = cli("embed", run, photos, "--out", name, "--json")
    assert result.code == 0
    assert (result.json["rows"], result.json["file"]) == (45, name)
    ids, keys, labels, vectors = READERS[name.rpartition(".")[2]](tmp_path / name)
    assert list(ids) == list(range(45))
    assert keys[0] == "blue/002.png"
    assert set(labels) == {"red", "green", "blue"}
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert not [p for p in (tmp_path / name).parent.iterdir() if p.name.endswith(".tmp")]


def read_npz(path):
    held = np.load(path)
    return held["ids"], held["keys"], held["classes"][held["labels"]], held["vectors"]


def read_csv(path):
    rows = list(csv.reader(path.read_text().splitlines()))[1:]
    return [int(r[0]) for r in rows], [r[1] for r in rows], [r[2] for r in rows], np.array([r[3:] for r in rows], float)


def read_parquet(path):
    import pandas

    frame = pandas.read_parquet(path)
    return frame["id"], frame["key"], frame["label"], np.stack(frame["vector"])


READERS = {"npz": read_npz, "csv": read_csv, "parquet": read_parquet}


def test_search_finds_the_query_itself_first_and_writes_a_sheet(cli, run, photos, tmp_path):
    result = cli("search", run, photos / "green" / "001.png", "--index", photos, "-k", 3)
    assert result.code == 0
    assert re.search(r"^1\.000 +green/001.png   green$", result.out, re.M)
    sheet = tmp_path / re.search(r"^sheet +(\S+)$", result.out, re.M)[1]
    assert "data:image" in sheet.read_text()
    hits = cli("search", run, photos / "green" / "001.png", "--json").json["hits"]
    assert len(hits) == 10
    assert hits[0]["path"] == str(photos / "green" / "001.png")


def test_evaluate(cli, run, photos):
    result = cli("evaluate", run)
    assert re.search(r"^kNN +\d\S* +\d\S* +\w", result.out, re.M)
    assert "reading" in result.out
    found = cli("evaluate", run, "--data", photos, "--what", "knn", "--json").json["metrics"]
    assert set(found) >= {"knn"}
    assert "nmi" not in found


def test_report_writes_a_page_for_each_run(cli, run):
    result = cli("report", run, run, "--json")
    assert list(result.json["pages"].values()) == [str(run / "report.html")]
    assert "<html" in (run / "report.html").read_text()
    assert "report.html" in cli("report", run).out


def test_output_into_a_pipe_is_plain_and_a_closed_pipe_is_no_error(run):
    command = f"{sys.executable} -c 'import sys; from likewise.cli import main; sys.exit(main())' methods"
    whole = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert "\x1b" not in whole.stdout
    assert not re.search(r"[ \t]$", whole.stdout, re.M)
    cut = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | head -1"], capture_output=True, text=True, check=False
    )
    assert (cut.returncode, cut.stderr) == (0, "")


def test_colour_at_a_terminal_unless_no_color(monkeypatch, cli):
    from likewise.cli import terminal

    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert "\x1b[" in cli("show", "dcl").out
    assert max(map(len, re.sub(r"\x1b\[[\d;]*m", "", cli("show", "dcl").out).splitlines())) <= terminal.console().width
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[[\d;]*3\d", cli("show", "dcl").out)


def test_tensorboard_gets_the_runs_curves(cli, photos, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    quick = [*QUICK, "--set", "steps=20", "--set", "probe_every=2"]
    assert cli("train", "dcl", "--data", photos, "--out", "run", "--tensorboard", "--quiet", *quick).code == 0
    events = [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    drawn = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    drawn.Reload()
    for kind, tag, name in (("step", "train/loss", "loss"), ("probe", "probe/knn", "knn")):
        logged = [(e["step"], e[name]) for e in events if e["event"] == kind]
        assert len(logged) >= 3
        assert [(s.step, pytest.approx(s.value)) for s in drawn.Scalars(tag)] == logged


def test_compare_ranks_and_goes_on_where_it_was(cli, photos, tmp_path):
    command = ("compare", "dcl", "simclr", "--data", photos, "--seeds", "1", "--out", "both", *QUICK)
    result = cli(*command, "--json")
    assert result.code == 0, result.err
    assert {row["method"] for row in result.json["rows"]} == {"dcl", "simclr"}
    assert "<html" in (tmp_path / "both" / "comparison.html").read_text()
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.safetensors")}
    again = cli(*command)
    assert re.search(r"^method +knn +linear", again.out, re.M)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.safetensors")} == before
