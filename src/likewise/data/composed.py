"""Real pictures composed anew, for questions that no ready set answers. What is composed is said in the name."""

from typing import Literal

import torch

from likewise.core.draws import Draws
from likewise.core.errors import InputError
from likewise.core.recipe import part
from likewise.data.catalogue import about
from likewise.data.dataset import Dataset
from likewise.data.sources import digits

# saturated, of similar brightness, far apart in hue
_COLOURS = {"red": (220, 60, 60), "green": (60, 180, 60), "blue": (70, 90, 230), "yellow": (200, 180, 40)}


@part("data")
def coloured_digits(
    label: Literal["digit", "colour"] = "digit", contrast: float = 0.35, image_size: int = 16, limit: int | None = None
) -> Dataset:
    """scikit-learn's digits, painted faintly on squares of four strong colours: an easy feature hides a hard one.

    A digit's colour is drawn by its position in the source and has nothing to do with what digit it is.

    Args:
        label: what the labels say; the pictures are the same.
        contrast: how much darker the digit's strokes are than the colour behind, 0 to 1.
        image_size: pixels on a side.
        limit: use at most this many training samples.
    """
    if not 0 < contrast <= 1:
        raise InputError(f"coloured-digits: contrast={contrast} must be above 0 and at most 1")
    found = digits(image_size=image_size)
    strokes = found.columns["image"]
    assert isinstance(strokes, torch.Tensor)
    which = Draws(0, 0, torch.arange(len(found))).integers(len(_COLOURS))
    colours = torch.tensor(list(_COLOURS.values()))[which]
    light = 1 - contrast * strokes.float() / 255
    images = (colours[:, :, None, None] * light).round().to(torch.uint8)
    labels, classes = (found.labels, found.classes) if label == "digit" else (which, list(_COLOURS))
    name, keys = "coloured-digits", [f"coloured-{key}" for key in found.keys]
    out = Dataset(name, {"image": images}, keys, found.test, labels, classes, about=about(name))
    return out.limited(limit)
