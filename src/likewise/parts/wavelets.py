"""Networks on the fine detail of pictures: the high bands of a wavelet."""

from torch import Tensor, nn

from likewise.core.errors import InputError
from likewise.core.recipe import FROM_DATA, part
from likewise.functional.restoration import haar
from likewise.parts.encoders.convnet import Norm, norm2d

_WIDEST = 8  # times the first width


@part("discriminator")
class HaarPatches(nn.Module):
    """Tells real detail from made-up detail, patch by patch, from one level's high bands of the Haar wavelet.

    3x3 convolutions with leaky ReLUs: one, then blocks that halve the resolution and blocks that double the width (up
    to 8 times) in turn; the mean over ``patches`` x ``patches`` parts, and a logit for each. Half a picture's
    resolution goes in, so that the smooth part, which is easy, plays no role.

    Args:
        width: channels of the first convolution.
        blocks: after the first convolution.
        patches: on a side.
        norm: after each convolution.
        channels: of the images.
    """

    def __init__(
        self, width: int = 64, blocks: int = 7, patches: int = 4, norm: Norm = "batch", channels: int = FROM_DATA
    ) -> None:
        super().__init__()
        if min(width, blocks, patches) < 1:
            raise InputError(f"haar-patches: width={width}, blocks={blocks} and patches={patches} must be at least 1")
        self.blocks = nn.ModuleList()
        before, after = 3 * channels, width
        for number in range(blocks + 1):
            halves = number % 2 == 1
            if number and not halves:
                after = min(2 * after, _WIDEST * width)
            conv = nn.Conv2d(before, after, 3, stride=2 if halves else 1, padding=1, bias=norm == "none")
            self.blocks.append(nn.Sequential(conv, norm2d(norm, after)))
            before = after
        self.relu = nn.LeakyReLU(0.2)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(patches), nn.Conv2d(before, 1, 1))

    def features(self, image: Tensor, layers: tuple[int, ...]) -> list[Tensor]:
        """Feature maps of an image ``(n, c, h, w)`` after these blocks (0: the first convolution), before the ReLU."""
        out: list[Tensor] = []
        x = haar(image)[1]
        for number, block in enumerate(self.blocks):
            x = block(x)
            out.append(x)
            if number == max(layers):
                break
            x = self.relu(x)
        return [out[layer] for layer in layers]

    def forward(self, image: Tensor) -> Tensor:
        """Logits ``(n, patches * patches)`` of being real."""
        x = haar(image)[1]
        for block in self.blocks:
            x = self.relu(block(x))
        out: Tensor = self.head(x).flatten(1)
        return out
