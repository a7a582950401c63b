"""Statistics of the distances of pairs in two spaces, and the standard error of their draw."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_iso.metrics._pairs import (
    Sampling,
    binary_scale,
    check_pair_of_spaces,
    pair_distances,
)
from sklearn_iso.metrics._sampling_error import bounding_error, quantile_interval, warn_of_no_error
from sklearn_iso.metrics._signatures import SamplingParameters
from sklearn_iso.metrics._weights import upper_quantile, weighted

if TYPE_CHECKING:
    from typing_extensions import Unpack

#: Parts of a sample of pairs, from whose spread its standard error follows.
_PARTS = 20

Values = NDArray[np.float64]
#: Of distances in X, distances in Z, and weights of the pairs where given.
Statistic = Callable[[Values, Values, Values | None], float]


def estimate(
    statistic: Statistic,
    X: ArrayLike,
    Z: ArrayLike,
    y: ArrayLike | None,
    sample_weight: ArrayLike | None = None,
    *,
    error_of: Statistic | None = None,
    **sampling: Unpack[SamplingParameters],
) -> tuple[float, float]:
    """Return a statistic of paired distances and the standard error of their draw.

    Distances are in the units of X and of Z. The standard error is 0.0 where all pairs count;
    otherwise what `error_of` makes of the distances, by default that of a mean of the statistic
    over 20 equal parts of the sample, which is NaN, with a warning, of fewer than 40 pairs.

    Examples
    --------
    >>> from sklearn_iso.metrics._ratios import estimate
    >>> X, Z = [[0.0], [1.0]], [[0.0], [3.0]]
    >>> estimate(lambda d_X, d_Z, weight: float((d_Z / d_X).max()), X, Z, None)
    (3.0, 0.0)
    """
    weight, X, Z, y = weighted(sample_weight, X, Z, y)
    X, Z, classes = check_pair_of_spaces(X, Z, y)
    how = Sampling(**sampling).checked()._asdict()
    pairs = pair_distances(X, Z, classes, weight=weight, **how)
    d_X, d_Z = pairs.d_X * binary_scale(X), pairs.d_Z * binary_scale(Z)
    value = statistic(d_X, d_Z, pairs.weight)
    if pairs.exact:
        return value, 0.0
    error = _error_of_parts(statistic) if error_of is None else error_of
    return value, error(d_X, d_Z, pairs.weight)


def _error_of_parts(statistic: Statistic) -> Statistic:
    """Return the error of a statistic by its spread over parts of the sample of pairs."""

    def error(d_X: Values, d_Z: Values, weight: Values | None) -> float:
        if len(d_X) < 2 * _PARTS:
            warn_of_no_error(len(d_X))
            return float("nan")
        values = np.array([
            statistic(d_X[part], d_Z[part], None if weight is None else weight[part])
            for part in np.array_split(np.arange(len(d_X)), _PARTS)
        ])  # fmt: skip
        spread = float(values.std(ddof=1)) if np.isfinite(values).all() else float("inf")
        return spread / _PARTS**0.5

    return error


def no_error(d_X: Values, d_Z: Values, weight: Values | None) -> float:
    """Return no error, as nobody asked for one."""
    return 0.0


def quantile_error(quantile: float, *, expands: bool, contracts: bool) -> Statistic:
    """Return the error of a quantile of ratios, of inverse ratios, or of their product."""

    def error(d_X: Values, d_Z: Values, weight: Values | None) -> float:
        sides = [(d_X, d_Z)] * expands + [(d_Z, d_X)] * contracts
        ratios = [_ratios(*side, weight) for side in sides]
        found = bounding_error(*(quantile_interval(r, quantile, w) for r, w in ratios))
        if np.isnan(found):
            warn_of_no_error(len(d_X), quantile)
        return found

    return error


def _ratios(d_X: Values, d_Z: Values, weight: Values | None) -> tuple[Values, Values | None]:
    apart = (d_X > 0) | (d_Z > 0)
    if not apart.any():
        raise ValueError(
            "A ratio of distances needs two points that differ in X or in Z; all pairs coincide "
            "in both. Pass distinct points."
        )
    with np.errstate(divide="ignore", over="ignore"):
        return d_Z[apart] / d_X[apart], None if weight is None else weight[apart]


def largest_ratio(quantile: float) -> Statistic:
    """Return a quantile of the ratios of distances in Z to those in X, as a statistic."""

    def largest(d_X: Values, d_Z: Values, weight: Values | None) -> float:
        ratios, of_pairs = _ratios(d_X, d_Z, weight)
        return upper_quantile(ratios, quantile, of_pairs)

    return largest


def largest_inverse(quantile: float) -> Statistic:
    """Return a quantile of the inverse ratios: a pair that Z merges counts as infinite."""
    return lambda d_X, d_Z, weight: largest_ratio(quantile)(d_Z, d_X, weight)
