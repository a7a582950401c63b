"""Scale-optimal normalised stress: how far a representation is from keeping distances."""

from dataclasses import dataclass, fields
from numbers import Integral
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_scalar

from sklearn_iso.metrics.pairs import ORDERS, Metric, check_pair_of_spaces, pair_distances


@overload
def isometry_distortion(
    X: ArrayLike,
    Z: ArrayLike,
    y: ArrayLike | None = ...,
    *,
    metric: Metric = ...,
    max_exact: int = ...,
    n_pairs: int = ...,
    random_state: Any = ...,
    return_std_error: Literal[False] = ...,
) -> float: ...


@overload
def isometry_distortion(
    X: ArrayLike,
    Z: ArrayLike,
    y: ArrayLike | None = ...,
    *,
    metric: Metric = ...,
    max_exact: int = ...,
    n_pairs: int = ...,
    random_state: Any = ...,
    return_std_error: Literal[True],
) -> tuple[float, float]: ...


def isometry_distortion(
    X: ArrayLike,
    Z: ArrayLike,
    y: ArrayLike | None = None,
    *,
    metric: Metric = "euclidean",
    max_exact: int = 2000,
    n_pairs: int = 200_000,
    random_state: Any = 0,
    return_std_error: bool = False,
) -> float | tuple[float, float]:
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
        The representations of the same points, row by row.
    y : array-like of shape (n_samples,), default=None
        Class labels. If given, only pairs of the same class count.
    metric : {"euclidean", "cityblock", "chebyshev"}, default="euclidean"
        Distance, of both spaces.
    max_exact : int, default=2000
        Up to as many pairs as this number of points has, 1,999,000 by default, all pairs count.
    n_pairs : int, default=200_000
        With more eligible pairs than that, this many are drawn uniformly, with replacement.
    random_state : int, RandomState instance or None, default=0
        Seed of that draw.
    return_std_error : bool, default=False
        Whether to return the standard error of the draw too.

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
    _check_parameters(metric, max_exact, n_pairs)
    X, Z, classes = check_pair_of_spaces(X, Z, y)
    pairs = pair_distances(
        X,
        Z,
        classes,
        metric=metric,
        max_exact=max_exact,
        n_pairs=n_pairs,
        random_state=random_state,
    )
    stress, std_error = _stress(pairs.d_X, pairs.d_Z)
    return (stress, 0.0 if pairs.exact else std_error) if return_std_error else stress


def best_scale(d_X: NDArray[np.float64], d_Z: NDArray[np.float64]) -> float:
    """Return the s that minimises the sum of (d_Z - s d_X)^2, and 0 where d_X is all zero."""
    squared = d_X @ d_X
    return float(d_X @ d_Z / squared) if squared else 0.0


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


def _check_parameters(metric: str, max_exact: int, n_pairs: int) -> None:
    if metric not in ORDERS:
        raise ValueError(f"metric must be one of {sorted(ORDERS)}; got {metric!r}.")
    check_scalar(max_exact, "max_exact", Integral, min_val=2)
    check_scalar(n_pairs, "n_pairs", Integral, min_val=2)


def make_distortion_scorer(
    *,
    within_class: bool = True,
    scale: ArrayLike | None = None,
    metric: Metric = "euclidean",
    max_exact: int = 2000,
    n_pairs: int = 200_000,
    random_state: Any = 0,
) -> "DistortionScorer":
    """Make a scorer: the negated distortion of ``estimator.transform(X)`` against X.

    The score is ``-isometry_distortion(X, estimator.transform(X), y)``, in [-1, 0] and greater is
    better, for ``scoring=`` in :func:`~sklearn.model_selection.cross_validate` and
    :class:`~sklearn.model_selection.GridSearchCV`, alone or in a dict of scorers. X is what the
    estimator is given: in a Pipeline, the features before the first step.

    Parameters
    ----------
    within_class : bool, default=True
        Whether to count only pairs of the same class where y is given, as `isometry_distortion`
        does. A classifier has to pull classes apart, so that distances across them say little about
        it. With False all pairs count and y is not looked at, as for a regressor.
    scale : float or array-like of shape (n_features,), default=None
        Unit of each feature: distances are those of ``X / scale``. With a StandardScaler in
        the pipeline, ``X_train.std(axis=0)`` measures against what the network is given. A
        feature of scale 0 is constant and left out.
    metric, max_exact, n_pairs, random_state
        As in :func:`isometry_distortion`.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y=None) -> float``; it can be pickled.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> from sklearn_iso.metrics import make_distortion_scorer
    >>> X, y = load_iris(return_X_y=True)
    >>> scorer = make_distortion_scorer()
    >>> scorer
    make_distortion_scorer()
    >>> round(scorer(PCA(n_components=1).fit(X), X, y), 2)
    -0.35
    """
    _check_parameters(metric, max_exact, n_pairs)
    if scale is not None and not (np.isfinite(scale).all() and np.min(scale) >= 0):
        raise ValueError(
            f"scale must be finite and at least 0; got {scale!r}. Pass the unit of each feature, "
            "such as X_train.std(axis=0)."
        )
    return DistortionScorer(within_class, scale, metric, max_exact, n_pairs, random_state)


@dataclass(frozen=True, repr=False)
class DistortionScorer:
    """The callable that :func:`make_distortion_scorer` makes."""

    within_class: bool = True
    scale: ArrayLike | None = None
    metric: Metric = "euclidean"
    max_exact: int = 2000
    n_pairs: int = 200_000
    random_state: Any = 0

    def __call__(self, estimator: Any, X: ArrayLike, y: ArrayLike | None = None) -> float:
        """Return the negated distortion of ``estimator.transform(X)`` against X."""
        return -isometry_distortion(
            X if self.scale is None else _in_units(X, self.scale),
            representation_of(estimator, X),
            y if self.within_class else None,
            metric=self.metric,
            max_exact=self.max_exact,
            n_pairs=self.n_pairs,
            random_state=self.random_state,
        )

    def __repr__(self) -> str:
        values = {field.name: (getattr(self, field.name), field.default) for field in fields(self)}
        given = [
            f"{name}={value!r}"
            for name, (value, default) in values.items()
            if isinstance(value, np.ndarray) or value != default
        ]
        return f"make_distortion_scorer({', '.join(given)})"


def _in_units(X: ArrayLike, scale: ArrayLike) -> NDArray:
    values = np.asarray(X, dtype=np.float64)
    scale = np.asarray(scale, dtype=np.float64)
    return np.divide(values, scale, out=np.zeros_like(values), where=scale > 0)


def representation_of(estimator: Any, X: ArrayLike) -> Any:
    """Return ``estimator.transform(X)``, or say what an estimator without it lacks."""
    if not hasattr(estimator, "transform"):
        raise TypeError(
            "A distortion compares X with estimator.transform(X); "
            f"{type(estimator).__name__} has no transform. Use an estimator with a representation, "
            "such as IsometricClassifier, or a Pipeline that ends in one."
        )
    return estimator.transform(X)
