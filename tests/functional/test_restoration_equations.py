"""Equations of restoration against slow versions and by their corner cases."""

import math

import pytest
import torch

from likewise.functional import restoration as f


@pytest.fixture
def pictures():
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(2, 3, 14, 17, dtype=torch.float64, generator=generator) for _ in range(2)]


def test_haar_keeps_the_energy_and_finds_no_detail_in_a_flat_picture(pictures):
    image = pictures[0][:, :, :, :16]
    smooth, detail = f.haar(image)
    assert smooth.shape == (2, 3, 7, 8)
    assert detail.shape == (2, 9, 7, 8)
    assert smooth.square().sum() + detail.square().sum() == pytest.approx(float(image.square().sum()))
    flat = torch.full((1, 1, 6, 6), 0.3)
    assert f.haar(flat)[1].abs().max() < 1e-6
    assert f.haar(flat)[0] == pytest.approx(torch.full((1, 1, 3, 3), 0.6))


def test_the_bands_of_haar_see_rows_columns_and_checks():
    rows = torch.tensor([[1.0, 1.0], [0.0, 0.0]])[None, None]
    for image, band in ((rows, 0), (rows.mT, 1), (torch.eye(2)[None, None], 2)):
        found = f.haar(image)[1].flatten()
        assert found[band] == 1
        assert found.abs().sum() == 1


def test_an_odd_side_is_reflected(pictures):
    image = pictures[0]
    mirrored = torch.cat([image, image[..., -2:-1]], 3)
    assert torch.equal(f.haar(image)[1], f.haar(mirrored)[1])


def slow_ssim(x, y, window=11, sigma=1.5):
    """One window after the other, means and covariances by their definitions."""
    side = min(window, *x.shape)
    middle = (side - 1) / 2
    weight = torch.tensor(
        [
            [math.exp(-((i - middle) ** 2 + (j - middle) ** 2) / (2 * sigma**2)) for j in range(side)]
            for i in range(side)
        ]
    ).double()
    weight /= weight.sum()
    values = []
    for top in range(x.shape[0] - side + 1):
        for left in range(x.shape[1] - side + 1):
            a, b = (each[top : top + side, left : left + side] for each in (x, y))
            ma, mb = float((weight * a).sum()), float((weight * b).sum())
            va, vb = float((weight * (a - ma) ** 2).sum()), float((weight * (b - mb) ** 2).sum())
            cov = float((weight * (a - ma) * (b - mb)).sum())
            c1, c2 = 0.01**2, 0.03**2
            values.append((2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2)))
    return sum(values) / len(values)


@pytest.mark.parametrize("size", [(14, 17), (7, 9)])
def test_ssim_by_loops(pictures, size):
    x, y = (each[:, :, : size[0], : size[1]] for each in pictures)
    y = 0.7 * x + 0.3 * y
    found = f.ssim(x, y)
    for row in range(2):
        expected = sum(slow_ssim(x[row, c], y[row, c]) for c in range(3)) / 3
        assert float(found[row]) == pytest.approx(expected, abs=1e-9)
    assert f.ssim(x, x).tolist() == pytest.approx([1.0, 1.0])


def test_psnr_of_a_known_error_and_of_none():
    image = torch.zeros(2, 1, 4, 4)
    off = image.clone()
    off[0] = 0.1
    assert f.psnr(off, image).tolist() == pytest.approx([20.0, 100.0])


def test_brightness_weighs_the_colours():
    image = torch.tensor([1.0, 0.0, 0.0])[None, :, None, None]
    assert float(f.luma(image)) == pytest.approx(0.299)
    assert torch.equal(f.luma(image[:, 1:2]), image[:, 1:2])


def test_map_cosine_and_distance_by_loops():
    anchor, others = torch.randn(2, 3, 2, 2), torch.randn(2, 4, 3, 2, 2)
    for n in range(2):
        for k in range(4):
            each = [
                torch.cosine_similarity(anchor[n, :, i, j], others[n, k, :, i, j], dim=0)
                for i in range(2)
                for j in range(2)
            ]
            assert float(f.map_cosine(anchor, others)[n, k]) == pytest.approx(float(sum(each)) / 4, abs=1e-6)
    assert f.map_distance(anchor, anchor[:, None] + 2).flatten().tolist() == pytest.approx([2.0, 2.0])


@pytest.mark.parametrize("decoupled", [False, True])
def test_contrast_by_loops(decoupled):
    positive, negative, tau = torch.randn(3, 2).double(), torch.randn(3, 4).double(), 0.7
    found = f.restoration_nce(positive, negative, temperature=tau, decoupled=decoupled)
    for n in range(3):
        bad, total = sum(math.exp(float(v) / tau) for v in negative[n]), 0.0
        for p in positive[n].tolist():
            good = math.exp(p / tau)
            total -= math.log(good / (bad if decoupled else good + bad))
        assert float(found[n]) == pytest.approx(total / 2)


def test_dual_contrast_by_loops_and_where_it_is_extreme():
    real, fake = torch.randn(3).double(), torch.randn(5).double()
    expected = 0.0
    for r in real.tolist():
        expected += math.log(1 + sum(math.exp(v - r) for v in fake.tolist())) / 3
    for v in fake.tolist():
        expected += math.log(1 + sum(math.exp(v - r) for r in real.tolist())) / 5
    assert float(f.dual_contrast(real, fake, real, fake)) == pytest.approx(expected)
    far = torch.tensor([1e4])
    assert float(f.dual_contrast(far, -far, far, -far)) == 0
    assert float(f.dual_contrast(-far, far, -far, far)) == pytest.approx(4e4)
