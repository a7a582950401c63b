"""Errors on the way to points that attacks found, as close as the estimator itself has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_iso._threat import ThreatModel
from sklearn_iso._threat.parts import numbers_of
from sklearn_iso.attacks import Budget
from sklearn_iso.metrics._table import Table

N_BISECTIONS = 20
OVERSHOOTS = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)


class Judge(Protocol):
    """Samples under a threat, and what the estimator says of perturbed ones.

    Examples
    --------
    >>> from sklearn_iso.metrics._settling import Judge
    >>> Judge.__name__
    'Judge'
    """

    @property
    def threat(self) -> ThreatModel:
        """What an attack may do, for the columns by position."""

    @property
    def table(self) -> Table:
        """What is attacked, in the container of the user."""

    def points(self, rows: NDArray) -> Tensor:
        """Return samples as a tensor."""

    def candidate(self, X: Tensor, X_adv: Tensor, eps: float | None, rows: NDArray) -> Tensor:
        """Return perturbed samples as they are judged."""

    def misclassified_at(self, X_adv: Tensor, rows: NDArray) -> NDArray:
        """Which samples the estimator gets wrong at X_adv."""


@dataclass(frozen=True)
class Settling:
    """Distances of errors of the estimator on the way through points.

    Parameters
    ----------
    problem : Judge
    n_bisections : int

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from sklearn_iso.metrics._problem import Problem
    >>> from sklearn_iso.metrics._settling import Settling
    >>> X, y = load_iris(return_X_y=True)
    >>> problem = Problem.of(GaussianNB().fit(X, y), X, y)
    >>> rows = np.array([0])
    >>> Settling(problem).settle(problem.points([99]), rows, exact=False)
    array([0.95253525])
    """

    problem: Judge
    n_bisections: int = N_BISECTIONS

    def _inside(self, points: Tensor, X: Tensor) -> Tensor:
        if self.problem.threat.bounds is None:
            return points
        low, high = (torch.from_numpy(numbers_of(s)).to(points) for s in self.problem.threat.bounds)
        # X itself may lie outside by rounding, and what did not move must stay.
        return points.clamp(torch.minimum(low, X), torch.maximum(high, X))

    def settle(self, points: Tensor, rows: NDArray, exact: bool) -> NDArray:
        """Return the distances of errors of the estimator on the way through points.

        Points just short of an error are pushed on; where the points are not exact, errors are
        pulled back by bisection.
        """
        points, misclassified = self.errors(points, rows)
        X = self.problem.points(rows)
        if not exact and misclassified.any():
            hit = np.flatnonzero(misclassified)
            points[hit] = self._pulled_back(X[hit], points[hit], rows[hit])
        distances: NDArray = np.where(misclassified, self.sizes(X, points), np.inf)
        return distances

    def errors(self, points: Tensor, rows: NDArray) -> tuple[Tensor, NDArray]:
        """Return points that obey the rules, pushed on a little, and which of them are errors."""
        X = self.problem.points(rows)
        points = self._inside(self.problem.table.canonical(points.clone()), X)
        points = self._candidates(X, points, rows)
        misclassified = self.problem.misclassified_at(points, rows)
        moved = (points != X).flatten(1).any(dim=1).numpy()
        for overshoot in OVERSHOOTS:
            left = np.flatnonzero(~misclassified & moved)
            if not len(left):
                break
            further = self._along(X[left], points[left], 1 + overshoot, rows[left])
            hit = self.problem.misclassified_at(further, rows[left])
            points[left[hit]], misclassified[left[hit]] = further[hit], True
        return points, misclassified

    def _candidates(self, X: Tensor, x: Tensor, rows: NDArray) -> Tensor:
        """Points near x that obey the rules, as the estimator is to judge them."""
        if self.problem.threat.has_rules:
            x = Budget.of(X, threat=self.problem.threat).obeying(X, x)
        return self.problem.candidate(X, x, None, rows)

    def _along(self, X: Tensor, points: Tensor, share: float | Tensor, rows: NDArray) -> Tensor:
        x = X + (points - X) * share
        for group in self.problem.threat.one_hot():
            x[:, list(group)] = points[:, list(group)]
        return self._candidates(X, self._inside(x, X), rows)

    def _pulled_back(self, X: Tensor, points: Tensor, rows: NDArray) -> Tensor:
        low, high = np.zeros(len(rows)), np.ones(len(rows))
        best = points.clone()
        shape = (-1, *[1] * (X.ndim - 1))
        for _ in range(self.n_bisections):
            middle = (low + high) / 2
            x = self._along(X, points, torch.from_numpy(middle).to(X).view(shape), rows)
            misclassified = self.problem.misclassified_at(x, rows)
            best[misclassified] = x[misclassified]
            low, high = np.where(misclassified, low, middle), np.where(misclassified, middle, high)
        return best

    def sizes(self, X: Tensor, points: Tensor) -> NDArray:
        """Return how far points are from samples, in units of the threat."""
        budget = Budget.of(X, threat=self.problem.threat)
        found: NDArray = budget.norm.size(budget.perturbations(X, points).double()).numpy()
        return found
