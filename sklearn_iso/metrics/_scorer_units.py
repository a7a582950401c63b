"""What scorers of representations share: units of features, and how a scorer is printed."""

from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_iso._threat.named import Named

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def checked_units(scale: ArrayLike | None) -> ArrayLike | Named | None:
    """Return the unit of each feature, by name where it has names.

    Raises
    ------
    ValueError
        If one is no number, not finite or below 0.

    Examples
    --------
    >>> from sklearn_iso.metrics._scorer_units import checked_units
    >>> checked_units([1.0, 2.0])
    [1.0, 2.0]
    """
    units = Named.of(scale) or scale
    if units is not None and not _is_unit(units):
        raise ValueError(
            f"scale must be finite and at least 0; got {scale!r}. Pass the unit of each feature, "
            "such as X_train.std(axis=0)."
        )
    return units


def in_units(X: ArrayLike, scale: ArrayLike | Named | None) -> ArrayLike:
    """Return X / scale, and 0 where the scale of a feature is 0; X as it is without a scale.

    Examples
    --------
    >>> from sklearn_iso.metrics._scorer_units import in_units
    >>> in_units([[2.0, 3.0]], [2.0, 0.0])
    array([[1., 0.]])
    """
    if scale is None:
        return X
    values: NDArray[np.float64] = np.asarray(X, dtype=np.float64)
    if isinstance(scale, Named):
        columns = list(X.columns) if hasattr(X, "columns") else None
        scale = scale.in_order(columns, values.shape[1], "scale")
    units = np.asarray(scale, dtype=np.float64)
    if units.ndim and units.shape != values.shape[1:]:
        raise ValueError(
            f"scale must be one number or one for each of the {values.shape[1]} features; got "
            f"shape {units.shape}. Pass the unit of each feature, such as X_train.std(axis=0)."
        )
    return np.divide(values, units, out=np.zeros_like(values), where=units > 0)


def call_of(make: str, scorer: "DataclassInstance") -> str:
    """Return the call that makes a scorer, with what differs from the defaults.

    Examples
    --------
    >>> from sklearn_iso.metrics import make_distortion_scorer
    >>> from sklearn_iso.metrics._scorer_units import call_of
    >>> call_of("make", make_distortion_scorer(measure="expansion"))
    "make(measure='expansion')"
    """
    values = {field.name: (getattr(scorer, field.name), field.default) for field in fields(scorer)}
    given = [
        f"{name}={value!r}"
        for name, (value, default) in values.items()
        if isinstance(value, np.ndarray) or value != default
    ]
    return f"{make}({', '.join(given)})"


def _is_unit(scale: ArrayLike | Named) -> bool:
    try:
        values = np.asarray(scale.values if isinstance(scale, Named) else scale, dtype=np.float64)
    except (TypeError, ValueError):
        return False
    return bool(values.size and np.isfinite(values).all() and values.min() >= 0)
