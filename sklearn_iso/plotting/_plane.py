"""A grid over the plane of two features, and what a fitted estimator predicts on it."""

from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import is_classifier
from sklearn.utils import check_consistent_length

from sklearn_iso._protocols import Predictor
from sklearn_iso.metrics._table import Table
from sklearn_iso.plotting._checks import as_numbers

#: What is drawn in the background, from the larger and the smaller singular value.
MEASURES = {
    "expansion": ("Local expansion $\\sigma_1$", lambda values: values[..., 0]),
    "contraction": ("Local contraction $1 / \\sigma_2$", lambda values: 1 / values[..., 1]),
    "distortion": (
        "Local distortion $\\sigma_1 / \\sigma_2$",
        lambda values: values[..., 0] / values[..., 1],
    ),
}
UNITS = {
    "expansion": "units of Z for each unit of X",
    "contraction": "units of X for each unit of Z",
    "distortion": "no unit",
}
_LONGEST = 1.0  # semi-axis of an ellipse, in distances of their centres
_N_ANGLES = 48


def grid_points(x0: NDArray, x1: NDArray) -> NDArray:
    """Return the points of a grid, row by row, of shape (n_1 * n_0, 2)."""
    return np.stack([axis.ravel() for axis in np.meshgrid(x0, x1)], axis=1)


def refined(x0: NDArray, x1: NDArray, shape: tuple[int, ...]) -> tuple[NDArray, NDArray]:
    """Return the axes of a grid of another shape over the same range."""
    rows, columns = shape
    return (
        np.linspace(x0[0], x0[-1], columns, dtype=x0.dtype),
        np.linspace(x1[0], x1[-1], rows, dtype=x1.dtype),
    )


def regions(
    estimator: object, table: Table, x0: NDArray, x1: NDArray, shape: tuple[int, ...]
) -> NDArray[np.intp] | None:
    """Return the number of the class predicted on a grid of this shape; None if not a classifier.

    The estimator sees the grid in the container of `table`, with its column names.
    """
    if not is_classifier(estimator):
        return None
    points = grid_points(*refined(x0, x1, shape))
    return numbered(cast(Predictor, estimator).predict(table.with_values(points))).reshape(shape)


def numbered(labels: ArrayLike) -> NDArray[np.intp]:
    """Return the number of each label, in their order; a row of several labels is a path.

    Examples
    --------
    >>> from sklearn_iso.plotting._plane import numbered
    >>> numbered(["b", "a", "b"])
    array([1, 0, 1])
    >>> numbered([["fish", "eel"], ["bird", "owl"]])
    array([1, 0])
    """
    found = np.asarray(labels)
    if found.ndim == 2:
        found = np.array(["\n".join(map(str, path)) for path in found.tolist()])
    return np.unique(found, return_inverse=True)[1]


def pullback_ellipses(
    jacobians: NDArray, centres: NDArray, spacing: float
) -> tuple[NDArray[np.float64], float]:
    """Return the outlines of balls of one radius in the pullback metric, and that radius.

    The radius lets half of the ellipses fit into a cell of side `spacing`. Where the map
    collapses a direction, a semi-axis ends at the distance between centres.
    """
    _, values, V = np.linalg.svd(jacobians, full_matrices=False)
    radius = 0.45 * spacing * float(np.median(values[:, 1]) or np.median(values[:, 0]))
    longest = np.full_like(values, _LONGEST * spacing)
    lengths = np.divide(radius, values, out=longest.copy(), where=values > 0)
    angles = np.linspace(0, 2 * np.pi, _N_ANGLES, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    axes = np.minimum(lengths, longest)[:, :, None] * V
    return centres[:, None] + circle @ axes, radius


def checked_samples(points: object) -> tuple[NDArray, NDArray[np.intp]]:
    """Return samples of the plane and the number of the class of each."""
    if not isinstance(points, tuple | list) or len(points) != 2:
        raise ValueError(f"points must be a pair of samples and their classes; got {points!r}.")
    X, y = as_numbers(points[0], "points", ndim=2), points[1]
    if X.shape[1] != 2:
        raise ValueError(f"points must have 2 features; got {X.shape[1]}.")
    check_consistent_length(X, y)
    return X, numbered(y)


def transforms(estimator: object, response_method: str) -> bool:
    """Return whether the map is what `transform` gives, or what decides."""
    if response_method not in ("auto", "transform", "decision_function"):
        raise ValueError(
            'response_method must be "auto", "transform" or "decision_function"; got '
            f"{response_method!r}."
        )
    return response_method == "transform" or (
        response_method == "auto" and hasattr(estimator, "transform")
    )
