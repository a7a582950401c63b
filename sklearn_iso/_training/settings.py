"""How a net is trained: the parameters that estimators share, and what skorch is told of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from skorch.callbacks import Callback
from torch import Tensor

from sklearn_iso._training.data import make_iterator
from sklearn_iso.modules._optimizers import uncompiled

#: torch optimisers by name; the fused kernels save a third of a small network's time.
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": partial(uncompiled(torch.optim.Adam), fused=True),
    "adamw": partial(uncompiled(torch.optim.AdamW), fused=True),
    "sgd": partial(uncompiled(torch.optim.SGD), momentum=0.9, nesterov=True, fused=True),
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
    samples_per_class: int | None = None
    n_iter_no_change: int = 10
    tol: float = 1e-4
    callbacks: Sequence[Callback] = field(default_factory=tuple)
    device: str | torch.device = "cpu"
    verbose: bool = False


def net_arguments(settings: TrainingSettings) -> dict[str, Any]:
    """Return the arguments of a skorch net that settings decide, callbacks apart."""
    optimizer = settings.optimizer
    decay = {"optimizer__weight_decay": settings.weight_decay} if settings.weight_decay else {}
    return {
        "optimizer": OPTIMIZERS[optimizer] if isinstance(optimizer, str) else optimizer,
        "lr": settings.learning_rate,
        "max_epochs": settings.max_epochs,
        "batch_size": settings.batch_size,
        "iterator_train": make_iterator,
        "iterator_train__generator": None,
        "iterator_train__samples_per_class": settings.samples_per_class,
        "iterator_valid": make_iterator,
        "predict_nonlinearity": softmax,
        "verbose": 0,
        "device": resolve_device(settings.device),
        **decay,
    }


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
    try:
        torch.empty(0, device=resolved)
    except (AssertionError, NotImplementedError, RuntimeError) as error:
        raise ValueError(
            f"device={device!r} is not to be had here: {str(error).splitlines()[0]}. Use "
            "device='cpu' or device='auto'."
        ) from error
    return resolved


def softmax(logits: Tensor) -> Tensor:
    """Return the probabilities of logits."""
    return torch.softmax(logits, -1)
