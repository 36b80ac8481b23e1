import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from likewise.core.draws import Draws
from likewise.views.geometry import (
    Crop,
    apply_blur,
    apply_crop,
    blur_kernel_size,
    blur_taps,
    draw_blur,
    draw_crop,
    whole,
)


def images(n: int, c: int, h: int, w: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, c, h, w, generator=torch.Generator().manual_seed(seed))


def pillow_crop(x: torch.Tensor, crop: Crop, i: int, size: int) -> torch.Tensor:
    left, top = float(crop.left[i]), float(crop.top[i])
    box = (left, top, left + float(crop.width[i]), top + float(crop.height[i]))
    planes = [Image.fromarray(p).resize((size, size), Image.Resampling.BILINEAR, box=box) for p in x[i].numpy()]
    out = torch.from_numpy(np.stack([np.asarray(p) for p in planes]))
    return out.flip(2) if crop.flip[i] else out


def gaussian(sigma: float, kernel: int) -> torch.Tensor:
    weights = torch.tensor([math.exp(-0.5 * (t / sigma) ** 2) for t in range(-(kernel // 2), kernel // 2 + 1)])
    return weights / weights.sum()


@pytest.mark.parametrize(
    ("c", "h", "w", "size"),
    [(3, 32, 32, 32), (1, 28, 28, 28), (3, 40, 23, 16), (3, 17, 64, 31), (1, 8, 8, 20), (2, 96, 70, 9), (3, 1, 5, 4)],
)
def test_crop_and_flip_equal_pillow_image_by_image(c: int, h: int, w: int, size: int) -> None:
    x = images(12, c, h, w)
    crop = draw_crop(Draws(3, 1, torch.arange(12)), h, w)
    out = apply_crop(x, crop, size)
    assert out.shape == (12, c, size, size)
    assert crop.flip.any()
    assert not crop.flip.all()
    for i in range(12):
        torch.testing.assert_close(out[i], pillow_crop(x, crop, i, size), atol=2e-5, rtol=0)


def test_an_enlarging_crop_equals_grid_sample() -> None:
    x = images(6, 3, 24, 30)
    crop = draw_crop(Draws(0, 0, torch.arange(6)), 24, 30)
    size = 32
    out = apply_crop(x, crop, size)
    steps = (torch.arange(size) + 0.5) / size
    for i in range(6):
        across = (crop.left[i] + (steps.flip(0) if crop.flip[i] else steps) * crop.width[i]) / 30 * 2 - 1
        down = (crop.top[i] + steps * crop.height[i]) / 24 * 2 - 1
        grid = torch.stack([across.expand(size, size), down[:, None].expand(size, size)], -1)
        one = F.grid_sample(x[i : i + 1], grid[None], padding_mode="border", align_corners=False)
        torch.testing.assert_close(out[i], one[0], atol=1e-5, rtol=0)


def test_a_shrinking_crop_averages_every_source_pixel() -> None:
    x = torch.zeros(1, 1, 64, 64)
    x[..., ::2] = 1.0  # stripes that plain bilinear sampling would alias
    out = apply_crop(x, whole(1, 64, 64, x.device), 8)
    torch.testing.assert_close(out, torch.full_like(out, 0.5), atol=0.02, rtol=0)


def test_whole_image_is_unchanged_and_a_flip_is_exact() -> None:
    x = images(4, 3, 19, 19)
    boxes = whole(4, 19, 19, x.device)
    assert torch.equal(apply_crop(x, boxes, 19), x)
    boxes.flip[:] = True
    assert torch.equal(apply_crop(x, boxes, 19), x.flip(3))


@pytest.mark.parametrize(("size", "kernel"), [(32, 3), (96, 9), (15, 7), (8, 15)])
def test_blur_equals_an_explicit_convolution(size: int, kernel: int) -> None:
    x = images(5, 3, size, size)
    sigma = torch.tensor([0.1, 0.7, 0.0, 1.3, 2.0])
    out = apply_blur(x, sigma, kernel)
    for i, s in enumerate(sigma.tolist()):
        weights = gaussian(max(s, 1e-6), kernel)
        radius = kernel // 2
        used = min(radius, size - 1)
        weights = weights[radius - used : radius + used + 1] / weights[radius - used : radius + used + 1].sum()
        padded = F.pad(x[i : i + 1], (used,) * 4, mode="reflect")
        square = (weights[:, None] * weights).expand(3, 1, -1, -1)
        torch.testing.assert_close(out[i : i + 1], F.conv2d(padded, square, groups=3), atol=1e-5, rtol=0)
    assert torch.equal(out[2], x[2])


def test_blur_inside_the_crop_equals_blur_after_it() -> None:
    x = images(9, 3, 40, 28)
    draws = Draws(0, 0, torch.arange(9))
    crop, sigma = draw_crop(draws, 40, 28), draw_blur(draws, prob=0.6)
    assert 0 < int((sigma > 0).sum()) < 9
    fused = apply_crop(x, crop, 24, sigma=sigma, kernel=5)
    torch.testing.assert_close(fused, apply_blur(apply_crop(x, crop, 24), sigma, 5), atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [1, 2, 3, 8, 96])
def test_weights_of_a_blur_add_up_and_stay_inside(size: int) -> None:
    taps = blur_taps(torch.tensor([0.0, 0.5, 50.0]), size, 9)
    torch.testing.assert_close(taps.weight.sum(2), torch.ones(3, size))
    assert taps.index.min() >= 0
    assert taps.index.max() < size


def test_kernel_is_a_tenth_of_the_image_and_odd() -> None:
    assert [blur_kernel_size(s) for s in (1, 8, 32, 64, 96, 224)] == [3, 3, 3, 7, 9, 23]


@pytest.mark.parametrize(("h", "w"), [(32, 32), (48, 20), (20, 48), (1, 1)])
def test_boxes_have_the_asked_area_and_shape_and_stay_inside(h: int, w: int) -> None:
    crop = draw_crop(Draws(0, 0, torch.arange(4000)), h, w, scale=(0.1, 0.4), ratio=(0.5, 2.0))
    for start, extent, full in ((crop.top, crop.height, h), (crop.left, crop.width, w)):
        assert (start >= 0).all()
        assert (start + extent <= full * (1 + 1e-5)).all()
    area = crop.height * crop.width / (h * w)
    assert area.min() >= 0.1 - 1e-5
    assert area.max() <= 0.4 + 1e-5
    ratio = (crop.width / crop.height).log2()
    assert ratio.abs().max() <= 1 + 1e-5
    if h == w:  # no box of this size is rejected when ratio * area <= 1
        assert abs(float(area.mean()) - 0.25) < 0.01
        assert abs(float(ratio.mean())) < 0.05
    assert abs(float(crop.flip.float().mean()) - 0.5) < 0.03


def test_boxes_lie_anywhere_whatever_their_shape() -> None:
    crop = draw_crop(Draws(0, 0, torch.arange(4000)), 40, 30, scale=(0.1, 0.4))
    top, left = crop.top / (40 - crop.height), crop.left / (30 - crop.width)
    for place in (top, left):
        share = torch.tensor([0.1, 0.5, 0.9])
        torch.testing.assert_close(place.quantile(share), share, atol=0.03, rtol=0)
    drawn = torch.stack([top, left, crop.height * crop.width, crop.height / crop.width, crop.flip.float()])
    assert (torch.corrcoef(drawn) - torch.eye(5)).abs().max() < 0.06


def test_boxes_follow_the_rejection_sampling_of_the_paper() -> None:
    generator = np.random.default_rng(0)
    areas = []
    for _ in range(4000):
        for _ in range(10):
            area, ratio = generator.uniform(0.08, 1), math.exp(generator.uniform(math.log(3 / 4), math.log(4 / 3)))
            if math.sqrt(area * ratio) <= 1 and math.sqrt(area / ratio) <= 1:
                areas.append(area)
                break
        else:
            areas.append(1.0)
    crop = draw_crop(Draws(0, 0, torch.arange(4000)), 32, 32)
    ours = (crop.height * crop.width / 1024).numpy()
    np.testing.assert_allclose(np.quantile(ours, [0.1, 0.5, 0.9]), np.quantile(areas, [0.1, 0.5, 0.9]), atol=0.04)


@pytest.mark.parametrize(("h", "w", "box"), [(10, 100, (10, 40 / 3)), (100, 10, (40 / 3, 10))])
def test_where_no_box_fits_the_largest_central_one_is_taken(h: int, w: int, box: tuple[float, float]) -> None:
    crop = draw_crop(Draws(0, 0, torch.arange(5)), h, w, scale=(1.0, 1.0))
    torch.testing.assert_close(crop.height, torch.full((5,), float(box[0])))
    torch.testing.assert_close(crop.width, torch.full((5,), float(box[1])))
    torch.testing.assert_close(crop.top + crop.height / 2, torch.full((5,), h / 2))
    torch.testing.assert_close(crop.left + crop.width / 2, torch.full((5,), w / 2))


def test_share_and_width_of_the_blur() -> None:
    sigma = draw_blur(Draws(0, 0, torch.arange(4000)), prob=0.3, sigma=(0.5, 1.5))
    blurred = sigma[sigma > 0]
    assert abs(len(blurred) / 4000 - 0.3) < 0.03
    assert blurred.min() >= 0.5
    assert blurred.max() <= 1.5
    assert abs(float(blurred.mean()) - 1.0) < 0.03


def test_crops_carry_gradients() -> None:
    x = images(2, 1, 6, 6).double().requires_grad_()
    crop = draw_crop(Draws(0, 0, torch.arange(2)), 6, 6)
    assert torch.autograd.gradcheck(lambda t: apply_crop(t, crop, 4, sigma=torch.tensor([0.0, 1.0])), (x,))
