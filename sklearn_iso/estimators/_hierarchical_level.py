"""One level of a fitted hierarchical classifier, as a classifier."""

from __future__ import annotations

from numbers import Integral
from typing import Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted
from torch import nn

from sklearn_iso.estimators._hierarchical_labels import Labels
from sklearn_iso.hierarchy import LabelTree
from sklearn_iso.modules import BestLeaf
from sklearn_iso.modules._ambient import own_modes


class Leveled(Protocol):
    """A fitted hierarchical classifier, as far as its levels need it."""

    tree_: LabelTree
    labels_: Labels
    n_levels_: int
    n_features_in_: int

    def transform(self, X: ArrayLike, level: int = -1) -> NDArray:
        """Return the representation after the block of a level."""

    def to_torch(self, *, transform: bool = False, level: int = -1) -> nn.Module:
        """Return a module of its scores, or of its representation."""

    def _leaf_scores(self, X: ArrayLike) -> NDArray:
        """Return the scores of all leaves."""

    def __sklearn_is_fitted__(self) -> bool:
        """Return whether it is fitted."""


class LevelClassifier(ClassifierMixin, BaseEstimator):
    """A view of a fitted hierarchical classifier: the labels and representation of one level.

    Made by :meth:`HierarchicalIsometricClassifier.at_level`. It is not fitted again: `fit` and
    `clone` return the view itself, as for :class:`sklearn.frozen.FrozenEstimator`.

    Parameters
    ----------
    classifier : HierarchicalIsometricClassifier
        Fitted.
    level : int
        Counted from 0, the coarsest.

    Attributes
    ----------
    classes_ : ndarray
        Sorted labels of the level, and of the leaves whose paths have ended above it. Those of
        paths Y are ``classifier.tree_.last_labels(Y, level)``.

    Examples
    --------
    >>> from sklearn_iso import HierarchicalIsometricClassifier
    >>> from sklearn_iso.datasets import make_torus
    >>> X, Y = make_torus(200, n_levels=2, random_state=0)
    >>> clf = HierarchicalIsometricClassifier(max_epochs=20, random_state=0).fit(X, Y)
    >>> clf.at_level(0).predict(X).shape, clf.at_level(1).classes_
    ((200,), array([0, 1, 2, 3]))
    """

    def __init__(self, classifier: Leveled, level: int) -> None:
        self.classifier = classifier
        self.level = level

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> LevelClassifier:
        """Return the view as it is.

        Parameters
        ----------
        X : ignored
            Present by convention.
        y : ignored
            Present by convention.

        Returns
        -------
        self : LevelClassifier
            The view.
        """
        check_is_fitted(self)
        return self

    @property
    def classes_(self) -> NDArray:
        """Labels of the level."""
        return self._classes_and_places()[0]

    @property
    def n_features_in_(self) -> int:
        """Number of features."""
        return int(self.classifier.n_features_in_)

    def predict(self, X: ArrayLike) -> NDArray:
        """Return the label (n_samples,) that the most probable path has at the level.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Labels of the level.
        """
        best = self.classifier._leaf_scores(X).argmax(axis=1)
        classes, places = self._classes_and_places()
        labels: NDArray = classes[places[best]]
        return labels

    def predict_proba(self, X: ArrayLike) -> NDArray:
        """Return the probability of each label, the sum over the paths through it.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_labels)
            In the order of ``classes_``.
        """
        leaves = softmax(self.classifier._leaf_scores(X), axis=1)
        sums: NDArray = self.classifier.tree_.sum_leaves(leaves, self.level)
        return sums[:, self._order()]

    def transform(self, X: ArrayLike) -> NDArray:
        """Return the representation (n_samples, n_units) after the block of the level.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_units)
            The representation.
        """
        Z: NDArray = self.classifier.transform(X, level=self.level)
        return Z

    @own_modes()
    def to_torch(self, *, transform: bool = False) -> nn.Module:
        """Return a module from X to the score of the best path through each label.

        Or, with `transform`, to the representation that :meth:`transform` returns.

        Parameters
        ----------
        transform : bool, default=False
            Whether the module ends at the representation.

        Returns
        -------
        module : nn.Module
            From X to the scores, or to the representation.
        """
        check_is_fitted(self)
        module: nn.Module = self.classifier.to_torch(transform=transform, level=self.level)
        if transform:
            return module
        places = self._classes_and_places()[1][self.classifier.labels_.order]
        return BestLeaf(module, torch.from_numpy(places)).eval()

    def _classes_and_places(self) -> tuple[NDArray, NDArray]:
        """Return the sorted labels, and the place among them of each leaf."""
        tree, order = self.classifier.tree_, self._order()
        places: NDArray = order.argsort()[tree.leaf_cells[:, self.level]]
        return tree.cell_labels(self.level)[order], places

    def _order(self) -> NDArray:
        """Return the cells of the level in the order of their labels."""
        labels = self.classifier.tree_.cell_labels(self.level)
        try:
            return np.argsort(labels, kind="stable")
        except TypeError:  # text among numbers has no order
            return np.arange(len(labels))

    def __sklearn_is_fitted__(self) -> bool:
        return bool(self.classifier.__sklearn_is_fitted__())

    def __sklearn_clone__(self) -> LevelClassifier:
        return self


def check_level(estimator: Leveled, level: int) -> int:
    """Return a level counted from 0, of which a negative one is counted from the finest.

    Raises
    ------
    TypeError, ValueError
        If level is no integer, or there is no such level.
    """
    n_levels = estimator.n_levels_
    rule = (
        f"level must be one of the {n_levels} levels, 0 the coarsest and -1 the finest; got "
        f"{level!r}. Pass an integer from 0 to {n_levels - 1}."
    )
    if not isinstance(level, Integral):
        raise TypeError(rule)
    if not -n_levels <= level < n_levels:
        raise ValueError(rule)
    return int(level % n_levels)
