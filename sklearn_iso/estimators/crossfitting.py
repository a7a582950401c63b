"""A classifier that finds out by held out samples how strongly to hold its network back."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from sklearn_iso.estimators.learner import Learner, settings_of
from sklearn_iso.estimators.strength import N_FOLDS, candidates, cross_fits
from sklearn_iso.modules.widths import layer_widths
from sklearn_iso.penalties import Penalty, make_penalty
from sklearn_iso.training import ArrayDataset, TrainingSettings, build_net, calibrate
from sklearn_iso.training.crossfit import Candidate, CrossFitObjective, Members
from sklearn_iso.training.folds import content_groups, stratified_folds
from sklearn_iso.training.selection import (
    Selection,
    held_out_logits,
    number_of_distinct,
    select,
)

#: Spreads of X that float32 holds with room for squares, and the largest value over the spread.
_LEAST, _MOST, _WORTH = 1e-10, 1e10, 1e3
#: Log loss above that of equal probabilities that no unlucky draw explains.
_WORSE = 0.5


class ChoosingLearner(Learner):
    """Learner of a classifier that cross-fits where ``alpha="auto"`` asks for it.

    For each candidate (a strength of the penalty and a weight decay) one small network for each
    fold trains without the samples of that fold, all at once. The samples tell the candidates
    apart by the members that have not seen them, and give the temperature; the mean of the
    members of the choice is the network that predicts.
    """

    def train(self, train: ArrayDataset, classes: NDArray, valid: ArrayDataset | None) -> None:
        """Train members, or one network where there is nothing to choose or too little."""
        self.fold: NDArray | None = None
        if not self._has_choice(train):
            super().train(train, classes, valid)
            return
        self.fold = stratified_folds(self.group, train.y, N_FOLDS, self.rng)
        settings = settings_of(self.estimator, len(train))
        penalty = calibrate(make_penalty(self.estimator.penalty), train, self.rng)
        self._start_members(self.samples, classes, penalty, settings)
        self.wide = self.perceptrons(train, len(classes), self._widths)[0]
        outside = self.fold[:, None] != np.arange(N_FOLDS)
        weight = (self.samples.weight[:, None] * outside).astype(self.samples.weight.dtype)
        self.run(ArrayDataset(self.samples.X, train.y, weight), settings.max_epochs)

    def _has_choice(self, train: ArrayDataset) -> bool:
        """Return whether there is a choice and enough distinct samples to make it by."""
        n_features = int(np.prod(train.X.shape[1:]))
        if not cross_fits(self.estimator, len(train), n_features):
            return False
        self.samples = single_precision(train)
        self.group = content_groups(self.samples)
        weight = self.samples.weight.astype(np.float64)
        return cross_fits(self.estimator, number_of_distinct(weight, self.group), n_features)

    @property
    def _widths(self) -> list[int]:
        return layer_widths(self.estimator.hidden_layer_sizes)

    def _start_members(
        self, train: ArrayDataset, classes: NDArray, penalty: Penalty, settings: TrainingSettings
    ) -> None:
        estimator = self.estimator
        narrow = [width // N_FOLDS for width in self._widths]
        mlps = self.perceptrons(train, len(classes), narrow, N_FOLDS)
        members = Members(mlps, candidates(estimator))
        net = build_net(members, CrossFitObjective(penalty), settings, self.shuffling)
        estimator.penalty_, estimator.net_, estimator.classes_ = penalty, net, classes

    def finish(self) -> None:
        """Let the held out samples choose, and leave the network of the choice."""
        if self.fold is None:
            return
        estimator, train = self.estimator, self.samples
        members = estimator.net_.module_.eval()
        logits = held_out_logits(members, train, self.fold)
        selection = select(logits, train.y, train.weight.astype(np.float64), self.group)
        warn_of_nothing_learned(selection, logits.shape[2])
        self._leave(members, selection)

    def _leave(self, members: Members, selection: Selection) -> None:
        """Make the members of the choice the network of the estimator."""
        estimator, chosen = self.estimator, members.candidates[selection.index]
        merged = members.merged(selection.index, selection.temperature, self.wide)
        estimator.penalty_.rescale(1 / selection.temperature)  # to the logits that predict
        objective = self.objective(estimator.penalty_, chosen.alpha, self.samples)
        estimator.net_.replace_module(merged.eval(), objective, chosen.weight_decay)
        estimator.alpha_, estimator.weight_decay_ = chosen.alpha, chosen.weight_decay
        estimator.temperature_ = selection.temperature
        begun = any("train_loss" in row for row in estimator.net_.history)
        estimator.selection_ = _as_columns(members.candidates, selection) if begun else None
        estimator._n_features_out = merged.output.in_features


def warn_of_nothing_learned(selection: Selection, n_classes: int) -> None:
    """Warn if held out samples are predicted worse than by equal probabilities for all classes."""
    least, blind = selection.log_loss.mean.min(), np.log(n_classes)
    if least > blind + _WORSE:
        warnings.warn(
            f"No candidate has learned: the least held out log loss is {least:.3g}, and equal "
            f"probabilities for all classes have {blind:.3g}. Lower learning_rate, or scale X.",
            ConvergenceWarning,
            stacklevel=2,
        )


def single_precision(samples: ArrayDataset) -> ArrayDataset:
    """Return the samples in float32, unless it would lose what tells them apart; in memory.

    Members train twice as fast in it; their weights are sums over many samples and need no more.
    The network that predicts has the precision of X.
    """
    X = samples.X[np.arange(len(samples))]  # of a memory map or a sparse matrix all that it holds
    weight = samples.weight / samples.weight.max()
    if X.dtype == np.float64:
        spread = float(np.sqrt(X.var(axis=0).sum()))
        if _LEAST < spread < _MOST and np.abs(X).max() <= _WORTH * spread:
            X = X.astype(np.float32)
    return ArrayDataset(X, samples.y, weight.astype(X.dtype, copy=False))


def _as_columns(tried: list[Candidate], selection: Selection) -> dict[str, NDArray]:
    """Return what was tried and what the held out samples said, a row for each candidate."""
    return {
        "alpha": np.array([one.alpha for one in tried]),
        "weight_decay": np.array([one.weight_decay for one in tried]),
        "log_loss": selection.log_loss.mean,
        "log_loss_excess": selection.log_loss.excess,
        "log_loss_std_error": selection.log_loss.std_error,
        "error": selection.error.mean,
        "error_excess": selection.error.excess,
        "error_std_error": selection.error.std_error,
    }
