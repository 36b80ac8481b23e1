"""What people call their data -> a recipe's part, or a dataset."""

import difflib
import inspect
import os
from collections.abc import Mapping, Sized
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from likewise.core.errors import InputError
from likewise.core.recipe import Spec, find_part, spec
from likewise.data import composed, dialogues, multimodal, scenes, sources, triples
from likewise.data.arrays import from_arrays
from likewise.data.catalogue import SOURCES
from likewise.data.dataset import Dataset
from likewise.data.images import to_array
from likewise.data.readers import Reader, reader, register_reader
from likewise.data.table import frame_columns, from_columns

# importing the modules registers their parts
__all__ = ["composed", "dialogues", "from_object", "multimodal", "resolve", "scenes", "sources", "triples"]


def resolve(text: str, modality: str = "image", **settings: Any) -> Spec:
    """The part for ``--data``: a source's name, or a path that the modality's reader understands.

    A name wins over a folder of that name in the working folder; ``./digits`` is the folder. Paths are made absolute,
    so that a saved recipe works from anywhere.

    Args:
        text: what the user wrote.
        modality: on the card of the method that will use it.
        settings: of the part.

    Raises:
        InputError: neither a name nor a path, with the nearest ones.
    """
    if text in SOURCES:
        return spec(find_part("data", text), **settings)
    path = os.path.abspath(os.path.expanduser(text))
    if modality != "image":
        if not text or not os.path.exists(path):
            raise InputError(f"no such file or data source {text!r}{_close(text, path, modality)}")
        return spec(reader(modality).part, path=path, **settings)
    suffix = os.path.splitext(path)[1].lower()
    if text and os.path.isdir(path):
        return spec(sources.image_folder, path=path, **settings)
    if text and os.path.isfile(path):
        if suffix in (".npy", ".npz"):
            return spec(sources.arrays, path=path, **settings)
        if suffix in (".csv", ".tsv", ".parquet"):
            return spec(sources.table, path=path, **settings)
        raise InputError(f"data {text!r} is a file of an unknown kind: .npy, .npz, .csv, .tsv and .parquet are read")
    raise InputError(f"no such file or data source {text!r}{_close(text, path, modality)}")


def from_object(data: Any, image_size: int | None = None, test_share: float = 0.2, modality: str = "image") -> Dataset:
    """Whatever a Python user has -> a dataset.

    Args:
        data: a :class:`Dataset`; the name of a source or a path; a NumPy array or tensor of images; a pair
            ``(images, labels)``; a data frame with a column of paths; a list of paths or of Pillow images; a map-style
            dataset (``len`` and ``[i]``) of images or ``(image, label)`` pairs, as torch has them.
        image_size: pixels on a side that images are brought to. Arrays stay as they are if not given, files become
            64x64.
        test_share: share of the samples held out, where the data have no split of their own; 0 holds nothing out.
        modality: on the card of the method that will use it; another than ``image`` has a reader of its own.

    Raises:
        InputError: something else, or values that are not images.
    """
    if isinstance(data, Dataset):
        return data
    if isinstance(data, str | os.PathLike):
        return _from_path(data, image_size, test_share, modality)
    if modality != "image":
        return reader(modality).from_object(data)
    if isinstance(data, np.ndarray | Tensor):
        return from_arrays("array", data, None, image_size, test_share)
    if isinstance(data, tuple) and len(data) == 2 and isinstance(data[0], np.ndarray | Tensor):
        return from_arrays("array", data[0], data[1], image_size, test_share)
    if hasattr(data, "columns") and type(data).__module__.split(".")[0] == "pandas":
        return from_columns("data frame", frame_columns(data), os.getcwd(), image_size or 64, "crop", test_share)
    if isinstance(data, list) and data and all(isinstance(item, str | os.PathLike) for item in data):
        paths = [os.fspath(item) for item in data]
        return from_columns("list of paths", {"path": paths}, os.getcwd(), image_size or 64, "crop", test_share)
    if isinstance(data, Sized) and hasattr(data, "__getitem__") and not isinstance(data, Mapping):
        return _from_items(data, image_size, test_share)
    raise InputError(
        f"data of type {type(data).__name__} is not understood: give a path, a source's name, an array, a tensor, "
        "(images, labels), a data frame with paths, or a dataset of (image, label) pairs"
    )


def _from_path(data: str | os.PathLike[str], image_size: int | None, test_share: float, modality: str) -> Dataset:
    text = data if isinstance(data, str) else os.path.abspath(os.fspath(data))
    found = resolve(text, modality)
    asked = {"image_size": image_size, "test_share": test_share}
    known = inspect.signature(found.make).parameters
    settings = {name: value for name, value in asked.items() if name in known and value is not None}
    out: Dataset = spec(found.make, **found.settings, **settings).build()
    return out


def _from_items(data: Any, image_size: int | None, test_share: float) -> Dataset:
    """A map-style dataset: Pillow's images are resized, arrays must agree in shape."""
    images: list[np.ndarray] = []
    labels: list[Any] = []
    num = len(data)
    if num == 0:
        raise InputError("the dataset is empty")
    for i in range(num):
        item = data[i]
        pair = isinstance(item, tuple | list) and len(item) == 2
        image = item[0] if pair else item
        if pair:
            labels.append(item[1].item() if isinstance(item[1], Tensor | np.generic) else item[1])
        if isinstance(image, Image.Image):
            images.append(to_array(image, image_size or 64))
        elif isinstance(image, Tensor | np.ndarray):
            images.append(np.asarray(image))
        else:
            raise InputError(f"item {i} of the dataset is a {type(item).__name__}, expected an image or (image, label)")
        if images[i].shape != images[0].shape:
            raise InputError(f"item {i} has shape {images[i].shape}, item 0 has {images[0].shape}: make them equal")
    if labels and len(labels) != num:
        raise InputError(f"{num} images but {len(labels)} labels")
    return from_arrays("dataset", np.stack(images), labels or None, image_size, test_share)


def _close(text: str, path: str, modality: str) -> str:
    try:
        beside = os.listdir(os.path.dirname(path))
    except OSError:
        beside = []
    folder = os.path.dirname(text)
    names = [name for name, source in SOURCES.items() if source.about.modality == modality]
    options = [*names, *(os.path.join(folder, name) for name in sorted(beside) if not name.startswith("."))]
    close = difflib.get_close_matches(text, options, n=2, cutoff=0.6)
    if close:
        return "; did you mean " + " or ".join(repr(c) for c in close) + "?"
    reads = "" if modality == "image" else f"; of your own: {reader(modality).reads}"
    return (f"; the sources are {', '.join(names)}" if names else "") + reads


register_reader(
    Reader(
        "image",
        "a folder of images, a .npy or .npz of pixels, a table with a column of paths",
        sources.image_folder,
        from_object,
    )
)
