"""Distances and curves against closed forms, and against each other."""

import numpy as np
import pandas as pd
import pytest
from few_queries import for_distance
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from sklearn_iso import ThreatModel
from sklearn_iso.attacks import AttackEnsemble
from sklearn_iso.metrics import adversarial_accuracy, adversarial_distance, robustness_curve

X, Y = load_breast_cancer(return_X_y=True)
IRIS = load_iris(return_X_y=True)
DUAL_ORDER = {"linf": 1, "l2": 2, "l1": np.inf}
norms = pytest.mark.parametrize("norm", ["linf", "l2", "l1"])


@pytest.fixture(scope="module")
def pipeline():
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(X, Y)


def exact(pipeline, norm, units=1.0):
    w = pipeline[-1].coef_[0] / pipeline[0].scale_
    signed = pipeline.decision_function(X) * np.where(Y == 1, 1, -1)
    return np.maximum(signed, 0) / np.linalg.norm(w * units, ord=DUAL_ORDER[norm])


@norms
@pytest.mark.parametrize("per_feature", [False, True])
def test_linear_distance_is_the_closed_form(pipeline, norm, per_feature):
    units = X.std(axis=0) if per_feature else None
    found = adversarial_distance(pipeline, X, Y, threat=ThreatModel(norm, units=units))
    expected = exact(pipeline, norm, 1.0 if units is None else units)
    assert (found[expected == 0] == 0).all() and (expected == 0).any()
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_feature_without_a_unit_does_not_move(pipeline):
    units = X.std(axis=0)
    units[[3, 20]] = 0
    mask = units == 0
    by_unit = adversarial_distance(pipeline, X, Y, threat=ThreatModel("l2", units=units))
    np.testing.assert_allclose(by_unit, exact(pipeline, "l2", units), rtol=1e-3)
    by_mask = adversarial_distance(
        pipeline, X, Y, threat=ThreatModel("l2", units=np.where(mask, 1, units), immutable=mask)
    )
    np.testing.assert_allclose(by_mask, by_unit, rtol=1e-6)


def test_float32_distance_is_the_closed_form(pipeline):
    found = adversarial_distance(
        pipeline, X.astype(np.float32), Y, threat=ThreatModel(units=X.std(axis=0))
    )
    expected = exact(pipeline, "linf", X.std(axis=0))
    some = expected > 0.01
    np.testing.assert_allclose(found[some], expected[some], rtol=1e-3)


class Threshold(ClassifierMixin, BaseEstimator):
    """Nothing but predict: the sum of the features against 1."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return self.classes_[(np.asarray(X).sum(axis=1) > 1).astype(int)]


@norms
def test_decision_based_distance_is_near_the_closed_form(norm):
    points = np.random.default_rng(0).uniform(0, 1, (40, 2))
    labels = np.array(["low", "high"])[(points.sum(axis=1) <= 1).astype(int)]
    model = Threshold().fit(points, labels)
    labels = model.predict(points)
    found = adversarial_distance(model, points, labels, threat=norm, random_state=0)
    expected = np.abs(points.sum(axis=1) - 1) / np.linalg.norm([1, 1], ord=DUAL_ORDER[norm])
    assert (found >= expected * (1 - 1e-9)).all()
    assert np.median(found / expected) < 1.05 and (found < 1.5 * expected + 1e-3).all()


def test_distance_of_a_stump_is_that_of_its_threshold():
    stump = DecisionTreeClassifier(max_depth=1).fit(IRIS[0], IRIS[1] > 0)
    feature, threshold = stump.tree_.feature[0], stump.tree_.threshold[0]
    found = adversarial_distance(stump, IRIS[0], IRIS[1] > 0, random_state=0)
    expected = np.abs(IRIS[0][:, feature] - threshold)
    assert (found >= expected - 1e-6).all()
    np.testing.assert_allclose(found, expected, rtol=0.02)


def test_distance_is_infinite_where_no_error_can_be_reached(pipeline):
    x, label = X[:1], Y[:1]
    near = (x[0] - 1e-4, x[0] + 1e-4)
    threat = ThreatModel(bounds=near)
    assert adversarial_distance(pipeline, x, label, threat=threat, random_state=0) == np.inf
    near[0][3] = x[0, 3] * (1 + 4e-16)  # X is outside by rounding, which is no way to an error
    assert near[0][3] > x[0, 3]
    threat = ThreatModel(bounds=near)
    assert adversarial_distance(pipeline, x, label, threat=threat, random_state=0) == np.inf
    assert adversarial_distance(pipeline, x, 1 - label) == 0


@pytest.mark.parametrize(
    "model", [SVC(), KNeighborsClassifier(), RandomForestClassifier(5, random_state=0)], ids=repr
)
def test_a_point_at_the_distance_is_misclassified_and_the_curve_agrees(model):
    points, labels = IRIS[0][::3], IRIS[1][::3]
    model = model.fit(*IRIS)
    options = {"random_state": 0, "attack": AttackEnsemble(n_queries=150)}
    found = adversarial_distance(model, points, labels, **for_distance(options))
    assert (found[model.predict(points) != labels] == 0).all() and np.isfinite(found).all()
    eps = [0.0, 0.2, 0.5, 2.0]
    curve = robustness_curve(
        model, points, labels, eps=eps, method="distance", **for_distance(options)
    )
    np.testing.assert_array_equal(curve, [(found > e).mean() for e in eps])
    nested = robustness_curve(model, points, labels, eps=eps, **options)
    assert nested[0] == curve[0] == model.score(points, labels)
    assert (np.diff(nested) <= 0).all() and np.abs(nested - curve).max() < 0.12


@norms
def test_curve_has_the_exact_shares_in_any_order(pipeline, norm):
    distances = exact(pipeline, norm)
    eps = np.quantile(distances, [0.8, 0.2, 0.5])
    curve = robustness_curve(pipeline, X, Y, eps=eps, threat=norm, random_state=0)
    for budget, share in zip(eps, curve, strict=True):
        assert np.mean(distances > 1.01 * budget) <= share <= np.mean(distances > 0.99 * budget)


def test_curve_in_units_is_that_of_budgets_per_feature(pipeline):
    threats = [ThreatModel(units=e * X.std(axis=0)) for e in (1, 0.1, 0.3)]
    curve = robustness_curve(pipeline, X, Y, eps=[0.1, 0.3], threat=threats[0], random_state=0)
    each = [
        adversarial_accuracy(pipeline, X, Y, eps=1, threat=threat, random_state=0)
        for threat in threats[1:]
    ]
    np.testing.assert_allclose(curve, each, atol=0.004)


def test_attack_that_gets_weaker_still_gives_a_curve_that_never_rises(pipeline):
    """What a smaller budget broke stays broken: such rows are not attacked again."""
    seen = []

    def attack(logits, X, y, *, eps, threat):
        seen.append(len(X))
        misclassified = X.clone()
        if eps == 1.0:
            misclassified[:100, [22, 23]] -= 1.0
        return misclassified

    curve = robustness_curve(pipeline, X, Y, eps=[0, 1, 2, 3], attack=attack)
    assert curve[0] == pipeline.score(X, Y) and (np.diff(curve) <= 0).all()
    assert seen == [round(curve[0] * len(X)), *[round(curve[1] * len(X))] * 2]


def test_data_frames_keep_their_columns_at_every_question():
    frame = pd.DataFrame(IRIS[0], columns=list("abcd"))
    forest = RandomForestClassifier(3, random_state=0).fit(frame, IRIS[1])
    options = {"attack": AttackEnsemble(n_queries=30), "random_state": 0}
    by_frame = adversarial_distance(forest, frame[::10], IRIS[1][::10], **for_distance(options))
    bare = RandomForestClassifier(3, random_state=0).fit(*IRIS)
    by_array = adversarial_distance(bare, IRIS[0][::10], IRIS[1][::10], **for_distance(options))
    np.testing.assert_array_equal(by_frame, by_array)


@pytest.mark.parametrize(
    "function, wrong, message",
    [
        (robustness_curve, {"eps": "0.3"}, "'eps' parameter of robustness_curve"),
        (robustness_curve, {"eps": []}, "eps must be a budget or a list of budgets"),
        (robustness_curve, {"eps": [0.1, -1]}, "finite and not negative"),
        (
            robustness_curve,
            {"eps": [[0.1] * 30]},
            "Pass one value for each feature as the threat's units",
        ),
        (
            robustness_curve,
            {"eps": [1], "threat": ThreatModel(units=[1, 2])},
            r"units must be .* shape \(30,\)",
        ),
        (
            adversarial_distance,
            {"threat": ThreatModel(units=[1, 2])},
            r"units must be .* shape \(30,\)",
        ),
        (adversarial_distance, {"threat": ThreatModel(bounds=(0, 1))}, "X must lie inside"),
        (robustness_curve, {"eps": [1], "method": "magic"}, "'method' parameter"),
    ],
)
def test_bad_arguments_are_errors(pipeline, function, wrong, message):
    with pytest.raises(ValueError, match=message):
        function(pipeline, X, Y, **wrong)
