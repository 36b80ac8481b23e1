import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from likewise.data import catalogue

Paint = Callable[..., Path]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache for each test: what one leaves must not hide another's mistake. Sources stay where they are."""
    for name in catalogue.SOURCES:
        found = catalogue.locate(name)
        if found is not None:
            monkeypatch.setenv(catalogue.variable(name), str(found))
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("LIKEWISE_CACHE", str(folder))
    return folder


@pytest.fixture
def paint(tmp_path: Path) -> Paint:
    """``paint("cat/1.png", size=(20, 16), mode="RGB")``: a picture of noise that depends on its name alone."""

    def make(name: str, size: tuple[int, int] = (16, 16), mode: str = "RGB", seed: str | None = None) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.blake2b((seed or name).encode(), digest_size=8).digest()
        rng = np.random.default_rng(int.from_bytes(digest, "big"))
        pixels = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).convert(mode).save(path)
        return path

    return make
