"""Recommenders as a user would type it, with files of their own."""

import json

import numpy as np
import pytest

QUICK = ("--size", "tiny", "--set", "steps=4", "--quiet")
ITEMS = "movieId,title,genres\n" + "".join(f"{i},Film {i},{'drama|war' if i % 2 else 'comedy'}\n" for i in range(12))


@pytest.fixture
def ratings(tmp_path):
    """A file as MovieLens has it: twenty people, twelve films, a few low ratings."""
    rng = np.random.default_rng(0)
    lines = ["userId,movieId,rating,timestamp"]
    for user in range(100, 120):
        for time, film in enumerate(rng.permutation(12)[:8]):
            lines.append(f"{user},{film},{5 if time else 2.5},{978300000 + time}")
    (tmp_path / "ratings.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "ratings.csv"


def test_from_a_file_to_recommendations(cli, ratings, tmp_path):
    (tmp_path / "items.csv").write_text(ITEMS)
    for method in ("lightgcn", "mmhcl"):
        done = cli("train", method, "--data", "ratings.csv", "--out", f"runs/{method}", *QUICK)
        assert done.code == 0, done.err
        found = cli("recommend", f"runs/{method}", "105", "-k", "3", "--json").json
        assert len(found["hits"]) == 3
        assert all(hit["key"].startswith("Film ") for hit in found["hits"])
        cells = [line.split(",") for line in ratings.read_text().splitlines()]
        liked = {f"Film {item}" for user, item, rating, _ in cells if (user, rating) == ("105", "5")}
        assert len(liked) == 7
        assert not {hit["key"] for hit in found["hits"]} & liked
        plain = cli("recommend", f"runs/{method}", "105", "-k", "50")
        assert len(plain.out.splitlines()) == 12 - 7
    measured = cli("evaluate", "runs/mmhcl", "--json").json["metrics"]
    assert measured["ranked_users"] == 20
    assert 0 <= measured["top10_ndcg"] <= measured["top10_ndcg_found"] <= 1
    assert cli("search", "runs/mmhcl", "Film 3", "-k", "2").code == 0
    assert cli("embed", "runs/mmhcl", "--role", "user", "--out", "users.npz").code == 0
    with np.load("users.npz") as held:
        assert held["vectors"].shape == (20, 8)
        assert held["keys"][0] == "100"
    assert cli("report", "runs/mmhcl").code == 0
    shown = cli("data", "show", "ratings.csv", "--modality", "interactions")
    assert "to train" in shown.out
    assert json.loads((tmp_path / "runs/mmhcl/recipe.json").read_text())["facts"]["num_items"] == 12


@pytest.mark.parametrize(
    ("name", "text", "more", "says"),
    [
        ("a.csv", "", "", ("is empty",)),
        ("a.csv", "user,stars\n1,5\n", "", ("no column named item", "user, stars")),
        ("a.csv", "user,item\n1,2,3\n", "", ("row 0 has 3 cells, the header has 2",)),
        ("a.csv", "user,item,rating\n1,2,nan\n", "", ("rating 'nan' in row 0",)),
        ("a.csv", "user,item,rating\n1,2,three\n", "", ("rating 'three' in row 0",)),
        ("a.csv", "user,item,time\n1,2,soon\n", "", ("time 'soon' in row 0",)),
        ("a.csv", "user,item\n1,2\n,3\n", "", ("no user in row 1",)),
        ("a.csv", "user,item\n1,2\n1,3\n", "--set data.core=5", ("core=5 leaves nothing",)),
        ("a.csv", "user,item\n1,2\n1,3\n", "--set data.items=b.csv", ("no file 'b.csv'",)),
        ("a.csv", "user,item\n1,2\n1,3\n", "--set data.split=last", ("data.split='last'", "'time'")),
        ("a.csv", "user,item\n1,2\n1,3\n", "--set measure.ks=0", ("at least 1 item",)),
        ("a.parquet", "PAR1 cut off", "", ("a.parquet",)),
        ("a.csv", b"user,item\n\xff\xfe", "", ("UTF-8",)),
    ],
)
def test_bad_files(cli, tmp_path, name, text, more, says):
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    done = cli("train", "lightgcn", "--data", name, "--out", "run", *QUICK, *more.split())
    assert (done.code, len(done.err.splitlines())) == (2, 1), done.err
    assert all(piece in done.err for piece in says), done.err
    assert not (tmp_path / "run").exists()


def test_without_items_mmhcl_says_what_it_needs(cli, ratings):
    done = cli("train", "mmhcl", "--data", "ratings.csv", "--out", "run", *QUICK)
    assert done.code == 2
    assert "items.csv beside the interactions" in done.err
    assert cli("train", "mmhcl", "--data", "ratings.csv", *QUICK, "--set", "item_ratio=0").code == 0


def test_who_can_not_be_recommended_to(cli, ratings, run):
    assert cli("train", "lightgcn", "--data", "ratings.csv", "--out", "mine", *QUICK).code == 0
    for words, says in (
        (("mine", "1051"), "no user '1051' in"),
        (("mine", "105", "-k", "0"), "k=0"),
        (("nowhere", "105"), "no run folder at nowhere"),
        ((run, "105"), "has no users: recommendations need interactions"),
    ):
        done = cli("recommend", *words)
        assert (done.code, len(done.err.splitlines())) == (2, 1), done.err
        assert says in done.err
