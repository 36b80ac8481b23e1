"""Pictures with questions and answers on the command line, and what is refused in one line."""

import json

import numpy as np
import pytest
from PIL import Image

from likewise.core.errors import InputError
from likewise.core.registry import load
from likewise.data.resolve import from_object
from likewise.train.plan import prepare
from likewise.train.run import train

TINY = ["--size", "tiny", "--set", "steps=3", "--set", "probe_every=0", "--quiet"]
TURNS = [["what is it?", "a square"], ["which one?", "number {}"]]


@pytest.fixture
def album(tmp_path):
    """Sixteen pictures and a file about them, some turns as pairs and some by name."""
    rng = np.random.default_rng(0)
    lines = []
    for i in range(16):
        Image.fromarray(rng.integers(0, 255, (12, 12, 3), dtype=np.uint8)).save(tmp_path / f"{i:02d}.png")
        turns = [[q, a.format(i)] for q, a in TURNS]
        named = [{"question": q, "answer": a} for q, a in turns]
        lines.append(json.dumps({"image": f"{i:02d}.png", "turns": named if i % 2 else turns}))
    (tmp_path / "album.jsonl").write_text("\n".join(lines) + "\n\n")
    return tmp_path / "album.jsonl"


@pytest.mark.parametrize("slug", ["muco", "single-turn"])
def test_from_an_album_to_vectors_and_a_page(cli, album, tmp_path, slug):
    done = cli("train", slug, "--data", "album.jsonl", "--out", "runs/a", *TINY, "--json")
    assert done.code == 0, done.err
    assert {"turn_recall_1", "turn_recall_5", "turn_chance"} <= set(done.json["metrics"])
    for role in ("query", "target"):
        done = cli("embed", "runs/a", "--role", role, "--out", f"{role}.npz", "--json")
        assert done.code == 0, done.err
    with np.load(tmp_path / "query.npz") as held:
        assert held["vectors"].shape == (16, 16)
        assert held["keys"][3] == "03.png"
    assert cli("search", "runs/a", "03.png", "--role", "query", "--json").code == 0
    assert cli("evaluate", "runs/a", "--json").code == 0
    assert cli("report", "runs/a").code == 0


def test_both_stages_from_python(album, tmp_path):
    stages = load("muco").recipe("paper").stages
    assert [s.name for s in stages] == ["turns", "reconstruction"]
    plan = prepare(load("muco"), data=str(album), size="tiny", settings=[("steps", 2), ("probe_every", 0.0)])
    plan.recipe.stages = stages
    train(plan, tmp_path / "both", quiet=True)
    events = [json.loads(line) for line in (tmp_path / "both" / "events.jsonl").read_text().splitlines()]
    assert [e["stage"] for e in events if e["event"] == "stage"] == ["reconstruction"]
    assert events[-1]["event"] == "end"


def test_from_arrays():
    images = np.zeros((5, 8, 8, 3), np.uint8)
    data = from_object(
        {"image": images, "turns": [[("q", "a"), ("r", f"b {i}")] for i in range(5)]}, modality="dialogue"
    )
    assert data.known["turns"] == 2
    assert data.columns["answer"].ids.shape[:2] == (5, 2)
    with pytest.raises(InputError, match="5 pictures but turns of 1"):
        from_object({"image": images, "turns": [[("q", "a")]]}, modality="dialogue")
    with pytest.raises(InputError, match="are no dialogues"):
        from_object([1, 2], modality="dialogue")


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([], "no pictures"),
        (["{"], "line 1 is no JSON"),
        (['{"image": 3, "turns": []}'], "line 1: expected"),
        (['{"image": "a.png"}'], "line 1: expected"),
        (['{"image": "a.png", "turns": []}'], "no turns"),
        (['{"image": "a.png", "turns": [["q"]]}'], "turn 1 is no pair"),
        (['{"image": "a.png", "turns": [["q", " "]]}'], "empty question or answer"),
        (['{"image": "a.png", "turns": [["q", "a"]]}'] * 2, "comes twice"),
        (['{"image": "none.png", "turns": [["q", "a"]]}'], "none of the 1 pictures"),
    ],
)
def test_bad_files(cli, tmp_path, lines, says):
    (tmp_path / "bad.jsonl").write_text("\n".join(lines))
    done = cli("train", "muco", "--data", "bad.jsonl", *TINY)
    assert done.code == 2, done.err
    assert says in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_turns_that_differ_in_number(cli, album, tmp_path):
    with album.open("a") as file:
        file.write('{"image": "00.png ", "turns": [["q", "a"]]}\n')
    (tmp_path / "00.png ").write_bytes((tmp_path / "00.png").read_bytes())
    done = cli("train", "muco", "--data", "album.jsonl", *TINY)
    assert done.code == 2
    assert "has 1 turns, 00.png has 2" in done.err
    assert "no .jsonl file" in cli("train", "muco", "--data", "00.png", *TINY).err
