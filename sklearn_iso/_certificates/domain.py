"""Where perturbed samples may be: the threat, as arrays for one table of samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sklearn_iso._threat import ThreatModel
from sklearn_iso._threat.parts import numbers_of


@dataclass(frozen=True, eq=False)
class Domain:
    """A box of samples around which distances are measured in units.

    Parameters
    ----------
    order : float
        p of the norm: infinity, 2, 1, or 0, which counts the features that move.
    units : ndarray of shape (n_features,)
        0 for features that stay as they are.
    low, high : ndarray of shape (n_features,)
        Infinite where there are no bounds.

    Examples
    --------
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso._certificates.domain import Domain
    >>> Domain.of(ThreatModel("l2", bounds=(0, 1)), 2).size([[3.0, 4.0]])
    array([5.])
    """

    order: float
    units: NDArray
    low: NDArray
    high: NDArray

    @classmethod
    def of(cls, threat: ThreatModel, n_features: int) -> Domain:
        """Return the domain of a resolved threat."""
        units = np.array(np.broadcast_to(threat.radius(1.0), n_features), dtype=np.float64)
        if threat.immutable is not None:
            units[threat.immutable_mask()] = 0
        low, high = np.full(n_features, -np.inf), np.full(n_features, np.inf)
        if threat.bounds is not None:
            sides = (np.broadcast_to(numbers_of(side), n_features) for side in threat.bounds)
            low, high = (np.array(side, dtype=np.float64) for side in sides)
        return cls(threat.norm.order, units, low, high)

    def size(self, costs: NDArray) -> NDArray:
        """Return the norm of what features cost, in units, along the last axis."""
        costs = np.asarray(costs, dtype=np.float64)
        if np.isinf(self.order):
            return costs.max(axis=-1, initial=0.0)
        if self.order == 0:
            return np.where(costs > 0, np.where(np.isinf(costs), np.inf, 1.0), 0.0).sum(axis=-1)
        if self.order == 1:
            return costs.sum(axis=-1)
        return np.sqrt(np.square(costs).sum(axis=-1))

    def distance(self, X: NDArray, points: NDArray) -> NDArray:
        """Return how far points are from samples, in units; infinity where what stays moved."""
        with np.errstate(divide="ignore", invalid="ignore"):
            moved = np.abs(np.subtract(points, X, dtype=np.float64)) / self.units
        return self.size(np.where(np.isnan(moved), 0.0, moved))

    def room(self, X: NDArray) -> tuple[NDArray, NDArray]:
        """Return how far each feature of each sample may fall and rise, in units of X.

        A sample that lies outside of the bounds by rounding stays where it is.
        """
        X = np.asarray(X, dtype=np.float64)
        moves = self.units > 0
        down = np.where(moves, np.maximum(X - self.low, 0), 0.0)
        up = np.where(moves, np.maximum(self.high - X, 0), 0.0)
        return np.nan_to_num(down, nan=0.0, posinf=np.inf), np.nan_to_num(
            up, nan=0.0, posinf=np.inf
        )
