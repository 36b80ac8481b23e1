"""Text generation as a user would type it, with a file of their own."""

import io
import json
import sys

import pytest

QUICK = ("--size", "tiny", "--set", "steps=3", "--quiet")
LINES = [
    f"The {a} of the {b} is {c}." for a in ("king", "queen", "son") for b in ("east", "west") for c in ("old", "wise")
]


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    path = tmp_path_factory.mktemp("book") / "book.txt"
    path.write_text("\n\n".join(LINES))
    return path


@pytest.fixture(scope="module")
def run(book):
    from likewise.cli import main

    folder = book.parent / "run"
    assert main(["train", "simctg", "--data", str(book), "--out", str(folder), *QUICK]) == 0
    return folder


def test_from_a_file_to_text(cli, run, book):
    done = cli("decode", "contrastive-search", "--run", run, "--prompt", "The king", "-n", "6", "--set", "k=3")
    assert done.code == 0, done.err
    assert done.out.startswith("The king")
    found = cli("decode", "nucleus", "--run", run, "--prompt", "The king", "--prompt", "A son", "--json").json
    assert [text["prompt"] for text in found["texts"]] == ["The king", "A son"]
    again = cli("decode", "nucleus", "--run", run, "--prompt", "The king", "--prompt", "A son", "--json").json
    assert found == again
    other = cli("decode", "nucleus", "--run", run, "--prompt", "The king", "--prompt", "A son", "--seed", "1", "--json")
    assert found["texts"] != other.json["texts"]


def test_the_prompt_comes_from_stdin(cli, run, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("The queen\n"))
    from_stdin = cli("decode", "greedy", "--run", run, "-n", "4")
    given = cli("decode", "greedy", "--run", run, "--prompt", "The queen", "-n", "4")
    assert from_stdin.out == given.out


def test_the_data_may_be_gone(cli, run, book, tmp_path):
    held = book.read_text()
    book.unlink()
    try:
        assert cli("decode", "greedy", "--run", run, "--prompt", "The", "-n", "2").code == 0
    finally:
        book.write_text(held)


def test_the_other_verbs_work_on_text(cli, run, book):
    found = cli("evaluate", run, "--json").json["metrics"]
    assert {"perplexity", "isotropy", "diversity_greedy", "coherence_contrastive_search"} <= set(found)
    assert cli("embed", run, book, "--out", "vectors.npz").code == 0
    hits = cli("search", run, "The wise king of the west", "-k", "2", "--json").json["hits"]
    assert len(hits) == 2
    assert cli("report", run).code == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("greedy",), "--run RUN"),
        (("greedy", "--run", "{run}", "--model", "x"), "one of them"),
        (("greedyy", "--run", "{run}", "--prompt", "a"), "did you mean 'greedy'"),
        (("gpt", "--run", "{run}", "--prompt", "a"), "gpt is a learner, not a decoder"),
        (("top-k", "--run", "{run}", "--prompt", "a", "--set", "k=many"), "expected a whole number"),
        (("top-k", "--run", "{run}", "--prompt", "a", "--set", "kk=3"), "has no setting 'kk'"),
        (("greedy", "--run", "{run}", "--prompt", "a", "-n", "0"), "at least 1"),
        (("greedy", "--run", "nowhere", "--prompt", "a"), "no run folder at nowhere"),
        (("greedy", "--model", "nowhere", "--prompt", "a"), "no folder at 'nowhere'"),
    ],
)
def test_what_can_not_be_decoded(cli, run, words, says):
    done = cli("decode", *(w.replace("{run}", str(run)) for w in words))
    assert done.code == 2
    assert says in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_a_decoder_is_not_trained_and_a_picture_run_does_not_write(cli, run):
    done = cli("train", "greedy")
    assert (done.code, "likewise decode" in done.err) == (2, True)


def test_a_study_from_runs_to_a_page(cli, book, tmp_path):
    words = ("study", "isotropy", "--data", book, "--seeds", "1", "--size", "tiny", "--set", "margins=0.5")
    done = cli(*words, "--set", "steps=2", "--out", "st", "--json")
    assert done.code == 0, done.err
    found = json.loads((tmp_path / "st" / "finding.json").read_text())
    assert {(row["margin"], row["of"]) for row in found["rows"]} >= {(0.0, "model"), (0.5, "contrastive-search")}
    assert len(found["runs"]) == 2
    assert "Likelihood alone: isotropy" in (tmp_path / "st" / "study.html").read_text()
    before = [(tmp_path / "st" / run / "metrics.json").stat().st_mtime_ns for run in found["runs"]]
    again = cli(*words, "--set", "steps=2", "--out", "st")
    assert again.code == 0, again.err
    assert [(tmp_path / "st" / run / "metrics.json").stat().st_mtime_ns for run in found["runs"]] == before
    for wrong, says in (("nothing=1", "no setting 'nothing'"), ("margins=-1", "margins=(-1.0,)")):
        done = cli("study", "isotropy", "--set", wrong)
        assert (done.code, says in done.err) == (2, True), done.err
    assert "not a study" in cli("study", "greedy").err
