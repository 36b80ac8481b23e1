import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression, Ridge

from likewise.evaluate.linear import GRID, Standard, balanced, choose_c, fit_probe, fit_ridge, logistic, ridge


@pytest.fixture(scope="module")
def digits():
    x, y = load_digits(return_X_y=True)
    x = torch.from_numpy(x).float()
    return Standard.of(x)(x), torch.from_numpy(y)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("c", [0.001, 0.1, 10.0])
def test_logistic_is_that_of_scikit_learn(digits, c):
    x, y = digits
    ours = logistic(x[:600], y[:600], 10, c=c, tolerance=1e-6)
    theirs = LogisticRegression(C=c, tol=1e-6, max_iter=5000).fit(x[:600].double().numpy(), y[:600].numpy())
    assert ours.converged
    np.testing.assert_allclose(ours.weight, theirs.coef_, atol=2e-3 * np.abs(theirs.coef_).max())
    assert torch.equal(ours.predict(x[600:]), torch.from_numpy(theirs.predict(x[600:].numpy())))


def test_two_classes_have_twice_the_penalty_of_one_score(digits):
    x, y = digits
    two = y < 2
    x, y = x[two], y[two]
    ours = logistic(x, y, 2, c=0.05, tolerance=1e-7)
    theirs = LogisticRegression(C=0.1, tol=1e-7, max_iter=5000).fit(x.double().numpy(), y.numpy())
    np.testing.assert_allclose(ours.weight[1] - ours.weight[0], theirs.coef_[0], atol=1e-4)


def test_converged_means_a_gradient_of_nearly_zero(digits):
    x, y = (t[:400] for t in digits)
    fit = logistic(x, y, 10, c=1.0, tolerance=1e-5)
    weight = fit.weight.clone().requires_grad_()
    bias = fit.bias.clone().requires_grad_()
    loss = torch.nn.functional.cross_entropy(x.double() @ weight.T + bias, y) + weight.square().sum() / (2 * 400)
    loss.backward()
    assert fit.converged
    assert max(float(weight.grad.abs().max()), float(bias.grad.abs().max())) < 1e-5
    assert not logistic(x, y, 10, c=1e4, tolerance=1e-9, max_iter=3).converged


def test_a_class_without_rows_is_never_predicted(digits):
    x, y = digits
    fit = logistic(x[y < 5], y[y < 5], 10)
    assert set(fit.predict(x).tolist()) <= set(range(5))


def test_a_start_changes_the_way_but_not_the_end(digits):
    x, y = (t[:500] for t in digits)
    cold = logistic(x, y, 10, c=1.0, tolerance=1e-7)
    warm = logistic(x, y, 10, c=1.0, tolerance=1e-7, start=logistic(x, y, 10, c=0.01))
    torch.testing.assert_close(cold.weight, warm.weight, atol=1e-4, rtol=0)


def test_standard_scale_and_dead_coordinates():
    x = torch.randn(500, 4, generator=generator()) * torch.tensor([1.0, 50.0, 1e-3, 1e-8]) + torch.tensor(
        [0, 5, 0, 1.0]
    )
    x[:, 3] = 1 + 1e-8 * torch.randn(500, generator=generator(1))
    z = Standard.of(x)(x)
    torch.testing.assert_close(z[:, :3].mean(0), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(z[:, :3].std(0, unbiased=False), torch.ones(3), atol=1e-4, rtol=0)
    assert (z[:, 3] == 0).all()
    assert (Standard.of(torch.zeros(5, 2))(torch.zeros(5, 2)) == 0).all()


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=40), st.integers(0, 5))
def test_balanced_orders_are_even_from_the_start(labels, seed):
    y = torch.tensor(labels)
    order, before = balanced(y, generator(seed))
    assert sorted(order.tolist()) == list(range(len(y)))
    seen = dict.fromkeys(labels, 0)
    totals = {c: labels.count(c) for c in seen}
    for row, earlier in zip(order.tolist(), before.tolist()):
        assert seen[labels[row]] == earlier
        seen[labels[row]] += 1
        # a class lags behind another only when it has no rows left
        assert all(seen[c] >= min(totals[c], max(seen.values()) - 1) for c in seen)


def test_c_is_chosen_by_held_out_rows(digits):
    x, y = digits
    weak = choose_c(x[:200], y[:200], 10, generator())
    # labels without any relation to the rows: nothing but strong regularisation helps
    noise = torch.randint(0, 2, (300,), generator=generator())
    strong = choose_c(torch.randn(300, 100, generator=generator(1)), noise, 2, generator())
    assert weak in GRID
    assert strong <= weak
    assert choose_c(x[:200], y[:200], 10, generator()) == weak
    assert choose_c(x[:1], y[:1], 10, generator()) == 1.0


def test_fit_probe_warns_when_it_can_not_converge(digits, monkeypatch):
    from likewise.evaluate import linear

    short = linear.logistic
    monkeypatch.setattr(linear, "logistic", lambda *a, **k: short(*a, **{**k, "max_iter": 1, "tolerance": 1e-9}))
    with pytest.warns(UserWarning, match="did not converge"):
        fit_probe(digits[0][:100], digits[1][:100], 10, generator())


def test_ridge_is_that_of_scikit_learn():
    x = torch.randn(60, 8, generator=generator(), dtype=torch.float64) + 3
    y = x @ torch.arange(8.0, dtype=torch.float64) + torch.randn(60, generator=generator(1), dtype=torch.float64)
    w, b = ridge(x, y, [0.1, 30.0])
    for i, penalty in enumerate((0.1, 30.0)):
        theirs = Ridge(alpha=penalty).fit(x.numpy(), y.numpy())
        np.testing.assert_allclose(w[i], theirs.coef_, rtol=1e-8)
        assert float(b[i]) == pytest.approx(theirs.intercept_)


def test_fit_ridge_finds_a_linear_relation_and_survives_few_rows():
    x = torch.randn(200, 5, generator=generator())
    w, b = fit_ridge(x, x @ torch.arange(5.0) - 2, generator())
    np.testing.assert_allclose(w, np.arange(5), atol=1e-2)
    assert float(b) == pytest.approx(-2, abs=1e-2)
    w, b = fit_ridge(x[:2], torch.tensor([1.0, 1.0]), generator())
    assert w.abs().max() < 1e-6
    assert float(b) == pytest.approx(1)
