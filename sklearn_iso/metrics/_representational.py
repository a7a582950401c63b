"""Representational similarity analysis: how alike the dissimilarities of two spaces are."""

from __future__ import annotations

from numbers import Integral
from typing import Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import pdist, squareform
from scipy.stats import rankdata
from sklearn.utils import check_scalar

from sklearn_iso._protocols import RandomState
from sklearn_iso._randomness import private_random_state
from sklearn_iso.metrics._pairs import binary_scale, check_flag, check_pair_of_spaces
from sklearn_iso.metrics._signatures import Found
from sklearn_iso.metrics._weights import mid_ranks, weighted

Values = NDArray[np.float64]
Dissimilarity = Literal["euclidean", "sqeuclidean", "cityblock", "correlation", "cosine"]
Comparison = Literal["spearman", "pearson", "cosine"]

DISSIMILARITIES = ("euclidean", "sqeuclidean", "cityblock", "correlation", "cosine")
COMPARISONS = ("spearman", "pearson", "cosine")

#: Two similarities that differ by less are equal but for rounding: a permutation ties.
_TIE = 1e-12


@overload
def representational_similarity(
    X: ArrayLike,
    Z: ArrayLike,
    *,
    metric: Dissimilarity = ...,
    comparison: Comparison = ...,
    max_exact: int = ...,
    n_permutations: int = ...,
    random_state: RandomState = ...,
    return_p_value: Literal[False] = ...,
    sample_weight: ArrayLike | None = ...,
) -> float: ...


@overload
def representational_similarity(
    X: ArrayLike,
    Z: ArrayLike,
    *,
    metric: Dissimilarity = ...,
    comparison: Comparison = ...,
    max_exact: int = ...,
    n_permutations: int = ...,
    random_state: RandomState = ...,
    return_p_value: Literal[True],
    sample_weight: ArrayLike | None = ...,
) -> tuple[float, float]: ...


def representational_similarity(
    X: ArrayLike,
    Z: ArrayLike,
    *,
    metric: Dissimilarity = "euclidean",
    comparison: Comparison = "spearman",
    max_exact: int = 2000,
    n_permutations: int = 999,
    random_state: RandomState = 0,
    return_p_value: bool = False,
    sample_weight: ArrayLike | None = None,
) -> Found:
    r"""Return how alike the dissimilarities of samples are in X and in Z (RSA).

    .. math::

        r = \mathrm{corr}\bigl(D_X(x_i, x_j), D_Z(z_i, z_j)\bigr)_{i < j}

    Representational similarity analysis: each space is described by the dissimilarities of all
    pairs of samples, and the two lists are correlated. It is 1 where Z is similar to X, in
    [-1, 1], and changes under no scaling or permutation of features of either side; with
    "euclidean" and "sqeuclidean" under no similarity at all. It is 0 where the dissimilarities of
    one side are all equal.

    Parameters
    ----------
    X : array-like of shape (n_samples, ...)
        Points of the input space, or one representation. Further axes are flattened.
    Z : array-like of shape (n_samples, ...)
        The representations of the same points, sample by sample; any number of features.
    metric : {"euclidean", "sqeuclidean", "cityblock", "correlation", "cosine"}, default="euclidean"
        Dissimilarity of two samples, in both spaces. "correlation", one minus Pearson's
        correlation over the features, is usual for recordings of neurons and voxels.
    comparison : {"spearman", "pearson", "cosine"}, default="spearman"
        How the dissimilarities are compared: by rank, by size up to a scale and a shift, or by
        size up to a scale.
    max_exact : int, default=2000
        Of more samples, this many are drawn without replacement, and all pairs of these count.
    n_permutations : int, default=999
        Draws of the permutation test.
    random_state : int, RandomState instance or None, default=0
        Seed of the draws of samples and of permutations.
    return_p_value : bool, default=False
        Whether to return the p-value of the permutation test too.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples, at least 0: a pair counts :math:`w_i w_j` times, and a sample never
        makes a pair with itself. Not with the permutation test, which exchanges samples.

    Returns
    -------
    similarity : float
        Computed in float64.
    p_value : float
        Only if `return_p_value`: under the hypothesis that samples of Z are in random order, the
        probability of a similarity at least as large, :math:`(1 + \#\{r_\pi \geq r\}) / (1 + n)`
        of n permutations. It is valid for any n and at least 1 / (1 + n).

    Raises
    ------
    ValueError
        If the points or a parameter break their rule, if a sample has no direction and `metric`
        is "cosine" or no variance and it is "correlation", or if weights that are not equal are
        given for the test.

    See Also
    --------
    shepard_correlation : Spearman's of Euclidean distances; more samples, and within a class.
    centered_kernel_alignment : Compares inner products, without lists of pairs.

    Notes
    -----
    The test permutes whole samples, as Mantel's does: pairs that share a sample are not
    independent, so that the p-value of an ordinary correlation is far too small. Memory and time
    grow with the square of the samples, and time with the permutations.

    References
    ----------
    N. Kriegeskorte, M. Mur, P. Bandettini, "Representational similarity analysis - connecting the
    branches of systems neuroscience", Frontiers in Systems Neuroscience 2008.

    N. Mantel, "The detection of disease clustering and a generalized regression approach", Cancer
    Research 1967.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.metrics import representational_similarity
    >>> line = np.arange(8.0)[:, np.newaxis]
    >>> similarity, p_value = representational_similarity(line, line**2, return_p_value=True)
    >>> round(similarity, 3), p_value < 0.05
    (0.858, True)
    """
    check_options(metric, comparison, max_exact)
    check_scalar(n_permutations, "n_permutations", Integral, min_val=1)
    check_flag(return_p_value, "return_p_value")
    weight, X, Z = weighted(sample_weight, X, Z)
    X, Z, _ = check_pair_of_spaces(X, Z, None)
    if weight is not None and np.ptp(weight) == 0:
        weight = None
    if return_p_value and weight is not None:
        raise ValueError(
            "return_p_value=True takes no sample_weight but equal ones: the test exchanges "
            "samples. Leave the weights out, or the p-value."
        )
    rng = private_random_state(random_state)
    if len(X) > max_exact:
        rows = rng.choice(len(X), max_exact, replace=False)
        X, Z, weight = X[rows], Z[rows], None if weight is None else weight[rows]
    of_pairs = None if weight is None else _products(weight)
    sides = (_dissimilarities(points, metric, name) for points, name in ((X, "X"), (Z, "Z")))
    a, b = (_normalized(side, comparison, of_pairs) for side in sides)
    similarity = float(np.clip(a @ b, -1, 1))
    if not return_p_value:
        return similarity
    return similarity, _p_value(a, b, similarity, n_permutations, rng)


def check_options(metric: str, comparison: str, max_exact: int) -> None:
    """Raise an error unless a name is known and a number of samples is one.

    Examples
    --------
    >>> from sklearn_iso.metrics._representational import check_options
    >>> check_options("cosine", "pearson", 2000)
    """
    for name, value, known in (
        ("metric", metric, DISSIMILARITIES),
        ("comparison", comparison, COMPARISONS),
    ):
        if not isinstance(value, str) or value not in known:
            raise ValueError(f"{name} must be one of {sorted(known)}; got {value!r}.")
    check_scalar(max_exact, "max_exact", Integral, min_val=2)


def _dissimilarities(points: NDArray, metric: Dissimilarity, name: str) -> Values:
    scaled = points.astype(np.float64) / binary_scale(points)
    if metric in ("correlation", "cosine"):
        if metric == "correlation":
            scaled -= scaled[:, :1]  # what is constant becomes exactly 0
            scaled -= scaled.mean(axis=1, keepdims=True)
        wrong = np.flatnonzero(~scaled.any(axis=1))
        if wrong.size:
            lacks = "varies over its features" if metric == "correlation" else "differs from 0"
            raise ValueError(
                f"metric={metric!r} needs a sample that {lacks}; sample {wrong[0]} of {name} does "
                "not. Pass metric='euclidean', or leave it out."
            )
        return pdist(scaled, "cosine")
    return pdist(scaled, metric)


def _products(weight: Values) -> Values:
    i, j = np.triu_indices(len(weight), k=1)
    return weight[i] * weight[j]


def _normalized(values: Values, comparison: Comparison, weight: Values | None) -> Values:
    """Return values whose inner product is the correlation; all 0 where they are constant."""
    if comparison == "spearman":
        values = rankdata(values) if weight is None else mid_ranks(values, weight)
    if comparison != "cosine":
        if np.ptp(values) == 0:
            return np.zeros_like(values)
        values = values - np.average(values, weights=weight)
    if weight is not None:
        values = values * np.sqrt(weight)
    length = np.linalg.norm(values)
    return values / length if length > 0 else np.zeros_like(values)


def _p_value(
    a: Values, b: Values, similarity: float, n_permutations: int, rng: np.random.RandomState
) -> float:
    """Return the share of permutations of samples under which a and b are at least as alike."""
    A, B = squareform(a, checks=False), squareform(b, checks=False)
    n_at_least = 0
    for _ in range(n_permutations):
        order = rng.permutation(len(A))
        permuted = np.einsum("ij,ij->", A, B[np.ix_(order, order)]) / 2
        n_at_least += int(permuted >= similarity - _TIE)
    return (1 + n_at_least) / (1 + n_permutations)
