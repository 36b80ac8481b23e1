from collections.abc import Callable
from typing import Any

import pytest
import torch

from likewise.core.batch import View
from likewise.core.draws import Draws
from likewise.core.errors import InputError
from likewise.core.recipe import part_names, spec
from likewise.views import image as module
from likewise.views.augment import Augment
from likewise.views.colour import apply_colour, apply_solarize
from likewise.views.geometry import apply_blur, apply_crop, blur_kernel_size
from likewise.views.image import (
    ImageViews,
    byol_views,
    moco_v2_views,
    multi_crop,
    plain_image,
    simclr_views,
    two_crops,
)

Maker = Callable[..., ImageViews]
MAKERS: list[Maker] = [two_crops, multi_crop, simclr_views, moco_v2_views, byol_views, plain_image]


def raw(n: int, c: int, h: int, w: int, seed: int = 0) -> dict[str, View]:
    generator = torch.Generator().manual_seed(seed)
    return {"image": torch.randint(0, 256, (n, c, h, w), dtype=torch.uint8, generator=generator)}


def tensors(views: dict[str, View]) -> dict[str, torch.Tensor]:
    return {role: view for role, view in views.items() if isinstance(view, torch.Tensor)}


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("n", "c", "h", "w", "size"),
    [(3, 3, 20, 33, 16), (2, 1, 8, 8, 8), (1, 3, 1, 1, 1), (2, 4, 6, 5, 9), (0, 3, 8, 8, 8)],
)
def test_every_part_makes_finite_views_of_awkward_images(
    make: Maker, n: int, c: int, h: int, w: int, size: int
) -> None:
    part = spec(make).build(channels=c, image_size=size)
    views = tensors(part(raw(n, c, h, w), Draws(0, 0, torch.arange(n))))
    for role, view in views.items():
        side = max(1, round(size * 3 / 7)) if role.startswith("local") else size
        assert view.shape == (n, c, side, side)
        assert view.dtype == torch.float32
        assert view.isfinite().all()
        assert (view.abs() <= 1 + 1e-6).all()
    plain = tensors(part.plain(raw(n, c, h, w)))
    assert list(plain) == ["image"]
    assert plain["image"].shape == (n, c, size, size)


def test_parts_are_registered_by_name() -> None:
    assert {"two-crops", "multi-crop", "simclr", "moco-v2", "byol", "plain-image"} <= set(part_names("views"))


def test_roles_of_multi_crop() -> None:
    part = multi_crop(3, 28, num_local=3, local_size=10, global_scale=(0.5, 1.0), local_scale=(0.1, 0.2))
    views = tensors(part(raw(5, 3, 40, 40), Draws(0, 0, torch.arange(5))))
    assert {role: view.shape[-1] for role, view in views.items()} == {
        "a": 28, "b": 28, "local0": 10, "local1": 10, "local2": 10,
    }  # fmt: skip
    assert not torch.equal(views["local0"], views["local1"])
    assert part.augments["local2"].scale == (0.1, 0.2)
    assert part.augments["b"].scale == (0.5, 1.0)


def test_multi_crop_has_as_many_large_views_as_asked() -> None:
    part = multi_crop(1, 12, num_global=5, num_local=0)
    views = tensors(part(raw(4, 1, 20, 20), Draws(0, 0, torch.arange(4))))
    assert {role: view.shape[-1] for role, view in views.items()} == dict.fromkeys("abcde", 12)
    assert not torch.equal(views["c"], views["d"])


def test_views_are_a_function_of_seed_epoch_and_id() -> None:
    part, x = simclr_views(3, 16), raw(6, 3, 16, 16)
    ids = torch.tensor([4, 8, 15, 16, 23, 42])
    first, again = tensors(part(x, Draws(1, 2, ids))), tensors(part(x, Draws(1, 2, ids)))
    assert torch.equal(first["a"], again["a"])
    assert torch.equal(first["b"], again["b"])
    assert not torch.equal(first["a"], first["b"])
    for other in (Draws(2, 2, ids), Draws(1, 3, ids), Draws(1, 2, ids + 1)):
        changed = tensors(part(x, other))["a"]
        assert ((changed - first["a"]).abs().amax((1, 2, 3)) > 1e-3).all()


@pytest.mark.parametrize("make", [simclr_views, byol_views, multi_crop])
def test_a_view_does_not_depend_on_its_batch(make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    part, x = make(3, 24), raw(11, 3, 30, 26)
    ids = torch.arange(100, 111)
    whole = tensors(part(x, Draws(0, 0, ids)))
    mixed = torch.tensor([7, 0, 3])
    image = x["image"]
    assert isinstance(image, torch.Tensor)
    some = tensors(part({"image": image[mixed]}, Draws(0, 0, ids[mixed])))
    monkeypatch.setattr(module, "CACHED", 1)
    monkeypatch.setattr(module, "AT_LEAST", 2)
    parts = tensors(part(x, Draws(0, 0, ids)))
    for role in whole:
        torch.testing.assert_close(some[role], whole[role][mixed], atol=1e-6, rtol=0)
        torch.testing.assert_close(parts[role], whole[role], atol=1e-6, rtol=0)


def test_views_leave_the_global_generator_and_the_images_alone() -> None:
    x = raw(4, 3, 12, 12)
    image = x["image"]
    assert isinstance(image, torch.Tensor)
    before, state = image.clone(), torch.get_rng_state()
    byol_views(3, 12)(x, Draws(0, 0, torch.arange(4)))
    assert torch.equal(image, before)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("channels", [1, 3])
def test_recorded_draws_replay_step_by_step(channels: int) -> None:
    augment = Augment(20, solarize_prob=0.5)
    x, draws = raw(16, channels, 25, 31), Draws(3, 4, torch.arange(16))
    part = ImageViews(channels, 20, {"a": augment})
    view = tensors(part(x, draws))["a"]
    drawn = augment.draw(Draws(3, 4, torch.arange(16)).fork("a"), 25, 31)
    assert drawn.sigma is not None
    assert drawn.solarize is not None
    image = x["image"]
    assert isinstance(image, torch.Tensor)
    slow = apply_crop(image.double() / 255, drawn.crop, 20)
    slow = apply_blur(slow, drawn.sigma, blur_kernel_size(20)).float()
    slow = apply_solarize(apply_colour(slow, drawn.colour), drawn.solarize)
    torch.testing.assert_close(view, (slow - 0.5) / 0.5, atol=2e-5, rtol=0)


def test_normalisation_by_channel() -> None:
    x, ids = raw(5, 3, 10, 10), torch.arange(5)
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.25, 0.5)
    ours = two_crops(3, 10, mean=mean, std=std)
    unit = two_crops(3, 10, mean=(0.0,), std=(1.0,))
    m, s = torch.tensor(mean)[:, None, None], torch.tensor(std)[:, None, None]
    for got, plain in (
        (tensors(ours(x, Draws(0, 0, ids)))["a"], tensors(unit(x, Draws(0, 0, ids)))["a"]),
        (tensors(ours.plain(x))["image"], tensors(unit.plain(x))["image"]),
    ):
        torch.testing.assert_close(got, (plain - m) / s, atol=1e-5, rtol=0)


def test_plain_is_the_image_itself_at_its_own_size() -> None:
    x = raw(3, 1, 9, 9)
    image = x["image"]
    assert isinstance(image, torch.Tensor)
    torch.testing.assert_close(plain_image(1, 9).plain(x)["image"], image.float() / 127.5 - 1, atol=1e-6, rtol=0)
    assert torch.equal(
        tensors(plain_image(1, 9)(x, Draws(0, 0, torch.arange(3))))["image"], plain_image(1, 9).plain(x)["image"]
    )


def test_without_flips_no_view_is_mirrored() -> None:
    ramp = torch.arange(0, 240, 10, dtype=torch.uint8).expand(64, 1, 24, 24).contiguous()

    def slopes(flip: bool) -> torch.Tensor:
        part = two_crops(1, 24, flip=flip, jitter_prob=0.0, gray_prob=0.0)
        return tensors(part({"image": ramp}, Draws(0, 0, torch.arange(64))))["a"].diff(dim=3).sum((1, 2, 3))

    assert (slopes(False) > 0).all()
    assert 20 < int((slopes(True) < 0).sum()) < 44


def test_presets_have_the_papers_settings() -> None:
    simclr, moco, byol = simclr_views(3, 32, strength=0.5, blur_prob=0.0), moco_v2_views(3, 32), byol_views(3, 32)
    assert simclr.augments["a"] == Augment(32, jitter=(0.4, 0.4, 0.4, 0.1), blur_prob=0.0)
    assert simclr.augments["b"] == simclr.augments["a"]
    assert moco.augments["b"] == Augment(32, scale=(0.2, 1.0), jitter=(0.4, 0.4, 0.4, 0.1))
    assert byol.augments["a"] == Augment(32, jitter=(0.4, 0.4, 0.2, 0.1), blur_prob=1.0)
    assert byol.augments["b"] == Augment(32, jitter=(0.4, 0.4, 0.2, 0.1), blur_prob=0.1, solarize_prob=0.2)


def test_autocast_does_not_reach_the_views() -> None:
    part, x, draws = simclr_views(3, 16), raw(4, 3, 16, 16), lambda: Draws(0, 0, torch.arange(4))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = tensors(part(x, draws()))["a"]
    assert torch.equal(inside, tensors(part(x, draws()))["a"])


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"image_size": 0}, "size is 0"),
        ({"channels": 0}, "channels is 0"),
        ({"min_scale": 0.0}, "scale is 0.0 to 1.0"),
        ({"min_scale": 0.6, "max_scale": 0.5}, "0 < min <= max"),
        ({"max_scale": 1.5}, "scale is 0.08 to 1.5"),
        ({"blur_prob": 1.1}, "blur_prob is 1.1"),
        ({"gray_prob": -0.1}, "gray_prob is -0.1"),
        ({"jitter_prob": float("nan")}, "jitter_prob is nan"),
        ({"solarize_prob": (0.0, 2.0)}, "solarize_prob is 2.0"),
        ({"blur_prob": (0.1, 0.2, 0.3)}, "pair (a, b)"),
        ({"blur_sigma": (2.0, 1.0)}, "blur_sigma is (2.0, 1.0)"),
        ({"jitter": (0.4, 0.4, 0.4, 0.6)}, "hue at most 0.5"),
        ({"jitter": (-0.1, 0.4, 0.4, 0.1)}, "strengths >= 0"),
        ({"std": (0.0,)}, "std is (0.0,)"),
        ({"mean": (0.5, 0.5)}, "mean has 2 values"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError) as error:
        two_crops(**{"channels": 3, "image_size": 16} | settings)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (multi_crop, {"num_local": -1}),
        (multi_crop, {"num_global": 0}),
        (multi_crop, {"num_global": 27}),
        (multi_crop, {"local_size": 0}),
        (simclr_views, {"strength": -1.0}),
        (simclr_views, {"strength": 3.0}),
    ],
)
def test_wrong_settings_of_other_parts(make: Maker, settings: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        make(3, 16, **settings)


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"text": torch.zeros(2)},
        {"image": torch.zeros(2, 3, 8, 8)},
        {"image": torch.zeros(2, 1, 8, 8, dtype=torch.uint8)},
        {"image": torch.zeros(2, 3, 8, dtype=torch.uint8)},
    ],
)
def test_wrong_images_are_named(columns: dict[str, View]) -> None:
    with pytest.raises(InputError, match="image"):
        simclr_views(3, 8)(columns, Draws(0, 0, torch.arange(2)))
    with pytest.raises(InputError, match="image"):
        simclr_views(3, 8).plain(columns)
