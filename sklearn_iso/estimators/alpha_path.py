"""Scores of a classifier under many alphas: one fold at a time, all alphas at once where faster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from sklearn_iso.estimators.learner import Learner, positive_rows, settings_of
from sklearn_iso.penalties import make_penalty
from sklearn_iso.training import (
    ArrayDataset,
    check_several_classes,
    combine_weights,
    encode_labels,
    resolve_device,
)
from sklearn_iso.training.stacked import StackedMLP, StackedObjective, can_stack, train_stacked

#: Values that pass through all layers for one batch, above which networks train one by one:
#: arithmetic then takes the time, and not the number of operations.
MAX_WORK = 2_000_000

Scorer = Callable[[Any, NDArray, NDArray], float]
Folds = Iterable[tuple[NDArray, NDArray]]


def scores_by_alpha(
    classifier: Any, alphas: Sequence[float], X: NDArray, y: NDArray, folds: Folds, scorer: Scorer
) -> NDArray[np.float64]:
    """Return the scores (n_alphas, n_folds) on the rows that each fold leaves out.

    They are those of fits one by one: the copies that train at once see the same batches, start
    at the same weights and share the draws of the penalty, as fits with the same seed do.

    Parameters
    ----------
    classifier : IsometricClassifier
        With an integer as random_state.
    alphas : sequence of float
    X, y : ndarray
    folds : iterable of (ndarray, ndarray)
        Rows to train on and rows to score.
    scorer : callable

    Returns
    -------
    scores : ndarray of shape (n_alphas, n_folds)
    """
    columns = []
    for train, test in folds:
        column = None
        if trains_at_once(classifier, X.shape[1], len(np.unique(y))):
            column = _at_once(classifier, alphas, X[train], y[train], X[test], y[test], scorer)
        if column is None:
            column = [
                scorer(clone(classifier).set_params(alpha=alpha).fit(X[train], y[train]),
                       X[test], y[test])
                for alpha in alphas
            ]  # fmt: skip
        columns.append(column)
    return np.array(columns, dtype=np.float64).T


def trains_at_once(classifier: Any, n_features: int, n_classes: int) -> bool:
    """Return whether networks of this size and kind train faster at once than one by one."""
    if classifier.module is not None or classifier.early_stopping or classifier.callbacks:
        return False
    if not isinstance(classifier.optimizer, str) or classifier.layers != "hidden":
        return False
    widths = [n_features, *np.atleast_1d(classifier.hidden_layer_sizes), n_classes]
    work = classifier.batch_size * sum(a * b for a, b in zip(widths, widths[1:], strict=False))
    on_cpu = resolve_device(classifier.device).type == "cpu"
    return bool(work <= MAX_WORK and len(widths) > 2 and on_cpu) and can_stack(
        make_penalty(classifier.penalty)
    )


def _at_once(
    classifier: Any,
    alphas: Sequence[float],
    X: NDArray,
    y: NDArray,
    X_test: NDArray,
    y_test: NDArray,
    scorer: Scorer,
) -> list[float] | None:
    """Return the scores of all alphas for one fold; None where a copy diverged."""
    one = clone(classifier).set_params(alpha=max(*alphas, 1.0))  # calibrates the penalty
    learner = Learner(one)
    rows = _fold_rows(one, X, y)
    one.n_features_in_ = X.shape[1]
    settings = settings_of(one)
    learner.start(rows, make_penalty(one.penalty), len(one.classes_), settings)
    stack = StackedMLP(one.net_.module_, len(alphas))
    objective = StackedObjective(one.penalty_, alphas)
    if not train_stacked(stack, objective, rows, settings, learner.shuffling, learner.randomness):
        return None
    scores = []
    for copy, alpha in enumerate(alphas):
        one.net_.module_.load_state_dict(stack.state_of(copy))
        scores.append(scorer(one.set_params(alpha=alpha), X_test, y_test))
    return scores


def _fold_rows(classifier: Any, X: NDArray, y: NDArray) -> ArrayDataset:
    """Return the rows that a fit would train on, and tell the classifier their classes."""
    classifier.classes_, labels = encode_labels(y)
    rows = positive_rows(X, labels, combine_weights(X, y, None, classifier.class_weight))
    check_several_classes(classifier.classes_[rows.y])
    return rows
