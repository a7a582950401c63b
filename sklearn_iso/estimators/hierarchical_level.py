"""One level of a fitted hierarchical classifier, as a classifier."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted
from torch import nn

from sklearn_iso.modules import BestLeaf, LeafScores


class LevelClassifier(ClassifierMixin, BaseEstimator):
    """A view of a fitted hierarchical classifier that answers with the labels of one level.

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
        Labels of the level; after them those leaves whose paths have ended above it.

    Examples
    --------
    >>> from sklearn_iso import HierarchicalIsometricClassifier
    >>> from sklearn_iso.datasets import make_torus
    >>> X, Y = make_torus(200, n_levels=2, random_state=0)
    >>> clf = HierarchicalIsometricClassifier(max_epochs=20, random_state=0).fit(X, Y)
    >>> clf.at_level(0).predict(X).shape, clf.at_level(1).classes_
    ((200,), array([0, 1, 2, 3]))
    """

    def __init__(self, classifier: Any, level: int) -> None:
        self.classifier = classifier
        self.level = level

    def fit(self, X: Any, y: Any = None) -> LevelClassifier:
        """Return the view as it is."""
        check_is_fitted(self)
        return self

    @property
    def classes_(self) -> NDArray:
        """Labels of the level."""
        labels: NDArray = self.classifier.tree_.cell_labels(self.level)
        return labels

    @property
    def n_features_in_(self) -> int:
        """Number of features."""
        return int(self.classifier.n_features_in_)

    def predict(self, X: ArrayLike) -> NDArray:
        """Return the label (n_samples,) that the most probable path has at the level."""
        best = self.classifier._leaf_scores(X).argmax(axis=1)
        labels: NDArray = self.classes_[self._cells[best]]
        return labels

    def predict_proba(self, X: ArrayLike) -> NDArray:
        """Return the probability of each label, the sum over the paths through it."""
        scores = self.classifier._leaf_scores(X)
        exponents = np.exp(scores - scores.max(axis=1, keepdims=True))
        within = self._cells[:, None] == np.arange(self._cells.max() + 1)
        sums = exponents @ within.astype(exponents.dtype)
        probabilities: NDArray = sums / sums.sum(axis=1, keepdims=True)
        return probabilities

    def to_torch(self) -> nn.Module:
        """Return a module from X to the score of the best path through each label."""
        check_is_fitted(self)
        leaves = self.classifier.to_torch()
        if not isinstance(leaves, LeafScores):
            raise TypeError(f"to_torch of {type(self.classifier).__name__} returned no LeafScores.")
        order = self.classifier.labels_.order
        return BestLeaf(leaves, torch.from_numpy(self._cells[order])).eval()

    @property
    def _cells(self) -> NDArray:
        cells: NDArray = self.classifier.tree_.leaf_cells[:, self.level]
        return cells

    def __sklearn_is_fitted__(self) -> bool:
        return bool(self.classifier.__sklearn_is_fitted__())

    def __sklearn_clone__(self) -> LevelClassifier:
        return self


def check_level(estimator: Any, level: Any) -> int:
    """Return a level counted from 0, of which a negative one is counted from the finest.

    Raises
    ------
    ValueError
        If there is no such level.
    """
    n_levels = estimator.n_levels_
    if not -n_levels <= operator.index(level) < n_levels:
        raise ValueError(
            f"level must be one of the {n_levels} levels, 0 the coarsest and -1 the finest; "
            f"got {level!r}."
        )
    return int(operator.index(level) % n_levels)
