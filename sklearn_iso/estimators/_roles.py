"""What fits ask of estimators, as protocols: no base class has all of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import nn

from sklearn_iso._geometry import Metric
from sklearn_iso._protocols import Parametrized
from sklearn_iso._training import PenalizedNet
from sklearn_iso.hierarchy import LabelTree
from sklearn_iso.modules import Layers
from sklearn_iso.penalties import Penalty


class Stopping(Protocol):
    """An estimator that may hold samples out, to stop early."""

    early_stopping: bool
    validation_fraction: float


class Seeded(Protocol):
    """An estimator whose draws a parameter decides."""

    @property
    def random_state(self) -> int | np.random.RandomState | None:
        """Return what decides draws."""


class Weighing(Protocol):
    """A classifier, which weighs its classes."""

    classes_: NDArray

    @property
    def class_weight(self) -> dict[Any, float] | str | None:
        """Return the weight of each class."""


class Embedding(Parametrized, Protocol):
    """Parameters of an embedding, and what a fit has found out."""

    alpha: float
    net_: PenalizedNet
    penalty_: Penalty
    _n_features_out: int

    @property
    def penalty(self) -> str | Penalty:
        """Return what is asked of distances."""

    @property
    def decoder_penalty(self) -> str | Penalty | None:
        """Return what is asked of the way back."""

    @property
    def metric(self) -> str | Metric:
        """Return the metric of the distances to keep."""

    @property
    def hidden_layer_sizes(self) -> Sequence[int]:
        """Return the widths of the built-in networks."""

    @property
    def activation(self) -> str:
        """Return the activation of the built-in networks."""

    @property
    def encoder(self) -> str | nn.Module | Callable[..., nn.Module] | None:
        """Return the user's own way there."""

    @property
    def decoder(self) -> nn.Module | Callable[..., nn.Module] | None:
        """Return the user's own way back."""

    @property
    def random_state(self) -> int | np.random.RandomState | None:
        """Return what decides draws."""

    n_components: int
    n_neighbors: int
    max_epochs: int
    early_stopping: bool
    validation_fraction: float


class Hierarchical(Parametrized, Stopping, Protocol):
    """Parameters of a classifier of several levels, and what a fit has found out."""

    alpha: float
    layers: Layers
    max_epochs: int
    n_features_in_: int
    net_: PenalizedNet
    tree_: LabelTree

    @property
    def penalty(self) -> str | Penalty:
        """Return what is asked of every block."""

    @property
    def block_sizes(self) -> Sequence[int | Sequence[int]] | None:
        """Return the widths of the blocks."""

    @property
    def target(self) -> str:
        """Return whose distances a block keeps."""

    @property
    def training(self) -> str:
        """Return whether the blocks train together or in turn."""

    @property
    def activation(self) -> str:
        """Return the activation of the blocks."""

    @property
    def random_state(self) -> int | np.random.RandomState | None:
        """Return what decides draws."""
