"""What a single regression tree predicts within reach of a sample: all of its leaves, exactly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.tree import DecisionTreeRegressor

from sklearn_iso._certificates.cells import Around, Gridded
from sklearn_iso._certificates.columnwise import columnwise
from sklearn_iso._certificates.domain import Domain
from sklearn_iso._certificates.forests import LEAF, Forest
from sklearn_iso._certificates.leaves import Leaves
from sklearn_iso._certificates.registry import Steps, is_plain, last_step
from sklearn_iso._threat import ThreatModel


@dataclass(frozen=True, eq=False)
class Reached:
    """The leaves of a tree as one sample sees them.

    Parameters
    ----------
    values : ndarray of shape (n_leaves, n_outputs)
    distances : ndarray of shape (n_leaves,)
        In units of the threat; infinity where a leaf cannot be reached.
    leaves : Leaves
    around : Around
    """

    values: NDArray
    distances: NDArray
    leaves: Leaves
    around: Around

    def point(self, leaf: int) -> NDArray:
        """Return the point of a leaf that is nearest to the sample."""
        return self.around.point(self.leaves.low[leaf], self.leaves.high[leaf])


@dataclass(frozen=True, eq=False)
class Grid:
    """A tree on its grid."""

    gridded: Gridded

    @cached_property
    def leaves(self) -> Leaves:
        """The leaves that some sample may reach."""
        return Leaves.of(self.gridded)

    def reached(self, x: NDArray, domain: Domain) -> Reached:
        """Return the leaves as a sample sees them."""
        around, leaves = self.gridded.cells.around(x, domain), self.leaves
        distances = around.size(leaves.low, leaves.high)
        return Reached(self.gridded.forest.values[leaves.node], distances, leaves, around)


@dataclass(frozen=True, eq=False)
class TreeValues:
    """A regression tree behind steps that act on columns one by one.

    Parameters
    ----------
    forest : Forest
        Of one tree, with predictions in the place of scores.
    steps : Steps

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.tree import DecisionTreeRegressor
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso._certificates.tree_values import TreeValues
    >>> X = np.array([[0.0], [1.0]])
    >>> tree = TreeValues.of(DecisionTreeRegressor().fit(X, [2.0, 5.0]))
    >>> [one.distances.round(2).tolist() for one in tree.reached(X, ThreatModel().resolve(X))]
    [[0.0, 0.5], [0.5, 0.0]]
    """

    forest: Forest
    steps: Steps

    @classmethod
    def of(cls, estimator: BaseEstimator) -> TreeValues | None:
        """Return the tree of a fitted estimator, None if it is no single tree."""
        last, steps = last_step(estimator)
        plain = is_plain(estimator, DecisionTreeRegressor) and is_plain(last, DecisionTreeRegressor)
        if not isinstance(last, DecisionTreeRegressor) or not plain:
            return None
        tree = last.tree_
        leaf = tree.children_left < 0
        forest = Forest(
            roots=np.zeros(1, dtype=int),
            column=np.where(leaf, LEAF, tree.feature),
            threshold=tree.threshold,
            left=np.where(leaf, 0, tree.children_left),
            right=np.where(leaf, 0, tree.children_right),
            missing_left=tree.missing_go_to_left.astype(bool),
            values=tree.value[:, :, 0],
            constant=np.zeros(tree.value.shape[1]),
        )
        return cls(forest, steps)

    def reached(self, X: NDArray, threat: ThreatModel) -> Iterator[Reached]:
        """Yield for each sample the leaves as it sees them.

        Raises
        ------
        NotCertifiableError
            If a step before the tree mixes columns.
        """
        columns = columnwise(self.steps, X.shape[1])
        whole = Grid(Gridded.of(self.forest, columns, X.shape[1], X.dtype.type))
        domain = Domain.of(threat, X.shape[1])
        for x in X:
            depends = whole.gridded.depends_on(x)
            yield (Grid(whole.gridded.at(x)) if depends else whole).reached(x, domain)
