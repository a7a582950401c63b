"""The smallest perturbation found for each sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._param_validation import HasMethods, Interval, validate_params
from torch import Tensor

from sklearn_iso.attacks import Budget, closest_errors, ddn, fab, fmn
from sklearn_iso.attacks.survivors import as_generator
from sklearn_iso.metrics.breaking import AUTOMATIC_QUERIES
from sklearn_iso.metrics.case import Case
from sklearn_iso.metrics.evaluation import Access
from sklearn_iso.metrics.unseen import warn_of_unseen
from sklearn_iso.metrics.weights import check_weights, weighted
from sklearn_iso.modules.ambient import gradients_on
from sklearn_iso.threat import Threat
from sklearn_iso.threat.parts import numbers_of

N_BISECTIONS = 20
OVERSHOOTS = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)

DISTANCE_CONSTRAINTS: dict[str, list[Any]] = {
    "n_steps": [Interval(Integral, 1, None, closed="left"), None],
    "n_restarts": [Interval(Integral, 1, None, closed="left"), None],
    "n_queries": [Interval(Integral, 0, None, closed="left"), None],
    "random_state": ["random_state"],
    "sample_weight": ["array-like", None],
}


@validate_params(
    {"estimator": [HasMethods(["fit", "predict"])], **DISTANCE_CONSTRAINTS},
    prefer_skip_nested_validation=False,
)
@gradients_on()
def adversarial_distance(
    estimator: Any,
    X: ArrayLike,
    y: ArrayLike,
    *,
    threat: Threat = "linf",
    n_steps: int | None = None,
    n_restarts: int | None = None,
    n_queries: int | None = None,
    random_state: Any = None,
    sample_weight: ArrayLike | None = None,
) -> NDArray:
    r"""Return the size of the smallest perturbation found that gets each sample misclassified.

    .. math:: d_i = \min_{x'} \{ \|(x' - x_i) / u\| : \hat y(x') \ne y_i \}

    An upper bound of the distance to the nearest error. Minimum-norm attacks follow the
    gradients of the estimator's twin, :func:`sklearn_iso.attacks.ddn` in "l2" and
    :func:`sklearn_iso.attacks.fmn` otherwise, and its boundary,
    :func:`sklearn_iso.attacks.fab`; the nearer error counts. Where the twin is a surrogate,
    and for samples on which it finds nothing, :func:`sklearn_iso.attacks.rays` searches by
    labels alone; where there is no twin that agrees, it does so for all. The estimator has the
    last word, and what it refuses is no error, as in
    :func:`sklearn_iso.metrics.adversarial_accuracy`.

    Parameters
    ----------
    estimator : fitted classifier
    X : array-like or sparse matrix of shape (n_samples, n_features), or a DataFrame
    y : array-like of shape (n_samples,)
        Labels, as in :func:`sklearn_iso.metrics.adversarial_accuracy`.
    threat : ThreatModel, or the name of a norm
        What an attack may do, see :class:`sklearn_iso.ThreatModel`: the norm, the units u of the
        features (without them those of X), bounds, what stays, and categories. Another category
        adds nothing to the distance.
    n_steps, n_restarts : int or None
        Steps of each walk of ddn or fmn, and walks; None: 100 and 1. fab has its own. Setting them
        is an error where there is no twin that agrees, and asks for walks where its gradients
        vanish on many samples, which are else left to the search by labels.
    n_queries : int or None
        Predictions for each sample without gradients. None: 1000 where they are needed; 0: none.
    random_state : int, RandomState or None
        Draws the rays; None takes fresh entropy.
    sample_weight : array-like of shape (n_samples,), optional
        Samples of weight 0 are left out: they are not attacked, and their distance is NaN. Other
        weights, at least 0, change no distance; they are for what follows, such as
        ``numpy.average(distances[w > 0], weights=w[w > 0])``.

    Returns
    -------
    ndarray of shape (n_samples,)
        0 where a sample is misclassified as it is, infinity where no error was found, NaN where
        its weight is 0; a warning tells where labels alone were searched and no other label was
        ever met.

    Raises
    ------
    ValueError, TypeError
        As :func:`sklearn_iso.metrics.adversarial_accuracy`.

    References
    ----------
    Rony et al., Decoupling Direction and Norm for Efficient Gradient-Based L2 Adversarial
    Attacks and Defenses, CVPR 2019.
    Pintor, Roli, Brendel, Biggio, Fast Minimum-norm Adversarial Attacks through Adaptive Norm
    Constraints, NeurIPS 2021.
    Croce, Hein, Minimally Distorted Adversarial Examples with a Fast Adaptive Boundary Attack,
    ICML 2020.
    Chen, Gu, RayS: a Ray Searching Method for Hard-label Adversarial Attack, KDD 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn_iso.metrics import adversarial_distance
    >>> X, y = np.array([[-1.0], [3.0], [-2.0], [2.0]]), [0, 1, 0, 1]
    >>> classifier = LogisticRegression().fit(X, y)
    >>> boundary = -classifier.intercept_ / classifier.coef_[0]
    >>> distances = adversarial_distance(classifier, X, y)
    >>> bool(np.allclose(distances, np.abs(X[:, 0] - boundary), rtol=1e-3))
    True
    """
    counts = None if sample_weight is None else check_weights(sample_weight, X) > 0
    _, X, y = weighted(sample_weight, X, y)
    case = Case.of(estimator, X, y, threat=threat)
    search = Search(case)
    found, rows = np.zeros(len(case.table)), np.flatnonzero(case.right())
    if not len(rows):
        return _of_all(found, counts)
    access, generator = Access.of(case, rows), as_generator(random_state)
    case.refused.limit(case.table.values, np.ptp(case.table.values, axis=0), case.threat.categories)
    closest, distance = case.points(rows), np.full(len(rows), np.inf)
    if access.climbs or _steps_asked_for(access, n_steps=n_steps, n_restarts=n_restarts):
        closest = search.descend(access.logits, rows, n_steps or 100, n_restarts or 1)
        closest, distance = search.settle(closest, rows, exact=access.trusted)
    if n_queries is None:
        n_queries = AUTOMATIC_QUERIES
    left = np.flatnonzero(np.isinf(distance) | (not access.trusted))
    if len(left) and n_queries:
        points, seen = search.shoot(access.answers.predict, rows[left], n_queries, generator)
        _, shorter = search.settle(points, rows[left], exact=False)
        distance[left] = np.minimum(distance[left], shorter)
        if not access.trusted:
            n_unseen = int((np.isinf(distance[left]) & ~seen).sum())
            warn_of_unseen(n_unseen, len(case.table), "their distance, infinity,")
    found[rows] = distance
    case.refused.warn()
    return _of_all(found, counts)


def _of_all(found: NDArray, counts: NDArray | None) -> NDArray:
    """Return what was found for the samples that count, and NaN for the others."""
    if counts is None:
        return found
    distances = np.full(len(counts), np.nan)
    distances[counts] = found
    return distances


def _steps_asked_for(access: Access, **given: int | None) -> bool:
    """Whether to walk though gradients vanish in places; an error where there are none."""
    vanish = access.slopes.vanishing > 0 and not access.slopes.not_finite
    for name, value in given.items():
        if value is not None and not vanish:
            raise ValueError(
                f"{name} must be left out where there are no gradients to follow; got "
                f"{name}={value!r}, and {access.reason}. Set n_queries, of the search by labels."
            )
    return any(value is not None for value in given.values())


@dataclass(frozen=True)
class Search:
    """Minimum-norm attacks on samples of a case, and what the estimator says of their points.

    Parameters
    ----------
    case : Case

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso.metrics.case import Case
    >>> from sklearn_iso.metrics.distance import Search
    >>> X, y = load_iris(return_X_y=True)
    >>> threat = ThreatModel(units=[1, 1, 0, 2])
    >>> search = Search(Case.of(GaussianNB().fit(X, y), X, y, threat=threat))
    >>> search.settle(search.case.points([0]), np.array([0]), exact=True)[1]
    array([inf])
    """

    case: Case

    def _inside(self, points: Tensor, X: Tensor) -> Tensor:
        if self.case.threat.bounds is None:
            return points
        low, high = (torch.from_numpy(numbers_of(s)).to(points) for s in self.case.threat.bounds)
        # X itself may lie outside by rounding, and what did not move must stay.
        return points.clamp(torch.minimum(low, X), torch.maximum(high, X))

    def _attack(self, attack: Callable, answer: Callable, rows: NDArray, **options: Any) -> Tensor:
        X = self.case.points(rows)
        points = attack(answer, X, self.case.labels(rows), threat=self.case.threat, **options)
        return self._inside(points, X)

    def descend(self, twin: Any, rows: NDArray, n_steps: int, n_runs: int) -> Tensor:
        """Closest errors of the twin, the nearer of what walks of two kinds find."""
        attack = ddn if self.case.threat.norm.name == "l2" else fmn
        points = self._attack(attack, twin, rows, n_steps=n_steps, n_restarts=n_runs)
        others, X = self._attack(fab, twin, rows), self.case.points(rows)
        nearer = self._reach(X, others) < self._reach(X, points)
        points[nearer] = others[nearer]
        return points

    def shoot(
        self, predict: Callable, rows: NDArray, n_queries: int, generator: torch.Generator
    ) -> tuple[Tensor, NDArray]:
        """Closest errors that labels alone lead to, and whether any other label was met."""
        met: list[Tensor] = []

        def attack(*args: Any, **options: Any) -> Tensor:
            points, seen = closest_errors(*args, **options)
            met.append(seen)
            return points

        points = self._attack(attack, predict, rows, n_queries=n_queries, random_state=generator)
        return points, met[0].numpy()

    def settle(self, points: Tensor, rows: NDArray, exact: bool) -> tuple[Tensor, NDArray]:
        """Errors of the estimator on the way through the points, and their distances.

        Points just short of an error are pushed on; where the points are not exact, errors are
        pulled back by bisection.
        """
        X, fooled = self.case.points(rows), self.case.fools(points, rows)
        moved = (points != X).flatten(1).any(dim=1).numpy()
        for overshoot in OVERSHOOTS:
            left = np.flatnonzero(~fooled & moved)
            if not len(left):
                break
            further = self._along(X[left], points[left], 1 + overshoot)
            hit = self.case.fools(further, rows[left])
            points[left[hit]], fooled[left[hit]] = further[hit], True
        if not exact and fooled.any():
            hit = np.flatnonzero(fooled)
            points[hit] = self._pulled_back(X[hit], points[hit], rows[hit])
        return points, np.where(fooled, self._sizes(X, points), np.inf)

    def _along(self, X: Tensor, points: Tensor, share: float | Tensor) -> Tensor:
        x = X + (points - X) * share
        for group in self.case.threat.categories or ():
            x[:, list(group)] = points[:, list(group)]
        return self._inside(x, X)

    def _pulled_back(self, X: Tensor, points: Tensor, rows: NDArray) -> Tensor:
        low, high = np.zeros(len(rows)), np.ones(len(rows))
        best = points.clone()
        shape = (-1, *[1] * (X.ndim - 1))
        for _ in range(N_BISECTIONS):
            middle = (low + high) / 2
            x = self._along(X, points, torch.from_numpy(middle).to(X).view(shape))
            fooled = self.case.fools(x, rows)
            best[fooled] = x[fooled]
            low, high = np.where(fooled, low, middle), np.where(fooled, middle, high)
        return best

    def _reach(self, X: Tensor, points: Tensor) -> NDArray:
        """Sizes of what was found; where nothing was, the point came back as it was."""
        moved = (points != X).flatten(1).any(dim=1).numpy()
        return np.where(moved, self._sizes(X, points), np.inf)

    def _sizes(self, X: Tensor, points: Tensor) -> NDArray:
        budget = Budget.of(X, threat=self.case.threat)
        return budget.norm.size(budget.perturbations(X, points).double()).numpy()
