"""Sums of decision trees as arrays, whatever scikit-learn keeps them in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

LEAF = -1


@dataclass(frozen=True, eq=False)
class Categories:
    """Tests of native categories, each a set that goes left.

    Parameters
    ----------
    encode : callable
        Replaces the categories of samples by their codes, NaN where they are unknown.
    of_node : ndarray of shape (n_nodes,)
        Which set a node tests, -1 for a threshold.
    left, known : ndarray of bool, shape (n_sets, 256)
        Codes that go left, and all that are known.
    """

    encode: Callable[[NDArray], NDArray]
    of_node: NDArray
    left: NDArray
    known: NDArray

    def goes_left(self, values: NDArray, sets: NDArray, missing_left: NDArray) -> NDArray:
        """Return which codes go left, each at the test of a set."""
        there = ~np.isnan(values) & (values >= 0)
        code = np.where(there, values, 0).astype(np.uint8)
        left = there & self.left[sets, code]
        known = there & (left | self.known[sets, code])
        return np.where(known, left, missing_left)


@dataclass(frozen=True, eq=False)
class Forest:
    r"""Class scores :math:`b + \sum_t v_t(\text{leaf}_t(x))`, of which the largest wins.

    The nodes of all trees stand one after another. At an inner node a sample goes left where its
    value, cast, is at most the threshold.

    Parameters
    ----------
    roots : ndarray of shape (n_trees,)
    column : ndarray of shape (n_nodes,)
        Which column a node tests; `LEAF` for leaves.
    threshold : ndarray of shape (n_nodes,)
    left, right : ndarray of shape (n_nodes,)
    missing_left : ndarray of bool, shape (n_nodes,)
        Where a sample without a value goes.
    values : ndarray of shape (n_nodes, n_classes)
        What leaves add to the scores.
    constant : ndarray of shape (n_classes,)
    cast : dtype
        In which values are compared.
    last_wins : bool
        Whether of equal scores the last class wins, and not the first.
    categories : Categories, optional
        Tests of native categories.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> from sklearn_iso._certificates.tree_readers import forest_of
    >>> forest = forest_of(DecisionTreeClassifier().fit([[0.0], [1.0]], [0, 1]))
    >>> forest.scores(np.array([[0.2], [0.7]]))
    array([[1., 0.],
           [0., 1.]])
    """

    roots: NDArray
    column: NDArray
    threshold: NDArray
    left: NDArray
    right: NDArray
    missing_left: NDArray
    values: NDArray
    constant: NDArray
    cast: type = np.float32
    last_wins: bool = False
    categories: Categories | None = None

    @property
    def is_leaf(self) -> NDArray:
        """Which nodes are leaves."""
        return self.column == LEAF

    @property
    def inner(self) -> NDArray:
        """Numbers of the nodes that test a column."""
        return np.flatnonzero(~self.is_leaf)

    @property
    def n_classes(self) -> int:
        """Number of scores."""
        return self.values.shape[1]

    @property
    def categorical(self) -> NDArray:
        """Which nodes test a category."""
        if self.categories is None:
            return np.zeros(len(self.column), dtype=bool)
        return self.categories.of_node >= 0

    def scaled(self, weight: float) -> Forest:
        """Return the scores times a weight."""
        return replace(self, values=self.values * weight, constant=self.constant * weight)

    def goes_left(self, Z: NDArray, nodes: NDArray) -> NDArray:
        """Return where samples (n, n_columns) go at some nodes, as booleans (n, n_nodes)."""
        Z = self._encoded(Z)
        return self._left(Z[:, self.column[nodes]], np.broadcast_to(nodes, (len(Z), len(nodes))))

    def _encoded(self, Z: NDArray) -> NDArray:
        return Z if self.categories is None else self.categories.encode(Z)

    def _left(self, values: NDArray, nodes: NDArray) -> NDArray:
        """Return which values go left, each at a node."""
        values, missing_left = values.astype(self.cast, copy=False), self.missing_left[nodes]
        left = np.where(np.isnan(values), missing_left, values <= self.threshold[nodes])
        if self.categories is not None:
            at = self.categorical[nodes]
            of = self.categories.of_node[nodes[at]]
            left[at] = self.categories.goes_left(values[at], of, missing_left[at])
        return left

    def scores(self, Z: NDArray) -> NDArray:
        """Return the scores of samples (n, n_columns), of shape (n, n_classes)."""
        Z = self._encoded(Z)
        node = np.tile(self.roots, (len(Z), 1))
        samples = np.broadcast_to(np.arange(len(Z))[:, None], node.shape)
        while (moving := ~self.is_leaf[node]).any():
            at = node[moving]
            left = self._left(Z[samples[moving], self.column[at]], at)
            node[moving] = np.where(left, self.left[at], self.right[at])
        scores: NDArray = self.constant + self.values[node].sum(axis=1)
        return scores

    def winners(self, scores: NDArray) -> NDArray:
        """Return the class of the largest score of each sample."""
        if self.last_wins:
            return scores.shape[1] - 1 - scores[:, ::-1].argmax(axis=1)
        return scores.argmax(axis=1)

    def quantum(self) -> float | None:
        """Return a step of which all values are multiples, so that sums are exact; else None."""
        numbers = np.concatenate([self.values[self.is_leaf].ravel(), self.constant])
        for step in (1.0, 0.5, 0.25, 0.125):
            if (numbers % step == 0).all():
                return step
        return None

    @property
    def is_single(self) -> bool:
        """Whether there is one tree alone."""
        return len(self.roots) == 1 and not self.constant.any()

    def rounding(self) -> float:
        """Return by how much two ways of summing the values may differ, generously."""
        largest = np.abs(self.constant).max(initial=0.0)
        largest += sum(np.abs(self.values[part]).max(initial=0.0) for part in self._trees())
        return float(8 * (len(self.roots) + 2) * np.finfo(np.float64).eps * largest)

    def _trees(self) -> list[slice]:
        ends = [*self.roots[1:].tolist(), len(self.column)]
        return [slice(*pair) for pair in zip(self.roots.tolist(), ends, strict=True)]


def joined(forests: Sequence[Forest]) -> Forest:
    """Return the sum of the scores of several forests of one kind."""
    offsets = np.cumsum([0, *(len(one.column) for one in forests[:-1])])
    pairs = list(zip(forests, offsets, strict=True))
    first = forests[0]
    return replace(
        first,
        roots=np.concatenate([one.roots + offset for one, offset in pairs]),
        left=np.concatenate([one.left + offset for one, offset in pairs]),
        right=np.concatenate([one.right + offset for one, offset in pairs]),
        column=np.concatenate([one.column for one in forests]),
        threshold=np.concatenate([one.threshold for one in forests]),
        missing_left=np.concatenate([one.missing_left for one in forests]),
        values=np.concatenate([one.values for one in forests]),
        constant=np.sum([one.constant for one in forests], axis=0),
    )
