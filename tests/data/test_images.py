import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from likewise.data import images
from likewise.data.images import UnreadableImageError, read_image, to_array


def save(tmp_path: Path, image: Image.Image, name: str = "a.png", **options: object) -> Path:
    image.save(tmp_path / name, **options)
    return tmp_path / name


def flat(value: object, mode: str, size: tuple[int, int] = (16, 16)) -> Image.Image:
    return Image.new(mode, size, value)


@pytest.mark.parametrize(
    ("mode", "value", "rgb"),
    [
        ("RGB", (10, 20, 30), (10, 20, 30)),
        ("L", 77, (77, 77, 77)),
        ("1", 1, (255, 255, 255)),
        ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
        ("RGBA", (10, 20, 30, 0), (255, 255, 255)),
        ("RGBA", (0, 0, 0, 51), (204, 204, 204)),
        ("LA", (100, 255), (100, 100, 100)),
        ("LA", (100, 0), (255, 255, 255)),
        ("I;16", 65535, (255, 255, 255)),
        ("I;16", 257 * 40, (40, 40, 40)),
    ],
)
@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_modes_become_rgb_on_white(tmp_path: Path, mode: str, value: object, rgb: tuple[int, ...], fit: str) -> None:
    array = read_image(save(tmp_path, flat(value, mode)), 8, fit)
    assert array.shape == (3, 8, 8)
    assert array.dtype == np.uint8
    assert np.abs(array.astype(int) - np.array(rgb)[:, None, None]).max() <= 1


def test_palette_with_transparency(tmp_path: Path) -> None:
    image = flat(0, "P")
    image.putpalette([200, 0, 0, 0, 0, 200])
    image.paste(1, (8, 0, 16, 16))
    array = read_image(save(tmp_path, image, transparency=0), 16)
    assert (array[:, 8, 2] == 255).all()
    assert array[:, 8, 13].tolist() == [0, 0, 200]


def test_cmyk_jpeg(tmp_path: Path) -> None:
    array = read_image(save(tmp_path, flat((0, 255, 255, 0), "CMYK"), "a.jpg", quality=95), 8)
    assert array[0].min() > 240
    assert array[1:].max() < 15


def test_float_picture_is_scaled_from_0_to_1_or_over_its_range(tmp_path: Path) -> None:
    half = Image.fromarray(np.full((16, 16), 0.5, np.float32))
    assert read_image(save(tmp_path, half, "a.tif"), 8).max() in (127, 128)
    ramp = Image.fromarray(np.linspace(-3, 5, 256, dtype=np.float32).reshape(16, 16))
    array = read_image(save(tmp_path, ramp, "b.tif"), 16)
    assert (array.min(), array.max()) == (0, 255)
    broken = Image.fromarray(np.full((16, 16), np.nan, np.float32))
    with pytest.raises(UnreadableImageError, match="NaN"):
        read_image(save(tmp_path, broken, "c.tif"), 8)


def test_animation_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [flat(color, "RGB") for color in ("red", "green", "blue")]
    path = save(tmp_path, frames[0], "a.gif", save_all=True, append_images=frames[1:])
    assert read_image(path, 8)[:, 4, 4].tolist() == [255, 0, 0]


@pytest.mark.parametrize(("orientation", "corner"), [(1, (0, 0)), (3, (1, 1)), (6, (0, 1)), (8, (1, 0)), (2, (0, 1))])
def test_exif_rotation(tmp_path: Path, orientation: int, corner: tuple[int, int]) -> None:
    image = flat("white", "RGB", (32, 32))
    image.paste("black", (0, 0, 16, 16))
    exif = Image.Exif()
    exif[0x0112] = orientation
    array = read_image(save(tmp_path, image, "a.jpg", quality=100, exif=exif), 32)
    quarters = {
        (y, x): array[0, 4 + 16 * y : 12 + 16 * y, 4 + 16 * x : 12 + 16 * x].mean() for y in (0, 1) for x in (0, 1)
    }
    assert min(quarters, key=quarters.__getitem__) == corner


def test_fits(tmp_path: Path) -> None:
    image = flat("blue", "RGB", (64, 32))
    image.paste("red", (16, 0, 48, 32))  # the middle square
    path = save(tmp_path, image)
    cropped = read_image(path, 16, "crop")
    assert cropped[0].min() > 230
    assert cropped[2, :, 1:-1].max() < 10
    padded = read_image(path, 16, "pad")
    assert (padded[:, :4] == 255).all()
    assert (padded[:, 12:] == 255).all()
    assert padded[:, 8, 1].tolist() == [0, 0, 255]
    assert padded[:, 8, 8].tolist() == [255, 0, 0]
    stretched = read_image(path, 16, "stretch")
    assert stretched[2, :, :3].min() > 200
    assert stretched[0, :, 7:9].min() > 200


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_fast_shrinking_is_close_to_a_plain_resize(fit: str) -> None:
    y, x = np.mgrid[:480, :640]
    pixels = np.stack([127 + 120 * np.sin(x / 40), 127 + 120 * np.cos(y / 60), (x + y) / 5], -1).astype(np.uint8)
    image = Image.fromarray(pixels)
    boxes = {"crop": (80, 0, 560, 480), "pad": None, "stretch": None}
    target = (32, 24) if fit == "pad" else (32, 32)
    plain = np.asarray(image.resize(target, Image.Resampling.BICUBIC, boxes[fit])).transpose(2, 0, 1).astype(int)
    fast = to_array(image, 32, fit).astype(int)
    fast = fast[:, 4:28] if fit == "pad" else fast
    assert np.abs(fast - plain).mean() < 1.5


def test_large_jpeg_is_scaled_while_it_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path, flat("red", "RGB", (800, 600)), "a.jpg")
    monkeypatch.setattr(images, "LARGEST", 200 * 150)
    assert read_image(path, 32)[0].min() > 250
    with pytest.raises(UnreadableImageError, match="too large"):
        read_image(save(tmp_path, flat("red", "RGB", (800, 600)), "a.png"), 32)


def test_the_format_counts_not_the_name(tmp_path: Path) -> None:
    path = save(tmp_path, flat("red", "RGB"), "a.png")
    shutil.copy(path, tmp_path / "b.jpg")
    assert read_image(tmp_path / "b.jpg", 8)[:, 0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.png", b"", "empty file"),
        ("text.jpg", b"hello, this is not a picture", "not an image"),
        ("page.gif", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
        ("script.eps.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
    ],
)
def test_unreadable(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableImageError, match=reason):
        read_image(tmp_path / name, 8)


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "gif", "bmp"])
def test_truncated(tmp_path: Path, ending: str) -> None:
    rng = np.random.default_rng(0)
    path = save(tmp_path, Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)), f"a.{ending}")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(UnreadableImageError) as caught:
        read_image(path, 16)
    assert "\n" not in str(caught.value)
    assert str(caught.value)


def test_too_small_and_missing(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match="1x1 pixels: too small"):
        read_image(save(tmp_path, flat("red", "RGB", (1, 1))), 8)
    with pytest.raises(UnreadableImageError, match="no such file"):
        read_image(tmp_path / "absent.png", 8)
