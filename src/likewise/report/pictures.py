"""Pictures inside a page: single ones, and sheets of many small ones."""

import io
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from likewise.report.page import data_uri
from likewise.report.samples import Array

_LARGEST = 128
_SHEET_PIXELS = 2_200_000
"""Pixels of a sheet: about 2.5 MB as JPEG, 3.5 MB in the page."""
_SHEET_TILES = 1500
_SMALLEST = 32
"""Smaller pictures are scaled up when the sheet is made: a browser would mix them with their neighbours."""


def picture(pixels: Array) -> str:
    """One picture, uint8 ``(c, h, w)`` with one channel or three, as a data URI of at most 128 pixels a side."""
    image = _image(pixels)
    if max(image.size) > _LARGEST:
        image.thumbnail((_LARGEST, _LARGEST), Image.Resampling.LANCZOS)
    return _encode(image)


@dataclass(frozen=True)
class Sheet:
    """Many small pictures in one image.

    Attributes:
        uri: the image.
        columns: tiles in a row.
        lines: rows of tiles.
        side: pixels of a picture.
        step: pixels from one to the next.
        tiles: ``(n,)`` the tile of each row, -1 for those without.
    """

    uri: str
    columns: int
    lines: int
    side: int
    step: int
    tiles: Array


def sheet(pictures: Array, first: Array | None = None, seed: int = 0) -> Sheet:
    """A sheet of ``pictures``, uint8 ``(n, c, h, w)`` with ``n >= 1``.

    At most about 1500 get a tile, more where they are small: those in ``first`` (positions), then others at random.
    """
    n, _, height, width = pictures.shape
    native = max(height, width, _SMALLEST)
    count = min(n, max(_SHEET_TILES, _SHEET_PIXELS // native**2))
    side = max(8, min(native, 96, math.isqrt(_SHEET_PIXELS // count)))
    order = np.random.default_rng(seed).permutation(n)
    if first is not None:
        order = np.concatenate([first, order])
        order = order[np.sort(np.unique(order, return_index=True)[1])]
    chosen = np.sort(order[:count])
    # tiles start at multiples of eight pixels, the blocks of JPEG, and their last pixels fill what is left of the
    # block, so that neighbours don't bleed into each other
    step = math.ceil(side / 8) * 8
    columns = math.ceil(math.sqrt(count))
    canvas = Image.new(_image(pictures[0]).mode, (columns * step, math.ceil(count / columns) * step))
    for tile, row in enumerate(chosen):
        image = ImageOps.pad(_image(pictures[row]), (side, side), Image.Resampling.LANCZOS)
        rest = [(0, step - side)] * 2 + [(0, 0)] * (image.mode == "RGB")
        canvas.paste(
            Image.fromarray(np.pad(np.asarray(image), rest, "edge")), (tile % columns * step, tile // columns * step)
        )
    tiles = np.full(n, -1)
    tiles[chosen] = np.arange(count)
    return Sheet(_encode(canvas), columns, math.ceil(count / columns), side, step, tiles)


def _image(pixels: Array) -> Image.Image:
    return Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))


def _encode(image: Image.Image) -> str:
    """PNG while it is small, JPEG when that is smaller."""
    png, jpeg = io.BytesIO(), io.BytesIO()
    image.save(png, "PNG", optimize=image.width * image.height < 250_000)
    if png.tell() < 4000:
        return data_uri(png.getvalue(), "image/png")
    # no chroma subsampling: its blocks would be sixteen pixels wide
    image.save(jpeg, "JPEG", quality=84, subsampling=0)
    if png.tell() <= jpeg.tell():
        return data_uri(png.getvalue(), "image/png")
    return data_uri(jpeg.getvalue(), "image/jpeg")
