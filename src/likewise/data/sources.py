"""The data sources that have names. Importing this module registers every ``data`` part."""

import gzip
import math
import re
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from likewise.core.errors import InputError
from likewise.core.recipe import part
from likewise.data.arrays import arrays as arrays
from likewise.data.arrays import resize
from likewise.data.catalogue import about, idx_file, need, source
from likewise.data.dataset import Dataset, split_by_key
from likewise.data.folder import from_folder
from likewise.data.folder import image_folder as image_folder
from likewise.data.graph_sources import karate as karate
from likewise.data.graph_sources import man_pages as man_pages
from likewise.data.graphs import graph as graph
from likewise.data.interaction_sources import ml_100k as ml_100k
from likewise.data.interaction_sources import synthetic_blocks as synthetic_blocks
from likewise.data.interactions import interactions as interactions
from likewise.data.series import basic_motions as basic_motions
from likewise.data.series import greensboro_weather as greensboro_weather
from likewise.data.series import gunpoint as gunpoint
from likewise.data.series import italy_power_demand as italy_power_demand
from likewise.data.series import japanese_vowels as japanese_vowels
from likewise.data.series import series as series
from likewise.data.series import synthetic_waves as synthetic_waves
from likewise.data.table import table as table
from likewise.data.text import king_james as king_james
from likewise.data.text import python_topics as python_topics
from likewise.data.text import text as text


@part("data")
def digits(limit: int | None = None, image_size: int = 16) -> Dataset:
    """The 1797 8x8 digits of scikit-learn, grey, scaled to 0..255; the test set is 20 % by a hash of the row.

    Args:
        limit: use at most this many training samples.
        image_size: pixels on a side, bilinear. The default doubles them, so that a network with three strides
            still has 2x2 positions at its end; 8 gives the pixels as they are.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = torch.from_numpy((bunch.images * (255 / 16)).round().astype(np.uint8))[:, None]
    if image_size != images.shape[-1]:
        images = resize(images, image_size)
    keys = [f"digits/{i}" for i in range(len(images))]
    labels = torch.from_numpy(bunch.target.astype(np.int64))
    classes = [str(name) for name in bunch.target_names]
    out = Dataset("digits", {"image": images}, keys, split_by_key(keys), labels, classes, about=about("digits"))
    return out.limited(limit)


@part("data")
def fashion_mnist(limit: int | None = None, test_limit: int | None = None) -> Dataset:
    """Fashion-MNIST (Xiao et al., arXiv:1708.07747), 28x28 grey, with its own 60000 / 10000 split.

    Args:
        limit: use at most this many training samples.
        test_limit: and at most this many test samples.
    """
    classes = ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
    return _idx("fashion-mnist", classes).limited(limit, test_limit)


@part("data")
def mnist(limit: int | None = None, test_limit: int | None = None) -> Dataset:
    """MNIST, 28x28 grey, with its own 60000 / 10000 split.

    Args:
        limit: use at most this many training samples.
        test_limit: and at most this many test samples.
    """
    return _idx("mnist", tuple("0123456789")).limited(limit, test_limit)


@part("data")
def openclipart(image_size: int = 64, limit: int | None = None) -> Dataset:
    """Open Clip Art as RGB on white squares; labels are the 22 categories, copies by links are left out.

    Drawings that differ only in their number (``flag_ann_01``, ``flag_ann_02``) are on one side of the split.

    Args:
        image_size: pixels on a side.
        limit: use at most this many training samples.
    """
    return _pictures("openclipart", image_size, r"[_-]*\d+$").limited(limit)


@part("data")
def tux_paint(image_size: int = 64, limit: int | None = None) -> Dataset:
    """Tux Paint's stamps as RGB on white squares; labels are the 16 categories.

    A stamp and its mirrored or flipped drawing are on one side of the split.

    Args:
        image_size: pixels on a side.
        limit: use at most this many training samples.
    """
    return _pictures("tux-paint", image_size, r"(_mirror|_flip)+$").limited(limit)


def _pictures(name: str, image_size: int, variant: str) -> Dataset:
    def group(key: str) -> str:
        return re.sub(variant, "", key.rsplit(".", 1)[0])

    png = frozenset({source(name).suffix})
    return from_folder(
        name, str(need(name)), image_size, "pad", links=False, suffixes=png, about=about(name), group=group
    )


def _idx(name: str, classes: tuple[str, ...]) -> Dataset:
    folder = need(name)
    images, labels, keys = [], [], []
    for split, word in (("train", "train"), ("t10k", "test")):
        x = _read_idx(folder, f"{split}-images-idx3-ubyte", 3)
        y = _read_idx(folder, f"{split}-labels-idx1-ubyte", 1)
        if len(x) != len(y):
            raise InputError(f"{folder}: {len(x)} images but {len(y)} labels in {split}; likewise data get {name}")
        images.append(x[:, None])
        labels.append(y.long())
        keys += [f"{word}/{i}" for i in range(len(x))]
    test = torch.arange(len(keys)) >= len(images[0])
    return Dataset(name, {"image": torch.cat(images)}, keys, test, torch.cat(labels), classes, about=about(name))


def _read_idx(folder: Path, name: str, axes: int) -> Tensor:
    """An IDX file of unsigned bytes: 0 0 8 axes, then each axis as big-endian int32, then the values."""
    path = idx_file(folder, name)
    if path is None:
        raise InputError(f"no file {name} in {folder}")
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} can't be read: {error}") from error
    start = 4 + 4 * axes
    shape = tuple(int.from_bytes(data[i : i + 4], "big") for i in range(4, start, 4))
    if data[:4] != bytes((0, 0, 8, axes)) or len(data) != start + math.prod(shape):
        raise InputError(f"{path} is not an IDX file of bytes with {axes} axes, or not a whole one")
    return torch.from_numpy(np.frombuffer(data, np.uint8, offset=start).reshape(shape).copy())
