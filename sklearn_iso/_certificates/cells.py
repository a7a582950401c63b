"""The grid that the tests of trees cut the features into, and what it costs to reach a cell.

Between two cuts of each feature no test changes. Cuts are found on the numbers that the estimator
gets, by bisection through all that is before and in the test: scaling and casts to single precision
are those of the estimator itself, and neither is inverted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sklearn_iso._certificates.columnwise import Columnwise
from sklearn_iso._certificates.domain import Domain
from sklearn_iso._certificates.forests import LEAF, Forest

#: Beyond this no test is looked for: farther than any threshold of data in single precision.
FARTHEST = 1e37


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of all features, one after another.

    Parameters
    ----------
    start : ndarray of int, shape (n_features + 1,)
        Where the cells of each feature begin.
    first, last : ndarray of shape (n_cells,)
        The smallest and the largest number of each cell; infinite at the ends.
    """

    start: NDArray
    first: NDArray
    last: NDArray

    @property
    def feature(self) -> NDArray:
        """The feature of each cell."""
        return np.repeat(np.arange(len(self.start) - 1), np.diff(self.start))

    @classmethod
    def of(cls, cuts: list[tuple[NDArray, NDArray]]) -> Cells:
        """Return the cells between the cuts of each feature: the numbers left and right of each."""
        first = [np.concatenate([[-np.inf], right]) for _, right in cuts]
        last = [np.concatenate([left, [np.inf]]) for left, _ in cuts]
        start = np.cumsum([0, *map(len, first)])
        return cls(start, np.concatenate(first), np.concatenate(last))

    def around(self, x: NDArray, domain: Domain) -> Around:
        """Return what it costs to move a sample into each cell."""
        feature = self.feature
        value = np.asarray(x, dtype=np.float64)[feature]
        away = np.fmax(np.fmax(self.first - value, value - self.last), 0)
        units = domain.units[feature]
        costs = np.zeros(len(away))
        costs[away > 0] = np.inf
        # A sample that lies outside of the bounds may come back.
        most, least = np.fmax(domain.high[feature], value), np.fmin(domain.low[feature], value)
        inside = (self.first <= most) & (self.last >= least)
        reached = (away > 0) & inside & (units > 0)
        costs[reached] = away[reached] / units[reached]
        return Around(self, x, domain, costs, self.located(x))

    def located(self, x: NDArray) -> NDArray:
        """Return the cell of a sample in each feature, the first where it is missing."""
        before = self.first <= np.asarray(x, dtype=np.float64)[self.feature]
        return np.maximum(np.add.reduceat(before, self.start[:-1]) - 1, 0)


@dataclass(frozen=True, eq=False)
class Around:
    """The cells as one sample sees them. Boxes are ranges of cells, low included, high not.

    Parameters
    ----------
    cells : Cells
    x : ndarray of shape (n_features,)
    domain : Domain
    costs : ndarray of shape (n_cells,)
        How far each cell is from the sample, in units; infinity where it must not go.
    own : ndarray of int, shape (n_features,)
        The cell of the sample in each feature.
    """

    cells: Cells
    x: NDArray
    domain: Domain
    costs: NDArray
    own: NDArray

    def size(self, low: NDArray, high: NDArray) -> NDArray:
        """Return the distance of the sample from boxes of cells, of shape (..., n_features)."""
        nearest = np.minimum(np.maximum(self.own, low), high - 1)
        return self.domain.size(self.costs[self.cells.start[:-1] + nearest])

    def within(self, radius: float) -> tuple[NDArray, NDArray]:
        """Return the box of the cells no farther than a radius, feature by feature."""
        start, close = self.cells.start, self.costs <= radius
        before = np.arange(len(close)) < (start[:-1] + self.own)[self.cells.feature]
        low = self.own - np.add.reduceat(close & before, start[:-1])
        return low, self.own + np.add.reduceat(close & ~before, start[:-1])

    def point(self, low: NDArray, high: NDArray) -> NDArray:
        """Return the point of a box of cells that is nearest to the sample."""
        at = self.cells.start[:-1] + np.minimum(np.maximum(self.own, low), high - 1)
        value = np.asarray(self.x, dtype=np.float64)
        inside = np.minimum(np.maximum(value, self.cells.first[at]), self.cells.last[at])
        return np.where(np.isnan(value), value, inside).astype(self.x.dtype)


@dataclass(frozen=True, eq=False)
class Gridded:
    """A forest whose tests ask for cells: left are those up to a cut of a feature.

    Parameters
    ----------
    forest : Forest
    cells : Cells
    feature : ndarray of int, shape (n_nodes,)
        `LEAF` for leaves.
    cut : ndarray of int, shape (n_nodes,)
        Left are the cells of the feature from 0 to cut - 1. Where it is 0 all go right, and left
        where it is the number of cells.
    columns : Columnwise
    """

    forest: Forest
    cells: Cells
    feature: NDArray
    cut: NDArray
    columns: Columnwise

    @classmethod
    def of(cls, forest: Forest, columns: Columnwise, n_features: int, dtype: type) -> Gridded:
        """Return a forest on the grid of samples of a dtype."""
        inner, tests = forest.inner, np.flatnonzero(~forest.is_leaf & ~forest.categorical)
        feature, cut = np.full(len(forest.column), LEAF), np.zeros(len(forest.column), dtype=int)
        feature[inner] = columns.source[forest.column[inner]]
        left, right = _cuts(forest, columns, n_features, dtype, tests)
        sides = []
        for one in range(n_features):
            mine = np.flatnonzero(feature[tests] == one)
            split = mine[np.isfinite(left[mine]) & np.isfinite(right[mine])]
            below, where = np.unique(left[split], return_inverse=True)
            above = np.zeros(len(below))
            above[where] = right[split]
            sides.append((below, above))
            cut[tests[mine]] = np.where(np.isinf(right[mine]), len(below) + 1, 0)
            cut[tests[split]] = where + 1
        return cls(forest, Cells.of(sides), feature, cut, columns)

    @property
    def n_features(self) -> int:
        """Number of columns of X."""
        return len(self.cells.start) - 1

    def depends_on(self, x: NDArray) -> bool:
        """Whether a sample decides tests: those of categories, and of what is missing."""
        inner = self.forest.inner
        return bool(np.isnan(x[self.feature[inner]]).any() or self.forest.categorical.any())

    def at(self, x: NDArray) -> Gridded:
        """Return the tests that a sample leaves open: what is missing stays missing."""
        if not self.depends_on(x):
            return self
        inner = self.forest.inner
        fixed = inner[np.isnan(x[self.feature[inner]]) | self.forest.categorical[inner]]
        left = self.forest.goes_left(self.columns.of(x[None]), fixed)[0]
        cut = self.cut.copy()
        cut[fixed] = np.where(left, np.diff(self.cells.start)[self.feature[fixed]], 0)
        return replace(self, cut=cut)

    def categorical_features(self) -> NDArray:
        """Return the features whose categories a test asks for."""
        return np.unique(self.feature[self.forest.categorical])


def _cuts(
    forest: Forest, columns: Columnwise, n_features: int, dtype: type, tests: NDArray
) -> tuple[NDArray, NDArray]:
    """Return the neighbouring numbers of X between which each test turns from left to right.

    The second is infinite where all numbers go left, the first where all go right.
    """
    pairs = np.stack([forest.column[tests].astype(float), forest.threshold[tests]])
    pairs, of_test = np.unique(pairs, axis=1, return_inverse=True)
    column, threshold = pairs[0].astype(int), pairs[1]
    source = columns.source[column]
    order = np.argsort(source, kind="stable")
    rank = np.empty(len(source), dtype=int)
    rank[order] = np.arange(len(source)) - np.searchsorted(source[order], source[order])
    X = np.zeros((rank.max(initial=0) + 1, n_features), dtype=dtype)

    def goes_left(keys: NDArray) -> NDArray:
        X[rank, source] = _number(keys, dtype)
        Z = columns.of(X)
        with np.errstate(over="ignore"):
            return Z[rank, column].astype(forest.cast) <= threshold

    left = np.full(len(column), _key(np.array(-FARTHEST, dtype=dtype)))
    right = np.full(len(column), _key(np.array(FARTHEST, dtype=dtype)))
    none_left, all_left = ~goes_left(left), goes_left(right)
    while (right - 1 > left).any():
        middle = left // 2 + right // 2 + (left & right & 1)
        goes = goes_left(middle)
        left, right = np.where(goes, middle, left), np.where(goes, right, middle)
    below = np.where(none_left, -np.inf, _number(left, dtype))[of_test.ravel()]
    above = np.where(all_left, np.inf, _number(right, dtype))[of_test.ravel()]
    return below, above


def _key(numbers: NDArray) -> NDArray:
    """Return integers in the order of floating-point numbers, one after the other."""
    whole = {4: np.int32, 8: np.int64}[numbers.dtype.itemsize]
    return _flipped(numbers.view(whole)).astype(np.int64)


def _number(keys: NDArray, dtype: type) -> NDArray:
    """Return the numbers of a dtype that integers stand for."""
    whole = {4: np.int32, 8: np.int64}[np.dtype(dtype).itemsize]
    numbers: NDArray = _flipped(keys.astype(whole)).view(dtype)
    return numbers


def _flipped(bits: NDArray) -> NDArray:
    return bits ^ ((bits >> (8 * bits.dtype.itemsize - 1)) & np.iinfo(bits.dtype).max)
