"""Certified errors and distances of regressors beside attacks, as metrics."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import mean_squared_error
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

from sklearn_iso import ThreatModel
from sklearn_iso.attacks import AttackEnsemble, MinimumNormEnsemble
from sklearn_iso.exceptions import NotCertifiableError
from sklearn_iso.metrics import (
    adversarial_distance,
    adversarial_error,
    certified_accuracy,
    certified_distance,
    certified_error,
)
from sklearn_iso.metrics._proven_ranges import interval
from sklearn_iso.twins._affine import Linear

X, Y = load_diabetes(return_X_y=True)
X = X / X.std(axis=0)
LINE = make_pipeline(StandardScaler(), Ridge()).fit(X, Y)
TREE = DecisionTreeRegressor(max_depth=5, random_state=0).fit(X, Y)
FOREST = RandomForestRegressor(5, max_depth=3, random_state=0).fit(X, Y)
SOME = slice(None, None, 40)
BOX = {"bounds": (X.min(axis=0), X.max(axis=0)), "immutable": [1], "units": [2.0] + [1.0] * 9}


def largest_gain(slopes, room, eps, norm):
    """Return the most that a step gains: slopes and room in units, without a certificate."""
    if norm == "linf":
        return slopes @ np.minimum(room, eps)
    if norm == "l1":
        sides = [(0, one) for one in room]
        return -linprog(-slopes, np.ones((1, len(room))), [eps], bounds=sides).fun

    def stretched(stretch):
        return np.minimum(stretch * slopes, room)

    if not slopes.any():
        return 0.0
    low, high = 0.0, 1e12
    for _ in range(200):
        middle = (low + high) / 2
        inside = np.linalg.norm(stretched(middle)) <= eps
        low, high = (middle, high) if inside else (low, middle)
    return slopes @ stretched(low)


@given(st.integers(0, 10**6), st.sampled_from(["linf", "l2", "l1"]), st.booleans())
@settings(max_examples=40, deadline=None)
def test_of_linear_regressors_nothing_is_open(seed, norm, in_box):
    generator = np.random.default_rng(seed)
    samples = generator.standard_normal((4, 3)) * [1, 10, 0.1]
    line = LinearRegression().fit(samples, generator.standard_normal(4))
    line.coef_ = generator.standard_normal(3) * generator.choice([0, 1, 100], 3)
    units, eps = generator.choice([0.1, 1, 5], 3), float(generator.choice([1e-3, 0.5, 10]))
    low, high = samples.min(axis=0), samples.max(axis=0)
    if not in_box:
        low, high = low - 1e4, high + 1e4
    threat = ThreatModel(norm, units=units, bounds=(low, high))

    def gains(size):
        found = []
        for x in samples:
            for sign in (1, -1):
                slopes = sign * line.coef_
                room = np.where(slopes > 0, high - x, x - low) / units
                found.append(largest_gain(np.abs(slopes * units), room, size, norm))
        return np.reshape(found, (4, 2))

    y = line.predict(samples) + generator.standard_normal(4)
    deviation = line.predict(samples) - y
    rise, fall = gains(eps).T
    worst = np.maximum(deviation + rise, fall - deviation)
    for loss, power in (("absolute_error", 1), ("squared_error", 2)):
        proven = certified_error(line, samples, y, eps=eps, threat=threat, loss=loss)
        np.testing.assert_allclose(proven, (worst**power).mean(), rtol=1e-6)
    found = certified_distance(line, samples, threat=threat, tolerance=1.5)
    for row, distance in enumerate(found):
        at = gains(min(distance, 1e6))[row].max()
        assert np.isclose(at, 1.5, rtol=1e-6) if np.isfinite(distance) else at < 1.5


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_attacks_on_linear_regressors_find_what_is_proven(norm):
    few, threat = (LINE, X[:3], Y[:3]), ThreatModel(norm, **BOX)
    proven = certified_error(*few, eps=0.3, threat=threat)
    found = adversarial_error(*few, eps=0.3, threat=threat, random_state=0)
    assert found <= proven and np.isclose(found, proven, rtol=1e-6)
    proven = certified_distance(*few, threat=threat, tolerance=300.0)
    found = adversarial_distance(*few, threat=threat, tolerance=300.0, random_state=0)
    assert (proven <= found * (1 + 1e-9)).all()
    np.testing.assert_allclose(proven, found, rtol=1e-6)


@pytest.mark.parametrize("threat", [{}, BOX])
@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_of_single_trees_nothing_is_open(norm, threat):
    threat = ThreatModel(norm, **threat)
    for eps in (0.1, 0.7):
        given = {"eps": eps, "threat": threat, "loss": "squared_error"}
        proven = certified_error(TREE, X[SOME], Y[SOME], **given)
        assert np.isclose(
            proven, adversarial_error(TREE, X[SOME], Y[SOME], random_state=0, **given)
        )
    for y in (None, Y[SOME]):
        given = {"threat": threat, "tolerance": 40.0}
        proven = certified_distance(TREE, X[SOME], y, **given)
        found = adversarial_distance(TREE, X[SOME], y, random_state=0, **given)
        np.testing.assert_allclose(proven, found, rtol=1e-6)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_attacks_stay_between_the_error_and_what_is_proven(norm):
    few, threat = (FOREST, X[SOME], Y[SOME]), ThreatModel(norm, **BOX)
    attack = AttackEnsemble(n_queries=60)
    for loss in ("absolute_error", "squared_error"):
        given = {"eps": 0.3, "threat": threat, "loss": loss}
        proven = certified_error(*few, **given)
        found = adversarial_error(*few, attack=attack, random_state=0, **given)
        clean = certified_error(*few, eps=0, threat=threat, loss=loss)
        assert clean < found <= proven
    nearest = MinimumNormEnsemble(n_queries=100)
    for y in (None, Y[SOME]):
        given = {"threat": threat, "tolerance": 30.0}
        proven = certified_distance(FOREST, X[SOME], y, **given)
        found = adversarial_distance(FOREST, X[SOME], y, attack=nearest, random_state=0, **given)
        assert (proven <= found).all() and (proven[found > 0] > 0).all()


def test_at_no_budget_it_is_the_error():
    for loss, measure in (("squared_error", mean_squared_error),):
        weight = np.arange(len(Y)) % 3
        error = certified_error(LINE, X, Y, eps=0, loss=loss, sample_weight=weight)
        assert np.isclose(error, measure(Y, LINE.predict(X), sample_weight=weight))


def test_weights_count_samples_and_zeros_leave_them_out():
    weight = np.arange(len(Y)) % 3
    weighed = certified_error(TREE, X, Y, eps=0.2, sample_weight=weight)
    rows = np.repeat(np.arange(len(Y)), weight)
    assert np.isclose(weighed, certified_error(TREE, X[rows], Y[rows], eps=0.2))


def test_errors_grow_and_distances_tell_where():
    tolerance = 60.0
    distances = certified_distance(TREE, X, Y, tolerance=tolerance)
    for eps in (0.05, 0.3):
        larger = [certified_error(TREE, X[[i]], Y[[i]], eps=eps) for i in range(25)]
        np.testing.assert_array_equal(np.array(larger) > tolerance, distances[:25] <= eps)
    assert (distances == 0).sum() == (np.abs(Y - TREE.predict(X)) > tolerance).sum()


def test_categories_are_all_tried():
    generator = np.random.default_rng(0)
    place = generator.integers(3, size=80)
    table = np.hstack([generator.standard_normal((80, 1)), np.eye(3)[place]])
    line = Ridge(1e-3).fit(table, table @ [1.0, 0.0, 5.0, -8.0])
    threat = ThreatModel(categories=[(1, 2, 3)])
    proven = certified_error(line, table, line.predict(table), eps=0.1, threat=threat)
    found = adversarial_error(
        line, table, line.predict(table), eps=0.1, threat=threat, random_state=0
    )
    assert np.isclose(proven, found) and proven > 5
    held = certified_error(line, table, line.predict(table), eps=0.1, threat="linf")
    assert held < 2
    assert (certified_distance(line, table, threat=threat, tolerance=4.0) == 0).all()
    far = certified_distance(line, table, threat=threat, tolerance=14.0)
    assert (far > 0).all()


def test_frames_lists_and_missing_values_are_taken():
    frame = pd.DataFrame(X, columns=[f"c{i}" for i in range(10)])
    line = make_pipeline(StandardScaler(), Ridge()).fit(frame, Y)
    threat = ThreatModel("l2", units=frame.std(), immutable=["c1"])
    units, n = X.std(axis=0, ddof=1), 20
    by_number = ThreatModel("l2", units=units, immutable=[1])
    proven = certified_error(line, frame[:n], Y[:n], eps=0.2, threat=threat)
    assert np.isclose(
        proven, certified_error(LINE, X[:n], Y[:n].tolist(), eps=0.2, threat=by_number)
    )
    gaps = X[:n].copy()
    gaps[:, 0] = np.nan
    with_gaps = np.where(np.random.default_rng(0).random(X.shape) < 0.2, np.nan, X)
    tree = DecisionTreeRegressor(max_depth=4, random_state=0).fit(with_gaps, Y)
    assert certified_error(tree, gaps, Y[:n], eps=0.3) > certified_error(tree, gaps, Y[:n], eps=0)
    assert np.isfinite(certified_distance(tree, gaps, tolerance=1.0)).any()


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"eps": -1}, ValueError, "eps must be"),
        ({"threat": "l0"}, ValueError, "'l0'"),
        ({"loss": np.subtract}, ValueError, "loss must be one of"),
        ({"loss": "log_loss"}, ValueError, "loss must be one of"),
        ({"time_limit": -1.0}, ValueError, "time_limit"),
        ({"sample_weight": [1.0]}, ValueError, "sample_weight"),
    ],
)
def test_parameters_out_of_range_are_told(options, error, told):
    with pytest.raises(error, match=told):
        certified_error(LINE, X, Y, **({"eps": 0.1} | options))


def test_classifiers_and_regressors_are_told_apart():
    classifier = LogisticRegression(max_iter=1000).fit(X, Y > 100)
    with pytest.raises(TypeError, match=r"must be a regressor; got LogisticRegression.*accuracy"):
        certified_error(classifier, X, Y > 100, eps=0.1)
    with pytest.raises(ValueError, match="tolerance must be left out for a classifier"):
        certified_distance(classifier, X, Y > 100, tolerance=1.0)
    with pytest.raises(ValueError, match="y must hold the labels"):
        certified_distance(classifier, X)
    for estimator in (LINE, TREE):
        with pytest.raises(NotCertifiableError, match="call certified_error"):
            certified_accuracy(estimator, X, Y, eps=0.1)
        with pytest.raises(ValueError, match="tolerance must be a number above 0"):
            certified_distance(estimator, X, Y)
    with pytest.raises(TypeError, match="estimator"):
        certified_error(StandardScaler().fit(X), X, Y, eps=0.1)
    with pytest.raises(NotCertifiableError, match="KNeighborsRegressor cannot be certified"):
        certified_distance(KNeighborsRegressor().fit(X, Y), X, tolerance=1.0)


class Altered(RegressorMixin, BaseEstimator):
    """Has a differentiable model that predicts something else."""

    def fit(self, X, y):
        self.coef_ = np.ones((X.shape[1], 1))
        return self

    def predict(self, X):
        return X @ self.coef_[:, 0] + 0.5

    def to_torch(self):
        return Linear(self.coef_, 0.0)


def test_models_that_predict_otherwise_prove_nothing():
    with pytest.raises(NotCertifiableError, match="Altered cannot be certified: it predicts other"):
        certified_error(Altered().fit(X, Y), X, Y, eps=0.1)


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
@settings(max_examples=100, deadline=None)
def test_an_interval_ends_where_differences_do(y, tolerance):
    low, high = (side[0] for side in interval(np.array([y]), tolerance))
    assert y - low <= tolerance and high - y <= tolerance
    step = 4 * np.spacing(abs(y) + tolerance)
    assert y - (low - step) > tolerance and (high + step) - y > tolerance


def test_deviations_of_just_the_tolerance_are_within_it():
    tree = DecisionTreeRegressor().fit([[0.0], [1.0], [2.0]], [2.0, 3.0, 5.0])
    proven = certified_distance(tree, [[0.0], [2.0]], tolerance=1.0)
    np.testing.assert_allclose(proven, [1.5, 0.5], rtol=1e-6)
