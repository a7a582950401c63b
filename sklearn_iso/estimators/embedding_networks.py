"""The encoder and the decoder of an embedding, before training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sklearn_iso.estimators.learner import layer_widths
from sklearn_iso.modules import MLP, Autoencoder, ResidualMLP
from sklearn_iso.training import ArrayDataset, input_similarity, principal_axes
from sklearn_iso.training.calibration import INPUT_LENGTH


@dataclass(frozen=True)
class EmbeddingNetworks:
    """Builds what one fit trains.

    Attributes
    ----------
    estimator : IsometricTransformer
        Its parameters are read.
    weights : torch.Generator
        Draws the weights.
    dtype : torch.dtype
        Of the weights.
    """

    estimator: Any
    weights: torch.Generator
    dtype: torch.dtype

    def at_start(
        self, rows: ArrayDataset, spread: float | None, rng: np.random.RandomState
    ) -> tuple[Autoencoder, float]:
        """Return encoder and decoder at principal components, and the mean square of the rows.

        The embedding is to have the size `spread`; None means that of the rows.
        """
        shift, factor = input_similarity(rows.X, rows.weight)
        n_components = int(self.estimator.n_components)
        axes = principal_axes(rows.X, rows.weight, shift, n_components, rng)
        matrix, mean = torch.from_numpy(axes), torch.from_numpy(shift)
        # A map whose output is of size 8 before this factor learns at the usual rates, whatever
        # the units.
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
        widths = layer_widths(self.estimator.hidden_layer_sizes)
        return MLP(
            n_features,
            n_outputs,
            hidden_layer_sizes=widths[::-1] if reverse else widths,
            activation=self.estimator.activation,
            generator=self.weights,
            dtype=self.dtype,
        )
