import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from likewise.core.errors import InputError
from likewise.core.recipe import part_names
from likewise.data import catalogue, sources
from likewise.data.sources import digits, fashion_mnist, mnist, openclipart, tux_paint
from needs import needs


def test_every_source_is_a_part_and_every_part_is_documented() -> None:
    assert set(catalogue.SOURCES) <= set(part_names("data"))
    for name, source in catalogue.SOURCES.items():
        assert source.about.name == name
        assert source.about.licence
        assert source.about.samples
        assert not source.about.get or source.about.get.startswith(("npm:", "apt:", "pip:"))
        assert not source.about.get or (source.files and not source.tree) or (source.tree and source.suffix)


def test_digits_are_those_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    plain = digits(image_size=8)
    assert np.array_equal(plain.columns["image"][:, 0].numpy(), np.rint(bunch.images * 255 / 16))
    assert plain.labels.tolist() == bunch.target.tolist()
    data = digits()
    assert data.columns["image"].shape == (1797, 1, 16, 16)
    assert data.facts() == {"num_samples": 1433, "channels": 1, "image_size": 16, "num_classes": 10}
    assert torch.equal(data.test, plain.test)
    big, small = data.columns["image"].float(), plain.columns["image"].float()
    assert torch.equal(big[..., 0, 0], small[..., 0, 0])
    corners = small[..., 2:4, 2:4] * torch.tensor([[9, 3], [3, 1]]) / 16  # bilinear, a quarter of a pixel off
    assert (big[..., 5, 5] - corners.sum((-2, -1))).abs().max() <= 0.5
    limited = digits(limit=50)
    assert limited.labels[~limited.test].bincount().tolist() == [5] * 10
    assert int(limited.test.sum()) == 364


@needs("fashion-mnist")
def test_fashion_mnist() -> None:
    data = fashion_mnist(limit=1000, test_limit=100)
    assert data.columns["image"].shape == (1100, 1, 28, 28)
    assert data.labels[~data.test].bincount().tolist() == [100] * 10
    assert data.labels[data.test].bincount().tolist() == [10] * 10
    whole = fashion_mnist()
    assert whole.labels[:5].tolist() == [9, 0, 0, 3, 0]
    assert whole.labels[whole.test].bincount().tolist() == [1000] * 10
    assert (whole.keys[59_999], whole.keys[60_000]) == ("train/59999", "test/0")
    row = whole.keys.index(data.keys[7])
    assert torch.equal(data.columns["image"][7], whole.columns["image"][row])
    smaller = whole.limited(500, 100)
    assert set(smaller.keys) < set(data.keys)


@needs("mnist")
def test_mnist() -> None:
    data = mnist()
    assert data.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert data.labels[data.test].bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@needs("tux-paint")
def test_tux_paint() -> None:
    data = tux_paint(image_size=16)
    assert len(data.classes) == 16
    assert len(data) + len(data.skipped) == catalogue.about("tux-paint").samples
    side = dict(zip(data.keys, data.test.tolist()))
    mirrored = [key for key in side if "_mirror" in key]
    assert len(mirrored) > 5
    assert all(side[key] == side.get(key.replace("_mirror", ""), side[key]) for key in mirrored)
    assert 0.15 < data.test.float().mean() < 0.3


def picture_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, files: list[str]) -> None:
    from PIL import Image

    for i, file in enumerate(files):
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (12, 12), (i, i, i)).save(path)
    monkeypatch.setenv(catalogue.variable(name), str(tmp_path))


def test_clip_art_drops_links_and_keeps_series_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    series = [f"flags/flag_ann_{i:02}.png" for i in range(30)]
    others = [f"food/soup{chr(97 + i)}.png" for i in range(20)]
    picture_tree(tmp_path, monkeypatch, "openclipart", [*series, *others])
    (tmp_path / "food" / "link.png").symlink_to(tmp_path / series[0])
    (tmp_path / "food" / "drawing.svg").write_text("<svg/>")
    data = openclipart(image_size=8)
    assert data.classes == ["flags", "food"]
    assert len(data) == 50
    assert not data.skipped
    assert len({bool(t) for k, t in zip(data.keys, data.test) if k in series}) == 1
    assert data.test.any()
    assert not data.test.all()


def idx(values: np.ndarray) -> bytes:
    head = bytes((0, 0, 8, values.ndim)) + b"".join(int(n).to_bytes(4, "big") for n in values.shape)
    return head + values.astype(np.uint8).tobytes()


def idx_folder(folder: Path, spell: str, packed: bool) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    held = {}
    for split, num in (("train", 7), ("t10k", 5)):
        held[f"{split}-images-idx3-ubyte"] = rng.integers(0, 256, (num, 28, 28))
        held[f"{split}-labels-idx1-ubyte"] = rng.integers(0, 10, num)
    for name, values in held.items():
        data = gzip.compress(idx(values)) if packed else idx(values)
        (folder / (name.replace("-idx", spell) + (".gz" if packed else ""))).write_bytes(data)
    return held


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("spell", ["-idx", ".idx"])
def test_idx_files_of_a_folder_that_the_user_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spell: str, packed: bool
) -> None:
    held = idx_folder(tmp_path, spell, packed)
    monkeypatch.setenv("LIKEWISE_DATA_MNIST", str(tmp_path))
    data = mnist()
    assert np.array_equal(data.columns["image"][:7, 0].numpy(), held["train-images-idx3-ubyte"])
    assert data.labels.tolist() == [*held["train-labels-idx1-ubyte"], *held["t10k-labels-idx1-ubyte"]]
    assert data.test.tolist() == [False] * 7 + [True] * 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d[:-1], "not a whole one"),
        (lambda d: b"\0\0\x08\x01" + d[4:], "not an IDX file"),
        (lambda d: d[:10], "not an IDX file"),
        (lambda d: d[:2], "not an IDX file"),
        (lambda d: idx(np.zeros((6, 28, 28))), "6 images but 7 labels in train"),
    ],
)
def test_damaged_idx_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: object, message: str) -> None:
    idx_folder(tmp_path, "-idx", packed=False)
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(change(path.read_bytes()))
    monkeypatch.setenv("LIKEWISE_DATA_MNIST", str(tmp_path))
    with pytest.raises(InputError, match=message):
        mnist()


def test_damaged_gzip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    idx_folder(tmp_path, "-idx", packed=True)
    path = tmp_path / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-6])
    monkeypatch.setenv("LIKEWISE_DATA_MNIST", str(tmp_path))
    with pytest.raises(InputError, match="can't be read"):
        mnist()


def test_where_a_source_is_looked_for(tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = tmp_path / "installed"
    wanted = catalogue.Source(catalogue.about("mnist"), (str(installed),), "", catalogue.source("mnist").files)
    monkeypatch.setitem(catalogue.SOURCES, "mnist", wanted)
    monkeypatch.delenv("LIKEWISE_DATA_MNIST", raising=False)
    with pytest.raises(InputError, match=r"mnist is not on this machine: likewise data get mnist \(12 MB, CC BY-SA"):
        mnist()
    assert not catalogue.present("mnist")
    assert catalogue.present("digits")
    for folder in (installed, own_cache / "sources" / "mnist", tmp_path / "told"):
        folder.mkdir(parents=True)
        idx_folder(folder, "-idx", packed=False)
        if folder.name == "told":
            monkeypatch.setenv("LIKEWISE_DATA_MNIST", str(folder))
        assert catalogue.locate("mnist") == folder
    (folder / "train-images-idx3-ubyte").unlink()
    with pytest.raises(InputError, match=r"LIKEWISE_DATA_MNIST=.*train-images-idx3-ubyte"):
        catalogue.locate("mnist")


def test_a_source_inside_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "carrier_of_digits" / "files"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("raise RuntimeError('must not be run')")
    idx_folder(folder, "-idx", packed=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("LIKEWISE_DATA_MNIST", raising=False)
    held = catalogue.source("mnist")
    places = ("python:absent_package/files", "python:carrier_of_digits/files")
    monkeypatch.setitem(catalogue.SOURCES, "mnist", catalogue.Source(held.about, places, "", held.files))
    assert catalogue.locate("mnist") == folder
    assert len(sources.mnist()) == 12


def test_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LIKEWISE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert catalogue.cache_dir() == tmp_path / "likewise"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert catalogue.cache_dir() == tmp_path / ".cache" / "likewise"
