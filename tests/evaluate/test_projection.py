"""Features on a plane."""

import numpy as np
import pytest
import torch

from likewise.core.errors import InputError
from likewise.evaluate import projection
from likewise.evaluate.projection import pca, project, tsne


@pytest.mark.parametrize("shape", [(50, 6), (6, 50), (20, 20)])
def test_pca_is_sklearns_up_to_signs(shape):
    from sklearn.decomposition import PCA

    x = torch.randn(*shape, dtype=torch.float64) * torch.linspace(1, 5, shape[1])
    points, shares = pca(x, 3)
    twin = PCA(3, svd_solver="full").fit(x.numpy())
    np.testing.assert_allclose(points.abs(), np.abs(twin.transform(x.numpy())), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(shares, twin.explained_variance_ratio_, rtol=1e-5)


def test_pca_has_fixed_signs():
    x = torch.randn(30, 5)
    points, _ = pca(x)
    np.testing.assert_allclose(pca(x.flip(0))[0].flip(0), points, atol=1e-4)
    largest = points.gather(0, points.abs().argmax(0, keepdim=True))
    assert (largest > 0).all()


@pytest.mark.parametrize("shape", [(0, 4), (1, 4), (2, 4), (5, 1), (5, 0)])
def test_pca_of_few_rows_or_columns(shape):
    points, shares = pca(torch.randn(*shape))
    assert points.shape == (shape[0], 2)
    assert points.isfinite().all()
    assert shares.shape == (2,)


def test_same_rows_have_no_directions():
    found = project(torch.ones(10, 4) * 3)
    assert (found.points == 0).all()
    assert found.method == "pca"
    assert found.says == "PCA: all rows have the same direction"


def test_tsne_keeps_groups_apart_and_repeats():
    centres = torch.eye(3).repeat_interleave(20, 0) * 8
    rows = torch.cat([centres, torch.zeros(60, 60)], 1) + torch.randn(60, 63) * 0.2
    found = project(rows, seed=3)
    assert found.method == "t-sne"
    groups = found.points.view(3, 20, 2)
    within = (groups - groups.mean(1, keepdim=True)).norm(dim=2).mean()
    assert torch.pdist(groups.mean(1)).min() > 3 * within
    assert torch.equal(project(rows, seed=3).points, found.points)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 9])
def test_tsne_of_few_rows(n):
    points = tsne(torch.randn(n, 5))
    assert points.shape == (n, 2)
    assert points.isfinite().all()


def test_too_many_rows_fall_back_to_pca(monkeypatch):
    monkeypatch.setattr(projection, "TSNE_ROWS", 10)
    assert project(torch.randn(11, 3)).method == "pca"
    with pytest.raises(InputError, match="t-SNE of 11 rows"):
        project(torch.randn(11, 3), "t-sne")


def test_length_counts_only_when_asked_for():
    rows = torch.randn(20, 4)
    longer = rows * torch.linspace(1, 9, 20)[:, None]
    torch.testing.assert_close(project(rows, "pca").points, project(longer, "pca").points)
    assert not torch.allclose(project(rows, "pca", unit=False).points, project(longer, "pca", unit=False).points)


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(InputError, match="NaN or infinity"):
        project(torch.tensor([[1.0, float("nan")]]))
