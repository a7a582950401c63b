"""What a single regression tree predicts within reach: its worst leaf, and the nearest ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from torch import Tensor

from sklearn_iso._certificates.tree_values import TreeValues
from sklearn_iso._threat import ThreatModel
from sklearn_iso.exceptions import NotCertifiableError
from sklearn_iso.metrics._known_errors import Columns
from sklearn_iso.metrics._regression_problem import RegressionProblem, SampleLoss

#: What rounding may make of a distance.
ROUNDING = 1e-12

#: Chooses a leaf for a sample by their values and distances.
Choice = Callable[[int, NDArray, NDArray], int | None]


@dataclass(frozen=True)
class KnownValues:
    """The predictions of a problem's regressor that are known without a search.

    Parameters
    ----------
    problem : RegressionProblem
    tree : TreeValues
    columns : Columns
    threat : ThreatModel
        By column of what the estimator gets, and without rules.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.tree import DecisionTreeRegressor
    >>> from sklearn_iso.metrics._known_values import KnownValues
    >>> from sklearn_iso.metrics._regression_problem import RegressionProblem, SampleLoss
    >>> X, y = np.array([[0.0], [1.0], [3.0]]), np.array([0.0, 1.0, 5.0])
    >>> problem = RegressionProblem.of(DecisionTreeRegressor().fit(X, y), X, y)
    >>> KnownValues.of(problem).worst(SampleLoss("absolute_error"), eps=1.5).round(decimals=3)
    tensor([[0.5000],
            [2.0000],
            [2.0000]], dtype=torch.float64)
    """

    problem: RegressionProblem
    tree: TreeValues
    columns: Columns
    threat: ThreatModel

    @classmethod
    def of(cls, problem: RegressionProblem) -> KnownValues | None:
        """Return what is known of a problem, None if nothing is."""
        columns = Columns.of(problem)
        if columns is None:
            return None
        try:
            tree = TreeValues.of(cast(BaseEstimator, problem.estimator))
        except (TypeError, NotFittedError):  # no estimator of scikit-learn
            return None
        if tree is None:
            return None
        return cls(problem, tree, columns, columns.threat_of(problem))

    @property
    def is_all(self) -> bool:
        """Whether nothing else may move: there are no rules, and categories stay."""
        return not (self.problem.threat.has_rules or self.problem.threat.categories)

    def worst(self, loss: SampleLoss, eps: float) -> Tensor | None:
        """Return for each sample the point within a budget of the largest loss."""
        problem = self.problem

        def chosen(row: int, values: NDArray, distances: NDArray) -> int | None:
            near = np.flatnonzero(distances <= eps * (1 + ROUNDING))
            targets = np.broadcast_to(problem.y[row], (len(near), problem.n_outputs))
            return int(near[loss(targets, values[near]).argmax()])

        return self._points(np.arange(len(problem.table)), chosen)

    def nearest(self, rows: NDArray, tolerance: float) -> Tensor | None:
        """Return for samples the nearest point that is off by more than a tolerance."""
        problem = self.problem

        def chosen(row: int, values: NDArray, distances: NDArray) -> int | None:
            off = (np.abs(values - problem.y[row]) > tolerance).any(axis=1)
            best = int(np.where(off, distances, np.inf).argmin())
            return best if off[best] and np.isfinite(distances[best]) else None

        return self._points(rows, chosen)

    def _points(self, rows: NDArray, chosen: Choice) -> Tensor | None:
        values = self.problem.table.values[rows]
        X = self.columns.read(values)
        found = X.copy()
        try:
            for position, reached in enumerate(self.tree.reached(X, self.threat)):
                leaf = chosen(int(rows[position]), reached.values, reached.distances)
                if leaf is not None:
                    found[position] = reached.point(leaf)
        except NotCertifiableError:
            return None
        points: Tensor = self.columns.written(values, found)
        return points
