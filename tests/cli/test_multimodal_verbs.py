"""Several modalities on the command line: folders, tables, lines and arrays, and what is refused in one line."""

import itertools
import json

import numpy as np
import pytest
from PIL import Image

from likewise.core.errors import InputError
from likewise.core.tokens import pieces_of
from likewise.data.resolve import from_object

TINY = ["--size", "tiny", "--set", "steps=3", "--set", "probe_every=0", "--quiet"]
COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220)}


def picture(path, name, seed):
    rng = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.clip(rng.normal(COLOURS[name], 20, (12, 12, 3)), 0, 255)
    Image.fromarray(values.astype(np.uint8)).save(path)


@pytest.fixture
def animals(tmp_path):
    """Twenty-four samples as a folder per modality."""
    for i in range(24):
        name = list(COLOURS)[i % 3]
        picture(tmp_path / "animals" / "photo" / f"{i:02d}.png", name, i)
        for folder in ("caption", "sensor"):
            (tmp_path / "animals" / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / "animals" / "caption" / f"{i:02d}.txt").write_text(f"a {name} square, number {i}")
        np.save(tmp_path / "animals" / "sensor" / f"{i:02d}.npy", np.array([i % 3, i / 24.0, 1.0]))
    return tmp_path / "animals"


@pytest.mark.parametrize("slug", ["symile", "pairwise-clip"])
def test_from_folders_to_vectors_and_a_page(cli, animals, tmp_path, slug):
    (animals / "photo" / "spare.png").write_bytes(b"")  # no caption of that name: no sample
    done = cli("train", slug, "--data", "animals", "--out", "runs/a", *TINY, "--json")
    assert done.code == 0, done.err
    metrics = done.json["metrics"]
    assert {"retrieval", "retrieval_third", "pair_recall_5", "retrieval_chance"} <= set(metrics)
    assert "retrieval" in metrics["untrained"]
    recipe = json.loads((tmp_path / "runs" / "a" / "recipe.json").read_text())
    assert recipe["facts"]["modalities"] == ["caption=text:4096", "photo=image:3x32x32", "sensor=vector:3"]
    for role in ("caption", "photo", "sensor"):
        done = cli("embed", "runs/a", "--role", role, "--out", f"{role}.npz", "--json")
        assert done.code == 0, done.err
    with np.load(tmp_path / "photo.npz") as held:
        assert held["vectors"].shape == (24, 8)
        assert held["keys"][0] == "00"
    done = cli("search", "runs/a", "03", "--role", "photo", "--json", "-k", "2")
    assert done.code == 0, done.err
    assert len(done.json["hits"]) == 2
    # one modality alone, of new samples, in another kind of file
    (tmp_path / "more.csv").write_text("caption\na red square\nsomething green\n")
    done = cli("embed", "runs/a", "more.csv", "--role", "caption", "--out", "more.npz", "--json")
    assert done.code == 0, done.err
    assert done.json["rows"] == 2
    assert cli("evaluate", "runs/a", "--json").code == 0
    assert cli("report", "runs/a").code == 0


def test_a_missing_modality_is_searched_for_from_the_others(cli, animals, tmp_path):
    for slug in ("symile", "pairwise-clip"):
        assert cli("train", slug, "--data", "animals", "--out", f"runs/{slug}", *TINY).code == 0
    (tmp_path / "both.jsonl").write_text('{"caption": "a red square", "sensor": [0, 0.1, 1]}\n')
    (tmp_path / "one.jsonl").write_text('{"caption": "a red square"}\n')
    (tmp_path / "none.jsonl").write_text('{"smell": "of roses"}\n')
    found = {}
    for slug, file in itertools.product(("symile", "pairwise-clip"), ("both", "one", "none")):
        found[slug, file] = cli("search", f"runs/{slug}", f"{file}.jsonl", "--role", "photo", "--json", "-k", "3")
    for key in (("symile", "both"), ("pairwise-clip", "both"), ("pairwise-clip", "one")):
        assert found[key].code == 0, found[key].err
        assert len(found[key].json["hits"]) == 3
    assert "from all 2 others, 1 given" in found["symile", "one"].err
    assert "none of the run's modalities" in found["symile", "none"].err
    assert "did you mean 'photo'" in cli("search", "runs/symile", "both.jsonl", "--role", "foto").err


def test_the_same_text_alone_is_embedded_alike(cli, animals, tmp_path):
    assert cli("train", "symile", "--data", "animals", "--out", "runs/a", *TINY).code == 0
    for name, rows in (("one", ["a red square"]), ("two", ["a red square", "a very long and quite different text"])):
        (tmp_path / f"{name}.csv").write_text("\n".join(["caption", *rows]) + "\n")
        assert cli("embed", "runs/a", f"{name}.csv", "--out", f"{name}.npz").code == 0
    with np.load(tmp_path / "one.npz") as one, np.load(tmp_path / "two.npz") as two:
        assert np.allclose(one["vectors"][0], two["vectors"][0], atol=1e-6)


def test_tables_lines_and_arrays_hold_the_same(animals):
    told = from_object(str(animals), modality="multimodal")
    rows = [
        {"photo": f"photo/{i:02d}.png", "caption": f"a {list(COLOURS)[i % 3]} square, number {i}",
         "sensor": [i % 3, i / 24.0, 1.0], "key": f"{i:02d}"}
        for i in range(24)
    ]  # fmt: skip
    (animals / "all.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    lines = [f'{r["key"]},{r["photo"]},"{r["caption"]}",sensor/{r["key"]}.npy' for r in rows]
    (animals / "all.csv").write_text("\n".join(["key,photo,caption,sensor", *lines]) + "\n")
    for file in ("all.jsonl", "all.csv"):
        found = from_object(str(animals / file), modality="multimodal")
        assert list(found.keys) == list(told.keys)
        assert sorted(found.known["modalities"]) == sorted(told.known["modalities"])
        assert (found.columns["photo"] == told.columns["photo"]).all()
        assert (found.columns["caption"].ids == told.columns["caption"].ids).all()
        assert np.allclose(found.columns["sensor"], told.columns["sensor"])
        assert (found.test == told.test).all()
    np.savez(
        animals / "all.npz", image=np.zeros((5, 8, 8), np.uint8), words=np.array(list("abcde")), label=np.arange(5)
    )
    found = from_object(str(animals / "all.npz"), modality="multimodal")
    assert found.known["modalities"] == ("image=image:1x8x8", "words=text:4096")
    assert found.labels.tolist() == [0, 1, 2, 3, 4]


def test_vectors_are_standardised_by_the_training_part():
    from likewise.core.draws import Draws
    from likewise.views.multimodal import Modalities

    values = np.random.default_rng(0).normal(5, 3, (50, 2))
    data = from_object(
        {"a": values, "split": ["train"] * 40 + ["test"] * 10, "b": np.arange(50)}, modality="multimodal"
    )
    views = Modalities(**data.known)
    train = views.plain(data.take(data.train_rows))
    assert np.allclose(train["a"].mean(0), 0, atol=1e-5)
    assert np.allclose(train["b"].std(0, correction=0), 1, atol=1e-5)
    assert views.plain({"b": data.columns["b"]}).keys() == {"b"}
    with pytest.raises(InputError, match="no modality 'a'"):
        views({"b": data.columns["b"]}, Draws(0, 0, data.train_rows))


def test_tokens_need_no_vocabulary():
    one, two = pieces_of(["red Fox"]), pieces_of(["a much longer text about a red fox", "red fox", ""])
    assert one.ids[0].tolist() == two.ids[1][two.mask[1]].tolist()
    assert not two.mask[2].any()
    assert one.ids.max() < 4096


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is empty"),
        ("a,b\n", "no rows"),
        ("a,b\n1,x\n2,\n", "nothing in row 1"),
        ("a,b\n1,x\n2\n", "row 1 has 1 cells"),
        ("a,b\nnan,x\n1,y\n", "no finite number"),
        ("a,b\nx.png,1\ny.png,2\n", "none of the 2 pictures"),
        ("a,b\nx.npy,1\ny.npy,2\n", "no file"),
        ("a,b\nx.txt,1\ny.txt,2\n", "can't be read as text"),
        ("label\n1\n", "no column that could be a modality"),
        ("key,a\nx,1\nx,2\n", "'x' comes twice"),
    ],
)
def test_bad_tables(cli, tmp_path, content, says):
    (tmp_path / "bad.csv").write_text(content)
    done = cli("train", "symile", "--data", "bad.csv", *TINY)
    assert done.code == 2, done.err
    assert says in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_bad_objects_and_folders(cli, tmp_path, animals):
    for data, says in [
        ([1, 2], "have no modalities"),
        ({"a": [[1, 2], [3]], "b": [1, 2]}, "row 1 has shape"),
        ({"a": ["x", 3], "b": [1, 2]}, "mixed"),
        ({"a": [1, 2], "b": [1]}, "differ in length"),
        ({"a": [{}, {}], "b": [1, 2]}, "no vectors"),
    ]:
        with pytest.raises(InputError, match=says):
            from_object(data, modality="multimodal")
    (tmp_path / "empty").mkdir()
    assert "no folders with files" in cli("train", "symile", "--data", "empty", *TINY).err
    (animals / "odd").mkdir()
    (animals / "odd" / "x.png").write_bytes(b"")
    assert "no name is in all of" in cli("train", "symile", "--data", "animals", *TINY).err
    for name, text in (("a.jsonl", '{"a": 1}\n{"b": 1}\n'), ("b.jsonl", "{\n"), ("c.jsonl", "\n"), ("d.xyz", "x")):
        (tmp_path / name).write_text(text)
        done = cli("train", "symile", "--data", name, *TINY)
        assert done.code == 2, done.err
    (tmp_path / "one.csv").write_text("a\n" + "\n".join(map(str, range(40))) + "\n")
    done = cli("train", "symile", "--data", "one.csv", "--out", "runs/one", *TINY)
    assert done.code == 2
    assert "modalities needs two" in done.err
