"""Colour jitter, grayscale and solarisation of a batch of images.

Brightness, contrast, saturation, hue and grayscale are one affine map of each image's colours.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from likewise.core.draws import Draws

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the luma, Y of YIQ."""


def _basis() -> list[list[float]]:
    """Three 3 x 3 matrices, flat: luma to grey; chroma as it is; chroma turned by a quarter, in YIQ (FCC 1953)."""
    yiq = torch.tensor([LUMA, (0.595716, -0.274453, -0.321263), (0.211456, -0.522591, 0.311135)], dtype=torch.float64)
    quarter = torch.tensor([[0, 0, 0], [0, 0, 1], [0, -1, 0]], dtype=torch.float64)
    luma = yiq[0].expand(3, 3)
    turned = torch.linalg.inv(yiq) @ quarter @ yiq
    return [m.flatten().tolist() for m in (luma, torch.eye(3, dtype=torch.float64) - luma, turned)]


_BASIS = _basis()


@dataclass
class Colour:
    """``(n,)`` float32 factors of brightness, contrast and saturation (1: unchanged), hue in turns, ``gray`` bool."""

    brightness: Tensor
    contrast: Tensor
    saturation: Tensor
    hue: Tensor
    gray: Tensor


@dataclass
class ColourMap:
    """``matrix @ rgb + pull * mean luma + bottom`` per image, then clamped to ``low .. high``.

    Attributes:
        matrix: ``(n, 3, 3)``; ``(n, c, 1)`` factors of each channel where there are not three.
        pull: ``(n, c)``, how much of the image's mean luma is added (contrast).
        bottom: ``(c,)``, added to all.
        low: of the result, one number or one per channel.
        high: of the result.
    """

    matrix: Tensor
    pull: Tensor
    bottom: Tensor
    low: Sequence[float]
    high: Sequence[float]

    def __getitem__(self, rows: slice) -> "ColourMap":
        return ColourMap(self.matrix[rows], self.pull[rows], self.bottom, self.low, self.high)


def draw_colour(
    draws: Draws,
    *,
    jitter: tuple[float, float, float, float] = (0.8, 0.8, 0.8, 0.2),
    jitter_prob: float = 0.8,
    gray_prob: float = 0.2,
) -> Colour:
    """Factors uniform in ``[max(0, 1 - s), 1 + s]`` for the first three strengths s, hue in ``[-s, s]`` turns.

    Args:
        draws: one row per sample.
        jitter: strengths of brightness, contrast, saturation and hue.
        jitter_prob: probability that a sample is jittered (in all four).
        gray_prob: probability of a grayscale view.
    """
    u = draws.uniform(6)
    low = torch.tensor([max(0.0, 1 - s) for s in jitter[:3]] + [-jitter[3]], device=draws.device)
    high = torch.tensor([1 + s for s in jitter[:3]] + [jitter[3]], device=draws.device)
    neutral = torch.tensor([1.0, 1.0, 1.0, 0.0], device=draws.device)
    values = torch.where(u[:, 4:5] < jitter_prob, low + (high - low) * u[:, :4], neutral)
    return Colour(values[:, 0], values[:, 1], values[:, 2], values[:, 3], u[:, 5] < gray_prob)


def draw_solarize(draws: Draws, *, prob: float) -> Tensor:
    """``(n,)`` bool, true for the samples to solarise."""
    return draws.bernoulli(prob)


def colour_matrix(colour: Colour) -> Tensor:
    """``(n, 3, 3)`` on RGB columns: brightness, saturation, hue and grayscale. All but brightness keep the luma.

    Hue turns the chroma plane of YIQ, red towards yellow and green where it is positive; saturation scales the plane.
    """
    chroma = torch.where(colour.gray, 0.0, colour.saturation)
    angle = 2 * math.pi * colour.hue
    parts = torch.stack([torch.ones_like(chroma), chroma * angle.cos(), chroma * angle.sin()], 1)
    basis = torch.tensor(_BASIS, device=parts.device)
    return (colour.brightness[:, None] * (parts @ basis)).view(-1, 3, 3)


def plan_colour(
    colour: Colour, channels: int, *, low: Sequence[float] = (0.0,), high: Sequence[float] = (1.0,)
) -> ColourMap:
    """The affine map of ``colour`` for values 0..1, followed by a stretch of 0..1 to ``low .. high``."""
    bottom, top = (colour.hue.new_tensor(ends).expand(channels) for ends in (low, high))
    scaled = colour.contrast[:, None] * (top - bottom)
    if channels == 3:
        matrix = scaled[:, :, None] * colour_matrix(colour)
    else:
        matrix = (scaled * colour.brightness[:, None])[:, :, None]
    pull = ((1 - colour.contrast) * colour.brightness)[:, None] * (top - bottom)
    return ColourMap(matrix, pull, bottom, low, high)


def recolour(x: Tensor, plan: ColourMap, out: Tensor | None = None) -> Tensor:
    """Float images ``x (n, c, h, w)`` through their colour maps, into ``out`` if given (contiguous)."""
    n, channels = x.shape[:2]
    mean = x.mean((2, 3))
    luma = mean @ mean.new_tensor(LUMA) if channels == 3 else mean.mean(1)
    offset = torch.addcmul(plan.bottom, plan.pull, luma[:, None])
    if channels == 3:
        flat = torch.bmm(plan.matrix.to(x.dtype), x.reshape(n, 3, -1), out=None if out is None else out.view(n, 3, -1))
        mapped = flat.view(x.shape)
    else:
        mapped = torch.mul(x, plan.matrix[:, :, :, None], out=out)
    return _clamp(mapped.add_(offset[:, :, None, None]), plan.low, plan.high)


def apply_colour(x: Tensor, colour: Colour) -> Tensor:
    """Change the colours of ``x (n, c, h, w)``, floats in 0..1, and clamp to 0..1.

    Contrast is about the mean luma of each image. Brightness, contrast, saturation, hue and grayscale come out the
    same in any order, since the last three keep the luma and nothing is clamped before the end (torchvision and
    Pillow clamp after each). Images without three channels get brightness and contrast about their mean.
    """
    return recolour(x, plan_colour(colour, x.shape[1]))


def apply_solarize(
    x: Tensor, chosen: Tensor, *, low: Sequence[float] = (0.0,), high: Sequence[float] = (1.0,)
) -> Tensor:
    """Invert the brighter half of the values ``low .. high`` in the samples ``chosen (n,)`` bool, in place."""
    index = chosen.nonzero().flatten()
    if len(index):
        ends = x.new_tensor([lo + hi for lo, hi in zip(low, high)])[:, None, None]
        part = x[index]
        x[index] = torch.minimum(part, ends - part)
    return x


def _clamp(x: Tensor, low: Sequence[float], high: Sequence[float]) -> Tensor:
    # numbers, channel by channel: several times faster than bounds that are tensors
    if len(low) == len(high) == 1:
        return x.clamp_(low[0], high[0])
    for channel, (lo, hi) in enumerate(zip(low, high)):
        x[:, channel].clamp_(lo, hi)
    return x
