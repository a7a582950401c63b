"""The columns of an X of any container: what they hold, and X again with some of them changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from numbers import Real
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse, spmatrix

from sklearn_iso._protocols import Frame, Samples, Sparse
from sklearn_iso.metrics._table import _densified

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl


class Kind(Enum):
    """What a column holds.

    Examples
    --------
    >>> from sklearn_iso.metrics._columns import Kind
    >>> Kind.NUMBERS.value
    'numbers'
    """

    NUMBERS = "numbers"
    CATEGORIES = "categories"
    OTHER = "other"


@dataclass(frozen=True)
class Moved:
    """Other numbers for a column; cells that were missing stay missing."""

    values: NDArray[np.float64]


@dataclass(frozen=True)
class Taken:
    """Each cell becomes that of another sample, by its position."""

    samples: NDArray[np.intp]


@dataclass(frozen=True)
class Lost:
    """Some cells become missing values."""

    which: NDArray[np.bool_]


Change = Moved | Taken | Lost
#: What samples of columns come back in.
Container = NDArray | Sparse | Frame


@dataclass(frozen=True, eq=False)
class Column:
    """What is known of a column.

    Attributes
    ----------
    name : str
    kind : Kind
    values : ndarray of shape (n,)
        Numbers, NaN where missing; of categories their number in the order of their first
        sample, -1 where missing; 0 of others.
    """

    name: str
    kind: Kind
    values: NDArray[np.float64]

    @property
    def spread(self) -> float:
        """Standard deviation of the finite values; exactly 0 where they are all the same."""
        known = self.values[np.isfinite(self.values)]
        if self.kind is not Kind.NUMBERS or not len(known) or known.min() == known.max():
            return 0.0
        return float(known.std())

    @classmethod
    def of_cells(cls, name: str, cells: list[object]) -> Column:
        """Return the column of Python objects: numbers, or else categories that hash."""
        known = [cell for cell in cells if not is_missing(cell)]
        if all(isinstance(c, Real) and not isinstance(c, bool | np.bool_) for c in known) and known:
            return cls(name, Kind.NUMBERS, np.array([np.nan if is_missing(c) else c for c in cells],
                                                    dtype=np.float64))  # fmt: skip
        if all(isinstance(cell, str | bytes | Real | np.bool_) for cell in known):
            numbers = {cell: number for number, cell in enumerate(dict.fromkeys(known))}
            codes = [-1 if is_missing(cell) else numbers[cell] for cell in cells]
            return cls(name, Kind.CATEGORIES, np.array(codes, dtype=np.float64))
        return cls(name, Kind.OTHER, np.zeros(len(cells)))


def is_missing(cell: object) -> bool:
    """Whether a cell is None, NaN, pandas' NA or NaT.

    Examples
    --------
    >>> from sklearn_iso.metrics._columns import is_missing
    >>> is_missing(None), is_missing(float("nan")), is_missing("nan")
    (True, True, False)
    """
    if cell is None or type(cell).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(cell, float | np.floating) and bool(np.isnan(cell))


class Columns(Protocol):
    """An X by its columns."""

    columns: list[Column]

    def changed(self, changes: Mapping[int, Change]) -> Container:
        """Return a copy of X, of its container, in which columns are changed, by position."""


def columns_of_container(X: Samples) -> Columns:
    """Return the columns of an array, sparse matrix, pandas or polars frame, or list.

    Raises
    ------
    ValueError
        If X has no columns, or no samples.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.metrics._columns import Lost, columns_of_container
    >>> X = columns_of_container([[1.0, "a"], [2.0, "b"]])
    >>> [column.kind.value for column in X.columns]
    ['numbers', 'categories']
    >>> X.changed({0: Lost(np.array([True, False]))})
    array([[nan, 'a'],
           [2.0, 'b']], dtype=object)
    """
    if hasattr(X, "iloc") and hasattr(X, "columns"):
        found: Columns = PandasColumns(X)
    elif hasattr(X, "columns") and hasattr(X, "to_numpy"):
        found = PolarsColumns(cast("pl.DataFrame", X))
    else:
        found = ArrayColumns(X)
    if not found.columns or not len(found.columns[0].values):
        raise ValueError(
            f"X must have samples and columns; got shape {found.changed({}).shape}. Pass what "
            "predict of the estimator takes."
        )
    return found


class ArrayColumns:
    """Columns of an array of numbers or of objects, or of a sparse matrix."""

    def __init__(self, X: Samples) -> None:
        self.sparse = cast("Callable[[NDArray], Sparse]", type(X)) if issparse(X) else None
        array = _densified(cast(spmatrix, X)) if issparse(X) else np.asarray(X)
        if array.dtype.kind in "US" and isinstance(X, list | tuple):
            array = np.array(X, dtype=object)  # of numbers and text numpy makes text
        if array.ndim != 2:
            raise ValueError(
                f"X must have two dimensions, samples and columns, for corruptions of tables; got "
                f"shape {array.shape}. Pass image_shape=(height, width) for images."
            )
        self.array = array
        self.columns = [self._column(position) for position in range(array.shape[1])]

    def _column(self, position: int) -> Column:
        cells, name = self.array[:, position], str(position)
        if self.array.dtype.kind in "iuf":
            return Column(name, Kind.NUMBERS, cells.astype(np.float64))
        return Column.of_cells(name, cells.tolist())

    def changed(self, changes: Mapping[int, Change]) -> Container:
        """Return a copy of X in which columns are changed; integers and bool may become floats."""
        array = self.array.copy()
        if any(not isinstance(change, Taken) for change in changes.values()):
            kind = array.dtype.kind
            array = array.astype(
                np.float64 if kind in "iu" else object if kind in "bUS" else array.dtype
            )
        for position, change in changes.items():
            self._change(array, position, change)
        return array if self.sparse is None else self.sparse(array)

    def _change(self, array: NDArray, position: int, change: Change) -> None:
        if isinstance(change, Moved):
            known = ~np.isnan(self.columns[position].values)
            array[known, position] = change.values[known]
        elif isinstance(change, Taken):
            array[:, position] = self.array[change.samples, position]
        else:
            array[change.which, position] = np.nan


class PandasColumns:
    """Columns of a pandas frame."""

    def __init__(self, X: pd.DataFrame) -> None:
        self.frame = X
        self.columns = [self._column(position) for position in range(X.shape[1])]

    def _column(self, position: int) -> Column:
        import pandas as pd

        series, name = self.frame.iloc[:, position], str(self.frame.columns[position])
        kind = series.dtype
        if pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind):
            if not pd.api.types.is_complex_dtype(kind):
                return Column(
                    name, Kind.NUMBERS, series.to_numpy(dtype=np.float64, na_value=np.nan)
                )
        return Column.of_cells(name, series.tolist())

    def changed(self, changes: Mapping[int, Change]) -> Container:
        """Return a copy of the frame in which columns are changed."""
        frame = self.frame.copy()
        for position, change in changes.items():
            frame.isetitem(position, self._changed(position, change))
        return frame

    def _changed(self, position: int, change: Change) -> pd.Series:
        import pandas as pd

        series = self.frame.iloc[:, position]
        if isinstance(change, Taken):
            return series.take(change.samples).set_axis(series.index)
        if isinstance(change, Lost):
            return series.mask(change.which)
        kind = series.dtype
        if pd.api.types.is_object_dtype(kind):
            pairs = zip(series.tolist(), change.values.tolist(), strict=True)
            cells = [old if is_missing(old) else new for old, new in pairs]
            return pd.Series(cells, index=series.index, name=series.name, dtype=object)
        moved = pd.Series(change.values, index=series.index, name=series.name)
        if pd.api.types.is_float_dtype(kind):
            return moved.astype(kind)
        nullable = pd.api.types.is_extension_array_dtype(kind) and hasattr(kind, "numpy_dtype")
        return moved.astype("Float64") if nullable else moved


class PolarsColumns:
    """Columns of a polars frame."""

    def __init__(self, X: pl.DataFrame) -> None:
        self.frame = X
        self.columns = [self._column(series) for series in X.get_columns()]

    def _column(self, series: pl.Series) -> Column:
        import polars as pl

        if series.dtype.is_numeric():
            values = series.cast(pl.Float64).fill_null(float("nan")).to_numpy()
            return Column(series.name, Kind.NUMBERS, np.array(values))
        return Column.of_cells(series.name, series.to_list())

    def changed(self, changes: Mapping[int, Change]) -> Container:
        """Return a copy of the frame in which columns are changed."""
        frame = self.frame.clone()
        for position, change in changes.items():
            series = self.frame.get_columns()[position]
            frame = frame.with_columns(self._changed(series, change).alias(series.name))
        return frame

    def _changed(self, series: pl.Series, change: Change) -> pl.Series:
        import polars as pl

        if isinstance(change, Taken):
            return series.gather(change.samples)
        if isinstance(change, Lost):
            return _where(~change.which, series)
        moved = pl.Series(series.name, change.values)
        moved = moved.cast(series.dtype) if series.dtype.is_float() else moved
        return _where(series.is_not_null().to_numpy(), moved)


def _where(known: NDArray[np.bool_], series: pl.Series) -> pl.Series:
    """Return a polars series with nulls where a mask is false."""
    import polars as pl

    return pl.select(pl.when(pl.Series(known)).then(series)).to_series()
