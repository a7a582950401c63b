"""Searches over intersections of leaves: what they are asked, and the one in plain NumPy.

A sample is in one leaf of each tree; leaves that have a cell in common bound the score of all
points there [1]_. What cannot exceed the score of the own class, whatever leaves follow, is left
out.

References
----------
.. [1] Kantchelian, Tygar, Joseph, Evasion and Hardening of Tree Ensemble Classifiers, ICML 2016.
.. [2] Devos, Meert, Davis, Versatile Verification of Tree Ensembles, ICML 2021.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sklearn_iso._certificates.cells import Around
from sklearn_iso._certificates.leaves import Leaves

#: Cells of a box, low included and high not.
Box = tuple[NDArray, NDArray]


class Hit(NamedTuple):
    """A box of cells where another class may win.

    Parameters
    ----------
    box : Box
    is_sure : bool
        Whether its lead is larger than what rounding may make of it.
    """

    box: Box
    is_sure: bool


class OutOfReach(Exception):
    """A search ended before it knew: its time or its number of steps was up."""


@dataclass
class Effort:
    """What a search may spend on a sample.

    Parameters
    ----------
    seconds : float, optional
    n_steps : int, optional
        Of the search in NumPy.
    n_nodes : int, optional
        Of a search by another package.
    of : Effort, optional
        What this is a part of.
    """

    seconds: float | None = None
    n_steps: int | None = None
    n_nodes: int | None = None
    of: Effort | None = None
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds_left(self) -> float:
        """Time that is left; infinity without a limit."""
        if self.seconds is None:
            return float("inf")
        return self.seconds - (time.monotonic() - self.started)

    @property
    def is_spent(self) -> bool:
        """Whether nothing is left."""
        counts = (self.n_steps, self.n_nodes)
        return self.seconds_left <= 0 or any(left is not None and left <= 0 for left in counts)

    def half(self) -> Effort:
        """Return half of what is left."""
        seconds = None if self.seconds is None else self.seconds_left / 2
        steps, nodes = (None if n is None else n // 2 for n in (self.n_steps, self.n_nodes))
        return Effort(seconds, steps, nodes, of=self)

    def step(self) -> None:
        """Count a step.

        Raises
        ------
        OutOfReach
            If it is one too many.
        """
        if self.is_spent:
            raise OutOfReach
        self._count(1, 0)

    def nodes(self, most: int) -> int:
        """Return how many nodes another package may open, at most so many.

        Raises
        ------
        OutOfReach
            If nothing is left.
        """
        if self.is_spent:
            raise OutOfReach
        return most if self.n_nodes is None else min(most, self.n_nodes)

    def opened(self, n_nodes: int) -> None:
        """Count nodes that another package has opened."""
        self._count(0, n_nodes)

    def _count(self, n_steps: int, n_nodes: int) -> None:
        self.n_steps = None if self.n_steps is None else self.n_steps - n_steps
        self.n_nodes = None if self.n_nodes is None else self.n_nodes - n_nodes
        if self.of is not None:
            self.of._count(n_steps, n_nodes)


class Leads(NamedTuple):
    """What another class must lead by to win, less what its lead starts from.

    Parameters
    ----------
    least : float
        With less it does not.
    sure : float
        With as much it does.
    """

    least: float
    sure: float


class Search(Protocol):
    """Finds where the scores of one class reach those of another."""

    def hits(self, around: Around, radius: float, effort: Effort) -> Iterator[Hit]:
        """Yield boxes of cells within a radius of a sample where the other class may win.

        When it ends, there are no more of them.

        Raises
        ------
        OutOfReach
            If the effort did not suffice.
        """

    def nearer(self, around: Around, box: Box, proven: float) -> Box | None:
        """Return a box where the other class wins, nearer than a known one, if one is at hand.

        None is within the proven radius.
        """

    def at_hand(self, around: Around, radius: float) -> Box | None:
        """Return a box within a radius where the other class wins, if it is found at once."""


@dataclass(frozen=True, eq=False)
class Intersections:
    """Intersections of leaves in the order of their distance, in any norm.

    Parameters
    ----------
    leaves : Leaves
    gains : ndarray of shape (n_leaves,)
        What each adds to the lead of the other class.
    leads : Leads
    """

    leaves: Leaves
    gains: NDArray
    leads: Leads

    def hits(self, around: Around, radius: float, effort: Effort) -> Iterator[Hit]:
        """Yield the boxes within a radius, the nearest first.

        Raises
        ------
        OutOfReach
            With a lower bound of the distance of all boxes that have not come yet.
        """
        low, high = around.within(radius)
        some = np.flatnonzero(self.leaves.meeting(low, high))
        start = self._narrowed((low, high), some, 0.0, around, radius)
        states = [] if start is None else [start]
        number = count()
        heap = [(distance, next(number), rest) for distance, rest in states]
        while heap:
            distance, _, (box, left, lead) = heapq.heappop(heap)
            try:
                effort.step()
            except OutOfReach:
                raise OutOfReach(distance) from None
            if not len(left):
                yield Hit(box, lead >= self.leads.sure)
                continue
            for state in self._branches(box, left, lead, around, radius):
                heapq.heappush(heap, (state[0], next(number), state[1]))

    def nearer(self, around: Around, box: Box, proven: float) -> Box | None:
        """Return None: the nearest box comes first."""
        return None

    def at_hand(self, around: Around, radius: float) -> Box | None:
        """Return None: there is nothing but the search."""
        return None

    def highest(self, around: Around, radius: float) -> float:
        """Return an upper bound of what leaves add to the lead within a radius, in any norm.

        Leaves of different trees need not have a cell in common.
        """
        return self._most(np.flatnonzero(around.size(self.leaves.low, self.leaves.high) <= radius))

    def _branches(
        self, box: Box, left: NDArray, lead: float, around: Around, radius: float
    ) -> Iterator[tuple[float, tuple[Box, NDArray, float]]]:
        """Yield the state after each leaf of the tree with fewest of them."""
        trees, counts = np.unique(self.leaves.tree[left], return_counts=True)
        chosen = self.leaves.tree[left] == trees[counts.argmin()]
        others = left[~chosen]
        for leaf in left[chosen]:
            low = np.maximum(box[0], self.leaves.low[leaf])
            high = np.minimum(box[1], self.leaves.high[leaf])
            met = (self.leaves.low[others] < high) & (self.leaves.high[others] > low)
            some = others[met.all(axis=1)]
            state = self._narrowed((low, high), some, lead + self.gains[leaf], around, radius)
            if state is not None:
                yield state

    def _narrowed(
        self, box: Box, left: NDArray, lead: float, around: Around, radius: float
    ) -> tuple[float, tuple[Box, NDArray, float]] | None:
        """Return a state without the leaves out of reach; None where the lead stays too small."""
        distance = float(around.size(*box))
        if distance > radius:
            return None
        if len(left):
            lows = np.maximum(box[0], self.leaves.low[left])
            highs = np.minimum(box[1], self.leaves.high[left])
            left = left[around.size(lows, highs) <= radius]
        if lead + self._most(left) < self.leads.least:
            return None
        return distance, (box, left, lead)

    def _most(self, left: NDArray) -> float:
        """Return the sum of the largest gain of each tree among some leaves."""
        if not len(left):
            return 0.0
        tree = self.leaves.tree[left]
        starts = np.flatnonzero(np.concatenate([[True], tree[1:] != tree[:-1]]))
        return float(np.maximum.reduceat(self.gains[left], starts).sum())
