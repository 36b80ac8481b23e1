import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from likewise.core.errors import InputError
from likewise.data.table import table

Paint = Callable[..., Path]


@pytest.fixture
def pictures(paint: Paint, tmp_path: Path) -> Path:
    for i in range(4):
        paint(f"img/{i}.png")
    return tmp_path


def load(folder: Path, text: str, name: str = "t.csv", **settings: object):
    (folder / name).write_text(text, encoding="utf-8")
    return table(str(folder / name), image_size=8, **settings)


@pytest.mark.parametrize("column", ["path", "image", "File", "filename"])
def test_paths_relative_to_the_table(pictures: Path, column: str) -> None:
    data = load(pictures, f"{column}\nimg/2.png\n{pictures}/img/0.png\n")
    assert list(data.keys) == ["img/2.png", f"{pictures}/img/0.png"]
    assert data.labels is None
    assert data.columns["image"].shape == (2, 3, 8, 8)


def test_labels_and_splits(pictures: Path) -> None:
    rows = "\ufeffpath,class,split\nimg/3.png,dog,test\nimg/0.png,cat,train\nimg/1.png,dog,Train\nimg/2.png,cat,val\n"
    data = load(pictures, rows)
    assert data.classes == ["cat", "dog"]
    assert data.labels.tolist() == [1, 0, 1, 0]
    assert data.test.tolist() == [True, False, False, False]


@pytest.mark.parametrize(
    ("labels", "classes", "values"),
    [
        (["10", "9", "10", "9"], ["9", "10"], [1, 0, 1, 0]),
        (["0.5", "1", "2", "-1"], None, [0.5, 1, 2, -1]),
        (["1", "b", "1", "b"], ["1", "b"], [0, 1, 0, 1]),
    ],
)
def test_what_labels_are(pictures: Path, labels: list[str], classes: list[str] | None, values: list[float]) -> None:
    data = load(pictures, "path\tlabel\n" + "".join(f"img/{i}.png\t{v}\n" for i, v in enumerate(labels)), "t.tsv")
    assert data.classes == classes
    assert data.labels.tolist() == values


def test_what_cannot_be_read_keeps_the_rest_aligned(pictures: Path) -> None:
    (pictures / "img/1.png").write_text("not a picture")
    rows = "path,label\nimg/1.png,a\nimg/2.png,b\nabsent.png,c\nimg/3.png,d\nimg/2.png,e\n"
    data = load(pictures, rows)
    assert list(data.keys) == ["img/2.png", "img/3.png"]
    assert [data.classes[i] for i in data.labels] == ["b", "d"]
    reasons = dict(data.skipped)
    assert reasons == {
        "img/1.png": "not an image",
        "absent.png": "no such file",
        "img/2.png": "listed in row 1 already",
    }


def test_quoted_paths_with_commas(paint: Paint, tmp_path: Path) -> None:
    paint("a, b.png")
    paint("c.png")
    assert list(load(tmp_path, 'path,label\n"a, b.png",x\n\nc.png,"y, z"\n').keys) == ["a, b.png", "c.png"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("path\n", "no rows"),
        ("name,label\na.png,1\n", "no column named path.* it has name, label"),
        ("path,label\nimg/0.png,a\nimg/1.png,\n", "no label in row 1"),
        ("path,label\nimg/0.png,a\nimg/1.png\n", "row 1 has 1 cells, the header has 2"),
        ("path,label\n,a\n", "no path in row 0"),
        ("path,split\nimg/0.png,train\nimg/1.png,later\n", "split 'later' in row 1"),
        ("path\nabsent.png\n", r"none of the 1 pictures .* absent\.png: no such file"),
        ("path,label\nimg/0.png,nan\nimg/1.png,0.5\n", "label nan in row 0"),
    ],
)
def test_tables_that_cannot_be_used(pictures: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load(pictures, text)
    assert "\n" not in str(caught.value)


def test_not_a_table(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"\xff\xfe\x00\x00\xff")
    with pytest.raises(InputError, match="UTF-8"):
        table(str(tmp_path / "t.csv"))
    with pytest.raises(InputError, match="no file"):
        table(str(tmp_path / "absent.csv"))


def test_parquet(pictures: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pandas.DataFrame({"image": [f"img/{i}.png" for i in range(4)], "label": [3, 1, 3, 1]})
    frame.to_parquet(pictures / "t.parquet")
    data = table(str(pictures / "t.parquet"), image_size=8)
    same = load(pictures, frame.to_csv(index=False))
    assert torch.equal(data.columns["image"], same.columns["image"])
    assert (data.classes, data.labels.tolist()) == (same.classes, same.labels.tolist()) == (["1", "3"], [1, 0, 1, 0])
    (pictures / "t.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(InputError, match="not a whole Parquet file"):
        table(str(pictures / "t.parquet"))


def test_parquet_without_pandas(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (pictures / "t.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match=r"likewise\[tables\]"):
        table(str(pictures / "t.parquet"))
