"""Columns in the container and dtype of a user: pandas, polars, and arrays."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, TypeGuard, cast

import numpy as np
from numpy.typing import NDArray

from sklearn_iso._labels import is_missing
from sklearn_iso._protocols import Entries, Frame, is_pandas
from sklearn_iso._threat.columns import as_list

if TYPE_CHECKING:
    import polars
    from pandas import Series


def is_polars(column: object) -> TypeGuard[polars.Series]:
    """Tell a polars Series from an array, once it is none of pandas.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.metrics._series import is_polars
    >>> is_polars(np.zeros(2))
    False
    """
    return hasattr(column, "clone")


def taken(column: Entries, positions: NDArray) -> Entries:
    """Return entries of a column by position, in its own dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.metrics._series import taken
    >>> taken(np.array(["a", "b"]), np.array([1, 1]))
    array(['b', 'b'], dtype='<U1')
    """
    if is_pandas(column):
        return column.array.take(positions)
    return column[positions]


def representable(values: Sequence[Hashable], like: Entries) -> list[Hashable]:
    """Return those values that the dtype of a column can hold: categories are a closed list.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_iso.metrics._series import representable
    >>> representable(["a", "c"], pd.Series(["a", "b"], dtype="category"))
    ['a']
    """
    known = getattr(like.dtype, "categories", None)
    if known is None or str(like.dtype).startswith("Categorical"):
        return list(values)
    known = set(known)
    return [value for value in values if value in known]


def extended(column: Entries, first: NDArray, further: Sequence[Hashable]) -> Entries:
    """Return entries of a column by position, and further values, as a column of its dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.metrics._series import extended
    >>> extended(np.array(["a", "b"], dtype=object), np.array([1]), ["c"])
    array(['b', 'c'], dtype=object)
    """
    if is_pandas(column):
        some = column.iloc[first]
        if not len(further):
            return some
        import pandas as pd

        more = type(column)(list(further), dtype=column.dtype)
        return pd.concat([some, more], ignore_index=True)
    if is_polars(column):
        some = column[first].clone()
        return some.append(type(column)(column.name, list(further), dtype=column.dtype))
    if column.dtype.kind in "US":
        return np.array([*column[first].tolist(), *further])
    more = np.empty(len(further), dtype=column.dtype)
    more[:] = further
    return np.concatenate([column[first], more])


def moved(numbers: NDArray, like: Entries) -> Entries:
    """Return numbers, NaN where they are missing, in the dtype of a column: of integers as floats.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from sklearn_iso.metrics._series import moved
    >>> moved(np.array([1.5, np.nan]), pd.Series([1, None], dtype="Int64")).dtype
    Float64Dtype()
    """
    if is_pandas(like):
        return _moved_in_pandas(numbers, like)
    if is_polars(like):  # which tells null from NaN
        series = type(like)(like.name, numbers)
        series = series.fill_nan(None) if like.null_count() else series
        return series.cast(like.dtype) if like.dtype.is_float() else series
    if like.dtype.kind == "O":
        return _as_objects(numbers, like)
    return numbers.astype(like.dtype) if like.dtype.kind == "f" else numbers


def _moved_in_pandas(numbers: NDArray, like: Series) -> Entries:
    dtype = like.dtype
    if isinstance(dtype, np.dtype):
        if dtype.kind == "O":
            return _as_objects(numbers, like)
        return numbers.astype(dtype) if dtype.kind == "f" else numbers
    if dtype.kind in "iu":
        arrow = "[pyarrow]" in str(dtype)
        dtype = "double[pyarrow]" if arrow else "Float64"
    return type(like)(numbers, dtype="Float64").astype(dtype).array


def _is_object(column: Entries) -> bool:
    return bool(getattr(column.dtype, "numpy_dtype", column.dtype) == np.dtype("O"))


def _as_objects(numbers: NDArray, like: Entries) -> NDArray:
    objects = numbers.astype(object)
    absent = np.isnan(numbers)
    if absent.any():
        objects[absent] = next((one for one in as_list(like) if is_missing(one)), np.nan)
    return objects


def assembled(
    columns: Sequence[Entries], names: Sequence[Hashable], X: Frame | NDArray, rows: NDArray | None
) -> Frame | NDArray:
    """Return columns side by side in the container of X, with its index where samples are told.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.metrics._series import assembled
    >>> assembled([np.array([1.5]), np.array(["a"], dtype=object)], [0, 1], np.empty((1, 2)), None)
    array([[1.5, 'a']], dtype=object)
    """
    if is_pandas(X):
        series = type(X.iloc[:, 0])
        kept = [series(one, dtype=object) if _is_object(one) else one for one in columns]
        frame = type(X)(dict(zip(names, kept, strict=True)))  # without dtype, objects become text
        if rows is not None:
            frame.index = X.index[rows]
        if X.columns.name is not None:
            frame.columns.name = X.columns.name
        return frame
    if not isinstance(X, np.ndarray):
        made = cast("Callable[..., Frame]", type(X))
        return made(dict(zip(names, columns, strict=True)))
    if X.dtype.kind in "US":
        return np.stack([np.asarray(column) for column in columns], axis=1)
    if all(column.dtype.kind in "iufb" for column in columns):
        return np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1)
    table = np.empty((len(columns[0]), len(columns)), dtype=object)
    for position, column in enumerate(columns):
        table[:, position] = column
    return table
