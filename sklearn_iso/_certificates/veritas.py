"""The search of the package Veritas, for ensembles of any size, in the norm "linf"."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_iso._certificates.cells import Around, Gridded
from sklearn_iso._certificates.search import Box, Effort, OutOfReach

LARGEST_MEMORY = 2**30  # bytes
STEPS_AT_ONCE = 100
#: Without a limit of time: a search that goes on for longer is given up.
LONGEST = 3600.0


def is_installed() -> bool:
    """Return whether there is the package."""
    return find_spec("veritas") is not None


@dataclass(frozen=True, eq=False)
class Veritas:
    """Intersections of leaves by the package Veritas.

    Parameters
    ----------
    gridded : Gridded
    gains : ndarray of shape (n_nodes,)
        What each leaf adds to the lead of the other class.
    floor : float
        The least lead that counts, less what it starts from.
    """

    gridded: Gridded
    gains: NDArray
    floor: float

    @cached_property
    def trees(self) -> Any:
        """The trees as the package has them, splitting at numbers of cells."""
        import veritas

        trees = veritas.AddTree(1, veritas.AddTreeType.REGR)
        forest, feature = self.gridded.forest, self.gridded.feature
        counts = np.diff(self.gridded.cells.start)
        for root in forest.roots.tolist():
            tree = trees.add_tree()
            stack = [(root, tree.root(), np.zeros_like(counts), counts)]
            while stack:
                node, own, low, high = stack.pop()
                on, cut = feature[node], self.gridded.cut[node]
                if on < 0:
                    tree.set_leaf_value(own, 0, float(self.gains[node]))
                elif not low[on] < cut < high[on]:
                    child = forest.right[node] if cut <= low[on] else forest.left[node]
                    stack.append((int(child), own, low, high))
                else:
                    tree.split(own, int(on), float(cut))
                    above, below = low.copy(), high.copy()
                    above[on] = below[on] = cut
                    stack.append((int(forest.left[node]), tree.left(own), low, below))
                    stack.append((int(forest.right[node]), tree.right(own), above, high))
        return trees

    def boxes(self, around: Around, radius: float, effort: Effort) -> Iterator[Box]:
        """Yield boxes of cells within a radius of a sample where the other class may win."""
        import veritas

        low, high = around.within(radius)
        limits = [veritas.Interval(*map(float, pair)) for pair in zip(low, high, strict=True)]
        config = veritas.Config(veritas.HeuristicType.MAX_OUTPUT)
        config.ignore_state_when_worse_than = self.floor
        config.stop_when_optimal = False
        config.stop_when_num_new_solutions_exceeds = 1
        config.max_memory = LARGEST_MEMORY
        config.focal_eps = 0.5
        search = config.get_search(self.trees, limits)
        seen: set[tuple[int, ...]] = set()
        while True:
            seconds = min(effort.seconds_left, LONGEST)
            if seconds <= 0:
                raise OutOfReach
            reason = search.step_for(seconds, STEPS_AT_ONCE)
            for position in range(search.num_solutions()):
                nodes = tuple(search.get_solution_nodes(position))
                if nodes not in seen:
                    seen.add(nodes)
                    yield self._box(search.get_solution(position).box(), low, high)
            if reason == veritas.StopReason.NO_MORE_OPEN:
                return
            if reason in (veritas.StopReason.OUT_OF_TIME, veritas.StopReason.OUT_OF_MEMORY):
                raise OutOfReach

    @staticmethod
    def _box(intervals: Any, low: NDArray, high: NDArray) -> Box:
        low, high = low.copy(), high.copy()
        for feature, interval in intervals.items():
            low[feature] = max(low[feature], interval.lo)
            high[feature] = min(high[feature], interval.hi)
        return low, high
