"""Random resized crop, flip and Gaussian blur of a batch of images: one separable linear resampling.

Every output row is a weighted sum of source rows and every output column one of source columns, with weights of each
sample's own. Crop, flip and blur only change the weights, so all three together cost what the crop alone does.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from likewise.core.draws import Draws

ATTEMPTS = 10
"""Boxes that are tried per sample before the largest central one is taken (as in torchvision)."""


@dataclass
class Crop:
    """Boxes in pixels of the source, ``(n,)`` float32 each, not rounded; ``flip (n,)`` bool mirrors left and right."""

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor
    flip: Tensor

    def __len__(self) -> int:
        return len(self.top)

    def __getitem__(self, part: slice) -> "Crop":
        return Crop(self.top[part], self.left[part], self.height[part], self.width[part], self.flip[part])


def whole(num: int, height: int, width: int, device: torch.device) -> Crop:
    """The boxes of ``num`` whole images."""
    zero = torch.zeros(num, device=device)
    return Crop(zero, zero, zero + height, zero + width, zero > 0)


def draw_crop(
    draws: Draws,
    height: int,
    width: int,
    *,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
    flip_prob: float = 0.5,
) -> Crop:
    """Boxes of random area and shape (Szegedy et al., "Going deeper with convolutions", 2014, section 6).

    Args:
        draws: one row per sample.
        height: of the source images, pixels.
        width: of the source images, pixels.
        scale: share of the image's area, uniform between the two.
        ratio: width / height of the box, log-uniform between the two.
        flip_prob: probability of a mirrored view.
    """
    u = draws.uniform(2 * ATTEMPTS + 3)
    area = height * width * (scale[0] + (scale[1] - scale[0]) * u[:, :ATTEMPTS])
    low, high = math.log(ratio[0]), math.log(ratio[1])
    shape = torch.exp(low + (high - low) * u[:, ATTEMPTS : 2 * ATTEMPTS])
    across, down = (area * shape).sqrt(), (area / shape).sqrt()
    fits = (across <= width) & (down <= height)
    first = fits.to(torch.uint8).argmax(1, keepdim=True)
    central = min(max(width / height, ratio[0]), ratio[1])
    none = ~fits.any(1)
    box_width = torch.where(none, min(width, height * central), across.gather(1, first)[:, 0])
    box_height = torch.where(none, min(height, width / central), down.gather(1, first)[:, 0])
    place = torch.where(none[:, None], 0.5, u[:, 2 * ATTEMPTS : 2 * ATTEMPTS + 2])
    top, left = place[:, 0] * (height - box_height), place[:, 1] * (width - box_width)
    return Crop(top, left, box_height, box_width, u[:, -1] < flip_prob)


def draw_blur(draws: Draws, *, prob: float, sigma: tuple[float, float] = (0.1, 2.0)) -> Tensor:
    """``(n,)`` standard deviations in output pixels, uniform in ``sigma``; 0 where a sample stays sharp."""
    u = draws.uniform(2)
    return torch.where(u[:, 0] < prob, sigma[0] + (sigma[1] - sigma[0]) * u[:, 1], 0.0)


def blur_kernel_size(size: int) -> int:
    """A tenth of the image, made odd, at least 3 (Chen et al., "SimCLR", 2020, appendix A)."""
    return max(3, int(0.1 * size) // 2 * 2 + 1)


def resample_weights(start: Tensor, extent: Tensor, source: int, size: int, flip: Tensor | None = None) -> Tensor:
    """Weights ``(n, size, source)`` that resize ``[start, start + extent)`` to ``size`` pixels; rows add up to 1.

    The triangle filter, widened by the scale where the box shrinks (antialiasing) and clipped at the image's border:
    Pillow's ``resize(..., BILINEAR, box=...)``.
    """
    scale = extent / size
    steps = torch.arange(size, device=start.device) + 0.5
    centre = start[:, None] + steps * scale[:, None]
    if flip is not None:
        centre = torch.where(flip[:, None], centre.flip(1), centre)
    inverse = 1 / scale.clamp_min(1)
    taps = torch.arange(source, device=start.device) + 0.5
    weights = (centre[:, :, None] - taps).abs_().mul_(-inverse[:, None, None]).add_(1).clamp_min_(0)
    return weights.div_(weights.sum(2, keepdim=True))


def blur_weights(sigma: Tensor, size: int, kernel: int) -> Tensor:
    """Weights ``(n, size, size)`` of a Gaussian blur with ``kernel`` taps, mirrored at the border; sigma 0: none."""
    radius = min(kernel // 2, size - 1)
    taps = torch.arange(-radius, radius + 1, device=sigma.device)
    gauss = torch.exp(-0.5 * (taps / sigma.clamp_min(1e-6)[:, None]) ** 2)
    gauss /= gauss.sum(1, keepdim=True)
    index = torch.arange(size, device=sigma.device)
    where = (index + taps[:, None]).abs()
    where = torch.where(where >= size, 2 * (size - 1) - where, where)
    place = (where[:, :, None] == index).to(gauss.dtype)
    return (gauss @ place.flatten(1)).view(-1, size, size)


def apply_crop(x: Tensor, crop: Crop, size: int, *, sigma: Tensor | None = None, kernel: int = 3) -> Tensor:
    """Crop, flip and blur ``x (n, c, h, w)`` to ``(n, c, size, size)`` float32.

    Args:
        x: uint8 0..255 (comes out as 0..1) or floating point (keeps its range).
        crop: from :func:`draw_crop`.
        size: of the output, pixels.
        sigma: from :func:`draw_blur`, or None; equal to :func:`apply_blur` afterwards.
        kernel: taps of the blur, odd.
    """
    n, channels, height, width = x.shape
    rows = resample_weights(crop.top, crop.height, height, size)
    columns = resample_weights(crop.left, crop.width, width, size, crop.flip)
    if sigma is not None:
        chosen = (sigma > 0).nonzero().flatten()
        if len(chosen):
            blur = blur_weights(sigma[chosen], size, kernel)
            rows[chosen] = blur @ rows[chosen]
            columns[chosen] = blur @ columns[chosen]
    if x.dtype == torch.uint8:
        columns /= 255
    wide = torch.bmm(x.to(torch.float32).reshape(n, channels * height, width), columns.transpose(1, 2))
    return torch.matmul(rows[:, None], wide.view(n, channels, height, size))


def apply_blur(x: Tensor, sigma: Tensor, kernel: int) -> Tensor:
    """Blur square float images ``x (n, c, size, size)``; ``sigma (n,)`` 0 leaves a sample as it is."""
    size = x.shape[-1]
    weights = blur_weights(sigma, size, kernel)[:, None]
    return weights @ x @ weights.transpose(2, 3)
