"""Whatever is given wrongly: exactly one clear line on stderr, exit status 2, nothing written before is lost.

Each row is a command line in an empty folder; ``{run}`` is a finished run, ``{photos}`` a folder of pictures. ``setup``
prepares the folder, ``says`` are pieces of the line.
"""

import hashlib
import json
import pickle
import resource
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from likewise.train import checkpoint


def nothing(here: Path, run: Path) -> None:
    """No preparation."""


@dataclass(frozen=True)
class Row:
    id: str
    command: str
    says: tuple[str, ...]
    setup: Callable[[Path, Path], None] = nothing
    largest_file: int | None = None
    """Bytes; a larger file can't be written, as on a full disk."""


def saved(name: str, **arrays: object) -> Callable[[Path, Path], None]:
    def setup(here: Path, run: Path) -> None:
        if name.endswith(".npy"):
            np.save(here / name, arrays["x"])  # type: ignore[arg-type]
        else:
            np.savez(here / name, **arrays)  # type: ignore[arg-type]

    return setup


def text(name: str, content: str | bytes) -> Callable[[Path, Path], None]:
    def setup(here: Path, run: Path) -> None:
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return setup


def pictures(*names: str) -> Callable[[Path, Path], None]:
    def setup(here: Path, run: Path) -> None:
        for i, name in enumerate(names):
            (here / name).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (16, 16), (40 * i, 90, 200)).save(here / name)

    return setup


def damaged(name: str, change: Callable[[str], str | bytes]) -> Callable[[Path, Path], None]:
    """Every file of the run that fits ``name``, with other content."""

    def setup(here: Path, run: Path) -> None:
        for path in run.glob(name):
            changed = change(path.read_text(errors="replace"))
            path.write_bytes(changed if isinstance(changed, bytes) else changed.encode())

    return setup


def pickled_checkpoint(here: Path, run: Path) -> None:
    # with the right checksum, so that only its content is wrong
    for path in run.glob("checkpoints/*.safetensors"):
        path.write_bytes(pickle.dumps({"learner": print}))
        facts = path.with_suffix(".json")
        held = json.loads(facts.read_text())
        facts.write_text(json.dumps({**held, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}))


def foreign_checkpoint(here: Path, run: Path) -> None:
    checkpoint.save(run / "checkpoints", 99, {"learner": {"transformer.weight": torch.zeros(3)}})


def no_checkpoint(here: Path, run: Path) -> None:
    for path in run.glob("checkpoints/*"):
        path.unlink()


def other_method(recipe: str) -> str:
    return json.dumps({**json.loads(recipe), "method": "dlc"})


def other_part(recipe: str) -> str:
    return recipe.replace('"convnet"', '"resnet1800"')


def folder(*names: str) -> Callable[[Path, Path], None]:
    def setup(here: Path, run: Path) -> None:
        for name in names:
            (here / name).mkdir(parents=True)

    return setup


def old_vectors(here: Path, run: Path) -> None:
    np.savez(here / "x.npz", vectors=np.ones(3))


RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 255, (6, 16, 16, 3), dtype=np.uint8)
INTEGERS = BYTES.astype(int) * 9
MONO = [f"mono/red/{i}.png" for i in range(8)]
NAN = np.where(np.arange(6)[:, None, None] == 4, np.nan, 0.5) * np.ones((6, 16, 16))
TRAIN = "train dcl --size tiny --set steps=1 --data"
METHOD_FILE = "from likewise.core.learner import Learner\n"

ROWS = [
    # data
    Row("missing-path", f"{TRAIN} nowhere/photos", ("no such file or data source 'nowhere/photos'",)),
    Row("source-misspelled", f"{TRAIN} digitz", ("'digitz'", "did you mean 'digits'?")),
    Row("empty-folder", f"{TRAIN} empty", ("no images in", "it is empty"), folder("empty")),
    Row("folder-without-images", f"{TRAIN} notes", ("no images in", "1 .txt"), text("notes/a.txt", "hello")),
    Row("every-image-unreadable", f"{TRAIN} bad", ("bad",), text("bad/a.png", b"\x89PNG\r\n\x1a\nnothing")),
    Row("text-file-as-image", f"{TRAIN} bad", ("bad",), text("bad/a.jpg", "this is a letter")),
    Row("one-image", f"{TRAIN} one", ("1 training sample", "at least 2"), pictures("one/a.png")),
    Row(
        "one-class",
        "train supcon --size tiny --data mono",
        ("supcon learns from labels", "has none"),
        pictures(*MONO),
    ),
    Row("labels-missing", "train supcon --size tiny --data x.npy", ("learns from labels",), saved("x.npy", x=BYTES)),
    Row("nan-array", f"{TRAIN} x.npy", ("nan in image 4",), saved("x.npy", x=NAN)),
    Row("floats-out-of-range", f"{TRAIN} x.npy", ("floats must lie in 0..1",), saved("x.npy", x=BYTES * 1.0)),
    Row(
        "integers-out-of-range",
        f"{TRAIN} x.npy",
        ("integers must lie in 0..255",),
        saved("x.npy", x=INTEGERS),
    ),
    Row("wrong-dtype", f"{TRAIN} x.npy", ("values of type", "uint8 or floats"), saved("x.npy", x=BYTES.astype("U3"))),
    Row("wrong-shape", f"{TRAIN} x.npy", ("shape (6, 16)",), saved("x.npy", x=np.zeros((6, 16)))),
    Row("not-square", f"{TRAIN} x.npy", ("16x9", "not square", "image_size"), saved("x.npy", x=BYTES[:, :, :9])),
    Row("four-channels", f"{TRAIN} x.npy", ("4 channels",), saved("x.npy", x=np.zeros((6, 16, 16, 4), np.uint8))),
    Row("pickled-objects", f"{TRAIN} x.npz", ("Python objects",), saved("x.npz", images=np.array([{}, 1], object))),
    Row("npz-without-images", f"{TRAIN} x.npz", ("no array named images", "weights"), saved("x.npz", weights=BYTES)),
    Row("npz-truncated", f"{TRAIN} x.npz", ("not a whole NumPy file",), text("x.npz", b"PK\x03\x04 cut off")),
    Row("labels-too-few", f"{TRAIN} x.npz", ("6 images but 2 labels",), saved("x.npz", images=BYTES, labels=[0, 1])),
    Row("csv-without-paths", f"{TRAIN} x.csv", ("no column named path", "a, b"), text("x.csv", "a,b\n1,2\n")),
    Row("csv-empty", f"{TRAIN} x.csv", ("x.csv", "is empty"), text("x.csv", "")),
    Row("csv-row-too-short", f"{TRAIN} x.csv", ("row 0 has 1 cells",), text("x.csv", "path,label\na.png\n")),
    Row("csv-not-text", f"{TRAIN} x.csv", ("UTF-8",), text("x.csv", b"path\n\xff\xfe\x00")),
    Row(
        "csv-lists-nothing-readable",
        f"{TRAIN} x.csv",
        ("none of the 2 pictures",),
        text("x.csv", "path\na.png\nb.png"),
    ),
    Row("parquet-broken", f"{TRAIN} x.parquet", ("x.parquet",), text("x.parquet", "PAR1 cut off")),
    Row("unknown-kind-of-file", f"{TRAIN} film.mp4", ("unknown kind",), text("film.mp4", "x")),
    Row("image-size-0", f"{TRAIN} {{photos}} --set data.image_size=0", ("image_size",)),
    Row("test-share-2", f"{TRAIN} {{photos}} --set data.test_share=2", ("test_share=2",)),
    Row("data-to-show-missing", "data show nowhere", ("no such file or data source 'nowhere'",)),
    Row("data-to-get-unknown", "data get mnists", ("'mnists'", "did you mean", "'mnist'")),
    # methods and settings
    Row("unknown-method", f"{TRAIN.replace('dcl', 'simcrl')} digits", ("'simcrl'", "did you mean 'simclr'")),
    Row("no-method", "train --data digits", ("which method?",)),
    Row("unknown-verb", "trian dcl", ("unknown verb 'trian'", "did you mean 'train'")),
    Row("unknown-option", "train dcl --epoch 3", ("--epoch", "likewise train --help")),
    Row("option-not-a-number", "train dcl --epochs many", ("--epochs", "number")),
    Row("unknown-size", "train dcl --data digits --size smal", ("size 'smal'", "did you mean 'small'?")),
    Row("unknown-setting", f"{TRAIN} digits --set temprature=1", ("'temprature'", "did you mean 'temperature'")),
    Row("unknown-inner-setting", f"{TRAIN} digits --set learner.encoder.dims=1", ("'dims'", "did you mean 'dim'?")),
    Row("wrong-type", f"{TRAIN} digits --set learner.dim=wide", ("learner.dim='wide'", "a whole number")),
    Row("set-without-value", f"{TRAIN} digits --set temperature", ("--set temperature", "PATH=VALUE")),
    Row("set-with-empty-value", f"{TRAIN} digits --set temperature=", ("PATH=VALUE",)),
    Row("set-inside-a-number", f"{TRAIN} digits --set batch.size=3", ("'batch' has no parts",)),
    Row("unknown-encoder", f"{TRAIN} digits --set learner.encoder=resnet19", ("'resnet19'", "did you mean 'resnet18'")),
    Row("temperature-0", f"{TRAIN} digits --set temperature=0", ("temperature must be a number above 0",)),
    Row("temperature-nan", f"{TRAIN} digits --set temperature=nan", ("temperature must be a number above 0",)),
    Row("views-impossible", f"{TRAIN} digits --set views.min_scale=2", ("scale is 2",)),
    Row("batch-0", f"{TRAIN} digits --batch 0", ("batch=0", "at least 1")),
    Row("batch-1", f"{TRAIN} digits --batch 1", ("batch=1", "dcl needs at least 2 samples")),
    Row(
        "epochs-negative", "train dcl --size tiny --data digits --set steps=none --epochs -3", ("epochs=-3", "above 0")
    ),
    Row("precision-unknown", f"{TRAIN} digits --precision 8", ("precision='8'", "'bf16-mixed'")),
    Row("devices-0", f"{TRAIN} digits --devices 0", ("devices=0", "at least 1")),
    Row("method-file-missing", "train mine.py:Mine --data digits", ("no Python file at 'mine.py'",)),
    Row("method-file-broken", "train mine.py:Mine --data digits", ("mine.py:2",), text("mine.py", "x = 1\ndef :\n")),
    Row("class-missing", "check mine.py:Mine", ("no method class 'Mine'",), text("mine.py", METHOD_FILE)),
    Row("module-missing", "check no_such_module:Mine", ("no module 'no_such_module'",)),
    Row("show-unknown", "show dlc", ("'dlc'", "did you mean 'dcl'")),
    Row("show-unknown-size", "show dcl --settings huge", ("size 'huge'",)),
    Row("modality-unknown", "methods --modality images", ("'images'", "did you mean 'image'")),
    Row("word-on-no-card", "methods zzz", ("'zzz'",)),
    Row("new-bad-name", "new My_Method", ("'My_Method'", "small letters")),
    Row("new-name-taken", "new dcl", ("there is a method 'dcl' already",)),
    Row("new-file-there", "new mine", ("mine.py exists already",), text("mine.py", "precious")),
    Row("new-like-unknown", "new mine --like dlc", ("'dlc'", "did you mean 'dcl'")),
    # run folders
    Row("run-there-already", "train dcl --size tiny --data digits --out {run}", ("--resume", "another --out")),
    Row("out-is-a-file", f"{TRAIN} digits --out x", ("x is a file",), text("x", "precious")),
    Row("out-below-a-file", f"{TRAIN} digits --out x/run", ("x/run",), text("x", "precious")),
    Row("out-not-empty", f"{TRAIN} digits --out x", ("not empty and holds no run",), text("x/thesis.tex", "precious")),
    Row("read-only-folder", f"{TRAIN} digits --out /proc/likewise", ("/proc/likewise", "can't be written")),
    Row("resume-without-out", "train dcl --resume", ("--resume needs --out",)),
    Row("resume-without-run", "train --out nowhere --resume", ("nowhere is not a run folder",)),
    Row("resume-other-settings", f"{TRAIN} digits --out {{run}} --resume", ("holds a run with other settings",)),
    Row("resume-with-data-alone", "train --data digits --out {run} --resume", ("its own data",)),
    Row("no-run-folder", "embed nowhere digits --out x.npz", ("no run folder at nowhere",)),
    Row("not-a-run-folder", "evaluate {photos}", ("is not a run folder",)),
    Row("report-on-empty-folder", "report x", ("x is not a run folder",), folder("x")),
    Row("recipe-corrupted", "evaluate {run}", ("recipe.json is damaged",), damaged("recipe.json", lambda s: s[:99])),
    Row("recipe-of-unknown-method", "evaluate {run}", ("'dlc'", "'dcl'"), damaged("recipe.json", other_method)),
    Row("recipe-with-unknown-part", "evaluate {run}", ("'resnet1800'",), damaged("recipe.json", other_part)),
    Row("checkpoint-truncated", "evaluate {run}", ("checksum",), damaged("**/*.safetensors", lambda s: s[:50])),
    Row("checkpoint-state-damaged", "evaluate {run}", ("damaged",), damaged("checkpoints/*.json", lambda s: s[:50])),
    Row("checkpoint-is-a-pickle", "evaluate {run}", ("can't be read",), pickled_checkpoint),
    Row("checkpoint-of-another-model", "evaluate {run}", ("another model's weights",), foreign_checkpoint),
    Row("checkpoint-missing", "evaluate {run}", ("no checkpoint yet",), no_checkpoint),
    Row("checkpoint-too-large-for-disk", f"{TRAIN} digits", ("checkpoint of step", "written"), largest_file=30_000),
    # using a run
    Row("embed-unknown-suffix", "embed {run} digits --out x.xlsx", ("'x.xlsx'", ".npz or .parquet or .csv")),
    Row("embed-file-there", "embed {run} digits --out x.npz", ("exists already", "--force"), old_vectors),
    Row("embed-into-a-folder", "embed {run} digits --out x.npz --force", ("x.npz",), folder("x.npz/full")),
    Row("embed-batch-0", "embed {run} digits --out x.npz --batch 0", ("--batch",)),
    Row("embed-no-data", "embed {run} nowhere --out x.npz", ("'nowhere'",)),
    Row("disk-full", "embed {run} digits --out x.npz --force", ("can't write x.npz",), old_vectors, 20_000),
    Row("query-missing", "search {run} nowhere.png", ("no file at 'nowhere.png'",)),
    Row("query-is-text", "search {run} a.png", ("a.png",), text("a.png", "this is a letter")),
    Row("k-0", "search {run} {photos}/red/000.png -k 0", ("k=0", "at least 1")),
    Row("index-missing", "search {run} {photos}/red/000.png --index nowhere", ("'nowhere'",)),
    Row(
        "index-with-other-channels",
        "search {run} {photos}/red/000.png --index x.npy",
        ("4 channels",),
        saved("x.npy", x=np.zeros((6, 16, 16, 4), np.uint8)),
    ),
    Row("metric-unknown", "evaluate {run} --what knnn", ("'knnn'", "did you mean 'knn'")),
    Row("runs-no-folder", "runs nowhere", ("no folder nowhere",)),
    Row("filter-bad", "runs runs --filter knn", ("--filter knn", "method=dcl")),
    Row("filter-unknown", "runs runs --filter kn>0.5", ("'kn'", "did you mean 'knn'")),
    Row("filter-not-a-number", "runs runs --filter knn>good", ("'good' is not a number",)),
    Row("sort-unknown", "runs runs --sort speed", ("--sort speed",)),
    Row("compare-one-method", "compare dcl --data digits", ("at least two different methods",)),
    Row("compare-one-method-twice", "compare dcl dcl --data digits", ("at least two different methods",)),
    Row("compare-no-seeds", "compare dcl simclr --data digits --seeds 0", ("at least one seed",)),
    Row("compare-unknown-metric", "compare dcl simclr --data digits --metric acc", ("'acc'",)),
    Row("compare-unknown-method", "compare dcl simcrl --data digits", ("'simcrl'",)),
    Row("claim-without-claim", "claim simclr", ("simclr has no claim",)),
]


def contents(folder: Path) -> dict[str, str]:
    files = [p for p in folder.rglob("*") if p.is_file()]
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_one_clear_line_and_nothing_lost(row, cli, run, photos, tmp_path):
    row.setup(tmp_path, run)
    before = contents(tmp_path)
    held = resource.getrlimit(resource.RLIMIT_FSIZE)
    if row.largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (row.largest_file, held[1]))
    try:
        result = cli(*(word.format(run=run, photos=photos) for word in row.command.split()))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, held)
    lines = [line for line in result.err.splitlines() if not line.startswith(("images ", "method ", "epoch "))]
    assert (result.code, result.out, len(lines)) == (2, "", 1), (result.code, result.out, result.err)
    assert lines[0].startswith("likewise: error: ")
    assert len(lines[0]) < 500
    for piece in row.says:
        assert piece in lines[0]
    after = contents(tmp_path)
    assert {name: after.get(name) for name in before} == before
    if row.largest_file is None:
        assert set(after) == set(before), "a command that was refused left files behind"


def test_the_table_is_as_large_as_promised():
    ids = [row.id for row in ROWS]
    assert len(ids) == len(set(ids)) >= 40
