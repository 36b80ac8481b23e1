"""Views of restoration: what is drawn belongs to the sample, and what is made of it is exact."""

import math

import pytest
import torch

from likewise.core.draws import Draws
from likewise.core.errors import InputError
from likewise.views.restoration import RestorationViews, blur, eight_bits, sharpen, shrink


@pytest.fixture
def columns():
    generator = torch.Generator().manual_seed(0)
    return {"image": torch.randint(0, 256, (5, 3, 15, 15), dtype=torch.uint8, generator=generator)}


def steps(image):
    return (image * 255 - (image * 255).round()).abs().max()


def test_roles_shapes_and_eight_bits(columns):
    views = RestorationViews(3, 15, factor=2, better=2)
    found = views(columns, Draws(0, 0, torch.arange(5)))
    assert {role: tuple(v.shape) for role, v in found.items()} == {
        "low": (5, 3, 7, 7),
        "high": (5, 3, 14, 14),
        "sharp": (5, 2, 3, 14, 14),
        "blurred": (5, 2, 3, 14, 14),
    }
    for view in found.values():
        assert 0 <= view.min() <= view.max() <= 1
        assert steps(view) < 1e-3
    assert torch.equal(found["low"], shrink(found["high"], 2))
    assert "sharp" not in RestorationViews(3, 15)(columns, Draws(0, 0, torch.arange(5)))


def test_a_samples_views_do_not_depend_on_its_batch(columns):
    views = RestorationViews(3, 15, crop=8, better=2)
    whole = views(columns, Draws(3, 1, torch.arange(5)))
    alone = views({"image": columns["image"][[3]]}, Draws(3, 1, torch.tensor([3])))
    for role, view in alone.items():
        assert torch.allclose(view[0], whole[role][3], atol=1e-6), role
    other = views(columns, Draws(3, 2, torch.arange(5)))
    assert not torch.equal(other["sharp"], whole["sharp"])
    assert not torch.equal(other["high"], whole["high"])


def test_crops_are_cut_from_the_picture_and_half_are_mirrored(columns):
    views = RestorationViews(3, 15, crop=8)
    mirrored = 0
    image = columns["image"].float() / 255
    for epoch in range(20):
        high = views(columns, Draws(0, epoch, torch.arange(5)))["high"]
        for n in range(5):
            windows = image[n].unfold(1, 8, 1).unfold(2, 8, 1).flatten(1, 2).transpose(0, 1)
            straight, turned = ((windows == crop).flatten(1).all(1).any() for crop in (high[n], high[n].flip(2)))
            assert straight or turned
            mirrored += int(turned)
    assert 30 < mirrored < 70
    assert not RestorationViews(3, 15, flip=False, crop=14)(columns, Draws(0, 0, torch.arange(5)))["high"].isnan().any()


def test_sharpening_by_loops_keeps_the_border():
    image = torch.rand(1, 1, 5, 6)
    assert torch.equal(sharpen(image, torch.ones(1)), eight_bits(image))
    smooth = image.clone()
    for i in range(1, 4):
        for j in range(1, 5):
            around = sum(float(image[0, 0, i + a, j + b]) for a in (-1, 0, 1) for b in (-1, 0, 1))
            smooth[0, 0, i, j] = (around + 4 * float(image[0, 0, i, j])) / 13
    assert torch.allclose(sharpen(image, torch.zeros(1)), eight_bits(smooth), atol=1e-6)
    twice = eight_bits(2 * image - smooth)
    assert torch.allclose(sharpen(image, torch.full((1,), 2.0)), twice, atol=1e-6)


def test_blurs_by_loops_each_picture_its_own():
    image = torch.rand(2, 2, 8, 7)
    sizes, sigma = torch.tensor([[3, 5], [11, 7]]), torch.tensor([[0.6, 1.1], [1.9, 0.4]])
    found = blur(image, sizes, sigma)
    for n in range(2):
        weights = []
        for side in range(2):
            half = int(sizes[n, side]) // 2
            raw = [math.exp(-(k**2) / (2 * float(sigma[n, side]) ** 2)) for k in range(-half, half + 1)]
            weights.append([w / sum(raw) for w in raw])

        def at(i, size):
            return abs(i) if i < size - 1 else 2 * (size - 1) - i

        for i, j in ((0, 0), (4, 3), (7, 6)):
            total = 0.0
            for a, wa in enumerate(weights[0]):
                for b, wb in enumerate(weights[1]):
                    y, x = at(i + a - len(weights[0]) // 2, 8), at(j + b - len(weights[1]) // 2, 7)
                    total += wa * wb * float(image[n, 1, y, x])
            assert float(found[n, 1, i, j]) == pytest.approx(round(total * 255) / 255, abs=1 / 254)


def test_the_plain_view_is_the_whole_picture_made_small(columns):
    views = RestorationViews(3, 15, crop=8)
    assert views.whole(columns).shape == (5, 3, 14, 14)
    assert torch.equal(views.plain(columns)["low"], shrink(views.whole(columns), 2))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"factor": 5}, "factor=5"),
        ({"crop": 9}, "crop=9"),
        ({"crop": 20}, "6 to 14"),
        ({"sharpness": (2.0, 1.0)}, "sharpness"),
        ({"blur_sigma": (0.0, 1.0)}, "blur_sigma"),
        ({"better": -1}, "better=-1"),
    ],
)
def test_bad_settings_are_refused(settings, says):
    with pytest.raises(InputError, match=says):
        RestorationViews(3, 15, **settings)
    with pytest.raises(InputError, match="pictures of 5 pixels are too small"):
        RestorationViews(3, 5)
