"""One picture file -> one square uint8 array, whatever Pillow can make of it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

Fit = Literal["crop", "pad", "stretch"]

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "TGA", "JPEG2000", "AVIF")
_RASTER = (".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff")
_RARE = (".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".jp2", ".avif")
SUFFIXES = frozenset((*_RASTER, *_RARE))
_CAMERA = (".heic", ".heif", ".raw", ".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2")
FOREIGN = frozenset((*_CAMERA, ".svg", ".psd", ".jxl", ".eps", ".exr", ".xcf"))
"""Pictures by their name, in formats that are not read: listed as skipped, so that they don't vanish in silence."""

SMALLEST = 8
"""Pixels on the short side below which a picture is taken for an icon or a tracking pixel."""

LARGEST = 50_000_000
"""Pixels that are decoded at most; a JPEG is scaled down while it is decoded. Several threads hold one each."""
_ORIENTATION = 0x0112
"""EXIF tag."""


class UnreadableImageError(Exception):
    """A picture can't be used; the message is the reason, without the path."""


def read_image(path: str | Path, size: int, fit: Fit = "crop") -> np.ndarray:
    """A picture as ``(3, size, size)`` uint8.

    Turned as its EXIF says; the first frame of an animation; transparency on white; CMYK, palettes and grey as RGB;
    16-bit values scaled down.

    Args:
        path: of the file.
        size: in pixels.
        fit: ``"crop"`` cuts the middle square out, ``"pad"`` adds white borders, ``"stretch"`` changes proportions.

    Raises:
        UnreadableImageError: with the reason.
    """
    with _opened(path) as image:
        image.draft(None, (2 * size, 2 * size))  # JPEG only: decodes at 1/2, 1/4 or 1/8, many times faster
        _refuse_large(image)
        return to_array(image, size, fit)


def read_whole(path: str | Path) -> np.ndarray:
    """A picture as ``(3, h, w)`` uint8 at its own size, otherwise as :func:`read_image` has it.

    Raises:
        UnreadableImageError: with the reason.
    """
    with _opened(path) as image:
        _refuse_large(image)
        if image.getexif().get(_ORIENTATION, 1) != 1:
            image = ImageOps.exif_transpose(image)
        image = _resizable(image)
        if image.mode in ("LA", "RGBA"):
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
        return np.ascontiguousarray(np.asarray(image.convert("RGB"), dtype=np.uint8).transpose(2, 0, 1))


def _refuse_large(image: Image.Image) -> None:
    if image.width * image.height > LARGEST:
        pixels = f"{image.width * image.height / 1e6:.0f} million pixels"
        raise UnreadableImageError(f"{pixels}: too large, at most {LARGEST / 1e6:.0f} million")


@contextmanager
def _opened(path: str | Path) -> Iterator[Image.Image]:
    """An open picture; whatever goes wrong with it, here or in the caller's hands, is told as its reason."""
    try:
        if os.path.getsize(path) == 0:
            raise UnreadableImageError("empty file")
        with Image.open(path, formats=FORMATS) as image:
            if min(image.size) < SMALLEST:
                width, height = image.size
                raise UnreadableImageError(f"{width}x{height} pixels: too small, at least {SMALLEST}x{SMALLEST} needed")
            yield image
    except UnreadableImageError:
        raise
    except FileNotFoundError as error:
        raise UnreadableImageError("no such file") from error
    except PermissionError as error:
        raise UnreadableImageError("no permission to read it") from error
    except Image.DecompressionBombError as error:
        raise UnreadableImageError("more pixels than Pillow opens (Image.MAX_IMAGE_PIXELS)") from error
    except UnidentifiedImageError as error:
        raise UnreadableImageError("not an image") from error
    except Exception as error:  # damaged files make Pillow's decoders raise nearly anything
        raise UnreadableImageError(" ".join(str(error).split()) or type(error).__name__) from error


def to_array(image: Image.Image, size: int, fit: Fit = "crop") -> np.ndarray:
    """An open picture as ``(3, size, size)`` uint8; see :func:`read_image`."""
    if image.getexif().get(_ORIENTATION, 1) != 1:
        image = ImageOps.exif_transpose(image)
    small = _resized(_resizable(image), size, fit)
    if small.mode in ("LA", "RGBA") or fit == "pad":
        # made small before it is put on white: a picture's alpha costs as much as its colours
        white = Image.new("RGBA", (size, size), "white")
        corner = ((size - small.width) // 2, (size - small.height) // 2)
        white.alpha_composite(small.convert("RGBA"), corner)
        small = white
    return np.ascontiguousarray(np.asarray(small.convert("RGB"), dtype=np.uint8).transpose(2, 0, 1))


def _resizable(image: Image.Image) -> Image.Image:
    """The picture in a mode whose values can be averaged."""
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_eight_bits(np.asarray(image, dtype=np.float64), image.mode))
    if image.mode in ("LA", "RGBA") or (image.mode in ("L", "RGB") and "transparency" not in image.info):
        return image
    return image.convert("RGBA" if "transparency" in image.info or image.mode == "PA" else "RGB")


def _resized(image: Image.Image, size: int, fit: Fit) -> Image.Image:
    width, height = image.size
    box = (0, 0, width, height)
    target = (size, size)
    if fit == "crop":
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        box = (left, top, left + side, top + side)
    elif fit == "pad":
        scale = size / max(width, height)
        target = (max(1, round(width * scale)), max(1, round(height * scale)))
    factor = int(min((box[2] - box[0]) / target[0], (box[3] - box[1]) / target[1]) / 3)
    if factor > 1:  # whole-number averaging first: many times faster, and the filter still sees three pixels for one
        return image.reduce(factor, box).resize(target, Image.Resampling.BICUBIC)
    return image.resize(target, Image.Resampling.BICUBIC, box)


def _eight_bits(values: np.ndarray, mode: str) -> np.ndarray:
    """16-bit integers and floats in 0..1 by their range, others from their smallest to their largest value."""
    if not np.isfinite(values).all():
        raise UnreadableImageError("has NaN or infinite values")
    low, high = float(values.min()), float(values.max())
    if mode == "F" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif mode != "F" and low >= 0 and high <= 65535:
        low, high = 0.0, 65535.0
    return np.rint((values - low) * (255 / max(high - low, 1e-12))).astype(np.uint8)
