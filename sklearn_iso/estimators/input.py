"""Arrays as a network wants them: finite, in C order, float32 or float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import column_or_1d, validate_data

#: Types whose every value float32 holds; they need not cost the memory of float64.
_SMALL = ("bool", "int8", "uint8", "int16", "uint16", "float16", "float32")


def check_fit_input(
    estimator: BaseEstimator, X: ArrayLike, y: ArrayLike, *, many_dimensions: bool
) -> tuple[NDArray, NDArray]:
    """Validate training data and remember its features.

    Returns
    -------
    X : ndarray of float32 or float64
    y : ndarray of shape (n_samples,)
    """
    checked: NDArray
    checked, y = validate_data(
        estimator, X, y, dtype=_float_types(X), order="C", allow_nd=many_dimensions
    )
    return checked, column_or_1d(y, warn=True)


def check_predict_input(
    estimator: BaseEstimator, X: ArrayLike, *, many_dimensions: bool
) -> NDArray:
    """Validate data of the fitted features."""
    checked: NDArray = validate_data(
        estimator, X, dtype=_float_types(X), reset=False, allow_nd=many_dimensions
    )
    return checked


def _float_types(X: Any) -> list[type]:
    if str(getattr(X, "dtype", "")) in _SMALL:
        return [np.float32, np.float64]
    return [np.float64, np.float32]
