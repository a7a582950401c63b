"""One level of a hierarchical classifier under any scorer."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from numbers import Integral
from typing import Protocol, cast

import numpy as np
from numpy.typing import ArrayLike
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import MetadataRequest, MetadataRouter, get_routing_for_object

from sklearn_iso._protocols import Classifier, Hierarchy, Scorer
from sklearn_iso.hierarchy import depths, told_paths
from sklearn_iso.metrics._routing import WeightedScorer, takes_weights


class Leveled(Protocol):
    """A fitted classifier of several levels."""

    def at_level(self, level: int, /) -> Classifier:
        """Return one of them as a classifier."""


def at_level(estimator: object, level: int) -> Classifier:
    """Return one level of a fitted hierarchical classifier as a classifier of its own.

    Parameters
    ----------
    estimator : fitted estimator
        One with a method ``at_level``, a pipeline that ends in one, or a search over either.
    level : int
        Counted from 0, the coarsest; negative from the finest.

    Returns
    -------
    classifier : fitted classifier
        A pipeline for a pipeline, so that attacks go through its steps.

    Raises
    ------
    TypeError
        If the estimator has no levels.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_iso import HierarchicalIsometricClassifier
    >>> from sklearn_iso.datasets import make_torus
    >>> from sklearn_iso.metrics import adversarial_accuracy, at_level
    >>> X, Y = make_torus(200, n_levels=2, random_state=0)
    >>> clf = HierarchicalIsometricClassifier(max_epochs=20, random_state=0)
    >>> pipeline = make_pipeline(StandardScaler(), clf).fit(X, Y)
    >>> coarse = at_level(pipeline, 0)
    >>> adversarial_accuracy(coarse, X, Y[:, 0], eps=0.0) == coarse.score(X, Y[:, 0])
    True
    """
    if hasattr(estimator, "best_estimator_"):
        return at_level(estimator.best_estimator_, level)
    if isinstance(estimator, Pipeline):
        name, last = estimator.steps[-1]
        pipeline = copy.copy(estimator)  # of its own class, which may skip steps in predict
        pipeline.steps = [*estimator.steps[:-1], (name, at_level(last, level))]
        return pipeline
    if not hasattr(estimator, "at_level"):
        raise TypeError(
            f"estimator must have levels, as HierarchicalIsometricClassifier has; got "
            f"{type(estimator).__name__}."
        )
    return cast(Leveled, estimator).at_level(level)


@dataclass(frozen=True)
class LevelScorer(WeightedScorer):
    """Callable ``(estimator, X, y, sample_weight=None)``: a scorer, at one level of y.

    Made by :func:`make_level_scorer`.

    Examples
    --------
    >>> from sklearn.metrics import get_scorer
    >>> from sklearn_iso.metrics._levels import LevelScorer
    >>> LevelScorer(get_scorer("accuracy"), 0).level
    0
    """

    scorer: Scorer
    level: int
    hierarchy: Hierarchy | None = None

    def __call__(
        self,
        estimator: object,
        X: ArrayLike,
        y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Return the score of the estimator's level on X and labels y."""
        paths = told_paths(y, self.hierarchy)
        n_levels = paths.shape[1]
        if not -n_levels <= self.level < n_levels:
            raise ValueError(
                f"level must be one of the {n_levels} levels of y, 0 the coarsest and -1 the "
                f"finest; got {self.level!r}."
            )
        level = range(n_levels)[self.level]
        # A path that ended above the level counts by its last label.
        last = np.minimum(depths(paths), level + 1) - 1
        labels = paths[np.arange(len(paths)), last]
        if labels.dtype == object:
            labels = np.array(labels.tolist())
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        return float(self.scorer(at_level(estimator, level), X, labels, **weights))

    def _accept_sample_weight(self) -> bool:
        return takes_weights(self.scorer)

    def _default_request(self) -> MetadataRequest | MetadataRouter:
        # What was asked of the scorer inside holds for its levels.
        return get_routing_for_object(self.scorer)


def make_level_scorer(
    scorer: Scorer, level: int, *, hierarchy: Hierarchy | None = None
) -> LevelScorer:
    """Return a scorer of one level, such as that of the robustness of the coarse labels.

    Parameters
    ----------
    scorer : callable
        ``scorer(estimator, X, y) -> float`` for classifiers, such as
        :func:`make_adversarial_scorer` returns; or one of representations, such as
        :func:`make_distortion_scorer` returns.
    level : int
        Counted from 0, the coarsest; negative from the finest.
    hierarchy : mapping of a label to the one above it, or networkx.DiGraph, optional
        For estimators that were fitted on the finest labels alone.

    Returns
    -------
    LevelScorer
        Picklable callable ``(estimator, X, y, sample_weight=None) -> float`` for y of several
        levels. It wants weights where `scorer` does.

    Raises
    ------
    TypeError
        If scorer cannot be called, or level is no integer.

    Examples
    --------
    >>> from sklearn_iso import HierarchicalIsometricClassifier
    >>> from sklearn_iso.datasets import make_torus
    >>> from sklearn_iso.metrics import make_adversarial_scorer, make_level_scorer
    >>> X, Y = make_torus(200, n_levels=2, random_state=0)
    >>> clf = HierarchicalIsometricClassifier(max_epochs=20, random_state=0).fit(X, Y)
    >>> robust = make_adversarial_scorer(eps=0.02)
    >>> coarse, fine = (make_level_scorer(robust, level)(clf, X, Y) for level in (0, 1))
    >>> coarse > fine
    True
    """
    if not callable(scorer):
        raise TypeError(
            f"scorer must be a callable (estimator, X, y); got {scorer!r}. For a name use "
            "sklearn.metrics.get_scorer."
        )
    if not isinstance(level, Integral):
        raise TypeError(f"level must be an integer, 0 the coarsest; got {level!r}.")
    return LevelScorer(scorer, level, hierarchy)
