"""Scale-optimal normalised stress: how far a representation is from keeping distances."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, cast, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_iso._protocols import RandomState, Transformer
from sklearn_iso.metrics._pairs import (
    Metric,
    PairDistances,
    Sampling,
    check_flag,
    check_pair_of_spaces,
    pair_distances,
)
from sklearn_iso.metrics._signatures import Found, SamplingParameters, of_pairs
from sklearn_iso.metrics._table import own_copy
from sklearn_iso.metrics._weights import weighted

if TYPE_CHECKING:
    from typing_extensions import Unpack


@of_pairs
def isometry_distortion(
    X: ArrayLike,
    Z: ArrayLike,
    y: ArrayLike | None = None,
    *,
    metric: Metric = "euclidean",
    max_exact: int = 2000,
    n_pairs: int = 200_000,
    random_state: RandomState = 0,
    return_std_error: bool = False,
    sample_weight: ArrayLike | None = None,
) -> Found:
    r"""Return the scale-optimal normalised stress of a representation Z of X.

    .. math::

        \text{stress} = \min_s \sqrt{\frac{\sum_{i<j} (d_Z(z_i, z_j) - s \, d_X(x_i, x_j))^2}
                                          {\sum_{i<j} d_Z(z_i, z_j)^2}}
                      = \sqrt{1 - \cos^2(d_X, d_Z)}

    The sums run over the pairs of the same class where `y` is given, over all pairs otherwise.
    Stress has no unit and lies in [0, 1]. It is 0 where Z is similar to X (rotated, mirrored, moved
    or scaled as a whole) and does not change under such motions of either side. It is 1 where Z has
    collapsed, with all distances 0, and where Z has distances and X has none; 0 where neither has.

    Parameters
    ----------
    X : array-like of shape (n_samples, ...)
        Points of the input space. Further axes, such as those of images, are flattened.
    Z : array-like of shape (n_samples, ...)
        The representations of the same points, sample by sample.
    y : array-like of shape (n_samples,), default=None
        Class labels. If given, only pairs of the same class count.
    metric : {"euclidean", "cityblock", "chebyshev"} or a synonym, default="euclidean"
        Distance, of both spaces. Synonyms: "l2"; "manhattan", "l1"; "linf", "infinity".
    max_exact : int, default=2000
        Up to as many pairs as this number of points has, 1,999,000 by default, all pairs count.
    n_pairs : int, default=200_000
        With more eligible pairs than that, this many are drawn uniformly, with replacement.
    random_state : int, RandomState instance or None, default=0
        Seed of that draw.
    return_std_error : bool, default=False
        Whether to return the standard error of the draw too.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples, at least 0. In both sums a pair counts :math:`w_i w_j` times, so
        that a weight of 2 is the sample twice and one of 0 leaves it out.

    Returns
    -------
    stress : float
        Scale-optimal normalised stress, computed in float64.
    std_error : float
        Only if `return_std_error`: the standard error of `stress` as an estimate of its value over
        all pairs of these points, by the delta method; 0.0 where all pairs counted.

    Raises
    ------
    ValueError
        If X or Z holds NaN or infinity or fewer than two samples, if X, Z and y differ in length,
        or if no two samples share a class.

    Notes
    -----
    Stress compares distances with their mean: it falls as the dimension of X grows and distances
    concentrate, for any Z. Compare representations of the same X.

    References
    ----------
    Smelser, Miller and Kobourov, "'Normalized Stress' is Not Normalized: How to Interpret Stress
    Correctly", BELIV 2024, arXiv 2408.07724.

    Borg and Groenen, "Modern Multidimensional Scaling", 2nd edition, Springer 2005.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.metrics import isometry_distortion
    >>> square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    >>> isometry_distortion(square, 2 * square + 1)
    0.0
    >>> round(isometry_distortion(square, square * [1, 0]), 3)
    0.521
    """
    check_flag(return_std_error, "return_std_error")
    sampling = Sampling(metric, max_exact, n_pairs, random_state).checked()
    weight, X, Z, y = weighted(sample_weight, X, Z, y)
    X, Z, classes = check_pair_of_spaces(X, Z, y)
    pairs = pair_distances(X, Z, classes, weight=weight, **sampling._asdict())
    stress, std_error = _stress(*_times_weight(pairs))
    return (stress, 0.0 if pairs.exact else std_error) if return_std_error else stress


class _Options(SamplingParameters, total=False):
    sample_weight: ArrayLike | None


@overload
def scale_normalized_stress(
    X: ArrayLike,
    Z: ArrayLike,
    *,
    return_std_error: Literal[False] = ...,
    **options: Unpack[_Options],
) -> float: ...


@overload
def scale_normalized_stress(
    X: ArrayLike, Z: ArrayLike, *, return_std_error: Literal[True], **options: Unpack[_Options]
) -> tuple[float, float]: ...


def scale_normalized_stress(
    X: ArrayLike, Z: ArrayLike, *, return_std_error: bool = False, **options: Unpack[_Options]
) -> Found:
    r"""Return the scale-optimal normalised stress over all pairs, whatever their class.

    .. math:: \mathrm{SNS} = \sqrt{1 - \cos^2(d_X, d_Z)}

    The name under which embeddings are compared of :func:`isometry_distortion` without `y`.

    Parameters
    ----------
    X : array-like of shape (n_samples, ...)
        Points of the input space; further axes are flattened.
    Z : array-like of shape (n_samples, ...)
        Their representations, sample by sample.
    return_std_error : bool, default=False
        Whether to return the standard error of the draw of pairs too.
    **options
        `metric`, "euclidean" by default, "cityblock" or "chebyshev"; `max_exact`, 2000: all
        pairs count, up to as many as that number of points has; `n_pairs`, 200,000, that are drawn
        of more; and the seed of that draw, `random_state`, 0.
        Weights of the samples, at least 0, as `sample_weight`: a pair counts :math:`w_i w_j`
        times.

    Returns
    -------
    stress : float
        In [0, 1]; 0 for a similarity.
    std_error : float
        Only if ``return_std_error=True``.

    Raises
    ------
    ValueError
        If X or Z holds NaN or infinity or fewer than two samples, if they differ in length, or if
        a parameter is out of its range.

    References
    ----------
    Smelser, Miller and Kobourov, "'Normalized Stress' is Not Normalized: How to Interpret Stress
    Correctly", BELIV 2024, arXiv 2408.07724.

    Examples
    --------
    >>> from sklearn_iso.metrics import scale_normalized_stress
    >>> scale_normalized_stress([[0.0], [1.0], [3.0]], [[0.0], [2.0], [6.0]])
    0.0
    """
    measure = cast(Callable[..., Found], isometry_distortion)
    return measure(X, Z, None, return_std_error=return_std_error, **options)


def constant_distance_stress(
    d_X: NDArray[np.float64], weight: NDArray[np.float64] | None = None
) -> float:
    r"""Return the stress of a map that puts all points at one distance from each other.

    .. math:: \sqrt{1 - \bar{d_X}^2 / \overline{d_X^2}}

    It falls as distances concentrate, so that a low stress alone proves little.
    """
    largest = d_X.max()
    if largest == 0:
        return 1.0
    scaled = d_X / largest
    if weight is None:
        return float(np.std(scaled) / np.sqrt(np.mean(scaled**2)))
    spread = (scaled - np.average(scaled, weights=weight)) ** 2
    return float(np.sqrt(weight @ spread / (weight @ scaled**2)))


def best_scale(d_X: NDArray[np.float64], d_Z: NDArray[np.float64]) -> float:
    """Return the s that minimises the sum of (d_Z - s d_X)^2, and 0 where d_X is all zero."""
    squared = d_X @ d_X
    return float(d_X @ d_Z / squared) if squared else 0.0


def _times_weight(pairs: PairDistances) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return distances times the root of their weight, so that squares are weighted."""
    if pairs.weight is None:
        return pairs.d_X, pairs.d_Z
    root = np.sqrt(pairs.weight)
    return pairs.d_X * root, pairs.d_Z * root


def _stress(d_X: NDArray[np.float64], d_Z: NDArray[np.float64]) -> tuple[float, float]:
    """Return the stress of paired distances and its standard error, were they drawn at random."""
    largest_X, largest_Z = d_X.max(), d_Z.max()
    if largest_Z == 0:
        return (1.0 if largest_X else 0.0), 0.0
    if largest_X == 0:
        return 1.0, 0.0
    d_X, d_Z = d_X / largest_X, d_Z / largest_Z  # squares neither overflow nor vanish
    # The residual, not 1 - cos^2: that difference keeps only half of the digits near 0.
    squared_residual = (d_Z - best_scale(d_X, d_Z) * d_X) ** 2
    squared_Z = d_Z**2
    stress = min(1.0, float(np.sqrt(squared_residual.sum() / squared_Z.sum())))
    if stress == 0:
        return 0.0, 0.0
    # Delta method: with r the residual, each pair moves stress^2 by (r^2 - stress^2 d_Z^2) over the
    # mean of d_Z^2. The scale does not enter to first order, because it minimises.
    influence = (squared_residual - stress**2 * squared_Z) / squared_Z.mean()
    return stress, float(influence.std() / (2 * stress * np.sqrt(len(d_Z))))


def representation_of(estimator: object, X: ArrayLike) -> ArrayLike:
    """Return ``estimator.transform(X)``, or say what an estimator without it lacks."""
    if not hasattr(estimator, "transform"):
        raise TypeError(
            "A distortion compares X with estimator.transform(X); "
            f"{type(estimator).__name__} has no transform. Use an estimator with a representation, "
            "such as IsometricClassifier, or a Pipeline that ends in one."
        )
    return cast(Transformer, estimator).transform(own_copy(X))
