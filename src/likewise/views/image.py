"""Views of images: two crops, multi-crop and the presets of the papers.

A views part gets raw rows ``{"image": uint8 (n, c, h, w)}`` and gives normalised float32 views by role. Settings that
may differ between the views ``"a"`` and ``"b"`` take one value for both or a pair.
"""

from string import ascii_lowercase

import torch
from torch import Tensor, nn

from likewise.core.batch import View
from likewise.core.draws import Draws
from likewise.core.errors import InputError
from likewise.core.recipe import FROM_DATA, part
from likewise.views.augment import Augment, Plan
from likewise.views.geometry import apply_crop, whole

Pair = float | tuple[float, float]
CACHED, AT_LEAST = 1 << 17, 24
"""On a CPU a batch goes through all steps in parts of about so many numbers, but so many images."""


class ImageViews(nn.Module):
    """Views by role, each with its :class:`Augment`; none: the plain image under the role ``"image"``.

    Args:
        channels: of the images.
        image_size: of evaluation, pixels.
        augments: role -> how that view is drawn.
        mean: subtracted from the values 0..1, one for all channels or one each.
        std: that they are divided by afterwards.
    """

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
        pairs = list(zip(*(values * channels if len(values) == 1 else values for values in (mean, std))))
        pairs = pairs[:1] if len(set(pairs)) == 1 else pairs
        self.low, self.high = tuple((0 - m) / s for m, s in pairs), tuple((1 - m) / s for m, s in pairs)

    @torch.no_grad()
    def forward(self, columns: dict[str, View], draws: Draws) -> dict[str, View]:
        """Augmented views of ``columns["image"] (n, c, h, w)`` uint8 by role, float32."""
        if not self.augments:
            return self.plain(columns)
        image = self._image(columns)
        with torch.autocast(image.device.type, enabled=False):
            return dict(self._augmented(image, draws))

    def _augmented(self, image: Tensor, draws: Draws) -> dict[str, Tensor]:
        plans: dict[str, Plan] = {}
        views: dict[str, Tensor] = {}
        for role, augment in self.augments.items():
            drawn = augment.draw(draws.fork(role), *image.shape[2:])
            plans[role] = augment.plan(drawn, image, low=self.low, high=self.high)
            views[role] = torch.empty(*image.shape[:2], augment.size, augment.size, device=image.device)
        for rows in self._parts(image):
            x = _unit(image[rows])
            for role, plan in plans.items():
                plan[rows].apply(x, views[role][rows])
        return views

    @torch.no_grad()
    def plain(self, columns: dict[str, View]) -> dict[str, View]:
        """``{"image": (n, c, image_size, image_size)}`` float32: resized where need be, and normalised."""
        image = self._image(columns)
        size = self.image_size
        out = torch.empty(*image.shape[:2], size, size, device=image.device)
        bottom, top = (out.new_tensor(ends)[:, None, None] for ends in (self.low, self.high))
        for rows in self._parts(image):
            x = _unit(image[rows])
            if x.shape[2:] != (size, size):
                x = apply_crop(x, whole(len(x), x.shape[2], x.shape[3], x.device), size)
            out[rows] = x * (top - bottom) + bottom
        return {"image": out}

    def _parts(self, image: Tensor) -> list[slice]:
        """Slices of a batch, small enough on a CPU that what is between two steps stays in the cache."""
        if image.device.type != "cpu":
            return [slice(0, len(image))]
        side = max(self.image_size, *image.shape[2:])
        step = max(AT_LEAST, CACHED // (image.shape[1] * side * side))
        return [slice(at, at + step) for at in range(0, len(image), step)]

    def _image(self, columns: dict[str, View]) -> Tensor:
        x = columns.get("image")
        if not isinstance(x, Tensor):
            raise InputError(f"image views need a column 'image'; the data has: {', '.join(columns) or 'none'}")
        if x.dtype != torch.uint8 or x.ndim != 4 or x.shape[1] != self.channels:
            raise InputError(
                f"images must be uint8 of shape (n, {self.channels}, height, width), got {x.dtype} {tuple(x.shape)}"
            )
        return x


def _unit(image: Tensor) -> Tensor:
    return image.to(torch.float32).mul_(1 / 255)


def _sides(value: Pair) -> tuple[float, float]:
    if not isinstance(value, tuple):
        return value, value
    if len(value) != 2:
        raise InputError(f"image views: {value} has {len(value)} values; give one for both views, or a pair (a, b)")
    return value


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
    num_global: int = 2,
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
    """Large crops ``"a"``, ``"b"``, ... and small ones ``"local0"``, ... (Caron et al., SwAV, 2020).

    Args:
        channels: of the images.
        image_size: of the large views, pixels.
        num_global: how many large views, by the letters of the alphabet: 2 in SwAV, more for multi-view losses.
        num_local: how many small views.
        local_size: of the small views, pixels; None: 3/7 of ``image_size`` (96 of 224, as in the paper).
        global_scale: share of the area in a large crop.
        local_scale: share of the area in a small crop.
        flip: mirror half of the views left to right.
        jitter: strengths of brightness, contrast, saturation and hue.
        jitter_prob: probability of jitter.
        gray_prob: probability of a grayscale view.
        blur_prob: probability of blur, for all or ``(a, b)``; other views take a's.
        blur_sigma: smallest and largest standard deviation of the blur, pixels of the view.
        solarize_prob: probability of solarisation, for all or ``(a, b)``; other views take a's.
        mean: subtracted from the values 0..1, one for all channels or one each.
        std: that they are divided by afterwards.
    """
    if num_local < 0:
        raise InputError(f"multi-crop: num_local is {num_local}, but must be >= 0")
    if not 1 <= num_global <= len(ascii_lowercase):
        raise InputError(f"multi-crop: num_global is {num_global}, but views are named by the letters a to z")
    small = max(1, round(image_size * 3 / 7)) if local_size is None else local_size
    sizes = dict.fromkeys(ascii_lowercase[:num_global], image_size)
    sizes |= {f"local{i}": small for i in range(num_local)}
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
