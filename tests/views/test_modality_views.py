"""Views of several modalities: small disturbances that belong to the sample, and nothing in evaluation."""

import pytest
import torch

from likewise.core.draws import Draws
from likewise.core.errors import InputError
from likewise.core.modality import Modality
from likewise.core.tokens import pieces_of
from likewise.views.multimodal import Modalities

KNOWN = {"modalities": ("p=image:1x6x6", "v=vector:2", "t=text:4096"), "center": (1.0, 2.0), "spread": (2.0, 4.0)}


@pytest.fixture
def columns():
    return {
        "p": torch.arange(36, dtype=torch.uint8).view(1, 1, 6, 6).repeat(20, 1, 1, 1),
        "v": torch.tensor([[3.0, 6.0]]).repeat(20, 1),
        "t": pieces_of(["some words that say little"] * 20),
    }


def draws(first=0, num=20):
    return Draws(0, 0, torch.arange(first, first + num))


def test_as_evaluated(columns):
    plain = Modalities(**KNOWN, noise=1.0, shift=2, drop=0.5).plain(columns)
    assert torch.equal(plain["p"], columns["p"].float() / 255)
    assert plain["v"].unique().tolist() == [1.0]
    assert plain["t"] is columns["t"]
    quiet = Modalities(**KNOWN)(columns, draws())
    assert all(torch.equal(quiet[name], plain[name]) for name in "pv")


def test_images_move_by_whole_pixels_and_keep_their_edges(columns):
    found = (Modalities(**KNOWN, shift=2)(columns, draws())["p"] * 255).round().long()
    places = set()
    for image in found[:, 0]:
        centre = int(image[2, 2])
        dy, dx = centre // 6 - 2, centre % 6 - 2
        rows, cols = (torch.arange(6) + d for d in (dy, dx))
        assert torch.equal(image, rows.clamp(0, 5)[:, None] * 6 + cols.clamp(0, 5))
        places.add((dy, dx))
    assert len(places) > 8
    assert max(max(map(abs, place)) for place in places) == 2


def test_noise_and_dropped_tokens_belong_to_the_sample(columns):
    views = Modalities(**KNOWN, noise=0.5, drop=0.3)
    whole = views(columns, draws())
    part = views({n: c[5:] if n != "t" else pieces_of(["some words that say little"] * 15) for n, c in columns.items()},
                 draws(5, 15))  # fmt: skip
    assert torch.equal(whole["v"][5:], part["v"])
    assert torch.equal(whole["t"].mask[5:], part["t"].mask)
    assert (whole["v"] - 1).std() == pytest.approx(0.5, abs=0.2)
    left = whole["t"].mask.float().mean() / columns["t"].mask.float().mean()
    assert left == pytest.approx(0.7, abs=0.08)


def test_wrong_settings():
    for setting in ({"noise": -1.0}, {"shift": -1}, {"drop": 1.0}):
        with pytest.raises(InputError):
            Modalities(**KNOWN, **setting)
    one = Modality("a=b:1", "image", (3, 8, 8))
    assert Modality.parse(str(one)) == one
    for wrong in ("a", "a=sound:3", "a=image:3xx"):
        with pytest.raises(InputError, match="NAME=KIND:SHAPE"):
            Modality.parse(wrong)
