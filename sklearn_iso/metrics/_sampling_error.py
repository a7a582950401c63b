"""How far the quantile of a sample may be from that of all: by order statistics."""

from __future__ import annotations

import math
import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from sklearn_iso._weighting import ROUNDING, effective_number
from sklearn_iso.metrics._weights import upper_quantile

#: Half the width of the 95% interval of a normal variable, in standard deviations.
Z_95 = 1.96


class Interval(NamedTuple):
    """A quantile of a sample, between the ends of the 95% interval of that of all."""

    low: float
    value: float
    high: float


def quantile_interval(
    values: NDArray[np.float64], quantile: float, weight: NDArray[np.float64] | None = None
) -> Interval | None:
    r"""Return a quantile of a random sample and its 95% interval, None where it has none.

    .. math:: P(x_{(l)} \le Q_q \le x_{(u)}) \ge 0.95

    with l and u such that a binomial number of n draws below the quantile lies outside of
    [l, u - 1] with a probability of at most 2.5% on each side. It holds for every distribution;
    with q near 0 or 1 no sample of n has such an l or u. With weights the ends are weighted
    quantiles, and n is the effective number of the share of weight up to a value x,

    .. math:: n_x = \frac{\sum_i w_i \sum_i w_i r_i^2}{\sum_i w_i^2 r_i^2}, \qquad
              r_i = \mathbf{1}[x_i \le x] - q

    at the quantile or at an end, or Kish's, whichever is least: an approximation, close where
    weights know nothing of values. Weights that grow with the values hide the heaviest ones from a
    small sample: in simulations of the upper quartile, lognormal weights that were a function
    of the value covered 0.94 from 200 values on, and about 0.8 with 60.

    References
    ----------
    H. A. David, H. N. Nagaraja, "Order Statistics", 3rd edition, Wiley 2003, section 7.1.
    R. S. Woodruff, "Confidence intervals for medians and other position measures", JASA 1952,
    for the weighted share at the quantile.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.metrics._sampling_error import quantile_interval
    >>> quantile_interval(np.arange(100.0), 0.5)
    Interval(low=39.0, value=50.0, high=60.0)
    >>> quantile_interval(np.arange(100.0), 0.99) is None
    True
    """
    n = effective_number(weight, len(values))
    interval = _by_order(values, quantile, weight, n)
    if weight is None or interval is None:
        return interval
    n = min(n, *(_number_at(end, values, quantile, weight) for end in interval))
    return _by_order(values, quantile, weight, n)


def _by_order(
    values: NDArray[np.float64], quantile: float, weight: NDArray[np.float64] | None, number: float
) -> Interval | None:
    n = int(number * (1 + ROUNDING))
    first, last = (int(end) for end in binom.ppf([0.025, 0.975], n, quantile))
    if first < 1 or last + 1 > n:
        return None
    shares = (first - 1) / n, quantile, last / n
    return Interval(*(upper_quantile(values, share, weight) for share in shares))


def _number_at(
    x: float, values: NDArray[np.float64], quantile: float, weight: NDArray[np.float64]
) -> float:
    """Return of how many values of equal weight the share of weight up to x is as certain."""
    squares = np.where(values <= x, 1 - quantile, quantile) ** 2
    of_weight = weight * squares
    return float(weight.sum() * of_weight.sum() / (weight @ of_weight))


def bounding_error(*intervals: Interval | None) -> float:
    """Return the standard error whose normal interval holds that of a product of quantiles.

    Factors count as independent: of two quantiles of the same values, the ratio varies less.

    Examples
    --------
    >>> from sklearn_iso.metrics._sampling_error import Interval, bounding_error
    >>> round(bounding_error(Interval(0.9, 1.0, 1.2)) * 1.96, 6)
    0.2
    """
    known = [interval for interval in intervals if interval is not None]
    if len(known) < len(intervals):
        return math.nan
    if all(interval.low == interval.high for interval in known):
        return 0.0
    if len(known) == 1:
        low, value, high = known[0]
        return max(value - low, high - value) / Z_95 if math.isfinite(value) else math.inf
    value = math.prod(interval.value for interval in known)
    down = math.hypot(*(_log_ratio(interval.low, interval.value) for interval in known))
    up = math.hypot(*(_log_ratio(interval.value, interval.high) for interval in known))
    if not math.isfinite(value) or math.isinf(up):
        return math.inf
    return value * max(math.expm1(min(up, 700.0)), -math.expm1(-down)) / Z_95


def _log_ratio(smaller: float, larger: float) -> float:
    if smaller == larger:
        return 0.0
    return math.log(larger / smaller) if smaller > 0 else math.inf


def warn_of_no_error(n_pairs: int, quantile: float | None = None) -> None:
    """Warn that a sample of pairs is too small, or a quantile too extreme, for an error.

    Examples
    --------
    >>> import warnings
    >>> from sklearn_iso.metrics._sampling_error import warn_of_no_error
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     warn_of_no_error(100, quantile=1.0)
    >>> print(caught[0].message)  # doctest: +ELLIPSIS
    A sample of 100 pairs has no standard error at quantile=1.0, so it is nan. ...
    """
    where = "" if quantile is None else f" at quantile={float(quantile)}"
    beyond = quantile is not None and quantile in (0, 1)
    remedy = "Take a quantile nearer to 0.5" if beyond else "Raise n_pairs"
    extreme = " The most extreme of all pairs may be far beyond that of a sample." if beyond else ""
    warnings.warn(
        f"A sample of {n_pairs} pairs has no standard error{where}, so it is nan.{extreme} "
        f"{remedy}, or raise max_exact until all pairs count.",
        stacklevel=5,
    )
