import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from likewise.core.errors import InputError
from likewise.data.arrays import arrays, from_arrays, to_images

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (6, 3, 8, 8), dtype=np.uint8)


@pytest.mark.parametrize("kind", ["nchw", "nhwc", "float32", "float64", "int64", "big-endian", "reversed", "tensor"])
def test_layouts_and_types_give_the_same_pixels(kind: str) -> None:
    given = {
        "nchw": PIXELS,
        "nhwc": PIXELS.transpose(0, 2, 3, 1),
        "float32": PIXELS.astype(np.float32) / 255,
        "float64": (PIXELS / 255).transpose(0, 2, 3, 1),
        "int64": PIXELS.astype(np.int64),
        "big-endian": PIXELS.astype(">f4") / np.float32(255),
        "reversed": PIXELS[::-1].copy()[::-1],
        "tensor": torch.from_numpy(PIXELS),
    }[kind]
    out = to_images(given, "x")
    assert out.dtype == torch.uint8
    assert torch.equal(out, torch.from_numpy(PIXELS))


def test_grey_and_bool() -> None:
    grey = PIXELS[:, 0]
    assert torch.equal(to_images(grey, "x")[:, 0], torch.from_numpy(grey))
    assert to_images(grey > 100, "x").unique().tolist() == [0, 255]
    assert to_images(RNG.random((2, 1, 28, 28)), "x").shape == (2, 1, 28, 28)
    assert to_images(RNG.random((2, 28, 28, 1)), "x").shape == (2, 1, 28, 28)


def test_resize_keeps_flat_colours_and_makes_squares() -> None:
    flat = np.full((3, 10, 20), 9, np.uint8)
    out = to_images(flat, "x", image_size=7)
    assert out.shape == (3, 1, 7, 7)
    assert (out == 9).all()


def bad(value: float, row: int = 3) -> np.ndarray:
    x = RNG.random((6, 8, 8)).astype(np.float32)
    x[row, 2, 2] = value
    return x


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (bad(np.nan), "nan in image 3"),
        (bad(np.inf, 5), "inf in image 5"),
        (bad(-0.1, 0), "-0.1 in image 0; floats must lie in 0..1"),
        (bad(200.0), "200 in image 3; floats must lie in 0..1 .divide by 255"),
        (np.full((2, 8, 8), 300), "300 in image 0; integers must lie in 0..255"),
        (np.full((2, 8, 8), -1, np.int8), "-1 in image 0"),
        (np.zeros((0, 8, 8)), "empty"),
        (np.zeros((5, 8)), r"shape \(5, 8\) is not that of images"),
        (np.zeros((2, 5, 8, 8)), "is not that of images"),
        (np.zeros((2, 4, 8, 8)), "4 channels"),
        (np.zeros((2, 8, 9)), "8x9 pixels are not square; give image_size"),
        (np.zeros((2, 8, 8), complex), "complex128"),
        (np.array([["a", "b"]]), "not images"),
        (np.array([np.zeros((2, 2)), np.zeros((3, 3))], dtype=object), "Python objects"),
        (torch.zeros(2, 8, 8, dtype=torch.complex64), "complex"),
    ],
)
def test_refused_values(values: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        to_images(values, "x")


def test_bad_row_is_found_beyond_the_first_chunk() -> None:
    x = np.zeros((3000, 4, 4), np.float32)
    x[2500] = np.nan
    with pytest.raises(InputError, match="image 2500"):
        to_images(x, "x")


def test_npy(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", PIXELS)
    data = arrays(str(tmp_path / "x.npy"))
    assert torch.equal(data.columns["image"], torch.from_numpy(PIXELS))
    assert list(data.keys) == [str(i) for i in range(6)]
    assert 0 < int(data.test.sum()) < 6
    data.columns["image"].zero_()
    assert np.array_equal(np.load(tmp_path / "x.npy"), PIXELS)


@pytest.mark.parametrize(("x", "y"), [("images", "labels"), ("x", "y"), ("X", "y"), ("arr_0", "arr_1")])
def test_npz_with_labels(tmp_path: Path, x: str, y: str) -> None:
    np.savez(tmp_path / "x.npz", **{x: PIXELS, y: np.array([[7], [7], [3], [3], [9], [9]])})
    data = arrays(str(tmp_path / "x.npz"))
    assert data.classes == ["3", "7", "9"]
    assert data.labels.tolist() == [1, 1, 0, 0, 2, 2]


def test_npz_with_a_test_set(tmp_path: Path) -> None:
    words = np.array(["cat", "dog", "cat", "owl"])
    np.savez_compressed(tmp_path / "x.npz", x_train=PIXELS[:4], y_train=words, x_test=PIXELS[4:], y_test=words[2:])
    data = arrays(str(tmp_path / "x.npz"), limit=2)
    assert data.test.tolist() == [False, False, True, True]
    assert data.classes == ["cat", "dog", "owl"]
    assert [k for k, t in zip(data.keys, data.test) if t] == ["test/0", "test/1"]
    assert data.labels[data.test].tolist() == [0, 2]
    assert torch.equal(data.columns["image"][data.test], torch.from_numpy(PIXELS[4:]))


class Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('foreign code ran')",))


def write(path: Path, **values: object) -> Path:
    np.savez(path, **values)
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: np.save(p / "x.npy", np.array([Trap()], object)), "Python objects"),
        (lambda p: (p / "x.npy").write_bytes(pickle.dumps(Trap())), "Python objects"),
        (lambda p: (p / "x.npy").write_bytes(b"hello"), "Python objects|not a whole NumPy file"),
        (lambda p: (p / "x.npy").write_bytes(b""), "not a whole NumPy file"),
        (lambda p: np.save(p / "x.npy", PIXELS) or cut(p / "x.npy"), "not a whole NumPy file"),
        (lambda p: None, "no file"),
    ],
)
def test_files_that_are_not_arrays(tmp_path: Path, make: object, message: str) -> None:
    make(tmp_path)
    with pytest.raises(InputError, match=message):
        arrays(str(tmp_path / "x.npy"))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"pictures": PIXELS}, "no array named images, x or x_train; it holds pictures"),
        ({"x": PIXELS, "y": np.arange(5)}, "6 images but 5 labels"),
        ({"x": PIXELS, "y": np.array([1.0, 2, np.nan, 4, 5, 6])}, "label nan in row 2"),
        ({"x": PIXELS, "y": np.zeros((6, 2))}, r"labels have shape \(6, 2\)"),
        ({"x": PIXELS, "y": np.array([Trap()] * 6, object)}, "array 'y' holds Python objects"),
        ({"x": PIXELS, "x_test": PIXELS, "y": np.arange(6)}, "labels for only one"),
        ({"x": PIXELS, "x_test": np.zeros((2, 9, 9), np.uint8)}, "differ in shape"),
    ],
)
def test_npz_files_that_cannot_be_used(tmp_path: Path, values: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "x.npz", **values)
    with pytest.raises(InputError, match=message):
        arrays(str(tmp_path / "x.npz"))


def test_damaged_npz(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "x.npz", x=PIXELS)
    data = bytearray((tmp_path / "x.npz").read_bytes())
    data[300:400] = bytes(100)
    (tmp_path / "x.npz").write_bytes(data)
    with pytest.raises(InputError, match="not a whole NumPy file"):
        arrays(str(tmp_path / "x.npz"))


def test_targets_are_not_classes() -> None:
    data = from_arrays("x", PIXELS, np.linspace(0, 1, 6))
    assert data.classes is None
    assert data.labels.dtype == torch.float32
