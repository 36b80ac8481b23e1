import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset

from likewise.core.errors import InputError
from likewise.core.recipe import Recipe
from likewise.data.resolve import from_object, resolve

Paint = Callable[..., Path]
PIXELS = np.random.default_rng(0).integers(0, 256, (12, 8, 8), dtype=np.uint8)


def test_names_and_paths(paint: Paint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paint("digits/a.png")
    paint("digits/b.png")
    np.save(tmp_path / "x.npy", PIXELS)
    (tmp_path / "t.csv").write_text("path\ndigits/a.png\ndigits/b.png\n")
    monkeypatch.chdir(tmp_path)
    assert resolve("digits").name == "digits"
    found = resolve("./digits", image_size=16)
    assert (found.name, found.settings) == ("image-folder", {"path": str(tmp_path / "digits"), "image_size": 16})
    assert resolve(str(tmp_path / "digits")).name == "image-folder"
    assert resolve("x.npy").name == "arrays"
    assert resolve("t.csv").name == "table"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve("~/digits").settings == {"path": str(tmp_path / "digits")}
    assert len(resolve("t.csv").build()) == 2
    monkeypatch.chdir("/")
    assert len(found.build()) == 2


def test_a_resolved_path_survives_a_saved_recipe(paint: Paint, tmp_path: Path) -> None:
    paint("a.png")
    data = resolve(str(tmp_path), image_size=16, fit="pad", limit=1)
    recipe = Recipe(data, data, data, data, data)
    assert Recipe.from_json(recipe.to_json()).data.settings == data.settings
    recipe.set("data.fit", "crop")
    with pytest.raises(InputError, match="'crop'"):
        recipe.set("data.fit", "squash")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fasion-mnist", "no such file or data source 'fasion-mnist'; did you mean 'fashion-mnist'"),
        ("pictuers", "did you mean 'pictures'"),
        ("nothing-like-it", "the sources are digits"),
        ("", "no such file or data source ''"),
        ("notes.md", "unknown kind"),
        ("absent/folder/", "no such file or data source"),
    ],
)
def test_neither_name_nor_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "notes.md").write_text("x")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        resolve(text)


def test_unknown_setting() -> None:
    with pytest.raises(InputError, match=r"no setting 'imagesize'.*did you mean 'image_size'"):
        resolve("digits", imagesize=8)


class Pairs:
    """A map-style dataset of Pillow images."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, i: int) -> tuple[Image.Image, int]:
        return Image.fromarray(PIXELS[i]), i % 2


LABELS = np.arange(12) % 2
GREY = [
    PIXELS,
    torch.from_numpy(PIXELS),
    (PIXELS, LABELS),
    (torch.from_numpy(PIXELS), torch.from_numpy(LABELS)),
    TensorDataset(torch.from_numpy(PIXELS)[:, None], torch.from_numpy(LABELS)),
    [(PIXELS[i], int(LABELS[i])) for i in range(12)],
]


@pytest.mark.parametrize("data", GREY, ids=["array", "tensor", "pair", "tensors", "TensorDataset", "list"])
def test_objects(data: object) -> None:
    out = from_object(data)
    assert torch.equal(out.columns["image"][:, 0], torch.from_numpy(PIXELS))
    if data is not GREY[0] and data is not GREY[1]:
        assert out.labels.tolist() == LABELS.tolist()
        assert out.classes == ["0", "1"]
    assert 0 < int(out.test.sum()) < 12
    assert not from_object(data, test_share=0.0).test.any()
    assert from_object(out) is out


def test_pillow_images_and_datasets_of_them() -> None:
    out = from_object(Pairs(), image_size=8)
    assert out.columns["image"].shape == (12, 3, 8, 8)
    assert torch.equal(out.columns["image"][:, 0], torch.from_numpy(PIXELS))
    assert out.labels.tolist() == LABELS.tolist()
    assert from_object([Image.fromarray(p) for p in PIXELS], image_size=8).labels is None


def test_paths_and_frames(paint: Paint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pandas = pytest.importorskip("pandas")
    paths = [paint(f"{i}.png") for i in range(4)]
    monkeypatch.chdir(tmp_path)
    folder = from_object(tmp_path, image_size=8)
    assert len(folder) == 4
    assert from_object(str(tmp_path)).columns["image"].shape[-1] == 64
    assert torch.equal(from_object(paths, image_size=8).columns["image"], folder.columns["image"])
    frame = pandas.DataFrame({"path": [os.path.basename(p) for p in paths], "label": list("abab")})
    out = from_object(frame, image_size=8)
    assert torch.equal(out.columns["image"], folder.columns["image"])
    assert out.classes == ["a", "b"]
    frame.loc[2, "label"] = None
    with pytest.raises(InputError, match="no label in row 2"):
        from_object(frame)
    assert len(from_object("digits", image_size=8)) == 1797


def test_a_path_object_is_a_path(paint: Paint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paint("digits/a.png")
    monkeypatch.chdir(tmp_path)
    assert len(from_object(Path("digits"))) == 1
    assert len(from_object("digits")) == 1797


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (3, "data of type int is not understood"),
        ({"a": 1}, "data of type dict is not understood"),
        ([], "empty"),
        ([1, 2], "item 0 of the dataset is a int"),
        ([np.zeros((4, 4)), np.zeros((5, 5))], "item 1 has shape"),
        ((PIXELS, LABELS[:5]), "12 images but 5 labels"),
        ((PIXELS, 3), "12 images but one value"),
        ([(PIXELS[0], 1), PIXELS[1]], "2 images but 1 labels"),
    ],
)
def test_objects_that_cannot_be_used(data: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_object(data)
