"""Weights of samples: what they may be, what is left out, and what they do to means."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix, issparse
from scipy.special import ndtri
from sklearn.utils import _safe_indexing, check_consistent_length
from sklearn.utils.validation import _check_sample_weight

from sklearn_iso._protocols import Samples
from sklearn_iso._weighting import ROUNDING

if TYPE_CHECKING:
    from typing_extensions import TypeVarTuple, Unpack

    Data = TypeVarTuple("Data")

T = TypeVar("T")


def check_weights(sample_weight: ArrayLike, X: Samples) -> NDArray[np.float64]:
    """Return weights of the samples of X, divided by a power of two so that sums are finite.

    Raises
    ------
    ValueError
        If they are not finite, not one for each sample, negative, or all 0.

    Examples
    --------
    >>> from sklearn_iso.metrics._weights import check_weights
    >>> check_weights([3, 0], [[0.0], [1.0]])
    array([1.5, 0. ])
    """
    given = np.asarray(sample_weight)
    if given.dtype.kind in "biuf" and given.size and not given.any():
        raise ValueError(
            "sample_weight must be positive for at least one sample; all are 0, so that no sample "
            "counts. Pass sample_weight=None for equal weights."
        )
    weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
    if not np.isfinite(weight).all():
        raise ValueError(
            f"sample_weight must be finite; got {sample_weight!r}. Pass a number of at least 0 for "
            "each sample."
        )
    if (weight < 0).any():
        raise ValueError(
            f"sample_weight must be at least 0; got a weight of {weight.min():.3g}. Drop samples "
            "that do not count, or give them the weight 0."
        )
    scaled: NDArray[np.float64] = weight / np.ldexp(1.0, int(np.frexp(weight.max())[1]) - 1)
    return scaled


def weighted(
    sample_weight: ArrayLike | None, *data: Unpack[Data]
) -> tuple[NDArray[np.float64] | None, Unpack[Data]]:
    """Return checked weights, or None, and the data without the samples of weight 0.

    Parameters
    ----------
    sample_weight : array-like of shape (n_samples,), or None
    *data
        Arrays, frames or sparse matrices of as many samples; None stays None.

    Examples
    --------
    >>> from sklearn_iso.metrics._weights import weighted
    >>> weighted([1, 0, 2], [[5.0], [6.0], [7.0]], None)
    (array([0.5, 1. ]), [[5.0], [7.0]], None)
    """
    if sample_weight is None:
        return (None, *data)
    check_consistent_length(*(values for values in data if values is not None))
    weight = check_weights(sample_weight, cast("tuple[Samples, ...]", data)[0])
    kept = np.flatnonzero(weight)
    if len(kept) == len(weight):
        return (weight, *data)
    left = (weight[kept], *(taken(values, kept) for values in data))
    return cast("tuple[NDArray[np.float64] | None, Unpack[Data]]", left)


def taken(values: T, kept: NDArray[np.intp]) -> T:
    """Return some samples of an array, frame or sparse matrix; None of None.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.metrics._weights import taken
    >>> taken([[5.0], [6.0]], np.array([1]))
    [[6.0]]
    """
    if values is None:
        return values
    some = cast(csr_matrix, values).tocsr()[kept] if issparse(values) else None
    return cast(T, _safe_indexing(values, kept) if some is None else some)


def share(which: NDArray, weight: NDArray[np.float64] | None) -> NDArray:
    """Return the weighted share of samples, the last axis, for which something holds.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.metrics._weights import share
    >>> float(share(np.array([True, False]), np.array([3.0, 1.0])))
    0.75
    """
    return which.mean(axis=-1) if weight is None else np.average(which, axis=-1, weights=weight)


def wilson_interval(share: float, n: float) -> tuple[float, float]:
    r"""Return the 95% Wilson interval of a share of n samples.

    .. math:: \frac{p + z^2 / 2n \pm z \sqrt{p (1 - p) / n + z^2 / 4n^2}}{1 + z^2 / n}

    Examples
    --------
    >>> from sklearn_iso.metrics._weights import wilson_interval
    >>> wilson_interval(1.0, 10.0)
    (0.7224672001371106, 1.0)
    """
    z = float(ndtri(0.975))
    middle, spread = (
        share + z * z / (2 * n),
        z * np.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2),
    )
    low, high = ((middle + side * spread) / (1 + z * z / n) for side in (-1, 1))
    return (0.0 if share == 0 else float(low)), (1.0 if share == 1 else float(high))


def upper_quantile(
    values: NDArray[np.float64], quantile: float, weight: NDArray[np.float64] | None = None
) -> float:
    """Return the smallest value up to which more than a share of the weight lies.

    It is one of the values, the larger neighbour; the largest for a quantile of 1. A weight of 2
    is the value twice.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.metrics._weights import upper_quantile
    >>> upper_quantile(np.array([5.0, 1.0, 3.0]), 0.5, np.array([1.0, 1.0, 3.0]))
    3.0
    """
    if weight is None:
        below = int(np.floor(quantile * len(values) * (1 + ROUNDING)))
        rank = min(below, len(values) - 1)
        return float(np.partition(values, rank)[rank])
    order = np.argsort(values, kind="stable")
    up_to = np.cumsum(weight[order])
    rank = np.searchsorted(up_to, quantile * up_to[-1] * (1 + ROUNDING), side="right")
    return float(values[order[min(int(rank), len(values) - 1)]])


def mid_ranks(values: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weight below each value and half of that at it: a rank, up to a constant.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.metrics._weights import mid_ranks
    >>> mid_ranks(np.array([5.0, 1.0, 5.0]), np.array([1.0, 2.0, 1.0]))
    array([3., 1., 3.])
    """
    _, group = np.unique(values, return_inverse=True)
    of_group = np.bincount(group, weights=weight)
    ranks: NDArray[np.float64] = (np.cumsum(of_group) - of_group / 2)[group]
    return ranks


def correlation(
    a: NDArray[np.float64], b: NDArray[np.float64], weight: NDArray[np.float64]
) -> float:
    """Return Pearson's correlation of weighted pairs; 0 where one side is constant.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.metrics._weights import correlation
    >>> round(correlation(np.array([0.0, 1.0]), np.array([5.0, 7.0]), np.array([1.0, 2.0])), 9)
    1.0
    """
    a, b = (side - np.average(side, weights=weight) for side in (a, b))
    size = np.sqrt((weight * a) @ a * ((weight * b) @ b))
    return float(np.clip((weight * a) @ b / size, -1, 1)) if size > 0 else 0.0
