"""From settings and data to a trained skorch net."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from functools import partial

import torch
from skorch.callbacks import Callback, LRScheduler
from skorch.helper import predefined_split
from skorch.utils import noop
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from sklearn_iso._training.callbacks import PatientStopping, ProgressBar, StopWhenDone
from sklearn_iso._training.data import ArrayDataset
from sklearn_iso._training.net import PenalizedNet
from sklearn_iso._training.robust_stopping import RobustEarlyStopping
from sklearn_iso._training.settings import SCHEDULES, TrainingSettings, net_arguments


def build_net(
    module: nn.Module,
    objective: nn.Module,
    settings: TrainingSettings,
    shuffling: torch.Generator,
    *,
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
        Orders the samples of every epoch.
    valid : ArrayDataset, optional
    net_class : type, default=PenalizedNet
        What takes the steps.

    Returns
    -------
    net : PenalizedNet
    """
    check_callbacks(settings.callbacks)
    check_monitors(settings.callbacks, validates=valid is not None)
    net = net_class(
        module,
        criterion=objective,
        train_split=None if valid is None else predefined_split(valid),
        callbacks=_callbacks(settings, valid is not None),
        **net_arguments(settings),
    )
    net.iterator_train__generator = shuffling if settings.shuffle else None
    return net.initialize()


def resume_net(net: PenalizedNet, settings: TrainingSettings, shuffling: torch.Generator) -> None:
    """Ready a trained net for more epochs; its weights, optimiser and history go on.

    Parameters
    ----------
    net : PenalizedNet
        Changed in place.
    settings : TrainingSettings
        Its learning rate, order of samples and callbacks hold from here on.
    shuffling : torch.Generator
        Orders the samples of every epoch.
    """
    check_monitors(settings.callbacks, validates=False)
    for group in net.optimizer_.param_groups:
        group["lr"] = settings.learning_rate
    net.iterator_train__generator = shuffling if settings.shuffle else None
    net.callbacks = _callbacks(settings, False)
    net.initialize_callbacks()


def release_data(net: PenalizedNet) -> None:
    """Let go of what only training needs, so that a fitted net holds no data."""
    net.train_split = None
    net.iterator_train__generator = None


def _callbacks(settings: TrainingSettings, validates: bool) -> list[Callback]:
    # Before all others of the user: a checkpoint keeps what it has found in the epoch.
    first = sorted(settings.callbacks, key=lambda callback: not _watches_robustness(callback))
    return [*_own_callbacks(settings, validates), *first, ("stop", StopWhenDone())]


def _watches_robustness(callback: Callback | tuple[str, Callback]) -> bool:
    found = callback[1] if isinstance(callback, tuple) else callback
    return isinstance(found, RobustEarlyStopping)


def _own_callbacks(settings: TrainingSettings, validates: bool) -> list[tuple[str, Callback]]:
    callbacks: list[tuple[str, Callback]] = []
    schedule = SCHEDULES[settings.learning_rate_schedule]
    if schedule is not None:
        factor = partial(schedule, max_epochs=settings.max_epochs)
        callbacks.append(
            ("learning_rate", LRScheduler(LambdaLR, event_name=None, lr_lambda=factor))
        )
    if validates and not any(map(_watches_robustness, settings.callbacks)):
        stop = PatientStopping(
            patience=settings.n_iter_no_change, threshold=settings.tol, sink=noop, load_best=True
        )
        callbacks.append(("early_stopping", stop))
    if settings.verbose:
        callbacks.append(("progress_bar", ProgressBar()))
    return callbacks


def check_callbacks(callbacks: Sequence[Callback | tuple[str, Callback]]) -> None:
    """Raise a ValueError unless every callback is one of skorch, with or without a name."""
    for callback in callbacks:
        named = isinstance(callback, tuple) and len(callback) == 2
        found = callback[1] if named else callback
        kind = found if isinstance(found, type) else type(found)
        if not issubclass(kind, Callback):
            raise ValueError(
                f"callbacks must be skorch callbacks, or pairs of a name and a callback; got "
                f"{callback!r}. Pass for example callbacks=[skorch.callbacks.EpochTimer()]; "
                "scikit-learn's callbacks go to set_callbacks(...)."
            )


def check_monitors(callbacks: Sequence[Callback], *, validates: bool) -> None:
    """Raise a ValueError if a callback watches validation data that there are none of."""
    if validates:
        return
    for callback in callbacks:
        found = callback[1] if isinstance(callback, tuple) else callback
        monitor = _monitor(found)
        if monitor in ("valid_loss", "valid_loss_best"):
            kind = found if isinstance(found, type) else type(found)
            raise ValueError(
                f"{kind.__name__} watches {monitor!r}, which takes samples that are held out, and "
                "this fit holds out none. Set early_stopping=True, which holds out the share "
                "validation_fraction of the samples (partial_fit never does), or let it watch "
                "monitor='train_loss'."
            )


def _monitor(callback: Callback) -> str | None:
    """Return the name of the column that a callback, or its class, watches."""
    if not isinstance(callback, type):
        return getattr(callback, "monitor", None)
    known = inspect.signature(callback).parameters
    return known["monitor"].default if "monitor" in known else None
