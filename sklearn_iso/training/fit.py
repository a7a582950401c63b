"""From settings and data to a trained skorch net."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from skorch.callbacks import Callback, EarlyStopping, LRScheduler
from skorch.helper import predefined_split
from skorch.utils import noop
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from sklearn_iso.training.callbacks import ProgressBar
from sklearn_iso.training.data import ArrayDataset, make_iterator
from sklearn_iso.training.net import PenalizedNet, softmax

#: torch optimisers by name; the fused kernels save a third of a small network's time.
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": partial(torch.optim.Adam, fused=True),
    "adamw": partial(torch.optim.AdamW, fused=True),
    "sgd": partial(torch.optim.SGD, momentum=0.9, nesterov=True, fused=True),
}


def _linear(epoch: int, max_epochs: int) -> float:
    return 1 - epoch / max_epochs


def _cosine(epoch: int, max_epochs: int) -> float:
    return (1 + math.cos(math.pi * epoch / max_epochs)) / 2


#: Factor on the learning rate as a function of the epoch and their number.
SCHEDULES: dict[str, Callable[..., float] | None] = {
    "constant": None,
    "linear": _linear,
    "cosine": _cosine,
}


@dataclass(frozen=True)
class TrainingSettings:
    """How a net is trained; the fields are the estimators' parameters of that name."""

    optimizer: str | Callable[..., torch.optim.Optimizer] = "adam"
    learning_rate: float = 2e-3
    learning_rate_schedule: str = "linear"
    weight_decay: float = 0.0
    max_epochs: int = 100
    batch_size: int = 256
    shuffle: bool = True
    rows_per_class: int | None = None
    n_iter_no_change: int = 10
    tol: float = 1e-4
    callbacks: Sequence[Any] = field(default_factory=tuple)
    device: str | torch.device = "cpu"
    verbose: bool = False


def build_net(
    module: nn.Module,
    objective: nn.Module,
    settings: TrainingSettings,
    shuffling: torch.Generator,
    valid: ArrayDataset | None = None,
    net_class: type[PenalizedNet] = PenalizedNet,
) -> PenalizedNet:
    """Return an initialised net; with validation data it stops early.

    Parameters
    ----------
    module : nn.Module
        Trained in place.
    objective : Objective or EmbeddingObjective
    settings : TrainingSettings
    shuffling : torch.Generator
        Orders the rows of every epoch.
    valid : ArrayDataset, optional
    net_class : type, default=PenalizedNet
        What takes the steps.

    Returns
    -------
    net : PenalizedNet
    """
    optimizer = settings.optimizer
    net = net_class(
        module,
        criterion=objective,
        optimizer=OPTIMIZERS[optimizer] if isinstance(optimizer, str) else optimizer,
        lr=settings.learning_rate,
        max_epochs=settings.max_epochs,
        batch_size=settings.batch_size,
        iterator_train=make_iterator,
        iterator_train__generator=shuffling if settings.shuffle else None,
        iterator_train__rows_per_class=settings.rows_per_class,
        iterator_valid=make_iterator,
        train_split=None if valid is None else predefined_split(valid),
        callbacks=[*_own_callbacks(settings, valid is not None), *settings.callbacks],
        predict_nonlinearity=softmax,
        verbose=0,
        device=resolve_device(settings.device),
        **({"optimizer__weight_decay": settings.weight_decay} if settings.weight_decay else {}),
    )
    return net.initialize()


def resume_net(net: PenalizedNet, settings: TrainingSettings, shuffling: torch.Generator) -> None:
    """Ready a trained net for more epochs; its weights, optimiser and history go on.

    Parameters
    ----------
    net : PenalizedNet
        Changed in place.
    settings : TrainingSettings
        Its learning rate, order of rows and callbacks hold from here on.
    shuffling : torch.Generator
        Orders the rows of every epoch.
    """
    for group in net.optimizer_.param_groups:
        group["lr"] = settings.learning_rate
    net.iterator_train__generator = shuffling if settings.shuffle else None
    net.callbacks = [*_own_callbacks(settings, False), *settings.callbacks]
    net.initialize_callbacks()


def release_data(net: PenalizedNet) -> None:
    """Let go of what only training needs, so that a fitted net holds no data."""
    net.train_split = None
    net.iterator_train__generator = None


def _own_callbacks(settings: TrainingSettings, validates: bool) -> list[tuple[str, Callback]]:
    callbacks: list[tuple[str, Callback]] = []
    schedule = SCHEDULES[settings.learning_rate_schedule]
    if schedule is not None:
        factor = partial(schedule, max_epochs=settings.max_epochs)
        callbacks.append(
            ("learning_rate", LRScheduler(LambdaLR, event_name=None, lr_lambda=factor))
        )
    if validates:
        stop = EarlyStopping(
            patience=settings.n_iter_no_change, threshold=settings.tol, sink=noop, load_best=True
        )
        callbacks.append(("early_stopping", stop))
    if settings.verbose:
        callbacks.append(("progress_bar", ProgressBar()))
    return callbacks


def resolve_device(device: str | torch.device) -> torch.device:
    """Return the torch device, checked to be there; "auto" takes a GPU if there is one."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise ValueError(
            f"device must be 'auto' or a device that torch knows; got {device!r}. "
            "Use 'cpu', 'cuda' or 'cuda:0'."
        ) from error
    if resolved.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device={device!r} needs a CUDA build of torch and a visible GPU; found none. "
            "Use device='cpu' or device='auto'."
        )
    return resolved
