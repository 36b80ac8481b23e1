"""Every metric against scikit-learn, NumPy or a loop written from the paper."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from sklearn.neighbors import KNeighborsClassifier

from likewise.functional import metrics as m


def rand(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# --- geometry


@pytest.mark.parametrize("alpha", [1.0, 2.0, 3.0])
def test_alignment_is_the_mean_distance_of_pairs(alpha):
    a, b = rand(7, 5), rand(7, 5, seed=1)
    total = 0.0
    for x, y in zip(a, b):
        total += float((x / x.norm() - y / y.norm()).norm()) ** alpha
    assert float(m.alignment(a, b, alpha=alpha)) == pytest.approx(total / 7)
    assert float(m.alignment(a, 3 * a)) == pytest.approx(0, abs=1e-12)


@settings(deadline=None, max_examples=25)
@given(n=st.integers(2, 40), block=st.integers(1, 50), t=st.sampled_from([0.5, 2.0, 30.0]))
def test_uniformity_in_tiles_is_the_mean_over_pairs(n, block, t):
    z = rand(n, 4, seed=n)
    u = z / z.norm(dim=1, keepdim=True)
    terms = [math.exp(-t * float((u[i] - u[j]).square().sum())) for i in range(n) for j in range(i)]
    assert float(m.uniformity(z, t=t, block=block)) == pytest.approx(math.log(sum(terms) / len(terms)), abs=1e-9)


def test_uniformity_of_collapse_is_zero_even_at_the_origin():
    assert float(m.uniformity(torch.ones(5, 3))) == pytest.approx(0, abs=1e-6)
    assert float(m.uniformity(torch.zeros(5, 3))) == 0
    spread = float(m.uniformity(rand(3000, 256, dtype=torch.float32)))
    assert spread == pytest.approx(-4, abs=0.05)


def test_anisotropy_and_tolerance_are_means_of_cosines():
    z, labels = rand(12, 5) + 1, torch.tensor([0, 1, 2, 0, 1, 2, 7, 7, 0, 1, 2, 9])
    cosine = sk.pairwise.cosine_similarity(z.numpy())
    off = ~np.eye(12, dtype=bool)
    same = (labels[:, None] == labels[None]).numpy() & off
    assert float(m.anisotropy(z)) == pytest.approx(cosine[off].mean())
    assert float(m.tolerance(z, labels)) == pytest.approx(cosine[same].mean())
    with pytest.raises(ValueError, match="same label"):
        m.tolerance(z[:2], torch.tensor([0, 1]))


def test_per_dimension_std_falls_to_zero_with_collapse():
    z = rand(4000, 16, dtype=torch.float32)
    torch.testing.assert_close(m.per_dimension_std(z), torch.full((16,), 0.25), atol=0.02, rtol=0)
    assert m.per_dimension_std(torch.ones(9, 16)).abs().max() < 1e-6
    expected = np.std((z / z.norm(dim=1, keepdim=True)).numpy(), axis=0)
    np.testing.assert_allclose(m.per_dimension_std(z), expected, rtol=1e-4)


@pytest.mark.parametrize("shape", [(30, 6), (6, 30), (5000, 3), (1, 4)])
def test_effective_rank_is_the_entropy_of_singular_values(shape):
    z = rand(*shape) * torch.linspace(0.1, 3, shape[1]) + 0.5
    s = np.linalg.svd(z.numpy(), compute_uv=False)
    p = s / s.sum()
    assert float(m.effective_rank(z)) == pytest.approx(math.exp(-(p * np.log(p)).sum()), rel=1e-6)


def test_effective_rank_of_known_matrices():
    assert float(m.effective_rank(torch.eye(9))) == pytest.approx(9)
    assert float(m.effective_rank(torch.ones(50, 9))) == pytest.approx(1, abs=1e-3)
    assert float(m.effective_rank(torch.zeros(50, 9))) == 1
    assert float(m.effective_rank(5 * torch.eye(9)[:4])) == pytest.approx(4)


def test_participation_ratio_from_the_covariance():
    z = rand(50, 6) * torch.linspace(0.1, 3, 6) + 4
    values = np.linalg.eigvalsh(np.cov(z.numpy().T))
    assert float(m.participation_ratio(z)) == pytest.approx(values.sum() ** 2 / (values**2).sum())
    assert float(m.participation_ratio(torch.ones(5, 3))) == 0


def slow_lidar(views, delta):
    n, q, d = views.shape
    grand = views.reshape(-1, d).mean(0)
    between, within = np.zeros((d, d)), delta * np.eye(d)
    for i in range(n):
        own = views[i].mean(0)
        between += np.outer(own - grand, own - grand) / (n - 1)
        for j in range(q):
            within += np.outer(views[i, j] - own, views[i, j] - own) / (n * (q - 1))
    values, vectors = np.linalg.eigh(within)
    root = vectors @ np.diag(values**-0.5) @ vectors.T
    p = np.clip(np.linalg.eigvalsh(root @ between @ root), 0, None)
    p = p[p > 0] / p.sum()
    return math.exp(-(p * np.log(p)).sum())


@pytest.mark.parametrize("shape", [(20, 3, 5), (4, 2, 9), (40, 6, 2)])
def test_lidar_against_loops(shape):
    n, q, d = shape
    views = rand(n, 1, d) * torch.linspace(0.2, 2, d) + 0.3 * rand(n, q, d, seed=1)
    assert float(m.lidar(views, delta=1e-3)) == pytest.approx(slow_lidar(views.numpy(), 1e-3), rel=1e-6)


def test_lidar_counts_what_tells_samples_apart():
    # rank of the rows is full, yet only two directions are the samples' own
    own = torch.cat([rand(500, 1, 2) * 5, torch.zeros(500, 1, 8)], 2)
    views = own + 0.1 * rand(500, 10, 10, seed=1)
    assert 1.9 < float(m.lidar(views)) < 2.1
    assert float(m.lidar(torch.ones(5, 2, 3))) == 1
    with pytest.raises(ValueError, match="2 views"):
        m.lidar(torch.zeros(5, 1, 3))


@pytest.mark.parametrize("name", ["effective_rank", "participation_ratio", "uniformity", "anisotropy"])
def test_rotation_and_order_change_nothing(name):
    z = rand(40, 6) + 0.5
    turn = torch.linalg.qr(rand(6, 6, seed=3)).Q
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    metric = getattr(m, name)
    assert float(metric((z @ turn)[order])) == pytest.approx(float(metric(z)), rel=1e-8)


# --- similarities and logits


def test_histogram_counts_like_numpy():
    values = torch.cat([torch.rand(500, generator=torch.Generator().manual_seed(0)) * 2 - 1, torch.tensor([-1.0, 1.0])])
    expected, _ = np.histogram(values.numpy(), bins=40, range=(-1, 1))
    assert m.similarity_histogram(values).tolist() == expected.tolist()
    assert m.similarity_histogram(torch.tensor([1.0000001, -1.0000001]), bins=4).tolist() == [1, 0, 0, 1]


def test_logit_statistics_by_hand():
    logits = torch.tensor([[3.0, 1.0, 2.0], [0.0, 1.0, -torch.inf], [5.0, 5.0, 5.0]])
    positive = torch.tensor([[1, 0, 0], [1, 0, 0], [0, 0, 0]], dtype=torch.bool)
    out = {k: float(v) for k, v in m.logit_statistics(logits, positive).items()}
    p = torch.tensor([1.0, 2.0]).softmax(0)
    assert out == pytest.approx(
        {
            "positive": 1.5,
            "negative": 1.25,
            "hardest": 1.5,
            "margin": 0.0,
            "accuracy": 0.5,
            "entropy": float(-(p * p.log()).sum()) / 2,
        }
    )
    assert all(v.isnan() for v in m.logit_statistics(logits, torch.zeros(3, 3, dtype=torch.bool)).values())


# --- neighbours


@settings(deadline=None, max_examples=25)
@given(n=st.integers(3, 60), k=st.integers(1, 5), block=st.integers(1, 9), own=st.booleans())
def test_nearest_in_tiles_is_the_sorted_matrix(n, k, block, own):
    z = rand(n, 4, seed=n)
    k = min(k, n - 1)
    matrix = F.normalize(z, dim=1) @ F.normalize(z, dim=1).T
    if own:
        matrix.fill_diagonal_(-2)
    value, at = m.nearest(z, z, k, exclude=torch.arange(n) if own else None, block=block)
    expected = matrix.sort(1, descending=True)
    torch.testing.assert_close(value, expected.values[:, :k])
    torch.testing.assert_close(matrix.gather(1, at), value)


def test_nearest_refuses_more_than_there_are():
    with pytest.raises(ValueError, match="between 1 and 2"):
        m.nearest(rand(3, 2), rand(3, 2), 3, exclude=torch.arange(3))
    assert m.nearest(rand(0, 2), rand(3, 2), 2)[1].shape == (0, 2)


@pytest.mark.parametrize(("k", "temperature"), [(1, 0.07), (7, 0.07), (20, 0.5), (500, 0.005)])
def test_knn_predicts_as_scikit_learn(k, temperature):
    gallery, query = rand(90, 6), rand(40, 6, seed=1)
    labels = torch.tensor([3, 5, 11, -1, 8]).repeat(18)
    reference = KNeighborsClassifier(
        min(k, 90), metric="cosine", algorithm="brute", weights=lambda d: np.exp((1 - d - 1) / temperature)
    ).fit(gallery.numpy(), labels.numpy())
    ours = m.knn_predict(query, gallery, labels, k=k, temperature=temperature, block=16)
    assert ours.tolist() == reference.predict(query.numpy()).tolist()


# --- rankings


def ranked(seed=0, rows=30, columns=25):
    score = rand(rows, columns, seed=seed)
    relevant = rand(rows, columns, seed=seed + 1) > 0.8
    return score, relevant, relevant.gather(1, score.argsort(1, descending=True))


def test_average_precision_as_scikit_learn():
    score, relevant, order = ranked()
    ours = m.average_precision(order)
    for i in range(len(score)):
        expected = sk.average_precision_score(relevant[i], score[i]) if relevant[i].any() else 0.0
        assert float(ours[i]) == pytest.approx(expected, abs=1e-6)


def test_hits_recall_and_reciprocal_rank_by_hand():
    order = torch.tensor([[0, 1, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0]], dtype=torch.bool)
    assert m.hit_at_k(order, 1).tolist() == [0, 1, 0]
    assert m.hit_at_k(order, 2).tolist() == [1, 1, 0]
    assert m.recall_at_k(order, 2).tolist() == [0.5, 1, 0]
    assert m.recall_at_k(order, 2, total=torch.tensor([4, 1, 3])).tolist() == [0.25, 1, 0]
    assert m.reciprocal_rank(order).tolist() == [0.5, 1, 0]


@pytest.mark.parametrize("k", [1, 5, 25, 100])
def test_ndcg_as_scikit_learn(k):
    score = rand(20, 25)
    gains = (rand(20, 25, seed=4) * 2).clamp_min(0).round()
    gains[3] = 0
    order = gains.gather(1, score.argsort(1, descending=True))
    expected = [sk.ndcg_score(g[None].numpy(), s[None].numpy(), k=k) for g, s in zip(gains, score)]
    np.testing.assert_allclose(m.ndcg(order, k), expected)
    # a ranking cut short, with all gains given aside
    if k <= 5:
        np.testing.assert_allclose(m.ndcg(order[:, :5], k, ideal=gains), expected)


def test_half_precision_is_promoted():
    z = rand(50, 8, dtype=torch.float32)
    for metric in (m.uniformity, m.anisotropy, m.effective_rank, m.participation_ratio):
        assert float(metric(z.half())) == pytest.approx(float(metric(z.half().float())), rel=1e-2)


def test_no_gradient_and_no_randomness():
    z = rand(20, 4).requires_grad_()
    before = torch.get_rng_state()
    assert not m.uniformity(z).requires_grad
    assert not m.lidar(z.view(5, 4, 4)).requires_grad
    assert torch.equal(before, torch.get_rng_state())
