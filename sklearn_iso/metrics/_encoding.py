"""What a certificate gets of the samples of a problem: numbers, and encoded categories."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator

from sklearn_iso._certificates.columnwise import quietly
from sklearn_iso._certificates.encoders import Encoded, encoded
from sklearn_iso._protocols import Predictor
from sklearn_iso._threat import ThreatModel
from sklearn_iso._threat.parts import Mask, numbers_of
from sklearn_iso.exceptions import NotCertifiableError
from sklearn_iso.metrics._raw_columns import Number
from sklearn_iso.metrics._raw_table import RawTable
from sklearn_iso.metrics._table import Table

#: Share of the samples for which an estimator of encoded columns may predict another class.
MOST_OFF = 0.01


@dataclass(frozen=True, eq=False)
class Encoding:
    """How points of a table come to an estimator of numbers, which a certificate is about.

    Parameters
    ----------
    estimator : fitted estimator
        The one that a user passes, or of raw columns one that takes them encoded.
    table : Table
    inner : Encoded, or None
        Of raw columns.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.compose import make_column_transformer
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import OneHotEncoder
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso.metrics._encoding import Encoding
    >>> from sklearn_iso.metrics._raw_table import RawTable
    >>> X, y = pd.DataFrame({"plan": ["b", "a"], "age": [1.0, 2.0]}), [0, 1]
    >>> encode = make_column_transformer((OneHotEncoder(), ["plan"]), remainder="passthrough")
    >>> tree = make_pipeline(encode, DecisionTreeClassifier()).fit(X, y)
    >>> table = RawTable(X, ThreatModel())
    >>> encoding = Encoding.of(tree, table)
    >>> encoding.samples(table.values), encoding.threat(table.threat(ThreatModel()))
    (array([[1., 0., 1.],
           [2., 1., 0.]]), ThreatModel(immutable=<mask of 2 among 3 features>))
    """

    estimator: Predictor
    table: Table
    inner: Encoded | None = None

    @classmethod
    def of(cls, estimator: Predictor, table: Table) -> Encoding:
        """Return what a certificate is about.

        Raises
        ------
        NotCertifiableError
            If a step reads text that cannot be told from the numbers.
        """
        if not isinstance(table, RawTable):
            return cls(estimator, table)
        points = torch.from_numpy(table.values).double()
        inner = encoded(cast(BaseEstimator, estimator), table, points)
        return cls(cast(Predictor, inner.estimator), table, inner)

    def samples(self, points: NDArray) -> NDArray:
        """Return points of the table as the estimator of numbers gets them."""
        if self.inner is None:
            return points
        table, given = cast(RawTable, self.table), torch.from_numpy(points)
        numbers = table.numbers(given, self.inner.numbers).numpy() if self.inner.numbers else None
        blocks = self.inner.blocks(given.double())
        parts = blocks if numbers is None else [numbers, *blocks]
        whole = np.hstack(parts).astype(np.float64)
        short = whole.astype(points.dtype)
        # Encoded means of targets need their precision.
        return short if np.array_equal(short, whole, equal_nan=True) else whole

    def refuses(self, points: NDArray) -> NDArray:
        """Return at which points an encoder refuses a category: whatever else moves."""
        refused = np.zeros(len(points), dtype=bool)
        if self.inner is None:
            return refused
        given = torch.from_numpy(points).double()
        for lookup in self.inner.lookups:
            refused |= lookup.refuses(given).numpy()
        return refused

    def threat(self, threat: ThreatModel) -> ThreatModel:
        """Return a threat by coordinate, whose categories stay, for what the estimator gets."""
        if self.inner is None:
            return threat
        at = self.coordinates
        return of_numbers(threat, at, self.table.values.shape[1], self.width - len(at))

    @property
    def coordinates(self) -> NDArray:
        """The coordinates of the columns of numbers, which come first, of a raw table.

        -1 for those that are categories, which may become others, and have one for each value.
        """
        numbers = self.inner.numbers if self.inner is not None else []
        raw = [cast(RawTable, self.table).raw[one] for one in numbers]
        return np.array([one.at if isinstance(one, Number) else -1 for one in raw], dtype=int)

    @property
    def width(self) -> int:
        """The number of columns that the estimator gets."""
        return int(self.samples(self.table.values[:1]).shape[1])

    def check(self, predicted: ArrayLike) -> None:
        """Raise an error where the estimator of numbers predicts otherwise than the given one.

        Parameters
        ----------
        predicted : array-like
            What the given one predicts for the table.

        Raises
        ------
        NotCertifiableError
            If it does.
        """
        given = np.asarray(predicted)
        try:
            found = np.asarray(quietly(self.estimator.predict, self.samples(self.table.values)))
        except Exception as error:  # a step of a user that needs the names of columns, for one
            reason = f"its steps cannot be asked of arrays, without names of columns: {error!r}"
            raise NotCertifiableError(self.estimator, reason=reason) from error
        if given.dtype.kind == "f":
            slack = 1e-5 * np.abs(given).max(initial=0)
            off = np.abs(found.reshape(given.shape) - given) > slack
        else:
            off = found != given
        # Where two classes nearly tie, rounding may decide.
        if np.mean(off) > MOST_OFF:
            reason = "it predicts otherwise than its steps, one after the other, on encoded columns"
            raise NotCertifiableError(self.estimator, reason=reason)


def of_numbers(threat: ThreatModel, at: NDArray, n_coordinates: int, n_more: int) -> ThreatModel:
    """Return a threat for some coordinates, without the rules of the data, and columns that stay.

    Parameters
    ----------
    threat : ThreatModel
        By coordinate; its categories stay.
    at : ndarray of int, shape (n_columns,)
        The coordinates, -1 for a column that stays.
    n_coordinates : int
    n_more : int
        Columns after them that stay.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso.metrics._encoding import of_numbers
    >>> of_numbers(ThreatModel(units=[1, 2]), np.array([1]), 2, n_more=1)
    ThreatModel(units=(2, 1), immutable=<mask of 1 among 2 features>)
    """
    at = np.append(at, np.full(n_more, -1))

    def chosen(values: NDArray, neutral: float) -> NDArray:
        every = np.append(np.broadcast_to(values, n_coordinates), neutral)
        return every[at]  # the last where there is none

    units, bounds = None, None
    if threat.units is not None:
        units = chosen(numbers_of(threat.units), 1)
    if threat.bounds is not None:
        low, high = (numbers_of(side) for side in threat.bounds)
        bounds = chosen(low, -np.inf), chosen(high, np.inf)
    stays = np.zeros(n_coordinates, dtype=bool)
    if threat.immutable is not None:
        stays = threat.immutable_mask()
    fixed = chosen(stays, True).astype(bool)
    found = ThreatModel(threat.norm, units=units, bounds=bounds)
    return replace(found, immutable=Mask.of(fixed) if fixed.any() else None)
