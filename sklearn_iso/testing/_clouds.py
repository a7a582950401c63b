"""Strategies that draw points, and points with labels."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING, TypedDict

import numpy as np
from hypothesis import strategies as st
from numpy.typing import DTypeLike, NDArray
from sklearn.utils._param_validation import Interval

from sklearn_iso._protocols import Floats
from sklearn_iso._typed import validate_params
from sklearn_iso.testing._blocks import BLOCKS, Block, any_of

#: Coordinates are drawn from a lattice of this resolution in [-1, 1]: two of them are equal or
#: so far apart that float64 keeps the digits of their difference.
LATTICE = 2**10

if TYPE_CHECKING:
    from typing_extensions import Unpack

#: Shapes of a cloud, simplest first: a failing example shrinks towards the left.
SHAPES = ("uniform", "collinear", "clustered", "heavy_tailed", "duplicates")

#: Those that keep their shape when every coordinate is shifted a little.
_GENERAL = ("uniform", "clustered", "heavy_tailed")

_POSITIVE = [Interval(Integral, 1, None, closed="left")]


class CloudParameters(TypedDict, total=False):
    """Parameters of :func:`point_clouds`."""

    min_samples: int
    max_samples: int
    min_features: int
    max_features: int
    shapes: Sequence[str]
    scales: tuple[float, float]
    general_position: bool
    dtype: DTypeLike


@validate_params(
    {
        "min_samples": _POSITIVE,
        "max_samples": _POSITIVE,
        "min_features": _POSITIVE,
        "max_features": _POSITIVE,
        "shapes": ["array-like"],
        "scales": ["array-like"],
        "general_position": ["boolean"],
    },
    prefer_skip_nested_validation=False,
)
def point_clouds(
    *,
    min_samples: int = 2,
    max_samples: int = 20,
    min_features: int = 1,
    max_features: int = 5,
    shapes: Sequence[str] = SHAPES,
    scales: tuple[float, float] = (1e-6, 1e6),
    general_position: bool = False,
    dtype: DTypeLike = np.float64,
) -> st.SearchStrategy[Floats]:
    """Draw arrays of points as they occur: spread out, on a line, in clusters, repeated.

    A failing example shrinks towards few points of few features, uniform, at scale 1, with
    coordinates of 0. Coordinates are multiples of 2^-10 (2^-14 within clusters) times the
    scale, so that two samples either coincide or are well apart. Of a large cloud the first 130
    coordinates or so shrink one by one, and the others come from a seed that these make.

    Parameters
    ----------
    min_samples, max_samples, min_features, max_features : int
        Bounds of the shape, 1 or more.
    shapes : sequence of str
        Some of "uniform", "collinear", "clustered", "heavy_tailed" (coordinates up to 1,023
        times as large as the usual), "duplicates" (few distinct samples, repeated).
    scales : (float, float), default=(1e-6, 1e6)
        Smallest and largest factor on all coordinates, a power of ten.
    general_position : bool, default=False
        Shift every coordinate by a fixed amount below the lattice, so that in float64 no two
        samples coincide and no two distances are equal: for what depends on the order of
        distances. Leaves "duplicates" and "collinear" out.
    dtype : dtype, default=float64
        A kind of float that holds the scales.

    Returns
    -------
    strategy : SearchStrategy of ndarray of shape (n_samples, n_features)
        Draws float64 arrays.

    Raises
    ------
    ValueError
        If a bound, a shape or a scale is none, or the dtype does not hold the scales.

    Examples
    --------
    >>> from hypothesis import find, settings
    >>> from sklearn_iso.testing import point_clouds
    >>> simple = settings(database=None, derandomize=True)
    >>> find(point_clouds(), lambda X: len(X) > 1, settings=simple)
    array([[0.],
           [0.]])
    """
    check_bounds("samples", min_samples, max_samples)
    try:
        kind = np.dtype(dtype)
    except (TypeError, ValueError) as error:
        raise ValueError(f"dtype must be a kind of float; got {dtype!r}.") from error
    check_bounds("features", min_features, max_features)
    return _clouds(
        any_of(min_samples, max_samples),
        any_of(min_features, max_features),
        shapes=_known_shapes(shapes, general_position),
        scales=_scales(*_checked_scales(scales, kind, general_position)),
        general_position=general_position,
        dtype=dtype,
    )


def check_bounds(what: str, low: int, high: int) -> None:
    """Raise a ValueError unless the bounds of a number are in order."""
    if low > high:
        raise ValueError(
            f"min_{what} must be at most max_{what}; got min_{what}={low} and max_{what}={high}. "
            "Pass both."
        )


def _known_shapes(shapes: Sequence[str], general_position: bool) -> tuple[str, ...]:
    given = np.asarray(shapes, dtype=object)
    if (
        given.ndim != 1
        or not given.size
        or not all(isinstance(shape, str) and shape in SHAPES for shape in given)
    ):
        raise ValueError(f"shapes must be some of {SHAPES}; got {shapes!r}.")
    known = tuple(s for s in shapes if s in _GENERAL or not general_position)
    if not known:
        raise ValueError(
            f"general_position needs shapes among {_GENERAL}, as samples of the others coincide or "
            f"lie on a line; got {shapes!r}."
        )
    return known


def _checked_scales(
    scales: tuple[float, float], dtype: np.dtype, general_position: bool
) -> tuple[float, float]:
    """Return the scales as floats, where the largest and the smallest step fit the dtype."""
    if dtype.kind != "f":
        raise ValueError(f"dtype must be a kind of float; got {dtype}. Round the points drawn.")
    limits = np.finfo(dtype)
    finest = (64 if general_position else 16) * LATTICE
    lowest, highest = float(limits.tiny) * finest, float(limits.max) / LATTICE
    try:
        low, high = (float(scale) for scale in scales)
    except (TypeError, ValueError):
        low, high = np.nan, np.nan
    if not lowest <= low <= high <= highest:
        raise ValueError(
            f"scales must be a pair of numbers, low <= high, within {lowest:.2g} and "
            f"{highest:.2g}, so that {dtype} holds all coordinates; got {scales!r}."
        )
    return low, high


@st.composite
def _clouds(
    draw: st.DrawFn,
    n_samples: st.SearchStrategy[int],
    n_features: st.SearchStrategy[int],
    *,
    shapes: tuple[str, ...],
    scales: tuple[float, ...],
    general_position: bool,
    dtype: DTypeLike,
) -> Floats:
    shape, size = draw(st.sampled_from(shapes)), (draw(n_samples), draw(n_features))
    scale = draw(st.sampled_from(scales))
    points = _SHAPES[shape](Block(draw(BLOCKS)), *size)
    if general_position:
        points = points + _offsets(points.shape) / (64 * LATTICE)
    return np.asarray(points * scale, dtype=dtype)


def _scales(low: float, high: float) -> tuple[float, ...]:
    """Return the powers of ten within a range, 1 the simplest; without one, its lower end."""
    first, last = int(np.ceil(np.log10(low))), int(np.floor(np.log10(high)))
    exponents = sorted(range(first, last + 1), key=lambda exponent: (abs(exponent), -exponent))
    return tuple(10.0**exponent for exponent in exponents) or (low,)


def _lattice(block: Block, *shape: int) -> NDArray[np.float64]:
    # Small bytes come out near 0, where examples shrink to: 0, -1, 1, -2, ...
    drawn = np.frombuffer(block.take(2 * int(np.prod(shape))), dtype=">u2") >> 5
    steps = np.where(drawn % 2, -1.0, 1.0) * ((drawn + 1) // 2)
    return steps.reshape(shape) / LATTICE


def _uniform(block: Block, n_samples: int, n_features: int) -> NDArray[np.float64]:
    return _lattice(block, n_samples, n_features)


def _collinear(block: Block, n_samples: int, n_features: int) -> NDArray[np.float64]:
    start, direction = _lattice(block, 2, n_features)
    return start + _lattice(block, n_samples, 1) * direction


def _clustered(block: Block, n_samples: int, n_features: int) -> NDArray[np.float64]:
    within = _lattice(block, n_samples, n_features) / 16
    centres = 8 * _lattice(block, 1 + block.below(4), n_features)
    return centres[block.numbers(n_samples, len(centres))] + within


def _heavy_tailed(block: Block, n_samples: int, n_features: int) -> NDArray[np.float64]:
    exponents = _lattice(block, n_samples, n_features)
    return np.sign(exponents) * (2 ** (10 * np.abs(exponents)) - 1)


def _duplicates(block: Block, n_samples: int, n_features: int) -> NDArray[np.float64]:
    most = max(n_samples // 3, min(2, n_samples - 1), 1)
    distinct = _lattice(block, 1 + block.below(most), n_features)
    return distinct[block.numbers(n_samples, len(distinct))]


_SHAPES = {
    "uniform": _uniform,
    "collinear": _collinear,
    "clustered": _clustered,
    "heavy_tailed": _heavy_tailed,
    "duplicates": _duplicates,
}


def _offsets(shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return fixed numbers in [-1, 1) without a pattern that distances could share."""
    return np.random.RandomState(0).uniform(-1, 1, size=shape)


@validate_params(
    {"min_classes": _POSITIVE, "max_classes": _POSITIVE, "min_per_class": _POSITIVE},
    prefer_skip_nested_validation=False,
)
def labelled_point_clouds(
    *,
    min_classes: int = 2,
    max_classes: int = 4,
    min_per_class: int = 1,
    **clouds: Unpack[CloudParameters],
) -> st.SearchStrategy[tuple[Floats, NDArray[np.int64]]]:
    """Draw points with a class for each.

    Parameters
    ----------
    min_classes, max_classes : int
        Bounds of the number of classes; each has a member.
    min_per_class : int, default=1
        Samples of the smallest class.
    **clouds
        What points are drawn: bounds of the shape, `min_samples` (2 by default, or as many as the
        classes need), `max_samples` (20), `min_features` (1) and `max_features` (5); `shapes`,
        `scales`, `general_position` and `dtype`. Details in :func:`point_clouds`.

    Returns
    -------
    strategy : SearchStrategy of (X, y)
        Of y the numbers 0 to n_classes - 1, each at least once.

    Raises
    ------
    ValueError
        If a bound, a shape or a scale is none, or the dtype does not hold the scales.

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
    check_bounds("classes", min_classes, max_classes)
    point_clouds(**clouds)  # whose errors are wanted here, and not at the first draw
    return _labelled(min_classes, max_classes, min_per_class, clouds)


@st.composite
def _labelled(
    draw: st.DrawFn,
    min_classes: int,
    max_classes: int,
    min_per_class: int,
    options: CloudParameters,
) -> tuple[Floats, NDArray[np.int64]]:
    n_classes = draw(any_of(min_classes, max_classes))
    needed = max(options.get("min_samples", 2), n_classes * min_per_class)
    most = max(options.get("max_samples", 20), max_classes * min_per_class)
    clouds: CloudParameters = {**options, "min_samples": needed, "max_samples": most}
    X = draw(point_clouds(**clouds))
    sure = np.arange(n_classes * min_per_class) % n_classes
    block = Block(draw(BLOCKS))
    y = np.concatenate([sure, block.numbers(len(X) - len(sure), n_classes)])
    return X, np.roll(y, draw(any_of(0, most - 1)))
