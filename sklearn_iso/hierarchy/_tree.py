"""The tree that paths of labels form."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_iso.hierarchy._ancestry import two_parents
from sklearn_iso.hierarchy._paths import as_paths, is_missing


class LabelTree:
    r"""Labels of each level, who is under whom, and where paths end.

    At every level the samples fall into *cells*: the labels of that level and, after them, the
    leaves whose paths have ended above it. So each leaf lies in one cell of every level, and
    the cells of a level are finer than those of the level above.

    Parameters
    ----------
    paths : array-like of shape (n_samples, n_levels)
        Labels, coarse to fine; see :func:`as_paths`. Numbers are codes of their level alone;
        text names a label of the whole tree.

    Attributes
    ----------
    levels : list of ndarray
        Sorted labels of each level.
    parents : list of ndarray of int
        For each label of a level, the position of its parent in the level above; -1 at the
        first.
    ends : ndarray of int of shape (n_ends, n_levels)
        The different paths of the samples, as positions in `levels`; -1 after their end.
    leaves : ndarray of shape (n_leaves, n_levels)
        Paths that lead to a label without children, as labels.
    leaf_cells : ndarray of int of shape (n_leaves, n_levels)
        The cell of each leaf at each level.
    end_cells : ndarray of int of shape (n_ends, n_levels)
        The cell of each end; -1 where a path ends at a label that has children, and so
        leaves its finer labels open.
    n_cells : list of int
        Number of cells of each level.

    Raises
    ------
    ValueError
        If the paths are no tree: a label under two parents, a name at two levels, a first
        level of one label, a level without labels.

    Examples
    --------
    >>> from sklearn_iso.hierarchy import LabelTree
    >>> tree = LabelTree([["bird", "owl"], ["bird", "crow"], ["fish", None]])
    >>> tree.levels[1].tolist(), tree.n_cells
    (['crow', 'owl'], [2, 3])
    >>> tree.leaf_cells
    array([[0, 0],
           [0, 1],
           [1, 2]])
    """

    def __init__(self, paths: ArrayLike) -> None:
        paths = as_paths(paths)
        missing = is_missing(paths)
        codes = np.full(paths.shape, -1)
        self.levels: list[NDArray] = []
        for level in range(paths.shape[1]):
            present = ~missing[:, level]
            labels, found = _unique(paths[present, level], level)
            codes[present, level] = found
            self.levels.append(labels)
        _check_names(self.levels)
        self.ends, self.end_of_row = np.unique(codes, axis=0, return_inverse=True)
        self.parents = [np.full(len(self.levels[0]), -1)]
        self.parents += [self._parents(level) for level in range(1, self.n_levels)]
        self._set_leaves(paths, missing)
        if self.n_cells[0] == 1:
            raise ValueError(
                f"The first level must hold at least 2 classes; got 1 class: "
                f"{self.levels[0].tolist()}. Drop that level, or pass samples of another class."
            )

    @property
    def n_levels(self) -> int:
        """Number of levels."""
        return len(self.levels)

    def _parents(self, level: int) -> NDArray:
        """Return the parent of each label of a level, and see that there is but one."""
        links = np.unique(self.ends[:, [level, level - 1]], axis=0)
        links = links[links[:, 0] >= 0]
        label, count = np.unique(links[:, 0], return_counts=True)
        if (count > 1).any():
            twice = label[count > 1][0]
            above = self.levels[level - 1][links[links[:, 0] == twice, 1]].tolist()
            raise ValueError(two_parents(self.levels[level].tolist()[twice], above))
        parents: NDArray = links[:, 1]
        return parents

    def _set_leaves(self, paths: NDArray, missing: NDArray) -> None:
        """Find the ends without children, and the cell of every end at every level."""
        depth = (self.ends >= 0).sum(axis=1)
        last = depth - 1
        with_children = [set(parents.tolist()) for parents in self.parents[1:]] + [set()]
        is_leaf = np.array(
            [end[d] not in with_children[d] for end, d in zip(self.ends, last, strict=True)]
        )
        self.end_cells = self.ends.copy()
        self.n_cells = []
        for level, labels in enumerate(self.levels):
            over = is_leaf & (depth <= level)
            self.end_cells[over, level] = len(labels) + np.arange(over.sum())
            self.n_cells.append(len(labels) + int(over.sum()))
        self.leaf_cells = self.end_cells[is_leaf]
        first_rows = np.unique(self.end_of_row, return_index=True)[1]
        self.leaves = _filled(paths[first_rows], missing[first_rows])[is_leaf]

    def cell_labels(self, level: int) -> NDArray:
        """Return the name of each cell of a level: a label of it, or the leaf that ended above.

        Parameters
        ----------
        level : int
            Level of the tree, 0 for the coarsest.

        Returns
        -------
        names : ndarray of shape (n_cells,)
            In the order of the cells.

        Raises
        ------
        ValueError
            If an ended leaf and a label of the level have the same name.
        """
        labels = self.levels[level]
        over = self.leaf_cells[:, level] >= len(labels)
        if not over.any():
            return labels
        ended = self.last_labels(self.leaves[over], level)
        names = np.array([*labels.tolist(), *ended.tolist()], dtype=object)
        if len(set(names.tolist())) < len(names):
            raise ValueError(
                f"Paths that end above level {level} need names that differ from the labels of "
                f"that level; found {names.tolist()}. Use text, one name for each label."
            )
        return names.astype(labels.dtype) if labels.dtype.kind in "iufb" else names

    def last_labels(self, paths: ArrayLike, level: int) -> NDArray:
        """Return the label of each path at a level, or its last one where it ended above.

        Parameters
        ----------
        paths : array-like of shape (n_samples, n_levels)
            Paths of the tree.
        level : int
            Level of the tree, 0 for the coarsest.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            One for each path.
        """
        paths = as_paths(paths)[:, : level + 1]
        depth = (~is_missing(paths)).sum(axis=1)
        labels: NDArray = paths[np.arange(len(paths)), depth - 1]
        return labels

    def sum_leaves(self, values: NDArray, level: int) -> NDArray:
        """Return the sum, over the leaves in each cell of a level, of values of leaves.

        Parameters
        ----------
        values : ndarray of shape (n_samples, n_leaves)
        level : int

        Returns
        -------
        sums : ndarray of shape (n_samples, n_cells)
            The sum in each cell.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_iso.hierarchy import LabelTree
        >>> tree = LabelTree([["bird", "owl"], ["bird", "crow"], ["fish", None]])
        >>> tree.sum_leaves(np.array([[0.5, 0.25, 0.25]]), 0)
        array([[0.75, 0.25]])
        """
        cells = self.leaf_cells[:, level]
        order = cells.argsort(kind="stable")
        starts = np.searchsorted(cells[order], np.arange(self.n_cells[level]))
        # In float64, whatever the values: a parent then is the sum of its children.
        sums = np.add.reduceat(values[:, order], starts, axis=1, dtype=np.float64)
        return sums.astype(values.dtype)

    def warn_of_unknown(self, paths: NDArray) -> None:
        """Warn if paths hold labels that are not in the tree, so that no prediction is right there.

        Parameters
        ----------
        paths : ndarray of shape (n_samples, n_levels)
            True paths, such as those of a test set.

        Raises
        ------
        ValueError
            If the paths miss a level, or no label of a level is of the type of the tree's.
        """
        if paths.shape[1] != self.n_levels:
            raise ValueError(
                f"y must have the {self.n_levels} levels of the fit; got {paths.shape[1]}. Pass "
                "one column for each level."
            )
        told, wrong = [], np.zeros(len(paths), dtype=bool)
        for level, labels in enumerate(self.levels):
            present = ~is_missing(paths[:, level])
            found, known = paths[present, level].tolist(), set(labels.tolist())
            new = {label for label in found if label not in known}
            if not new:
                continue
            unseen = ", ".join(sorted(map(str, new))[:5])
            if new == set(found) and _kinds(found) != _kinds(known):
                raise ValueError(
                    f"y must hold labels of the type of those in the fit, {labels.tolist()[:5]}; "
                    f"at level {level} found {unseen}. Pass the labels as they were in the fit."
                )
            told.append(f"at level {level} found {unseen}")
            wrong[present] |= [label in new for label in found]
        if told:
            warnings.warn(
                f"y holds labels that the estimator was not fitted on, and that it cannot "
                f"predict: {'; '.join(told)}. {wrong.sum()} of {len(paths)} samples count as "
                "misclassified. Stratify the split on the leaf, so that every label is among the "
                "training data.",
                UserWarning,
                stacklevel=2,
            )


def _kinds(labels: Iterable[object]) -> set[str]:
    return {"text" if isinstance(label, str) else "number" for label in labels}


def _unique(labels: NDArray, level: int) -> tuple[NDArray, NDArray]:
    if not len(labels):
        raise ValueError(f"Level {level} of y holds no label at all. Drop that column.")
    if labels.dtype == object and len({isinstance(label, str) for label in labels}) == 1:
        labels = np.array(labels.tolist())
    try:
        return np.unique(labels, return_inverse=True)
    except TypeError:
        kinds = sorted({type(label).__name__ for label in labels})
        raise ValueError(
            f"The labels of a level must be all text or all numbers; level {level} mixes "
            f"{', '.join(kinds)}. Convert them to text."
        ) from None


def _check_names(levels: list[NDArray]) -> None:
    """Raise a ValueError if a name stands for labels of two levels; numbers are mere codes."""
    seen: dict[str, int] = {}
    for level, labels in enumerate(levels):
        for name in labels.tolist() if labels.dtype.kind in "US" else ():
            if name in seen:
                raise ValueError(
                    f"A name must belong to one level; {name!r} is at levels {seen[name]} and "
                    f"{level}. Give each level names of its own, such as '{name} ({level})'."
                )
            seen[name] = level


def _filled(paths: NDArray, missing: NDArray) -> NDArray:
    """Return paths whose missing labels are None, where their type allows it."""
    if paths.dtype == object:
        paths = paths.copy()
        paths[missing] = None
    return paths
