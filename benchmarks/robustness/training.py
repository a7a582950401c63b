"""Training by hand and by the package, and the CPU seconds of both."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from robustness.peers import Loss
from sklearn_iso import IsometricClassifier
from sklearn_iso._training import input_similarity
from sklearn_iso.modules import MLP


@dataclass(frozen=True)
class Architecture:
    """A network, and the optimiser settings that every method trains it with.

    Attributes
    ----------
    name : str
    module : callable or None
        Builds it from ``n_features`` and ``n_outputs``; None is the package's MLP.
    learning_rate, batch_size : float, int
        Of Adam; the rate falls linearly to 0, epoch by epoch.
    epochs : int
        Of the package's penalties; peers get as many as fill the same time.
    """

    name: str
    module: Callable[..., nn.Module] | None
    learning_rate: float
    batch_size: int
    epochs: int


@dataclass(frozen=True)
class Trained:
    model: nn.Module
    epochs: int
    seconds: float


def fit_ours(
    architecture: Architecture, X: np.ndarray, y: np.ndarray, seed: int, **params: Any
) -> Trained:
    settings: dict[str, Any] = {
        "module": architecture.module, "learning_rate": architecture.learning_rate,
        "batch_size": architecture.batch_size, "max_epochs": architecture.epochs,
    }  # fmt: skip
    return timed_fit(IsometricClassifier(**settings | params, random_state=seed), X, y)


def timed_fit(classifier: IsometricClassifier, X: np.ndarray, y: np.ndarray) -> Trained:
    start = time.process_time()
    classifier.fit(X, y)
    spent = time.process_time() - start
    return Trained(classifier.net_.module_.eval(), classifier.n_iter_, spent)


def build(architecture: Architecture, X: np.ndarray, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    if architecture.module is not None:
        return architecture.module(n_features=X.shape[1], n_outputs=10)
    mlp = MLP(X.shape[1], 10)
    shift, factor = input_similarity(X, np.ones(len(X), dtype=X.dtype))
    mlp.set_input_similarity(torch.from_numpy(shift), factor)
    return mlp


def fit_by_hand(
    architecture: Architecture,
    model: nn.Module,
    loss_at: Callable[[float], Loss],
    X: Tensor,
    y: Tensor,
    epochs: int,
    *,
    seed: int,
    weight_decay: float = 0.0,
) -> Trained:
    """Train by Adam on a loss that may change with the share of the training done."""
    torch.manual_seed(seed)
    torch.set_flush_denormal(True)  # as the package does
    start = time.process_time()
    optimizer = torch.optim.Adam(
        model.parameters(), architecture.learning_rate, weight_decay=weight_decay, fused=True
    )
    for epoch in range(epochs):
        optimizer.param_groups[0]["lr"] = architecture.learning_rate * (1 - epoch / epochs)
        batches = torch.randperm(len(X)).split(architecture.batch_size)
        for number, rows in enumerate(batches):
            loss = loss_at((epoch + number / len(batches)) / epochs)
            optimizer.zero_grad()
            loss(model, X[rows], y[rows]).backward()
            optimizer.step()
    spent = time.process_time() - start
    torch.set_flush_denormal(False)
    return Trained(model.eval(), epochs, spent)
