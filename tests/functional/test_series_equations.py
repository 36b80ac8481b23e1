"""Equations of time series against slow versions and by their corner cases."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from likewise import functional as f
from likewise import similarity


@pytest.fixture
def views():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(3, 7, 4, dtype=torch.float64, generator=generator) for _ in range(2)]


def slow_nt_xent(rows):
    """Rows of both views one after the other; each against all others, its partner the positive."""
    n, total = len(rows), 0.0
    for i in range(n):
        logits = {j: float(rows[i] @ rows[j]) for j in range(n) if j != i}
        total += math.log(sum(map(math.exp, logits.values()))) - logits[(i + n // 2) % n]
    return total / n


def slow_hierarchy(a, b, instance, unit):
    levels = []
    while True:
        n, t, _ = a.shape
        of_series = sum(slow_nt_xent(torch.cat([a[:, s], b[:, s]])) for s in range(t)) / t if n > 1 else 0.0
        of_time = sum(slow_nt_xent(torch.cat([a[i], b[i]])) for i in range(n)) / n if t > 1 else 0.0
        levels.append(instance * of_series + (1 - instance) * of_time * (len(levels) >= unit))
        if t == 1:
            return sum(levels) / len(levels)
        a, b = (torch.stack([z[:, 2 * s : 2 * s + 2].amax(1) for s in range(t // 2)], 1) for z in (a, b))


@pytest.mark.parametrize(("instance", "unit"), [(0.5, 0), (0.3, 1), (1.0, 0), (0.0, 0)])
def test_hierarchical_contrast_by_loops(views, instance, unit):
    expected = slow_hierarchy(*views, instance, unit)
    assert f.hierarchical_contrast(*views, instance=instance, temporal_unit=unit).item() == pytest.approx(expected)


def test_large_groups_one_by_one_are_small_ones_together(views, monkeypatch):
    leaves = [v.clone().requires_grad_() for v in views]
    together = torch.autograd.grad(f.grouped_nt_xent(*leaves), leaves)
    monkeypatch.setattr("likewise.functional.series.IN_ONE_PRODUCT", 0)
    apart = torch.autograd.grad(f.grouped_nt_xent(*leaves), leaves)
    with similarity.using("tiled", tile=2):
        tiled = torch.autograd.grad(f.grouped_nt_xent(*leaves), leaves)
    for one, two, three in zip(together, apart, tiled):
        assert torch.allclose(one, two, atol=1e-12)
        assert torch.allclose(one, three, atol=1e-12)


def test_one_series_of_one_step_costs_nothing(views):
    a, b = (v[:1, :1].clone().requires_grad_() for v in views)
    loss = f.hierarchical_contrast(a, b)
    loss.backward()
    assert loss.item() == 0
    assert not a.grad.any()


def test_series_at_a_step_and_steps_of_a_series_may_be_in_any_order(views):
    whole = f.hierarchical_contrast(*views)
    assert torch.allclose(f.hierarchical_contrast(*(v.flip(0) for v in views)), whole)
    assert torch.allclose(f.grouped_nt_xent(*(v[:, [3, 1, 0, 2, 6, 5, 4]] for v in views)), f.grouped_nt_xent(*views))


def test_local_contrast_by_loops():
    segments, width, n = 5, 3, 2
    z = torch.randn(n, 17, 4, dtype=torch.float64)
    start = torch.tensor([2, 0])
    found = f.local_contrast(z, start, segments=segments, temperature=0.7)
    for i in range(n):
        unit = normalize(z[i], dim=1)
        begin = int(start[i])
        cut = [unit[begin + width * a : begin + width * (a + 1)].amax(0) for a in range(segments)]
        total = 0.0
        for a in range(segments):
            positive = a + 1 if a + 1 < segments else a - 1
            negatives = [j for j in range(segments) if abs(j - a) > 1]
            negatives.remove(2) if a == 0 else None
            negatives.remove(segments - 3) if a == segments - 1 else None
            assert len(negatives) == segments - 3
            logits = [float(cut[a] @ cut[j]) / 0.7 for j in (positive, *negatives)]
            total += math.log(sum(map(math.exp, logits))) - logits[0]
        assert found[i].item() == pytest.approx(total / segments)


def test_a_series_shorter_than_its_segments_costs_nothing():
    z = torch.randn(2, 6, 4, requires_grad=True)
    loss = f.local_contrast(z, torch.zeros(2).long(), segments=7)
    loss.sum().backward()
    assert loss.tolist() == [0.0, 0.0]
    assert not z.grad.any()


def test_mmd_by_loops_and_its_corners():
    a, b = torch.randn(4, 3).double(), torch.randn(6, 3).double() + 1
    rows = torch.cat([a, b])
    pairs = [float((x - y).square().sum()) for i, x in enumerate(rows) for j, y in enumerate(rows) if i != j]
    sigma = sum(pairs) / len(pairs) / 4

    def mean(x, y):
        return sum(
            math.exp(-float((p - q).square().sum()) / (sigma * 2**r)) for p in x for q in y for r in range(5)
        ) / (len(x) * len(y))

    assert f.mmd(a, b).item() == pytest.approx(mean(a, a) + mean(b, b) - 2 * mean(a, b))
    assert f.mmd(a, a).item() == pytest.approx(0, abs=1e-12)
    same = torch.full((4, 3), 1000.0, requires_grad=True)
    f.mmd(same, same * 1.0).backward()
    assert same.grad.isfinite().all()
    far = (1e6 + torch.randn(4, 3).double()).requires_grad_()
    assert f.mmd(far, b + 1e6).item() == pytest.approx(f.mmd(far - 1e6, b).item(), abs=1e-6)


def test_mask_consistency_of_own_places():
    w = torch.rand(3, 9, 2, dtype=torch.float64)
    first, second = torch.tensor([1, 7, 4]), torch.tensor([5, 6, 3])
    total = 0.0
    for i, (s, t) in enumerate(zip(first.tolist(), second.tolist())):
        for c in range(2):
            between = abs(float(w[i, s, c] - w[i, t, c]))
            total += abs(float(w[i, s, c] - w[i, s - 1, c])) + abs(float(w[i, s, c] - w[i, s + 1, c]))
            total += between if abs(s - t) > 1 else 1 - between
    assert f.mask_consistency(w, first, second).item() == pytest.approx(total / 6)


def test_information_is_free_below_the_threshold():
    assert f.information_kept(torch.full((2, 5, 2), 0.1)).item() == 0
    assert f.information_kept(torch.full((2, 5, 2), 0.3)).item() == pytest.approx(0.2)
