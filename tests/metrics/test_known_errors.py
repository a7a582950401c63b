"""What proofs know of errors and attacks take over: no gap is left where a proof is exact."""

from itertools import product

import numpy as np
import pytest
import torch
from certified import both_sides, thresholds_of
from scipy.optimize import bisect
from scipy.special import expit
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from sklearn_iso import ThreatModel
from sklearn_iso._certificates import errors_of, grids, trees, veritas
from sklearn_iso.attacks import Budget, Square
from sklearn_iso.exceptions import NotCertifiableError
from sklearn_iso.metrics import (
    adversarial_accuracy,
    adversarial_distance,
    adversarial_error,
    certified_accuracy,
    certified_distance,
    robustness_report,
)
from sklearn_iso.metrics._known_errors import KnownErrors
from sklearn_iso.metrics._neighbour_steps import _Near
from sklearn_iso.metrics._problem import Problem

X, Y = load_iris(return_X_y=True)
SOME = np.arange(2, 150, 11)
NORMS = ("linf", "l2", "l1")
TREE = DecisionTreeClassifier(random_state=0).fit(X, Y)
SCALED_TREE = make_pipeline(StandardScaler(), DecisionTreeClassifier(random_state=1)).fit(X, Y)
EXACT = {
    "tree": (TREE, NORMS),
    "scaled tree": (SCALED_TREE, NORMS),
    "forest": (RandomForestClassifier(4, max_depth=3, random_state=0).fit(X, Y), ("linf",)),
    "linear": (LogisticRegression(max_iter=300).fit(X, Y), NORMS),
    "neighbour": (KNeighborsClassifier(1).fit(X[::2], Y[::2]), NORMS),
}
CASES = [(name, norm) for name, (_, norms) in EXACT.items() for norm in norms]


@pytest.mark.parametrize(("name", "norm"), CASES)
@pytest.mark.parametrize("limits", [{}, {"bounds": (0.0, 8.0), "immutable": [1]}], ids=str)
def test_no_gap_is_left_where_a_proof_is_exact(name, norm, limits):
    classifier, threat = EXACT[name][0], ThreatModel(norm, units=[1, 2, 1, 0.5], **limits)
    proven = certified_distance(classifier, X[SOME], Y[SOME], threat=threat)
    found = adversarial_distance(classifier, X[SOME], Y[SOME], threat=threat, random_state=0)
    known = np.isfinite(found)
    assert known.any() and (found >= proven * (1 - 1e-9))[known].all()
    np.testing.assert_allclose(found[known], proven[known], rtol=1e-5)
    eps = float(np.median(proven))
    options = {"eps": eps * 1.001, "threat": threat}
    attacked = adversarial_accuracy(classifier, X[SOME], Y[SOME], random_state=0, **options)
    assert attacked == certified_accuracy(classifier, X[SOME], Y[SOME], **options)


@pytest.mark.parametrize("norm", NORMS)
def test_one_neighbour_within_bounds_is_as_near_as_on_a_fine_grid(norm):
    rng = np.random.default_rng(0)
    points, labels = rng.uniform(size=(30, 2)), rng.integers(0, 2, 30)
    classifier = KNeighborsClassifier(1).fit(points, labels)
    samples = rng.uniform(size=(12, 2))
    codes = classifier.predict(samples)
    threat = ThreatModel(norm, bounds=(0.0, 1.0))
    proven = certified_distance(classifier, samples, codes, threat=threat)
    step = 1 / 300
    grid = np.stack(np.meshgrid(*[np.linspace(0, 1, 301)] * 2), axis=-1).reshape(-1, 2)
    answers, order = classifier.predict(grid), {"linf": np.inf, "l2": 2, "l1": 1}[norm]
    for x, code, distance in zip(samples, codes, proven, strict=True):
        nearest = np.linalg.norm((grid - x)[answers != code], ord=order, axis=1).min()
        assert nearest - 3 * step <= distance <= nearest


def test_columns_that_must_change_to_reach_a_leaf_are_those_of_brute_force():
    some, candidates = X[SOME][:, [0, 2, 3]], []
    tree = DecisionTreeClassifier(max_depth=5, random_state=0).fit(X[:, [0, 2, 3]], Y)
    column, threshold = thresholds_of([tree.tree_])
    for feature in range(3):
        sides = both_sides(threshold[column == feature])
        candidates.append(sides[(sides >= 0) & (sides <= 5)])
    inside = (some <= 5).all(axis=1)
    some, labels = some[inside], Y[SOME][inside]
    threat = ThreatModel("l0", bounds=(0.0, 5.0), immutable=[1])
    found = adversarial_distance(tree, some, labels, threat=threat, random_state=0)
    assert len(some) > 4
    for x, label, distance in zip(some, labels, found, strict=True):
        free = [[x[0], *candidates[0]], [x[1]], [x[2], *candidates[2]]]
        points = np.array(list(product(*free)))
        wrong = points[tree.predict(points) != label]
        expected = (wrong != x).sum(axis=1).min(initial=4)
        assert distance == (expected if expected < 4 else np.inf)


def test_missing_values_stay_and_leave_no_gap():
    holes = X.copy()
    holes[::3, 2] = np.nan
    boosting = HistGradientBoostingClassifier(max_iter=4, max_leaf_nodes=4, random_state=0)
    boosting.fit(holes, Y)
    proven = certified_distance(boosting, holes[SOME], Y[SOME])
    found = adversarial_distance(boosting, holes[SOME], Y[SOME], random_state=0)
    known = np.isfinite(found)
    assert (proven > 0).any() and np.isnan(holes[SOME]).any()
    np.testing.assert_allclose(found[known], proven[known], rtol=1e-5)


def test_points_obey_the_rules_of_the_threat():
    whole = np.round(X * 2)
    tree = DecisionTreeClassifier(random_state=0).fit(whole, Y)
    threat = ThreatModel("linf", bounds=(0, 20), integers=[0, 1, 2, 3])
    problem = Problem.of(tree, whole[SOME], Y[SOME], threat=threat)
    known = KnownErrors.of(problem).within(np.arange(len(SOME)), 1.0)
    hit = torch.from_numpy(known.misclassified)
    points, samples = known.points[hit], problem.points()[hit]
    assert len(points) and (points == points.round()).all()
    Budget.of(samples, eps=1.0, threat=threat).verify(samples, points)
    assert (tree.predict(points.numpy()) != Y[SOME][hit]).all()
    assert not (known.settled & ~known.misclassified & (tree.predict(whole[SOME]) != Y[SOME])).any()


def test_rules_of_the_user_are_asked_about_no_empty_table():
    tree = DecisionTreeClassifier(random_state=0).fit(X[SOME], Y[SOME])
    sizes = []

    def repair(X):
        sizes.append(len(X))
        return np.array([list(sample) for sample in X])

    def is_valid(X):
        sizes.append(len(X))
        return [sample[0] > 0 for sample in X]

    threat = ThreatModel(repair=repair, is_valid=is_valid)
    for eps in (1e-9, 0.2):  # nothing is found within the first, something within the second
        adversarial_accuracy(tree, X[SOME], Y[SOME], eps=eps, threat=threat, random_state=0)
        adversarial_distance(tree, X[SOME], Y[SOME], threat=threat, random_state=0)
    assert sizes and min(sizes) > 0


def test_estimators_that_predict_otherwise_are_not_known():
    class Careful(LogisticRegression):
        def predict(self, X):
            return np.where(self.predict_proba(X)[:, 0] > 0.1, 0, super().predict(X))

    class Named(LogisticRegression):
        pass

    assert errors_of(Careful(max_iter=300).fit(X, Y)) is None
    assert errors_of(Named(max_iter=300).fit(X, Y)) is not None
    assert errors_of(KNeighborsRegressor().fit(X, Y)) is None


class CarefulTree(DecisionTreeClassifier):
    def predict(self, X):
        return np.where(np.asarray(X)[:, 2] > 4, 0, super().predict(X))


class Careful(Pipeline):
    def predict(self, X):
        return np.where(np.asarray(X)[:, 2] > 4, 0, super().predict(X))


class Mirrored(StandardScaler):
    def transform(self, X, copy=None):
        return -super().transform(X)


@pytest.mark.parametrize(
    "classifier",
    [
        CarefulTree(random_state=0),
        make_pipeline(StandardScaler(), Careful([("tree", DecisionTreeClassifier())])),
        GridSearchCV(Careful([("tree", DecisionTreeClassifier())]), {"tree__max_depth": [3]}, cv=2),
        make_pipeline(Mirrored(), DecisionTreeClassifier(random_state=0)),
        make_pipeline(Mirrored(), LogisticRegression(max_iter=300)),
    ],
    ids=["tree", "pipeline", "search", "step of a tree", "step of a linear model"],
)
def test_what_overrides_its_class_is_not_taken_for_it(classifier):
    classifier.fit(X, Y)
    problem = Problem.of(classifier, X[SOME], Y[SOME])
    known = KnownErrors.of(problem)
    assert known is None or known.within(np.arange(len(SOME)), 0.1) is None
    with pytest.raises(NotCertifiableError, match="otherwise than the class that it derives from"):
        certified_accuracy(classifier, X[SOME], Y[SOME], eps=0.1)


def test_an_attack_that_is_named_runs_alone():
    options = {"eps": 0.3, "random_state": 0}
    alone = adversarial_accuracy(TREE, X, Y, attack=Square(n_queries=2), **options)
    assert alone > adversarial_accuracy(TREE, X, Y, **options)


def test_reports_tell_what_was_exact():
    report = robustness_report(TREE, X, Y, eps=[0.1, 0.3], random_state=0, certify=True)
    assert report.broken_by["exact"][1] > 0
    assert "exact errors were taken first, which settle 150 of 150 samples" in str(report)
    np.testing.assert_array_equal(report.accuracy, report.proven.accuracy)
    assert not (report.proven.verdicts == "open").any()


@pytest.mark.parametrize("engine", ["veritas", "helped veritas", "numpy"])
@pytest.mark.parametrize("eps", [None, 0.3])
def test_short_searches_know_less_and_always_the_same(engine, eps, monkeypatch):
    if engine != "numpy" and not veritas.is_installed():
        pytest.skip("needs the package Veritas")
    if engine == "numpy":
        monkeypatch.setattr(veritas, "is_installed", lambda: False)
        monkeypatch.setattr(trees, "MOST_LEAVES", 10**6)
    if engine == "helped veritas":
        monkeypatch.setattr(grids, "MOST_LEAVES_OF_QUICK", 0)
    forest = RandomForestClassifier(20, random_state=0).fit(X, Y)
    right = SOME[forest.predict(X[SOME]) == Y[SOME]]
    threat = ThreatModel().resolve(X)
    monkeypatch.setattr(trees, "NODES_BESIDE", 3)
    monkeypatch.setattr(trees, "STEPS_BESIDE", 3)
    short, again = (errors_of(forest).errors(X[right], Y[right], threat, eps) for _ in range(2))
    assert not short.settled.all()
    assert (short.known == again.known).all() and (short.points == again.points).all()
    assert (forest.predict(short.points) != Y[right])[short.known].all()


def test_short_searches_know_more_errors_by_ascents(monkeypatch):
    if not veritas.is_installed():
        pytest.skip("needs the package Veritas")
    forest = RandomForestClassifier(40, random_state=0).fit(X, Y)
    right = SOME[forest.predict(X[SOME]) == Y[SOME]]
    threat, known = ThreatModel().resolve(X), []
    monkeypatch.setattr(trees, "NODES_BESIDE", 3)
    for most in (10**6, 0):
        monkeypatch.setattr(grids, "MOST_LEAVES_OF_QUICK", most)
        known.append(errors_of(forest).errors(X[right], Y[right], threat).known)
    assert not known[0].all() and known[1].sum() > known[0].sum()
    assert (known[1] >= known[0]).all()


@pytest.mark.parametrize("norm", NORMS)
def test_regression_trees_get_their_worst_leaf_and_the_nearest_one(norm):
    rng = np.random.default_rng(0)
    table, targets = rng.uniform(size=(60, 2)), rng.normal(size=60)
    tree = DecisionTreeRegressor(max_depth=5, random_state=0).fit(table, targets)
    column, threshold = thresholds_of([tree.tree_])
    threat, eps, tolerance = ThreatModel(norm, bounds=(0.0, 1.0)), 0.15, 0.8
    order = {"linf": np.inf, "l2": 2, "l1": 1}[norm]
    samples, y = table[:8], targets[:8] + 0.1
    worst, nearest = [], []
    for x, target in zip(samples, y, strict=True):
        sides = [[x[j], *both_sides(threshold[column == j])] for j in (0, 1)]
        points = np.array(list(product(*sides)))
        off = np.abs(tree.predict(points) - target)
        away = np.linalg.norm(points - x, ord=order, axis=1)
        worst.append(off[away <= eps].max())
        nearest.append(away[off > tolerance].min(initial=np.inf))
    options = {"threat": threat, "random_state": 0}
    found = adversarial_error(tree, samples, y, eps=eps, **options)
    assert np.isclose(found, np.mean(worst), rtol=1e-9)
    distances = adversarial_distance(tree, samples, y, tolerance=tolerance, **options)
    np.testing.assert_allclose(distances, nearest, atol=1e-6)


@pytest.mark.parametrize("norm", NORMS)
def test_means_of_neighbours_are_found_at_least_as_bad_as_by_brute_force(norm):
    rng = np.random.default_rng(1)
    table, targets = rng.normal(size=(150, 5)), rng.normal(size=150)
    model = make_pipeline(StandardScaler(), KNeighborsRegressor(4)).fit(table, targets)
    samples, y, eps = table[:8], targets[:8], {"linf": 0.4, "l2": 0.7, "l1": 1.2}[norm]
    found = adversarial_error(model, samples, y, eps=eps, threat=norm, random_state=0)
    steps = rng.normal(size=(4000, 5))
    steps *= (rng.random(steps.shape) < rng.random((4000, 1))) | (steps == steps.max(1)[:, None])
    if norm == "linf":
        steps = np.sign(steps)
    steps /= np.linalg.norm(steps, ord={"linf": np.inf, "l2": 2, "l1": 1}[norm], axis=1)[:, None]
    brute = [
        np.abs(model.predict(x + eps * steps) - t).max() for x, t in zip(samples, y, strict=True)
    ]
    assert found >= (0.97 if norm == "l1" else 1) * np.mean(brute)


def test_slope_of_a_mean_of_neighbours_is_that_of_weights_of_the_same_sum():
    """Against differences of the mean, with the threshold that keeps the sum found by bisection."""
    rng = np.random.default_rng(0)
    points, worth = rng.normal(size=(40, 3)), rng.normal(size=40)
    near = _Near(torch.from_numpy(points)[None], torch.from_numpy(worth)[None], 5)
    z, fall = rng.normal(size=3) / 3, 0.5
    mean, slope = near.mean_and_slope(torch.from_numpy(z)[None, None], fall)
    squares = np.square(points - z).sum(axis=1)
    order = np.argsort(squares)
    assert np.isclose(mean.item(), worth[order[:5]].mean())
    width = fall * (squares[order[9]] - squares[order[0]]) / 2
    first = squares[order[4:6]].mean()

    def weights(at, threshold):
        return expit((threshold - np.square(points - at).sum(axis=1)) / width)

    total = weights(z, first).sum()

    def smooth(at):
        threshold = bisect(lambda t: weights(at, t).sum() - total, 0, 50, xtol=1e-14)
        return weights(at, threshold) @ worth

    steps = 1e-5 * np.eye(3)
    expected = np.array([smooth(z + step) - smooth(z - step) for step in steps])
    found = slope.numpy().ravel()
    cosine = found @ expected / np.linalg.norm(found) / np.linalg.norm(expected)
    assert cosine > 1 - 1e-6
