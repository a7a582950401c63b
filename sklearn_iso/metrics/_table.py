"""The X that a user passes, as an array for the attack and back in its own container."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse, sparray, spmatrix
from sklearn.base import BaseEstimator
from sklearn.utils import check_array
from torch import Tensor, nn

from sklearn_iso._protocols import Frame, Samples, is_frame, is_pandas
from sklearn_iso._threat import ThreatModel
from sklearn_iso.metrics._weights import taken
from sklearn_iso.twins import as_torch

if TYPE_CHECKING:
    from pandas import Series

T = TypeVar("T")

# Float32 holds integers of two bytes exactly, those of four not.
BYTES_EXACT_IN_FLOAT32 = 2
LARGEST_DENSE_BYTES = 2**30


def floating(dtype: np.dtype) -> type:
    """Return the floating type in which an attack moves values of a type.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.metrics._table import floating
    >>> floating(np.dtype("int8")) is np.float32, floating(np.dtype("int64")) is np.float64
    (True, True)
    """
    if dtype.kind == "f":
        return np.float32 if dtype.itemsize <= 4 else np.float64
    return np.float32 if dtype.itemsize <= BYTES_EXACT_IN_FLOAT32 else np.float64


def _densified(X: spmatrix | sparray) -> NDArray:
    n_bytes = X.shape[0] * X.shape[1] * np.dtype(floating(X.dtype)).itemsize
    if n_bytes > LARGEST_DENSE_BYTES:
        raise ValueError(
            f"Sparse X must fit in memory as a dense array, as an attack moves every feature; "
            f"shape {X.shape} would take {n_bytes / 2**30:.3g} GiB of at most "
            f"{LARGEST_DENSE_BYTES / 2**30:.3g}. Pass fewer samples, or select features first."
        )
    return X.toarray()


def _check_has_features(X: Samples) -> None:
    """Raise a ValueError for a frame without columns, of which scikit-learn says nothing clear."""
    if is_frame(X) and not len(list(X.columns)):
        raise ValueError(
            f"X must have at least one feature; got a frame of {len(X)} samples without columns. "
            "Pass the columns that the estimator was fitted on."
        )


def _check_numbers(X: Frame | ArrayLike) -> None:
    """Tell text from numbers before numpy fails to convert it."""
    frame_types = getattr(X, "dtypes", None)
    if frame_types is not None and is_frame(X):
        kinds = zip(X.columns, frame_types, strict=True)
        text = [str(name) for name, kind in kinds if _is_text(X[name], kind)]
        where = f"columns {', '.join(map(repr, text[:5]))} hold text"
    else:
        array = np.atleast_1d(np.asarray(X))
        values = array.ravel() if array.dtype.kind in "USO" else array[:0]
        text = [repr(value) for value in values.tolist()[:10000] if isinstance(value, (str, bytes))]
        where = f"found {text[0]}" if text else ""
    if text:
        raise ValueError(
            f"X must hold numbers, which an attack can move; {where}. Perturbations of text are "
            "not defined. Name columns that may become another value of theirs as categories of "
            "the threat, or encode X first, and pass the fitted steps that follow the encoder as "
            "the estimator."
        )


def _is_text(column: Series, kind: object) -> bool:
    if str(kind) in ("object", "category", "str", "string", "String", "Categorical", "Enum"):
        return any(isinstance(value, (str, bytes)) for value in column.to_numpy()[:10000])
    return False


def own_copy(X: T) -> T:
    """Return a copy of X that a callable of a user may write into; read-only arrays as they are.

    Pipelines with StandardScaler(copy=False), for one, write into the X of predict.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.metrics._table import own_copy
    >>> X = np.zeros(2)
    >>> own_copy(X) is X
    False
    """
    read_only = isinstance(X, np.ndarray) and not X.flags.writeable
    return X if read_only else copy.deepcopy(X)


class Table:
    """Samples of features in the container of a user: array, sparse matrix, pandas or polars frame.

    Parameters
    ----------
    X : array-like or sparse matrix of shape (n, ...)
        Finite numbers, not empty.
    missing : bool, default=False
        Whether NaN may be among them: values that are missing.

    Attributes
    ----------
    values : ndarray of shape (n, ...)
        X in float32 or float64: float32 for integers of at most two bytes.
    columns : list of str, or None
        Names of the columns of a frame.

    Raises
    ------
    ValueError
        If X is empty, not numeric, not finite, or sparse and too large for a dense array.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from sklearn_iso.metrics._table import Table
    >>> table = Table(pd.DataFrame({"age": [30, 40], "height": [1.7, 1.8]}))
    >>> table.with_values(table.values[1:] + 0.5, rows=np.array([1]))
        age  height
    1  40.5     2.3
    """

    is_raw = False

    def __init__(self, X: Samples, *, missing: bool = False) -> None:
        options: dict[str, object] = {"dtype": "numeric", "input_name": "X"}
        options["ensure_all_finite"] = "allow-nan" if missing else True
        _check_has_features(X)
        if issparse(X):
            array = check_array(_densified(X), **options)
        else:
            _check_numbers(cast("Frame | ArrayLike", X))
            array = check_array(X, allow_nd=True, **options)
        values = array.astype(floating(array.dtype), copy=False)
        # Workers of joblib get read-only memory maps, which torch warns about.
        self.values: NDArray = np.require(values, requirements=["C", "W"])
        self.container: Samples = X
        self.columns = list(X.columns) if hasattr(X, "columns") else None

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.values)

    def part(self, rows: NDArray) -> Table:
        """Return some of the samples as a table of the same features."""
        part = copy.copy(self)
        part.values, part.container = self.values[rows], taken(self.container, rows)
        return part

    def threat(self, threat: ThreatModel) -> ThreatModel:
        """Return a threat by position."""
        return threat.resolve(self.container)

    def twin(self, estimator: BaseEstimator) -> nn.Module:
        """Return the differentiable twin of an estimator, for the values."""
        return as_torch(estimator)

    def extent(self) -> NDArray:
        """Return how far the samples reach in each feature."""
        extent: NDArray = np.ptp(self.values, axis=0)
        return extent

    def with_movable_numbers(self, rows: NDArray) -> NDArray:
        """Return those of some samples of which a number may move, or all if there are none."""
        return rows

    def canonical(self, points: Tensor) -> Tensor:
        """Return points without moves that the estimator never sees."""
        return points

    def asked(self, estimator: object, name: str, values: NDArray) -> ArrayLike:
        """Ask a method of an estimator of points that a search is at."""
        return getattr(estimator, name)(self.with_values(values))

    def answered(self, question: Callable[[Samples], ArrayLike]) -> ArrayLike:
        """Ask of X as the user passed it."""
        return question(self.copied())

    def range(self) -> tuple[NDArray, NDArray]:
        """Return the least and the largest value of each feature."""
        return np.fmin.reduce(self.values, axis=0), np.fmax.reduce(self.values, axis=0)

    def copied(self) -> Samples:
        """Return X as the user passed it, for an estimator that may write into it."""
        return own_copy(self.container)

    def with_values(self, values: NDArray, rows: NDArray | None = None) -> Samples:
        """Values of some of the samples, in the container, with the columns and index, of X.

        Without samples the index is a new one. It is a copy: what an estimator writes into it, as
        StandardScaler(copy=False) does, changes neither the values nor any figure.
        """
        X, values = self.container, values.copy()
        made = cast("Callable[..., Samples]", type(X))
        if issparse(X):
            return made(values)
        if is_pandas(X):
            index = None if rows is None else X.index[rows]
            return type(X)(values, columns=X.columns, index=index)
        if hasattr(X, "columns") and hasattr(X, "to_numpy"):
            return made(values, schema=list(X.columns))
        return values


class Asked:
    """An estimator that takes arrays and is asked in the container of the user.

    It has those of `predict`, `predict_proba` and `decision_function` that the estimator has.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from sklearn_iso.metrics._table import Asked, Table
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> estimator = GaussianNB().fit(X, y)
    >>> Asked(estimator, estimator.classes_, Table(X)).predict(X.to_numpy()[:2])
    array([0, 0])
    """

    def __init__(self, estimator: object, classes: NDArray, table: Table) -> None:
        self.classes_ = classes
        for name in ("predict", "predict_proba", "decision_function"):
            method = getattr(estimator, name, None)
            if method is not None:
                setattr(self, name, self._in_container(method, table))

    @staticmethod
    def _in_container(method: Callable, table: Table) -> Callable:
        return lambda values: method(table.with_values(values))
