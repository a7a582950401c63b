"""Errors that are known without a search: the nearest of trees, linear models and neighbours.

What proves that there is no error within a distance also knows the nearest error. An attack takes
it, as far as it obeys the threat, and leaves out the samples about which nothing remains to find.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from torch import Tensor

from sklearn_iso._certificates import errors_of
from sklearn_iso._certificates.categories import held
from sklearn_iso._certificates.certifier import Errors, Witnessing
from sklearn_iso._threat import ThreatModel
from sklearn_iso._threat.parts import Mask, numbers_of
from sklearn_iso.exceptions import NotCertifiableError
from sklearn_iso.metrics._problem import Attackable, Problem
from sklearn_iso.metrics._raw_columns import Number
from sklearn_iso.metrics._raw_table import RawTable
from sklearn_iso.metrics._settling import Settling

STAGE = "exact"
#: By what share an error of the estimator may be farther than the known one and still be it.
NEARLY = 1e-4
#: By what share sizes may differ from a budget.
ROUNDING = 1e-6


@dataclass(frozen=True)
class Columns:
    """The columns of numbers of a table, as the estimator gets them, among its coordinates.

    Parameters
    ----------
    at, gaps : ndarray of int, shape (n_columns,)
        The coordinate of each column, and the one that tells of missing values: -1 for none.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.metrics._known_errors import Columns
    >>> columns = Columns(np.array([0, 2]), np.array([1, -1]))
    >>> columns.read(np.array([[5.0, 1.0, 3.0]]))
    array([[nan,  3.]])
    """

    at: NDArray
    gaps: NDArray

    @classmethod
    def of(cls, problem: Attackable) -> Columns | None:
        """Return the columns of a table of numbers alone, None for others."""
        table = problem.table
        if not isinstance(table, RawTable):
            return None if table.values.ndim != 2 else cls.plain(table.values.shape[1])  # noqa: PLR2004
        numbers = [raw for raw in table.raw if isinstance(raw, Number)]
        if len(numbers) < len(table.raw):
            return None
        gaps = [-1 if raw.gap is None else raw.gap for raw in numbers]
        return cls(np.array([raw.at for raw in numbers]), np.array(gaps))

    @classmethod
    def plain(cls, n_features: int) -> Columns:
        """Return columns that are the coordinates."""
        return cls(np.arange(n_features), np.full(n_features, -1))

    def read(self, values: NDArray) -> NDArray:
        """Return the columns of points, NaN where they are missing."""
        missing = (self.gaps >= 0) & (values[:, self.gaps] > 0.5)  # noqa: PLR2004
        return np.where(missing, np.nan, values[:, self.at]).astype(values.dtype)

    def written(self, values: NDArray, columns: NDArray) -> Tensor:
        """Return points with other numbers in their columns; what is missing stays as it is."""
        points = values.copy()
        points[:, self.at] = np.where(np.isnan(columns), values[:, self.at], columns)
        return torch.from_numpy(points)

    def threat_of(self, problem: Attackable) -> ThreatModel:
        """Return the threat by coordinate as one by column, without the rules of the data."""
        n_coordinates = problem.table.values.shape[1]
        threat, whole = held(problem.threat, n_coordinates), (n_coordinates,)
        units, bounds, immutable = None, None, None
        if threat.units is not None:
            units = np.broadcast_to(numbers_of(threat.units), whole)[self.at]
        if threat.bounds is not None:
            low, high = (np.broadcast_to(numbers_of(side), whole) for side in threat.bounds)
            bounds = low[self.at], high[self.at]
        if threat.immutable is not None:
            immutable = Mask.of(threat.immutable_mask()[self.at])
        free = ThreatModel(threat.norm, units=units, bounds=bounds)
        return replace(free, immutable=immutable)


@dataclass(frozen=True, eq=False)
class Known:
    """Errors of the estimator that obey the threat, and what remains to be searched.

    Parameters
    ----------
    points : Tensor of shape (n, n_coordinates)
    misclassified : ndarray of bool, shape (n,)
        Where the estimator errs at the point.
    settled : ndarray of bool, shape (n,)
        Where nothing remains: there is no nearer error, or none at all.
    """

    points: Tensor
    misclassified: NDArray
    settled: NDArray


@dataclass(frozen=True)
class KnownErrors:
    """The errors of a problem that are known without a search.

    Parameters
    ----------
    problem : Problem
    certifier : Witnessing
    columns : Columns
    threat : ThreatModel
        By column of what the estimator gets, and without rules.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> from sklearn_iso.metrics._known_errors import KnownErrors
    >>> from sklearn_iso.metrics._problem import Attackable, Problem
    >>> X, y = np.array([[0.0], [1.0], [3.0]]), np.array([0, 0, 1])
    >>> problem = Problem.of(DecisionTreeClassifier().fit(X, y), X, y)
    >>> known = KnownErrors.of(problem)
    >>> known.within(np.arange(3), eps=1.5).misclassified
    array([False,  True,  True])
    """

    problem: Problem
    certifier: Witnessing
    columns: Columns
    threat: ThreatModel

    @classmethod
    def of(cls, problem: Problem) -> KnownErrors | None:
        """Return what is known of a problem, None if nothing is."""
        columns = Columns.of(problem)
        if columns is None:
            return None
        try:
            certifier = errors_of(cast(BaseEstimator, problem.estimator))
        except (TypeError, NotFittedError):  # no estimator of scikit-learn
            return None
        if certifier is None:
            return None
        return cls(problem, certifier, columns, columns.threat_of(problem))

    def within(self, rows: NDArray, eps: float) -> Known | None:
        """Return errors within a budget, None if the estimator turns out to be another kind."""
        found = self._errors(rows, eps)
        if found is None:
            return None
        points, misclassified = self._judged(found, rows)
        X = self.problem.points(rows)
        misclassified &= Settling(self.problem).sizes(X, points) <= eps * (1 + ROUNDING)
        return Known(points, misclassified, self._settled(found) & (misclassified == found.known))

    def nearest(self, rows: NDArray) -> Known | None:
        """Return the nearest errors."""
        found = self._errors(rows, None)
        if found is None:
            return None
        points, misclassified = self._judged(found, rows)
        X, settling = self.problem.points(rows), Settling(self.problem)
        known = self.columns.written(X.numpy(), found.points)
        near = settling.sizes(X, points) <= settling.sizes(X, known) * (1 + NEARLY)
        same = near & (misclassified == found.known)
        return Known(points, misclassified, self._settled(found) & same)

    def _errors(self, rows: NDArray, eps: float | None) -> Errors | None:
        X = self.columns.read(self.problem.table.values[rows])
        try:
            return self.certifier.errors(X, self.problem.codes[rows], self.threat, eps)
        except (NotCertifiableError, ImportError):
            return None

    def _settled(self, found: Errors) -> NDArray:
        """Return where nothing remains, unless categories may change as well."""
        return found.settled & (not self.problem.threat.categories)

    def _judged(self, found: Errors, rows: NDArray) -> tuple[Tensor, NDArray]:
        """Return points that obey the threat, and on which the estimator errs."""
        values = self.problem.table.values[rows]
        points, misclassified = torch.from_numpy(values.copy()), np.zeros(len(rows), dtype=bool)
        at = np.flatnonzero(found.known)
        if len(at):
            given = self.columns.written(values[at], found.points[at])
            points[at], misclassified[at] = Settling(self.problem).errors(given, rows[at])
        return points, misclassified
