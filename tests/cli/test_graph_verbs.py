"""Graphs as a user types them: train on files, embed, search, evaluate, report; and what is said about bad ones."""

import csv

import numpy as np
import pytest

QUICK = ("--size", "tiny", "--set", "steps=2", "--set", "probe_every=0", "--set", "measure.splits=1")


def write(folder, edges="source,target\n", nodes="id,age,town,label\n", n=24):
    rng = np.random.default_rng(0)
    folder.mkdir()
    pairs = [(i, j) for i in range(n) for j in range(n) if i < j and rng.random() < (0.6 if i % 2 == j % 2 else 0.05)]
    (folder / "edges.csv").write_text(edges + "".join(f"p{i},p{j}\n" for i, j in pairs))
    rows = [f"p{i},{20 + i},{'ulm' if i % 3 else 'bonn'},{('even', 'odd')[i % 2]}\n" for i in range(n)]
    (folder / "nodes.csv").write_text(nodes + "".join(rows))
    return folder


@pytest.fixture
def run(cli, tmp_path):
    write(tmp_path / "people")
    done = cli("train", "grace", "--data", "people", "--out", "run", *QUICK)
    assert done.code == 0, done.err
    assert "24 to train" in done.err
    assert "in 2 classes" in done.err
    assert "node accuracy" in done.out
    return "run"


def test_a_folder_of_ones_own_from_training_to_the_report(cli, run, tmp_path):
    found = cli("evaluate", run, "--json")
    assert found.code == 0, found.err
    assert 0 <= found.json["metrics"]["node_accuracy"] <= 1
    found = cli("embed", run, "--out", "z.csv")
    assert found.code == 0, found.err
    with open("z.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [r["key"] for r in rows[:3]] == ["p0", "p1", "p2"]
    assert {r["label"] for r in rows} == {"even", "odd"}
    found = cli("search", run, "p3", "-k", "4", "--json")
    assert found.code == 0, found.err
    assert len(found.json["hits"]) == 4
    assert "p3" not in {hit["key"] for hit in found.json["hits"]}
    found = cli("report", run)
    assert found.code == 0, found.err
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000


def test_an_edge_list_alone(cli, tmp_path):
    (tmp_path / "g.txt").write_text("".join(f"{i} {(i + k) % 30}\n" for i in range(30) for k in (1, 2)))
    done = cli("train", "csgcl", "--data", "g.txt", "--out", "run", *QUICK)
    assert done.code == 0, done.err
    assert "effective rank" in done.out


def test_data_show_of_a_graph(cli, tmp_path):
    write(tmp_path / "people")
    found = cli("data", "show", "people", "--modality", "graph")
    assert found.code == 0, found.err
    assert "likewise train csgcl --data people" in found.out
    found = cli("data", "show", "karate", "--json")
    assert found.json["columns"] == {"graph": [156, 34]}
    assert found.json["classes"] == {"Mr. Hi": {"train": 17, "test": 0}, "Officer": {"train": 17, "test": 0}}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--data", "nowhere"), "no such file or data source 'nowhere'"),
        (("--data", "kerate"), "did you mean 'karate'"),
        (("--data", "g.csv"), "line 2: 3 cells, expected 2"),
        (("--data", "empty"), "has no edges.csv"),
        (("--data", "karate", "--set", "views.edge_drop=0.2"), "expected 2 values, comma-separated"),
        (("--data", "karate", "--set", "views.edge_drop=0.2,1.5"), "two probabilities"),
        (("--data", "karate", "--set", "encoder.depth=0"), "at least one layer"),
        (("--data", "karate", "--set", "temperature=0"), "temperature must be a number above 0"),
        (("--data", "digits"), "grace learns from a graph, and digits is none"),
    ],
)
def test_what_is_said_about_mistakes(cli, tmp_path, arguments, message):
    (tmp_path / "g.csv").write_text("a,b\nb,c,d\n")
    (tmp_path / "empty").mkdir()
    found = cli("train", "grace", "--out", "run", *QUICK, *arguments)
    assert found.code == 2, found.out + found.err
    assert message in found.err
    assert "Traceback" not in found.err
