"""Drawn pictures of which every word that is said is true: a coloured shape in a corner."""

import torch
from torch import Tensor

from likewise.core.draws import Draws
from likewise.core.errors import InputError
from likewise.core.recipe import part
from likewise.data.catalogue import about
from likewise.data.dataset import Dataset
from likewise.data.dialogues import Turn, of_turns

COLOURS = {"red": (1.0, 0.1, 0.1), "green": (0.1, 0.9, 0.1), "blue": (0.2, 0.2, 1.0), "yellow": (0.9, 0.9, 0.1)}
SHAPES = ("square", "circle", "triangle")
PLACES = ("top left", "top right", "bottom left", "bottom right")
SIZES = ("small", "big")


@part("data")
def drawn_scenes(num: int = 2000, num_test: int = 400, image_size: int = 16, split_seed: int = 0) -> Dataset:
    """A square, circle or triangle of four colours, two sizes and four places, noisy; four questions about each.

    An answer begins with what was asked for and goes on with the rest, so that answers tell pictures apart.

    Args:
        num: training pictures.
        num_test: and as many others to test.
        image_size: pixels on a side, at least 8.
        split_seed: of the chance.
    """
    if min(num, num_test) < 2 or image_size < 8:
        raise InputError(f"drawn-scenes: num={num}, num_test={num_test} at least 2, image_size={image_size} at least 8")
    draws = Draws(split_seed, 0, torch.arange(num + num_test))
    kinds = torch.stack([draws.integers(high) for high in (len(COLOURS), len(SHAPES), len(PLACES), len(SIZES))], 1)
    images = _drawn(kinds, draws, image_size)
    turns = [_said(*row) for row in kinds.tolist()]
    keys = [f"scene {i}: {turn[0][1]}" for i, turn in enumerate(turns)]
    test = torch.arange(num + num_test) >= num
    return of_turns("drawn-scenes", images, turns, keys, test=test, about=about("drawn-scenes"))


def _drawn(kinds: Tensor, draws: Draws, size: int) -> Tensor:
    colour, shape, place, big = kinds.unbind(1)
    grid = (torch.arange(size) + 0.5) * 16 / size
    jitter = draws.uniform(2, low=-0.7, high=0.7)
    x = grid[None, None, :] - (4 + 8 * (place % 2) + jitter[:, 0])[:, None, None]
    y = grid[None, :, None] - (4 + 8 * (place // 2) + jitter[:, 1])[:, None, None]
    radius = (2 + 1.4 * big)[:, None, None]
    inside = torch.stack(
        [
            (x.abs() <= radius * 0.85) & (y.abs() <= radius * 0.85),
            x.square() + y.square() <= radius.square(),
            (y <= radius * 0.8) & (x.abs() <= (y + radius) / 2),
        ]
    )[shape, torch.arange(len(kinds))]
    light = draws.uniform(low=0.7, high=1.0)[:, None] * torch.tensor(list(COLOURS.values()))[colour]
    clean = inside[:, None] * light[:, :, None, None]
    noisy = clean + 0.15 * draws.normal(3, size, size)
    return (noisy.clamp(0, 1) * 255).round().to(torch.uint8)


def _said(colour: int, shape: int, place: int, size: int) -> list[Turn]:
    c, s, p, z = list(COLOURS)[colour], SHAPES[shape], PLACES[place], SIZES[size]
    return [
        ("what colour is it?", f"{c}: the {z} {s} at the {p}"),
        ("what shape is it?", f"{s}: the {z} {c} one at the {p}"),
        ("where is it?", f"{p}: there is the {z} {c} {s}"),
        ("how large is it?", f"{z}: the {c} {s} at the {p}"),
    ]
