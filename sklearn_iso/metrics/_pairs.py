"""Pairs of points and their distances: every one, or a seeded uniform sample, in bounded memory."""

from numbers import Integral
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import pdist
from sklearn.utils import check_array, check_scalar, column_or_1d

from sklearn_iso._geometry.distances import power_below
from sklearn_iso._geometry.orders import ORDERS
from sklearn_iso._labels import check_labels_known
from sklearn_iso._protocols import RandomState
from sklearn_iso._randomness import private_random_state
from sklearn_iso.metrics._signatures import Metric

#: Pairs that are drawn where not all count.
N_PAIRS = 200_000


class Sampling(NamedTuple):
    """Which pairs count, and by which distance."""

    metric: Metric = "euclidean"
    max_exact: int = 2000
    n_pairs: int = N_PAIRS
    random_state: RandomState = 0

    def checked(self) -> "Sampling":
        """Return the same, or say which parameter is out of its range."""
        if not isinstance(self.metric, str) or self.metric not in ORDERS:
            raise ValueError(f"metric must be one of {sorted(ORDERS)}; got {self.metric!r}.")
        check_scalar(self.max_exact, "max_exact", Integral, min_val=2)
        check_scalar(self.n_pairs, "n_pairs", Integral, min_val=2)
        return self


def check_flag(flag: bool, name: str) -> None:
    """Raise a TypeError unless a flag is True or False."""
    check_scalar(flag, name, (bool, np.bool_))


_CHUNK_ENTRIES = 2**20  # 8 MB of float64 for each of the few arrays of a chunk


class PairDistances(NamedTuple):
    """Distances of the same pairs in two spaces, each up to a scale of its own.

    The weight of a pair is the product of those of its samples; None: all alike.
    """

    d_X: NDArray[np.float64]
    d_Z: NDArray[np.float64]
    exact: bool
    weight: NDArray[np.float64] | None = None


def check_points(points: ArrayLike, name: str) -> NDArray:
    """Return finite `points` as (n_samples, n_features), in the dtype that they have."""
    checked = check_array(
        points,
        dtype="numeric",
        allow_nd=True,
        ensure_min_samples=2,
        input_name=name,
        estimator="isometry_distortion",
    )
    return checked.reshape(len(checked), -1)


def check_pair_of_spaces(
    X: ArrayLike, Z: ArrayLike, y: ArrayLike | None
) -> tuple[NDArray, NDArray, NDArray[np.intp] | None]:
    """Return X, Z and the class numbers of y (all zero without y) of the same points."""
    X, Z = check_points(X, "X"), check_points(Z, "Z")
    if len(X) != len(Z):
        raise ValueError(
            f"X and Z must describe the same points, sample by sample; found {len(X)} samples in X "
            f"and {len(Z)} in Z. Pass Z = transform(X) of the same X."
        )
    return X, Z, None if y is None else check_classes(y, len(X))


def check_classes(y: ArrayLike, n_samples: int) -> NDArray[np.intp]:
    """Return the class of every sample as a number from 0."""
    labels = column_or_1d(y)
    if len(labels) != n_samples:
        raise ValueError(
            f"y must hold one label for each sample of X; found {len(labels)} labels for "
            f"{n_samples} samples. Pass the labels of the same samples."
        )
    check_labels_known(labels)
    return np.unique(labels, return_inverse=True)[1]


def binary_scale(points: NDArray) -> float:
    """Return the power of two at the largest magnitude, so that dividing by it is exact."""
    # Python floats: -min of an unsigned or the smallest signed integer would wrap around.
    return power_below(max(float(points.max()), -float(points.min())))


def pair_distances(
    X: NDArray,
    Z: NDArray,
    classes: NDArray[np.intp] | None,
    *,
    metric: Metric,
    max_exact: int,
    n_pairs: int,
    random_state: RandomState,
    weight: NDArray[np.float64] | None = None,
) -> PairDistances:
    """Return the distances of the pairs i < j within each class, or of a uniform sample of them.

    All pairs are taken if they are no more than those of `max_exact` points, `n_pairs` drawn with
    replacement otherwise. X is in units of ``binary_scale(X)``, and Z likewise.
    """
    groups = _groups(classes, len(X))
    n_eligible = _n_pairs_each(groups).sum()
    if n_eligible == 0:
        raise ValueError(
            "A distortion needs two samples of the same class; found "
            f"{len(groups)} classes of one sample each. Pass labels that repeat, or y=None to "
            "compare all pairs."
        )
    if n_eligible <= max_exact * (max_exact - 1) // 2:
        members = [group for group in groups if len(group) > 1]
        weights = None if weight is None else _all_products(weight, members)
        return PairDistances(
            _all_of(X, members, metric), _all_of(Z, members, metric), True, weights
        )
    i, j = draw_pairs(classes, len(X), n_pairs, private_random_state(random_state))
    weights = None if weight is None else weight[i] * weight[j]
    return PairDistances(paired(X, i, j, metric), paired(Z, i, j, metric), False, weights)


def draw_pairs(
    classes: NDArray[np.intp] | None, n_samples: int, n_pairs: int, rng: np.random.RandomState
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Draw pairs uniformly: a class by its number of pairs, then two distinct members of it."""
    groups = _groups(classes, n_samples)
    n_pairs_each = _n_pairs_each(groups)
    sizes = np.array([len(group) for group in groups])
    drawn = rng.choice(len(groups), size=n_pairs, p=n_pairs_each / n_pairs_each.sum())
    first = rng.randint(sizes[drawn])
    second = rng.randint(sizes[drawn] - 1)
    second += second >= first  # skip the first member, so that the rest are equally likely
    members, starts = np.concatenate(groups), np.cumsum(sizes) - sizes
    return members[starts[drawn] + first], members[starts[drawn] + second]


def paired(
    points: NDArray, i: NDArray[np.intp], j: NDArray[np.intp], metric: Metric
) -> NDArray[np.float64]:
    """Return the distance of points i[k] and j[k] for each k, in units of ``binary_scale``."""
    unit, order = binary_scale(points), ORDERS[metric]
    step = max(1, _CHUNK_ENTRIES // points.shape[1])
    distances = np.empty(len(i))
    for start in range(0, len(i), step):
        chunk = slice(start, start + step)
        difference = _in_units(points[i[chunk]], unit)
        difference -= _in_units(points[j[chunk]], unit)
        distances[chunk] = np.linalg.norm(difference, ord=order, axis=1)
    return distances


def _in_units(points: NDArray, unit: float) -> NDArray[np.float64]:
    scaled = points.astype(np.float64)
    scaled /= unit
    return scaled


def _groups(classes: NDArray[np.intp] | None, n_samples: int) -> list[NDArray[np.intp]]:
    if classes is None:
        return [np.arange(n_samples)]
    ends = np.cumsum(np.bincount(classes))[:-1]
    return np.split(np.argsort(classes, kind="stable"), ends)


def _n_pairs_each(groups: list[NDArray[np.intp]]) -> NDArray[np.int64]:
    sizes = np.array([len(group) for group in groups], dtype=np.int64)
    return sizes * (sizes - 1) // 2


def _all_of(points: NDArray, groups: list[NDArray[np.intp]], metric: Metric) -> NDArray[np.float64]:
    unit = binary_scale(points)
    return np.concatenate([pdist(_in_units(points[group], unit), metric) for group in groups])


def _all_products(
    weight: NDArray[np.float64], groups: list[NDArray[np.intp]]
) -> NDArray[np.float64]:
    products = []
    for group in groups:
        i, j = np.triu_indices(len(group), k=1)
        products.append(weight[group[i]] * weight[group[j]])
    return np.concatenate(products)
