"""Views for restoration: a picture made small, the picture itself, sharper ones that are better and blurred ones."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likewise.core.batch import View
from likewise.core.draws import Draws
from likewise.core.errors import InputError
from likewise.core.recipe import FROM_DATA, part

_WIDEST = 11  # pixels of the largest blur
_SMALLEST = 6  # pixels that the largest blur can be reflected at


def eight_bits(image: Tensor) -> Tensor:
    """Values in 0..1 as a file would keep them: 256 levels, clamped."""
    return (image.clamp(0, 1) * 255).round() / 255


def shrink(image: Tensor, factor: int) -> Tensor:
    """Bicubic with antialiasing, in 8 bits: ``(n, c, h, w)`` in 0..1 -> ``(n, c, h / factor, w / factor)``."""
    size = (image.shape[2] // factor, image.shape[3] // factor)
    return eight_bits(F.interpolate(image, size=size, mode="bicubic", antialias=True, align_corners=False))


def sharpen(image: Tensor, amount: Tensor) -> Tensor:
    """Pictures ``(n, c, h, w)`` in 0..1 away from their smoothed selves, in 8 bits; pixels at the border stay.

    ``amount (n,)``: 0 gives the smoothed picture, 1 the picture, more a sharper one. The smoothing is Pillow's: the
    mean over 3x3 pixels, the middle one counting five times.
    """
    kernel = image.new_ones(3, 3)
    kernel[1, 1] = 5
    channels = image.shape[1]
    inner = F.conv2d(image, (kernel / 13).expand(channels, 1, 3, 3), groups=channels).clamp(0, 1)
    smooth = image.clone()
    smooth[:, :, 1:-1, 1:-1] = inner
    return eight_bits(smooth + amount[:, None, None, None] * (image - smooth))


def blur(image: Tensor, sizes: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur of pictures ``(n, c, h, w)`` in 0..1, reflected at the border, in 8 bits.

    ``sizes (n, 2)`` and ``sigma (n, 2)``: of the kernel of each picture down and across, in pixels; sizes are odd and
    at most 11.
    """
    n, channels, height, width = image.shape
    half = _WIDEST // 2
    at = torch.arange(-half, half + 1, device=image.device)
    taps = torch.exp(-(at**2) / (2 * sigma[..., None] ** 2)) * (at.abs() <= (sizes[..., None] // 2))
    taps = (taps / taps.sum(-1, keepdim=True)).repeat_interleave(channels, 0)
    padded = F.pad(image, (half,) * 4, mode="reflect").view(1, n * channels, height + 2 * half, width + 2 * half)
    down = F.conv2d(padded, taps[:, 0, None, :, None], groups=n * channels)
    out = F.conv2d(down, taps[:, 1, None, None, :], groups=n * channels)
    return eight_bits(out.view(image.shape))


@part("views", "restoration")
class RestorationViews(nn.Module):
    """``"low"``, a picture made ``factor`` times smaller, and ``"high"``, the crop of the picture that it was made of.

    With ``better`` above 0 also ``"sharp"`` and ``"blurred"``, ``(n, better, c, crop, crop)`` each: versions of the
    crop with more detail and with a little less. All values are 0..1 in steps of 1/255.

    Args:
        channels: of the images.
        image_size: of the images, pixels.
        factor: 2, 3 or 4; the same as the encoder's.
        crop: pixels of the crops, a multiple of factor; None: as large as the image allows.
        flip: mirror half of the crops left to right.
        better: sharpened and blurred versions.
        sharpness: smallest and largest amount, see :func:`sharpen`.
        blur_sigma: smallest and largest standard deviation of the blur, pixels.
    """

    def __init__(
        self,
        channels: int = FROM_DATA,
        image_size: int = FROM_DATA,
        *,
        factor: int = 2,
        crop: int | None = None,
        flip: bool = True,
        better: int = 0,
        sharpness: tuple[float, float] = (0.5, 3.0),
        blur_sigma: tuple[float, float] = (0.1, 2.0),
    ) -> None:
        super().__init__()
        if factor not in (2, 3, 4):
            raise InputError(f"restoration: factor={factor}: pictures are made 2, 3 or 4 times smaller")
        whole = image_size - image_size % factor
        if whole < _SMALLEST:
            raise InputError(f"restoration: pictures of {image_size} pixels are too small, at least {_SMALLEST} needed")
        size = whole if crop is None else crop
        if size > image_size or size % factor or size < _SMALLEST:
            raise InputError(
                f"restoration: crop={size}: give a multiple of factor={factor} from {_SMALLEST} to {whole} pixels"
            )
        for name, (low, high) in (("sharpness", sharpness), ("blur_sigma", blur_sigma)):
            if not 0 <= low <= high < float("inf") or (name == "blur_sigma" and low == 0):
                raise InputError(f"restoration: {name} is {low} to {high}, but needs 0 < min <= max")
        if better < 0:
            raise InputError(f"restoration: better={better} must be at least 0")
        self.channels, self.factor, self.crop, self.flip, self.better = channels, factor, size, flip, better
        self.sharpness, self.blur_sigma = sharpness, blur_sigma

    @torch.no_grad()
    def forward(self, columns: dict[str, View], draws: Draws) -> dict[str, View]:
        """Views of ``columns["image"] (n, c, h, w)`` uint8 by role, float32."""
        image = self._image(columns)
        with torch.autocast(image.device.type, enabled=False):
            high = self._crops(image, draws.fork("crop"))
            views: dict[str, View] = {"low": shrink(high, self.factor), "high": high}
            if self.better:
                views["sharp"] = torch.stack(
                    [self._sharp(high, draws.fork(f"sharp{k}")) for k in range(self.better)], 1
                )
                views["blurred"] = torch.stack(
                    [self._blurred(high, draws.fork(f"blur{k}")) for k in range(self.better)], 1
                )
        return views

    @torch.no_grad()
    def plain(self, columns: dict[str, View]) -> dict[str, View]:
        """``{"low": (n, c, h / factor, w / factor)}``: the whole picture, made small."""
        return {"low": shrink(self.whole(columns), self.factor)}

    def whole(self, columns: dict[str, View]) -> Tensor:
        """The pictures ``(n, c, h, w)`` in 0..1, cut to a multiple of factor: what is to be restored."""
        image = self._image(columns)
        height, width = (side - side % self.factor for side in image.shape[2:])
        return image[:, :, :height, :width].float() / 255

    def _crops(self, image: Tensor, draws: Draws) -> Tensor:
        tops, lefts = (draws.integers(side - self.crop + 1) for side in image.shape[2:])
        mirrored = draws.bernoulli(0.5 if self.flip else 0.0)
        at = torch.arange(self.crop, device=image.device)
        rows, columns = tops[:, None] + at, lefts[:, None] + torch.where(mirrored[:, None], at.flip(0), at)
        n = torch.arange(len(image), device=image.device)[:, None, None]
        # indices around a slice put the channels last
        return image[n, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous().float() / 255

    def _sharp(self, image: Tensor, draws: Draws) -> Tensor:
        return sharpen(image, draws.uniform(low=self.sharpness[0], high=self.sharpness[1]))

    def _blurred(self, image: Tensor, draws: Draws) -> Tensor:
        sizes = 3 + 2 * draws.integers(_WIDEST // 2, 2)
        return blur(image, sizes, draws.uniform(2, low=self.blur_sigma[0], high=self.blur_sigma[1]))

    def _image(self, columns: dict[str, View]) -> Tensor:
        image = columns.get("image")
        if not isinstance(image, Tensor):
            raise InputError(f"restoration needs a column 'image'; the data has: {', '.join(columns) or 'none'}")
        if image.dtype != torch.uint8 or image.ndim != 4 or image.shape[1] != self.channels:
            raise InputError(
                f"images must be uint8 of shape (n, {self.channels}, height, width), "
                f"got {image.dtype} {tuple(image.shape)}"
            )
        return image
