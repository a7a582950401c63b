"""Twins of classifiers predict as the estimator does, with its scores and finite gradients."""

import functools
import pickle
import warnings

import numpy as np
import pytest
import torch
from releases import SKLEARN_1_8
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import (
    LinearDiscriminantAnalysis,
    QuadraticDiscriminantAnalysis,
)
from sklearn.ensemble import BaggingClassifier, VotingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import (
    LogisticRegression,
    Perceptron,
    RidgeClassifier,
    RidgeClassifierCV,
    SGDClassifier,
)
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.naive_bayes import ComplementNB, GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC, LinearSVC, NuSVC

from sklearn_iso.twins import as_torch, surrogates, verify

# PassiveAggressiveClassifier and SVC(probability=True) are deprecated and still in use.
pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def passive_aggressive():
    from sklearn.linear_model import PassiveAggressiveClassifier

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return PassiveAggressiveClassifier(random_state=0)


def digits(n_samples=250):
    X, y = load_digits(return_X_y=True)
    return X[:n_samples], y[:n_samples]


def named(load):
    X, y = load(return_X_y=True)
    return X, np.array(["rose", "iris", "aster"])[y]


DATA = {
    "breast_cancer": load_breast_cancer(return_X_y=True),
    "iris with strings": named(load_iris),
    "wine": load_wine(return_X_y=True),
    "digits": digits(),
}
# Probabilities without decision_function, and not saturated.
SMALL_NETWORK = MLPClassifier((4,), activation="tanh", max_iter=9, random_state=0)
SMOOTH = [
    LogisticRegression(),
    LinearSVC(),
    RidgeClassifier(),
    RidgeClassifierCV(),
    Perceptron(),
    passive_aggressive(),
    SGDClassifier(random_state=0),
    SGDClassifier(loss="log_loss", random_state=0),
    SGDClassifier(loss="modified_huber", random_state=0),
    LinearDiscriminantAnalysis(),
    LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto"),
    GaussianNB(var_smoothing=1e-3),
    make_pipeline(PCA(3), QuadraticDiscriminantAnalysis()),
    make_pipeline(MinMaxScaler(clip=True), MultinomialNB()),
    make_pipeline(MinMaxScaler(clip=True), ComplementNB()),
    MLPClassifier((8,), activation="tanh", max_iter=20, random_state=0),
    FrozenEstimator(LogisticRegression()),
    OneVsRestClassifier(LogisticRegression()),
    OneVsRestClassifier(SVC()),
    OneVsRestClassifier(SMALL_NETWORK),
    CalibratedClassifierCV(LinearSVC(), cv=2),
    CalibratedClassifierCV(GaussianNB(var_smoothing=0.1), cv=2),
    CalibratedClassifierCV(LogisticRegression(), cv=2, ensemble=False),
    *(
        CalibratedClassifierCV(one, method="temperature", cv=2)
        for one in (
            LogisticRegression(),
            MLPClassifier((4,), activation="tanh", max_iter=9, random_state=0),
        )
        if SKLEARN_1_8
    ),
    VotingClassifier(
        [
            ("logistic", LogisticRegression()),
            ("gone", "drop"),
            ("bayes", GaussianNB(var_smoothing=0.1)),
            ("sgd", SGDClassifier(loss="modified_huber", random_state=0)),
        ],
        voting="soft",
        weights=[2, 5, 1, 1],
    ),
    BaggingClassifier(LogisticRegression(), 3, max_features=0.5, random_state=0),
    BaggingClassifier(GaussianNB(var_smoothing=0.1), 3, random_state=0),
]
BY_VOTES = [
    *(SVC(kernel=kernel) for kernel in ("rbf", "linear", "poly", "sigmoid")),
    SVC(decision_function_shape="ovo"),
    SVC(break_ties=True),
    SVC(C=0.01, break_ties=True),
    SVC(C=0.01),
    NuSVC(nu=0.1, gamma=0.02),
    KNeighborsClassifier(1),
    KNeighborsClassifier(4),
    KNeighborsClassifier(weights="distance", p=1),
    OneVsRestClassifier(GaussianNB(var_smoothing=0.1)),
    OneVsOneClassifier(LinearSVC()),
    OneVsOneClassifier(GaussianNB(var_smoothing=0.1)),
    VotingClassifier(
        [("logistic", LogisticRegression()), ("bayes", GaussianNB()), ("svc", SVC())],
        weights=[1, 2, 1],
    ),
    BaggingClassifier(LinearSVC(), 4, random_state=0),
    CalibratedClassifierCV(LogisticRegression(), method="isotonic", cv=2),
    CalibratedClassifierCV(SVC(), cv=2),
    VotingClassifier(
        [("logistic", LogisticRegression()), ("svc", SVC(probability=True, random_state=0))],
        voting="soft",
    ),
]


@functools.cache
def fitted(classifier, name):
    X, y = DATA[name]
    if isinstance(classifier, FrozenEstimator):
        inner = clone(classifier.estimator).fit(StandardScaler().fit_transform(X), y)
        return make_pipeline(StandardScaler(), FrozenEstimator(inner)).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return make_pipeline(StandardScaler(), clone(classifier)).fit(X, y)


def around(X):
    """Return the data and points beside them, on the other side of boundaries too."""
    noise = np.random.default_rng(0).normal(size=X.shape) * X.std(axis=0)
    return np.concatenate([X, X + noise])


def gradient(twin, X):
    points = torch.tensor(X, requires_grad=True)
    scores = twin(points)
    torch.nn.functional.cross_entropy(scores, scores.argsort(dim=1)[:, -2]).backward()
    return points.grad


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("classifier", SMOOTH, ids=repr)
def test_smooth_twin_is_exact(classifier, name):
    X, _ = DATA[name]
    estimator = fitted(classifier, name)
    twin = as_torch(estimator)
    agreement = verify(twin, estimator, around(X))
    assert agreement.exact and agreement.share_equal == 1, agreement
    assert surrogates(twin) == []
    single = verify(twin, estimator, X.astype(np.float32))
    assert single.share_equal == 1 and single.finite, single
    grad = gradient(twin, X)
    assert grad.isfinite().all() and grad.count_nonzero()


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("classifier", BY_VOTES, ids=repr)
def test_twin_of_votes_predicts_as_the_estimator_and_has_a_slope(classifier, name):
    X, _ = DATA[name]
    estimator = fitted(classifier, name)
    twin = as_torch(estimator)
    agreement = verify(twin, estimator, around(X))
    # Equal distances to neighbours and saturated probabilities leave ties that rounding decides.
    assert agreement.share_equal >= 0.995 and agreement.finite, agreement
    assert verify(twin, estimator, X.astype(np.float32)).share_equal >= 0.98
    grad = gradient(twin, X)
    assert grad.isfinite().all()
    assert (grad.norm(dim=1) > 0).double().mean() > 0.9


@pytest.mark.parametrize("classifier", SMOOTH, ids=repr)
def test_gradient_equals_finite_differences(classifier):
    X, _ = DATA["wine"]
    twin = as_torch(fitted(classifier, "wine"))
    points = torch.tensor(X[[0, 70, 150]] + 0.01, requires_grad=True)
    assert torch.autograd.gradcheck(twin, (points,), eps=1e-6, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("classifier", SMOOTH + BY_VOTES, ids=repr)
def test_twin_pickles(classifier):
    X, _ = DATA["wine"]
    twin, points = as_torch(fitted(classifier, "wine")), torch.tensor(X)
    torch.testing.assert_close(pickle.loads(pickle.dumps(twin))(points), twin(points))


@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "chebyshev", "minkowski"])
@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_neighbours_of_every_metric_predict_alike_without_ties(metric, weights):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(300, 3)), rng.integers(4, size=300)
    classifier = KNeighborsClassifier(metric=metric, p=3, weights=weights).fit(X, y)
    assert verify(as_torch(classifier), classifier, np.concatenate([X, X + 0.1])).share_equal == 1


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::UserWarning")
@pytest.mark.parametrize(
    "member", [LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.5), GaussianNB()], ids=repr
)
def test_members_that_lack_classes_never_predict_them(member):
    X, y = DATA["iris with strings"]
    bag = BaggingClassifier(member, 8, max_samples=5, random_state=1).fit(X, y)
    assert any(len(m.classes_) < 3 or 0 in getattr(m, "class_prior_", [1]) for m in bag.estimators_)
    agreement = verify(as_torch(bag), bag, X)
    assert agreement.exact and agreement.share_equal == 1, agreement
    assert gradient(as_torch(bag), X).isfinite().all()


def test_binary_probabilities_of_a_thresholdless_margin_are_scikit_learns():
    X, y = DATA["breast_cancer"]
    for loss in ("log_loss", "modified_huber"):
        classifier = fitted(SGDClassifier(loss=loss, random_state=0), "breast_cancer")
        vote = VotingClassifier([("only", classifier)], voting="soft").fit(X, y)
        assert verify(as_torch(vote), vote, X).exact


def test_logistic_regression_one_against_the_rest_keeps_its_scores():
    X, _ = DATA["wine"]
    estimator = fitted(OneVsRestClassifier(LogisticRegression(solver="liblinear")), "wine")
    scores = as_torch(estimator)(torch.tensor(X))
    np.testing.assert_allclose(scores, estimator.decision_function(X), atol=1e-9)


@pytest.mark.parametrize(
    "classifier",
    [RidgeClassifier(), OneVsRestClassifier(LogisticRegression()), KNeighborsClassifier()],
    ids=repr,
)
def test_multilabel_classifiers_are_refused(classifier):
    X, y = load_wine(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    with pytest.raises(TypeError, match="has no twin: a twin returns scores of exclusive classes"):
        as_torch(classifier.fit(X, np.eye(3, dtype=int)[y]))
