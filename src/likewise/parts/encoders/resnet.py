"""ResNet-18 and ResNet-50 (He et al., 2016, arXiv:1512.03385) with the usual stem for small images."""

from typing import Literal

import torch
from torch import Tensor, nn

from likewise.core.recipe import FROM_DATA, part

Stem = Literal["cifar", "imagenet"]


def _conv(before: int, after: int, size: int, stride: int = 1) -> nn.Conv2d:
    conv = nn.Conv2d(before, after, size, stride=stride, padding=size // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv


class Residual(nn.Module):
    """``relu(shortcut(x) + branch(x))``; the shortcut is a 1x1 convolution where the shape changes."""

    def __init__(self, before: int, width: int, *, stride: int, bottleneck: bool, zero_init: bool) -> None:
        super().__init__()
        after = 4 * width if bottleneck else width
        # (channels in, channels out, kernel, stride); the bottleneck strides in its 3x3, as torchvision's does
        convs = (
            [(before, width, 1, 1), (width, width, 3, stride), (width, after, 1, 1)]
            if bottleneck
            else [(before, width, 3, stride), (width, after, 3, 1)]
        )
        layers: list[nn.Module] = []
        for conv in convs:
            layers += [_conv(*conv), nn.BatchNorm2d(conv[1]), nn.ReLU(inplace=True)]
        self.branch = nn.Sequential(*layers[:-1])
        if zero_init:
            # each block starts as the identity (Goyal et al., 2017)
            nn.init.zeros_(self.branch[-1].weight)  # type: ignore[arg-type]
        same = before == after and stride == 1
        shortcut = (_conv(before, after, 1, stride), nn.BatchNorm2d(after))
        self.shortcut = nn.Identity() if same else nn.Sequential(*shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """Feature maps ``(n, c, h, w)`` to ``(n, c', h/stride, w/stride)``."""
        out: Tensor = (self.shortcut(x) + self.branch(x)).relu_()
        return out


class ResNet(nn.Module):
    """Stem, four stages of residual blocks, and the mean over positions.

    Args:
        blocks: per stage.
        channels: of the images.
        bottleneck: 1x1-3x3-1x1 blocks with four times the width at the end (ResNet-50 and up).
        stem: ``cifar``: one 3x3 convolution at full size and no pooling (SimCLR, section B.9); ``imagenet``: 7x7 of
            stride 2 and max-pooling.
        width: channels of the first stage.
        zero_init: start each block as the identity.
    """

    def __init__(
        self,
        blocks: tuple[int, ...],
        channels: int,
        *,
        bottleneck: bool = False,
        stem: Stem = "cifar",
        width: int = 64,
        zero_init: bool = True,
    ) -> None:
        super().__init__()
        first = _conv(channels, width, 3) if stem == "cifar" else _conv(channels, width, 7, 2)
        pool = nn.Identity() if stem == "cifar" else nn.MaxPool2d(3, stride=2, padding=1)
        self.stem = nn.Sequential(first, nn.BatchNorm2d(width), nn.ReLU(inplace=True), pool)
        stages: list[nn.Module] = []
        before = width
        for level, count in enumerate(blocks):
            inner = width * 2**level
            for block in range(count):
                stride = 2 if level > 0 and block == 0 else 1
                stages.append(Residual(before, inner, stride=stride, bottleneck=bottleneck, zero_init=zero_init))
                before = 4 * inner if bottleneck else inner
        self.stages = nn.Sequential(*stages)
        self.dim = before

    def forward(self, view: Tensor) -> Tensor:
        """Features ``(n, dim)`` of images ``(n, channels, h, w)``."""
        # up to twice as fast on a CPU in this memory layout
        out: Tensor = self.stages(self.stem(view.contiguous(memory_format=torch.channels_last))).mean((2, 3))
        return out


@part("encoder", "resnet18")
def resnet18(channels: int = FROM_DATA, stem: Stem = "cifar", width: int = 64, zero_init: bool = True) -> ResNet:
    """ResNet-18, ``dim`` = 8 x width (512); see :class:`ResNet`."""
    return ResNet((2, 2, 2, 2), channels, stem=stem, width=width, zero_init=zero_init)


@part("encoder", "resnet50")
def resnet50(channels: int = FROM_DATA, stem: Stem = "imagenet", width: int = 64, zero_init: bool = True) -> ResNet:
    """ResNet-50, ``dim`` = 32 x width (2048); see :class:`ResNet`."""
    return ResNet((3, 4, 6, 3), channels, bottleneck=True, stem=stem, width=width, zero_init=zero_init)
