"""The estimator keeps scikit-learn's contract and is worth having."""

import pickle

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from likewise.sklearn import Contrastive

EXPECTED_FAILURES: dict[str, str] = {}


def _failures(_estimator):
    return EXPECTED_FAILURES


@parametrize_with_checks(
    [Contrastive("simclr", epochs=1, batch=16), Contrastive("supcon", epochs=1, batch=16)],
    expected_failed_checks=_failures,
)
def test_estimator_contract(estimator, check):
    check(estimator)


def _digits():
    X, y = load_digits(return_X_y=True)
    return X.astype(np.float32) * 16, y


def test_a_trained_embedding_beats_an_untrained_one_and_the_pixels():
    X, y = _digits()
    settings = {"learner.encoder.dim": 64, "views.flip": False}

    def score(epochs):
        made = Contrastive("supcon", epochs=epochs, batch=64, image_shape=(8, 8), settings=settings)
        return make_pipeline(made, LogisticRegression(max_iter=500)).fit(X[:1000], y[:1000]).score(X[1000:], y[1000:])

    pixels = LogisticRegression(max_iter=200).fit(X[:1000] / 255, y[:1000]).score(X[1000:] / 255, y[1000:])
    trained = score(20)
    assert trained > score(0.1) + 0.03
    assert trained > pixels


def test_same_seed_same_embedding_and_pickling_keeps_it():
    X, _ = _digits()
    first = Contrastive(epochs=1, random_state=3).fit(X[:200])
    again = Contrastive(epochs=1, random_state=3).fit(X[:200])
    assert np.array_equal(first.transform(X[:50]), again.transform(X[:50]))
    held = pickle.loads(pickle.dumps(first))
    assert np.array_equal(first.transform(X[:50]), held.transform(X[:50]))
    assert next(iter(first.get_feature_names_out())) == "contrastive0"


def test_messages_for_wrong_use():
    X, _ = _digits()
    with pytest.raises(ValueError, match="supcon requires y"):
        Contrastive("supcon").fit(X[:50])
    with pytest.raises(ValueError, match="did you mean 'simclr'"):
        Contrastive("simclrr").fit(X[:50])
    with pytest.raises(ValueError, match=r"image_shape=\(9, 9\) has 81 values, X 64"):
        Contrastive(image_shape=(9, 9)).fit(X[:50])
    with pytest.raises(ValueError, match="unknown setting"):
        Contrastive(settings={"tempratur": 1}).fit(X[:50])
