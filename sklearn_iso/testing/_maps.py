"""Strategies that draw maps whose effect on distances is known exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import ParamSpec, TypeVar

import numpy as np
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from sklearn.utils._param_validation import Interval

from sklearn_iso._protocols import Floats
from sklearn_iso._typed import validate_params

P = ParamSpec("P")
R = TypeVar("R")

_STEPS = 8  # of a lattice of shifts and kinks in [-1, 1]

_RULES: dict = {
    "factors": ["array-like"],
    "max_turns": [Interval(Integral, 0, None, closed="left")],
    "max_shift": [Interval(Real, 0, None, closed="left")],
    "max_ratio": [Interval(Real, 1, None, closed="left")],
}


def _rules(*names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    return validate_params(
        {name: _RULES[name] for name in names}, prefer_skip_nested_validation=False
    )


def _check_field(
    name: str, value: ArrayLike, shape: tuple[int | None, ...], *, least: float
) -> None:
    """Raise a ValueError unless a field holds finite numbers above a bound, of a shape."""
    try:
        found = np.asarray(value)
        if found.dtype.kind not in "fiu":
            raise ValueError
        found = found.astype(np.float64)
    except (TypeError, ValueError):
        found = np.full((), np.nan)
    fits = found.ndim == len(shape) and all(
        wanted in (None, size) for wanted, size in zip(shape, found.shape, strict=True)
    )
    fits = fits and not isinstance(value, str | bytes) and bool(np.isfinite(found).all())
    if not fits or not (found > least).all():
        rule = "be positive and finite" if least == 0 else "hold finite numbers"
        raise ValueError(f"{name} must {rule}, so that no two points merge; got {value!r}.")


@dataclass(frozen=True)
class Similarity:
    r"""The map :math:`x \mapsto c\,Q x + b`, which multiplies every distance by c.

    It fits points of any number of features: axes count modulo their number, and the shift
    is repeated over them.

    Parameters
    ----------
    factor : float
        The c, positive; 1 for a rigid motion.
    turns : tuple of (int, int, int)
        Rotations: two axes and an angle in degrees each, one after the other.
    mirrored : bool
        Whether the first axis is reflected.
    shift : tuple of float
        The b.

    Raises
    ------
    ValueError
        If a parameter is none of these.

    Examples
    --------
    >>> from sklearn_iso.testing import Similarity
    >>> Similarity(2.0, turns=((0, 1, 90),))([[1.0, 0.0]]).round(6)
    array([[0., 2.]])
    """

    factor: float = 1.0
    turns: tuple[tuple[int, int, int], ...] = ()
    mirrored: bool = False
    shift: tuple[float, ...] = (0.0,)

    def __post_init__(self) -> None:
        _check_field("factor", self.factor, (), least=0)
        if not isinstance(self.turns, tuple | list) or self.turns:
            _check_field("turns", self.turns, (None, 3), least=-np.inf)
        _check_field("shift", self.shift, (None,), least=-np.inf)
        if not isinstance(self.mirrored, bool | np.bool_):
            raise ValueError(f"mirrored must be True or False; got {self.mirrored!r}.")

    @property
    def lower(self) -> float:
        """Smallest ratio of distances."""
        return self.factor

    @property
    def upper(self) -> float:
        """Largest ratio of distances."""
        return self.factor

    def __call__(self, X: ArrayLike) -> Floats:
        """Return the moved points."""
        points = _as_points(X)
        width = points.shape[1]
        for first, second, degrees in self.turns:
            i, j = first % width, second % width
            if i != j:
                sine, cosine = np.sin(np.deg2rad(degrees)), np.cos(np.deg2rad(degrees))
                # With Python floats: numpy's would make float32 into float64.
                rotation = np.array([[cosine, sine], [-sine, cosine]], dtype=points.dtype)
                points[:, [i, j]] = points[:, [i, j]] @ rotation
        if self.mirrored:
            points[:, 0] *= -1
        return float(self.factor) * points + np.resize(self.shift, width).astype(points.dtype)

    def in_units_of(self, X: ArrayLike) -> Similarity:
        """Return the same map with its shift in units of the largest coordinate of X.

        Parameters
        ----------
        X : array-like
            Points that the map will be applied to.

        Returns
        -------
        map : Similarity
            The map in these units.
        """
        unit = largest(X) * self.factor
        return replace(self, shift=tuple(float(unit * value) for value in self.shift))


@dataclass(frozen=True)
class BiLipschitzMap:
    r"""A map that keeps distances up to known constants.

    .. math:: \mathrm{lower} \cdot |x - x'| \le |f(x) - f(x')| \le \mathrm{upper} \cdot |x - x'|

    It moves the points, bends every axis at a point of it, and moves the result.

    Parameters
    ----------
    before : Similarity
    slopes : (float, float)
        Slope of every axis before and after its kink, positive.
    kink : float
        Where the axes bend.
    after : Similarity

    Raises
    ------
    ValueError
        If a parameter is none of these.

    Examples
    --------
    >>> from sklearn_iso.testing import BiLipschitzMap
    >>> bend = BiLipschitzMap(slopes=(1.0, 3.0))
    >>> bend.lower, bend.upper, bend([[-1.0], [0.0], [1.0]]).ravel()
    (1.0, 3.0, array([-1.,  0.,  3.]))
    """

    before: Similarity = Similarity()
    slopes: tuple[float, float] = (1.0, 1.0)
    kink: float = 0.0
    after: Similarity = Similarity()

    def __post_init__(self) -> None:
        _check_field("slopes", self.slopes, (2,), least=0)
        _check_field("kink", self.kink, (), least=-np.inf)
        for name in ("before", "after"):
            if not isinstance(getattr(self, name), Similarity):
                raise ValueError(f"{name} must be a Similarity; got {getattr(self, name)!r}.")

    @property
    def lower(self) -> float:
        """Smallest ratio of distances that can occur."""
        return self.before.factor * min(self.slopes) * self.after.factor

    @property
    def upper(self) -> float:
        """Largest ratio of distances that can occur."""
        return self.before.factor * max(self.slopes) * self.after.factor

    def __call__(self, X: ArrayLike) -> Floats:
        """Return the images of the points."""
        beyond = self.before(X) - self.kink
        low, high = self.slopes
        bent = np.where(beyond < 0, low * beyond, high * beyond) + low * self.kink
        return self.after(bent)

    def in_units_of(self, X: ArrayLike) -> BiLipschitzMap:
        """Return the same map with shifts and kink in units of the largest coordinate of X.

        Parameters
        ----------
        X : array-like
            Points that the map will be applied to.

        Returns
        -------
        map : BiLipschitzMap
            The map in these units.
        """
        before = self.before.in_units_of(X)
        unit = largest(X)
        bent = max(self.slopes) * self.before.factor * np.array([unit])
        kink = self.kink * unit * self.before.factor
        return replace(self, before=before, kink=kink, after=self.after.in_units_of(bent))


def _as_points(X: ArrayLike) -> Floats:
    """Return a copy of points as an array of floats."""
    points = np.asarray(X)
    if points.ndim != 2 or points.dtype.kind not in "fiub":
        raise ValueError(
            f"A map takes points of shape (n_samples, n_features), all numbers; got shape "
            f"{points.shape} and dtype {points.dtype}. Use X.reshape(1, -1) for one point."
        )
    return np.array(points, dtype=np.result_type(points.dtype, np.float32))


def largest(X: ArrayLike) -> float:
    """Return the largest magnitude of a coordinate, 1 where all are 0."""
    return float(np.abs(np.asarray(X, dtype=np.float64)).max(initial=0.0)) or 1.0


@_rules("max_turns", "max_shift")
def rigid_motions(*, max_turns: int = 4, max_shift: float = 10.0) -> st.SearchStrategy[Similarity]:
    """Draw rotations, reflections and translations, which keep every distance.

    A failing example shrinks towards the identity.

    Parameters
    ----------
    max_turns : int, default=4
        Most rotations in a plane that follow each other.
    max_shift : float, default=10.0
        Largest coordinate of the translation. ``motion.in_units_of(X)`` takes it in units of
        X, which keeps the digits of small clouds.

    Returns
    -------
    strategy : SearchStrategy of Similarity
        Callables for points of any number of features.

    Raises
    ------
    ValueError
        If a bound is negative or not finite.

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> from scipy.spatial.distance import pdist
    >>> from sklearn_iso.testing import point_clouds, rigid_motions
    >>> @settings(max_examples=5, deadline=None, database=None)
    ... @given(point_clouds(), rigid_motions())
    ... def test_distances_are_kept(X, motion):
    ...     moved = motion.in_units_of(X)(X)
    ...     assert abs(pdist(moved) - pdist(X)).max() <= 1e-12 * abs(moved).max()
    >>> test_distances_are_kept()
    """
    return _similarities(max_turns, max_shift, st.just(1.0))


@_rules("factors", "max_turns", "max_shift")
def similarities(
    *, factors: tuple[float, float] = (1e-3, 1e3), max_turns: int = 4, max_shift: float = 10.0
) -> st.SearchStrategy[Similarity]:
    """Draw rigid motions that also multiply every distance by a factor.

    Parameters
    ----------
    factors : (float, float), default=(1e-3, 1e3)
        Smallest and largest factor; powers of two between them are drawn.
    max_turns : int, default=4
        Most rotations in a plane that follow each other.
    max_shift : float, default=10.0
        Largest coordinate of the translation.

    Returns
    -------
    strategy : SearchStrategy of Similarity
        Draws maps that can be called.

    Raises
    ------
    ValueError
        If `factors` are no range of positive numbers, or a bound is negative or not finite.

    Examples
    --------
    >>> from hypothesis import find, settings
    >>> from sklearn_iso.testing import similarities
    >>> simple = settings(database=None, derandomize=True)
    >>> find(similarities(), lambda move: move.factor > 1, settings=simple)
    Similarity(factor=2.0, turns=(), mirrored=False, shift=(0.0,))
    """
    return _similarities(max_turns, max_shift, powers_of_two(*_checked_factors(factors)))


@_rules("max_ratio", "factors", "max_turns")
def bi_lipschitz_maps(
    *, max_ratio: float = 16.0, factors: tuple[float, float] = (1e-3, 1e3), max_turns: int = 3
) -> st.SearchStrategy[BiLipschitzMap]:
    """Draw maps with known constants ``lower`` and ``upper``, bent and moved.

    A failing example shrinks towards the identity.

    Parameters
    ----------
    max_ratio : float, default=16.0
        Largest ``upper / lower``.
    factors : (float, float), default=(1e-3, 1e3)
        Smallest and largest factor of the map as a whole.
    max_turns : int, default=3
        Most rotations before and after the bend.

    Returns
    -------
    strategy : SearchStrategy of BiLipschitzMap
        Callables for points of any number of features.

    Raises
    ------
    ValueError
        If `factors` are no range of positive numbers, or a bound is out of its range.

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> from scipy.spatial.distance import pdist
    >>> from sklearn_iso.testing import bi_lipschitz_maps, point_clouds
    >>> @settings(max_examples=5, deadline=None, database=None)
    ... @given(point_clouds(scales=(1, 1)), bi_lipschitz_maps())
    ... def test_no_distance_grows_beyond_the_constant(X, bend):
    ...     assert (pdist(bend(X)) <= bend.upper * (pdist(X) + 1e-9)).all()
    >>> test_no_distance_grows_beyond_the_constant()
    """
    slope = powers_of_two(1.0, max_ratio)
    return st.builds(
        BiLipschitzMap,
        before=_similarities(max_turns, 1.0, st.just(1.0)),
        slopes=st.one_of(st.tuples(st.just(1.0), slope), st.tuples(slope, st.just(1.0))),
        kink=_lattice(1.0),
        after=_similarities(max_turns, 1.0, powers_of_two(*_checked_factors(factors))),
    )


def _similarities(
    max_turns: int, max_shift: float, factors: st.SearchStrategy[float]
) -> st.SearchStrategy[Similarity]:
    axes = st.integers(0, 4)
    turns = st.lists(st.tuples(axes, axes, st.integers(-180, 180)), max_size=max_turns)
    return st.builds(
        Similarity,
        factor=factors,
        turns=turns.map(tuple),
        mirrored=st.booleans(),
        shift=st.lists(_lattice(max_shift), min_size=1, max_size=3).map(tuple),
    )


def _lattice(size: float) -> st.SearchStrategy[float]:
    return st.integers(-_STEPS, _STEPS).map(lambda step: size * step / _STEPS)


def powers_of_two(low: float, high: float) -> st.SearchStrategy[float]:
    """Draw powers of two within a range, towards 1; a range without one is its lower end."""
    first, last = int(np.ceil(np.log2(low))), int(np.floor(np.log2(high)))
    if first > last:
        return st.just(float(low))
    return st.integers(first, last).map(lambda exponent: 2.0**exponent)


def _checked_factors(factors: Iterable[float]) -> tuple[float, float]:
    try:
        low, high = (float(factor) for factor in factors)
    except (TypeError, ValueError):
        low, high = np.nan, np.nan
    if not 0 < low <= high < np.inf:
        raise ValueError(
            f"factors must be a pair of finite numbers, 0 < low <= high; got {factors!r}. Pass for "
            "example (0.5, 2)."
        )
    return low, high
