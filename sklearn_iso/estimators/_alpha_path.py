"""Scores of a classifier under many alphas: one fold at a time, all alphas at once where faster."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from sklearn_iso._training import (
    Acceleration,
    ArrayDataset,
    check_several_classes,
    combine_weights,
    encode_labels,
    resolve_device,
)
from sklearn_iso._training.stacked import StackedMLP, StackedObjective, can_stack, train_stacked
from sklearn_iso.estimators._classifier import IsometricClassifier
from sklearn_iso.estimators._input import by_batch
from sklearn_iso.estimators._learner import Learner, positive_rows, settings_of
from sklearn_iso.estimators._strength import given_or_auto
from sklearn_iso.modules._ambient import own_modes
from sklearn_iso.modules._widths import layer_widths
from sklearn_iso.penalties import make_penalty

#: Values that pass through all layers for one batch, above which networks train one by one:
#: arithmetic then takes the time, and not the number of operations.
MAX_WORK = 2_000_000

Scorer = Callable[..., float]
Folds = Iterable[tuple[NDArray, NDArray]]


def scores_by_alpha(
    classifier: IsometricClassifier,
    alphas: Sequence[float],
    rows: Rows,
    folds: Folds,
    scorer: Scorer,
    *,
    warm: bool = False,
) -> NDArray[np.float64]:
    """Return the scores (n_alphas, n_folds) on the samples that each fold leaves out.

    They are those of fits one by one: the copies that train at once see the same batches, start
    at the same weights and share the draws of the penalty, as fits with the same seed do.

    Parameters
    ----------
    classifier : IsometricClassifier
        With an integer as random_state.
    alphas : sequence of float
    rows : Samples
    folds : iterable of (ndarray, ndarray)
        Samples to train on and samples to score.
    scorer : callable
    warm : bool
        Start each fit at the weights of the one with the next smaller alpha.

    Returns
    -------
    scores : ndarray of shape (n_alphas, n_folds)
    """
    columns = []
    for train, test in folds:
        column, known, new = None, rows.at(train), rows.at(test)
        n_classes = len(np.unique(known.y))
        if not warm and trains_at_once(classifier, known.X.shape[1], n_classes):
            column = _at_once(classifier, alphas, known, new, scorer)
        if column is None:
            by_alpha = {
                alpha: new.score(scorer, fitted)
                for alpha, fitted in fits_by_alpha(clone(classifier), alphas, known, warm)
            }
            column = [by_alpha[alpha] for alpha in alphas]
        columns.append(column)
    return np.array(columns, dtype=np.float64).T


@dataclass(frozen=True)
class Rows:
    """Samples with their labels and, where given, their weights."""

    X: NDArray
    y: NDArray
    weight: NDArray | None = None

    def at(self, index: NDArray) -> Rows:
        """Return some of the samples."""
        weight = None if self.weight is None else self.weight[index]
        return Rows(self.X[index], self.y[index], weight)

    def score(self, scorer: Scorer, fitted: IsometricClassifier) -> float:
        """Return the score of a classifier, weighted where the scorer weighs."""
        if self.weight is None or not _weighs(scorer):
            return scorer(fitted, self.X, self.y)
        return scorer(fitted, self.X, self.y, sample_weight=self.weight)


def _weighs(scorer: Scorer) -> bool:
    """Return whether a scorer takes weights, as scikit-learn's searches find out."""
    if hasattr(scorer, "_accept_sample_weight"):
        return bool(scorer._accept_sample_weight())
    return "sample_weight" in inspect.signature(scorer).parameters


def fits_by_alpha(
    classifier: IsometricClassifier, alphas: Iterable[float], rows: Rows, warm: bool = False
) -> Iterator[tuple[float, IsometricClassifier]]:
    """Yield each alpha, the smallest first, and the classifier when it is fitted with it."""
    classifier.set_params(warm_start=warm)
    for alpha in sorted(set(alphas)):
        yield alpha, classifier.set_params(alpha=alpha).fit(rows.X, rows.y, rows.weight)


def trains_at_once(classifier: IsometricClassifier, n_features: int, n_classes: int) -> bool:
    """Return whether networks of this size and kind train faster at once than one by one."""
    if classifier.module is not None or classifier.early_stopping or classifier.callbacks:
        return False
    if not isinstance(classifier.optimizer, str) or classifier.layers != "hidden":
        return False
    widths = [n_features, *layer_widths(classifier.hidden_layer_sizes), n_classes]
    values = sum(a * b for a, b in zip(widths, widths[1:], strict=False))
    work = given_or_auto(classifier)["batch_size"] * values
    on_cpu = resolve_device(classifier.device).type == "cpu"
    as_written = not Acceleration.of(classifier).changes_passes
    return bool(work <= MAX_WORK and len(widths) > 2 and on_cpu and as_written) and can_stack(
        make_penalty(classifier.penalty)
    )


@own_modes()
def _at_once(
    classifier: IsometricClassifier, alphas: Sequence[float], known: Rows, new: Rows, scorer: Scorer
) -> list[float] | None:
    """Return the scores of all alphas for one fold; None where a copy diverged."""
    one = clone(classifier).set_params(alpha=max(*alphas, 1.0))  # calibrates the penalty
    learner = Learner(one)
    rows, classes = _training_rows(one, known)
    settings = settings_of(one)
    learner.start(rows, make_penalty(one.penalty), len(classes), settings)
    learner.result.classes_, learner.result.n_features_in_ = classes, known.X.shape[1]
    one._store(learner.result)
    stack = StackedMLP([one.net_.module_] * len(alphas))
    objective = StackedObjective(one.penalty_, alphas)
    if not train_stacked(
        stack,
        objective,
        rows,
        settings,
        shuffling=learner.shuffling,
        randomness=learner.randomness,
    ):
        return None
    scores = []
    for copy, alpha in enumerate(alphas):
        one.net_.module_.load_state_dict(stack.state_of(copy))
        scores.append(new.score(scorer, one.set_params(alpha=alpha)))
    return scores


def _training_rows(classifier: IsometricClassifier, rows: Rows) -> tuple[ArrayDataset, NDArray]:
    """Return the samples that a fit would train on, and their classes."""
    classes, labels = encode_labels(rows.y)
    weight = combine_weights(rows.X, labels, classes, rows.weight, classifier.class_weight)
    found = positive_rows(by_batch(rows.X), labels, weight)
    check_several_classes(classes[found.y])
    return found, classes
