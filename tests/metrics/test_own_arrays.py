"""What callables of users write into the arrays that they get changes no figure."""

import numpy as np
import pandas as pd
import pytest
from few_queries import for_distance
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from sklearn_iso import ThreatModel
from sklearn_iso.attacks import AttackEnsemble
from sklearn_iso.metrics import (
    adversarial_accuracy,
    adversarial_distance,
    isometry_distortion,
    make_adversarial_scorer,
    make_distortion_scorer,
    robustness_curve,
    robustness_report,
)
from sklearn_iso.plotting import AdversarialExamplesDisplay
from sklearn_iso.testing import check_attack, check_distance_preservation
from sklearn_iso.testing._broken import LawBrokenError
from sklearn_iso.twins import as_torch, verify

X, Y = load_iris(return_X_y=True)
X, Y = X[::5], Y[::5]
MODEL = LogisticRegression(max_iter=500).fit(X, Y)
THREAT = ThreatModel(units=[0.1, 0.2, 0.1, 0.2])


def far(logits, X, y, **options):
    return X.add_(10.0)


@pytest.mark.parametrize(
    "evaluate",
    [
        lambda **k: adversarial_accuracy(MODEL, X, Y, eps=1, threat=THREAT, **k),
        lambda **k: robustness_curve(MODEL, X, Y, eps=[1.0], threat=THREAT, **k),
        lambda **k: robustness_report(MODEL, X, Y, eps=[1.0], threat=THREAT, **k),
        lambda **k: make_adversarial_scorer(eps=1, threat=THREAT, **k)(MODEL, X, Y),
        lambda **k: AdversarialExamplesDisplay.from_estimator(
            MODEL, X, Y, eps=1, threat=THREAT, **k
        ),
    ],
)
def test_an_attack_that_writes_into_what_it_gets_is_held_to_its_budget(evaluate):
    with pytest.raises(ValueError, match="must stay within eps; found a perturbation of"):
        evaluate(attack=far)


def test_a_threat_keeps_what_it_was_made_of():
    fixed, units = np.array([True, False, False, False]), np.ones(4)
    threat = ThreatModel(units=units, immutable=fixed)
    fixed[:], units[:] = False, 1000.0
    with pytest.raises(ValueError, match="must leave immutable features as they are"):
        adversarial_accuracy(
            MODEL, X, Y, eps=1, threat=threat, attack=lambda logits, X, y, **options: X + 1
        )
    assert threat == ThreatModel(units=np.ones(4), immutable=[True, False, False, False])


def test_an_attack_that_writes_into_the_labels_changes_no_verdict():
    def blind(logits, X, y, **options):
        y.fill_(0)
        return X.clone()

    assert adversarial_accuracy(MODEL, X, Y, eps=0.1, attack=blind) == MODEL.score(X, Y)


class Drops(TransformerMixin, BaseEstimator):
    """Takes 1 from every feature, in place or from a copy."""

    def __init__(self, copy=False):
        self.copy = copy

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        if self.copy:
            return X - 1.0
        if hasattr(X, "iloc"):
            X.iloc[:] -= 1.0
        else:
            X -= 1.0
        return X

    def __sklearn_is_fitted__(self):
        return True


@pytest.mark.parametrize("container", [np.array, pd.DataFrame], ids=["array", "frame"])
def test_a_predict_that_writes_into_x_gets_the_figures_of_one_that_does_not(container):
    tree, rows = DecisionTreeClassifier(random_state=0).fit(container(X - 1.0), Y), container(X)
    writes, plain = (make_pipeline(Drops(copy), tree) for copy in (False, True))
    options = {"attack": AttackEnsemble(n_queries=20), "random_state": 0}
    found, expected = (
        [
            *adversarial_distance(model, rows, Y, **for_distance(options)),
            *robustness_curve(model, rows, Y, eps=[0, 0.3, 0.6], **options),
            adversarial_accuracy(model, rows, Y, eps=0.6, **options),
        ]
        for model in (writes, plain)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_array_equal(np.asarray(rows), X)


@pytest.mark.parametrize(
    "last", [DecisionTreeClassifier(random_state=0), KNeighborsClassifier(1)], ids=["tree", "knn"]
)
@pytest.mark.parametrize("container", [np.array, pd.DataFrame], ids=["array", "frame"])
def test_known_errors_behind_a_scaler_without_a_copy_are_those_behind_one_with(container, last):
    rows = container(X.copy())
    in_place, scaled = (
        make_pipeline(StandardScaler(copy=copy), clone(last)).fit(container(X.copy()), Y)
        for copy in (False, True)
    )
    found, expected = (
        [
            *adversarial_distance(model, rows, Y, random_state=0),
            adversarial_accuracy(model, rows, Y, eps=0.3, random_state=0),
        ]
        for model in (in_place, scaled)
    )
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(np.asarray(rows), X)


def test_a_scaler_without_a_copy_neither_spoils_x_nor_the_comparison_with_the_twin():
    scaled = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y)
    in_place = make_pipeline(StandardScaler(copy=False), LogisticRegression())
    in_place.fit(X.copy(), Y)
    rows = X.copy()
    assert verify(as_torch(in_place), in_place, rows).exact
    found, expected = (
        adversarial_accuracy(model, rows, Y, eps=0.3, random_state=0)
        for model in (in_place, scaled)
    )
    assert found == expected
    maps = [make_pipeline(StandardScaler(copy=c), PCA(2)).fit(X.copy()) for c in (False, True)]
    first, second = (make_distortion_scorer()(pipeline, rows, Y) for pipeline in maps)
    assert first == second == -isometry_distortion(X, maps[1].transform(X), Y)
    np.testing.assert_array_equal(rows, X)


def test_laws_are_checked_on_originals():
    def far_in_a_box(logits, X, y, *, eps, threat):
        return X.clone() if threat.bounds is None else X.add_(2.0)

    for attack in (far, far_in_a_box):
        with pytest.raises(LawBrokenError):
            check_attack(attack, norms="linf", reach=None)

    def stretches(X):
        X[:, 0] *= 100
        return X

    with pytest.raises(LawBrokenError):
        check_distance_preservation(stretches, X.copy(), max_distortion=2.0)
