"""The nearest error of one sample, or how far there is none, by searches over leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sklearn_iso._certificates.cells import Around
from sklearn_iso._certificates.search import Box, Effort, Intersections, OutOfReach, Search

#: Boxes of equal scores that the estimator decides for the own class, before a search gives up.
MOST_TIES = 1000
#: By how much a radius grows where nothing is known of the distance.
GROWTH = 1.5


@dataclass(frozen=True, eq=False)
class Found:
    """What is known of the nearest error of a sample.

    Parameters
    ----------
    bound : float
        No error is nearer.
    distance : float
        Of the nearest error that was found; infinity for none.
    point : ndarray of shape (n_features,), or None
        That error.
    """

    bound: float
    distance: float = float("inf")
    point: NDArray | None = None


@dataclass(frozen=True, eq=False)
class Question:
    """Whether and where a sample is mistaken for other classes.

    Parameters
    ----------
    around : Around
        The sample in its norm.
    errs : callable
        Whether the estimator errs at a point, which decides between equal scores.
    effort : Effort
    """

    around: Around
    errs: Callable[[NDArray], bool]
    effort: Effort

    def first_error(self, boxes: Iterable[Box]) -> tuple[float, NDArray] | None:
        """Return the distance and the point of the first box where the estimator errs."""
        for number, box in enumerate(boxes):
            point = self.around.point(*box)
            if self.errs(point):
                return float(self.around.size(*box)), point
            if number >= MOST_TIES:
                raise OutOfReach
        return None

    def first_of(self, searches: Sequence[Search], radius: float) -> tuple[float, NDArray] | None:
        """Return the first error of any search within a radius; None where there is none.

        Raises
        ------
        OutOfReach
            If a search ended before it knew, and no other found one.
        """
        open_ended = False
        for search in searches:
            try:
                error = self.first_error(search.boxes(self.around, radius, self.effort))
            except OutOfReach:
                open_ended = True
                continue
            if error is not None:
                return error
        if open_ended:
            raise OutOfReach
        return None

    def within(self, search: Search, radius: float) -> bool | None:
        """Return whether there is an error within a radius; None where that stays open."""
        try:
            return self.first_error(search.boxes(self.around, radius, self.effort)) is not None
        except OutOfReach:
            return None

    def nearest(self, searches: Sequence[Search]) -> Found:
        """Return the nearest error in "linf", where distances are those of single cells.

        Radii grow until there is one, and then close in on it. What a search leaves open within
        half of the effort that is left is asked again for a smaller radius.
        """
        radii = np.unique(self.around.costs[np.isfinite(self.around.costs)])
        free = [0] * len(searches)  # the own cell is free of errors
        top, step, best = len(radii), 1, Found(np.inf)
        while (low := min(free)) + 1 < top:
            at = min(low + step, top - 1) if top == len(radii) else (low + top) // 2
            try:
                error = self._error_within(searches, free, radii, at)
            except OutOfReach:
                if self.effort.is_spent:
                    break
                top = at
                continue
            step *= 2
            if error is not None:
                best = Found(error[0], error[0], error[1])
                top = int(np.searchsorted(radii, best.distance))
        bound = radii[low + 1] if (low := min(free)) + 1 < len(radii) else np.inf
        return replace(best, bound=min(bound, best.distance))

    def _error_within(
        self, searches: Sequence[Search], free: list[int], radii: NDArray, at: int
    ) -> tuple[float, NDArray] | None:
        """Return an error within a radius, after noting which searches end without one."""
        for number, search in enumerate(searches):
            if free[number] < at:
                boxes = search.boxes(self.around, radii[at], self.effort.half())
                error = self.first_error(boxes)
                if error is not None:
                    return error
                free[number] = at
        return None

    def nearest_in_any_norm(self, search: Intersections, known: Found) -> Found:
        """Return the nearest error beyond a known bound, or a larger bound.

        Parameters
        ----------
        search : Intersections
        known : Found
            A bound, and the distance of an error if one is known.
        """
        bound, radius = known.bound, max(known.bound * GROWTH, self._smallest())
        while True:
            radius = min(radius, known.distance)
            try:
                found = search.by_distance(self.around, radius, self.effort)
                error = self.first_error(box for _, box in found)
            except OutOfReach as stopped:
                reached = float(stopped.args[0]) if stopped.args else 0.0
                return replace(known, bound=max(bound, min(reached, known.distance)))
            if error is not None:
                return Found(error[0], error[0], error[1])
            bound = radius
            if radius >= min(known.distance, self._largest()):
                return replace(known, bound=known.distance)
            radius *= GROWTH

    def _smallest(self) -> float:
        costs = self.around.costs
        return float(costs[costs > 0].min(initial=np.inf))

    def _largest(self) -> float:
        """Return a distance beyond which there is no cell."""
        costs, start = self.around.costs, self.around.cells.start[:-1]
        most = np.maximum.reduceat(np.where(np.isfinite(costs), costs, 0), start)
        return float(self.around.domain.size(most)) * GROWTH
