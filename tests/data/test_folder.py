import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from likewise.core.errors import InputError
from likewise.data.folder import image_folder

Paint = Callable[..., Path]


def load(folder: Path, **settings: object):
    return image_folder(str(folder), image_size=16, **settings)


def test_class_folders(paint: Paint, tmp_path: Path) -> None:
    for name in ("dog/b.png", "cat/2.JPG", "cat/deep/er/1.webp", "dog/a.png"):
        paint(name)
    data = load(tmp_path)
    assert list(data.keys) == ["cat/2.JPG", "cat/deep/er/1.webp", "dog/a.png", "dog/b.png"]
    assert data.classes == ["cat", "dog"]
    assert data.labels.tolist() == [0, 0, 1, 1]
    assert data.columns["image"].shape == (4, 3, 16, 16)
    assert data.facts() == {"num_samples": int((~data.test).sum()), "channels": 3, "image_size": 16, "num_classes": 2}
    assert data.root == str(tmp_path)


@pytest.mark.parametrize("names", [["a.png", "b.png", "c.png"], ["only/a.png", "only/b.png"]])
def test_no_labels_without_two_class_folders(paint: Paint, tmp_path: Path, names: list[str]) -> None:
    for name in names:
        paint(name)
    data = load(tmp_path)
    assert data.labels is None
    assert data.classes is None
    assert list(data.keys) == names


def test_a_stray_picture_does_not_cost_the_labels(paint: Paint, tmp_path: Path) -> None:
    for name in ("cover.png", "cat/1.png", "cat/2.png", "dog/1.png"):
        paint(name)
    data = load(tmp_path)
    assert data.classes == ["cat", "dog"]
    assert list(data.skipped) == [("cover.png", "lies beside the class folders")]
    for i in range(5):
        paint(f"loose{i}.png")
    data = load(tmp_path)
    assert data.labels is None
    assert len(data) == 9


def test_split_folders(paint: Paint, tmp_path: Path) -> None:
    for name in ("Train/cat/1.png", "Train/dog/1.png", "test/cat/2.png", "test/dog/2.png"):
        paint(name)
    data = load(tmp_path)
    assert data.classes == ["cat", "dog"]
    assert dict(zip(data.keys, data.test.tolist())) == {
        "Train/cat/1.png": False,
        "Train/dog/1.png": False,
        "test/cat/2.png": True,
        "test/dog/2.png": True,
    }
    paint("val/cat/3.png")
    assert not load(tmp_path).test[list(load(tmp_path).keys).index("val/cat/3.png")]


def test_validation_is_held_out_where_there_is_no_test_folder(paint: Paint, tmp_path: Path) -> None:
    for name in ("train/1.png", "train/2.png", "val/3.png"):
        paint(name)
    data = load(tmp_path)
    assert data.test.tolist() == [False, False, True]
    assert data.labels is None


def test_classes_named_like_splits_are_classes(paint: Paint, tmp_path: Path) -> None:
    for name in ("train/1.png", "test/1.png", "bus/1.png"):
        paint(name)
    assert load(tmp_path).classes == ["bus", "test", "train"]


def test_what_is_not_read(paint: Paint, tmp_path: Path) -> None:
    paint("good.png")
    paint(".hidden.png")
    paint(".thumbnails/1.png")
    paint("__MACOSX/1.png")
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "phone.HEIC").write_bytes(b"x")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("not a picture")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    data = load(tmp_path)
    assert list(data.keys) == ["good.png"]
    reasons = dict(data.skipped)
    assert set(reasons) == {"phone.HEIC", "empty.png", "text.jpg", "gone.png"}
    assert reasons["empty.png"] == "empty file"
    assert reasons["text.jpg"] == "not an image"
    assert reasons["gone.png"] == "broken link"
    assert "PNG or JPEG" in reasons["phone.HEIC"]


def test_links_are_followed_and_loops_end(paint: Paint, tmp_path: Path) -> None:
    paint("a/1.png")
    paint("b/2.png")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "b" / "self").symlink_to(tmp_path / "b")
    (tmp_path / "c").symlink_to(tmp_path / "a")
    (tmp_path / "circle.png").symlink_to(tmp_path / "circle.png")
    keys = list(load(tmp_path).keys)
    assert {"a/1.png", "b/2.png", "c/1.png"} <= set(keys)
    assert len(keys) < 20


def test_odd_names(paint: Paint, tmp_path: Path) -> None:
    paint("été/ö 1 [x].png")
    paint("b/2.png")
    path = os.fsencode(paint("b/3.png"))
    os.rename(path, path.replace(b"3.png", b"\xff.png"))  # not UTF-8
    data = load(tmp_path)
    assert len(data) == 3
    assert load(tmp_path).test.tolist() == data.test.tolist()


def test_new_files_never_move_old_ones(paint: Paint, tmp_path: Path) -> None:
    for i in range(20):
        paint(f"{i:02}.png")
    before = load(tmp_path)
    held = dict(zip(before.keys, before.test.tolist()))
    assert 0 < sum(held.values()) < 20
    for i in range(20):
        paint(f"{i:02}-new.png")
    after = load(tmp_path)
    assert {k: t for k, t in zip(after.keys, after.test.tolist()) if k in held} == held
    assert not load(tmp_path, test_share=0.0).test.any()
    with pytest.raises(InputError, match="test_share=1"):
        load(tmp_path, test_share=1.0)


def test_copies_of_a_picture_stay_on_one_side(paint: Paint, tmp_path: Path) -> None:
    for i in range(40):
        paint(f"{i}.png", seed=str(i % 4))
    data = load(tmp_path)
    sides = {k: {bool(t) for key, t in zip(data.keys, data.test) if int(key[:-4]) % 4 == k} for k in range(4)}
    assert all(len(side) == 1 for side in sides.values())


def test_limit_takes_from_every_class_and_leaves_the_test_set(paint: Paint, tmp_path: Path) -> None:
    for i in range(12):
        paint(f"many/{i}.png")
    for i in range(3):
        paint(f"few/{i}.png")
    for i in range(3):
        paint(f"test/many/{i}.png")
    for name in ("many", "few"):
        (tmp_path / "train").mkdir(exist_ok=True)
        (tmp_path / name).rename(tmp_path / "train" / name)
    data = load(tmp_path, limit=6)
    assert data.labels[~data.test].bincount().tolist() == [3, 3]
    assert int(data.test.sum()) == 3
    assert list(load(tmp_path, limit=6).keys) == list(data.keys)
    whole = load(tmp_path)
    again = whole.columns["image"][[list(whole.keys).index(k) for k in data.keys]]
    assert torch.equal(data.columns["image"], again)
    with pytest.raises(InputError, match="limit of 0"):
        load(tmp_path, limit=0)


def test_nothing_to_read(tmp_path: Path, paint: Paint) -> None:
    with pytest.raises(InputError, match="no folder"):
        load(tmp_path / "absent")
    with pytest.raises(InputError, match="it is empty"):
        load(tmp_path)
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(InputError, match=r"no images in .*found 1 \.txt"):
        load(tmp_path)
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"none of the 1 pictures .* a\.png: empty file"):
        load(tmp_path)
    with pytest.raises(InputError, match="it is a file"):
        load(tmp_path / "a.txt")
    paint("b.png")
    with pytest.raises(InputError, match="image_size=0"):
        image_folder(str(tmp_path), image_size=0)
