"""The encoder and the decoder of an embedding, before training."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sklearn_iso._training import ArrayDataset, PrivateStream, input_similarity, principal_axes
from sklearn_iso._training.calibration import INPUT_LENGTH
from sklearn_iso.estimators._roles import Embedding
from sklearn_iso.modules import MLP, Autoencoder, OrthogonalMLP, ResidualMLP
from sklearn_iso.modules._build import build_module, has_own_sizes
from sklearn_iso.modules._representations import first_output
from sklearn_iso.modules._widths import layer_widths


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
    stream : PrivateStream, optional
        What the user's own networks draw from torch's default generator.
    """

    estimator: Embedding
    weights: torch.Generator
    dtype: torch.dtype
    stream: PrivateStream | None = None

    def at_start(
        self, rows: ArrayDataset, spread: float | None, rng: np.random.RandomState
    ) -> tuple[Autoencoder, float]:
        """Return encoder and decoder at principal components, and the mean square of the samples.

        The embedding is to have the size `spread`; None means that of the samples.
        """
        shift, factor = input_similarity(rows.X, rows.weight)
        own = self._own(len(shift))
        if self.estimator.encoder == "orthogonal":
            own["encoder"] = self._orthogonal(shift)
        if len(own) < 2:
            size = spread or INPUT_LENGTH / factor
            own = self._built_in(rows, shift, factor, size / INPUT_LENGTH, rng) | own
        module = Autoencoder(**own)
        with self._drawing():  # lazy layers get their weights
            self._check(module, rows.X)
        return module, float((INPUT_LENGTH / factor) ** 2)

    def _drawing(self) -> AbstractContextManager[None]:
        """Return the context in which the user's own networks may draw."""
        return self.stream.active() if self.stream else nullcontext()

    def _own(self, n_features: int) -> dict[str, nn.Module]:
        """Return the networks of the user, by the parameter that they came as."""
        n_components = int(self.estimator.n_components)
        sizes = {"encoder": (n_features, n_components), "decoder": (n_components, n_features)}
        own = {}
        with self._drawing():
            for name, (n_in, n_out) in sizes.items():
                given = getattr(self.estimator, name)
                if has_own_sizes(given):
                    own[name] = build_module(given, n_in, n_out, name).to(self.dtype)
        return own

    def _orthogonal(self, shift: NDArray) -> OrthogonalMLP:
        """Return an encoder that is isometric by construction, in the units of X."""
        encoder = OrthogonalMLP(
            len(shift),
            int(self.estimator.n_components),
            hidden_layer_sizes=layer_widths(self.estimator.hidden_layer_sizes),
            output="orthogonal",
            generator=self.weights,
            dtype=self.dtype,
        )
        encoder.set_input_similarity(torch.from_numpy(shift), 1.0)
        return encoder

    def _built_in(
        self,
        rows: ArrayDataset,
        shift: NDArray,
        factor: float,
        unit: float,
        rng: np.random.RandomState,
    ) -> dict[str, nn.Module]:
        """Return networks that start at principal components.

        A map whose output is of size 8 before the factor `unit` learns at the usual rates,
        whatever the units.
        """
        n_components = int(self.estimator.n_components)
        axes = principal_axes(rows.X, rows.weight, shift, n_components, rng)
        matrix, mean = torch.from_numpy(axes), torch.from_numpy(shift)
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
        return {"encoder": encoder, "decoder": decoder}

    def _check(self, module: Autoencoder, X: NDArray) -> None:
        """Raise a ValueError if the networks do not go from X to n_components and back."""
        n_components, rows = int(self.estimator.n_components), torch.tensor(X[:2])
        what = f"n_components={n_components} values"
        Z = _checked("encoder", module.encoder, rows, n_components, what)
        what = f"the {X.shape[1]} features of X"
        _checked("decoder", module.decoder, Z, X.shape[1], what)
        if not any(weights.requires_grad for weights in module.parameters()):
            raise ValueError(
                "A fit trains encoder or decoder; all weights of both are frozen. Let one of them "
                "learn: requires_grad_(True)."
            )

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


def _checked(role: str, network: nn.Module, rows: Tensor, n_outputs: int, what: str) -> Tensor:
    """Return the output of a network, checked to have a width and weights to train."""
    if next(network.parameters(), None) is None:
        raise ValueError(
            f"{role} must have weights; got a {type(network).__name__} without any. Add a layer "
            "that has."
        )
    output = _output(role, network, rows)
    if tuple(output.shape) != (len(rows), n_outputs):
        raise ValueError(
            f"{role} must return {what}, shape ({len(rows)}, {n_outputs}) for {len(rows)} samples; "
            f"got {tuple(output.shape)}. Set the width of its last layer to {n_outputs}."
        )
    return output


def _output(role: str, network: nn.Module, rows: Tensor) -> Tensor:
    """Return what a network makes of some samples, in evaluation mode."""
    try:
        with torch.no_grad():
            return first_output(network.eval()(rows))
    except RuntimeError as error:
        raise ValueError(
            f"{role} must take samples of {rows.shape[1]} values; given shape {tuple(rows.shape)} "
            f"it raises: {error}. Set the width of its first layer to {rows.shape[1]}."
        ) from error
