"""Learners that find out by held out samples how strongly to hold a network back."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from sklearn_iso._training import ArrayDataset, TrainingSettings, build_net, calibrate
from sklearn_iso._training.crossfit import Candidate, CrossFitObjective, Members
from sklearn_iso._training.folds import content_groups, stratified_folds
from sklearn_iso._training.selection import (
    Excess,
    Selection,
    held_out_outputs,
    number_of_distinct,
    select_for_classes,
)
from sklearn_iso.estimators._learner import Learner, settings_of
from sklearn_iso.estimators._strength import N_FOLDS, candidates, cross_fits
from sklearn_iso.modules._widths import layer_widths
from sklearn_iso.penalties import Penalty, make_penalty

#: Spreads of X that float32 holds with room for squares, and the largest value over the spread.
_LEAST, _MOST, _WORTH = 1e-10, 1e10, 1e3
#: Loss above that of a prediction that does not look at X that no unlucky draw explains.
_WORSE = 0.5


class CrossFitLearner(Learner):
    """Learner of an estimator that cross-fits where ``alpha="auto"`` asks for it.

    For each candidate (a strength of the penalty and a weight decay) one small network for each
    fold trains without the samples of that fold, all at once. The samples tell the candidates
    apart by the members that have not seen them; the mean of the members of the choice is the
    network that predicts. Subclasses know what is predicted.
    """

    fold: NDArray | None = None

    def calibrate(self, penalty: Penalty, train: ArrayDataset) -> None:
        """Set what a penalty takes from the data."""
        calibrate(penalty, train, self.rng)

    def select(self, outputs: NDArray, weight: NDArray) -> Selection:
        """Return what the held out outputs say."""
        raise NotImplementedError

    def cross_fit(
        self,
        train: ArrayDataset,
        penalty: Penalty,
        n_outputs: int,
        strata: NDArray,
        **fitted: object,
    ) -> bool:
        """Train members; return False where there is nothing to choose, or too little.

        Parameters
        ----------
        train : ArrayDataset
        penalty : Penalty
            Calibrated here, where there is a choice.
        n_outputs : int
        strata : ndarray of shape (n_samples,)
            What is to be spread over all folds.
        **fitted
            What the result holds before the training.
        """
        self.fold = None
        if not self._has_choice(train, penalty):
            return False
        self.fold = stratified_folds(self.group, strata, N_FOLDS, self.rng)
        settings = settings_of(self.estimator, len(train))
        self.calibrate(penalty, train)
        self._start_members(penalty, n_outputs, settings)
        vars(self.result).update(fitted)
        self.wide = self.perceptrons(train, n_outputs, self._widths)[0]
        outside = self.fold[:, None] != np.arange(N_FOLDS)
        weight = (self.samples.weight[:, None] * outside).astype(self.samples.weight.dtype)
        self.run(ArrayDataset(self.samples.X, self.samples.y, weight), settings.max_epochs)
        return True

    def _has_choice(self, train: ArrayDataset, penalty: Penalty) -> bool:
        """Return whether there is a choice and enough distinct samples to make it by."""
        n_features = int(np.prod(train.X.shape[1:]))
        if not cross_fits(self.estimator, penalty, len(train), n_features):
            return False
        self.samples, self.unit = single_precision(train), float(train.weight.max())
        self.group = content_groups(self.samples)
        weight = self.samples.weight.astype(np.float64)
        n_distinct = number_of_distinct(weight, self.group)
        return cross_fits(self.estimator, penalty, n_distinct, n_features)

    @property
    def _widths(self) -> list[int]:
        return layer_widths(self.estimator.hidden_layer_sizes)

    def _start_members(self, penalty: Penalty, n_outputs: int, settings: TrainingSettings) -> None:
        narrow = [width // N_FOLDS for width in self._widths]
        mlps = self.perceptrons(self.samples, n_outputs, narrow, N_FOLDS)
        members = Members(mlps, candidates(self.estimator))
        objective = CrossFitObjective(penalty, self.data_term, self.unit)
        self.result.penalty_ = penalty
        self.result.net_ = build_net(members, objective, settings, self.shuffling)

    def finish(self) -> None:
        """Let the held out samples choose, and leave the network of the choice."""
        if self.fold is None:
            return
        members = self.result.net_.module_.eval()
        outputs = held_out_outputs(members, self.samples, self.fold)
        self.leave(members, self.select(outputs, self.samples.weight.astype(np.float64)))

    def leave(self, members: Members, selection: Selection) -> None:
        """Make the members of the choice the network of the result."""
        result, chosen = self.result, members.candidates[selection.index]
        merged = members.merged(selection.index, selection.temperature, self.wide)
        result.penalty_.rescale(1 / selection.temperature)  # to the outputs that predict
        objective = self.objective(result.penalty_, chosen.alpha, self.samples)
        result.net_.replace_module(merged.eval(), objective, chosen.weight_decay)
        result.alpha_, result.weight_decay_ = chosen.alpha, chosen.weight_decay
        begun = any("train_loss" in row for row in result.net_.history)
        result.selection_ = _as_columns(members.candidates, selection) if begun else None
        result._n_features_out = merged.output.in_features


class ChoosingLearner(CrossFitLearner):
    """Learner of a classifier; held out samples choose by log loss and error."""

    def train(self, train: ArrayDataset, classes: NDArray, valid: ArrayDataset | None) -> None:
        """Train members, or one network where there is nothing to choose or too little."""
        penalty = make_penalty(self.estimator.penalty)
        if not self.cross_fit(train, penalty, len(classes), train.y, classes_=classes):
            super().train(train, classes, valid)

    def select(self, outputs: NDArray, weight: NDArray) -> Selection:
        """Return what the held out logits say; warn if no candidate has learned."""
        selection = select_for_classes(outputs, self.samples.y, weight, self.group)
        warn_of_nothing_learned(selection.losses["log_loss"], np.log(outputs.shape[2]))
        return selection

    def leave(self, members: Members, selection: Selection) -> None:
        """Make the members of the choice the network of the result."""
        super().leave(members, selection)
        self.result.temperature_ = selection.temperature


def warn_of_nothing_learned(loss: Excess, blind: float) -> None:
    """Warn if held out samples are predicted worse than without looking at them."""
    least = loss.mean.min()
    if least > blind + _WORSE:
        warnings.warn(
            f"No candidate has learned: the least held out loss is {least:.3g}, and a prediction "
            f"that does not look at X has {blind:.3g}. Lower learning_rate, or scale X.",
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
    y = samples.y.astype(X.dtype, copy=False) if samples.y.dtype.kind == "f" else samples.y
    return ArrayDataset(X, y, weight.astype(X.dtype, copy=False))


def _as_columns(tried: list[Candidate], selection: Selection) -> dict[str, NDArray]:
    """Return what was tried and what the held out samples said, a value for each candidate."""
    columns = {
        "alpha": np.array([one.alpha for one in tried]),
        "weight_decay": np.array([one.weight_decay for one in tried]),
    }
    for name, loss in selection.losses.items():
        columns |= {
            name: loss.mean,
            f"{name}_excess": loss.excess,
            f"{name}_std_error": loss.std_error,
        }
    return columns
