"""Nearer errors by coordinate ascent on the lead of another class: no proof, but quick.

A search that proves something ends soon where no error is left to find. What it finds need not
be the nearest error: this looks for a nearer one before the next proof is tried.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sklearn_iso._certificates.cells import Around
from sklearn_iso._certificates.leaves import Leaves
from sklearn_iso._certificates.search import Box

#: Radii that are tried, and how closely.
MOST_RADII, CLOSE = 12, 0.005
#: Rounds through all features.
MOST_ROUNDS = 10


@dataclass(frozen=True, eq=False)
class Ascent:
    """Moves one feature at a time to the cell where another class leads by most.

    Parameters
    ----------
    leaves : Leaves
    gains : ndarray of shape (n_leaves,)
        What each adds to the lead of the other class.
    sure : float
        The lead with which it wins.
    n_cells : ndarray of int, shape (n_features,)
    """

    leaves: Leaves
    gains: NDArray
    sure: float
    n_cells: NDArray

    def nearer(self, around: Around, box: Box, proven: float) -> Box | None:
        """Return a box of one cell where the other class wins, nearer than another; or None.

        Parameters
        ----------
        around : Around
            In "linf".
        box : Box
            Where the other class wins.
        proven : float
            No error is within this radius.
        """
        at = np.clip(around.own, box[0], box[1] - 1)
        far, near, found = float(around.size(at, at + 1)), proven, False
        for _ in range(MOST_RADII):
            if far - near <= CLOSE * far:
                break
            radius = (near + far) / 2
            limits = around.within(radius)
            moved = self._climbed(at, *limits)
            if moved is None:
                moved = self._climbed(around.own, *limits)
            if moved is None:
                near = radius
            else:
                at, found, far = moved, True, float(around.size(moved, moved + 1))
        return (at, at + 1) if found else None

    def at_hand(self, around: Around, radius: float) -> Box | None:
        """Return a box of one cell within a radius where the other class wins, if it finds one."""
        everywhere = around.costs[np.isfinite(around.costs)].max()
        at = self._climbed(around.own, *around.within(min(radius, everywhere)))
        return None if at is None else (at, at + 1)

    def _climbed(self, at: NDArray, low: NDArray, high: NDArray) -> NDArray | None:
        """Return cells within limits where the other class wins, None if it finds none."""
        at = np.clip(at, low, high - 1)
        outside = (at < self.leaves.low) | (at >= self.leaves.high)
        counts = outside.sum(axis=1)
        lead = float(self.gains[counts == 0].sum())
        for _ in range(MOST_ROUNDS):
            before = lead
            for feature in np.flatnonzero(high - low > 1).tolist():
                leads = self._leads(feature, np.flatnonzero(counts == outside[:, feature]))
                cell = int(low[feature] + leads[low[feature] : high[feature]].argmax())
                if leads[cell] <= leads[at[feature]]:
                    continue
                at[feature], lead = cell, float(leads[cell])
                counts -= outside[:, feature]
                outside[:, feature] = self._outside(feature, cell)
                counts += outside[:, feature]
                if lead >= self.sure:
                    return at
            if lead <= before:
                break
        return at if lead >= self.sure else None

    def _leads(self, feature: int, some: NDArray) -> NDArray:
        """Return the lead in each cell of a feature; some leaves are met in all other features."""
        steps = np.zeros(self.n_cells[feature] + 1)
        np.add.at(steps, self.leaves.low[some, feature], self.gains[some])
        np.subtract.at(steps, self.leaves.high[some, feature], self.gains[some])
        return steps[:-1].cumsum()

    def _outside(self, feature: int, cell: int) -> NDArray:
        low, high = self.leaves.low[:, feature], self.leaves.high[:, feature]
        outside: NDArray = (cell < low) | (cell >= high)
        return outside
