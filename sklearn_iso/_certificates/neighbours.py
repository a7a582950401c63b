r"""Certificates of nearest neighbours: how far a sample is from the votes of other classes.

For another class to win among k neighbours, q points of other classes must come before all but
k - q points of the own class. In the Euclidean metric a point comes before another in a half-space,
whose distance is known in every norm. That of an intersection of half-spaces is the value of a
dual problem, any feasible point of which gives a lower bound [1]_. In other metrics the triangle
inequality bounds how fast distances change.

References
----------
.. [1] Wang, Liu, Yi, Yang, Li, Hsieh, Evaluating the Robustness of Nearest Neighbor Classifiers: A
   Primal-Dual Perspective, arXiv 1906.03972.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier

from sklearn_iso._certificates.affine import affine
from sklearn_iso._certificates.certifier import Certifier, Errors
from sklearn_iso._certificates.columnwise import quietly
from sklearn_iso._certificates.domain import Domain
from sklearn_iso._certificates.polyhedra import Polyhedron
from sklearn_iso._certificates.registry import Steps, register
from sklearn_iso._geometry.orders import ORDERS
from sklearn_iso._threat import ThreatModel
from sklearn_iso.exceptions import NotCertifiableError

#: What rounding may make of a distance.
ROUNDING = 1e-12
#: Points of the own class, the nearest ones, whose half-spaces are looked at in a first pass.
NEAREST = 24
#: Points of other classes at a time.
BLOCK = 256


@dataclass(frozen=True, eq=False)
class NeighboursCertifier:
    """Certifies a vote of nearest neighbours.

    Parameters
    ----------
    points : ndarray of shape (n_points, n_columns)
    labels : ndarray of int, shape (n_points,)
    n_neighbors : int
    order : float
        p of the metric.
    steps : Steps
    """

    points: NDArray
    labels: NDArray
    n_neighbors: int
    order: float
    steps: Steps = ()

    @property
    def exact(self) -> bool:
        """Whether there is one neighbour in the Euclidean metric: then distances are exact.

        But where points of two classes share a place, and either may be taken.
        """
        return self.n_neighbors == 1 and self.order == 2

    @cached_property
    def place(self) -> NDArray:
        """The number of the place of each point, the same for points that coincide."""
        return np.unique(self.points, axis=0, return_inverse=True)[1].ravel()

    @property
    def method(self) -> str:
        """How it proves."""
        if self.order == 2:
            return "distance to the half-spaces between neighbours"
        return "triangle inequality between neighbours"

    def holds(self, X: NDArray, codes: NDArray, threat: ThreatModel, eps: float) -> NDArray:
        """Return for which samples no perturbation within eps is misclassified."""
        return self.distances(X, codes, threat) * (1 - ROUNDING) > eps

    def distances(self, X: NDArray, codes: NDArray, threat: ThreatModel) -> NDArray:
        """Return a lower bound of the distance of each sample, in units of the threat."""
        bounds = [vote.bound() for vote in self._votes(X, codes, threat)]
        return np.array(bounds, dtype=np.float64)

    def errors(
        self, X: NDArray, codes: NDArray, threat: ThreatModel, eps: float | None = None
    ) -> Errors:
        """Return the nearest errors of one neighbour in the Euclidean metric."""
        domain = Domain.of(threat, X.shape[1])
        if not self.exact or domain.order not in (1, 2, np.inf):
            return Errors.none(X)
        votes = list(self._votes(X, codes, threat))
        found = [vote.nearest_cell(wins=True) for vote in votes]
        bounds = np.array([bound for bound, _ in found], dtype=np.float64)
        steps = np.stack([np.full(X.shape[1], np.nan) if v is None else v for _, v in found])
        lengths = domain.size(np.abs(steps))
        far = np.inf if eps is None else eps
        known = lengths <= far
        points = X + np.where(known[:, None] & (steps != 0), steps * domain.units, 0.0)
        settled = known | (bounds * (1 - ROUNDING) > far) | np.isinf(bounds)
        shared = np.array([vote.shares_places for vote in votes], dtype=bool)
        settled &= ~shared | (known & (eps is not None))
        return Errors(points.astype(X.dtype), known, settled)

    def _votes(self, X: NDArray, codes: NDArray, threat: ThreatModel) -> Iterator[Vote]:
        before, domain = affine(self.steps, X.shape[1]), Domain.of(threat, X.shape[1])
        Z = np.asarray(quietly(before.apply, X), dtype=np.float64)
        slopes = domain_slopes(before.matrix, domain, np.isnan(X))
        eps = 64 * X.shape[1] * np.finfo(X.dtype).eps
        blurs = eps * np.linalg.norm(before.sizes(X), ord=self.order, axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            down, up = (
                np.nan_to_num(side / domain.units, posinf=np.inf) for side in domain.room(X)
            )
        whole = replace(domain, units=np.ones(X.shape[1]))
        for z, code, slope, blur, *room in zip(
            Z, codes.tolist(), slopes, blurs, down, up, strict=True
        ):
            yield Vote(self, z, code, slope, whole, eps, blur, (room[0], room[1]))


def domain_slopes(matrix: NDArray, domain: Domain, missing: NDArray) -> list[NDArray]:
    """Return for each sample how columns follow its features, in units."""
    whole = matrix * domain.units[:, None]
    return [whole * ~gone[:, None] if gone.any() else whole for gone in missing]


def dual_size(v: NDArray, order: float) -> NDArray:
    """Return the dual norm along the last axis: how much a step of length 1 gains."""
    if np.isinf(order):
        return np.abs(v).sum(axis=-1)
    if order == 1:
        return np.abs(v).max(axis=-1, initial=0.0)
    return np.sqrt(np.square(v).sum(axis=-1))


@dataclass(frozen=True, eq=False)
class Vote:
    """The vote about one sample.

    Parameters
    ----------
    certifier : NeighboursCertifier
    z : ndarray of shape (n_columns,)
        The sample after the steps.
    code : int
    slopes : ndarray of shape (n_features, n_columns)
        How the columns follow the features, in units.
    domain : Domain
        With the norm of the threat, for steps in units.
    eps : float
        Of rounding.
    blur : float
        What rounding in the steps may do to distances.
    room : pair of ndarray of shape (n_features,)
        How far features may fall and rise, in units.
    """

    certifier: NeighboursCertifier
    z: NDArray
    code: int
    slopes: NDArray
    domain: Domain
    eps: float
    blur: float
    room: tuple[NDArray, NDArray]

    @property
    def order(self) -> float:
        """Of the norm of the threat."""
        return self.domain.order

    def bound(self) -> float:
        """Return how far no other class can win."""
        own = self.certifier.labels == self.code
        points, k = self.certifier.points, self.certifier.n_neighbors
        away = np.linalg.norm(points - self.z, ord=self.certifier.order, axis=1)
        away_own, away_others = np.sort(away[own]), np.sort(away[~own])
        # Of equal votes the first class wins.
        needed = k // 2 + 1 if self.code == 0 else (k + 1) // 2
        ahead = k - needed  # points of the own class that may come before
        if len(away_others) < needed or len(away_own) <= ahead:
            return np.inf if len(away_others) < needed else 0.0
        gap = away_others[needed - 1] - away_own[ahead]
        slack = self.eps * (away_others[needed - 1] + np.abs(self.z).max(initial=0.0))
        slack += 2 * self.blur
        fastest = self._fastest()
        by_triangle = max(gap - slack, 0.0) / (2 * fastest) if fastest > 0 else np.inf
        if self.certifier.order != 2 or gap <= slack:
            return float(by_triangle)
        if k == 1:
            return max(float(by_triangle), self.nearest_cell()[0])
        nearest_own = points[own][np.argsort(away[own], kind="stable")]
        nearest_others = points[~own][np.argsort(away[~own], kind="stable")]
        return max(by_triangle, self._by_half_spaces(nearest_own, nearest_others, needed, ahead))

    def _fastest(self) -> float:
        """Return by how much distances in the metric change at most, for a step of length 1."""
        metric = self.certifier.order
        bounds = [np.linalg.norm(dual_size(self.slopes.T, self.order), ord=metric)]
        if self.order == 1:
            bounds.append(np.linalg.norm(self.slopes, ord=metric, axis=1).max(initial=0.0))
        if self.order == metric == 2:
            bounds.append(np.linalg.norm(self.slopes, ord=2))
        return float(min(bounds))

    def _half_spaces(self, own: NDArray, others: NDArray) -> tuple[NDArray, NDArray]:
        """Return what must be gained for points to come before those of the own class, and slopes.

        The shapes are (n_others, n_own) and (n_others, n_own, n_features).
        """
        squares = np.square(others - self.z).sum(axis=1)
        own_squares = np.square(own - self.z).sum(axis=1)
        sizes = squares + np.square(others).sum(axis=1)
        sums = np.sqrt(squares)[:, None] + np.sqrt(own_squares)
        gains = squares[:, None] - own_squares - self.eps * sizes[:, None] - 2 * self.blur * sums
        slopes = 2 * (others[:, None] - own) @ self.slopes.T
        return gains, slopes

    def _by_half_spaces(self, own: NDArray, others: NDArray, needed: int, ahead: int) -> float:
        """Return the distance at which enough points have come before enough of the own class."""
        own, found = own[: ahead + NEAREST], np.zeros(0)
        for start in range(0, len(others), BLOCK):
            block = others[start : start + BLOCK]
            lengths = self._lengths(*self._half_spaces(own, block))
            # All but `ahead` half-spaces must be reached: at least the longest of the others.
            each = np.sort(lengths, axis=1)[:, len(own) - 1 - ahead]
            found = np.sort(np.concatenate([found, each]))[:needed]
        return float(found[needed - 1])

    def _lengths(self, gains: NDArray, slopes: NDArray) -> NDArray:
        sizes = dual_size(slopes, self.order)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(gains > 0, np.where(sizes > 0, gains / sizes, np.inf), 0.0)

    @property
    def shares_places(self) -> bool:
        """Whether points of another class lie where one of the own class does."""
        place, mine = self.certifier.place, self.certifier.labels == self.code
        return bool(np.isin(place[~mine], place[mine]).any())

    def nearest_cell(self, wins: bool = False) -> tuple[float, NDArray | None]:
        """Return the distance to the cells of points of other classes, and a step there.

        With `wins`, of points alone that share their place with none of the own class.

        A cell is an intersection of half-spaces. The distance is a lower bound, of which all but
        rounding is reached by the step, in units; there is none where no cell can be reached.
        """
        points, mine = self.certifier.points, self.certifier.labels == self.code
        away = np.square(points - self.z).sum(axis=1)
        own = points[mine][np.argsort(away[mine], kind="stable")]
        rivals = ~mine
        if wins:
            rivals &= ~np.isin(self.certifier.place, self.certifier.place[mine])
        others = points[rivals][np.argsort(away[rivals], kind="stable")]
        lengths = np.concatenate(
            [
                self._lengths(*self._half_spaces(own[:NEAREST], others[at : at + BLOCK])).max(
                    axis=1
                )
                for at in range(0, len(others), BLOCK)
            ]
            or [np.zeros(0)]
        )
        best, step = np.inf, None
        for number in np.argsort(lengths, kind="stable"):
            if lengths[number] >= best:
                break
            gains, slopes = (part[0] for part in self._half_spaces(own, others[[number]]))
            cell = Polyhedron(slopes, gains, *self.room, self.domain)
            bound, found = cell.nearest(best)
            if max(bound, lengths[number]) < best:
                best, step = max(bound, float(lengths[number])), found
        return best, step


@register(KNeighborsClassifier, knows_errors=True)
def _neighbours(classifier: KNeighborsClassifier, steps: Steps) -> Certifier:
    order = _order(classifier)
    points = classifier._fit_X
    points = points.toarray() if hasattr(points, "toarray") else points
    labels, k = classifier._y.ravel(), int(classifier.n_neighbors)
    return NeighboursCertifier(np.asarray(points, dtype=np.float64), labels, k, order, steps)


def _order(classifier: KNeighborsClassifier) -> float:
    """Return the p of the metric of a vote that can be certified."""
    reason = None
    if classifier.outputs_2d_:
        reason = "it predicts several outputs; fit one classifier for each"
    elif classifier.weights not in ("uniform", None) and classifier.n_neighbors > 1:
        reason = f"weights={classifier.weights!r} are not counts of votes; use 'uniform'"
    elif classifier.metric_params:
        reason = "metric_params are not supported; scale the features instead"
    elif classifier.metric != "minkowski" and classifier.metric not in ORDERS:
        reason = f"metric={classifier.metric!r} is no Minkowski distance; use 'euclidean'"
    if reason:
        raise NotCertifiableError(classifier, reason=reason)
    return float(ORDERS.get(classifier.metric, classifier.p))
