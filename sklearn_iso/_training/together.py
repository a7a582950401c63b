"""One run of a net in several processes: its sums, its stops, and who speaks for all."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import reduce
from types import FrameType

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, PrintLog, TrainEndCheckpoint
from skorch.callbacks import Checkpoint as SkorchCheckpoint
from skorch.callbacks import ProgressBar as SkorchProgressBar
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from sklearn_iso._training.callbacks import ProgressBar
from sklearn_iso._training.distributed import Processes
from sklearn_iso._training.objective import Loss

#: What only one process does: draw, print and write files.
_OF_LEADER = (ProgressBar, PrintLog, SkorchCheckpoint, SkorchProgressBar, TrainEndCheckpoint)

#: What to do where they differ.
_ALIKE = "Build the same network with the same callbacks in all; those that only look may differ."


def add_up(processes: Processes, loss: Loss, weights: Sequence[nn.Parameter] = ()) -> Loss:
    """Return the loss of a batch that processes share, and make the gradients those of it.

    Parameters
    ----------
    processes : Processes
    loss : Loss
        What this process contributes.
    weights : sequence of Parameter
        Whose gradients are contributions too.

    Raises
    ------
    KeyboardInterrupt
        If any process has been interrupted.
    """
    known = [weight.grad is not None for weight in weights]
    numbers = [loss.total.item(), float(processes.interrupted), *loss.parts.values(), *known]
    dtype = reduce(torch.promote_types, (weight.dtype for weight in weights), loss.logits.dtype)
    own = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in weights]
    head = loss.logits.new_tensor(numbers, dtype=dtype)
    everything = processes.sum_(torch.cat([head, *(part.flatten().to(dtype) for part in own)]))
    total, interrupted, *rest = everything[: len(numbers)].tolist()
    if interrupted:
        raise KeyboardInterrupt
    parts = dict(zip(loss.parts, rest, strict=False))
    sums = everything[len(numbers) :].split([weight.numel() for weight in weights])
    for weight, known_by, values in zip(weights, rest[len(parts) :], sums, strict=True):
        # The optimiser leaves a weight without a gradient as it is.
        weight.grad = values.view_as(weight).to(weight.dtype) if known_by else None
    return replace(loss, total=loss.logits.new_tensor(total), parts=parts)


def average_statistics(processes: Processes, module: nn.Module) -> None:
    """Make the running statistics of batch normalisation the mean of those of all processes."""
    for part in module.modules():
        if isinstance(part, _BatchNorm):
            for buffer in part.buffers():
                if buffer.is_floating_point():
                    processes.sum_(buffer).div_(processes.size)


@contextmanager
def joint_run(net: NeuralNet, processes: Processes | None) -> Iterator[None]:
    """Let the run of a net within the block be that of all processes.

    They start with the weights of the leader and end with the same ones, bit by bit.

    Raises
    ------
    ValueError
        If networks differ in shape, or in the callbacks that act on the training.
    """
    if processes is None:
        yield
        return
    before = net.callbacks_
    processes.agree(_facts(net), _ALIKE)
    for values in net.module_.state_dict().values():
        processes.same_as_leader_(values)
    silent = Callback.on_batch_end
    # A callback may listen in one process alone: the outputs of all are gathered by all.
    net._heard = processes.any(
        any(type(callback).on_batch_end is not silent for _, callback in before)
    )
    if not processes.leads:
        net.callbacks_ = [pair for pair in before if not isinstance(pair[1], _OF_LEADER)]
    net._listeners.clear()
    net._processes = processes
    try:
        with _interrupted_together(processes):
            yield
        processes.any(False)  # an interrupt after the last step is one
        for values in net.module_.state_dict().values():
            processes.same_as_leader_(values)
    finally:
        del net._processes, net._heard
        net.callbacks_ = before
        net._listeners.clear()


def _facts(net: NeuralNet) -> dict[str, str]:
    """Return what processes must have in common, or their messages would not meet."""
    shapes = [f"{name} {[*values.shape]}" for name, values in net.module_.state_dict().items()]
    acting = [type(callback).__name__ for _, callback in net.callbacks_ if _acts(callback)]
    return {
        "shapes of weights": ", ".join(shapes),
        "callbacks of skorch and sklearn-iso": ", ".join(acting),
    }


def _acts(callback: Callback) -> bool:
    """Return whether a callback is known to take part in the training: no bar, no log."""
    home = type(callback).__module__
    ours = home.startswith(("skorch.", "sklearn_iso.")) and home != "skorch.callbacks.logging"
    return ours and not isinstance(callback, _OF_LEADER)


@contextmanager
def _interrupted_together(processes: Processes) -> Iterator[None]:
    """Let a first Ctrl-C end the run at the next step, where all processes hear of it."""
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return

    def note(number: int, frame: FrameType | None) -> None:
        if processes.interrupted:
            signal.default_int_handler(number, frame)
        processes.interrupted = True

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
