"""Random resized crop, flip and Gaussian blur of a batch of images: one separable linear resampling.

Every row of a view is a weighted sum of a few source rows, and every column one of source columns, with weights of
each sample's own. Flip and blur only change the weights, and a shrinking crop widens them (antialiasing).
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
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


@dataclass
class Taps:
    """A sparse matrix per sample, source pixels by output pixels.

    Attributes:
        index: ``(n, size, taps)`` int64, the source pixels that make up each output pixel.
        weight: ``(n, size, taps)`` float32, how much of each.
    """

    index: Tensor
    weight: Tensor

    def __getitem__(self, rows: slice) -> "Taps":
        return Taps(self.index[rows], self.weight[rows])


@dataclass
class Resampling:
    """How the views of ``n`` samples come from their images: taps ``down`` the rows and ``across`` the columns."""

    down: Taps
    across: Taps
    blur: Taps | None

    def __getitem__(self, rows: slice) -> "Resampling":
        return Resampling(self.down[rows], self.across[rows], None if self.blur is None else self.blur[rows])


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
    root = torch.exp(0.5 * (low + (high - low) * u[:, ATTEMPTS : 2 * ATTEMPTS]))
    side = area.sqrt()
    across, down = side * root, side / root
    fits = (across <= width) & (down <= height)
    first = fits.to(torch.uint8).argmax(1, keepdim=True)
    central = min(max(width / height, ratio[0]), ratio[1])
    none = ~fits.any(1)
    box_width = torch.where(none, min(width, height * central), across.gather(1, first)[:, 0])
    box_height = torch.where(none, min(height, width / central), down.gather(1, first)[:, 0])
    place = torch.where(none[:, None], 0.5, u[:, 2 * ATTEMPTS : 2 * ATTEMPTS + 2])
    top, left = place[:, 0] * (height - box_height), place[:, 1] * (width - box_width)
    return Crop(top, left, box_height, box_width, u[:, -1] < flip_prob)


def whole(num: int, height: int, width: int, device: torch.device) -> Crop:
    """The boxes of ``num`` whole images."""
    zero = torch.zeros(num, device=device)
    return Crop(zero, zero, zero + height, zero + width, zero > 0)


def draw_blur(draws: Draws, *, prob: float, sigma: tuple[float, float] = (0.1, 2.0)) -> Tensor:
    """``(n,)`` standard deviations in output pixels, uniform in ``sigma``; 0 where a sample stays sharp."""
    u = draws.uniform(2)
    return torch.where(u[:, 0] < prob, sigma[0] + (sigma[1] - sigma[0]) * u[:, 1], 0.0)


def blur_kernel_size(size: int) -> int:
    """A tenth of the image, made odd, at least 3 (Chen et al., "SimCLR", 2020, appendix A)."""
    return max(3, int(0.1 * size) // 2 * 2 + 1)


def crop_taps(start: Tensor, extent: Tensor, source: int, size: int, flip: Tensor | None = None) -> Taps:
    """Resize ``[start, start + extent)`` of ``source`` pixels to ``size`` pixels.

    The triangle filter, widened by the scale where the box shrinks and cut at the image's border: the weights of
    Pillow's ``resize(..., BILINEAR, box=...)``. The number of taps depends on the sizes alone.
    """
    scale = extent / size
    centre = start[:, None] + (torch.arange(size, device=start.device) + 0.5) * scale[:, None]
    if flip is not None:
        centre = torch.where(flip[:, None], centre.flip(1), centre)
    centre, support = centre[:, :, None], scale.clamp_min(1)[:, None, None]
    offsets = torch.arange(math.ceil(2 * max(1.0, source / size)), device=start.device)
    place = (centre - support + 0.5).floor() + offsets
    weight = (1 - (place + 0.5 - centre).abs() / support).clamp_min_(0)
    weight *= (place >= 0) & (place < source)
    return Taps(place.clamp_(0, source - 1).long(), weight / weight.sum(2, keepdim=True))


def blur_taps(sigma: Tensor, size: int, kernel: int) -> Taps:
    """A Gaussian with ``kernel`` taps, mirrored about the centre of the last pixel; sigma 0 leaves a sample sharp.

    Images smaller than the kernel get fewer taps.
    """
    radius = min(kernel // 2, size - 1)
    offsets = torch.arange(-radius, radius + 1, device=sigma.device)
    weight = torch.exp(-0.5 * (offsets / sigma.clamp_min(1e-6)[:, None]) ** 2)
    weight /= weight.sum(1, keepdim=True)
    place = (torch.arange(size, device=sigma.device)[:, None] + offsets).abs()
    place = torch.minimum(place, 2 * (size - 1) - place)
    shape = (len(sigma), *place.shape)
    return Taps(place.expand(shape), weight[:, None].expand(shape))


def plan_crop(
    crop: Crop, height: int, width: int, size: int, *, sigma: Tensor | None = None, kernel: int = 3
) -> Resampling:
    """The taps of crop, flip and blur, for images of ``height`` x ``width`` to views of ``size`` x ``size``."""
    down = crop_taps(crop.top, crop.height, height, size)
    across = crop_taps(crop.left, crop.width, width, size, crop.flip)
    return Resampling(down, across, None if sigma is None else blur_taps(sigma, size, kernel))


def mix_rows(x: Tensor, taps: Taps) -> Tensor:
    """Rows of ``x (n, c, h, w)`` mixed by each sample's taps: ``(n, c, size, w)``.

    A sparse matrix times each image. An embedding bag reads whole rows: one pass over memory, however few the taps.
    """
    n, channels, height, width = x.shape
    size, num = taps.index.shape[1:]
    base = torch.arange(0, n * channels * height, height, device=x.device).view(n, channels, 1, 1)
    index = (taps.index[:, None] + base).view(-1, num)
    weight = taps.weight.to(x.dtype)[:, None].expand(n, channels, size, num).reshape(-1, num)
    bags = F.embedding_bag(index, x.reshape(-1, width), mode="sum", per_sample_weights=weight)
    return bags.view(n, channels, size, width)


def resample(x: Tensor, plan: Resampling) -> Tensor:
    """Float images ``x (n, c, h, w)`` to ``(n, c, size, size)``.

    Rows are gathered by their taps. Columns would need a transposed copy for that, and one small matrix product per
    sample, whose matrix already holds the blur, is as fast on a CPU and faster on a GPU.
    """
    n, channels, _, width = x.shape
    size = plan.across.index.shape[1]
    across = torch.zeros(n, 1, size, width, device=x.device)
    across[:, 0].scatter_add_(2, plan.across.index, plan.across.weight)
    if plan.blur is not None:
        across = mix_rows(across, plan.blur)
    rows = mix_rows(x, plan.down).view(n, channels * size, width)
    out = torch.bmm(rows, across[:, 0].to(x.dtype).transpose(1, 2)).view(n, channels, size, size)
    return out if plan.blur is None else mix_rows(out, plan.blur)


def apply_crop(x: Tensor, crop: Crop, size: int, *, sigma: Tensor | None = None, kernel: int = 3) -> Tensor:
    """Crop, flip and blur float images ``x (n, c, h, w)`` to ``(n, c, size, size)``; the range of values stays.

    Pixels outside of the box count where the filter reaches over its edge, as in Pillow.

    Args:
        x: floating point.
        crop: from :func:`draw_crop`.
        size: of the output, pixels.
        sigma: from :func:`draw_blur`, or None; the result equals :func:`apply_blur` on the sharp crop.
        kernel: taps of the blur, odd.
    """
    return resample(x, plan_crop(crop, x.shape[2], x.shape[3], size, sigma=sigma, kernel=kernel))


def apply_blur(x: Tensor, sigma: Tensor, kernel: int) -> Tensor:
    """Blur float images ``x (n, c, h, w)``; ``sigma (n,)`` in pixels, 0 leaves a sample as it is."""
    down = mix_rows(x, blur_taps(sigma, x.shape[2], kernel))
    return mix_rows(down.transpose(2, 3), blur_taps(sigma, x.shape[3], kernel)).transpose(2, 3)
