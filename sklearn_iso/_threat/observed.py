"""What data tell of a threat: the spread and range of their columns, and which are no numbers."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TypedDict, cast

import numpy as np
from numpy.typing import NDArray

from sklearn_iso._protocols import Samples
from sklearn_iso._threat.categories import Choice, Groups, members
from sklearn_iso._threat.columns import Kind, check_in_memory, columns_in, has_columns
from sklearn_iso._threat.features import Features
from sklearn_iso._threat.parts import Bounds, Chosen, Columns, ObservedRange, PerFeature, Values


class Found(TypedDict):
    """Parameters of a threat that data tell."""

    units: PerFeature
    bounds: Bounds
    immutable: Chosen | None


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
        check_in_memory(X)
        values, names = _numbers(X)
        if values.ndim < 2 or not values.size:
            raise ValueError(
                f"X must hold samples and their features; got shape {values.shape}. Pass the "
                "training data."
            )
        if np.isinf(values).any():
            raise ValueError("X must not hold infinity; it has no spread. Drop these samples.")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of columns that are NaN throughout
            return cls(np.nanstd(values, axis=0), np.nanmin(values, 0), np.nanmax(values, 0), names)

    def parts(self, categories: Groups | None = None) -> Found:
        """Return units, bounds and immutable, by name where there are names.

        Columns of categories are not immutable, whatever they hold.
        """
        moves = self.high > self.low  # false for NaN
        free = moves | self._of_categories(categories)
        if not free.any():
            raise ValueError(
                "X must have a column of numbers that are not all equal: nothing is left to an "
                "attack. Name columns of text that may change as categories, or pass units and "
                "immutable to ThreatModel itself."
            )
        known = ~np.isnan(self.low)
        units = np.where(moves, self.spread, 1.0)
        bounds = np.where(known, self.low, -np.inf), np.where(known, self.high, np.inf)
        fixed: NDArray | list[Hashable] | None = None if free.all() else ~free
        if self.names is not None:
            names = np.array([None, *self.names], dtype=object)[1:]
            fixed = None if free.all() else names[~free].tolist()
        return {
            "units": self._by_name(units),
            "bounds": ObservedRange(cast("list[Values]", [self._by_name(one) for one in bounds])),
            "immutable": fixed,
        }

    def _of_categories(self, categories: Groups | None) -> NDArray:
        """Return which columns may change: raw ones, and those of groups that hold no numbers."""
        mask = np.zeros(self.low.shape, dtype=bool)
        labels: Sequence[Hashable] = list(range(len(mask))) if self.names is None else self.names
        for group in () if categories is None else categories:
            for column in () if isinstance(group, str) else members(group):
                at = labels.index(column)
                mask[at] = isinstance(group, Choice) or np.isnan(self.low[at])
        return mask

    def _by_name(self, values: NDArray) -> NDArray | dict[Hashable, float]:
        if self.names is None:
            return values
        return dict(zip(self.names, values.tolist(), strict=True))


def choices(X: Samples, categories: Groups) -> Groups:
    """Return groups of categories, single columns with the values that X holds in them.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_iso._threat.observed import choices
    >>> choices(pd.DataFrame({"plan": ["b", "a"], "age": [1, 2]}), "all")[0].values
    ('a', 'b')
    """
    table = X if has_columns(X) else np.asarray(X.toarray() if hasattr(X, "toarray") else X)
    features = Features.of(table)
    columns = columns_in(table) if len(features.shape) == 1 else []

    def seen(group: Columns | Choice) -> Columns | Choice:
        if not isinstance(group, Choice):
            return tuple(features.label(cast(int, position)) for position in group)
        known = cast(int, group.column)
        values = columns[known].distinct() if group.values is None else group.values
        return Choice(features.label(known), values)

    groups = cast("tuple[Columns | Choice, ...]", features.groups(categories, None))
    return tuple(seen(group) for group in groups)


def _numbers(X: Samples) -> tuple[NDArray, list[Hashable] | None]:
    """Return X in float64, NaN in columns that hold no numbers, and the names of the columns."""
    if has_columns(X):
        columns = columns_in(X)
        values = [
            one.numbers
            if one.kind is Kind.NUMBERS and one.numbers is not None
            else np.full(len(X), np.nan)
            for one in columns
        ]
        names = [one.name for one in columns] if hasattr(X, "columns") else None
        return np.stack(values, axis=1) if values else np.empty((len(X), 0)), names
    array = np.asarray(X.toarray() if hasattr(X, "toarray") else X)
    if has_columns(array):
        return _numbers(array)
    try:
        return array.astype(np.float64), None
    except (TypeError, ValueError):
        raise ValueError(f"X must hold numbers; got {X!r}.") from None
