"""Errors that are known without a search: the nearest of trees, linear models and neighbours.

What proves that there is no error within a distance also knows the nearest error. An attack takes
it, as far as it obeys the threat, and leaves out the samples about which nothing remains to find.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from torch import Tensor

from sklearn_iso._certificates import errors_of
from sklearn_iso._certificates.categories import held
from sklearn_iso._certificates.certifier import Witnessing
from sklearn_iso._threat import ThreatModel
from sklearn_iso.exceptions import NotCertifiableError
from sklearn_iso.metrics._encoding import Encoding, of_numbers
from sklearn_iso.metrics._problem import Attackable, Problem
from sklearn_iso.metrics._raw_columns import Number
from sklearn_iso.metrics._raw_table import RawTable
from sklearn_iso.metrics._settling import Settling
from sklearn_iso.metrics._variants import every_variant

STAGE = "exact"
#: By what share an error of the estimator may be farther than the known one and still be it.
NEARLY = 1e-4
#: By what share sizes may differ from a budget.
ROUNDING = 1e-6
#: Samples with other categories that are looked at, for each sample on average.
MOST_VARIANTS = 64


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
        return of_numbers(held(problem.threat, n_coordinates), self.at, n_coordinates, 0)


@dataclass(frozen=True, eq=False)
class EncodedColumns:
    """The columns of a raw table as an estimator of numbers gets them: numbers come first.

    Parameters
    ----------
    encoding : Encoding
    at : ndarray of int, shape (n_numbers,)
        The coordinates of the columns of numbers, -1 where there is none.
    """

    encoding: Encoding
    at: NDArray

    def read(self, values: NDArray) -> NDArray:
        """Return the columns of points."""
        return self.encoding.samples(values)

    def written(self, values: NDArray, columns: NDArray) -> Tensor:
        """Return points with other numbers; what is missing, or encoded, stays as it is."""
        points, first = values.copy(), np.flatnonzero(self.at >= 0)
        numbers, at = columns[:, first], self.at[first]
        points[:, at] = np.where(np.isnan(numbers), values[:, at], numbers)
        return torch.from_numpy(points)

    def threat_of(self, problem: Attackable) -> ThreatModel:
        """Return the threat by coordinate as one by column, without the rules of the data."""
        return self.encoding.threat(held(problem.threat, problem.table.values.shape[1]))


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
    columns : Columns or EncodedColumns
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
    columns: Columns | EncodedColumns
    threat: ThreatModel

    @classmethod
    def of(cls, problem: Problem) -> KnownErrors | None:
        """Return what is known of a problem, None if nothing is."""
        columns: Columns | EncodedColumns | None = Columns.of(problem)
        estimator = problem.estimator
        try:
            if columns is None:
                encoding = _encoding_of(problem)
                if encoding is None:
                    return None
                estimator = encoding.estimator
                columns = EncodedColumns(encoding, encoding.coordinates)
            certifier = errors_of(cast(BaseEstimator, estimator))
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
        given, known, settled = found
        points, misclassified = self._judged(given, known, rows)
        X = self.problem.points(rows)
        misclassified &= Settling(self.problem).sizes(X, points) <= eps * (1 + ROUNDING)
        return Known(points, misclassified, settled & (misclassified == known))

    def nearest(self, rows: NDArray) -> Known | None:
        """Return the nearest errors."""
        found = self._errors(rows, None)
        if found is None:
            return None
        given, known, settled = found
        points, misclassified = self._judged(given, known, rows)
        X, settling = self.problem.points(rows), Settling(self.problem)
        near = settling.sizes(X, points) <= settling.sizes(X, given) * (1 + NEARLY)
        return Known(points, misclassified, settled & near & (misclassified == known))

    def _errors(self, rows: NDArray, eps: float | None) -> tuple[Tensor, NDArray, NDArray] | None:
        """Return errors that are known near samples, where there are, and where no more are.

        Of all that categories may change to the nearest error counts.
        """
        values, owner, is_all = self._variants(rows)
        if not len(values):
            return torch.from_numpy(values), np.zeros(0, dtype=bool), np.zeros(0, dtype=bool)
        try:
            errors = self.certifier.errors(
                self.columns.read(values), self.problem.codes[owner], self.threat, eps
            )
        except (NotCertifiableError, ImportError):
            return None
        points = self.columns.written(values, errors.points)
        if len(owner) == len(rows):
            return points, errors.known, errors.settled & is_all
        sizes = Settling(self.problem).sizes(self.problem.points(owner), points)
        order = np.lexsort((np.where(errors.known, sizes, np.inf), owner))
        _, first = np.unique(owner[order], return_index=True)
        nearest = order[first]  # in the order of the samples, as rows are
        settled = np.ones(len(rows), dtype=bool)
        np.logical_and.at(settled, np.searchsorted(rows, owner), errors.settled)
        known = errors.known[nearest]
        settled |= known & (eps is not None)
        return points[torch.from_numpy(nearest)], known, settled & is_all

    def _variants(self, rows: NDArray) -> tuple[NDArray, NDArray, bool]:
        """Return samples with all that their categories may become, whose, and if that is all."""
        values = self.problem.table.values[rows]
        if not self.problem.threat.categories:
            return values, rows, True
        try:
            points, owner, _ = every_variant(self.problem, rows)
        except ValueError:  # too many
            return values, rows, False
        if len(points) > MOST_VARIANTS * len(rows) or not (np.diff(rows) > 0).all():
            return values, rows, False
        if isinstance(self.columns, EncodedColumns):
            known = ~self.columns.encoding.refuses(points)
            points, owner = points[known], owner[known]
        return points, owner, True

    def _judged(self, given: Tensor, known: NDArray, rows: NDArray) -> tuple[Tensor, NDArray]:
        """Return points that obey the threat, and on which the estimator errs."""
        values = self.problem.table.values[rows]
        points, misclassified = torch.from_numpy(values.copy()), np.zeros(len(rows), dtype=bool)
        at = np.flatnonzero(known)
        if len(at):
            settling = Settling(self.problem)
            points[at], misclassified[at] = settling.errors(given[torch.from_numpy(at)], rows[at])
        return points, misclassified


def _encoding_of(problem: Problem) -> Encoding | None:
    """Return a raw table as an estimator of numbers gets it, None where there is none."""
    encoding = Encoding.of(problem.estimator, problem.table)
    if encoding.inner is None or not encoding.inner.numbers:
        return None
    encoding.check(problem.table.answered(problem.estimator.predict))
    return encoding
