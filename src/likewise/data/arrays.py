"""Arrays of images: NumPy files, and arrays and tensors in memory."""

import os
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from likewise.core.errors import InputError
from likewise.core.recipe import part
from likewise.data.dataset import Dataset, split_by_key
from likewise.data.labels import encode

IMAGES = ("images", "image", "x", "X", "data", "x_train", "X_train", "train_images", "arr_0")
LABELS = ("labels", "label", "y", "Y", "targets", "y_train", "train_labels", "arr_1")
TEST_IMAGES = ("test_images", "x_test", "X_test", "images_test")
TEST_LABELS = ("test_labels", "y_test", "Y_test", "labels_test")

_LAYOUTS = "(n, h, w), (n, h, w, c) or (n, c, h, w) with 1 or 3 channels"


@part("data")
def arrays(path: str, image_size: int | None = None, limit: int | None = None, test_share: float = 0.2) -> Dataset:
    """Images in a ``.npy`` file, or in a ``.npz`` with labels and a test set if it has them.

    Names in the ``.npz``: ``images``, ``x`` or ``x_train``; ``labels``, ``y`` or ``y_train``; ``test_images`` or
    ``x_test``; ``test_labels`` or ``y_test``. Layouts ``(n, h, w)``, ``(n, h, w, c)``, ``(n, c, h, w)``; uint8,
    other integers in 0..255, or floats in 0..1. Keys are row numbers.

    Args:
        path: of the file.
        image_size: pixels on a side to resize to; needed if the images are not square.
        limit: use at most this many training samples.
        test_share: share of the rows held out where the file has no test set.

    Raises:
        InputError: not such a file, or values that are not images.
    """
    held = load_numpy(path)
    if isinstance(held, np.ndarray):
        return from_arrays(path, held, None, image_size, test_share).limited(limit)
    read = {role: member(path, held, names) for role, names in _ROLES.items()}
    x, y, x_test, y_test = (read[role] for role in ("x", "y", "x_test", "y_test"))
    if x is None:
        raise InputError(f"{path!r} has no array named images, x or x_train; it holds {', '.join(held) or 'nothing'}")
    if x_test is None:
        return from_arrays(path, x, y, image_size, test_share).limited(limit)
    images = [to_images(x, path, image_size), to_images(x_test, path, image_size)]
    if images[0].shape[1:] != images[1].shape[1:]:
        sizes = " and ".join(str(tuple(i.shape[1:])) for i in images)
        raise InputError(f"{path!r}: training and test images differ in shape, {sizes}; give image_size")
    labels, classes = None, None
    if y is not None and y_test is not None:
        _same_length(path, len(x), y)
        _same_length(path, len(x_test), y_test)
        labels, classes = encode(np.concatenate([y.reshape(len(y), -1), y_test.reshape(len(y_test), -1)]), path)
    elif y is not None or y_test is not None:
        raise InputError(f"{path!r} has labels for only one of the training and the test images")
    keys = [f"train/{i}" for i in range(len(x))] + [f"test/{i}" for i in range(len(x_test))]
    test = torch.arange(len(keys)) >= len(x)
    return Dataset(path, {"image": torch.cat(images)}, keys, test, labels, classes).limited(limit)


_ROLES = {"x": IMAGES, "y": LABELS, "x_test": TEST_IMAGES, "y_test": TEST_LABELS}


def from_arrays(
    name: str, images: Any, labels: Any = None, image_size: int | None = None, test_share: float = 0.2
) -> Dataset:
    """A dataset of an array or tensor of images; see :func:`arrays` for what is accepted.

    Args:
        name: of the data, for messages.
        images: array or tensor.
        labels: ``(n,)`` classes or float targets, or None.
        image_size: pixels on a side to resize to.
        test_share: share of the rows held out.
    """
    columns = {"image": to_images(images, name, image_size)}
    keys = [str(i) for i in range(len(columns["image"]))]
    codes, classes = None, None
    if labels is not None:
        values = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
        _same_length(name, len(keys), values)
        codes, classes = encode(values, name)
    return Dataset(name, dict(columns), keys, split_by_key(keys, test_share), codes, classes)


def to_images(values: Any, name: str, image_size: int | None = None) -> Tensor:
    """An array or tensor of images as uint8 ``(n, c, h, h)``; uint8 in that layout is not copied.

    Raises:
        InputError: another shape or type; NaN, infinite or out of range values, with the first bad row.
    """
    tensor = values.detach().cpu() if isinstance(values, Tensor) else _tensor(np.asarray(values), name)
    if len(tensor) == 0:
        raise InputError(f"{name}: the array of images is empty")
    out = _bytes(_channels_first(tensor, name), name)
    height, width = out.shape[-2:]
    if image_size is None and height != width:
        raise InputError(f"{name}: images of {height}x{width} pixels are not square; give image_size to resize them")
    if image_size is not None and (height, width) != (image_size, image_size):
        return resize(out, image_size)
    return out


def resize(images: Tensor, size: int) -> Tensor:
    """uint8 ``(n, c, h, w)`` -> ``(n, c, size, size)``, bilinear, smoothed when made smaller."""
    if size < 1:
        raise InputError(f"image_size={size}: give at least 1 pixel")
    pieces = []
    for piece in torch.split(images, 1024):
        scaled = F.interpolate(piece.float(), size=(size, size), mode="bilinear", antialias=True)
        pieces.append(scaled.round().clamp(0, 255).to(torch.uint8))
    return torch.cat(pieces)


def load_numpy(path: str) -> np.ndarray | Mapping[str, Any]:
    """The array of a ``.npy`` file (mapped, not read), or the arrays of a ``.npz`` by name, read when asked for.

    Raises:
        InputError: no such file, not a whole one, or one with Python objects.
    """
    file = os.path.expanduser(path)
    if not os.path.isfile(file):
        raise InputError(f"no file {path!r}")
    try:
        zipped = zipfile.is_zipfile(file)
        with open(file, "rb") as opened:
            if not zipped and opened.read(2) == b"PK":
                raise ValueError("the archive is cut off")
        # mapped copy-on-write: a large uint8 array stays on the disk
        held = np.load(file, mmap_mode=None if zipped else "c", allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path!r} {_why(error)}") from error
    return held


def member(path: str, held: Mapping[str, Any], names: tuple[str, ...]) -> np.ndarray | None:
    """The first of ``names`` that the file has, or None."""
    name = next((n for n in names if n in held), None)
    try:
        return None if name is None else np.asarray(held[name])
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path!r}: array {name!r} {_why(error)}") from error


def _why(error: Exception) -> str:
    if "allow_pickle" in str(error) or "pickle" in str(error).lower():
        return "holds Python objects, which could run code and are not read: save plain numbers"
    return "is not a whole NumPy file: " + " ".join(str(error).split())


def _same_length(name: str, num: int, labels: np.ndarray) -> None:
    if labels.ndim == 0 or len(labels) != num:
        count = "one value" if labels.ndim == 0 else f"{len(labels)} labels"
        raise InputError(f"{name}: {num} images but {count}")


def _tensor(array: np.ndarray, name: str) -> Tensor:
    if array.dtype.kind == "O":
        raise InputError(f"{name}: an array of Python objects (images of different size?); {_LAYOUTS} wanted")
    if array.dtype.kind not in "buif":
        raise InputError(f"{name}: values of type {array.dtype} are not images; uint8 or floats in 0..1 wanted")
    if array.dtype.kind in "ui" and array.dtype != np.uint8:
        array = array.astype(np.int64)
    elif array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    if not array.flags.writeable or not array.dtype.isnative or any(s < 0 for s in array.strides):
        array = np.array(array, dtype=array.dtype.newbyteorder("="))
    return torch.from_numpy(array)


def _channels_first(x: Tensor, name: str) -> Tensor:
    if x.ndim == 3:
        return x[:, None]
    if x.ndim == 4:
        first, last = x.shape[1], x.shape[3]
        if first in (1, 3) and not (first == 1 and last == 3 and x.shape[2] > 3):
            return x
        if last in (1, 3):
            return x.permute(0, 3, 1, 2).contiguous()
        if 4 in (first, last):
            raise InputError(f"{name}: images with 4 channels: put them on a background first, 1 or 3 wanted")
    raise InputError(f"{name}: shape {tuple(x.shape)} is not that of images: {_LAYOUTS} wanted")


def _bytes(x: Tensor, name: str) -> Tensor:
    if x.dtype == torch.uint8:
        return x
    if x.dtype == torch.bool:
        return x.to(torch.uint8) * 255
    if x.is_complex():
        raise InputError(f"{name}: complex values are not images; uint8 or floats in 0..1 wanted")
    pieces = []
    top = 1.0 if x.is_floating_point() else 255
    for start, piece in zip(range(0, len(x), 1024), torch.split(x, 1024)):
        flat = piece.reshape(len(piece), -1)
        fine = (flat >= 0) & (flat <= top)  # NaN is neither
        if not fine.all():
            row, column = (int(i) for i in (~fine).nonzero()[0])
            raise InputError(_bad(name, start + row, float(flat[row, column]), x.is_floating_point()))
        pieces.append((piece.float() * 255).round().to(torch.uint8) if x.is_floating_point() else piece.to(torch.uint8))
    return torch.cat(pieces)


def _bad(name: str, row: int, value: float, floating: bool) -> str:
    if value != value or value in (float("inf"), float("-inf")):
        return f"{name}: {value} in image {row}; every value must be a finite number"
    if floating:
        return f"{name}: {value:g} in image {row}; floats must lie in 0..1 (divide by 255, or give uint8)"
    return f"{name}: {value:g} in image {row}; integers must lie in 0..255"
