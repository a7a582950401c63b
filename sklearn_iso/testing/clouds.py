"""Strategies that draw points, and points with labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

#: Coordinates are drawn from a lattice of this resolution in [-1, 1]: two of them are equal or
#: so far apart that float64 keeps the digits of their difference.
LATTICE = 2**10

#: Shapes of a cloud, simplest first: a failing example shrinks towards the left.
SHAPES = ("uniform", "collinear", "clustered", "heavy_tailed", "duplicates")


def point_clouds(
    *,
    min_samples: int = 2,
    max_samples: int = 20,
    min_features: int = 1,
    max_features: int = 5,
    shapes: Sequence[str] = SHAPES,
    scales: tuple[float, float] = (1e-6, 1e6),
    general_position: bool = False,
    dtype: Any = np.float64,
) -> st.SearchStrategy[NDArray[Any]]:
    """Draw arrays of points as they occur: spread out, on a line, in clusters, repeated.

    A failing example shrinks towards few points of few features, uniform, at scale 1, with
    coordinates of 0. Coordinates are multiples of 2^-10 (2^-14 within clusters) times the
    scale, so that two rows either coincide or are well apart.

    Parameters
    ----------
    min_samples, max_samples, min_features, max_features : int
        Bounds of the shape.
    shapes : sequence of str
        Some of "uniform", "collinear", "clustered", "heavy_tailed" (coordinates up to 1,023
        times as large as the usual), "duplicates" (few distinct rows, repeated).
    scales : (float, float), default=(1e-6, 1e6)
        Smallest and largest factor on all coordinates, a power of ten.
    general_position : bool, default=False
        Shift every coordinate by a fixed amount below the lattice, so that no two rows
        coincide and no two distances are equal: for what depends on the order of distances.
        Leaves "duplicates" and "collinear" out.
    dtype : dtype, default=float64

    Returns
    -------
    strategy : SearchStrategy of ndarray of shape (n_samples, n_features)

    Raises
    ------
    ValueError
        If a bound or a shape is none.

    Examples
    --------
    >>> from hypothesis import find, settings
    >>> from sklearn_iso.testing import point_clouds
    >>> simple = settings(database=None, derandomize=True)
    >>> find(point_clouds(), lambda X: len(X) > 1, settings=simple)
    array([[0.],
           [0.]])
    """
    unknown = set(shapes) - set(SHAPES)
    if unknown or not shapes:
        raise ValueError(f"shapes must be some of {SHAPES}; got {tuple(shapes)!r}.")
    if not 0 < scales[0] <= scales[1]:
        raise ValueError(f"scales must be a pair 0 < low <= high; got {scales!r}.")
    if general_position:
        shapes = [shape for shape in shapes if shape not in ("collinear", "duplicates")]
    n_samples = st.integers(min_samples, max_samples)
    n_features = st.integers(min_features, max_features)
    return _clouds(n_samples, n_features, tuple(shapes), scales, general_position, dtype)


@st.composite
def _clouds(
    draw: st.DrawFn,
    n_samples: st.SearchStrategy[int],
    n_features: st.SearchStrategy[int],
    shapes: tuple[str, ...],
    scales: tuple[float, float],
    general_position: bool,
    dtype: Any,
) -> NDArray[Any]:
    shape = draw(st.sampled_from(shapes))
    points = _DRAWS[shape](draw, draw(n_samples), draw(n_features))
    if general_position:
        points = points + _offsets(points.shape) / (64 * LATTICE)
    # Towards 1, the simplest; a range without a power of ten is its lower end.
    low, high = np.ceil(np.log10(scales[0])), np.floor(np.log10(scales[1]))
    scale = 10.0 ** draw(st.integers(int(low), int(high))) if low <= high else scales[0]
    return np.asarray(points * scale, dtype=dtype)


def _lattice(draw: st.DrawFn, shape: tuple[int, int]) -> NDArray[np.float64]:
    # All at once, from bytes: a draw for each entry costs fifty times as much. Small bytes
    # come out near 0, where examples shrink to: 0, -1, 1, -2, ...
    size = 2 * shape[0] * shape[1]
    drawn = np.frombuffer(draw(st.binary(min_size=size, max_size=size)), dtype=">u2") >> 5
    steps = np.where(drawn % 2, -1.0, 1.0) * ((drawn + 1) // 2)
    return steps.reshape(shape) / LATTICE


def _uniform(draw: st.DrawFn, n_samples: int, n_features: int) -> NDArray[np.float64]:
    return _lattice(draw, (n_samples, n_features))


def _collinear(draw: st.DrawFn, n_samples: int, n_features: int) -> NDArray[np.float64]:
    start, direction = _lattice(draw, (2, n_features))
    return start + _lattice(draw, (n_samples, 1)) * direction


def _clustered(draw: st.DrawFn, n_samples: int, n_features: int) -> NDArray[np.float64]:
    centres = 8 * _lattice(draw, (draw(st.integers(1, 4)), n_features))
    return _picked(draw, centres, n_samples) + _lattice(draw, (n_samples, n_features)) / 16


def _heavy_tailed(draw: st.DrawFn, n_samples: int, n_features: int) -> NDArray[np.float64]:
    exponents = _lattice(draw, (n_samples, n_features))
    return np.sign(exponents) * (2 ** (10 * np.abs(exponents)) - 1)


def _duplicates(draw: st.DrawFn, n_samples: int, n_features: int) -> NDArray[np.float64]:
    n_distinct = draw(st.integers(1, max(1, n_samples // 3)))
    return _picked(draw, _lattice(draw, (n_distinct, n_features)), n_samples)


def _picked(draw: st.DrawFn, rows: NDArray[np.float64], n_samples: int) -> NDArray[np.float64]:
    return rows[_numbers(draw, n_samples, len(rows))]


def _numbers(draw: st.DrawFn, size: int, below: int) -> NDArray[np.int64]:
    drawn = np.frombuffer(draw(st.binary(min_size=size, max_size=size)), dtype=np.uint8)
    return drawn.astype(np.int64) % below


_DRAWS = {
    "uniform": _uniform,
    "collinear": _collinear,
    "clustered": _clustered,
    "heavy_tailed": _heavy_tailed,
    "duplicates": _duplicates,
}


def _offsets(shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return fixed numbers in [-1, 1) without a pattern that distances could share."""
    return np.random.RandomState(0).uniform(-1, 1, size=shape)


def labelled_point_clouds(
    *,
    min_classes: int = 2,
    max_classes: int = 4,
    min_per_class: int = 1,
    **clouds: Any,
) -> st.SearchStrategy[tuple[NDArray[Any], NDArray[np.int64]]]:
    """Draw points with a class for each.

    Parameters
    ----------
    min_classes, max_classes : int
        Bounds of the number of classes; each has a member.
    min_per_class : int, default=1
        Rows of the smallest class.
    **clouds
        As for :func:`point_clouds`; there are at least as many rows as the classes need.

    Returns
    -------
    strategy : SearchStrategy of (X, y)
        y holds the numbers 0 to n_classes - 1.

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> from sklearn_iso.testing import labelled_point_clouds
    >>> @settings(max_examples=5, deadline=None, database=None)
    ... @given(labelled_point_clouds(min_per_class=2))
    ... def test_every_class_has_two_rows(data):
    ...     X, y = data
    ...     assert min((y == label).sum() for label in set(y)) >= 2
    >>> test_every_class_has_two_rows()
    """
    return _labelled(min_classes, max_classes, min_per_class, clouds)


@st.composite
def _labelled(
    draw: st.DrawFn,
    min_classes: int,
    max_classes: int,
    min_per_class: int,
    options: dict[str, Any],
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    n_classes = draw(st.integers(min_classes, max_classes))
    needed = max(options.get("min_samples", 2), n_classes * min_per_class)
    most = max(options.get("max_samples", 20), needed)
    X = draw(point_clouds(**options | {"min_samples": needed, "max_samples": most}))
    sure = np.arange(n_classes * min_per_class) % n_classes
    y = np.concatenate([sure, _numbers(draw, len(X) - len(sure), n_classes)])
    return X, np.roll(y, draw(st.integers(0, len(y) - 1)))
