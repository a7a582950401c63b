"""The labels that a hierarchical classifier was given, and how it answers in the same form."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from sklearn_iso._protocols import Hierarchy
from sklearn_iso.estimators._input import check_fit_input, plain_array
from sklearn_iso.hierarchy import LabelTree, ancestry_paths, as_paths, is_missing


class Labels:
    """A label tree, and the form of the labels that it was built from.

    Parameters
    ----------
    tree : LabelTree
    one_dimensional : bool
        Whether `y` was, and so predictions are the finest labels alone.

    Attributes
    ----------
    classes : list of ndarray, or ndarray
        What the estimator tells as ``classes_``.
    order : ndarray of int of shape (n_leaves,)
        The leaf of each column of the scores that users see.
    columns : ndarray of int of shape (n_leaves, n_levels)
        Where the logits of each leaf stand among those of all levels.
    answers : ndarray
        What is predicted for each leaf.
    """

    def __init__(self, tree: LabelTree, one_dimensional: bool) -> None:
        self.tree, self.one_dimensional = tree, one_dimensional
        starts = np.cumsum([0, *tree.n_cells[:-1]])
        self.columns = tree.leaf_cells + starts
        self.order = np.arange(len(tree.leaves))
        self.answers = tree.leaves
        self.classes: NDArray | list[NDArray] = tree.levels
        if one_dimensional:
            names = tree.last_labels(tree.leaves, tree.n_levels - 1)
            self.answers = np.array(names.tolist()) if names.dtype == object else names
            self.order = self.answers.argsort(kind="stable")
            self.classes = self.answers[self.order]

    def probabilities(self, leaves: NDArray) -> NDArray | list[NDArray]:
        """Return the probabilities that users see, from those (n_samples, n_leaves) of leaves."""
        if self.one_dimensional:
            return leaves[:, self.order]
        # The cells of a level are its labels, and then the leaves that ended above it.
        return [
            self.tree.sum_leaves(leaves, level)[:, : len(labels)]
            for level, labels in enumerate(self.tree.levels)
        ]

    def agreement(self, y: ArrayLike, predicted: NDArray, hierarchy: Hierarchy | None) -> NDArray:
        """Return for each sample whether the predicted path has every label that y tells."""
        paths = self._paths(y, hierarchy)
        check_consistent_length(paths, predicted)
        self.tree.warn_of_unknown(paths)
        # Objects: numbers and text never compare as equal, and never raise.
        same = paths.astype(object) == predicted.astype(object)
        agrees: NDArray = (is_missing(paths) | same).all(axis=1)
        return agrees

    def _paths(self, y: ArrayLike, hierarchy: Hierarchy | None) -> NDArray:
        if not is_column(y):
            return as_paths(y)
        labels = column_or_1d(y)
        if hierarchy is None:
            return as_paths(labels[:, None])
        found = ancestry_paths(labels, hierarchy).astype(object)
        paths = np.full((len(found), self.tree.n_levels), None, dtype=object)
        # These samples may be of less depth than the deepest of the fit.
        width = min(found.shape[1], paths.shape[1])
        paths[:, :width] = found[:, :width]
        return paths


def check_hierarchical_input(
    estimator: BaseEstimator, X: ArrayLike, y: ArrayLike
) -> tuple[NDArray, Labels]:
    """Validate training data, remember the features, and build the tree of the labels.

    Raises
    ------
    ValueError
        If the data break a rule, the labels are no tree, or `hierarchy` comes with a y of
        several levels.
    """
    hierarchy: Hierarchy | None = getattr(estimator, "hierarchy", None)
    y = plain_array(y)
    if y is None or (is_column(y) and hierarchy is None):
        X, labels = check_fit_input(estimator, X, y, many_dimensions=False, lazy=True)
        check_classification_targets(labels)
        return X, Labels(LabelTree(labels[:, None]), True)
    if is_column(y):
        paths = ancestry_paths(column_or_1d(y), cast(Hierarchy, hierarchy))
    elif hierarchy is None:
        paths = as_paths(y)
    else:
        raise ValueError(
            "hierarchy goes with a y of the finest labels alone, shape (n_samples,); got a y of "
            "several levels, which tells the hierarchy itself. Set hierarchy=None, or pass "
            "the last column."
        )
    for column in paths.T:
        if column.dtype.kind == "f":
            check_classification_targets(column[~is_missing(column)])
    tree = LabelTree(paths)
    ends = tree.end_of_row.ravel()
    X, _ = check_fit_input(estimator, X, ends, many_dimensions=False, lazy=True)
    return X, Labels(tree, is_column(y))


def is_column(y: ArrayLike) -> bool:
    """Return whether labels come one for each sample, as 1-D or as a single column.

    Examples
    --------
    >>> from sklearn_iso.estimators._hierarchical_labels import is_column
    >>> is_column(["a", "b"]), is_column([["a", "b"]])
    (True, False)
    """
    if isinstance(y, list | tuple):
        return all(np.ndim(label) == 0 for label in y)
    shape = np.asarray(y).shape
    if len(shape) != 1:
        return shape[1:] == (1,)
    return not shape[0] or not isinstance(np.asarray(y)[0], list | tuple | np.ndarray)
