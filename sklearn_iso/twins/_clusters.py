"""Twins of transformers by clusters: distances to their centres, and clusters of features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.cluster import Birch, BisectingKMeans, FeatureAgglomeration, KMeans, MiniBatchKMeans
from torch import Tensor, nn

from sklearn_iso.twins._affine import constant
from sklearn_iso.twins._projections import Project
from sklearn_iso.twins._registry import NotDifferentiableError, register


class DistancesTo(nn.Module):
    """Euclidean distances to fixed points; their gradient is 0 at the points themselves.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._clusters import DistancesTo
    >>> DistancesTo([[0.0, 0.0], [3.0, 0.0]])(torch.tensor([[3.0, 4.0]]))
    tensor([[5., 4.]])
    """

    points: Tensor

    def __init__(self, points: ArrayLike) -> None:
        super().__init__()
        self.register_buffer("points", constant(points))

    def forward(self, X: Tensor) -> Tensor:
        """Return distances of shape (n, n_points)."""
        # Of differences, as the Gram expansion loses digits near a centre.
        mode = "donot_use_mm_for_euclid_dist"
        return torch.cdist(X, self.points.to(X), compute_mode=mode)


class Extremes(nn.Module):
    """Largest or smallest feature of each group of columns.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._clusters import Extremes
    >>> Extremes([[0, 2], [1]], largest=True)(torch.tensor([[1.0, 2.0, 3.0]]))
    tensor([[3., 2.]])
    """

    def __init__(self, groups: Sequence[Sequence[int]], largest: bool) -> None:
        super().__init__()
        self.groups, self.largest = [list(group) for group in groups], largest

    def forward(self, X: Tensor) -> Tensor:
        """Return one column for each group."""
        pool = torch.amax if self.largest else torch.amin
        return torch.stack([pool(X[:, group], dim=1) for group in self.groups], dim=1)


@register(KMeans)
@register(MiniBatchKMeans)
@register(BisectingKMeans)
def _centres(clustering: BaseEstimator) -> nn.Module:
    return DistancesTo(clustering.cluster_centers_)


@register(Birch)
def _subclusters(birch: Birch) -> nn.Module:
    return DistancesTo(birch.subcluster_centers_)


@register(FeatureAgglomeration)
def _agglomeration(agglomeration: FeatureAgglomeration) -> nn.Module:
    pool, labels = agglomeration.pooling_func, np.asarray(agglomeration.labels_)
    if pool in (np.max, np.min):
        groups = [np.flatnonzero(labels == label).tolist() for label in np.unique(labels)]
        return Extremes(groups, largest=pool is np.max)
    if pool not in (np.mean, np.sum):
        name = getattr(pool, "__name__", repr(pool))
        reason = f"pooling_func={name} has no torch form; use numpy.mean, sum, max or min"
        raise NotDifferentiableError(agglomeration, reason=reason)
    members = np.eye(labels.max() + 1)[labels]
    return Project(members / members.sum(axis=0) if pool is np.mean else members)
