"""A small network for super-resolution, with features of its own."""

import math

import torch.nn.functional as F
from torch import Tensor, nn

from likewise.core.errors import InputError
from likewise.core.recipe import FROM_DATA, part


def enlarge(low: Tensor, factor: int) -> Tensor:
    """Bicubic: ``(n, c, h, w)`` in 0..1 -> ``(n, c, factor * h, factor * w)``, not clamped."""
    return F.interpolate(low, scale_factor=factor, mode="bicubic", align_corners=False)


class _Residual(nn.Module):
    """Two 3x3 convolutions beside the identity, without normalisation."""

    def __init__(self, dim: int, scale: float) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(dim, dim, 3, padding=1), nn.ReLU(), nn.Conv2d(dim, dim, 3, padding=1))
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.scale * self.body(x)
        return out


@part("encoder", "edsr")
class EDSR(nn.Module):
    """EDSR (Lim et al., 2017) around a bicubic enlargement, which it starts as; features are the body's, pooled.

    Residual blocks without normalisation at the low resolution, then a pixel shuffle for each doubling (one for 3).
    Pictures are ``(n, channels, h, w)`` with values 0..1, of any size.

    Args:
        dim: channels, and width of the features.
        blocks: residual blocks.
        factor: how many times wider and higher: 2, 3 or 4.
        residual_scale: on each block's branch; 0.1 steadies wide networks.
        channels: of the images.
    """

    def __init__(
        self,
        dim: int = 64,
        blocks: int = 16,
        factor: int = 2,
        residual_scale: float = 1.0,
        channels: int = FROM_DATA,
    ) -> None:
        super().__init__()
        if factor not in (2, 3, 4):
            raise InputError(f"edsr: factor={factor}: pictures are made 2, 3 or 4 times larger")
        if dim < 1 or blocks < 1:
            raise InputError(f"edsr: dim={dim} and blocks={blocks} must be at least 1")
        self.dim, self.factor = dim, factor
        self.head = nn.Conv2d(channels, dim, 3, padding=1)
        self.body = nn.Sequential(
            *(_Residual(dim, residual_scale) for _ in range(blocks)), nn.Conv2d(dim, dim, 3, padding=1)
        )
        self.shuffles = nn.Sequential()
        for once in [3] if factor == 3 else [2] * int(math.log2(factor)):
            self.shuffles.extend([nn.Conv2d(dim, dim * once**2, 3, padding=1), nn.PixelShuffle(once)])
        self.tail = nn.Conv2d(dim, channels, 3, padding=1)
        nn.init.zeros_(self.tail.weight)
        if self.tail.bias is not None:
            nn.init.zeros_(self.tail.bias)

    @property
    def reach(self) -> int:
        """How many pixels of the small picture away a restored pixel still depends on it."""
        return 2 * len(self.body) + 4

    def maps(self, low: Tensor) -> Tensor:
        """Features of every position, ``(n, dim, h, w)``."""
        first = self.head(low - 0.5)
        out: Tensor = first + self.body(first)
        return out

    def restore(self, low: Tensor) -> Tensor:
        """The picture enlarged ``factor`` times; around 0..1, not clamped."""
        detail: Tensor = self.tail(self.shuffles(self.maps(low)))
        return enlarge(low, self.factor) + detail

    def forward(self, low: Tensor) -> Tensor:
        """Features ``(n, dim)``: the mean over positions."""
        return self.maps(low).mean((2, 3))
