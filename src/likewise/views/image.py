"""Views of images: two crops, multi-crop and the presets of the papers.

A views part gets raw rows ``{"image": uint8 (n, c, h, w)}`` and gives normalised float32 views by role. Settings that
may differ between the views ``"a"`` and ``"b"`` take one value for both or a pair.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from likewise.core.batch import View
from likewise.core.draws import Draws
from likewise.core.errors import InputError
from likewise.core.recipe import FROM_DATA, part
from likewise.views.colour import Colour, apply_colour, apply_solarize, draw_colour, draw_solarize
from likewise.views.geometry import Crop, apply_crop, blur_kernel_size, draw_blur, draw_crop, whole

Pair = float | tuple[float, float]


@dataclass
class Drawn:
    """Everything random about one view of ``n`` samples; apply it again and the same view comes out."""

    crop: Crop
    sigma: Tensor
    colour: Colour
    solarize: Tensor

    def __getitem__(self, part: slice) -> "Drawn":
        return Drawn(self.crop[part], self.sigma[part], self.colour[part], self.solarize[part])


@dataclass(frozen=True)
class Augment:
    """How one view is drawn, and its size in pixels. Settings as in :func:`two_crops`."""

    size: int
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: bool = True
    jitter: tuple[float, float, float, float] = (0.8, 0.8, 0.8, 0.2)
    jitter_prob: float = 0.8
    gray_prob: float = 0.2
    blur_prob: float = 0.5
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    solarize_prob: float = 0.0

    def __post_init__(self) -> None:
        if self.size < 1:
            raise InputError(f"image views: size is {self.size}, but must be at least 1 pixel")
        for name, (low, high), top in (("scale", self.scale, 1.0), ("ratio", self.ratio, float("inf"))):
            if not 0 < low <= high <= top:
                raise InputError(f"image views: {name} is {low} to {high}, but needs 0 < min <= max <= {top:g}")
        if not 0 <= self.blur_sigma[0] <= self.blur_sigma[1] < float("inf"):
            raise InputError(f"image views: blur_sigma is {self.blur_sigma}, but needs 0 <= min <= max, in pixels")
        for name in ("jitter_prob", "gray_prob", "blur_prob", "solarize_prob"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"image views: {name} is {getattr(self, name)}, but a probability is 0 to 1")
        if len(self.jitter) != 4 or not all(0 <= s < float("inf") for s in self.jitter) or self.jitter[3] > 0.5:
            raise InputError(
                f"image views: jitter is {self.jitter}, but needs four strengths >= 0 "
                "(brightness, contrast, saturation, hue), hue at most 0.5 turns"
            )

    def draw(self, draws: Draws, height: int, width: int) -> Drawn:
        """Draw for images of ``height`` x ``width`` pixels. Each step has its own stream."""
        return Drawn(
            draw_crop(
                draws.fork("crop"),
                height,
                width,
                scale=self.scale,
                ratio=self.ratio,
                flip_prob=0.5 if self.flip else 0.0,
            ),
            draw_blur(draws.fork("blur"), prob=self.blur_prob, sigma=self.blur_sigma),
            draw_colour(
                draws.fork("colour"), jitter=self.jitter, jitter_prob=self.jitter_prob, gray_prob=self.gray_prob
            ),
            draw_solarize(draws.fork("solarize"), prob=self.solarize_prob),
        )

    def apply(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The view of ``x (n, c, h, w)`` uint8: ``(n, c, size, size)`` float32 in 0..1."""
        kernel = blur_kernel_size(self.size)
        out = apply_crop(x, drawn.crop, self.size, sigma=drawn.sigma, kernel=kernel)
        return apply_solarize(apply_colour(out, drawn.colour), drawn.solarize)


class ImageViews(nn.Module):
    """Views by role, each with its :class:`Augment`; none: the plain image under the role ``"image"``.

    Args:
        channels: of the images.
        image_size: of evaluation, pixels.
        augments: role -> how that view is drawn.
        mean: subtracted from the values 0..1, one for all channels or one each.
        std: that they are divided by afterwards.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        channels: int,
        image_size: int,
        augments: dict[str, Augment],
        *,
        mean: tuple[float, ...] = (0.5,),
        std: tuple[float, ...] = (0.5,),
    ) -> None:
        super().__init__()
        if channels < 1 or image_size < 1:
            raise InputError(f"image views: channels is {channels} and image_size {image_size}: both must be >= 1")
        for name, values in (("mean", mean), ("std", std)):
            if len(values) not in (1, channels):
                raise InputError(f"image views: {name} has {len(values)} values, but images have {channels} channels")
        if not all(s > 0 for s in std):
            raise InputError(f"image views: std is {std}, but must be > 0")
        self.channels, self.image_size, self.augments = channels, image_size, augments
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(values).view(-1, 1, 1), persistent=False)

    @torch.no_grad()
    def forward(self, columns: dict[str, View], draws: Draws) -> dict[str, View]:
        """Augmented views of ``columns["image"] (n, c, h, w)`` uint8 by role, float32."""
        if not self.augments:
            return self.plain(columns)
        x = self._image(columns)
        views: dict[str, View] = {}
        for role, augment in self.augments.items():
            drawn = augment.draw(draws.fork(role), x.shape[2], x.shape[3])
            views[role] = self._normalise(augment.apply(x, drawn))
        return views

    @torch.no_grad()
    def plain(self, columns: dict[str, View]) -> dict[str, View]:
        """``{"image": (n, c, image_size, image_size)}`` float32: resized where need be, and normalised."""
        x = self._image(columns)
        if x.shape[2:] != (self.image_size, self.image_size):
            boxes = whole(len(x), x.shape[2], x.shape[3], x.device)
            x = apply_crop(x, boxes, self.image_size)
        else:
            x = x.to(torch.float32) / 255
        return {"image": self._normalise(x)}

    def _image(self, columns: dict[str, View]) -> Tensor:
        x = columns.get("image")
        if not isinstance(x, Tensor):
            raise InputError(f"image views need a column 'image'; the data has: {', '.join(columns) or 'none'}")
        if x.dtype != torch.uint8 or x.ndim != 4 or x.shape[1] != self.channels:
            raise InputError(
                f"images must be uint8 of shape (n, {self.channels}, height, width), got {x.dtype} {tuple(x.shape)}"
            )
        return x

    def _normalise(self, x: Tensor) -> Tensor:
        return x.sub_(self.mean).div_(self.std)


def _sides(value: Pair) -> tuple[float, float]:
    return value if isinstance(value, tuple) else (value, value)


@part("views")
def two_crops(
    channels: int = FROM_DATA,
    image_size: int = FROM_DATA,
    *,
    min_scale: float = 0.08,
    max_scale: float = 1.0,
    flip: bool = True,
    jitter: tuple[float, float, float, float] = (0.4, 0.4, 0.4, 0.1),
    jitter_prob: Pair = 0.8,
    gray_prob: Pair = 0.2,
    blur_prob: Pair = 0.5,
    blur_sigma: tuple[float, float] = (0.1, 2.0),
    solarize_prob: Pair = 0.0,
    mean: tuple[float, ...] = (0.5,),
    std: tuple[float, ...] = (0.5,),
) -> ImageViews:
    """Two random crops of each image, roles ``"a"`` and ``"b"``, ``(n, channels, image_size, image_size)`` each.

    Args:
        channels: of the images; hue, saturation and grayscale act on 3 channels only.
        image_size: of the views, pixels.
        min_scale: smallest share of the image's area in a crop.
        max_scale: largest share.
        flip: mirror half of the views left to right; off where that changes the meaning (digits, text).
        jitter: strengths of brightness, contrast, saturation and hue.
        jitter_prob: probability of jitter, for both views or ``(a, b)``.
        gray_prob: probability of a grayscale view, for both or ``(a, b)``.
        blur_prob: probability of blur, for both or ``(a, b)``.
        blur_sigma: smallest and largest standard deviation of the blur, pixels of the view.
        solarize_prob: probability of solarisation, for both or ``(a, b)``.
        mean: subtracted from the values 0..1, one for all channels or one each.
        std: that they are divided by afterwards.
    """
    augments = {
        role: Augment(
            image_size,
            scale=(min_scale, max_scale),
            flip=flip,
            jitter=jitter,
            jitter_prob=_sides(jitter_prob)[side],
            gray_prob=_sides(gray_prob)[side],
            blur_prob=_sides(blur_prob)[side],
            blur_sigma=blur_sigma,
            solarize_prob=_sides(solarize_prob)[side],
        )
        for side, role in enumerate(("a", "b"))
    }
    return ImageViews(channels, image_size, augments, mean=mean, std=std)


@part("views", "simclr")
def simclr_views(
    channels: int = FROM_DATA,
    image_size: int = FROM_DATA,
    *,
    strength: float = 1.0,
    blur_prob: Pair = 0.5,
    min_scale: float = 0.08,
    flip: bool = True,
) -> ImageViews:
    """SimCLR's views (Chen et al., 2020, appendix A): jitter of ``strength`` (.8, .8, .8, .2), gray .2, blur .5.

    The paper has strength 1 and blur for ImageNet, strength 0.5 and ``blur_prob=0`` for CIFAR.
    """
    jitter = (0.8 * strength, 0.8 * strength, 0.8 * strength, 0.2 * strength)
    return two_crops(channels, image_size, min_scale=min_scale, flip=flip, jitter=jitter, blur_prob=blur_prob)


@part("views", "moco-v2")
def moco_v2_views(
    channels: int = FROM_DATA,
    image_size: int = FROM_DATA,
    *,
    blur_prob: Pair = 0.5,
    min_scale: float = 0.2,
    flip: bool = True,
) -> ImageViews:
    """MoCo v2's views (Chen et al., 2020): crops of at least .2 of the area, jitter (.4, .4, .4, .1), blur .5."""
    return two_crops(
        channels, image_size, min_scale=min_scale, flip=flip, jitter=(0.4, 0.4, 0.4, 0.1), blur_prob=blur_prob
    )


@part("views", "byol")
def byol_views(
    channels: int = FROM_DATA,
    image_size: int = FROM_DATA,
    *,
    blur_prob: Pair = (1.0, 0.1),
    solarize_prob: Pair = (0.0, 0.2),
    min_scale: float = 0.08,
    flip: bool = True,
) -> ImageViews:
    """BYOL's asymmetric views (Grill et al., 2020, table 6), also MoCo v3's: blur 1 and .1, solarise 0 and .2."""
    return two_crops(
        channels,
        image_size,
        min_scale=min_scale,
        flip=flip,
        jitter=(0.4, 0.4, 0.2, 0.1),
        blur_prob=blur_prob,
        solarize_prob=solarize_prob,
    )


@part("views")
def multi_crop(
    channels: int = FROM_DATA,
    image_size: int = FROM_DATA,
    *,
    num_local: int = 6,
    local_size: int | None = None,
    global_scale: tuple[float, float] = (0.14, 1.0),
    local_scale: tuple[float, float] = (0.05, 0.14),
    flip: bool = True,
    jitter: tuple[float, float, float, float] = (0.8, 0.8, 0.8, 0.2),
    jitter_prob: float = 0.8,
    gray_prob: float = 0.2,
    blur_prob: Pair = 0.5,
    blur_sigma: tuple[float, float] = (0.1, 2.0),
    solarize_prob: Pair = 0.0,
    mean: tuple[float, ...] = (0.5,),
    std: tuple[float, ...] = (0.5,),
) -> ImageViews:
    """Two large crops ``"a"``, ``"b"`` and ``num_local`` small ones ``"local0"``, ... (Caron et al., SwAV, 2020).

    Args:
        channels: of the images.
        image_size: of the large views, pixels.
        num_local: how many small views.
        local_size: of the small views, pixels; None: 3/7 of ``image_size`` (96 of 224, as in the paper).
        global_scale: share of the area in a large crop.
        local_scale: share of the area in a small crop.
        flip: mirror half of the views left to right.
        jitter: strengths of brightness, contrast, saturation and hue.
        jitter_prob: probability of jitter.
        gray_prob: probability of a grayscale view.
        blur_prob: probability of blur, for all or ``(a, b)``; small views take a's.
        blur_sigma: smallest and largest standard deviation of the blur, pixels of the view.
        solarize_prob: probability of solarisation, for all or ``(a, b)``; small views take a's.
        mean: subtracted from the values 0..1, one for all channels or one each.
        std: that they are divided by afterwards.
    """
    if num_local < 0:
        raise InputError(f"multi-crop: num_local is {num_local}, but must be >= 0")
    small = max(1, round(image_size * 3 / 7)) if local_size is None else local_size
    sizes = {"a": image_size, "b": image_size} | {f"local{i}": small for i in range(num_local)}
    augments = {
        role: Augment(
            size,
            scale=local_scale if role.startswith("local") else global_scale,
            flip=flip,
            jitter=jitter,
            jitter_prob=jitter_prob,
            gray_prob=gray_prob,
            blur_prob=_sides(blur_prob)[role == "b"],
            blur_sigma=blur_sigma,
            solarize_prob=_sides(solarize_prob)[role == "b"],
        )
        for role, size in sizes.items()
    }
    return ImageViews(channels, image_size, augments, mean=mean, std=std)


@part("views")
def plain_image(
    channels: int = FROM_DATA,
    image_size: int = FROM_DATA,
    *,
    mean: tuple[float, ...] = (0.5,),
    std: tuple[float, ...] = (0.5,),
) -> ImageViews:
    """No augmentation: the resized, normalised image under the role ``"image"``."""
    return ImageViews(channels, image_size, {}, mean=mean, std=std)
