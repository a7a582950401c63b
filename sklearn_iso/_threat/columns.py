"""The columns of a table as a user passes it: which hold numbers, and what the others hold."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, TypeGuard, cast

import numpy as np
from numpy.typing import NDArray

from sklearn_iso._labels import is_missing
from sklearn_iso._protocols import Entries, Frame

if TYPE_CHECKING:
    import polars


class Kind(Enum):
    """What a column holds.

    Examples
    --------
    >>> from sklearn_iso._threat.columns import Kind
    >>> Kind.TEXT.value
    'text or categories'
    """

    NUMBERS = "numbers"
    BOOLEANS = "booleans"
    TEXT = "text or categories"


@dataclass(frozen=True, eq=False)
class Column:
    """A column of a table, with its values as numbers where it holds numbers or booleans.

    Parameters
    ----------
    name : str, or any other label
        Its number where the table has no names.
    kind : Kind
    raw : pandas or polars Series, or ndarray
        The column as it is.
    numbers : ndarray of shape (n,), or None
        In float64, NaN where a value is missing; None for text.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_iso._threat.columns import columns_in
    >>> age, plan = columns_in(pd.DataFrame({"age": [1, None], "plan": ["a", "b"]}))
    >>> age.numbers, plan.kind
    (array([ 1., nan]), <Kind.TEXT: 'text or categories'>)
    """

    name: Hashable
    kind: Kind
    raw: Entries
    numbers: NDArray | None

    @classmethod
    def of(cls, name: Hashable, raw: Entries) -> Column:
        """Tell of a column what it holds."""
        kind = getattr(raw.dtype, "kind", None) or _polars_kind(raw.dtype)
        if str(raw.dtype) in ("category", "str", "string"):  # numpy calls those objects
            kind = "M"
        if kind == "O":
            return cls(name, *_of_objects(raw))
        if kind == "b":
            return cls(name, Kind.BOOLEANS, raw, _floats(raw))
        if kind in "iuf":
            return cls(name, Kind.NUMBERS, raw, _floats(raw))
        return cls(name, Kind.TEXT, raw, None)

    def is_missing(self) -> NDArray:
        """Return where a value is missing, of shape (n,)."""
        if self.numbers is not None:
            return np.asarray(np.isnan(self.numbers))
        return np.array([is_missing(value) for value in as_list(self.raw)], dtype=bool)

    def distinct(self) -> tuple[Hashable, ...]:
        """Return each value once, without missing ones, in an order of their own.

        Raises
        ------
        ValueError
            If values do not hash, as lists.
        """
        try:
            found = {_key(one): one for one in as_list(self.raw) if not is_missing(one)}
        except TypeError:
            raise ValueError(
                f"Column {self.name!r} holds values that do not hash, such as lists; they are no "
                "categories. Leave it out of categories, or encode it first."
            ) from None
        return in_order(list(found.values()))


def _polars_kind(dtype: polars.DataType) -> str:
    if dtype.is_numeric():
        return "f"
    return {"Boolean": "b", "Object": "O"}.get(str(dtype), "M")


def _floats(raw: Entries) -> NDArray:
    """Return numbers or booleans of a Series or an array in float64."""
    if hasattr(raw, "astype") and hasattr(raw, "to_numpy"):  # pandas
        if raw.dtype.kind == "b":
            raw = raw.astype("boolean")
        return np.asarray(raw.astype("Float64").to_numpy(dtype=float, na_value=np.nan))
    if hasattr(raw, "to_list") and str(raw.dtype) == "Boolean":
        return np.array([np.nan if one is None else one for one in raw.to_list()], dtype=float)
    return np.asarray(raw.to_numpy() if hasattr(raw, "to_numpy") else raw, dtype=np.float64)


def _of_objects(raw: Entries) -> tuple[Kind, Entries, NDArray | None]:
    """Look at objects one by one: text or anything else that is no number makes a column text."""
    values = as_list(raw)
    present = [one for one in values if not is_missing(one)]
    booleans = [isinstance(one, bool | np.bool_) for one in present]
    if any(isinstance(one, str | bytes) for one in present) or (
        any(booleans) and not all(booleans)
    ):
        return Kind.TEXT, raw, None
    try:
        numbers = np.array([np.nan if is_missing(one) else one for one in values], dtype=float)
    except (TypeError, ValueError):
        return Kind.TEXT, raw, None
    if numbers.ndim != 1:
        return Kind.TEXT, raw, None
    return (Kind.BOOLEANS if any(booleans) else Kind.NUMBERS), raw, numbers


def as_list(raw: Entries) -> list[Hashable]:
    """Return a column as a list of Python's own values.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso._threat.columns import as_list
    >>> as_list(np.array([1, 2]))
    [1, 2]
    """
    listed: list[Hashable] = raw.to_list() if hasattr(raw, "to_list") else np.asarray(raw).tolist()
    return listed


def _key(value: Hashable) -> Hashable:
    """Return what tells values apart: 1 is no True."""
    return isinstance(value, bool), value


def in_order(values: Sequence[Hashable]) -> tuple[Hashable, ...]:
    """Return values in an order of their own, that of the samples they came from left aside.

    Examples
    --------
    >>> from sklearn_iso._threat.columns import in_order
    >>> in_order(["b", 10, 9, "a"])
    (9, 10, 'a', 'b')
    """
    try:
        return tuple(sorted(cast("Sequence[str]", values)))
    except TypeError:
        return tuple(sorted(values, key=lambda one: (type(one).__name__, _size(one), str(one))))


def _size(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def codes_of(raw: Entries, values: Sequence[Hashable]) -> NDArray:
    """Return the position of each entry of a column among values; missing ones match each other.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso._threat.columns import codes_of
    >>> codes_of(np.array(["b", "a"]), ["a", "b"])
    array([1, 0])
    """
    known = {key_of(value): position for position, value in enumerate(values)}
    return np.array([known[key_of(value)] for value in as_list(raw)], dtype=np.int64)


def key_of(value: object) -> Hashable:
    """Return what tells an entry from others; missing ones of a type are alike.

    Examples
    --------
    >>> from sklearn_iso._threat.columns import key_of
    >>> key_of(1) == key_of(True), key_of(float("nan")) == key_of(float("nan"))
    (False, True)
    """
    return ("missing", type(value).__name__) if is_missing(value) else _key(value)


def first_of_each(raw: Entries) -> NDArray:
    """Return where each value of a column, and each kind of missing one, stands first.

    Where values do not hash each counts as one of its own.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso._threat.columns import first_of_each
    >>> first_of_each(np.array(["b", "b", None, "a"], dtype=object))
    array([0, 2, 3])
    """
    first: dict[Hashable, int] = {}
    try:
        for position, value in enumerate(as_list(raw)):
            first.setdefault(key_of(value), position)
    except TypeError:
        return np.arange(len(raw))
    return np.array(list(first.values()), dtype=np.int64)


def check_in_memory(X: object) -> None:
    """Raise a TypeError for a frame that has yet to be computed.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_iso._threat.columns import check_in_memory
    >>> check_in_memory(pd.DataFrame({"age": [30.0]}))
    """
    if type(X).__name__ == "LazyFrame":
        raise TypeError("X must be in memory; got a LazyFrame. Pass X.collect().")


def has_columns(X: object) -> TypeGuard[Frame | NDArray]:
    """Tell whether X is a frame, or an array of objects or text in rows and columns.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso._threat.columns import has_columns
    >>> has_columns(np.zeros((2, 2))), has_columns(np.array([["a", 1]], dtype=object))
    (False, True)
    """
    if hasattr(X, "columns") and hasattr(X, "dtypes"):
        return True
    return isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype.kind in "OUSb"


def columns_in(X: Frame | NDArray) -> list[Column]:
    """Return the columns of a frame or a table of two dimensions.

    Raises
    ------
    ValueError
        If a frame names two columns alike.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso._threat.columns import columns_in
    >>> [column.kind.value for column in columns_in(np.array([["a", 1]], dtype=object))]
    ['text or categories', 'numbers']
    """
    if not hasattr(X, "columns"):
        return [Column.of(position, X[:, position]) for position in range(X.shape[1])]
    names = list(X.columns)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(
            f"Columns of X must have different names; got {twice!r} twice. Rename one of them, in "
            "the data of the fit as well."
        )
    by_position = (
        X.iloc[:, position] if hasattr(X, "iloc") else X[:, position]
        for position in range(len(names))
    )
    return [Column.of(name, raw) for name, raw in zip(names, by_position, strict=True)]
