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
from sklearn_iso._certificates.columnwise import Columnwise
from sklearn_iso._certificates.forests import Forest
from sklearn_iso._certificates.leaves import Leaves
from sklearn_iso._certificates.search import Intersections, Leads, Search

if TYPE_CHECKING:
    from veritas import AddTree

#: Of ensembles whose searches end too soon for a help to pay.
MOST_LEAVES_OF_QUICK = 1000
#: What rounding may make of a difference of numbers, as a share of them.
SUBTRACTED = 8 * float(np.finfo(np.float64).eps)
#: Forests with what is missing or a category decided, that are kept for further samples.
MOST_PATTERNS = 64


@dataclass(frozen=True, eq=False)
class Grid:
    """A forest on its grid, and the searches over it, made when they are asked for."""

    gridded: Gridded
    _searches: dict[tuple[int, int], veritas.Veritas] = field(default_factory=dict, repr=False)
    _known_gains: dict[tuple[int, int], NDArray] = field(default_factory=dict, repr=False)

    @cached_property
    def leaves(self) -> Leaves:
        """The leaves of all trees."""
        return Leaves.of(self.gridded)

    def search(self, own: int, other: int, amount: float | None = None) -> Search:
        """Return the search for points where another class wins.

        With an amount, for points where its score is larger by more than that.
        """
        leads = self._leads(own, other, amount)
        if not veritas.is_installed():
            return Intersections(self.leaves, self._gains(own, other), leads)
        key = (own, other)
        if key not in self._searches:
            lead = self._veritas_trees.contrast_classes(other, own)
            ascent = self._ascent(self._gains(own, other), leads)
            self._searches[key] = veritas.Veritas(lead, leads, ascent)
        return self._searches[key].needing(leads)

    @cached_property
    def _veritas_trees(self) -> AddTree:
        return veritas.trees_of(self.gridded)

    def _ascent(self, gains: NDArray, leads: Leads) -> Ascent | None:
        """Return a quick search for errors where those of Veritas may take long."""
        if self.gridded.forest.is_leaf.sum() <= MOST_LEAVES_OF_QUICK:
            return None
        return Ascent(self.leaves, gains, leads.sure, np.diff(self.gridded.cells.start))

    def intersections(self, own: int, other: int, amount: float | None = None) -> Intersections:
        """Return the same search in NumPy."""
        leads = self._leads(own, other, amount)
        return Intersections(self.leaves, self._gains(own, other), leads)

    def _gains(self, own: int, other: int) -> NDArray:
        """Return what leaves add to the lead of another class."""
        if (own, other) not in self._known_gains:
            values = self.gridded.forest.values[self.leaves.node]
            self._known_gains[own, other] = values[:, other] - values[:, own]
        return self._known_gains[own, other]

    def _leads(self, own: int, other: int, amount: float | None) -> Leads:
        """Return from where on another class wins."""
        forest = self.gridded.forest
        start = forest.constant[other] - forest.constant[own]
        if amount is not None:
            sure = self._rounding + SUBTRACTED * abs(amount)
            return Leads(float(amount - sure - start), float(amount + sure - start))
        sure = self._rounding
        least = -sure
        if self._quantum is not None:  # sums are exact, so that ties are known
            wins_ties = (other > own) if forest.last_wins else (other < own)
            least = sure = -self._quantum / 2 if wins_ties else self._quantum / 2
        return Leads(float(least - start), float(sure - start))

    @cached_property
    def _rounding(self) -> float:
        return self.gridded.forest.rounding()

    @cached_property
    def _quantum(self) -> float | None:
        return self.gridded.forest.quantum()


@dataclass(frozen=True, eq=False)
class Grids:
    """The grids of a forest, one for each dtype of samples, and for what is missing in some."""

    of_dtype: dict[type, Grid] = field(default_factory=dict)
    of_pattern: dict[tuple[int, bytes], Grid] = field(default_factory=dict)

    def of(self, forest: Forest, columns: Columnwise, n_features: int, dtype: type) -> Grid:
        """Return the grid of samples of a dtype."""
        if dtype not in self.of_dtype:
            self.of_dtype[dtype] = Grid(Gridded.of(forest, columns, n_features, dtype))
        return self.of_dtype[dtype]

    def at(self, grid: Grid, x: NDArray) -> Grid:
        """Return the tests that a sample leaves open, the same for others with the same answers."""
        if not grid.gridded.depends_on(x):
            return grid
        gridded = grid.gridded.at(x)
        key = id(grid), gridded.cut.tobytes()
        if key not in self.of_pattern:
            if len(self.of_pattern) >= MOST_PATTERNS:
                self.of_pattern.clear()
            self.of_pattern[key] = Grid(gridded)
        return self.of_pattern[key]
