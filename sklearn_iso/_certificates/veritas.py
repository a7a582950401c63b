"""The search of the package Veritas, for ensembles of any size, in the norm "linf"."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sklearn_iso._certificates.ascent import Ascent
from sklearn_iso._certificates.cells import Around, Gridded
from sklearn_iso._certificates.search import Box, Effort, Hit, Leads, OutOfReach

if TYPE_CHECKING:
    from veritas import AddTree, Config, Interval, StopReason
    from veritas import Search as VeritasSearch

LARGEST_MEMORY = 2**30  # bytes
STEPS_AT_ONCE = 100
#: Without a limit of time: a search that goes on for longer is given up.
LONGEST = 3600.0


def is_installed() -> bool:
    """Return whether there is the package."""
    return find_spec("veritas") is not None


def trees_of(gridded: Gridded) -> AddTree:
    """Return the trees of a forest as the package has them, splitting at numbers of cells."""
    import veritas

    forest, counts = gridded.forest, np.diff(gridded.cells.start).tolist()
    features, cuts = gridded.feature.tolist(), gridded.cut.tolist()
    left, right = forest.left.tolist(), forest.right.tolist()
    trees = veritas.AddTree(forest.n_classes, veritas.AddTreeType.REGR)
    for root in forest.roots.tolist():
        tree = trees.add_tree()
        stack = [(root, tree.root(), [0] * len(counts), counts)]
        while stack:
            node, own, low, high = stack.pop()
            on, cut = features[node], cuts[node]
            if on < 0:
                tree.set_leaf_values(own, forest.values[node])
            elif not low[on] < cut < high[on]:
                child = right[node] if cut <= low[on] else left[node]
                stack.append((child, own, low, high))
            else:
                tree.split(own, on, float(cut))
                above, below = low.copy(), high.copy()
                above[on] = below[on] = cut
                stack.append((left[node], tree.left(own), low, below))
                stack.append((right[node], tree.right(own), above, high))
    return trees


@dataclass(frozen=True, eq=False)
class Veritas:
    """Intersections of leaves by the package Veritas.

    Parameters
    ----------
    trees : veritas.AddTree
        What each leaf adds to the lead of the other class.
    leads : Leads
    ascent : Ascent, optional
        What looks for nearer errors than the search finds.
    """

    trees: AddTree
    leads: Leads
    ascent: Ascent | None = None

    def needing(self, leads: Leads) -> Veritas:
        """Return the same search for other leads."""
        if leads == self.leads:
            return self
        ascent = None if self.ascent is None else replace(self.ascent, sure=leads.sure)
        return replace(self, leads=leads, ascent=ascent)

    def highest(self, around: Around, radius: float, effort: Effort) -> float:
        """Return an upper bound of what leaves add to the lead within a radius in "linf".

        It is the largest sum itself where the effort suffices.
        """
        import veritas

        config = veritas.Config(veritas.HeuristicType.MAX_OUTPUT)
        config.max_memory = LARGEST_MEMORY
        low, high = around.within(radius)
        limits = list(map(_interval, low.tolist(), high.tolist()))
        search = config.get_search(self.trees.prune(limits))
        opened, most = 0, float("inf")
        with suppress(OutOfReach):
            while True:
                reason = self._step(search, effort)
                effort.opened(search.stats.num_steps - opened)
                opened = search.stats.num_steps
                most = min(most, search.current_bounds().best)
                if reason != veritas.StopReason.NONE or search.is_optimal():
                    break
        return most

    def hits(self, around: Around, radius: float, effort: Effort) -> Iterator[Hit]:
        """Yield boxes of cells within a radius of a sample where the other class may win."""
        import veritas

        low, high = around.within(radius)
        limits = list(map(_interval, low.tolist(), high.tolist()))
        # Leaves that meet the limits and each other in pairs have a cell within them in common.
        search = self._config.get_search(self.trees.prune(limits))
        seen: set[tuple[int, ...]] = set()
        opened = 0
        while True:
            reason = self._step(search, effort)
            effort.opened(search.stats.num_steps - opened)
            opened = search.stats.num_steps
            for position in range(search.num_solutions()):
                nodes = tuple(search.get_solution_nodes(position))
                if nodes not in seen:
                    seen.add(nodes)
                    found = search.get_solution(position)
                    box = self._box(found.box(), low, high)
                    yield Hit(box, found.output >= self.leads.sure)
            if reason == veritas.StopReason.NO_MORE_OPEN:
                return
            if reason in (veritas.StopReason.OUT_OF_TIME, veritas.StopReason.OUT_OF_MEMORY):
                raise OutOfReach

    @staticmethod
    def _step(search: VeritasSearch, effort: Effort) -> StopReason:
        n_nodes = effort.nodes(STEPS_AT_ONCE)
        if effort.n_nodes is None:
            return search.step_for(min(effort.seconds_left, LONGEST), n_nodes)
        return search.steps(n_nodes)

    def nearer(self, around: Around, box: Box, proven: float) -> Box | None:
        """Return a box where the other class wins, nearer than a known one, if one is at hand."""
        return None if self.ascent is None else self.ascent.nearer(around, box, proven)

    def at_hand(self, around: Around, radius: float) -> Box | None:
        """Return a box within a radius where the other class wins, if it is found at once."""
        return None if self.ascent is None else self.ascent.at_hand(around, radius)

    @cached_property
    def _config(self) -> Config:
        import veritas

        config = veritas.Config(veritas.HeuristicType.MAX_OUTPUT)
        config.ignore_state_when_worse_than = self.leads.least
        config.stop_when_optimal = False
        config.stop_when_num_new_solutions_exceeds = 1
        config.max_memory = LARGEST_MEMORY
        config.focal_eps = 0.5
        return config

    @staticmethod
    def _box(intervals: Mapping[int, Interval], low: NDArray, high: NDArray) -> Box:
        low, high = low.copy(), high.copy()
        for feature, interval in intervals.items():
            low[feature] = max(low[feature], interval.lo)
            high[feature] = min(high[feature], interval.hi)
        return low, high


@lru_cache(maxsize=4096)
def _interval(low: int, high: int) -> Interval:
    import veritas

    return veritas.Interval(float(low), float(high))
