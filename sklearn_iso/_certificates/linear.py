"""Certificates of linear classifiers: the distance to the half-spaces of the other classes, exact.

Another class wins in a half-space. What a step within the ball and the bounds gains is a continuous
knapsack, whose solution is known in each norm: all features move alike with "linf", those of the
best rates first with "l1", and in proportion to their rates, up to the bounds, with "l2".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn import linear_model
from sklearn.base import BaseEstimator
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import (
    LogisticRegression,
    Perceptron,
    RidgeClassifier,
    RidgeClassifierCV,
    SGDClassifier,
)
from sklearn.naive_bayes import ComplementNB, MultinomialNB
from sklearn.neighbors import NearestCentroid
from sklearn.svm import SVC, LinearSVC, NuSVC

from sklearn_iso._certificates.affine import Affine, affine
from sklearn_iso._certificates.certifier import Certifier, Errors
from sklearn_iso._certificates.columnwise import quietly
from sklearn_iso._certificates.domain import Domain
from sklearn_iso._certificates.registry import Steps, register
from sklearn_iso._threat import ThreatModel
from sklearn_iso.exceptions import NotCertifiableError

#: What rounding may make of a distance.
ROUNDING = 1e-12
#: By how much steps lead beyond a boundary.
BEYOND = 1e-9
#: Roundings in a score, beyond those of its sum.
N_ROUNDINGS = 16


@dataclass(frozen=True, eq=False)
class LinearScores:
    """Scores, or predictions, that are affine in what the steps before them give.

    Parameters
    ----------
    coef : ndarray of shape (n_columns, n_scores)
    intercept : ndarray of shape (n_scores,)
    steps : Steps

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso._certificates.linear import LinearScores
    >>> line = LinearScores(np.array([[3.0], [4.0]]), np.array([1.0]))
    >>> line.on(2).apply(np.ones((1, 2)))
    array([[8.]])
    """

    coef: NDArray
    intercept: NDArray
    steps: Steps = ()

    def on(self, n_features: int) -> Affine:
        """Return the steps and the scores as one map."""
        last = Affine.of(
            self.coef, lambda Z: np.asarray(Z, np.float64) @ self.coef + self.intercept
        )
        return affine(self.steps, n_features).then(last)

    def rounding(self, whole: Affine, X: NDArray) -> NDArray:
        """Return what rounding may make of that map on samples, of shape (n, n_scores)."""
        roundings = N_ROUNDINGS + sum(self.coef.shape) + X.shape[1]
        return roundings * np.finfo(X.dtype).eps * whole.sizes(X)


@dataclass(frozen=True, eq=False)
class LinearCertifier:
    """Certifies a classifier whose scores are affine in what the steps before it give.

    Parameters
    ----------
    scores : LinearScores
        One for each class.
    """

    scores: LinearScores

    @property
    def exact(self) -> bool:
        """Always: up to rounding."""
        return True

    @property
    def method(self) -> str:
        """How it proves."""
        return "distance to the half-spaces of the other classes"

    def holds(self, X: NDArray, codes: NDArray, threat: ThreatModel, eps: float) -> NDArray:
        """Return for which samples no perturbation within eps is misclassified."""
        return self.distances(X, codes, threat) * (1 - ROUNDING) > eps

    def distances(self, X: NDArray, codes: NDArray, threat: ThreatModel) -> NDArray:
        """Return the distance of each sample to the nearest error, in units of the threat."""
        domain, nearest = Domain.of(threat, X.shape[1]), np.full(len(X), np.inf)
        for slopes, room, lead in self._half_spaces(X, codes, domain, short=True):
            nearest = np.minimum(nearest, shortest(np.abs(slopes), room, lead, domain))
        return nearest

    def errors(
        self, X: NDArray, codes: NDArray, threat: ThreatModel, eps: float | None = None
    ) -> Errors:
        """Return the nearest errors, just beyond the half-spaces."""
        domain, nearest = Domain.of(threat, X.shape[1]), np.full(len(X), np.inf)
        if domain.order not in (1, 2, np.inf):
            return Errors.none(X)
        points = np.array(X, dtype=np.float64)
        for slopes, room, lead in self._half_spaces(X, codes, domain, short=False):
            moved = shortest_step(np.abs(slopes), room, lead * (1 + BEYOND), domain)
            lengths = domain.size(moved)
            nearer = lengths < nearest
            nearest[nearer] = lengths[nearer]
            steps = moved[nearer] * domain.units * np.sign(slopes[nearer])
            points[nearer] = np.asarray(X, np.float64)[nearer] + np.nan_to_num(steps)
        known = np.isfinite(nearest) if eps is None else nearest <= eps
        settled = known | (self.distances(X, codes, threat) * (1 - ROUNDING) > (eps or 0.0))
        if eps is None:
            settled = known == np.isfinite(self.distances(X, codes, threat))
        return Errors(np.where(known[:, None], points, X).astype(X.dtype), known, settled)

    def _half_spaces(
        self, X: NDArray, codes: NDArray, domain: Domain, short: bool
    ) -> Iterator[tuple[NDArray, NDArray, NDArray]]:
        """Yield slopes, room and lead of each class, the lead less or more of rounding.

        The lead over the own class is infinite.
        """
        scores = self.scores.on(X.shape[1])
        at, samples = quietly(scores.apply, X), np.arange(len(X))
        slack = self.scores.rounding(scores, X)
        slack = -slack if short else slack
        down, up = domain.room(X)
        for other in range(at.shape[1]):
            slopes = scores.matrix[:, [other]].T - scores.matrix.T[codes]
            lead = at[samples, codes] - at[:, other] + slack[samples, codes] + slack[:, other]
            lead = np.where(codes == other, np.inf, np.maximum(lead, 0))
            yield slopes, np.where(slopes > 0, up, down), lead


def shortest(slopes: NDArray, room: NDArray, gain: NDArray, domain: Domain) -> NDArray:
    r"""Return the length of the shortest step that gains enough, infinity where none does.

    .. math:: \min \|d / u\| \quad \text{s.t.} \quad \sum_j s_j d_j \ge c, \; 0 \le d_j \le r_j

    Parameters
    ----------
    slopes, room : ndarray of shape (n, n_features)
        s and r, not negative.
    gain : ndarray of shape (n,)
        c, not negative.
    domain : Domain
        The norm and the units u.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso._certificates.domain import Domain
    >>> from sklearn_iso._certificates.linear import shortest
    >>> slopes, room = np.array([[3.0, 4.0]]), np.full((1, 2), np.inf)
    >>> shortest(slopes, room, np.array([10.0]), Domain.of(ThreatModel("l2"), 2))
    array([2.])
    """
    lengths: NDArray = domain.size(shortest_step(slopes, room, gain, domain))
    return lengths


def shortest_step(slopes: NDArray, room: NDArray, gain: NDArray, domain: Domain) -> NDArray:
    """Return how far each feature moves in that step, in units; infinity where none gains enough.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso._certificates.domain import Domain
    >>> from sklearn_iso._certificates.linear import shortest_step
    >>> slopes, room = np.array([[3.0, 4.0]]), np.full((1, 2), np.inf)
    >>> shortest_step(slopes, room, np.array([10.0]), Domain.of(ThreatModel("l1"), 2))
    array([[0. , 2.5]])
    """
    rates = slopes * domain.units
    some = rates > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.where(some, room / domain.units, 0.0)
    if domain.order == 1:
        return _cheapest_first(rates, room, gain)
    # Features move by the stretch times their speed, until they meet their bounds.
    speed = some.astype(float) if np.isinf(domain.order) else rates
    stretch = _stretch(rates, speed, room, gain)
    with np.errstate(invalid="ignore"):
        moved = np.where(some, np.minimum(stretch[:, None] * speed, room), 0.0)
    return np.where(np.isinf(stretch)[:, None], np.inf, moved)


def _cheapest_first(rates: NDArray, room: NDArray, gain: NDArray) -> NDArray:
    order = np.argsort(-rates, axis=1, kind="stable")
    rates, room = (np.take_along_axis(one, order, axis=1) for one in (rates, room))
    with np.errstate(invalid="ignore", divide="ignore"):
        gains = np.where(rates > 0, rates * room, 0.0)
        before = np.concatenate([np.zeros((len(gains), 1)), gains[:, :-1].cumsum(axis=1)], axis=1)
        taken = np.clip(gain[:, None] - before, 0, gains)
        moved = np.where(taken > 0, taken / rates, 0.0)
    enough = gains.sum(axis=1) >= gain
    steps = np.zeros_like(moved)
    np.put_along_axis(steps, order, moved, axis=1)
    return np.where(enough[:, None], steps, np.inf)


def _stretch(rates: NDArray, speed: NDArray, room: NDArray, gain: NDArray) -> NDArray:
    """Return the least t with sum of rates * min(t * speed, room) >= gain, or infinity."""
    with np.errstate(divide="ignore", invalid="ignore"):
        full_at = np.where(speed > 0, room / speed, 0.0)
    order = np.argsort(full_at, axis=1, kind="stable")
    rates, speed, room, full_at = (
        np.take_along_axis(one, order, axis=1) for one in (rates, speed, room, full_at)
    )
    pace = rates * speed
    filled = np.cumsum(np.where(np.isfinite(room), rates * room, 0.0), axis=1)
    before = np.concatenate([np.zeros((len(rates), 1)), filled[:, :-1]], axis=1)
    left = np.cumsum(pace[:, ::-1], axis=1)[:, ::-1]  # of this feature and those filled later
    with np.errstate(divide="ignore", invalid="ignore"):
        needed = np.where(left > 0, (gain[:, None] - before) / left, np.inf)
    possible = needed <= full_at * (1 + ROUNDING)
    first = possible.argmax(axis=1)
    stretch = np.maximum(needed[np.arange(len(needed)), first], 0)
    stretch = np.where(possible.any(axis=1), stretch, np.inf)
    return np.where(gain <= 0, 0.0, stretch)


def _two_scores(coef: NDArray, intercept: NDArray, n_classes: int) -> tuple[NDArray, NDArray]:
    """Return weights and intercepts of one score for each class."""
    coef, intercept = np.atleast_2d(coef).T.astype(np.float64), np.atleast_1d(intercept)
    intercept = np.broadcast_to(intercept.astype(np.float64), coef.shape[1])
    if n_classes == 2 and coef.shape[1] == 1:
        return np.hstack([np.zeros_like(coef), coef]), np.array([0.0, intercept[0]])
    return coef, np.array(intercept)


def _linear(classifier: BaseEstimator, steps: Steps) -> Certifier:
    n_classes = len(classifier.classes_)
    coef, intercept = _two_scores(classifier.coef_, classifier.intercept_, n_classes)
    return LinearCertifier(LinearScores(coef, intercept, steps))


for _kind in (
    LinearDiscriminantAnalysis,
    LinearSVC,
    LogisticRegression,
    Perceptron,
    RidgeClassifier,
    RidgeClassifierCV,
    SGDClassifier,
):
    register(_kind, knows_errors=True)(_linear)
if hasattr(linear_model, "PassiveAggressiveClassifier"):  # deprecated in scikit-learn 1.8
    register(linear_model.PassiveAggressiveClassifier, knows_errors=True)(_linear)


@register(MultinomialNB, knows_errors=True)
def _multinomial(classifier: MultinomialNB, steps: Steps) -> Certifier:
    coef, intercept = classifier.feature_log_prob_.T, classifier.class_log_prior_
    return LinearCertifier(LinearScores(coef, intercept, steps))


@register(ComplementNB, knows_errors=True)
def _complement(classifier: ComplementNB, steps: Steps) -> Certifier:
    coef = classifier.feature_log_prob_.T
    return LinearCertifier(LinearScores(coef, np.zeros(coef.shape[1]), steps))


@register(SVC, knows_errors=True)
@register(NuSVC, knows_errors=True)
def _support_vectors(classifier: SVC | NuSVC, steps: Steps) -> Certifier:
    reason = None
    if classifier.kernel != "linear":
        reason = f"kernel={classifier.kernel!r} is not linear"
    elif len(classifier.classes_) != 2:
        reason = "it lets pairs of classes vote; LinearSVC compares scores"
    if reason:
        raise NotCertifiableError(classifier, reason=reason)
    coef = classifier.coef_.toarray() if hasattr(classifier.coef_, "toarray") else classifier.coef_
    return LinearCertifier(LinearScores(*_two_scores(coef, classifier.intercept_, 2), steps))


@register(NearestCentroid, knows_errors=True)
def _centroids(classifier: NearestCentroid, steps: Steps) -> Certifier:
    centroids, prior = classifier.centroids_, classifier.class_prior_
    if classifier.metric != "euclidean":
        reason = f"metric={classifier.metric!r} has no half-spaces; use 'euclidean'"
        raise NotCertifiableError(classifier, reason=reason)
    spread, rank = np.ones(centroids.shape[1]), np.zeros(len(prior))
    if not np.isclose(prior, 1 / len(prior)).all():
        spreads, rank = classifier.within_class_std_dev_, np.log(prior)
        spread = np.where(spreads != 0, spreads, 1.0)
    centroids = centroids / spread
    intercept = 2 * rank - np.square(centroids).sum(axis=1)
    return LinearCertifier(LinearScores(2 * (centroids / spread).T, intercept, steps))
