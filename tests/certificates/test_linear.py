"""Certificates of linear classifiers, held to closed forms and to convex programs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    LogisticRegression,
    Perceptron,
    RidgeClassifier,
    RidgeClassifierCV,
    SGDClassifier,
)
from sklearn.naive_bayes import ComplementNB, MultinomialNB
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import MinMaxScaler, Normalizer, PolynomialFeatures, StandardScaler
from sklearn.svm import SVC, LinearSVC

from sklearn_iso import ThreatModel
from sklearn_iso._certificates.domain import Domain
from sklearn_iso._certificates.linear import shortest
from sklearn_iso.exceptions import NotCertifiableError
from sklearn_iso.metrics import certified_distance

X, Y = (part[20:] for part in load_iris(return_X_y=True))  # classes of unequal size
TWO = np.minimum(Y, 1)
DUAL = {"linf": 1, "l2": 2, "l1": np.inf}
CLASSIFIERS = [
    LogisticRegression(max_iter=500),
    LogisticRegression(C=100, max_iter=2000),
    RidgeClassifier(),
    RidgeClassifierCV(),
    SGDClassifier(random_state=0),
    SGDClassifier(loss="modified_huber", random_state=0),
    Perceptron(),
    LinearSVC(),
    LinearDiscriminantAnalysis(),
    NearestCentroid(),
    NearestCentroid(priors="empirical"),
    MultinomialNB(),
    ComplementNB(),
]


def scores_of(classifier, points):
    """Return what the classifier compares, one score for each class."""
    if isinstance(classifier, MultinomialNB | ComplementNB):
        return classifier.predict_joint_log_proba(points)
    if isinstance(classifier, NearestCentroid) and classifier.priors == "uniform":
        return -np.square(points[:, None] - classifier.centroids_).sum(axis=2)
    scores = classifier.decision_function(points)
    return np.column_stack([np.zeros(len(points)), scores]) if scores.ndim == 1 else scores


def affine_parts(classifier, n_features):
    """Return weights and intercepts of score differences, read off at the axes."""
    start = scores_of(classifier, np.zeros((1, n_features)))
    start, axes = start - start[:, :1], scores_of(classifier, np.eye(n_features))
    axes = axes - axes[:, :1]
    return axes - start, start[0]


@pytest.mark.parametrize("norm", DUAL)
@pytest.mark.parametrize("labels", [Y, TWO], ids=["three", "two"])
@pytest.mark.parametrize("classifier", CLASSIFIERS, ids=str)
def test_distances_are_leads_over_dual_norms(classifier, labels, norm):
    classifier.fit(X, labels)
    units = np.array([1.0, 2.0, 0.5, 0.0])
    weights, start = affine_parts(classifier, 4)
    scores = X @ weights + start
    right = classifier.predict(X) == labels
    expected = np.full(len(X), np.inf)
    for other in range(weights.shape[1]):
        slopes = (weights[:, other] - weights.T[labels]) * units
        with np.errstate(invalid="ignore"):
            lead = scores[np.arange(len(X)), labels] - scores[:, other]
            lengths = lead / np.linalg.norm(slopes, ord=DUAL[norm], axis=1)
        expected = np.where(labels == other, expected, np.minimum(expected, lengths))
    found = certified_distance(classifier, X, labels, threat=ThreatModel(norm, units=units))
    assert right.mean() > 0.4
    assert np.allclose(found, np.where(right, expected, 0), rtol=1e-6, atol=1e-9)


def by_program(slopes, room, gain, domain):
    """Return the shortest step that gains enough, by a general solver."""
    movable = (domain.units > 0) & (room > 0) & (slopes > 0)
    if not movable.any() or slopes[movable] @ room[movable] < gain:
        return np.inf if gain > 0 else 0.0
    s, r, u = slopes[movable], room[movable], domain.units[movable]
    if domain.order == 2:
        gains = [{"type": "ineq", "fun": lambda v: s * u @ v - gain, "jac": lambda v: s * u}]
        best = minimize(
            lambda v: v @ v, r / u, jac=lambda v: 2 * v, constraints=gains,
            bounds=[(0, limit) for limit in r / u], options={"ftol": 1e-15, "maxiter": 500},
        )  # fmt: skip
        return np.sqrt(best.fun)
    if domain.order == 1:
        limits = [(0, limit) for limit in r / u]
        return linprog(np.ones(len(s)), -(s * u)[None], [-gain], bounds=limits).fun
    cost, rows = np.append(np.zeros(len(s)), 1), np.append(-s * u, 0)[None]
    under = np.column_stack([np.eye(len(s)), -np.ones(len(s))])
    best = linprog(
        cost, np.vstack([rows, under]), np.append(-gain, np.zeros(len(s))),
        bounds=[*zip(0 * r, r / u, strict=True), (0, None)],
    )  # fmt: skip
    return best.fun


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["linf", "l2", "l1"]))
def test_steps_within_bounds_are_those_of_a_program(seed, norm):
    rng = np.random.default_rng(seed)
    n = rng.integers(1, 6)
    slopes, room = rng.exponential(size=n), rng.exponential(size=n)
    slopes[rng.random(n) < 0.2], room[rng.random(n) < 0.2] = 0, 0
    units = np.where(rng.random(n) < 0.2, 0, rng.exponential(size=n) + 0.1)
    if not units.any():
        units[0] = 1
    domain = Domain.of(ThreatModel(norm, units=units), n)
    most = (slopes * room)[units > 0].sum()
    gain = most * rng.choice([0.1, 0.5, 0.9, 1.2])
    (found,) = shortest(slopes[None], room[None], np.array([gain]), domain)
    if gain == 0:
        assert found == 0
    else:
        assert np.isclose(found, by_program(slopes, room, gain, domain), rtol=1e-5)


@pytest.mark.parametrize("norm", DUAL)
def test_no_step_without_bounds_is_longer_than_one_with(norm):
    classifier = LogisticRegression(max_iter=500).fit(X, Y)
    free = certified_distance(classifier, X, Y, threat=norm)
    low, high = X.min(axis=0), X.max(axis=0)
    bounded = certified_distance(classifier, X, Y, threat=ThreatModel(norm, bounds=(low, high)))
    held = ThreatModel(norm, bounds=(low, high), immutable=[2, 3])
    assert (free <= bounded * (1 + 1e-9)).all() and (free < bounded - 1e-6).any()
    fewer = certified_distance(classifier, X, Y, threat=held)
    assert (bounded <= fewer * (1 + 1e-9)).all() and np.isinf(fewer).any()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_affine_steps_are_composed(norm, dtype):
    samples = X.astype(dtype)
    columns = ColumnTransformer([("a", StandardScaler(), [0, 2]), ("b", "passthrough", [1, 3])])
    union = FeatureUnion(
        [("pca", PCA(2)), ("scaled", MinMaxScaler())], transformer_weights={"pca": 0.5}
    )
    pipeline = make_pipeline(columns, union, LogisticRegression(C=10)).fit(X, Y)

    def lead(point, label):
        scores = pipeline.decision_function(point)[0]
        return scores[label] - np.delete(scores, label).max()

    found = certified_distance(pipeline, samples, Y, threat=norm)
    right = pipeline.predict(samples) == Y
    assert np.array_equal(found > 0, right)
    for row in range(0, 130, 30):
        weights, start = _differences(pipeline)
        slopes = np.delete(weights - weights[:, [Y[row]]], Y[row], axis=1)
        leads = -(X[row] @ slopes + np.delete(start - start[Y[row]], Y[row]))
        lengths = leads / np.linalg.norm(slopes, ord=DUAL[norm], axis=0)
        assert np.isclose(found[row], lengths.min(), rtol=1e-9 if dtype == np.float64 else 1e-3)
        assert found[row] <= lengths.min() * (1 + 1e-9)
        direction = slopes[:, lengths.argmin()]
        step = np.sign(direction) if norm == "linf" else direction / np.linalg.norm(direction)
        assert lead((X[row] + step * lengths.min() * 1.001)[None], Y[row]) < 0


def _differences(pipeline):
    start = pipeline.decision_function(np.zeros((1, 4)))[0]
    return pipeline.decision_function(np.eye(4)) - start, start


@pytest.mark.parametrize(
    ("step", "named"), [(Normalizer(), "Normalizer"), (PolynomialFeatures(), "Polynomial")]
)
def test_steps_that_are_not_affine_are_named(step, named):
    pipeline = make_pipeline(StandardScaler(), step, LogisticRegression()).fit(X, Y)
    with pytest.raises(NotCertifiableError, match=rf"Step '{named.lower()}\w*' \({named}"):
        certified_distance(pipeline, X, Y)


def test_whitening_of_what_has_no_variance_is_refused():
    flat = np.column_stack([X, np.ones(len(X))])
    pipeline = make_pipeline(PCA(whiten=True), LogisticRegression()).fit(flat, Y)
    with pytest.raises(NotCertifiableError, match="direction without variance"):
        certified_distance(pipeline, flat, Y)


def test_votes_of_kernels_are_refused_and_linear_margins_are_not():
    with pytest.raises(NotCertifiableError, match="kernel='rbf' is not linear"):
        certified_distance(SVC().fit(X, Y), X, Y)
    with pytest.raises(NotCertifiableError, match="pairs of classes vote"):
        certified_distance(SVC(kernel="linear").fit(X, Y), X, Y)
    classifier = SVC(kernel="linear").fit(X, TWO)
    expected = np.abs(classifier.decision_function(X)) / np.linalg.norm(classifier.coef_)
    assert np.allclose(certified_distance(classifier, X, TWO, threat="l2"), expected)


def test_missing_values_are_filled_and_never_move():
    samples = X.copy()
    samples[::4, 2] = np.nan
    pipeline = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression())
    pipeline.fit(samples, Y)
    found = certified_distance(pipeline, samples, Y, threat="l2")
    filled = pipeline[0].transform(samples)
    held = ThreatModel("l2", immutable=[2])
    rest = pipeline[1:]
    assert np.allclose(found[::4], certified_distance(rest, filled, Y, threat=held)[::4])
    assert np.allclose(found[1::4], certified_distance(rest, filled, Y, threat="l2")[1::4])
