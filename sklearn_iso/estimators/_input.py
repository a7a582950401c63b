"""Arrays as a network wants them: finite, in C order, float32 or float64."""

from __future__ import annotations

import math
from typing import TypeGuard, TypeVar, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix, issparse
from sklearn.base import BaseEstimator
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import (
    _check_n_features,
    check_array,
    check_consistent_length,
    column_or_1d,
    validate_data,
)
from torch.utils.data import DataLoader, Dataset

from sklearn_iso._geometry import Metric
from sklearn_iso._labels import check_labels_known
from sklearn_iso._protocols import Samples
from sklearn_iso._training.calibration import SIZES
from sklearn_iso._training.rows import (
    dataset_rows,
    is_mapped,
    mapped_rows,
    single_rows,
    sparse_rows,
)
from sklearn_iso.estimators._roles import Embedding

#: Types whose every value float32 holds; they need not cost the memory of float64.
_SMALL = ("bool", "int8", "uint8", "int16", "uint16", "float16", "float32")

#: Most values that Python adds up before NumPy is ready to.
FEW = 256

Given = TypeVar("Given")


def plain_array(value: Given) -> Given:
    """Return a torch tensor as an array of NumPy, off its device and graph; all else as it came.

    Raises
    ------
    TypeError
        If a tensor is sparse, or of the device "meta" and without values.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.estimators._input import plain_array
    >>> plain_array(torch.ones(2, dtype=torch.bfloat16, requires_grad=True))
    array([1., 1.], dtype=float32)
    """
    if not isinstance(value, torch.Tensor):
        return value
    if value.is_meta or value.layout != torch.strided:
        raise TypeError(
            f"A tensor must be dense and hold values; got one of layout {value.layout} on the "
            f"device {str(value.device)!r}. Pass tensor.to_dense(), or a sparse matrix of SciPy."
        )
    held = value.float() if value.dtype == torch.bfloat16 else value  # NumPy has no such floats
    return cast(Given, held.numpy(force=True))


def check_fit_input(
    estimator: BaseEstimator,
    X: Samples | Dataset,
    y: ArrayLike | None,
    *,
    many_dimensions: bool,
    reset: bool = True,
    y_numeric: bool = False,
    lazy: bool = False,
) -> tuple[NDArray, NDArray]:
    """Validate training data and remember its features, or compare them with ``reset=False``.

    With ``lazy=True`` sparse matrices and torch data sets pass, as samples read batch by batch.
    Mixed precision takes samples of float32.

    Returns
    -------
    X : ndarray of float32 or float64
    y : ndarray of shape (n_samples,)
    """
    single = _takes_single(estimator)
    X, y = plain_array(X), plain_array(y)
    if _is_dataset(X, lazy):
        if y is not None:
            raise ValueError("A Dataset brings its labels along; got y too. Pass fit(dataset).")
        rows, labels = _check_dataset(estimator, X, reset)
        return single_rows(rows) if single else rows, labels
    mapped = lazy and is_mapped(X)
    checked, y = validate_data(
        estimator,
        X,
        y,
        accept_sparse="csr" if lazy else False,
        dtype=_float_types(X, mapped),
        order=None if mapped else "C",
        allow_nd=many_dimensions,
        reset=reset,
        y_numeric=y_numeric,
    )
    by_need = by_batch(checked)
    labels = column_or_1d(y, warn=True)
    if y_numeric:
        assert_all_finite(labels, input_name="y")  # None among objects has become NaN
    else:
        check_labels_known(labels)
    return single_rows(by_need) if single else by_need, labels


def _is_dataset(X: object, lazy: bool) -> TypeGuard[Dataset]:
    """Return whether X is a torch data set, where one is taken.

    Raises
    ------
    TypeError
        If none is taken, or X is a DataLoader.
    """
    if isinstance(X, DataLoader):
        raise TypeError(
            "X must be an array or a torch Dataset, of which batches are formed here; got a "
            "DataLoader. Pass loader.dataset, and batch_size to the estimator."
        )
    if isinstance(X, Dataset) and not lazy:
        raise TypeError(
            f"X must be an array here; got {type(X).__name__}, a torch Dataset. Pass its samples "
            "as an array, such as a memory map."
        )
    return isinstance(X, Dataset)


def _check_dataset(estimator: BaseEstimator, X: Dataset, reset: bool) -> tuple[NDArray, NDArray]:
    """Return the inputs and the labels of a torch data set."""
    rows, labels = dataset_rows(X)
    _check_n_features(estimator, rows, reset=reset)
    return cast(NDArray, rows), labels


def by_batch(X: NDArray | csr_matrix) -> NDArray:
    """Return samples that become dense, and floats, when a batch asks for them."""
    if issparse(X):
        return cast(NDArray, sparse_rows(X))
    return X if X.dtype.kind == "f" and X.dtype.isnative else cast(NDArray, mapped_rows(X))


def check_predict_input(
    estimator: BaseEstimator, X: Samples | Dataset, *, many_dimensions: bool, lazy: bool = False
) -> NDArray:
    """Validate data of the fitted features."""
    if _is_checked(estimator, X):
        return cast(NDArray, X)
    X = plain_array(X)
    rows: NDArray
    if _is_dataset(X, lazy):
        rows, _ = _check_dataset(estimator, X, reset=False)
        return rows
    checked = validate_data(
        estimator,
        X,
        accept_sparse="csr" if lazy else False,
        dtype=_float_types(X, lazy and is_mapped(X)),
        reset=False,
        allow_nd=many_dimensions,
    )
    rows = by_batch(checked)
    return rows


def _is_checked(estimator: BaseEstimator, X: object) -> bool:
    """Return whether scikit-learn would return X itself, in a tenth of its time.

    That is where X is a plain array of finite floats with as many columns as at the fit, which
    had no names for them. All else is for scikit-learn to judge.
    """
    if type(X) is not np.ndarray or X.ndim != 2 or not len(X):
        return False
    if X.dtype.char not in "df" or not X.dtype.isnative:
        return False
    fitted = vars(estimator)
    if fitted.get("n_features_in_") != X.shape[1] or "feature_names_in_" in fitted:
        return False
    # Not finite for some finite values either: these are looked at closer.
    if X.size <= FEW:
        return math.isfinite(sum(X.ravel().tolist()))
    with np.errstate(over="ignore", invalid="ignore"):
        return math.isfinite(X.sum())


def _float_types(X: object, mapped: bool = False) -> list[type] | None:
    own: object = getattr(X, "dtype", None)
    dtype = own.newbyteorder("=") if isinstance(own, np.dtype) else own
    small = str(dtype) in _SMALL
    if (
        mapped
        and isinstance(dtype, np.dtype)
        and (small or dtype == np.float64)
        and (dtype.kind != "f" or dtype != own)
    ):
        return None  # as they are: floats in memory would be as large as the file, or larger
    if small:
        return [np.float32, np.float64]
    return [np.float64, np.float32]


def _takes_single(estimator: object) -> bool:
    """Return whether an estimator trains in float32 whatever X is."""
    return bool(getattr(estimator, "mixed_precision", False))


def check_embedding_input(
    estimator: Embedding,
    X: ArrayLike,
    y: ArrayLike | None,
    distances: ArrayLike | None = None,
    *,
    reset: bool = True,
) -> tuple[NDArray, NDArray | None, NDArray | None]:
    """Validate what an embedding is fitted to; remember the features, or compare them.

    Returns
    -------
    X : ndarray of float32 or float64
    labels : ndarray of shape (n_samples,), or None without y
    distances : ndarray of shape (n_samples, n_samples), or None without any
    """
    X, y, distances = plain_array(X), plain_array(y), plain_array(distances)
    _is_dataset(X, lazy=False)
    checked: NDArray = validate_data(
        estimator, X, dtype=_float_types(X), order="C", ensure_min_samples=2, reset=reset
    )
    if _takes_single(estimator):
        checked = single_rows(checked)
    labels = check_optional_labels(y, checked)
    if reset:
        check_width(estimator.n_components, checked)
    return checked, labels, check_distances(estimator.metric, distances, checked)


def check_width(n_components: int, X: NDArray) -> None:
    """Raise a ValueError if an embedding of samples X cannot have so many components."""
    if n_components > min(X.shape):
        raise ValueError(
            f"n_components must be at most min(n_samples, n_features) = {min(X.shape)}; got "
            f"n_components={n_components} with n_samples={X.shape[0]} and "
            f"n_features={X.shape[1]}. Lower n_components."
        )


def check_optional_labels(y: ArrayLike | None, X: NDArray) -> NDArray | None:
    """Return the labels, one for each sample, where there are any."""
    if y is None:
        return None
    labels: NDArray = column_or_1d(y, warn=True)
    check_consistent_length(X, labels)
    check_labels_known(labels)
    return labels


def check_distances(
    metric: str | Metric, distances: ArrayLike | None, X: NDArray
) -> NDArray | None:
    """Return the distances between the samples of X, where metric="precomputed" calls for them.

    Raises
    ------
    ValueError
        If they come without being called for or the other way round, are too large or small
        for their squares, or are no distances: not square, of other samples than X, NaN, infinite,
        negative, asymmetric, or not 0 between a sample and itself, each by more than rounding:
        1e-5 of the largest.
    """
    wanted = isinstance(metric, str) and metric == "precomputed"
    if distances is None and not wanted:
        return None
    if distances is None or not wanted:
        raise ValueError(
            f"distances and metric='precomputed' go together; got metric={metric!r} and "
            f"distances {'given' if distances is not None else 'missing'}. X holds the features "
            "that the map starts from: pass fit(X, distances=D)."
        )
    D: NDArray = check_array(distances, dtype=[np.float64, np.float32], input_name="distances")
    if D.shape != (len(X), len(X)):
        raise ValueError(
            f"distances must have a row and a column for each of the {len(X)} samples of X; got "
            f"shape {D.shape}."
        )
    _check_largest(D)
    tolerance = 1e-5 * float(D.max())
    if (lowest := float(D.min())) < -tolerance:
        raise ValueError(
            f"distances must not be negative; found {lowest:.3g}. Turn similarities into "
            "distances first."
        )
    _check_symmetric(D, tolerance)
    # Of 1 minus a cosine, what should be 0 is off by rounding to both sides: all of that is 0.
    noise = max(-lowest, float(np.abs(D.diagonal()).max()))
    return np.where(D > noise, D, 0) if noise > 0 else D


def _check_largest(D: NDArray) -> None:
    """Raise a ValueError where sums of squared distances would overflow, or vanish."""
    least, most = SIZES[D.dtype.name]
    largest = float(D.max())
    if largest > most or 0 < largest < least:
        raise ValueError(
            f"distances must have squares that {D.dtype} holds, and sums of these: the largest "
            f"from {least:.0e} to {most:.0e}; it is {largest:.3g}. Pass them in another unit."
        )


def _check_symmetric(D: NDArray, tolerance: float) -> None:
    gap = max(float(np.abs(row - column).max()) for row, column in zip(D, D.T, strict=True))
    if gap > tolerance:
        raise ValueError(
            f"distances must be symmetric; two directions of a pair differ by {gap:.3g}. Pass "
            "(D + D.T) / 2 if the difference means nothing."
        )
    if (largest := float(D.diagonal().max())) > tolerance:
        raise ValueError(
            f"distances from a sample to itself must be 0; found {largest:.3g}. Pass distances, "
            "not similarities."
        )
