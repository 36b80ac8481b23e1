"""A picture of some samples of a dataset, a class a line."""

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from likewise.core.errors import InputError
from likewise.data.dataset import Dataset

_LABEL, _TEXT, _GAP = 120, 14, 4


def contact_sheet(dataset: Dataset, across: int = 12, down: int = 24, tile: int = 64) -> Image.Image:
    """The first samples of each class in a line with its name; without classes, samples from all over the data.

    Args:
        dataset: with a column ``image``.
        across: samples in a line.
        down: lines at most; the largest classes are shown if there are more.
        tile: pixels on a side of each sample.
    """
    images = dataset.columns.get("image")
    if not isinstance(images, Tensor):
        raise InputError(f"{dataset.name!r} has no images to show")
    lines = _lines(dataset, across, down)
    left = _LABEL if dataset.classes is not None else _GAP
    sheet = Image.new("RGB", (left + across * (tile + _GAP), _GAP + len(lines) * (tile + _GAP)), "white")
    draw = ImageDraw.Draw(sheet)
    for y, (name, index) in enumerate(lines):
        top = _GAP + y * (tile + _GAP)
        draw.text((_GAP, top + (tile - _TEXT) // 2), name[:18], fill="black")
        for x, row in enumerate(index):
            picture = images[row].permute(1, 2, 0).numpy()
            if picture.shape[-1] == 1:
                picture = np.repeat(picture, 3, axis=-1)
            tiles = Image.fromarray(np.ascontiguousarray(picture)).resize((tile, tile), Image.Resampling.BILINEAR)
            sheet.paste(tiles, (left + x * (tile + _GAP), top))
    return sheet


def _lines(dataset: Dataset, across: int, down: int) -> list[tuple[str, list[int]]]:
    if dataset.classes is None or dataset.labels is None:
        rows = torch.linspace(0, len(dataset) - 1, min(len(dataset), across * down)).long().tolist()
        return [("", rows[i : i + across]) for i in range(0, len(rows), across)]
    counts = dataset.labels.bincount(minlength=len(dataset.classes))
    shown = sorted(counts.argsort(descending=True, stable=True)[:down].tolist())
    return [(dataset.classes[c], (dataset.labels == c).nonzero().flatten()[:across].tolist()) for c in shown]
