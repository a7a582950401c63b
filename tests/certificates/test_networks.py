"""Certificates of classifiers whose model is a network: sound, and exact where linear."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    RobustScaler,
    StandardScaler,
)
from skorch import NeuralNetBinaryClassifier, NeuralNetClassifier
from torch import nn

from sklearn_iso import IsometricClassifier, ThreatModel
from sklearn_iso._certificates.networks import network_certifier
from sklearn_iso._certificates.registry import certifier_of
from sklearn_iso.exceptions import NotCertifiableError
from sklearn_iso.metrics import adversarial_distance, certified_distance

X, Y = load_iris(return_X_y=True)
TWO = (Y > 0).astype(np.int64)
NORMS = ("linf", "l2", "l1")
# Perceptrons need not be trained to the end.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


class Probabilities(nn.Module):
    """A module of a user, that ends with a softmax as skorch's default asks for."""

    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, X):
        return torch.softmax(self.outer(torch.relu(self.inner(X))), dim=-1)


def skorch_net(kind, module, y, **options):
    torch.manual_seed(0)
    net = kind(module, max_epochs=40, lr=0.1, verbose=0, train_split=None, **options)
    return net.fit(X.astype(np.float32), y)


def logit():
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 1), nn.Flatten(0))


def mlp(**options):
    return MLPClassifier((8,), solver="lbfgs", max_iter=60, random_state=0, **options)


CLASSIFIERS = {
    "perceptron": lambda: mlp().fit(X, Y),
    "perceptron, two classes": lambda: mlp(activation="logistic").fit(X, TWO),
    "perceptron, single": lambda: mlp(activation="tanh").fit(X.astype(np.float32), Y),
    "pipeline": lambda: make_pipeline(
        StandardScaler(), PCA(3), MinMaxScaler(clip=True), MaxAbsScaler(), mlp()
    ).fit(X, Y),
    "columns": lambda: make_pipeline(
        ColumnTransformer([("a", RobustScaler(), [3, 1]), ("b", "passthrough", [0])]), mlp()
    ).fit(X, Y),
    "search": lambda: GridSearchCV(
        make_pipeline(StandardScaler(), mlp()), {"mlpclassifier__alpha": [1e-3]}, cv=2
    ).fit(X, Y),
    "isometric": lambda: IsometricClassifier(
        hidden_layer_sizes=(8,), max_epochs=20, random_state=0
    ).fit(X, Y),
    "skorch": lambda: skorch_net(NeuralNetClassifier, Probabilities, Y),
    "skorch, two classes": lambda: skorch_net(
        NeuralNetBinaryClassifier, logit, TWO.astype(np.float32), threshold=0.3
    ),
}


@pytest.fixture(scope="module", params=CLASSIFIERS)
def fitted(request):
    """A classifier, samples in the type that it takes, and their labels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of perceptrons that might train longer
        classifier = CLASSIFIERS[request.param]()
    single = request.param.startswith("skorch") or "single" in request.param
    y = TWO if "two" in request.param else Y
    return classifier, X[::5].astype(np.float32 if single else np.float64), y[::5]


def moved(X, distances, threat, rng, n=30):
    """Return points at the certified distances: steps in all directions, within the bounds."""
    units = np.broadcast_to(threat.radius(1.0), X.shape[1:])
    steps = rng.normal(size=(n, *X.shape))
    corners = np.sign(steps[: n // 2])
    ones = np.eye(X.shape[1])[rng.integers(X.shape[1], size=(n, len(X)))] * np.sign(steps)
    steps = np.concatenate([steps, corners, ones])
    order = threat.norm.order
    steps /= np.linalg.norm(steps, ord=order, axis=2, keepdims=True)
    points = X + (1 - 1e-6) * distances[:, None] * steps * units
    return points if threat.bounds is None else np.clip(points, *threat.bounds)


@pytest.mark.parametrize("norm", NORMS)
def test_nothing_within_a_certified_distance_is_misclassified(fitted, norm):
    classifier, X, y = fitted
    threat = ThreatModel(norm, units=[1.0, 0.5, 2.0, 1.0], bounds=(0.0, 8.0)).resolve(X)
    distances = certifier_of(classifier).distances(X, y, threat)
    right = classifier.predict(X) == y
    assert (distances[~right] == 0).all()
    assert (distances[right] > 0).mean() > 0.95
    finite = np.where(np.isfinite(distances), distances, 10.0)
    for points in moved(X.astype(np.float64), finite, threat, np.random.default_rng(0)):
        wrong = classifier.predict(points.astype(X.dtype)) != y
        assert not (wrong & (distances > 0)).any()


@pytest.mark.slow
@pytest.mark.parametrize("norm", NORMS)
def test_no_attack_finds_an_error_within_a_certified_distance(fitted, norm):
    classifier, X, y = fitted
    X, y, threat = X[::4], y[::4], ThreatModel(norm, bounds=(0.0, 8.0)).resolve(X)
    distances = certifier_of(classifier).distances(X, y, threat)
    found = adversarial_distance(classifier, X, y, threat=threat, random_state=0)
    assert (distances <= found * (1 + 1e-5)).all()


def test_what_holds_is_what_is_within_the_distance(fitted):
    classifier, X, y = fitted
    certifier, threat = certifier_of(classifier), ThreatModel().resolve(X)
    distances = certifier.distances(X, y, threat)
    for eps in (0.0, 0.05, 0.3):
        holds = certifier.holds(X, y, threat, eps)
        assert holds.dtype == bool
        far, near = distances > eps * 1.002, distances < eps * 0.998
        assert holds[far].mean() > 0.9  # a bound need not decrease, so that a few may differ
        assert not holds[near].any()
    np.testing.assert_array_equal(certifier.holds(X, y, threat, 0.0), classifier.predict(X) == y)


def linear_distances(classifier, X, y, order, units):
    scores = classifier.decision_function(X)
    slopes = classifier[-1].coef_ / classifier[0].scale_ * units
    found = np.full(len(X), np.inf)
    for other in range(3):
        gap = scores[np.arange(len(X)), y] - scores[:, other]
        length = np.linalg.norm(slopes[y] - slopes[other], ord=order, axis=1)
        found = np.where(other == y, found, np.minimum(found, gap / np.where(length, length, 1)))
    return found.clip(0)


@pytest.mark.parametrize(("norm", "dual"), [("linf", 1), ("l2", 2), ("l1", np.inf)])
def test_linear_classifiers_have_their_exact_distances(norm, dual):
    classifier = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y)
    units = np.array([1.0, 0.5, 2.0, 0.0])
    threat = ThreatModel(norm, units=units).resolve(X)
    found = network_certifier(classifier[-1], tuple(classifier.steps[:-1])).distances(X, Y, threat)
    exact = linear_distances(classifier, X, Y, dual, units)
    assert (found <= exact * (1 + 1e-9)).all()
    np.testing.assert_allclose(found, exact, rtol=1.2e-5)


def test_immutable_columns_stay():
    classifier = mlp().fit(X, Y)
    certifier = network_certifier(classifier)
    by_units = ThreatModel(units=[1, 0, 1, 0]).resolve(X)
    by_name = ThreatModel(immutable=[1, 3]).resolve(X)
    np.testing.assert_array_equal(
        certifier.distances(X[:9], Y[:9], by_units), certifier.distances(X[:9], Y[:9], by_name)
    )


def test_samples_that_cannot_become_wrong_are_at_an_infinite_distance():
    classifier = mlp().fit(X, Y)
    threat = ThreatModel(bounds=(X.min(0), X.max(0)), immutable=[1, 2, 3]).resolve(X)
    found = network_certifier(classifier).distances(X, Y, threat)
    line = np.linspace(X[:, 0].min(), X[:, 0].max(), 500)
    endless = np.flatnonzero(np.isinf(found))
    assert len(endless) > 30
    for i in endless:
        points = np.tile(X[i], (500, 1))
        points[:, 0] = line
        assert (classifier.predict(points) == Y[i]).all()


def test_certificates_do_not_depend_on_the_order_and_repeat_themselves():
    certifier, threat = network_certifier(mlp().fit(X, Y)), ThreatModel("l2").resolve(X)
    order = np.random.default_rng(0).permutation(len(X))
    found = certifier.distances(X, Y, threat)
    np.testing.assert_allclose(certifier.distances(X[order], Y[order], threat), found[order])
    np.testing.assert_array_equal(certifier.distances(X, Y, threat), found)


def test_modes_of_the_caller_do_not_matter():
    certifier, threat = network_certifier(mlp().fit(X, Y)), ThreatModel().resolve(X)
    found = certifier.distances(X[:5], Y[:5], threat)
    with torch.inference_mode(), torch.device("meta"):
        np.testing.assert_array_equal(certifier.distances(X[:5], Y[:5], threat), found)


def test_a_missing_value_is_no_proof():
    certifier, threat = network_certifier(mlp().fit(X, Y)), ThreatModel().resolve(X)
    missing = X[:2].copy()
    missing[0, 1] = np.nan
    assert certifier.distances(missing, Y[:2], threat).tolist()[0] == 0
    assert certifier.holds(missing, Y[:2], threat, 0.001).tolist() == [False, True]


def test_no_samples_have_no_distances():
    certifier, threat = network_certifier(mlp().fit(X, Y)), ThreatModel().resolve(X)
    assert certifier.distances(X[:0], Y[:0], threat).shape == (0,)
    assert certifier.holds(X[:0], Y[:0], threat, 0.1).shape == (0,)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: make_pipeline(Normalizer(), mlp()), "Normalize.*has no known bounds"),
        (GaussianNB, "GaussianNB cannot be certified.*These can: .*MLPClassifier"),
        (lambda: IsometricClassifier(module=nn.LSTM(4, 3), max_epochs=1), "LSTM"),
    ],
)
def test_what_has_no_bounds_is_named(build, message):
    classifier = build().fit(X, Y)
    with pytest.raises(NotCertifiableError, match=f"(?s){message}.*Measure it by attack"):
        certifier_of(classifier)


@pytest.mark.parametrize(
    ("threat", "message"),
    [
        (ThreatModel("l0", bounds=(0, 1)), "norm must be one of 'linf', 'l2', 'l1'"),
        (ThreatModel(categories=[[0, 1]]), "change of categories"),
    ],
)
def test_threats_without_bounds_are_refused(threat, message):
    certifier = network_certifier(mlp().fit(X, Y))
    with pytest.raises(ValueError, match=message):
        certifier.holds(X, Y, threat.resolve(X), 0.1)


def test_networks_left_in_training_mode_are_bounded_in_evaluation_mode():
    torch.manual_seed(0)
    parts = nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3)
    options = {"criterion": nn.CrossEntropyLoss, "max_epochs": 5, "verbose": 0}
    net = NeuralNetClassifier(nn.Sequential(*parts), **options).fit(X.astype(np.float32), Y)
    samples, labels = X[::10].astype(np.float32), net.predict(X[::10].astype(np.float32))
    distances = []
    for training in (False, True):
        net.module_.train(training)
        means = net.module_[1].running_mean.clone()
        distances.append(certified_distance(net, samples, labels))
        assert torch.equal(net.module_[1].running_mean, means)
    assert (distances[0] > 0).all()
    np.testing.assert_array_equal(distances[0], distances[1])
