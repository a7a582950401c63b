"""How far a map stretches and shrinks distances, and whether it keeps their order."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import spearmanr
from sklearn.utils import check_scalar

from sklearn_iso.metrics._pairs import check_flag
from sklearn_iso.metrics._ratios import (
    Values,
    estimate,
    largest_inverse,
    largest_ratio,
    no_error,
    quantile_error,
)
from sklearn_iso.metrics._signatures import Found, SamplingParameters, of_pairs, of_quantile
from sklearn_iso.metrics._weights import correlation, mid_ranks

if TYPE_CHECKING:
    from typing_extensions import Unpack


def check_quantile(quantile: float) -> None:
    """Raise an error unless a quantile lies in [0, 1]."""
    check_scalar(quantile, "quantile", Real, min_val=0, max_val=1)
    if quantile != quantile:
        raise ValueError("quantile must lie in [0, 1]; got nan.")


@of_quantile
def expansion(
    X: ArrayLike,
    Z: ArrayLike,
    y: ArrayLike | None = None,
    *,
    quantile: float = 0.95,
    return_std_error: bool = False,
    sample_weight: ArrayLike | None = None,
    **sampling: Unpack[SamplingParameters],
) -> Found:
    r"""Return how far distances are stretched: a quantile of their ratio.

    .. math:: \mathrm{expansion}_q = Q_q\left\{\frac{d_Z(z_i, z_j)}{d_X(x_i, x_j)}\right\}

    With ``quantile=1`` it is the Lipschitz constant of the map on these points. It lies in
    [0, inf], in units of Z over units of X, does not change under rigid motions of either side,
    and scales with Z. A pair that coincides in X alone counts as infinitely stretched; one that
    coincides in both does not count.

    Parameters
    ----------
    X : array-like of shape (n_samples, ...)
        Points of the input space; further axes are flattened.
    Z : array-like of shape (n_samples, ...)
        Their representations, sample by sample.
    y : array-like of shape (n_samples,), default=None
        Class labels. If given, only pairs of the same class count.
    quantile : float, default=0.95
        The q, in [0, 1]. Quantiles are those of a pair that is there, the larger neighbour.
    return_std_error : bool, default=False
        Whether to return the standard error of the draw of pairs too. The exact value lies within
        1.96 of it with a probability of at least 95%, by order statistics.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples, at least 0: a pair counts :math:`w_i w_j` times, so that a weight
        of 2 is the sample twice and one of 0 leaves it out.
    **sampling
        `metric`, "euclidean" by default, "cityblock" or "chebyshev"; `max_exact`, 2000: all
        pairs count, up to as many as that number of points has; `n_pairs`, 200,000, that are drawn
        of more; and the seed of that draw, `random_state`, 0.

    Returns
    -------
    expansion : float
        The quantile, in units of Z over units of X.
    std_error : float
        Only if `return_std_error`; 0.0 where all pairs counted. NaN, with a warning, where a sample
        of n pairs tells nothing of that quantile: where q^n or (1 - q)^n exceeds 2.5%.

    Raises
    ------
    ValueError
        If the points or a parameter break their rule, or all pairs coincide in both spaces.

    References
    ----------
    N. Linial, E. London, Y. Rabinovich, "The Geometry of Graphs and Some of its Algorithmic
    Applications", Combinatorica 1995.

    Examples
    --------
    >>> from sklearn_iso.metrics import expansion
    >>> expansion([[0.0], [1.0], [2.0]], [[0.0], [1.0], [4.0]], quantile=1)
    3.0
    """
    check_quantile(quantile)
    check_flag(return_std_error, "return_std_error")
    error = quantile_error(quantile, expands=True, contracts=False)
    error = error if return_std_error else no_error
    found = estimate(largest_ratio(quantile), X, Z, y, sample_weight, error_of=error, **sampling)
    return found if return_std_error else found[0]


@of_quantile
def contraction(
    X: ArrayLike,
    Z: ArrayLike,
    y: ArrayLike | None = None,
    *,
    quantile: float = 0.95,
    return_std_error: bool = False,
    sample_weight: ArrayLike | None = None,
    **sampling: Unpack[SamplingParameters],
) -> Found:
    r"""Return how far distances are shrunk: a quantile of their inverse ratio.

    .. math:: \mathrm{contraction}_q = Q_q\left\{\frac{d_X(x_i, x_j)}{d_Z(z_i, z_j)}\right\}

    With ``quantile=1`` it is the Lipschitz constant of the inverse map on these points. It lies
    in [0, inf], in units of X over units of Z; infinite where Z merges more pairs than the
    quantile leaves out. A pair that coincides in both spaces does not count.

    Parameters
    ----------
    X : array-like of shape (n_samples, ...)
        Points of the input space; further axes are flattened.
    Z : array-like of shape (n_samples, ...)
        Their representations, sample by sample.
    y : array-like of shape (n_samples,), default=None
        Class labels. If given, only pairs of the same class count.
    quantile : float, default=0.95
        The q, in [0, 1].
    return_std_error : bool, default=False
        Whether to return the standard error of the draw of pairs too.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples, at least 0: a pair counts :math:`w_i w_j` times.
    **sampling
        `metric`, "euclidean" by default, "cityblock" or "chebyshev"; `max_exact`, 2000: all
        pairs count, up to as many as that number of points has; `n_pairs`, 200,000, that are drawn
        of more; and the seed of that draw, `random_state`, 0.

    Returns
    -------
    contraction : float
        The quantile, in units of X over units of Z.
    std_error : float
        Only if `return_std_error`.

    Raises
    ------
    ValueError
        If the points or a parameter break their rule, or all pairs coincide in both spaces.

    References
    ----------
    N. Linial, E. London, Y. Rabinovich, "The Geometry of Graphs and Some of its Algorithmic
    Applications", Combinatorica 1995.

    Examples
    --------
    >>> from sklearn_iso.metrics import contraction
    >>> contraction([[0.0], [1.0], [2.0]], [[0.0], [0.5], [2.0]], quantile=1)
    2.0
    """
    check_quantile(quantile)
    check_flag(return_std_error, "return_std_error")
    error = quantile_error(quantile, expands=False, contracts=True)
    error = error if return_std_error else no_error
    found = estimate(largest_inverse(quantile), X, Z, y, sample_weight, error_of=error, **sampling)
    return found if return_std_error else found[0]


@of_quantile
def bi_lipschitz_ratio(
    X: ArrayLike,
    Z: ArrayLike,
    y: ArrayLike | None = None,
    *,
    quantile: float = 0.95,
    return_std_error: bool = False,
    sample_weight: ArrayLike | None = None,
    **sampling: Unpack[SamplingParameters],
) -> Found:
    r"""Return expansion times contraction: the spread of the ratios of distances.

    .. math:: \mathrm{ratio}_q = \mathrm{expansion}_q \cdot \mathrm{contraction}_q

    With ``quantile=1`` it is the distortion of metric embeddings; with .95 it is the 95th over
    the 5th percentile of :math:`d_Z / d_X`. It has no unit, is 1 for a similarity, at least 1
    for any map where `quantile` is at least 0.5, and changes under no similarity of either side.

    Parameters
    ----------
    X : array-like of shape (n_samples, ...)
        Points of the input space; further axes are flattened.
    Z : array-like of shape (n_samples, ...)
        Their representations, sample by sample.
    y : array-like of shape (n_samples,), default=None
        Class labels. If given, only pairs of the same class count.
    quantile : float, default=0.95
        The q, in [0, 1].
    return_std_error : bool, default=False
        Whether to return the standard error of the draw of pairs too.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples, at least 0: a pair counts :math:`w_i w_j` times.
    **sampling
        `metric`, "euclidean" by default, "cityblock" or "chebyshev"; `max_exact`, 2000: all
        pairs count, up to as many as that number of points has; `n_pairs`, 200,000, that are drawn
        of more; and the seed of that draw, `random_state`, 0.

    Returns
    -------
    ratio : float
        At least 1 where `quantile` is at least 0.5, and 1 for a similarity.
    std_error : float
        Only if `return_std_error`.

    Raises
    ------
    ValueError
        If the points or a parameter break their rule, or all pairs coincide in both spaces.

    References
    ----------
    N. Linial, E. London, Y. Rabinovich, "The Geometry of Graphs and Some of its Algorithmic
    Applications", Combinatorica 1995.

    Examples
    --------
    >>> from sklearn_iso.metrics import bi_lipschitz_ratio
    >>> bi_lipschitz_ratio([[0.0], [1.0], [2.0]], [[0.0], [1.0], [4.0]], quantile=1)
    3.0
    """
    check_quantile(quantile)

    def ratio(d_X: Values, d_Z: Values, weight: Values | None) -> float:
        above, below = largest_ratio(quantile), largest_inverse(quantile)
        factors = above(d_X, d_Z, weight), below(d_X, d_Z, weight)
        # A collapsed side: 0 times infinity, and its distances spread without bound.
        return float("inf") if 0 in factors else factors[0] * factors[1]

    check_flag(return_std_error, "return_std_error")
    error = quantile_error(quantile, expands=True, contracts=True)
    error = error if return_std_error else no_error
    found = estimate(ratio, X, Z, y, sample_weight, error_of=error, **sampling)
    return found if return_std_error else found[0]


@of_pairs
def shepard_correlation(
    X: ArrayLike,
    Z: ArrayLike,
    y: ArrayLike | None = None,
    *,
    return_std_error: bool = False,
    sample_weight: ArrayLike | None = None,
    **sampling: Unpack[SamplingParameters],
) -> Found:
    r"""Return Spearman's correlation of the distances in X and in Z.

    .. math:: r = \mathrm{corr}\bigl(\mathrm{rank}(d_X), \mathrm{rank}(d_Z)\bigr)

    It lies in [-1, 1] and is 1 where the map keeps the order of all distances, whatever it does
    to their sizes; it changes under no similarity of either side. It is 0 where the distances of
    one side are all equal: there is no order to keep. A pair that coincides in both spaces does
    not count.

    Parameters
    ----------
    X : array-like of shape (n_samples, ...)
        Points of the input space; further axes are flattened.
    Z : array-like of shape (n_samples, ...)
        Their representations, sample by sample.
    y : array-like of shape (n_samples,), default=None
        Class labels. If given, only pairs of the same class count.
    return_std_error : bool, default=False
        Whether to return the standard error of the draw of pairs too, by its spread over 20 parts.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples, at least 0: a pair counts :math:`w_i w_j` times.
    **sampling
        `metric`, "euclidean" by default, "cityblock" or "chebyshev"; `max_exact`, 2000: all
        pairs count, up to as many as that number of points has; `n_pairs`, 200,000, that are drawn
        of more; and the seed of that draw, `random_state`, 0.

    Returns
    -------
    correlation : float
        In [-1, 1]; 1 where all distances keep their order.
    std_error : float
        Only if `return_std_error`.

    Raises
    ------
    ValueError
        If the points or a parameter break their rule.

    References
    ----------
    R. N. Shepard, "The analysis of proximities", Psychometrika 1962.

    Examples
    --------
    >>> from sklearn_iso.metrics import shepard_correlation
    >>> round(shepard_correlation([[0.0], [1.0], [3.0]], [[0.0], [1.0], [9.0]]), 6)
    1.0
    """

    def spearman(d_X: Values, d_Z: Values, weight: Values | None) -> float:
        apart = (d_X > 0) | (d_Z > 0)
        d_X, d_Z = d_X[apart], d_Z[apart]
        if not len(d_X) or np.ptp(d_X) == 0 or np.ptp(d_Z) == 0:
            return 0.0
        if weight is not None:
            of_pairs = weight[apart]
            return correlation(mid_ranks(d_X, of_pairs), mid_ranks(d_Z, of_pairs), of_pairs)
        return float(np.clip(spearmanr(d_X, d_Z).statistic, -1, 1))

    check_flag(return_std_error, "return_std_error")
    error = None if return_std_error else no_error
    found = estimate(spearman, X, Z, y, sample_weight, error_of=error, **sampling)
    return found if return_std_error else found[0]
