"""The distances that an embedding is asked to keep, and how well it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone

from sklearn_iso._geometry import Metric, Stress, one_block
from sklearn_iso._geometry.distances import power_of_two
from sklearn_iso._geometry.orders import ORDERS
from sklearn_iso.estimators._roles import Embedding
from sklearn_iso.penalties import GeodesicIsometry, Penalty
from sklearn_iso.penalties._graph import MAX_EXACT, geodesic_distances, neighbour_graph
from sklearn_iso.penalties._pairwise import MetricName, norm_order

_OF_ORDER: dict[float, MetricName] = {1.0: "l1", 2.0: "l2", np.inf: "linf"}
#: Metrics by their names in scikit-learn and SciPy.
METRICS: dict[str, MetricName] = {
    **{name: _OF_ORDER[order] for name, order in ORDERS.items()},
    "precomputed": "precomputed",
}

#: Samples between which all distances are measured; more are sampled.
MAX_MEASURED = 2000


@dataclass(frozen=True)
class Targets:
    """Distances between samples, from wherever they come.

    Attributes
    ----------
    X : ndarray of shape (n_samples, n_features)
    metric : str, float or callable
        As the pairwise penalties take it.
    distances : ndarray of shape (n_samples, n_samples), optional
        Given ones, or the shortest paths through their graph.
    paths : GeodesicIsometry, optional
        A calibrated penalty that knows them.
    """

    X: NDArray
    metric: str | Metric
    distances: NDArray | None = None
    paths: GeodesicIsometry | None = None

    def sample(self, rng: np.random.RandomState, size: int = MAX_MEASURED) -> NDArray:
        """Return the samples to measure, all of them where there are no more than `size`."""
        rows = np.arange(len(self.X)) if self.paths is None else self.paths.landmarks_
        return rows if len(rows) <= size else np.sort(rng.choice(rows, size, replace=False))

    def between(self, rows: NDArray) -> NDArray:
        """Return the distances (n, n) between some samples, in float64."""
        if self.paths is not None:
            found: NDArray = self.paths.distances_between(torch.from_numpy(rows)).numpy()
            return found.astype(np.float64)
        if self.distances is not None:
            return self.distances[np.ix_(rows, rows)].astype(np.float64)
        X = torch.from_numpy(self.X[rows].astype(np.float64))
        metric = norm_order(self.metric) if isinstance(self.metric, str | float) else self.metric
        return one_block(torch.ones(len(X))).distances(X, metric)[0].numpy()

    def known_from(self, rows: NDArray) -> NDArray | None:
        """Return distances (n, n_samples) from some samples; None where X itself tells them."""
        if self.paths is not None:
            found: NDArray = self.paths.distances_from(torch.from_numpy(rows)).numpy()
            return found
        return None if self.distances is None else self.distances[rows]

    def spread(self, rng: np.random.RandomState, weight: NDArray) -> float | None:
        """Return how far weighted samples are from their centre; None where X itself tells."""
        if self.paths is not None:
            return self.paths.spread_
        if self.distances is None and self.metric == "l2":
            return None
        rows = self.sample(rng, 500)
        share = weight[rows].astype(np.float64) / weight[rows].sum(dtype=np.float64)
        return float(np.sqrt(share @ np.square(self.between(rows)) @ share / 2))

    def stress(self, Z: NDArray, rows: NDArray) -> float:
        """Return the scale-optimal normalised stress of the embedding Z of some samples."""
        d_X = torch.from_numpy(self.between(rows))[None]
        blocks = one_block(torch.ones(len(rows), dtype=torch.float64))
        embedded = torch.from_numpy(Z.astype(np.float64))
        # In any unit the same: sums of squares neither overflow nor vanish.
        d_X, embedded = (values / power_of_two(values) for values in (d_X, embedded))
        squared = Stress.normalized(blocks, d_X)(embedded)
        return float(squared.clamp(0, 1).sqrt())


def given_distances(
    estimator: Embedding, distances: NDArray | None, rows: NDArray
) -> NDArray | None:
    """Return the given distances of some samples, or the paths that penalty="geodesic" asks.

    Raises
    ------
    ValueError
        If there are too many samples for their shortest paths, or the graph falls apart.
    """
    if distances is None:
        return None
    if len(rows) < len(distances):
        distances = distances[np.ix_(rows, rows)]
    if estimator.penalty != "geodesic":
        return distances
    if len(distances) > MAX_EXACT:
        raise ValueError(
            f"Shortest paths through precomputed distances are found for up to {MAX_EXACT} "
            f"samples; got {len(distances)}. Pass fewer samples, or a norm as metric, which takes "
            "landmarks."
        )
    graph = neighbour_graph(distances, estimator.n_neighbors, "precomputed")
    return geodesic_distances(graph, np.arange(len(distances)), distances.dtype)


def kept_metric(estimator: Embedding, penalty: Penalty) -> MetricName | Metric:
    """Return the metric of the distances to keep: that of a penalty object, where it has one.

    Raises
    ------
    ValueError
        If precomputed distances come and no term looks at them, or the other way round; or if
        a penalty object has another metric than the estimator was given.
    """
    metric = metric_of(estimator.metric)
    own = [term.metric for _, _, term in penalty.terms() if hasattr(term, "metric")]
    given = any(isinstance(name, str) and name == "precomputed" for name in own)
    if given != (isinstance(metric, str) and metric == "precomputed"):
        raise ValueError(
            "metric='precomputed' goes with a penalty of that metric, or the distances would not "
            f"count; got metric={estimator.metric!r} and penalty={estimator.penalty!r}. Name the "
            "penalty, or pass for example IsometricTransformer(metric='precomputed', "
            "penalty=GlobalIsometry(metric='precomputed'))."
        )
    if not isinstance(estimator.penalty, Penalty):
        return metric
    if estimator.metric != "euclidean" and _by_order(metric) not in map(_by_order, own):
        raise ValueError(
            "metric is that of a penalty by name, and an object brings its own; got "
            f"metric={estimator.metric!r} and penalty={estimator.penalty!r}. Leave out metric, and "
            "set the metric of the penalty."
        )
    return own[0] if own else metric


def _by_order(metric: str | float | Metric) -> float | str | Metric:
    """Return the p of a norm, by whatever name, and any other metric as it is."""
    if callable(metric) or metric == "precomputed":
        return metric
    return norm_order(metric)


def metric_of(metric: str | Metric) -> MetricName | Metric:
    """Return a metric under the name that penalties have for it.

    Examples
    --------
    >>> from sklearn_iso.estimators._targets import metric_of
    >>> metric_of("euclidean"), metric_of(3.0)
    ('l2', 3.0)
    """
    return METRICS.get(cast(str, metric), cast(MetricName, metric))


def find_paths(penalty: Penalty) -> GeodesicIsometry | None:
    """Return the first term that measures geodesics, if any."""
    terms = (term for _, _, term in penalty.terms())
    return next((term for term in terms if isinstance(term, GeodesicIsometry)), None)


def targets_among(
    estimator: Embedding, X: NDArray, distances: NDArray | None, rng: np.random.RandomState
) -> Targets:
    """Return the distances that a fitted estimator was to keep, between new samples."""
    given = given_distances(estimator, distances, np.arange(len(X)))
    metric = kept_metric(estimator, estimator.penalty_)
    return Targets(X, metric, given, paths_among(estimator.penalty_, X, rng))


def paths_among(
    penalty: Penalty, X: NDArray, rng: np.random.RandomState
) -> GeodesicIsometry | None:
    """Return a penalty that knows the geodesics among new samples, where there is one at all."""
    term = find_paths(penalty)
    if term is None:
        return None
    generator = torch.Generator().manual_seed(int(rng.randint(2**31 - 1)))
    rows = torch.from_numpy(np.require(X, requirements=["C", "W"]))  # of a frame it is read-only
    return clone(term).calibrate(rows, torch.zeros(len(X)), None, generator)
