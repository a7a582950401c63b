"""Check that a map keeps distances, pair by pair."""

from __future__ import annotations

from numbers import Real

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._param_validation import Interval

from sklearn_iso._protocols import RandomState
from sklearn_iso._randomness import private_random_state
from sklearn_iso._typed import validate_params
from sklearn_iso.metrics._pairs import (
    binary_scale,
    check_pair_of_spaces,
    check_points,
    draw_pairs,
    paired,
)
from sklearn_iso.testing._broken import LawBrokenError, shown
from sklearn_iso.testing._images import Map, as_map, images_of

#: Samples up to which every pair is looked at; above, as many pairs are drawn.
MAX_EXACT = 2000


@validate_params(
    {
        "max_distortion": [Interval(Real, 1, None, closed="left")],
        "quantile": [Interval(Real, 0, 1, closed="both")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=False,
)
def check_distance_preservation(
    transformer: Map,
    X: ArrayLike,
    *,
    max_distortion: float,
    quantile: float = 1.0,
    y: ArrayLike | None = None,
    random_state: RandomState = 0,
) -> float:
    r"""Check that a map keeps distances up to one scale for all pairs.

    .. math:: Q_q\left\{\frac{d_Z}{d_X}\right\} \cdot Q_q\left\{\frac{d_X}{d_Z}\right\}
              \le \mathrm{max\_distortion}

    With ``quantile=1`` no two distances may be stretched differently by more than the factor
    `max_distortion`: 1 is a similarity. It is the measure
    :func:`~sklearn_iso.metrics.bi_lipschitz_ratio`.

    Parameters
    ----------
    transformer : fitted transformer, torch module or callable
        Has ``transform``, or maps X to Z itself.
    X : array-like of shape (n_samples, n_features)
        Above 2,000 samples, 1,999,000 pairs are drawn.
    max_distortion : float
        Largest ratio allowed, 1 or more, without a unit. At 1 rounding alone breaks the law:
        allow for it, as in ``1 + 1e-6``.
    quantile : float, default=1.0
        The q: .95 leaves out a twentieth of the pairs at either end.
    y : array-like of shape (n_samples,), optional
        Classes; if given, only pairs of one class count.
    random_state : int, RandomState instance or None, default=0
        Draws the pairs.

    Returns
    -------
    distortion : float
        What was found.

    Raises
    ------
    LawBrokenError
        If the distortion is larger, with the worst pair of rows, or if a row has no finite
        image: an AssertionError, whose ``pair`` holds the two sample numbers of the worst pair.
    ValueError
        If the points break their rule, or a parameter is out of its range.

    References
    ----------
    N. Linial, E. London, Y. Rabinovich, "The Geometry of Graphs and Some of its Algorithmic
    Applications", Combinatorica 1995, for the distortion of an embedding.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.testing import check_distance_preservation
    >>> X = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    >>> check_distance_preservation(lambda X: 2 * X + 1, X, max_distortion=1 + 1e-9)
    1.0
    >>> check_distance_preservation(lambda X: X[:, :1], X, max_distortion=2)
    Traceback (most recent call last):
    sklearn_iso.testing._broken.LawBrokenError: Distances must be kept up to a factor of 2; ...
    """
    # A copy, which a map that writes into X does not reach.
    points = np.array(check_points(X, "X"))
    Z = images_of(as_map(transformer), X, points)
    points, images, classes = check_pair_of_spaces(points, Z, y)
    i, j = _pairs(classes, len(points), random_state)
    d_X = paired(points, i, j, "euclidean") * binary_scale(points)
    d_Z = paired(images, i, j, "euclidean") * binary_scale(images)
    apart = (d_X > 0) | (d_Z > 0)
    if not apart.any():
        raise ValueError(
            "Distances are kept or not only where points differ; all pairs coincide in X and in "
            "Z. Pass distinct points, of one class where y is given."
        )
    i, j, d_X, d_Z = i[apart], j[apart], d_X[apart], d_Z[apart]
    with np.errstate(divide="ignore", over="ignore"):
        stretch, shrink = d_Z / d_X, d_X / d_Z
    # The larger neighbour, as bi_lipschitz_ratio takes it: the ratio of a pair that is there.
    highest = float(np.quantile(stretch, quantile, method="higher"))
    lowest = float(np.quantile(shrink, quantile, method="higher"))
    # A merged pair has no ratio, also where all are merged and nothing is stretched.
    found = highest * lowest if np.isfinite(lowest) else np.inf
    if found <= max_distortion:
        return found
    median = float(np.median(stretch))
    worst = _worst(stretch, shrink, highest, lowest, median)
    pair = int(i[worst]), int(j[worst])
    share = "" if quantile == 1 else f" at quantile {quantile:g} of the pairs"
    raise LawBrokenError(
        f"Distances must be kept up to a factor of {max_distortion:g}{share}; found {found:.6g}. "
        + _told(points, pair, d_X[worst], d_Z[worst], median),
        pair,
    )


def _pairs(
    classes: NDArray[np.intp] | None, n_samples: int, random_state: RandomState
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    if n_samples > MAX_EXACT:
        n_pairs = MAX_EXACT * (MAX_EXACT - 1) // 2
        return draw_pairs(classes, n_samples, n_pairs, private_random_state(random_state))
    i, j = np.triu_indices(n_samples, 1)
    if classes is None:
        return i, j
    same = classes[i] == classes[j]
    return i[same], j[same]


def _worst(stretch: NDArray, shrink: NDArray, highest: float, lowest: float, median: float) -> int:
    """Return the pair that is farthest, as a factor, from what became of the others."""
    if not np.isfinite(highest):
        return int(stretch.argmax())
    if not np.isfinite(lowest):
        return int(shrink.argmax())
    return int(np.maximum(stretch / median, shrink * median).argmax())


def _told(points: NDArray, pair: tuple[int, int], d_X: float, d_Z: float, median: float) -> str:
    """Return what became of a pair, beside what is usual."""
    i, j = pair
    verb = "stretched" if d_X == 0 or d_Z >= median * d_X > 0 else "shrunk"
    return (
        f"The worst pair is {verb}: samples {i} and {j}, {d_X:.6g} apart in X and {d_Z:.6g} in Z, "
        f"where the median ratio is {median:.6g}.\n"
        f"sample {i}: {shown(points[i])}\nsample {j}: {shown(points[j])}"
    )
