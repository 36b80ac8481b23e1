"""One random view of a batch of images: how it is drawn, and how what was drawn is applied.

Draws and application are separate: recorded draws give the same view again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from likewise.core.draws import Draws
from likewise.core.errors import InputError
from likewise.views.colour import (
    Colour,
    ColourMap,
    apply_solarize,
    draw_colour,
    draw_solarize,
    plan_colour,
    recolour,
)
from likewise.views.geometry import (
    Crop,
    Resampling,
    blur_kernel_size,
    draw_blur,
    draw_crop,
    plan_crop,
    resample,
)


@dataclass
class Drawn:
    """Everything random about one view of ``n`` samples; applied again, the same view comes out.

    ``sigma (n,)`` is the blur's width in pixels of the view, 0 for none; ``solarize (n,)`` bool. None: for no sample.
    """

    crop: Crop
    sigma: Tensor | None
    colour: Colour
    solarize: Tensor | None


@dataclass
class Plan:
    """What is to be done to the images for one view: the taps, the colour map, and whom to solarise."""

    geometry: Resampling
    colour: ColourMap
    solarize: Tensor | None

    def __getitem__(self, rows: slice) -> "Plan":
        return Plan(self.geometry[rows], self.colour[rows], None if self.solarize is None else self.solarize[rows])

    def apply(self, x: Tensor, out: Tensor) -> None:
        """Write the view of ``x (n, c, h, w)``, floats in 0..1, to ``out (n, c, size, size)``."""
        recolour(resample(x, self.geometry), self.colour, out)
        if self.solarize is not None:
            apply_solarize(out, self.solarize, low=self.colour.low, high=self.colour.high)


@dataclass(frozen=True)
class Augment:
    """How one view is drawn, and its size in pixels. Settings as in :func:`likewise.views.image.two_crops`."""

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
        """Draw for images of ``height`` x ``width`` pixels. Each step has a stream of its own."""
        flip_prob = 0.5 if self.flip else 0.0
        return Drawn(
            draw_crop(draws.fork("crop"), height, width, scale=self.scale, ratio=self.ratio, flip_prob=flip_prob),
            draw_blur(draws.fork("blur"), prob=self.blur_prob, sigma=self.blur_sigma) if self.blur_prob else None,
            draw_colour(
                draws.fork("colour"), jitter=self.jitter, jitter_prob=self.jitter_prob, gray_prob=self.gray_prob
            ),
            draw_solarize(draws.fork("solarize"), prob=self.solarize_prob) if self.solarize_prob else None,
        )

    def plan(
        self, drawn: Drawn, image: Tensor, *, low: Sequence[float] = (0.0,), high: Sequence[float] = (1.0,)
    ) -> Plan:
        """How to make the drawn view of ``image (n, c, h, w)``, with values 0..1 stretched to ``low .. high``."""
        _, channels, height, width = image.shape
        kernel = blur_kernel_size(self.size)
        geometry = plan_crop(drawn.crop, height, width, self.size, sigma=drawn.sigma, kernel=kernel)
        return Plan(geometry, plan_colour(drawn.colour, channels, low=low, high=high), drawn.solarize)
