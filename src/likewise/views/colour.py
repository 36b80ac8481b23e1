"""Colour jitter, grayscale and solarisation of a batch of images.

Brightness, contrast, saturation, hue and grayscale are one affine map of each image's colours.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from likewise.core.draws import Draws

LUMA = (0.299, 0.587, 0.114)
_YIQ = (LUMA, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))


@dataclass
class Colour:
    """``(n,)`` float32 factors of brightness, contrast and saturation (1: unchanged), hue in turns, ``gray`` bool."""

    brightness: Tensor
    contrast: Tensor
    saturation: Tensor
    hue: Tensor
    gray: Tensor

    def __len__(self) -> int:
        return len(self.gray)

    def __getitem__(self, part: slice) -> "Colour":
        return Colour(
            self.brightness[part], self.contrast[part], self.saturation[part], self.hue[part], self.gray[part]
        )


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
    """``(n, 3, 3)``: brightness, saturation, hue and grayscale of RGB columns; all but brightness keep the luma."""
    device = colour.hue.device
    yiq = torch.tensor(_YIQ, device=device, dtype=torch.float64)
    angle = (-2 * math.pi * colour.hue).double()
    chroma = torch.where(colour.gray, 0.0, colour.saturation).double()
    cos, sin = chroma * angle.cos(), chroma * angle.sin()
    zero, one = torch.zeros_like(cos), torch.ones_like(cos)
    turn = torch.stack([one, zero, zero, zero, cos, -sin, zero, sin, cos], 1).view(-1, 3, 3)
    matrix = torch.linalg.inv(yiq) @ turn @ yiq
    return (matrix * colour.brightness.double()[:, None, None]).float()


def apply_colour(x: Tensor, colour: Colour) -> Tensor:
    """Colours of ``x (n, c, h, w)`` floats in 0..1, changed and clamped to 0..1.

    Contrast is about the mean luma of each image. The order is irrelevant: saturation, hue and grayscale keep the
    luma, and nothing is clamped before the end. Images without three channels get brightness and contrast only.
    """
    n, channels = x.shape[:2]
    if channels == 3:
        x = torch.bmm(colour_matrix(colour), x.reshape(n, 3, -1)).view_as(x)
        mean = x.mean((2, 3)) @ x.new_tensor(LUMA)
    else:
        x = x * colour.brightness[:, None, None, None]
        mean = x.mean((1, 2, 3))
    offset = (1 - colour.contrast) * mean
    return x.mul_(colour.contrast[:, None, None, None]).add_(offset[:, None, None, None]).clamp_(0, 1)


def apply_solarize(x: Tensor, chosen: Tensor, threshold: float = 0.5) -> Tensor:
    """``1 - x`` where ``x >= threshold`` in the samples ``chosen (n,)`` bool; floats in 0..1, changed in place."""
    index = chosen.nonzero().flatten()
    if len(index):
        part = x[index]
        x[index] = torch.where(part >= threshold, 1 - part, part)
    return x
