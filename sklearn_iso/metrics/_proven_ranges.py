"""What a fitted regressor can predict near samples: largest losses, and how far tolerances hold."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from sklearn_iso._certificates import range_certifier_of
from sklearn_iso._certificates.categories import held
from sklearn_iso._certificates.certifier import RangeCertifier, TimedRanges
from sklearn_iso._threat import ThreatModel
from sklearn_iso.exceptions import NotCertifiableError
from sklearn_iso.metrics._encoding import Encoding
from sklearn_iso.metrics._regression_problem import LOSSES, RegressionProblem, SampleLoss
from sklearn_iso.metrics._variants import every_variant

#: By what share of their size predictions may be off the range that they must be in.
ROUNDING = 1e-5
#: Steps from number to number to one whose difference from another is within a tolerance.
N_NEIGHBOURS = 4


@dataclass(frozen=True, eq=False)
class ProvenRanges:
    """The predictions of a problem's regressor, bounded.

    Parameters
    ----------
    problem : RegressionProblem
    encoding : Encoding
        What the certifier gets of points.
    certifier : RangeCertifier

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.tree import DecisionTreeRegressor
    >>> from sklearn_iso.metrics._proven_ranges import ProvenRanges
    >>> from sklearn_iso.metrics._regression_problem import RegressionProblem, SampleLoss
    >>> X, y = np.array([[0.0], [1.0], [3.0]]), np.array([0.0, 1.0, 5.0])
    >>> problem = RegressionProblem.of(DecisionTreeRegressor().fit(X, y), X, y)
    >>> proven = ProvenRanges.of(problem, time_limit=None)
    >>> proven.losses(SampleLoss("absolute_error"), eps=0.6).tolist()
    [1.0, 1.0, 0.0]
    >>> proven.distances(tolerance=1.0).round(3).tolist()
    [2.0, 1.0, 1.0]
    """

    problem: RegressionProblem
    encoding: Encoding
    certifier: RangeCertifier

    @classmethod
    def of(cls, problem: RegressionProblem, time_limit: float | None) -> ProvenRanges:
        """Return what bounds the predictions of a problem.

        Raises
        ------
        NotCertifiableError
            If nothing does.
        """
        encoding = Encoding.of(problem.estimator, problem.table)
        certifier = range_certifier_of(cast(BaseEstimator, encoding.estimator))
        if time_limit is not None and isinstance(certifier, TimedRanges):
            certifier = certifier.within(time_limit)
        proven = cls(problem, encoding, certifier)
        proven._check()
        return proven

    def losses(self, loss: SampleLoss, eps: float) -> NDArray[np.float64]:
        """Return upper bounds of the losses of samples within a budget, of shape (n,)."""
        problem, of_output = self.problem, LOSSES[str(loss.given)]
        largest = loss(problem.y, problem.clean)
        if eps == 0 or not len(largest):
            return largest
        points, owner, threat = self._variants(np.arange(len(largest)))
        samples = self.encoding.samples(points)
        sides = self.certifier.ranges(samples, threat, np.full(len(points), eps))
        below, above = (of_output(side - problem.y[owner]) for side in sides)
        np.maximum.at(largest, owner, np.maximum(below, above).mean(axis=1))
        return largest

    def distances(self, tolerance: float) -> NDArray[np.float64]:
        """Return lower bounds of the distances at which predictions deviate by more, (n,)."""
        problem = self.problem
        low, high = interval(problem.y, tolerance)

        def stays(predicted: NDArray, rows: NDArray) -> NDArray:
            inside: NDArray = ((predicted >= low[rows]) & (predicted <= high[rows])).all(axis=1)
            return inside

        found = np.zeros(len(problem.y))
        rows = np.flatnonzero(stays(problem.clean, np.arange(len(found))))
        points, owner, threat = self._variants(rows)
        near = np.ones(len(points), dtype=bool)
        if problem.threat.categories and len(points):
            near = stays(problem.predict_perturbed(points, owner), owner)
        bounds = np.zeros(len(points))
        if near.any():
            ends = low[owner[near]], high[owner[near]]
            samples = self.encoding.samples(points[near])
            bounds[near] = self.certifier.distances(samples, *ends, threat)
        found[rows] = np.inf
        np.minimum.at(found, owner, bounds)
        return found

    def _variants(self, rows: NDArray) -> tuple[NDArray, NDArray, ThreatModel]:
        """Return what samples may be changed to, whose they are, and a threat for the certifier.

        Categories that an encoder refuses lead nowhere.
        """
        points, owner, threat = every_variant(self.problem, rows)
        if self.problem.threat.categories:
            known = ~self.encoding.refuses(points)
            points, owner = points[known], owner[known]
        return points, owner, self.encoding.threat(threat)

    def _check(self) -> None:
        """Raise an error where predictions at samples are not in their ranges."""
        problem = self.problem
        points, clean = problem.table.values, problem.clean
        threat = self.encoding.threat(held(problem.threat, points.shape[1]))
        X = self.encoding.samples(points)
        low, high = self.certifier.ranges(X, threat, np.zeros(len(X)))
        slack = ROUNDING * (np.abs(clean) + np.abs(clean).max(initial=0.0))
        if low.shape != clean.shape or ((clean < low - slack) | (clean > high + slack)).any():
            reason = "it predicts otherwise than what is known of its class; predict is its own"
            raise NotCertifiableError(problem.estimator, reason=reason)


def interval(y: NDArray, tolerance: float) -> tuple[NDArray, NDArray]:
    """Return the ends of an interval of numbers whose differences from y are within a tolerance.

    As they are computed: of 0.3 and 0.1 the largest is a little less than 0.4.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.metrics._proven_ranges import interval
    >>> low, high = interval(np.array([0.3, 2.0]), 0.1)
    >>> (high - [0.3, 2.0] <= 0.1).tolist(), (high < [0.4, 2.2]).tolist()
    ([True, True], [True, True])
    """
    high = _largest(y, tolerance)
    return -_largest(-y, tolerance), high


def _largest(y: NDArray, tolerance: float) -> NDArray:
    found = y + tolerance
    for _ in range(N_NEIGHBOURS):
        found = np.where(found - y > tolerance, np.nextafter(found, -np.inf), found)
    return found


@dataclass(frozen=True, eq=False)
class ProvenErrors:
    """Upper bounds of the error under attack.

    Attributes
    ----------
    method : str
        How it was proven.
    error : ndarray of shape (n_budgets,)
        Mean of the losses that no perturbation within each budget exceeds.
    losses : ndarray of shape (n_budgets, n)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.tree import DecisionTreeRegressor
    >>> from sklearn_iso.metrics._proven_ranges import ProvenErrors
    >>> from sklearn_iso.metrics._regression_problem import RegressionProblem, SampleLoss
    >>> X, y = np.array([[0.0], [1.0], [3.0]]), np.array([0.0, 1.0, 5.0])
    >>> problem = RegressionProblem.of(DecisionTreeRegressor().fit(X, y), X, y)
    >>> found, loss = np.zeros((2, 3)), SampleLoss("absolute_error")
    >>> ProvenErrors.of(problem, loss, [0.6, 1.5], found).error.round(3).tolist()
    [0.667, 3.0]
    """

    method: str
    error: NDArray[np.float64]
    losses: NDArray[np.float64]

    @classmethod
    def of(
        cls, problem: RegressionProblem, loss: SampleLoss, budgets: Sequence[float], found: NDArray
    ) -> ProvenErrors:
        """Prove what can be proven of samples, for which attacks found losses (n_budgets, n).

        Raises
        ------
        NotCertifiableError
            If there are no proofs for the estimator.
        ValueError
            If the loss is a function.
        """
        if not isinstance(loss.given, str):
            raise ValueError(
                f"loss must be one of {', '.join(map(repr, LOSSES))} with certify=True, as the "
                f"largest value of a function is not known; got {loss.name}. Leave certify out."
            )
        proven = ProvenRanges.of(problem, None)
        losses = np.stack([proven.losses(loss, eps) for eps in budgets])
        higher = found > losses + ROUNDING * np.abs(losses)
        if contradicted := int(higher.any(axis=0).sum()):
            warnings.warn(
                f"A proof must not contradict a loss that an attack has found; it does for "
                f"{contradicted} of {found.shape[1]} samples, for which what was found counts. "
                f"Please report this: {proven.certifier.method}.",
                RuntimeWarning,
                stacklevel=2,
            )
        losses = np.maximum(losses, found)
        mean = np.average(losses, axis=1, weights=problem.weight)
        return cls(proven.certifier.method, mean, losses)
