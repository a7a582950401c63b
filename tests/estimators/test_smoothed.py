"""Randomised smoothing: radii of linear classifiers are known, bounds are those of scipy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_iris, make_moons
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier

from sklearn_iso import SmoothedClassifier

X, Y = load_iris(return_X_y=True)


class Sign(ClassifierMixin, BaseEstimator):
    """Whether the first feature is positive; it keeps what it was fitted on."""

    def fit(self, X, y, sample_weight=None):
        self.seen_, self.weight_ = (X, y), sample_weight
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return self.classes_[(X[:, 0] > 0).astype(int)]


def on_a_line(points, **params):
    smoothed = SmoothedClassifier(Sign(), random_state=0, **params)
    smoothed.fit([[-1.0, 0.0], [1.0, 0.0]], ["left", "right"])
    return smoothed, np.column_stack([points, np.zeros(len(points))])


def test_shares_of_a_threshold_are_those_of_the_normal_distribution():
    smoothed, samples = on_a_line(np.linspace(-1, 1, 9), sigma=0.5, n_samples=20_000)
    expected = stats.norm.cdf(samples[:, 0] / 0.5)
    np.testing.assert_allclose(smoothed.predict_proba(samples)[:, 1], expected, atol=0.012)


def test_radius_of_a_threshold_is_a_little_below_the_distance_to_it():
    smoothed, samples = on_a_line(np.array([0.01, 0.2, 0.5, 0.9]), sigma=0.5, n_samples=20_000)
    radii, distances = smoothed.certified_radius(samples), samples[:, 0]
    assert radii[0] == 0
    assert (radii <= distances).all()
    assert (radii[1:] > distances[1:] - 0.06).all()


@pytest.mark.parametrize("alpha", [0.001, 0.2])
def test_certain_probabilities_are_those_of_an_exact_test(alpha):
    points = np.linspace(0.3, 1.2, 10)
    smoothed, samples = on_a_line(points, sigma=0.5, n_samples=300, alpha=alpha)
    counts = np.rint(smoothed.predict_proba(samples)[:, 1] * 300).astype(int)
    least = [
        stats.binomtest(int(k), 300, alternative="greater").proportion_ci(1 - alpha).low
        for k in counts
    ]
    expected = 0.5 * stats.norm.ppf(np.maximum(least, 0.5))
    np.testing.assert_allclose(smoothed.certified_radius(samples), expected, atol=1e-9)


def test_equal_votes_have_the_largest_radius():
    smoothed = SmoothedClassifier(DummyClassifier(), sigma=2.0, n_samples=50, alpha=0.01)
    found = smoothed.fit(X, Y).certified_radius(X[:3])
    np.testing.assert_allclose(found, 2.0 * stats.norm.ppf(0.01 ** (1 / 50)))


def test_a_radius_is_one_of_the_prediction_and_holds_for_points_inside():
    X, y = make_moons(120, noise=0.1, random_state=0)
    smoothed = SmoothedClassifier(
        DecisionTreeClassifier(), sigma=0.2, n_samples=400, n_copies=5, random_state=0
    ).fit(X, y)
    radii, labels = smoothed.certified_radius(X), smoothed.predict(X)
    assert (radii > 0).mean() > 0.8
    rng = np.random.default_rng(0)
    for _ in range(5):
        step = rng.normal(size=X.shape)
        step *= 0.999 * radii[:, None] / np.linalg.norm(step, axis=1, keepdims=True)
        assert (smoothed.predict(X + step) == labels)[radii > 0].all()


def test_few_draws_prove_nothing():
    smoothed = SmoothedClassifier(DummyClassifier(), n_samples=9).fit(X, Y)
    assert smoothed.certified_radius(X).tolist() == [0.0] * len(X)  # .001 is below 1 / 2 ** 9


def test_copies_are_noisy_and_keep_labels_and_weights():
    smoothed = SmoothedClassifier(Sign(), sigma=0.5, n_copies=200, random_state=0)
    weight = np.array([1.0, 3.0])
    inner = smoothed.fit([[-1.0, 2.0], [1.0, 5.0]], [0, 1], sample_weight=weight).estimator_
    samples, labels = inner.seen_
    assert samples.shape == (400, 2)
    np.testing.assert_array_equal(labels, np.tile([0, 1], 200))
    np.testing.assert_array_equal(inner.weight_, np.tile(weight, 200))
    np.testing.assert_allclose(samples[labels == 1].mean(axis=0), [1.0, 5.0], atol=0.1)
    np.testing.assert_allclose(samples[labels == 1].std(axis=0), 0.5, atol=0.06)
    inner = clone(smoothed).set_params(n_copies=0).fit(X, Y).estimator_
    np.testing.assert_array_equal(inner.seen_[0], X)
    assert inner.weight_ is None


def test_same_seed_same_answers_in_any_order_and_chunk(monkeypatch):
    smoothed = SmoothedClassifier(DecisionTreeClassifier(), n_samples=150, random_state=3)
    smoothed.fit(X, Y)
    radii = smoothed.certified_radius(X)
    before = np.random.get_state()[1].copy()
    order = np.random.default_rng(0).permutation(len(X))
    np.testing.assert_array_equal(smoothed.certified_radius(X[order]), radii[order])
    np.testing.assert_array_equal(clone(smoothed).fit(X, Y).certified_radius(X), radii)
    monkeypatch.setattr("sklearn_iso.estimators._smoothed.CHUNK", 7 * X.size)
    np.testing.assert_array_equal(smoothed.certified_radius(X), radii)
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    other = clone(smoothed).set_params(random_state=4).fit(X, Y)
    assert (other.predict_proba(X) != smoothed.predict_proba(X)).any()


def test_names_of_columns_are_kept():
    frame = pd.DataFrame(X, columns=list("abcd"))
    smoothed = SmoothedClassifier(KNeighborsClassifier(), n_samples=20).fit(frame, Y)
    assert smoothed.feature_names_in_.tolist() == list("abcd")
    with pytest.raises(ValueError, match="feature names"):
        smoothed.certified_radius(frame[list("dcba")])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"sigma": 0}, "sigma"),
        ({"n_samples": 0}, "n_samples"),
        ({"n_guess": 0}, "n_guess"),
        ({"alpha": 1.0}, "alpha"),
        ({"n_copies": -1}, "n_copies"),
        ({"estimator": "tree"}, "estimator"),
    ],
)
def test_parameters_out_of_range_are_refused(params, message):
    with pytest.raises(ValueError, match=message):
        SmoothedClassifier(**{"estimator": LogisticRegression(), **params}).fit(X, Y)


def test_noise_that_the_dtype_does_not_hold_is_refused():
    smoothed = SmoothedClassifier(KNeighborsClassifier(), sigma=1e38, n_samples=10)
    with pytest.raises(ValueError, match=r"sigma must be at most 3.4e\+37 .* float32"):
        smoothed.fit(X.astype(np.float32), Y)
    smoothed.fit(X, Y)
    assert smoothed.predict_proba(X[:1]).sum() == 1
    with pytest.raises(ValueError, match="sigma must be at most"):
        smoothed.predict(X[:1].astype(np.float32))


def test_missing_values_are_refused():
    smoothed = SmoothedClassifier(KNeighborsClassifier(), n_samples=10).fit(X, Y)
    with pytest.raises(ValueError, match="NaN"):
        smoothed.certified_radius(np.full((1, 4), np.nan))


class Interrupted(LogisticRegression):
    def fit(self, X, y, sample_weight=None):
        raise KeyboardInterrupt


def test_an_interrupted_fit_is_none_and_leaves_the_one_before_as_it_was():
    X, y = np.arange(20.0)[:, None], np.arange(20) > 9
    model = SmoothedClassifier(Interrupted(), n_samples=20, n_guess=5, random_state=0)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    with pytest.raises(NotFittedError):
        model.predict(X)
    expected = model.set_params(estimator=LogisticRegression()).fit(X, y).predict_proba(X)
    with pytest.raises(KeyboardInterrupt):
        model.set_params(estimator=Interrupted(), random_state=1).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), expected)
