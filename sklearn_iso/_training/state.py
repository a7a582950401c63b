"""A trained net as arrays and plain data, and back: what pickle, joblib and skops store."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from torch import Tensor, nn

from sklearn_iso._training.acceleration import as_written
from sklearn_iso._training.settings import OPTIMIZERS, TrainingSettings, net_arguments
from sklearn_iso.modules._ambient import own_modes
from sklearn_iso.modules._architecture import describe, rebuild
from sklearn_iso.modules._stored import StoredModule

#: What is saved of a net or of a run, by name: plain data and arrays.
State = dict[str, Any]


def net_state(net: NeuralNet) -> State:
    """Return all that a trained net needs to predict and to go on.

    Callbacks stay behind, and the values that the history recorded for every batch. A module
    that is not of this package comes as it is, on the CPU.
    """
    module = net.module_
    architecture = describe(module)
    state: State = {
        "settings": net_settings(net),
        "criterion": net.criterion_,
        "history": _columns(net.history),
        "frozen": [name for name, p in module.named_parameters() if not p.requires_grad],
    }
    if (moments := _optimizer_arrays(net)) is not None:
        state["optimizer_state"] = moments
    if architecture is None:
        module = as_written(module)  # a callback may ask while it trains
        on_cpu = str(net.device) == "cpu"
        module = module if on_cpu else copy.deepcopy(module).cpu()
        return state | {"trained_module": StoredModule(module)}
    return state | {"architecture": architecture, "weights": to_arrays(module.state_dict())}


@own_modes()
def restore_net(net: NeuralNet, state: State) -> None:
    """Initialise a net from its state; without a GPU that it was trained on, on the CPU."""
    settings = dict(state["settings"])
    if str(settings["device"]).startswith("cuda") and not torch.cuda.is_available():
        settings["device"] = "cpu"
    if "architecture" in state:
        module = rebuild(state["architecture"], state["weights"])
    else:
        module = state["trained_module"]  # a file brings the network of the user itself
        module = module.module if isinstance(module, StoredModule) else module
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name not in state["frozen"])
    arguments = net_arguments(TrainingSettings(**settings))
    type(net).__init__(
        net, module, criterion=state["criterion"], train_split=None, callbacks=[], **arguments
    )
    net.await_optimizer(state.get("optimizer_state"))
    net.initialize()
    module.eval()
    net.history.extend(_rows(state["history"]))


def _optimizer_arrays(net: NeuralNet) -> State | None:
    """Return what the optimiser knows; None where a net came without and has not learned since."""
    if net.awaits_optimizer:
        return net.awaited_state
    return to_arrays(net.optimizer_.state_dict())


def to_arrays(value: object) -> Any:
    """Return nested dicts and lists with arrays for tensors."""
    if isinstance(value, Tensor):
        return value.numpy(force=True)
    if isinstance(value, dict):
        return {key: to_arrays(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(to_arrays(inner) for inner in value)
    return value


def to_tensors(value: object) -> Any:
    """Return nested dicts and lists with tensors, copied, for arrays."""
    if isinstance(value, np.ndarray | np.generic):
        return torch.tensor(value)
    if isinstance(value, dict):
        return {key: to_tensors(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(to_tensors(inner) for inner in value)
    return value


def own_attributes(module: nn.Module) -> dict[str, object]:
    """Return the attributes of an objective beyond those of every module, as plain data."""
    usual = vars(nn.Module())
    return {name: to_arrays(v) for name, v in vars(module).items() if name not in usual}


def net_settings(net: NeuralNet) -> State:
    """Return what the net was built with, which its estimator's parameters may no longer be."""
    names = [name for name, known in OPTIMIZERS.items() if known is net.optimizer]
    return {
        "optimizer": names[0] if names else net.optimizer,
        "learning_rate": net.lr,
        "weight_decay": vars(net).get("optimizer__weight_decay", 0.0),
        "max_epochs": net.max_epochs,
        "batch_size": net.batch_size,
        "samples_per_class": net.iterator_train__samples_per_class,
        "device": str(net.device),
    }


def _columns(history: Iterable[Mapping[str, object]]) -> dict[str, list[object]]:
    """Return the values of each epoch by name, None where an epoch has none."""
    names = dict.fromkeys(key for row in history for key in row if key != "batches")
    return {name: [row.get(name) for row in history] for name in names}


def _rows(columns: dict[str, list[object]]) -> list[dict[str, object]]:
    rows = [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]
    return [{"batches": []} | {k: v for k, v in row.items() if v is not None} for row in rows]
