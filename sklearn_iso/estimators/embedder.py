"""The steps of a transformer's fit, from validated arrays to fitted attributes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import train_test_split
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import _check_sample_weight

from sklearn_iso.estimators.learner import layer_widths, positive_rows, run_net, settings_of
from sklearn_iso.estimators.targets import METRICS, Targets, find_paths, given_distances
from sklearn_iso.modules import MLP, Autoencoder, ResidualMLP
from sklearn_iso.penalties import JacobianIsometry, Penalty, embedding_penalty
from sklearn_iso.training import (
    ArrayDataset,
    EmbeddingObjective,
    Randomness,
    build_net,
    calibrate,
    encode_labels,
    history_columns,
    inference,
    input_similarity,
    new_generator,
    principal_axes,
    private_random_state,
)
from sklearn_iso.training.calibration import INPUT_LENGTH


class Embedder:
    """Fits one transformer; holds what only the fit needs.

    Parameters
    ----------
    estimator : IsometricTransformer
        Its parameters are read and its fitted attributes set.
    """

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator
        rng = private_random_state(estimator.random_state)
        self.weights = new_generator(rng)
        self.shuffling = new_generator(rng)
        self.randomness = Randomness(
            penalty=new_generator(rng), validation_seed=rng.randint(2**31 - 1)
        )
        self.rng = rng
        self.dtype = torch.float32

    def fit(
        self, X: NDArray, y: NDArray | None, sample_weight: Any, distances: NDArray | None
    ) -> None:
        """Train on validated arrays."""
        estimator = self.estimator
        weight = _check_sample_weight(sample_weight, X, dtype=X.dtype, ensure_non_negative=True)
        kept = positive_rows(X, np.arange(len(X)), weight)
        # From here on a row is known by its number among those that weigh anything.
        rows = ArrayDataset(kept.X, np.arange(len(kept)), kept.weight)
        self.dtype = torch.float64 if X.dtype == np.float64 else torch.float32
        metric = METRICS.get(estimator.metric, estimator.metric)
        penalty = embedding_penalty(estimator.penalty, metric, estimator.n_neighbors)
        decoder_penalty = self._decoder_penalty()
        labels = _labels(penalty, None if y is None else y[kept.y], len(rows))
        calibrate(penalty, ArrayDataset(rows.X, labels, rows.weight), self.rng)
        if decoder_penalty is not None:
            calibrate(decoder_penalty, ArrayDataset(rows.X, labels, rows.weight), self.rng)
        given = given_distances(estimator, distances, kept.y)
        targets = Targets(rows.X, metric, given, find_paths(penalty))
        module, mean_square = self._module(rows, targets.spread(self.rng))
        objective = EmbeddingObjective(
            penalty,
            decoder_penalty,
            float(estimator.alpha),
            mean_square,
            torch.from_numpy(labels),
            given,
        )
        train, valid = self._split(rows)
        estimator.net_ = build_net(module, objective, settings_of(estimator), self.shuffling, valid)
        estimator.penalty_, estimator.decoder_penalty_ = penalty, decoder_penalty
        try:
            run_net(estimator, train, self.randomness)
        finally:
            # Also after an interrupt: what was fitted so far is a usable estimator.
            self._set_results(rows, targets, mean_square)
            objective.release()

    def _decoder_penalty(self) -> Penalty | None:
        penalty = self.estimator.decoder_penalty
        if penalty == "jacobian":
            return JacobianIsometry(layers="logits")
        return None if penalty is None else clone(penalty)

    def _split(self, rows: ArrayDataset) -> tuple[ArrayDataset, ArrayDataset | None]:
        if not self.estimator.early_stopping:
            return rows, None
        train, valid = train_test_split(
            np.arange(len(rows)),
            test_size=self.estimator.validation_fraction,
            random_state=self.rng,
        )
        return rows.subset(train), rows.subset(valid)

    def _module(self, rows: ArrayDataset, spread: float | None) -> tuple[Autoencoder, float]:
        """Return encoder and decoder at their start, and the mean square of the rows."""
        shift, factor = input_similarity(rows.X, rows.weight)
        n_components = self.estimator.n_components
        axes = principal_axes(rows.X, rows.weight, shift, n_components, self.rng)
        matrix, mean = torch.from_numpy(axes), torch.from_numpy(shift)
        # The size that the embedding is to have: a map whose output is of size 8 before
        # this factor learns at the usual rates, whatever the units.
        unit = (spread or INPUT_LENGTH / factor) / INPUT_LENGTH
        encoder = ResidualMLP(
            self._mlp(len(shift), n_components), matrix, shift=mean, factor=factor, unit=unit
        )
        decoder = ResidualMLP(
            self._mlp(n_components, len(shift), reverse=True),
            matrix.mT,
            factor=1 / unit,
            unit=1 / factor,
            center=mean,
        )
        return Autoencoder(encoder, decoder), float((INPUT_LENGTH / factor) ** 2)

    def _mlp(self, n_features: int, n_outputs: int, reverse: bool = False) -> MLP:
        estimator = self.estimator
        widths = layer_widths(estimator.hidden_layer_sizes)
        return MLP(
            n_features,
            n_outputs,
            hidden_layer_sizes=widths[::-1] if reverse else widths,
            activation=estimator.activation,
            generator=self.weights,
            dtype=self.dtype,
        )

    def _set_results(self, rows: ArrayDataset, targets: Targets, mean_square: float) -> None:
        estimator = self.estimator
        estimator.history_ = history_columns(estimator.net_, "reconstruction_error")
        estimator.loss_curve_ = list(estimator.history_.get("loss", []))
        estimator.n_iter_ = len(estimator.loss_curve_)
        module = estimator.net_.module_
        measured = targets.sample(self.rng)
        Z = inference.representation(module, rows.X[measured], "logits")
        estimator.stress_ = targets.stress(Z, measured)
        squares = inference.squared_errors(module, rows.X)
        error = float(rows.weight.astype(np.float64) @ squares / rows.weight.sum(dtype=float))
        estimator.reconstruction_error_ = error / mean_square


def _labels(penalty: Penalty, y: NDArray | None, n_samples: int) -> NDArray:
    """Return the class of each row; all 0 where there are none and none are needed."""
    needed = any(term.needs_labels for _, _, term in penalty.terms())
    if y is None and needed:
        raise ValueError(
            "A within-class penalty needs labels; got y=None. Pass fit(X, y), or choose "
            "penalty='global'."
        )
    if y is None or not (needed or type_of_target(y) in ("binary", "multiclass")):
        return np.zeros(n_samples, dtype=np.int64)
    return encode_labels(y)[1]
