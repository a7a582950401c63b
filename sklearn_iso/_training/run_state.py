"""A training run between two epochs, as tensors and plain data: enough to go on bit by bit."""

from __future__ import annotations

import hashlib
import re

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import gen_batches
from skorch import NeuralNet
from skorch.callbacks import Callback, EarlyStopping, LRScheduler

from sklearn_iso._training.callbacks import all_finite
from sklearn_iso._training.data import ArrayDataset
from sklearn_iso._training.robust_stopping import RobustEarlyStopping
from sklearn_iso._training.state import State, net_settings, to_arrays, to_tensors

#: Samples that are read at once, of data that may be a memory map.
_ROWS = 4096
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_STOPPING = ("misses_", "dynamic_threshold_", "best_epoch_", "best_model_weights_")


def run_fingerprint(net: NeuralNet, train: ArrayDataset) -> str:
    """Return what tells one run from another before its first step.

    Two runs of one fingerprint have the same samples, first weights, random draws and settings,
    and so the same results.
    """
    digest = hashlib.blake2b(digest_size=32)
    criterion = {k: v for k, v in vars(net.criterion_).items() if not k.startswith("_")}
    callbacks = [(type(cb).__name__, vars(cb)) for _, cb in net.callbacks_ if _is_stateful(cb)]
    run = (net.epochs_to_run, net._acceleration)
    settings = repr([net_settings(net), *run, criterion, callbacks])
    digest.update(_ADDRESS.sub("", settings).encode())
    for name, value in net.module_.state_dict().items():
        digest.update(name.encode())
        digest.update(_bytes(value.numpy(force=True)))
    for state in _generator_states(net).values():
        digest.update(b"-" if state is None else _bytes(state.numpy()))
    for array in (train.X, train.y, train.weight):
        digest.update(repr((array.shape, array.dtype)).encode())
        for rows in gen_batches(len(array), _ROWS):
            digest.update(_bytes(array[rows]))
    return digest.hexdigest()


def run_state(net: NeuralNet) -> State | None:
    """Return all that the next epoch depends on: arrays, numbers and text in dicts and lists.

    None where weights are not finite, from which nobody wants to go on.
    """
    if not all_finite(net.module_):
        return None
    state = {
        "history": [dict(row) for row in net.history],
        "weights": net.module_.state_dict(),
        "optimizer": net.optimizer_.state_dict(),
        "generators": _generator_states(net),
        "callbacks": [_callback_state(cb) for _, cb in net.callbacks_ if _is_stateful(cb)],
    }
    arrays: State = to_arrays(state)
    return arrays


def restore_run(net: NeuralNet, state: State) -> None:
    """Bring a net that is about to train to where another one of its fingerprint was.

    Parameters
    ----------
    net : PenalizedNet
        Changed in place; its callbacks have begun to train.
    state : dict
        What :func:`run_state` returned.
    """
    state = to_tensors(state)
    net.history.clear()
    net.history.extend(state["history"])
    net.module_.load_state_dict(state["weights"])
    net.optimizer_.load_state_dict(state["optimizer"])
    saved, randomness = state["generators"], net._randomness
    if net.iterator_train__generator is not None:
        net.iterator_train__generator.set_state(saved["order"])
    randomness.penalty.set_state(saved["penalty"])
    if randomness.module is not None:
        randomness.module.set_state(saved["module"])
    stateful = [cb for _, cb in net.callbacks_ if _is_stateful(cb)]
    for callback, values in zip(stateful, state["callbacks"], strict=True):
        _restore_callback(callback, values)


def _bytes(array: NDArray) -> memoryview:
    return np.ascontiguousarray(array).data


def _generator_states(net: NeuralNet) -> State:
    order, randomness = net.iterator_train__generator, net._randomness
    return {
        "order": None if order is None else order.get_state(),
        "penalty": randomness.penalty.get_state(),
        "module": None if randomness.module is None else randomness.module.get_state(),
    }


def _is_stateful(callback: Callback) -> bool:
    return isinstance(callback, EarlyStopping | RobustEarlyStopping | LRScheduler)


def _callback_state(callback: Callback) -> State:
    if isinstance(callback, EarlyStopping | RobustEarlyStopping):
        names = getattr(callback, "state_names", _STOPPING)
        return {name: getattr(callback, name) for name in names}
    scheduler = dict(callback.lr_scheduler_.state_dict())
    scheduler.pop("lr_lambdas", None)  # functions, which the new scheduler has itself
    return {"batch_idx_": callback.batch_idx_, "scheduler": scheduler}


def _restore_callback(callback: Callback, values: State) -> None:
    values = dict(values)
    scheduler = values.pop("scheduler", None)
    vars(callback).update(values)
    if scheduler is not None:
        callback.lr_scheduler_.load_state_dict(callback.lr_scheduler_.state_dict() | scheduler)
