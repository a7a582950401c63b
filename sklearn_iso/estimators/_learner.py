"""The steps of a classifier's fit, from validated arrays to fitted attributes."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import fields, replace
from typing import cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import train_test_split
from torch import nn

from sklearn_iso._protocols import Parametrized
from sklearn_iso._threads import one_thread
from sklearn_iso._training import (
    Acceleration,
    ArrayDataset,
    LossNotFiniteError,
    Objective,
    PenalizedNet,
    PrivateStream,
    Randomness,
    TrainingSettings,
    build_net,
    calibrate,
    check_several_classes,
    combine_weights,
    encode_among,
    encode_labels,
    input_similarity,
    new_generator,
    release_data,
    resume_net,
    warn_of_weak_pairs,
)
from sklearn_iso.estimators._representing import RepresentingNetwork
from sklearn_iso.estimators._result import FitResult, found_before
from sklearn_iso.estimators._roles import Stopping, Weighing
from sklearn_iso.estimators._strength import given_or_auto, strength
from sklearn_iso.estimators._tasks import FitTask, random_state_of
from sklearn_iso.exceptions import TrainingDivergedError
from sklearn_iso.modules import MLP, represent_many
from sklearn_iso.modules._ambient import own_modes
from sklearn_iso.modules._build import build_module, has_own_sizes, perceptron
from sklearn_iso.modules._widths import layer_widths
from sklearn_iso.penalties import Penalty, make_penalty


class Learner:
    """Fits one classifier, or the network of a regressor.

    Parameters
    ----------
    estimator : IsometricClassifier or IsometricRegressor
        Its parameters are read, and what an earlier fit has found out.
    task : FitTask, optional
        Who hears of the epochs.
    rng : RandomState, optional
        Where an earlier fit left off; by default, what `random_state` says.
    data_term : {"classification_loss", "squared_error"}
        What the penalty is added to.

    Attributes
    ----------
    result : FitResult
    """

    def __init__(
        self,
        estimator: RepresentingNetwork,
        task: FitTask | None = None,
        rng: np.random.RandomState | None = None,
        data_term: str = "classification_loss",
    ) -> None:
        self.estimator, self.task, self.data_term = estimator, task, data_term
        self.result = FitResult()
        rng = random_state_of(estimator, task) if rng is None else rng
        # Every source has a seed of its own, so that switching one parameter on or off
        # leaves the draws of the others as they were.
        self.weights = new_generator(rng)
        self.shuffling = new_generator(rng)
        self.stream = PrivateStream(rng.randint(2**31 - 1))
        self.randomness = Randomness(
            penalty=new_generator(rng),
            validation_seed=rng.randint(2**31 - 1),
            module=None if estimator.module is None else self.stream,
        )
        self.rng = rng

    @own_modes()
    def fit(self, X: NDArray, y: NDArray, sample_weight: ArrayLike | None) -> None:
        """Train on validated arrays."""
        estimator = self.estimator
        classes, labels = encode_labels(y)
        known = cast(Weighing, estimator)
        check_warm_classes(known, classes)
        weight = combine_weights(X, labels, classes, sample_weight, known.class_weight)
        train, valid = self._split(positive_rows(X, labels, weight))
        check_several_classes(classes[train.y])
        self.train(train, classes, valid)
        self.warn_of_weak_pairs(train)

    def train(self, train: ArrayDataset, classes: NDArray, valid: ArrayDataset | None) -> None:
        """Train a new network on samples that weigh something."""
        settings = settings_of(self.estimator)
        self._start(train, classes, settings, valid)
        self.run(train, settings.max_epochs)

    @own_modes()
    def fit_chunk(
        self, X: NDArray, y: NDArray, classes: NDArray, sample_weight: ArrayLike | None
    ) -> None:
        """Train for one epoch on some samples, from where the estimator is or from the start."""
        estimator = self.estimator
        labels, known = encode_among(classes, y), cast(Weighing, estimator)
        weight = combine_weights(X, labels, classes, sample_weight, known.class_weight)
        settings = replace(settings_of(estimator), learning_rate_schedule="constant")
        if not hasattr(estimator, "net_"):
            rows = positive_rows(X, labels, weight)
            if strength(estimator) > 0:  # a penalty may measure how far the classes are apart
                check_several_classes(classes[rows.y])
            self._start(rows, classes, settings)
        else:
            self.take_up("net_", "penalty_", "alpha_")
            X, weight = as_module(estimator.net_, X, weight)
            rows = positive_rows(X, labels, weight)
            resume_net(estimator.net_, settings, self.shuffling)
        self.run_chunk(rows)

    def _start(
        self,
        train: ArrayDataset,
        classes: NDArray,
        settings: TrainingSettings,
        valid: ArrayDataset | None = None,
    ) -> None:
        penalty = make_penalty(self.estimator.penalty)
        self.start(train, penalty, len(classes), settings, valid)
        self.result.classes_ = self.result.net_.classes_ = classes
        self.result.temperature_ = 1.0

    def start(
        self,
        train: ArrayDataset,
        penalty: Penalty,
        n_outputs: int,
        settings: TrainingSettings,
        valid: ArrayDataset | None = None,
    ) -> None:
        """Begin the result: an untrained net, its penalty calibrated."""
        estimator = self.estimator
        if strength(estimator) > 0:
            calibrate(penalty, train, self.rng)
        module = self._module(train, n_outputs)
        check_trainable(module)
        width = self._check_outputs(module, train, n_outputs)  # lazy layers get their weights
        if starts_warm(estimator):
            copy_weights(estimator.net_.module_, module)
        objective = self.objective(penalty, strength(estimator), train)
        net = build_net(module, objective, settings, self.shuffling, valid=valid)
        result = self.result
        result.penalty_, result.net_, result._n_features_out = penalty, net, width
        result.alpha_, result.weight_decay_ = strength(estimator), settings.weight_decay
        result.selection_ = None

    def objective(self, penalty: Penalty, alpha: float, train: ArrayDataset) -> Objective:
        """Return what one network is trained by."""
        return Objective(
            penalty,
            alpha,
            self.estimator.layers,
            weighted=bool(np.ptp(train.weight)),
            data_term=self.data_term,
        )

    def take_up(self, *names: str) -> None:
        """Begin the result with what an earlier fit has found out."""
        self.result = found_before(self.estimator, *names)

    def run_chunk(self, rows: ArrayDataset) -> None:
        """Train for one epoch under the present strength of the penalty."""
        objective = self.result.net_.criterion_
        if self.estimator.alpha != "auto":  # or what an earlier fit has chosen
            objective.alpha = float(self.estimator.alpha)
        self.result.alpha_ = objective.alpha
        objective.weighted = bool(np.ptp(rows.weight))
        self.run(rows, 1)

    def run(self, train: ArrayDataset, epochs: int) -> None:
        """Train, and complete the result whatever happens."""
        who = self.estimator
        try:
            run_net(self.result, train, self.randomness, epochs, estimator=who, task=self.task)
        finally:
            self.finish()
            self._complete()

    def finish(self) -> None:
        """Make of the network that was trained the one that predicts."""

    def warn_of_weak_pairs(self, train: ArrayDataset) -> None:
        """Warn if the worst pairs that the training saw are far from the worst there are."""
        if self.result.net_.criterion_.alpha > 0:
            with self.randomness.module_stream():
                warn_of_weak_pairs(self.result.net_, self.result.penalty_, train)

    def _split(self, rows: ArrayDataset) -> tuple[ArrayDataset, ArrayDataset | None]:
        if not self.estimator.early_stopping:
            return rows, None
        return split_rows(self.estimator, rows, self.rng, rows.y)

    def _module(self, train: ArrayDataset, n_outputs: int) -> nn.Module:
        estimator = self.estimator
        dtype = torch.float64 if train.X.dtype == np.float64 else torch.float32
        n_features = self.result._row_size = int(np.prod(train.X.shape[1:]))
        if has_own_sizes(estimator.module):
            with self.stream.active():
                return build_module(estimator.module, n_features, n_outputs).to(dtype)
        return self.perceptrons(train, n_outputs, layer_widths(estimator.hidden_layer_sizes))[0]

    def perceptrons(
        self, train: ArrayDataset, n_outputs: int, widths: list[int], number: int = 1
    ) -> list[MLP]:
        """Return so many untrained networks of the built-in kind, with one input similarity."""
        mlps = [
            perceptron(
                self.estimator.module,
                int(np.prod(train.X.shape[1:])),
                n_outputs,
                hidden_layer_sizes=widths,
                activation=self.estimator.activation,
                generator=self.weights,
                dtype=torch.float64 if train.X.dtype == np.float64 else torch.float32,
            )
            for _ in range(number)
        ]
        shift, factor = input_similarity(train.X, train.weight)
        for mlp in mlps:
            mlp.set_input_similarity(torch.from_numpy(shift), factor)
        return mlps

    def _check_outputs(self, module: nn.Module, train: ArrayDataset, n_outputs: int) -> int:
        """Return the width of the representation, having tried the module on two samples."""
        module.eval()
        layers = self.estimator.layers
        rows = torch.from_numpy(train.X[np.arange(min(2, len(train)))])
        with torch.no_grad(), one_thread(), self.randomness.module_stream():
            logits, (representations,) = represent_many(module, rows, [layers])
        if tuple(logits.shape) != (len(rows), n_outputs):
            raise ValueError(
                f"module must return {_OUTPUTS[self.data_term]}, shape ({len(rows)}, {n_outputs}) "
                f"for {len(rows)} samples; got {tuple(logits.shape)}. Set the width of its last "
                f"layer to {n_outputs}."
            )
        return int(representations[-1].shape[1])

    def _complete(self) -> None:
        result = self.result
        result.take_history(self.data_term)
        for _, _, term in result.penalty_.terms():
            for name in ("radius_", "scale_"):
                if hasattr(term, name):
                    setattr(result, name, getattr(term, name))
        result._rng = self.rng


def check_trainable(module: nn.Module) -> None:
    """Raise a ValueError if a module has no weights that a fit could change."""
    if not any(weights.requires_grad for weights in module.parameters()):
        some = next(module.parameters(), None) is not None
        raise ValueError(
            f"module must have weights to train; those of {type(module).__name__} "
            f"{'are all frozen' if some else 'are missing: it has none'}. "
            + ("Let some of them learn: requires_grad_(True)." if some else "Add a layer that has.")
        )


def starts_warm(estimator: object) -> bool:
    """Return whether a fit starts at the weights of the last one."""
    return getattr(estimator, "warm_start", False) and hasattr(estimator, "net_")


def copy_weights(source: nn.Module, target: nn.Module) -> None:
    """Let a new network start at the weights of a trained one.

    Raises
    ------
    ValueError
        If they differ in shape.
    """
    try:
        target.load_state_dict(source.state_dict())
    except RuntimeError as error:
        raise ValueError(
            "warm_start=True starts at the weights of the last fit, and this fit needs others: "
            f"features, classes, components or the network changed. {error}. Fit a clone, or set "
            "warm_start=False."
        ) from None


def check_warm_classes(estimator: Weighing, classes: NDArray) -> None:
    """Raise a ValueError if a warm start meets other classes than those of the last fit."""
    if starts_warm(estimator) and not np.array_equal(classes, estimator.classes_):
        raise ValueError(
            f"warm_start=True keeps the classes of the last fit, {estimator.classes_!r}; got "
            f"{classes!r}. Fit a clone, or set warm_start=False."
        )


#: What a module returns, by the data term.
_OUTPUTS = {
    "classification_loss": "one logit for each class",
    "squared_error": "one prediction for each sample",
}


def split_rows(
    estimator: Stopping, rows: ArrayDataset, rng: np.random.RandomState, *labels: NDArray
) -> tuple[ArrayDataset, ArrayDataset]:
    """Return the samples to train on, and those that early stopping holds out.

    Both have every class of the first of the labels (n_samples,) by which that is possible.
    """
    n_valid = math.ceil(estimator.validation_fraction * len(rows))
    room = min(n_valid, len(rows) - n_valid)
    counts = [(y, np.unique(y, return_counts=True)[1]) for y in labels]
    possible = [y for y, n_rows in counts if n_rows.min() > 1 and len(n_rows) <= room]
    train, valid = train_test_split(
        np.arange(len(rows)),
        test_size=estimator.validation_fraction,
        stratify=possible[0] if possible else None,
        random_state=rng,
    )
    return rows.subset(train), rows.subset(valid)


def settings_of(estimator: Parametrized, n_samples: int | None = None) -> TrainingSettings:
    """Return the training parameters of an estimator, of a cross-fit if `n_samples` is given."""
    params = estimator.get_params(deep=False)
    chosen = {f.name: params[f.name] for f in fields(TrainingSettings) if f.name in params}
    auto = {k: v for k, v in given_or_auto(estimator, n_samples).items() if k in chosen}
    return TrainingSettings(**chosen | auto | {"callbacks": params["callbacks"] or ()})


def run_net(
    result: FitResult,
    train: ArrayDataset,
    randomness: Randomness,
    epochs: int,
    *,
    estimator: Parametrized,
    task: FitTask | None,
) -> None:
    """Train the net of a result, and let go of the data whatever happens.

    Raises
    ------
    TrainingDivergedError
        If the loss becomes NaN or infinite; the last good state is restored.
    """
    net = result.net_
    try:
        with nullcontext() if task is None else task.epochs(result):
            net.run(train, epochs, randomness, Acceleration.of(estimator))
    except LossNotFiniteError:
        raise TrainingDivergedError(len(net.history), net.lr) from None
    finally:
        release_data(net)


def as_module(net: PenalizedNet, X: NDArray, weight: NDArray) -> tuple[NDArray, NDArray]:
    """Return samples and weights in the precision of a trained net."""
    double = next(net.module_.parameters()).dtype == torch.float64
    dtype = np.float64 if double else np.float32
    return X.astype(dtype, copy=False), weight.astype(dtype, copy=False)


def learns_by_chunks(estimator: Stopping) -> bool:
    """Return True; raise an AttributeError if a parameter needs all samples at once."""
    if estimator.early_stopping:
        raise AttributeError(
            "early_stopping=True holds out samples of one fit, while partial_fit sees one chunk of "
            "samples at a time. Set early_stopping=False."
        )
    if getattr(estimator, "class_weight", None) == "balanced":
        raise AttributeError(
            "class_weight='balanced' counts all samples, while partial_fit sees one chunk of "
            "samples at a time. Pass class_weight as a dict of weights."
        )
    return True


def positive_rows(X: NDArray, labels: NDArray, weight: NDArray) -> ArrayDataset:
    """Return the samples that weigh anything."""
    rows = ArrayDataset(X, labels, weight)
    return rows if weight.all() else rows.subset(np.flatnonzero(weight))
