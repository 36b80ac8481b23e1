import itertools

import numpy as np
import pytest
from scipy import stats

from likewise.core.errors import InputError
from likewise.evaluate.compare import holm, paired, rank, summary


def test_summary_of_several_and_of_one():
    several = summary([0.8, 0.82, 0.87])
    assert several.mean == pytest.approx(0.83)
    assert several.sd == pytest.approx(np.std([0.8, 0.82, 0.87], ddof=1))
    one = summary([0.8])
    assert (one.mean, one.sd, one.n) == (0.8, None, 1)
    assert str(one) == "0.8"
    assert str(several) == "0.83 ± 0.036"


@pytest.mark.parametrize("n", [2, 3, 5, 9])
def test_paired_is_the_t_test_of_scipy_and_every_sign_pattern(n):
    rng = np.random.default_rng(n)
    a, b = rng.normal(0.3, 1, n), rng.normal(0, 1, n)
    ours, theirs = paired(list(a), list(b)), stats.ttest_rel(a, b)
    assert ours.p == pytest.approx(theirs.pvalue)
    low, high = theirs.confidence_interval()
    assert (ours.low, ours.high) == pytest.approx((low, high))
    d = a - b
    patterns = [abs(np.dot(s, d)) for s in itertools.product((1, -1), repeat=n)]
    assert ours.p_exact == pytest.approx(np.mean([v >= abs(d.sum()) - 1e-12 for v in patterns]))
    assert paired(list(b), list(a)).mean == -ours.mean


def test_many_seeds_are_sampled_and_never_give_zero():
    d = np.linspace(0.5, 1.5, 25)
    found = paired(list(d), [0.0] * 25)
    assert 0 < found.p_exact < 1e-4
    assert found.p_exact == paired(list(d), [0.0] * 25).p_exact
    rng = np.random.default_rng(0)
    noise = rng.normal(size=25)
    sampled = paired(list(noise), [0.0] * 25)
    assert sampled.p_exact == pytest.approx(sampled.p, abs=0.05)


def test_one_seed_has_a_mean_and_nothing_else():
    found = paired([0.9], [0.8])
    assert found.mean == pytest.approx(0.1)
    assert (found.low, found.high, found.p, found.p_exact) == (None, None, None, None)


def test_differences_without_variance_have_no_t_test():
    same = paired([0.1, 0.2, 0.3], [0.1, 0.2, 0.3])
    assert (same.mean, same.low, same.high, same.p, same.p_exact) == (0, 0, 0, None, 1.0)
    shifted = paired([0.2, 0.3, 0.4], [0.1, 0.2, 0.3])  # 0.1 each, up to rounding
    assert shifted.low == shifted.high == pytest.approx(0.1)
    assert shifted.p is None
    assert shifted.p_exact == 0.25


@pytest.mark.parametrize(("a", "b"), [([1.0], [1.0, 2.0]), ([], []), ([float("nan"), 1.0], [1.0, 2.0])])
def test_what_can_not_be_compared_is_an_error(a, b):
    with pytest.raises(InputError):
        paired(a, b)


def test_holm_by_hand():
    assert holm([0.01, 0.04, None, 0.03]) == [pytest.approx(0.03), pytest.approx(0.06), None, pytest.approx(0.06)]
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def seeds(values, name="knn"):
    return [{name: v, "dim": 8.0} for v in values]


def test_rank_orders_by_the_better_side():
    results = {"a": seeds([0.70, 0.71, 0.72]), "b": seeds([0.90, 0.92, 0.91]), "c": seeds([0.89, 0.93, 0.90])}
    found = rank(results, "knn")
    assert [s.name for s in found] == ["b", "c", "a"]
    assert found[0].behind is None
    assert found[0].says.startswith("best; better than a (paired, p = ")
    assert "c" not in found[0].says
    assert "could be chance" in found[1].says
    assert found[2].says.startswith("20.0 points behind b (p = ")
    assert found[2].p == pytest.approx(min(1, 2 * found[2].behind.p))
    lower = rank({k: [{"uniformity": v["knn"]} for v in s] for k, s in results.items()}, "uniformity")
    assert [s.name for s in lower] == ["a", "c", "b"]
    assert lower[1].behind.mean > 0


def test_rank_of_one_seed_of_ties_and_of_one_method():
    one = rank({"a": seeds([0.9]), "b": seeds([0.8])}, "knn")
    assert one[0].says == "best on average"
    assert one[1].says == "10.0 points behind a; one seed can't tell whether that is chance"
    ties = rank({"b": seeds([0.5, 0.5]), "a": seeds([0.5, 0.5])}, "knn")
    assert [s.name for s in ties] == ["a", "b"]
    assert ties[1].says == "the same as a"
    assert rank({"a": seeds([0.5])}, "knn")[0].says == "the only one"
    every = rank({"a": seeds([0.5, 0.6]), "b": seeds([0.25, 0.35])}, "knn")
    assert every[1].says == "25.0 points behind a in every seed"


def test_rank_leaves_out_methods_without_the_metric_and_refuses_the_rest():
    results = {"a": seeds([0.5, 0.6]), "b": [{"dim": 8.0}, {"dim": 8.0}]}
    assert [s.name for s in rank(results, "knn")] == ["a"]
    with pytest.raises(InputError, match="no result has the metric 'linear'"):
        rank(results, "linear")
    with pytest.raises(InputError, match="has no better side"):
        rank(results, "dim")
    with pytest.raises(InputError, match="did you mean 'knn'"):
        rank(results, "kn")
    with pytest.raises(InputError, match="same seeds"):
        rank({"a": seeds([0.5, 0.6]), "b": seeds([0.5])}, "knn")
