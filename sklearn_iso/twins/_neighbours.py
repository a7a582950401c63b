"""The twin of k nearest neighbours: its predictions, with the slope of a smooth surrogate."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from torch import Tensor, nn

from sklearn_iso._geometry.orders import ORDERS
from sklearn_iso.twins._affine import constant
from sklearn_iso.twins._kernels import by_rows, squared_distances
from sklearn_iso.twins._registry import NotDifferentiableError, register
from sklearn_iso.twins._responses import first_argmax, with_winner

ROWS_FOR_TEMPERATURE = 500


class Neighbours(nn.Module):
    r"""Soft nearest neighbours, with the hard ones' winner on top.

    .. math:: z_c(x) = \log \sum_{i \in c} \exp(-\|x - x_i\|_p^2 / T)

    Parameters
    ----------
    points : array-like of shape (n_points, n_features)
        In order of their classes.
    counts : sequence of int
        Points of each class.
    n_neighbours : int
    temperature : float
    p : float
        Order of the Minkowski distance.
    weigh_by_distance : bool

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._neighbours import Neighbours
    >>> twin = Neighbours([[0.0], [2.0]], [1, 1], n_neighbours=1, temperature=1.0)
    >>> twin(torch.tensor([[0.0]]))
    tensor([[ 0., -4.]])
    """

    points: Tensor
    classes: Tensor
    surrogate = (
        "KNeighborsClassifier predicts by votes of neighbours, which have no gradient; scores are "
        "a soft vote of all points, with the estimator's predictions"
    )

    def __init__(
        self,
        points: ArrayLike,
        counts: list[int],
        *,
        n_neighbours: int,
        temperature: float,
        p: float = 2.0,
        weigh_by_distance: bool = False,
    ) -> None:
        super().__init__()
        self.register_buffer("points", constant(points))
        classes = np.repeat(np.arange(len(counts)), counts)
        self.register_buffer("classes", torch.from_numpy(classes))
        self.counts, self.n_neighbours, self.p = list(counts), n_neighbours, p
        self.temperature, self.weigh_by_distance = temperature, weigh_by_distance

    def forward(self, X: Tensor) -> Tensor:
        """Return class scores."""
        return by_rows(self._scores, X, len(self.points))

    def _scores(self, X: Tensor) -> Tensor:
        points = self.points.to(X)
        if self.p == 2:
            squares = squared_distances(X, points)
        else:
            squares = torch.cdist(X, points, p=self.p).square()
        parts = (-squares / self.temperature).split(self.counts, dim=1)
        soft = torch.stack([part.logsumexp(dim=1) for part in parts], dim=1)
        return with_winner(soft, self._winner(squares.detach()))

    def _winner(self, squares: Tensor) -> Tensor:
        weights, index = _weights(squares, self.n_neighbours, self.weigh_by_distance)
        votes = squares.new_zeros(len(squares), len(self.counts))
        return first_argmax(votes.scatter_add(1, self.classes[index], weights))


def _weights(squares: Tensor, n_neighbours: int, by_distance: bool) -> tuple[Tensor, Tensor]:
    """Weights of the nearest points, and which they are."""
    nearest, index = squares.topk(n_neighbours, dim=1, largest=False)
    if not by_distance:
        return torch.ones_like(nearest), index
    # A coincident point outweighs all others; below rounding, distances are 0.
    floor = torch.finfo(squares.dtype).tiny ** 0.5
    return nearest.clamp_min(floor).rsqrt(), index


class NeighboursMean(nn.Module):
    r"""Means of the nearest targets, with the slope of a soft mean over all.

    .. math:: \sum_i \mathrm{softmax}_i(-\|x - x_i\|_p^2 / T) \, y_i

    Parameters
    ----------
    points : array-like of shape (n_points, n_features)
    targets : array-like of shape (n_points, n_outputs)
    n_neighbours : int
    temperature : float
    p : float
        Order of the Minkowski distance.
    weigh_by_distance : bool

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._neighbours import NeighboursMean
    >>> NeighboursMean([[0.0], [2.0]], [[5.0], [7.0]], 1, temperature=1.0)(torch.tensor([[0.5]]))
    tensor([[5.]])
    """

    points: Tensor
    targets: Tensor
    surrogate = (
        "KNeighborsRegressor predicts by means of neighbours, which jump; gradients are those of "
        "a soft mean of all points, values the estimator's"
    )

    def __init__(
        self,
        points: ArrayLike,
        targets: ArrayLike,
        n_neighbours: int,
        temperature: float,
        *,
        p: float = 2.0,
        weigh_by_distance: bool = False,
    ) -> None:
        super().__init__()
        self.register_buffer("points", constant(points))
        self.register_buffer("targets", constant(targets))
        self.n_neighbours, self.temperature = n_neighbours, temperature
        self.p, self.weigh_by_distance = p, weigh_by_distance

    def forward(self, X: Tensor) -> Tensor:
        """Return predictions of shape (n, n_outputs)."""
        return by_rows(self._means, X, len(self.points))

    def _means(self, X: Tensor) -> Tensor:
        points, targets = self.points.to(X), self.targets.to(X)
        squares = (
            squared_distances(X, points)
            if self.p == 2
            else torch.cdist(X, points, p=self.p).square()
        )
        soft = torch.softmax(-squares / self.temperature, dim=1) @ targets
        weights, index = _weights(squares.detach(), self.n_neighbours, self.weigh_by_distance)
        weights = weights / weights.sum(dim=1, keepdim=True)
        hard = (weights[:, :, None] * targets[index]).sum(dim=1)
        return hard + (soft - soft.detach())


@register(KNeighborsRegressor)
def _neighbours_mean(regressor: KNeighborsRegressor) -> nn.Module:
    points = np.asarray(_points(regressor), dtype=np.float64)
    return NeighboursMean(
        points,
        np.asarray(regressor._y, dtype=np.float64).reshape(len(points), -1),
        regressor.n_neighbors,
        _temperature(regressor, points),
        p=_order(regressor),
        weigh_by_distance=regressor.weights == "distance",
    )


@register(KNeighborsClassifier)
def _neighbours(classifier: KNeighborsClassifier) -> nn.Module:
    order = np.argsort(_labels(classifier), kind="stable")
    points = np.asarray(_points(classifier), dtype=np.float64)
    return Neighbours(
        points[order],
        np.bincount(classifier._y.ravel(), minlength=len(classifier.classes_)).tolist(),
        n_neighbours=classifier.n_neighbors,
        temperature=_temperature(classifier, points),
        p=_order(classifier),
        weigh_by_distance=classifier.weights == "distance",
    )


def _labels(classifier: KNeighborsClassifier) -> NDArray:
    if classifier.outputs_2d_:
        raise TypeError(
            "A KNeighborsClassifier of several outputs has no twin: a twin returns scores of "
            "exclusive classes. Fit one classifier for each output."
        )
    return classifier._y.ravel()


def _points(classifier: KNeighborsClassifier | KNeighborsRegressor) -> NDArray:
    points = classifier._fit_X
    return points.toarray() if hasattr(points, "toarray") else points


def _order(classifier: KNeighborsClassifier | KNeighborsRegressor) -> float:
    """Return the order of the Minkowski distance, or tell that it is another."""
    reason = None
    if classifier.weights not in ("uniform", "distance", None):
        reason = f"weights={classifier.weights!r} has no torch form; use 'uniform' or 'distance'"
    elif classifier.metric_params:
        reason = "metric_params have no torch form; scale the features instead"
    elif classifier.metric != "minkowski" and classifier.metric not in ORDERS:
        reason = f"metric={classifier.metric!r} has no torch form; use a Minkowski distance"
    if reason:
        raise NotDifferentiableError(classifier, reason=reason)
    return float(ORDERS.get(classifier.metric, classifier.p))


def _temperature(classifier: KNeighborsClassifier | KNeighborsRegressor, points: NDArray) -> float:
    """Return half the median growth of the squared distance over the first 2k neighbours.

    Then about as many points count as the classifier counts.
    """
    some = points[:: max(1, len(points) // ROWS_FOR_TEMPERATURE)]
    n_neighbours = min(2 * classifier.n_neighbors + 1, len(points))
    squares = classifier.kneighbors(some, n_neighbours)[0] ** 2
    growth = squares[:, -1] - squares[:, min(1, n_neighbours - 1)]
    positive = growth[growth > 0]
    return float(np.median(positive)) / 2 if len(positive) else 1.0
