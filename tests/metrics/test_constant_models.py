"""Classifiers whose scores are constant, in pieces or everywhere, get a result as others do."""

import broken_models as broken
import numpy as np
import pytest
import torch
from few_queries import for_distance
from releases import SKLEARN_1_8
from sklearn.datasets import load_iris
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    BaggingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_selection import SelectKBest
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.multiclass import OneVsOneClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from sklearn_iso import IsometricClassifier
from sklearn_iso.attacks import AttackEnsemble, MinimumNormEnsemble
from sklearn_iso.metrics import (
    adversarial_accuracy,
    adversarial_distance,
    robustness_report,
)
from sklearn_iso.twins import as_torch

X, y = load_iris(return_X_y=True)
SHOWN = slice(None, None, 15)


def unseen(last):
    """A pipeline that sees nothing of X but that no value is missing."""
    return make_pipeline(MissingIndicator(features="all"), last)


LASSO = {"l1_ratio": 1} if SKLEARN_1_8 else {"penalty": "l1"}
INNER = unseen(LogisticRegression())
CONSTANT = {
    "linear": INNER,
    "ridge": unseen(RidgeClassifier()),
    "kernel": unseen(SVC()),
    "bagging": BaggingClassifier(INNER, 3, random_state=0),
    "voting": VotingClassifier([("one", INNER), ("two", INNER)], voting="soft"),
    "stacking": StackingClassifier([("one", INNER), ("two", INNER)]),
    "one against one": OneVsOneClassifier(INNER),
    "dummy": make_pipeline(StandardScaler(), DummyClassifier()),
    "no coefficient": make_pipeline(
        StandardScaler(), LogisticRegression(solver="saga", C=1e-6, **LASSO)
    ),
    "a bin": make_pipeline(Binarizer(threshold=100), LogisticRegression()),
}
constant = pytest.mark.parametrize("name", CONSTANT)
pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:The search by labels alone needs errors"),
]


@constant
def test_a_constant_classifier_is_robust_wherever_it_is_right(name):
    model = CONSTANT[name].fit(X, y)
    shown, labels = X[SHOWN], y[SHOWN]
    right = model.predict(shown) == labels
    assert len(set(model.predict(shown))) == 1 and right.any()
    options = {"attack": AttackEnsemble(n_queries=20), "random_state": 0}
    assert adversarial_accuracy(model, shown, labels, eps=1.0, **options) == right.mean()
    distances = adversarial_distance(model, shown, labels, **for_distance(options))
    np.testing.assert_array_equal(distances, np.where(right, np.inf, 0))
    report = robustness_report(model, shown, labels, eps=[0, 1], **options)
    assert report.accuracy.tolist() == [right.mean()] * 2 and str(report)


def test_what_gradients_cannot_see_is_told():
    report = robustness_report(
        INNER.fit(X, y),
        X[SHOWN],
        y[SHOWN],
        eps=[0, 1],
        attack=AttackEnsemble(n_queries=20),
        random_state=0,
    )
    assert "zero gradients" in {finding.name for finding in report.warnings}


ONE_CLASS = {
    "tree": DecisionTreeClassifier(),
    "forest": make_pipeline(StandardScaler(), RandomForestClassifier(3, random_state=0)),
    "bayes": GaussianNB(),
    "network": MLPClassifier((3,), max_iter=3, random_state=0),
    "boosting": HistGradientBoostingClassifier(max_iter=2),
    "neighbours": KNeighborsClassifier(),
    "dummy": DummyClassifier(),
}


@pytest.mark.parametrize("name", ONE_CLASS)
def test_a_classifier_of_a_single_class_is_robust_wherever_it_is_right(name):
    labels = np.where(y[SHOWN] == 0, "one", "another")
    model = ONE_CLASS[name].fit(X, np.full(len(X), "one"))
    options = {"attack": AttackEnsemble(n_queries=20), "random_state": 0}
    with pytest.warns(UserWarning, match="not fitted on, another, and that it cannot predict"):
        assert adversarial_accuracy(model, X[SHOWN], labels, eps=1.0, **options) == 0.4
    with pytest.warns(UserWarning, match="not fitted on"):
        distances = adversarial_distance(model, X[SHOWN], labels, **for_distance(options))
    np.testing.assert_array_equal(distances, [np.inf] * 4 + [0] * 6)
    with pytest.warns(UserWarning, match="not fitted on"):
        report = robustness_report(model, X[SHOWN], labels, eps=[0, 1], **options)
    assert report.accuracy.tolist() == [0.4, 0.4] and "a single class" in str(report)


@pytest.mark.parametrize("attack, error", [("pgd", TypeError), ("square", ValueError)])
def test_attacks_that_need_more_than_one_class_say_so(attack, error):
    model = DecisionTreeClassifier().fit(X, np.zeros(len(X)))
    with pytest.raises(error, match="a single class"):
        adversarial_accuracy(model, X, np.zeros(len(X)), eps=1.0, attack=attack)


@pytest.mark.parametrize("attack", ["fgsm", "pgd", "apgd"])
def test_attacks_by_gradients_of_a_constant_classifier_change_nothing(attack):
    model = INNER.fit(X, y)
    options = {"eps": 1.0, "attack": attack, "random_state": 0}
    assert adversarial_accuracy(model, X, y, **options) == model.score(X, y)


def indicated(last):
    """A pipeline that sees X and which values are missing."""
    return make_pipeline(SimpleImputer(add_indicator=True), SelectKBest(k=4), last)


def test_an_indicator_hides_nothing_of_what_stands_beside_it():
    holes = X.copy()
    holes[::7, 0] = np.nan
    model = indicated(LogisticRegression(max_iter=500)).fit(holes, y)
    assert adversarial_accuracy(model, X, y, eps=0.5, random_state=0) < model.score(X, y) - 0.2


def detached(network, X):
    return network(X.detach())


def twin_without_gradient():
    base = IsometricClassifier(hidden_layer_sizes=(8,), max_epochs=20, random_state=0)
    return broken.Wrapped(base, detached).fit(X.astype(np.float32), y)


def test_a_twin_without_gradient_is_attacked_without():
    model = twin_without_gradient()
    report = robustness_report(
        model, X, y, eps=[0, 1], attack=AttackEnsemble(n_queries=100), random_state=0
    )
    assert report.accuracy[1] < report.accuracy[0] - 0.2
    assert "zero gradients" in {finding.name for finding in report.warnings}


@pytest.mark.parametrize("call", [adversarial_accuracy, adversarial_distance])
def test_following_the_gradients_of_a_twin_without_any_is_an_error(call):
    asked = {"attack": MinimumNormEnsemble(n_steps=5)}
    if call is adversarial_accuracy:
        asked = {"eps": 1.0, "attack": "pgd"}
    with pytest.raises(ValueError, match=r"logits must be differentiable in X.*Remove .detach\("):
        call(twin_without_gradient(), X, y, random_state=0, **asked)


def test_the_twin_of_an_indicator_has_the_gradient_zero():
    twin = as_torch(MissingIndicator(features="all").fit(X))
    points = torch.tensor([[np.nan, np.inf, -np.inf, 1.0]], requires_grad=True)
    told = twin(points)
    assert told.tolist() == [[1, 0, 0, 0]]
    told.sum().backward()
    assert points.grad.tolist() == [[0, 0, 0, 0]]
