"""Leaves as boxes of cells, and the nearest of them: exact for a single tree in every norm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sklearn_iso._certificates.cells import Gridded


@dataclass(frozen=True, eq=False)
class Leaves:
    """The leaves of all trees, tree by tree, that some sample may reach.

    Parameters
    ----------
    node : ndarray of int, shape (n_leaves,)
    tree : ndarray of int, shape (n_leaves,)
    low, high : ndarray of int, shape (n_leaves, n_features)
        The cells of each leaf.
    """

    node: NDArray
    tree: NDArray
    low: NDArray
    high: NDArray

    @classmethod
    def of(cls, gridded: Gridded) -> Leaves:
        """Return the leaves of a forest on its grid."""
        found = []
        counts = np.diff(gridded.cells.start)
        for number, root in enumerate(gridded.forest.roots.tolist()):
            stack = [(root, np.zeros_like(counts), counts)]
            while stack:
                node, low, high = stack.pop()
                feature = gridded.feature[node]
                if feature < 0:
                    found.append((node, number, low, high))
                    continue
                cut = gridded.cut[node]
                if cut < high[feature]:
                    above = low.copy()
                    above[feature] = max(cut, low[feature])
                    stack.append((gridded.forest.right[node], above, high))
                if cut > low[feature]:
                    below = high.copy()
                    below[feature] = min(cut, high[feature])
                    stack.append((gridded.forest.left[node], low, below))
        node, tree, lows, highs = (np.array(part) for part in zip(*found, strict=True))
        return cls(node, tree, lows, highs)

    def among(self, kept: NDArray) -> Leaves:
        """Return some of the leaves."""
        return Leaves(self.node[kept], self.tree[kept], self.low[kept], self.high[kept])

    def meeting(self, low: NDArray, high: NDArray) -> NDArray:
        """Return which leaves have a cell in common with a box."""
        met = (self.low < high) & (self.high > low)
        return np.asarray(met.all(axis=1))
