import colorsys
import itertools
import math
from collections.abc import Callable

import pytest
import torch

from likewise.core.draws import Draws
from likewise.views.colour import (
    Colour,
    apply_colour,
    apply_solarize,
    draw_colour,
    draw_solarize,
    plan_colour,
    recolour,
)

WEIGHTS = (0.299, 0.587, 0.114)
Step = Callable[[torch.Tensor], torch.Tensor]


def images(n: int, c: int, size: int = 12) -> torch.Tensor:
    return torch.rand(n, c, size, size, generator=torch.Generator().manual_seed(1))


def luma(x: torch.Tensor) -> torch.Tensor:
    return sum(w * x[i] for i, w in enumerate(WEIGHTS)) if len(x) == 3 else x.mean(0)  # type: ignore[return-value]


def turn(x: torch.Tensor, hue: float) -> torch.Tensor:
    """Hue in YIQ, pixel planes written out: the chroma plane turned by -hue (red towards yellow)."""
    r, g, b = x
    i = 0.595716 * r - 0.274453 * g - 0.321263 * b
    q = 0.211456 * r - 0.522591 * g + 0.311135 * b
    a = 2 * math.pi * hue
    new_i, new_q = i * math.cos(a) + q * math.sin(a), q * math.cos(a) - i * math.sin(a)
    y = luma(x)
    return torch.stack(
        [
            y + 0.9563 * new_i + 0.6210 * new_q,
            y - 0.2721 * new_i - 0.6474 * new_q,
            y - 1.1070 * new_i + 1.7046 * new_q,
        ]
    )


def steps_of(colour: Colour, i: int) -> list[Step]:
    """The five operations as they are usually written, for one image."""
    b, c, s, h = (float(v[i]) for v in (colour.brightness, colour.contrast, colour.saturation, colour.hue))
    gray: Step = (lambda x: luma(x).expand_as(x)) if colour.gray[i] else (lambda x: x)
    return [
        lambda x: b * x,
        lambda x: c * x + (1 - c) * luma(x).mean(),
        lambda x: s * x + (1 - s) * luma(x),
        lambda x: turn(x, h),
        gray,
    ]


def run(x: torch.Tensor, steps: list[Step]) -> torch.Tensor:
    for step in steps:
        x = step(x)
    return x


def test_the_fused_map_equals_the_steps_in_any_order_clamped_at_the_end() -> None:
    x = images(8, 3)
    colour = draw_colour(Draws(0, 0, torch.arange(8)), jitter=(0.8, 0.8, 0.8, 0.2), gray_prob=0.3)
    assert 0 < int(colour.gray.sum()) < 8
    out = apply_colour(x, colour)
    for i in range(8):
        for order in itertools.permutations(steps_of(colour, i)):
            expected = run(x[i].double(), list(order)).clamp(0, 1)
            torch.testing.assert_close(out[i].double(), expected, atol=2e-3, rtol=0)


def test_without_saturated_pixels_it_equals_steps_that_clamp_each_time() -> None:
    x = 0.4 + 0.2 * images(6, 3)
    colour = draw_colour(Draws(5, 0, torch.arange(6)), jitter=(0.2, 0.2, 0.2, 0.05), jitter_prob=1.0)
    out = apply_colour(x, colour)
    for i in range(6):
        value = x[i].double()
        for step in steps_of(colour, i):
            value = step(value).clamp(0, 1)
        torch.testing.assert_close(out[i].double(), value, atol=2e-4, rtol=0)


def test_saturated_pixels_differ_from_steps_that_clamp_each_time() -> None:
    # brightness 2 then contrast 0.5 of white and black: 1 before the mean is taken, or 2
    x = torch.tensor([1.0, 0.0]).view(1, 1, 1, 2).expand(1, 3, 1, 2).contiguous()
    one, two, half = torch.ones(1), torch.full((1,), 2.0), torch.full((1,), 0.5)
    colour = Colour(two, half, one, torch.zeros(1), torch.zeros(1, dtype=torch.bool))
    torch.testing.assert_close(apply_colour(x, colour)[0, :, 0], torch.tensor([[1.0, 0.5]]).expand(3, 2))


@pytest.mark.parametrize("hue", [-0.1, 0.05, 0.1, 0.2])
def test_hue_turns_the_way_of_hsv(hue: float) -> None:
    one = torch.ones(1)
    colour = Colour(one, one, one, torch.tensor([hue]), torch.tensor([False]))
    for rgb in itertools.product((0.4, 0.5, 0.6), repeat=3):
        if max(rgb) == min(rgb):
            continue
        turned = apply_colour(torch.tensor(rgb).view(1, 3, 1, 1), colour).flatten().tolist()
        moved = colorsys.rgb_to_hsv(*turned)[0] - colorsys.rgb_to_hsv(*rgb)[0]
        assert abs((moved - hue + 0.5) % 1 - 0.5) < 0.1  # the two circles are not quite the same
        assert sum(w * v for w, v in zip(WEIGHTS, turned)) == pytest.approx(
            sum(w * v for w, v in zip(WEIGHTS, rgb)), abs=1e-5
        )


def test_neutral_settings_change_nothing() -> None:
    x = images(3, 3)
    colour = draw_colour(Draws(0, 0, torch.arange(3)), jitter_prob=0.0, gray_prob=0.0)
    torch.testing.assert_close(apply_colour(x, colour), x, atol=1e-6, rtol=0)


def test_grayscale_has_equal_channels_of_the_same_luma() -> None:
    x = images(3, 3)
    out = apply_colour(x, draw_colour(Draws(0, 0, torch.arange(3)), jitter_prob=0.0, gray_prob=1.0))
    for i in range(3):
        torch.testing.assert_close(out[i], luma(x[i]).expand(3, -1, -1), atol=1e-5, rtol=0)


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_images_without_three_channels_get_brightness_and_contrast_only(channels: int) -> None:
    x = images(5, channels)
    colour = draw_colour(Draws(0, 0, torch.arange(5)), jitter_prob=1.0, gray_prob=1.0)
    out = apply_colour(x, colour)
    for i in range(5):
        b, c = float(colour.brightness[i]), float(colour.contrast[i])
        torch.testing.assert_close(out[i], (b * (c * x[i] + (1 - c) * x[i].mean())).clamp(0, 1), atol=1e-5, rtol=0)


@pytest.mark.parametrize("jitter", [(0.0, 0.0, 0.0, 0.0), (1.0, 1.0, 1.0, 0.5), (50.0, 50.0, 50.0, 0.5)])
def test_extremes_stay_finite_and_in_range(jitter: tuple[float, float, float, float]) -> None:
    out = apply_colour(images(64, 3), draw_colour(Draws(0, 0, torch.arange(64)), jitter=jitter, jitter_prob=1.0))
    assert out.isfinite().all()
    assert out.min() >= 0
    assert out.max() <= 1


def test_factors_have_their_ranges_and_probabilities() -> None:
    colour = draw_colour(Draws(0, 0, torch.arange(8000)), jitter=(0.4, 2.0, 0.8, 0.1), jitter_prob=0.7, gray_prob=0.2)
    jittered = colour.hue != 0
    assert abs(float(jittered.float().mean()) - 0.7) < 0.02
    assert abs(float(colour.gray.float().mean()) - 0.2) < 0.02
    for values, low, high in (
        (colour.brightness, 0.6, 1.4),
        (colour.contrast, 0.0, 3.0),
        (colour.saturation, 0.2, 1.8),
        (colour.hue, -0.1, 0.1),
    ):
        some = values[jittered]
        assert low <= some.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < some.max() <= high
        assert (values[~jittered] == (0.0 if low < 0 else 1.0)).all()
    pairs = torch.stack([colour.brightness, colour.contrast, colour.saturation, colour.hue])[:, jittered]
    assert (torch.corrcoef(pairs) - torch.eye(4)).abs().max() < 0.05


def test_solarisation_inverts_the_brighter_half_of_the_chosen() -> None:
    x = images(6, 3)
    chosen = torch.tensor([True, False, True, False, False, True])
    before = x.clone()
    out = apply_solarize(x, chosen)
    assert out is x
    for i in range(6):
        inverted = torch.where(before[i] >= 0.5, 1 - before[i], before[i])
        torch.testing.assert_close(out[i], inverted if chosen[i] else before[i], atol=1e-7, rtol=0)
    assert torch.equal(apply_solarize(out.clone(), torch.zeros(6, dtype=torch.bool)), out)


def test_share_of_solarised_samples() -> None:
    assert abs(float(draw_solarize(Draws(0, 0, torch.arange(5000)), prob=0.2).float().mean()) - 0.2) < 0.02


def test_normalisation_is_part_of_the_map() -> None:
    x = images(4, 3)
    colour = draw_colour(Draws(0, 0, torch.arange(4)), jitter_prob=1.0)
    low, high = (-1.0, -2.0, 0.0), (1.0, 3.0, 255.0)
    out = recolour(x, plan_colour(colour, 3, low=low, high=high))
    bottom, top = torch.tensor(low)[:, None, None], torch.tensor(high)[:, None, None]
    torch.testing.assert_close(out, bottom + (top - bottom) * apply_colour(x, colour), atol=1e-4, rtol=1e-5)
    chosen = torch.ones(4, dtype=torch.bool)
    solar = apply_solarize(out.clone(), chosen, low=low, high=high)
    expected = bottom + (top - bottom) * apply_solarize(apply_colour(x, colour), chosen)
    torch.testing.assert_close(solar, expected, atol=1e-4, rtol=1e-5)
