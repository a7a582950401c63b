"""The nearest error of one sample, or how far there is none, by searches over leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sklearn_iso._certificates.cells import Around
from sklearn_iso._certificates.search import (
    Box,
    Effort,
    Hit,
    Intersections,
    OutOfReach,
    Search,
)

#: Steps of the search in NumPy for a sample, where it only improves a bound.
STEPS_TO_IMPROVE = 2000
#: Boxes of equal scores that the estimator decides for the own class, before a search gives up.
MOST_TIES = 1000
#: By how much a radius grows where nothing is known of the distance.
GROWTH = 1.5
#: By this share before an error at hand the first proof is tried, and the last one just before an
#: error that is this close; others half way.
FIRST, CLOSE = 0.1, 0.03


class Error(NamedTuple):
    """Where the estimator errs.

    Parameters
    ----------
    distance : float
    point : ndarray of shape (n_features,)
    box : Box
        Around the point.
    """

    distance: float
    point: NDArray
    box: Box


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
    asks_always : bool
        Whether it decides between others too.
    """

    around: Around
    errs: Callable[[NDArray], bool]
    effort: Effort
    asks_always: bool = False

    def first_error(self, hits: Iterable[Hit]) -> Error | None:
        """Return the first box where the estimator errs, and its nearest point."""
        for number, hit in enumerate(hits):
            error = self._error_in(hit)
            if error is not None:
                return error
            if number >= MOST_TIES:
                raise OutOfReach
        return None

    def _error_in(self, hit: Hit) -> Error | None:
        point = self.around.point(*hit.box)
        if (hit.is_sure and not self.asks_always) or self.errs(point):
            return Error(float(self.around.size(*hit.box)), point, hit.box)
        return None

    def first_of(self, searches: Sequence[Search], radius: float) -> Error | None:
        """Return the first error of any search within a radius; None where there is none.

        Raises
        ------
        OutOfReach
            If a search ended before it knew, and no other found one.
        """
        open_ended = False
        for search in searches:
            try:
                error = self.first_error(search.hits(self.around, radius, self.effort))
            except OutOfReach:
                open_ended = True
                error = self._error_at_hand(search, radius)
            if error is not None:
                return error
        if open_ended:
            raise OutOfReach
        return None

    def within(self, search: Search, radius: float) -> bool | None:
        """Return whether there is an error within a radius; None where that stays open."""
        try:
            return self.first_error(search.hits(self.around, radius, self.effort)) is not None
        except OutOfReach:
            return None

    def nearest(self, searches: Sequence[Search]) -> Found:
        """Return the nearest error in "linf", where distances are those of single cells.

        Radii grow until there is one, unless one is at hand, and then close in on it. What a search
        leaves open within half of the effort that is left is asked again for a smaller radius.
        Few nodes are spent sooner than ascents, which then wait until proofs are given up.
        """
        radii = np.unique(self.around.costs[np.isfinite(self.around.costs)])
        free = [0] * len(searches)  # the own cell is free of errors
        step, best = 1, Found(np.inf)
        if not self._is_short:
            best = self._at_hand(searches, best, 0.0)
        top = int(np.searchsorted(radii, best.distance))
        while (low := min(free)) + 1 < top:
            at = (
                min(low + step, top - 1)
                if top == len(radii)
                else _between(radii, low, top, best.distance)
            )
            try:
                error = self._error_within(searches, free, radii, at)
            except OutOfReach:
                if self.effort.is_spent:
                    break
                top = at
                continue
            step *= 2
            if error is not None:
                best = _found(error)
                top = int(np.searchsorted(radii, best.distance))
        bound = radii[low + 1] if (low := min(free)) + 1 < len(radii) else np.inf
        if self._is_short and bound < best.distance:
            best = self._at_hand(searches, best, radii[low])
        return replace(best, bound=min(bound, best.distance))

    @property
    def _is_short(self) -> bool:
        """Whether proofs end after few nodes."""
        return self.effort.n_nodes is not None

    def _at_hand(self, searches: Sequence[Search], best: Found, proven: float) -> Found:
        """Return an error without a proof that it is the nearest, the best if none is nearer."""
        for search in searches:
            error = self._error_at_hand(search, np.nextafter(best.distance, 0))
            if error is not None:
                best = _found(self._nearer(search, error, proven))
        return best

    def _error_at_hand(self, search: Search, radius: float) -> Error | None:
        box = search.at_hand(self.around, radius)
        return None if box is None else self._error_in(Hit(box, is_sure=True))

    def _error_within(
        self, searches: Sequence[Search], free: list[int], radii: NDArray, at: int
    ) -> Error | None:
        """Return an error within a radius, after noting which searches end without one."""
        for number, search in enumerate(searches):
            if free[number] < at:
                hits = search.hits(self.around, radii[at], self.effort.half())
                error = self.first_error(hits)
                if error is not None:
                    proven = radii[min(free)]
                    return error if self._is_short else self._nearer(search, error, proven)
                free[number] = at
        return None

    def _nearer(self, search: Search, error: Error, proven: float) -> Error:
        box = search.nearer(self.around, error.box, proven)
        return error if box is None else self._error_in(Hit(box, is_sure=True)) or error

    def nearest_in_its_norm(
        self, searches: Sequence[Search], others: Callable[[], Sequence[Intersections]]
    ) -> Found:
        """Return the nearest error in the norm of the sample.

        In another than "linf", what "linf" tells, which is never larger, and what a short search
        adds.

        Parameters
        ----------
        searches : sequence of Search
        others : callable
            Returns the same searches in NumPy.
        """
        domain = self.around.domain
        if domain.order == np.inf:
            return self.nearest(searches) if searches else Found(np.inf)
        in_linf = replace(self.around, domain=replace(domain, order=np.inf))
        known = replace(self, around=in_linf).nearest(searches) if searches else Found(np.inf)
        if known.point is not None:
            known = replace(known, distance=self._size_at(known.point))
        if np.isinf(known.bound):
            return known
        effort = Effort(self.effort.seconds, STEPS_TO_IMPROVE, started=self.effort.started)
        further = replace(self, effort=effort)
        bounds, found = [], known
        for search in others():
            better = further.nearest_in_any_norm(search, found)
            bounds.append(better.bound)
            found = replace(better, bound=known.bound)
        return replace(found, bound=min(*bounds, found.distance))

    def _size_at(self, point: NDArray) -> float:
        cells = self.around.cells
        costs = self.around.costs[cells.start[:-1] + cells.located(point)]
        return float(self.around.domain.size(costs))

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
                error = self.first_error(search.hits(self.around, radius, self.effort))
            except OutOfReach as stopped:
                reached = float(stopped.args[0]) if stopped.args else 0.0
                return replace(known, bound=max(bound, min(reached, known.distance)))
            if error is not None:
                return _found(error)
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


def _found(error: Error) -> Found:
    return Found(error.distance, error.distance, error.point)


def _between(radii: NDArray, low: int, top: int, best: float) -> int:
    """Return which of the radii between two is tried next: proofs take longer and longer."""
    middle = (low + top) // 2
    if radii[min(top, len(radii) - 1)] < best:  # what the last search left open
        return middle
    if low == 0:
        return int(np.clip(np.searchsorted(radii, (1 - FIRST) * best), middle, top - 1))
    return top - 1 if best - radii[low] < CLOSE * best else middle
