"""Parameters that all estimators share, and the one writer of what a fit finds out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from skorch.callbacks import Callback
from torch import device as torch_device

from sklearn_iso.estimators._base import StoredEstimator
from sklearn_iso.estimators._constraints import (
    Activation,
    Auto,
    Distributed,
    Optimizer,
    Schedule,
)
from sklearn_iso.estimators._result import FitResult
from sklearn_iso.penalties import Penalty


class Learning(Protocol):
    """What fits, and holds what it has found out."""

    @property
    def result(self) -> FitResult:
        """Return it as far as the fit has come."""


@dataclass(eq=False, repr=False, kw_only=True)
class NetworkEstimator(StoredEstimator):
    """Base of the estimators that train: a parameter that all have stands here, once.

    Parameters
    ----------
    alpha, penalty
        Strength of the penalty, and what it multiplies.
    activation
        Of the built-in network.
    optimizer, learning_rate, learning_rate_schedule, weight_decay, max_epochs, batch_size, shuffle
        How it trains.
    early_stopping, validation_fraction, n_iter_no_change, tol
        When it stops.
    callbacks, device, distributed, compile, mixed_precision, verbose, random_state
        By what means.
    warm_start
        Where it starts.
    """

    alpha: float | Auto = "auto"
    penalty: str | Penalty = "isometric"
    activation: Activation = "relu"
    optimizer: Optimizer = "adam"
    learning_rate: float | Auto = "auto"
    learning_rate_schedule: Schedule = "linear"
    weight_decay: float | Auto = "auto"
    max_epochs: int | Auto = "auto"
    batch_size: int | Auto = "auto"
    shuffle: bool = True
    early_stopping: bool = False
    validation_fraction: float = 0.1
    n_iter_no_change: int = 10
    tol: float = 1e-4
    callbacks: Sequence[Callback | tuple[str, Callback]] | None = None
    device: str | torch_device = "cpu"
    distributed: Distributed = "replicated"
    compile: bool | dict[str, Any] = False
    mixed_precision: bool = False
    verbose: bool = False
    warm_start: bool = False
    random_state: int | np.random.RandomState | None = None

    def _learn(self, learner: Learning, fit: Callable[..., None], *data: object) -> None:
        """Let a learner fit, and keep what it has found out, whatever ends the fit."""
        try:
            fit(*data)
        finally:
            self._store(learner.result)

    def _store(self, result: FitResult) -> None:
        """Take over what a fit has found out: the one place that sets fitted attributes."""
        for name, value in vars(result).items():
            setattr(self, name, value)
