"""What data tell of a threat: the spread and range of their columns, and which are no numbers."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import TypedDict, cast

import numpy as np
from numpy.typing import NDArray

from sklearn_iso._protocols import Frame, Samples, is_frame, is_sparse
from sklearn_iso._threat.parts import ObservedRange, Values


class ObservedParts(TypedDict):
    """Parts of a threat that data tell."""

    units: NDArray | dict[Hashable, float]
    bounds: ObservedRange
    immutable: NDArray | list[Hashable] | None


@dataclass(frozen=True)
class Observed:
    """Spread and range of each feature; NaN where it holds no numbers.

    Parameters
    ----------
    spread, low, high : ndarray of the shape of a sample
    names : list of column names, or None

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso._threat.observed import Observed
    >>> Observed.of(np.array([[1.0, 5.0], [3.0, 5.0]])).spread
    array([1., 0.])
    """

    spread: NDArray
    low: NDArray
    high: NDArray
    names: list[Hashable] | None

    @classmethod
    def of(cls, X: Samples) -> Observed:
        """Look at X: an array, a sparse matrix, or a frame."""
        values, names = _numbers(X)
        if values.ndim < 2 or not values.size:
            raise ValueError(
                f"X must hold samples and their features; got shape {values.shape}. Pass the "
                "training data."
            )
        if names is not None and len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"Columns of X must have different names; got {twice!r} twice.")
        if np.isinf(values).any():
            raise ValueError("X must not hold infinity; it has no spread. Drop these samples.")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of columns that are NaN throughout
            return cls(np.nanstd(values, axis=0), np.nanmin(values, 0), np.nanmax(values, 0), names)

    def parts(self) -> ObservedParts:
        """Return units, bounds and immutable, by name where there are names."""
        moves = self.high > self.low  # false for NaN
        if not moves.any():
            raise ValueError(
                "X must have a column of numbers that are not all equal: nothing is left to an "
                "attack. Pass units and immutable to ThreatModel itself."
            )
        known = ~np.isnan(self.low)
        units = np.where(moves, self.spread, 1.0)
        bounds = np.where(known, self.low, -np.inf), np.where(known, self.high, np.inf)
        fixed: NDArray | list[Hashable] | None = None if moves.all() else ~moves
        if self.names is not None and fixed is not None:
            names = np.array([None, *self.names], dtype=object)[1:]
            fixed = names[~moves].tolist()
        return {
            "units": self._by_name(units),
            # ThreatModel makes plain values of them.
            "bounds": ObservedRange(cast(Iterable[Values], map(self._by_name, bounds))),
            "immutable": fixed,
        }

    def _by_name(self, values: NDArray) -> NDArray | dict[Hashable, float]:
        if self.names is None:
            return values
        return dict(zip(self.names, values.tolist(), strict=True))


def _numbers(X: Samples) -> tuple[NDArray, list[Hashable] | None]:
    """Return X in float64, NaN in columns that hold no numbers, and the names of the columns."""
    if is_frame(X):
        columns = [_of_frame(X, position) for position in range(X.shape[1])]
        values = np.stack(columns, axis=1) if columns else np.empty((len(X), 0))
        return values, list(X.columns)
    array = np.asarray(X.toarray() if is_sparse(X) else X)
    if array.dtype.kind in "OUSb" and array.ndim == 2:
        return np.stack([_column(column) for column in array.T], axis=1), None
    try:
        return array.astype(np.float64), None
    except (TypeError, ValueError):
        raise ValueError(f"X must hold numbers; got {X!r}.") from None


def _of_frame(X: Frame, position: int) -> NDArray:
    column = X.iloc[:, position] if hasattr(X, "iloc") else X[:, position]
    kind = getattr(column.dtype, "kind", None)
    if kind is None:  # polars
        kind = "f" if column.dtype.is_numeric() else "O"
    if str(column.dtype) == "category":  # pandas counts those of numbers as objects
        return np.full(len(column), np.nan)
    if kind in "iuf":
        if hasattr(column, "astype"):
            return np.asarray(column.astype("float64").to_numpy(dtype=float, na_value=np.nan))
        return np.asarray(column.to_numpy(), dtype=np.float64)
    return _column(column.to_numpy()) if kind == "O" else np.full(len(column), np.nan)


def _column(values: NDArray) -> NDArray:
    """Return a column of objects as numbers, NaN throughout if any of them is text or a bool."""
    objects = np.asarray(values, dtype=object)
    if any(isinstance(one, str | bytes | bool | np.bool_) for one in objects):
        return np.full(len(objects), np.nan)
    try:
        return np.array([np.nan if one is None else one for one in objects], dtype=np.float64)
    except (TypeError, ValueError):
        return np.full(len(objects), np.nan)
