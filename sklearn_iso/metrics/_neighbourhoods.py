"""Whether a map keeps neighbourhoods: trustworthiness and continuity."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.manifold import trustworthiness as exact_trustworthiness
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import check_scalar

from sklearn_iso._protocols import RandomState
from sklearn_iso._randomness import private_random_state
from sklearn_iso.metrics._pairs import binary_scale, check_flag, check_pair_of_spaces
from sklearn_iso.metrics._signatures import Found, NeighbourParameters, of_neighbours
from sklearn_iso.metrics._weights import weighted

if TYPE_CHECKING:
    from typing_extensions import Unpack

_CHUNK_ENTRIES = 2**22  # of a matrix of distances: 32 MB of float64


@of_neighbours
def trustworthiness(
    X: ArrayLike,
    Z: ArrayLike,
    *,
    n_neighbors: int = 5,
    metric: str = "euclidean",
    max_exact: int = 2000,
    random_state: RandomState = 0,
    return_std_error: bool = False,
    sample_weight: ArrayLike | None = None,
) -> Found:
    r"""Return how far the neighbours in Z can be trusted to be neighbours in X.

    .. math:: T(k) = 1 - \frac{2}{n k (2n - 3k - 1)} \sum_i \sum_{j \in U_k(i)} (r_X(i, j) - k)

    where :math:`U_k(i)` are those of the k nearest neighbours in Z that are not so in X, and
    :math:`r_X(i, j)` is the rank of j among the neighbours of i in X. It lies in [0, 1], is 1
    where no stranger enters a neighbourhood, and changes under no similarity of either side.

    Parameters
    ----------
    X : array-like of shape (n_samples, ...)
        Points of the input space; further axes are flattened.
    Z : array-like of shape (n_samples, ...)
        Their representations, sample by sample.
    n_neighbors : int, default=5
        The k, less than half of the points.
    metric : str, default="euclidean"
        Distance in X; any name that scikit-learn knows.
    max_exact : int, default=2000
        Up to as many points the sum runs over all; above, over a seeded sample of that many
        points, each ranked among all.
    random_state : int, RandomState instance or None, default=0
        Seed of that draw.
    return_std_error : bool, default=False
        Whether to return the standard error of the draw too.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples, at least 0: each term of the sum over i counts :math:`w_i` times,
        and those of weight 0 are left out. Neighbours count as one each, so that a weight of 2
        is not the sample twice, which would be a neighbour of itself.

    Returns
    -------
    trustworthiness : float
        In [0, 1]; 1 where no stranger has come between neighbours.
    std_error : float
        Only if `return_std_error`; 0.0 where all points counted.

    Raises
    ------
    ValueError
        If the points break their rule, or n_neighbors is not less than half of them.

    References
    ----------
    J. Venna, S. Kaski, "Neighborhood preservation in nonlinear projection methods: an
    experimental study", ICANN 2001.

    Examples
    --------
    >>> from sklearn_iso.metrics import trustworthiness
    >>> line = [[0.0], [1.0], [2.0], [3.0], [4.0]]
    >>> trustworthiness(line, line, n_neighbors=2)
    1.0
    """
    weight, X, Z = weighted(sample_weight, X, Z)
    X, Z = (points / binary_scale(points) for points in check_pair_of_spaces(X, Z, None)[:2])
    check_flag(return_std_error, "return_std_error")
    check_n_neighbors(n_neighbors)
    check_scalar(max_exact, "max_exact", Integral, min_val=2)
    if n_neighbors >= len(X) / 2:
        raise ValueError(
            f"n_neighbors must be less than half of the points; got {n_neighbors} for {len(X)} "
            "points. Pass fewer neighbours or more points."
        )
    alike = weight is None or np.ptp(weight) == 0
    if len(X) <= max_exact and alike:
        value = float(exact_trustworthiness(X, Z, n_neighbors=n_neighbors, metric=metric))
        return (value, 0.0) if return_std_error else value
    n, k, n_drawn = len(X), n_neighbors, min(len(X), max_exact)
    rows = private_random_state(random_state).choice(n, n_drawn, replace=False)
    excess = _excess_ranks(X, Z, rows, n_neighbors, metric)
    shares = 1 - excess * 2 / (k * (2 * n - 3 * k - 1))
    found = _mean_of_draw(shares, None if alike or weight is None else weight[rows], n)
    return found if return_std_error else found[0]


class _Options(NeighbourParameters, total=False):
    return_std_error: bool


@of_neighbours
def continuity(X: ArrayLike, Z: ArrayLike, **options: Unpack[_Options]) -> Found:
    """Return how far the neighbours in X stay neighbours in Z.

    It is :func:`trustworthiness` with the two spaces exchanged: 1 where no neighbour is lost.

    Parameters
    ----------
    X : array-like of shape (n_samples, ...)
        Points of the input space; further axes are flattened.
    Z : array-like of shape (n_samples, ...)
        Their representations, sample by sample.
    **options
        `n_neighbors`, 5 by default; `metric`, the distance in Z by a name that scikit-learn
        knows, "euclidean" by default; `max_exact`, 2000: above as many points that many are
        drawn; the seed of that draw, `random_state`, 0; `return_std_error`, False; and
        `sample_weight`, at least 0, by which each point's neighbourhood counts.

    Returns
    -------
    continuity : float
        In [0, 1]; 1 where no neighbour is lost.
    std_error : float
        Only if `return_std_error`.

    Raises
    ------
    ValueError
        If the points break their rule, or n_neighbors is not less than half of them.

    References
    ----------
    J. Venna, S. Kaski, "Neighborhood preservation in nonlinear projection methods: an
    experimental study", ICANN 2001.

    Examples
    --------
    >>> from sklearn_iso.metrics import continuity
    >>> line = [[0.0], [1.0], [2.0], [3.0], [4.0]]
    >>> continuity(line, line, n_neighbors=2)
    1.0
    """
    return cast(Callable[..., Found], trustworthiness)(Z, X, **options)


def _mean_of_draw(
    shares: NDArray[np.float64], weight: NDArray[np.float64] | None, n_samples: int
) -> tuple[float, float]:
    """Return the mean of a draw without replacement and its standard error."""
    n_drawn = len(shares)
    mean = float(np.average(shares, weights=weight))
    of_mean = shares - mean
    if weight is not None:
        of_mean *= weight / weight.mean()
    spread = of_mean.std(ddof=1)
    return mean, float(spread * np.sqrt((1 - n_drawn / n_samples) / n_drawn))


def check_n_neighbors(n_neighbors: int) -> None:
    """Raise an error unless there is a neighbour to count."""
    check_scalar(n_neighbors, "n_neighbors", Integral, min_val=1)


def _excess_ranks(
    X: NDArray, Z: NDArray, rows: NDArray[np.intp], k: int, metric: str
) -> NDArray[np.float64]:
    """Return for each of the samples how far its neighbours in Z lie beyond the k-th in X."""
    found = NearestNeighbors(n_neighbors=k + 1).fit(Z).kneighbors(Z[rows], return_distance=False)
    # Not the point itself, which is not always the first where points coincide.
    own = found == rows[:, None]
    own[~own.any(axis=1), -1] = True
    neighbours = found[~own].reshape(len(rows), k)
    excess = np.empty(len(rows))
    step = max(1, _CHUNK_ENTRIES // len(X))
    for start in range(0, len(rows), step):
        chunk = slice(start, start + step)
        distances = pairwise_distances(X[rows[chunk]], X, metric=metric)
        distances[np.arange(len(distances)), rows[chunk]] = np.inf
        of_neighbours = np.take_along_axis(distances, neighbours[chunk], axis=1)
        closer = [(distances < column[:, None]).sum(axis=1) for column in of_neighbours.T]
        excess[chunk] = np.maximum(np.array(closer) + 1 - k, 0).sum(axis=0)
    return excess
