"""One picture that shows several versions of pictures side by side."""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from torch import Tensor

_GAP = 4
_SIDE = 112
"""Pixels that small pictures are enlarged to, by whole factors."""
_LINE = 16


def write_strip(path: Path, columns: Sequence[Tensor], titles: Sequence[str]) -> None:
    """Write a PNG with a row for each picture and a column with a title for each version.

    Args:
        path: of the file.
        columns: versions, ``(n, c, h, w)`` each with values about 0..1, one channel or three, all of one size.
        titles: of the columns.
    """
    count, _, height, width = columns[0].shape
    scale = max(1, _SIDE // max(height, width))
    step_x, step_y = width * scale + _GAP, height * scale + _GAP
    canvas = Image.new("RGB", (step_x * len(columns) - _GAP, _LINE + step_y * count - _GAP), "white")
    draw = ImageDraw.Draw(canvas)
    for column, (pictures, title) in enumerate(zip(columns, titles, strict=True)):
        draw.text((column * step_x, 1), title, fill="black")
        for row, picture in enumerate(pictures):
            small = to_pillow(picture).convert("RGB")
            large = small.resize((width * scale, height * scale), Image.Resampling.NEAREST)
            canvas.paste(large, (column * step_x, _LINE + row * step_y))
    canvas.save(path)


def to_pillow(picture: Tensor) -> Image.Image:
    """A picture ``(c, h, w)`` with values about 0..1, one channel or three, as Pillow's."""
    pixels = (picture.detach().clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    return Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0).copy())
