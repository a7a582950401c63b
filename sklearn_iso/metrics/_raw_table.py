"""Tables as users pass them, with text, categories and missing values, as points to attack."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from sklearn_iso._protocols import Entries, Frame, Samples, is_frame
from sklearn_iso._threat import ThreatModel
from sklearn_iso._threat.categories import has_raw_columns
from sklearn_iso._threat.columns import Kind, check_in_memory, columns_in
from sklearn_iso.metrics._layout import by_coordinate, check_columns, laid_out
from sklearn_iso.metrics._raw_columns import Number, RawColumn, taken_entries, vocabulary_of
from sklearn_iso.metrics._series import assembled
from sklearn_iso.metrics._shortcut import Shortcut
from sklearn_iso.metrics._table import Table, floating
from sklearn_iso.twins._raw_columns import of_raw_columns


def table_of(X: Samples, threat: ThreatModel, *, missing: bool = False) -> Table:
    """Return X as a table: of numbers alone, or of raw columns.

    With `missing`, one of numbers alone may have missing values, which stay NaN.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso.metrics._raw_table import table_of
    >>> X = pd.DataFrame({"age": [30.0, None], "plan": ["b", "a"]})
    >>> table_of(X, ThreatModel(categories=["plan"])).columns
    ['age', 'age is missing', 'plan=a', 'plan=b']
    """
    container = _raw(X, threat)
    if container is None or (missing and _holds_numbers(container, threat)):
        return Table(X, missing=missing)
    return RawTable(container, threat)


def _holds_numbers(X: Frame | NDArray, threat: ThreatModel) -> bool:
    """Return whether all columns hold numbers that may move."""
    if has_raw_columns(threat.categories):
        return False
    plain = isinstance(X, np.ndarray) and X.dtype.kind == "f"
    return plain or all(column.kind is Kind.NUMBERS for column in columns_in(X))


def _raw(X: Samples, threat: ThreatModel) -> Frame | NDArray | None:
    """Return X, of lists an array, if its columns are to be told apart; None if not."""
    check_in_memory(X)
    table = None if issparse(X) else X if is_frame(X) else _as_array(X)
    if table is None or len(table.shape) != 2 or not all(table.shape):
        return None
    if has_raw_columns(threat.categories):
        return table
    if isinstance(table, np.ndarray):
        if table.dtype.kind not in "OUS":
            return table if table.dtype.kind == "f" and np.isnan(table).any() else None
    elif len(set(table.columns)) < len(list(table.columns)):
        _check_twice(table)
        return None
    columns = columns_in(table)
    kinds = {column.kind for column in columns}
    if Kind.NUMBERS not in kinds:
        return None  # nothing that an attack may move
    gaps = any(column.numbers is not None and column.is_missing().any() for column in columns)
    return table if len(kinds) > 1 or gaps else None


def _check_twice(X: Frame) -> None:
    """Leave frames alone that name columns twice, unless they hold text: nothing tells it apart."""
    kinds = {getattr(dtype, "kind", "O") for dtype in getattr(X, "dtypes", ())}
    if not kinds <= set("iufb"):
        columns_in(X)  # says which


def _as_array(X: object) -> NDArray | None:
    """Return an array, of objects where lists hold text beside numbers; None for what is none."""
    if isinstance(X, np.ndarray):
        return X
    try:
        array = np.asarray(X)
        return np.array(X, dtype=object) if array.dtype.kind in "US" else array
    except (TypeError, ValueError):
        return None


class RawTable(Table):
    """Samples whose columns are numbers, text, categories or booleans, some of them missing.

    Attacks see points: a coordinate for each column of numbers, one more that stays where values
    are missing, a code that stays for each column of categories, and one-hot coordinates for
    those that may change. The estimator sees the container of the user, with its own dtypes.

    Parameters
    ----------
    X : pandas or polars DataFrame, or ndarray of shape (n, n_columns)
    threat : ThreatModel
        Tells which categories may change.

    Attributes
    ----------
    values : ndarray of shape (n, n_coordinates)
    columns : list of str
        Names of the coordinates.
    raw : list of RawColumn

    Raises
    ------
    ValueError
        If nothing may move or change, a column is told twice, holds infinity or lies outside the
        bounds.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso.metrics._raw_table import RawTable
    >>> X = pd.DataFrame({"age": [30, 40], "plan": ["b", "a"]})
    >>> table = RawTable(X, ThreatModel())
    >>> table.with_values(table.values + [0.5, 0])
        age plan
    0  30.5    b
    1  40.5    a
    """

    is_raw = True

    def __init__(self, X: Frame | NDArray, threat: ThreatModel) -> None:
        self.container: Frame | NDArray = X
        given = columns_in(X)
        resolved = threat.resolve(X)
        check_columns(given, resolved)
        self.raw: list[RawColumn] = laid_out(given, resolved)
        parts = [raw.encoded(column) for raw, column in zip(self.raw, given, strict=True)]
        numbers = [column.raw.dtype for column in given if column.kind is Kind.NUMBERS]
        values: NDArray = np.concatenate(parts, axis=1).astype(_common(numbers))
        self.values = np.require(values, requirements=["C", "W"])
        self.columns = [label for raw in self.raw for label in raw.labels]
        self.names = [column.name for column in given]
        self._threat = by_coordinate(self.raw, resolved)
        self._asks: tuple[object, Shortcut | None] | None = None

    def threat(self, threat: ThreatModel) -> ThreatModel:
        """Return the threat that the table was made for, by coordinate."""
        return self._threat

    def extent(self) -> NDArray:
        """Return how far the samples reach along each coordinate that moves."""
        extent: NDArray = np.where(self._threat.immutable_mask(), 0, super().extent())
        return extent

    def with_movable_numbers(self, rows: NDArray) -> NDArray:
        """Return those of some samples of which a number may move, or all if there are none."""
        stays = self._threat.immutable_mask()
        moves = np.zeros(len(rows), dtype=bool)
        for raw in self.raw:
            if isinstance(raw, Number) and not stays[raw.at]:
                moves |= True if raw.gap is None else self.values[rows, raw.gap] < 0.5
        return rows[moves] if moves.any() else rows

    def canonical(self, points: Tensor) -> Tensor:
        """Return points with what is missing where the table has it: it moved nothing."""
        points = points.clone()
        for raw in self.raw:
            if isinstance(raw, Number) and raw.gap is not None:
                points[points[:, raw.gap] > 0.5, raw.at] = raw.fill
        return points

    def with_values(self, values: NDArray, rows: NDArray | None = None) -> Frame | NDArray:
        """Points in the container, with the columns, dtypes and index of X."""
        X = torch.from_numpy(np.ascontiguousarray(values))
        return assembled([raw.decoded(X) for raw in self.raw], self.names, self.container, rows)

    def twin(self, estimator: BaseEstimator) -> nn.Module:
        """Return the differentiable twin of an estimator of raw columns, for points."""
        return of_raw_columns(estimator, self)

    def asked(self, estimator: object, name: str, values: NDArray) -> ArrayLike:
        """Ask a method of an estimator of points that a search is at, by a shortcut if possible."""
        if self._asks is None or self._asks[0] is not estimator:
            self._asks = estimator, Shortcut.of(estimator, self, self.values, self.copied())
        shortcut = self._asks[1]
        if shortcut is not None and shortcut.is_safe:
            answer = shortcut.asked(name)(values)
            if shortcut.is_safe:
                return answer
        return super().asked(estimator, name, values)

    def answered(self, question: Callable[[Samples], ArrayLike]) -> ArrayLike:
        """Ask of X as it is; where that is an error, tell the column that causes it."""
        try:
            return super().answered(question)
        except (TypeError, ValueError) as error:
            name = self._culprit(question)
            if name is None:
                raise
            raise ValueError(
                f"The estimator must predict X as it is; it refuses what column {name!r} holds: "
                f"{error}"
            ) from error

    def _culprit(self, question: Callable[[Samples], ArrayLike]) -> Hashable | None:
        """Return the name of a column without which a question is answered."""
        X = torch.from_numpy(self.values)
        for position, raw in enumerate(self.raw):
            columns = [one.decoded(X) for one in self.raw]
            columns[position] = _held(raw, X)
            try:
                question(assembled(columns, self.names, self.container, None))
            except (TypeError, ValueError):
                continue
            return raw.name
        return None

    # What a twin asks of the columns.

    def is_number(self, position: int) -> bool:
        """Whether a column holds numbers."""
        return self.raw[position].is_number

    def is_discrete(self, position: int) -> bool:
        """Whether a column holds one of a few values only, whatever an attack does."""
        return self.raw[position].is_discrete

    def numbers(self, X: Tensor, positions: Sequence[int]) -> Tensor:
        """Return columns of numbers at points, NaN where they are missing."""
        return torch.stack([self.raw[position].numbers(X) for position in positions], dim=1)

    def codes(self, X: Tensor, positions: Sequence[int]) -> Tensor:
        """Return columns as positions in their vocabularies."""
        return torch.stack([self.raw[position].codes(X) for position in positions], dim=1)

    def frame(self, codes: NDArray, positions: Sequence[int]) -> Frame | NDArray:
        """Return some columns in the container, from positions in their vocabularies."""
        columns = [
            taken_entries(vocabulary_of(self.raw[position]), column)
            for position, column in zip(positions, codes.T, strict=True)
        ]
        names = [self.names[position] for position in positions]
        return assembled(columns, names, self.container, None)


def _common(dtypes: Sequence[object]) -> type:
    """Return float32 if all columns of numbers fit, as a table of numbers does."""
    plain = [one for one in dtypes if isinstance(one, np.dtype) and one.kind != "O"]
    fits = len(plain) == len(dtypes) and all(floating(one) is np.float32 for one in plain)
    return np.float32 if fits and plain else np.float64


def _held(raw: RawColumn, X: Tensor) -> Entries:
    """Return a column of its most frequent, or its median, value alone."""
    X = X.clone()
    if isinstance(raw, Number) and raw.gap is not None:
        X[:, raw.gap] = 0
        return raw.decoded(X)
    if not raw.is_discrete:
        return raw.decoded(X)
    codes = raw.codes(X)
    return taken_entries(vocabulary_of(raw), torch.full_like(codes, int(codes.mode().values)))
