"""Certified accuracy and distances as metrics: labels, weights, threats, containers, refusals."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_iris
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from sklearn_iso import ThreatModel
from sklearn_iso._certificates.categories import variants
from sklearn_iso.attacks import AttackEnsemble
from sklearn_iso.exceptions import NotCertifiableError
from sklearn_iso.metrics import (
    adversarial_accuracy,
    adversarial_distance,
    certified_accuracy,
    certified_distance,
    make_certified_scorer,
)

X, Y = load_iris(return_X_y=True)
TREE = DecisionTreeClassifier(max_depth=3, random_state=0).fit(X, Y)
LINE = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y)


@pytest.mark.parametrize("estimator", [TREE, LINE])
@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_accuracy_counts_larger_distances(estimator, norm):
    distances = certified_distance(estimator, X, Y, threat=norm)
    weight = np.arange(150) % 3
    for eps in (0.0, 0.1, float(distances[7]), 1.0):
        holds = distances > eps
        accuracy = certified_accuracy(estimator, X, Y, eps=eps, threat=norm)
        assert np.isclose(accuracy, holds.mean())
        weighed = certified_accuracy(estimator, X, Y, eps=eps, threat=norm, sample_weight=weight)
        assert np.isclose(weighed, np.average(holds, weights=weight))
    assert np.isclose(certified_accuracy(estimator, X, Y, eps=0), estimator.score(X, Y))


@pytest.mark.parametrize("estimator", [TREE, LINE])
def test_it_is_never_above_the_accuracy_under_attack(estimator):
    some, attack = slice(None, None, 15), AttackEnsemble(n_queries=50)
    for eps in (0.3,):
        proven = certified_accuracy(estimator, X[some], Y[some], eps=eps)
        attacked = adversarial_accuracy(
            estimator, X[some], Y[some], eps=eps, attack=attack, random_state=0
        )
        assert proven <= attacked
        assert np.isclose(proven, attacked, atol=0.1)  # the proof is exact, the attack nearly


def test_frames_names_and_units_are_those_of_the_columns():
    frame = pd.DataFrame(X, columns=list("abcd"))
    labels = np.array(["one", "two", "three"])[Y]
    tree = DecisionTreeClassifier(max_depth=3, random_state=0).fit(frame, labels)
    threat = ThreatModel(units=dict(zip("dcba", [1, 2, 3, 4], strict=True)), immutable=["b"])
    found = certified_distance(tree, frame, labels, threat=threat)
    by_position = ThreatModel(units=[4, 3, 2, 1], immutable=[1])
    assert np.array_equal(found, certified_distance(TREE, X, Y, threat=by_position))


def test_searches_and_frozen_estimators_are_looked_into():
    search = GridSearchCV(DecisionTreeClassifier(random_state=0), {"max_depth": [3]}).fit(X, Y)
    assert np.array_equal(certified_distance(search, X, Y), certified_distance(TREE, X, Y))


def test_unknown_labels_are_wrong_and_warned_of():
    labels = Y.copy()
    labels[:10] = 7
    with pytest.warns(UserWarning, match="not fitted on"):
        found = certified_distance(TREE, X, labels)
    assert (found[:10] == 0).all() and (found[10:50] > 0).all()


def test_a_single_class_is_never_mistaken():
    tree = DecisionTreeClassifier().fit(X, np.zeros(150))
    assert np.isinf(certified_distance(tree, X, np.zeros(150))).all()


def test_infinity_where_what_may_move_decides_nothing():
    tree = DecisionTreeClassifier(max_depth=1, random_state=0).fit(X, Y == 0)
    (used,) = set(tree.tree_.feature[tree.tree_.feature >= 0])
    threat = ThreatModel(immutable=[used])
    assert np.isinf(certified_distance(tree, X, Y == 0, threat=threat)).all()
    assert certified_accuracy(tree, X, Y == 0, eps=1e9, threat=threat) == 1


def test_changes_of_categories_cost_nothing():
    rng = np.random.default_rng(0)
    codes = rng.integers(3, size=(30, 2))
    encoded = OneHotEncoder(sparse_output=False).fit_transform(codes)
    samples = np.column_stack([encoded, rng.normal(size=30)])
    labels = (samples[:, 6] + codes[:, 0] > 1).astype(int)
    tree = DecisionTreeClassifier(random_state=0).fit(samples, labels)
    groups = [(0, 1, 2), (3, 4, 5)]
    alone = ThreatModel(immutable=range(6))
    for most in (2, 1):
        threat = ThreatModel(categories=groups, max_changes=most)
        found = certified_distance(tree, samples, labels, threat=threat)
        for row, distance in enumerate(found[:12]):
            points = variants(samples[row], threat)
            assert len(points) == (5, 9)[most - 1]
            each = certified_distance(tree, points, np.full(len(points), labels[row]), threat=alone)
            assert distance == each.min()
        assert (found == 0).any() and (found > 0).any()
        accuracy = certified_accuracy(tree, samples, labels, eps=0.05, threat=threat)
        assert np.isclose(accuracy, (found > 0.05).mean())


def test_scorers_score_pickle_and_take_weights():
    scorer = make_certified_scorer(eps=0.2, threat="l2")
    assert pickle.loads(pickle.dumps(scorer)) == scorer
    assert scorer(TREE, X, Y) == certified_accuracy(TREE, X, Y, eps=0.2, threat="l2")
    weight = np.arange(150)
    expected = certified_accuracy(TREE, X, Y, eps=0.2, threat="l2", sample_weight=weight)
    assert scorer(TREE, X, Y, sample_weight=weight) == expected
    scores = cross_val_score(DecisionTreeClassifier(), X, Y, scoring=scorer)
    assert (scores > 0.5).all()


class Coin(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


@pytest.mark.parametrize("estimator", [Coin(), GaussianNB()])
def test_what_has_no_proof_is_a_type_error_with_a_remedy(estimator):
    estimator.fit(X, Y)
    for function, options in ((certified_accuracy, {"eps": 0.1}), (certified_distance, {})):
        with pytest.raises(NotCertifiableError) as caught:
            function(estimator, X, Y, **options)
        told = str(caught.value)
        assert isinstance(caught.value, TypeError) and type(estimator).__name__ in told
        assert "RandomForestClassifier" in told and "adversarial_accuracy" in told


def test_the_count_of_features_is_refused():
    with pytest.raises(ValueError, match="'l0'"):
        certified_distance(TREE, X, Y, threat=ThreatModel("l0", bounds=(0, 9)))
    with pytest.raises(ValueError, match="'l0'"):
        certified_accuracy(TREE, X, Y, eps=1, threat="l0")
    with pytest.raises(ValueError, match="'l0'"):
        make_certified_scorer(eps=1, threat="l0")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"eps": -1}, "eps must be"),
        ({"eps": np.nan}, "eps must be"),
        ({"time_limit": 0}, "time_limit"),
        ({"threat": "linfty"}, "threat must be"),
        ({"threat": ThreatModel(bounds=(0, 1))}, "inside bounds"),
        ({"threat": ThreatModel(units=[1, 2])}, "one for each feature"),
    ],
)
def test_parameters_out_of_range_are_told(options, told):
    with pytest.raises(ValueError, match=told):
        certified_accuracy(TREE, X, Y, **({"eps": 0.1} | options))


def test_estimators_must_be_fitted_classifiers():
    with pytest.raises(NotFittedError):
        certified_distance(DecisionTreeClassifier(), X, Y)
    with pytest.raises(TypeError):
        certified_distance(StandardScaler().fit(X), X, Y)


@pytest.mark.parametrize(
    ("estimator", "reason"),
    [
        (GaussianNB(), "its scores are quadratic"),
        (QuadraticDiscriminantAnalysis(), "its scores are quadratic"),
    ],
)
def test_refusals_name_the_step_and_the_reason(estimator, reason):
    name = type(estimator).__name__
    with pytest.raises(NotCertifiableError, match=f"^{name} cannot be certified: {reason}"):
        certified_distance(estimator.fit(X, Y), X, Y)
    pipeline = make_pipeline(StandardScaler(), estimator).fit(X, Y)
    told = rf"^Step '{name.lower()}' \({name}\) cannot be certified: {reason}"
    with pytest.raises(NotCertifiableError, match=told):
        certified_distance(pipeline, X, Y)


def test_regressors_have_no_certified_accuracy():
    pipeline = make_pipeline(StandardScaler(), DecisionTreeRegressor()).fit(X, Y)
    told = r"^Step 'decisiontreeregressor'.*predicts numbers and no classes; call certified_error"
    with pytest.raises(NotCertifiableError, match=told):
        certified_accuracy(pipeline, X, Y, eps=0.1)


def test_certificates_without_rules_hold_with_them():
    some = slice(None, None, 20)
    free = certified_distance(TREE, X[some], Y[some])
    threat = ThreatModel(increasing=[2])
    ruled = certified_distance(TREE, X[some], Y[some], threat=threat)
    np.testing.assert_array_equal(ruled, free)
    found = adversarial_distance(TREE, X[some], Y[some], threat=threat, random_state=0)
    assert (found >= ruled * (1 - 1e-6)).all() and (found > ruled * 1.1).any()


@pytest.mark.parametrize("estimator", [TREE, LINE])
def test_budgets_beyond_bounds_are_those_of_the_bounds(estimator):
    threat = ThreatModel(bounds=(0.0, 8.0), immutable=[2])
    distances = certified_distance(estimator, X, Y, threat=threat)
    beyond = [certified_accuracy(estimator, X, Y, eps=eps, threat=threat) for eps in (8.1, 1e9)]
    assert beyond[0] == beyond[1] == np.mean(np.isinf(distances))
