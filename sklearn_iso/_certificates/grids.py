"""A forest on its grid, and the searches over it for each pair of classes."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sklearn_iso._certificates import veritas
from sklearn_iso._certificates.ascent import Ascent
from sklearn_iso._certificates.cells import Gridded
from sklearn_iso._certificates.leaves import Leaves
from sklearn_iso._certificates.search import Intersections, Leads, Search

if TYPE_CHECKING:
    from veritas import AddTree

#: Of ensembles whose searches end too soon for a help to pay.
MOST_LEAVES_OF_QUICK = 1000


@dataclass(frozen=True, eq=False)
class Grid:
    """A forest on its grid, and the searches over it, made when they are asked for."""

    gridded: Gridded
    _searches: dict[tuple[int, int], Search] = field(default_factory=dict, repr=False)

    @cached_property
    def leaves(self) -> Leaves:
        """The leaves of all trees."""
        return Leaves.of(self.gridded)

    def search(self, own: int, other: int) -> Search:
        """Return the search for points where another class wins."""
        if not veritas.is_installed():
            return self.intersections(own, other)
        key = (own, other)
        if key not in self._searches:
            lead = self._veritas_trees.contrast_classes(other, own)
            gains, leads = self._gains(own, other)
            self._searches[key] = veritas.Veritas(lead, leads, self._ascent(gains, leads))
        return self._searches[key]

    @cached_property
    def _veritas_trees(self) -> AddTree:
        return veritas.trees_of(self.gridded)

    def _ascent(self, gains: NDArray, leads: Leads) -> Ascent | None:
        """Return a quick search for errors where those of Veritas may take long."""
        if self.gridded.forest.is_leaf.sum() <= MOST_LEAVES_OF_QUICK:
            return None
        n_cells = np.diff(self.gridded.cells.start)
        return Ascent(self.leaves, gains[self.leaves.node], leads.sure, n_cells)

    def intersections(self, own: int, other: int) -> Intersections:
        """Return the search in NumPy."""
        gains, leads = self._gains(own, other)
        return Intersections(self.leaves, gains[self.leaves.node], leads)

    def _gains(self, own: int, other: int) -> tuple[NDArray, Leads]:
        """Return what nodes add to the lead of another class, and from where on it wins."""
        forest = self.gridded.forest
        sure, quantum = forest.rounding(), forest.quantum()
        least = -sure
        if quantum is not None:  # sums are exact, so that ties are known
            wins_ties = (other > own) if forest.last_wins else (other < own)
            least = sure = -quantum / 2 if wins_ties else quantum / 2
        gains = forest.values[:, other] - forest.values[:, own]
        start = forest.constant[other] - forest.constant[own]
        return gains, Leads(float(least - start), float(sure - start))
