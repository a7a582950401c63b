"""The skorch net that adds a penalty to the classification loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skorch import NeuralNet
from skorch.callbacks import Callback, EarlyStopping
from skorch.dataset import get_len
from skorch.utils import to_numpy
from torch import Tensor, nn
from torch.utils.data import Dataset

from sklearn_iso._threads import threads_for
from sklearn_iso._training.acceleration import AS_WRITTEN, Acceleration, accelerated
from sklearn_iso._training.callbacks import EpochMeans, LastGoodState, all_finite
from sklearn_iso._training.data import ArrayBatches, ArrayDataset
from sklearn_iso._training.distributed import Processes
from sklearn_iso._training.numerics import denormals_flushed
from sklearn_iso._training.objective import Loss
from sklearn_iso._training.randomness import Randomness
from sklearn_iso._training.run_state import restore_run, run_fingerprint, run_state
from sklearn_iso._training.sharing import Share
from sklearn_iso._training.state import State, net_state, restore_net, to_tensors
from sklearn_iso._training.together import add_up, average_statistics
from sklearn_iso.modules._compiled import reusable_graphs
from sklearn_iso.modules._parts import largest_product
from sklearn_iso.modules._representations import first_output

#: What is wrong with a network whose loss has no slope.
_FROZEN = (
    "A fit changes weights by the slope of the loss, and no weight of the network has one: all "
    "are frozen, or the way from them to the output is cut. Let some of them learn, "
    "requires_grad_(True), and take .detach(), .numpy() and torch.no_grad() out of forward."
)

#: X, y and weight of a batch as skorch hands them, and what a step returns to it.
Rows = tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]
Step = dict[str, Tensor]


class LossNotFiniteError(ArithmeticError):
    """A batch's loss is NaN or infinite; the weights are those before the step."""


class PenalizedNet(NeuralNet):
    """skorch net whose criterion sees the module and not only its output.

    The criterion is an :class:`~sklearn_iso._training.objective.Objective`.
    """

    @property
    def _default_callbacks(self) -> list[tuple[str, Callback]]:
        return [("last_good_state", LastGoodState()), ("epoch_means", EpochMeans())]

    def run_single_epoch(
        self,
        iterator: ArrayBatches | None,
        training: bool,
        prefix: str,
        step_fn: Callable[..., Step],
        **fit_params: object,
    ) -> None:
        """Run one epoch; the mode is set where a callback that predicts has changed it."""
        if iterator is None:
            return
        self._set_training(training)
        self._trained = [p for p in self.module_.parameters() if p.requires_grad]
        if training and not self._trained:
            raise ValueError(_FROZEN)
        self._n_batches = len(iterator)
        self._grows_by_batch = getattr(self.criterion_, "grows_by_batch", False)
        for batch in iterator:
            X, (y, _) = batch  # callbacks of skorch know no weights
            self.notify("on_batch_begin", batch=(X, y), training=training)
            if self.module_.training != training:
                self._set_training(training)
            step = step_fn(batch, **fit_params)
            row = self._batch_row()
            row[f"{prefix}_loss"], row[f"{prefix}_batch_size"] = step["loss"].item(), len(X)
            self.notify("on_batch_end", batch=(X, y), training=training, **step)
        self.history.record(f"{prefix}_batch_count", len(iterator))
        if training and self._sharing is not None:
            average_statistics(self._sharing, self.module_)

    #: What the columns of the logits stand for, where a callback may ask.
    classes_: NDArray | None = None

    #: The processes of a joint run, and whether a callback wants to know the outputs.
    _processes: Processes | None = None
    _heard = False
    #: Whether the progress of a batch is that of the batches: asked once an epoch.
    _grows_by_batch = False

    @property
    def _sharing(self) -> Processes | None:
        """The processes that share every batch; None where each trains by itself."""
        shares = getattr(self.criterion_, "shares_batches", False)
        return self._processes if shares else None

    @property
    def leads(self) -> bool:
        """Whether this process saves, of all that run the net."""
        return self._processes is None or self._processes.leads

    def of_leader(self, state: State | None) -> State | None:
        """Return what the process that leads holds."""
        return state if self._processes is None else self._processes.object_of_leader(state)

    def is_done(self) -> bool:
        """Return whether the run is to stop, in this process or in another."""
        done = self.stopped_early
        return done if self._processes is None else self._processes.any(done)

    #: Whether a net that was stored has no optimiser yet, and what that one knows.
    awaits_optimizer, awaited_state = False, None

    def await_optimizer(self, state: State | None) -> None:
        """Build the optimiser when it is asked for: torch takes seconds to import its own.

        Parameters
        ----------
        state : dict or None
            Arrays of what it will know.
        """
        self.awaits_optimizer, self.awaited_state = True, state

    def initialize_optimizer(self, triggered_directly: bool | None = None) -> PenalizedNet:
        """Build the optimiser, or only make its name known."""
        if self.awaits_optimizer:
            self._register_attribute("optimizer_", None)
            return self
        return super().initialize_optimizer()

    def __getattr__(self, name: str) -> Any:
        """Build the optimiser that is asked for the first time."""
        if name != "optimizer_" or not self.awaits_optimizer:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        state = self.awaited_state
        self.awaits_optimizer, self.awaited_state = False, None
        super().initialize_optimizer()
        if state is not None:
            self.optimizer_.load_state_dict(to_tensors(state))
        return self.optimizer_

    def initialize_callbacks(self) -> PenalizedNet:
        """Initialise the callbacks and note which of them listen to which event."""
        super().initialize_callbacks()
        self._listeners: dict[str, list[Callback]] = {}
        return self

    def notify(self, method_name: str, **cb_kwargs: object) -> None:
        """Tell the callbacks that listen; most have nothing to do for a batch."""
        getattr(self, method_name)(self, **cb_kwargs)
        if method_name not in self._listeners:
            silent = getattr(Callback, method_name)
            self._listeners[method_name] = [
                cb for _, cb in self.callbacks_ if getattr(type(cb), method_name) is not silent
            ]
        for callback in self._listeners[method_name]:
            try:
                getattr(callback, method_name)(self, **cb_kwargs)
            except KeyError as error:
                self._check_monitored(callback, error)
                raise

    def _check_monitored(self, callback: Callback, error: KeyError) -> None:
        """Raise a ValueError if a callback watches a column that the history lacks."""
        watched = getattr(callback, "monitor", None)
        columns = [name for name in self.history[-1] if name != "batches"] if self.history else []
        if isinstance(watched, str) and watched not in columns:
            raise ValueError(
                f"{type(callback).__name__} must watch a column of the history, which are "
                f"{', '.join(columns)}; got monitor={watched!r}. Those of held out samples come "
                "with early_stopping=True and validation_fraction, others from a callback before "
                "it."
            ) from error

    def _zero_grad_optimizer(self, set_to_none: bool | None = None) -> None:
        """Drop the gradients, which the optimiser's own method takes ten times as long for."""
        for parameter in self._trained:
            parameter.grad = None

    def train_step_single(self, batch: Rows, **fit_params: object) -> Step:
        """Compute the loss of a batch and its gradients."""
        processes = self._sharing
        rank = None if processes is None else processes.rank
        with self._randomness.module_stream(rank), _gradient_explained():
            progress = min(1.0, self._progress())
            loss = self._loss(batch, self._randomness.penalty, progress)
            if processes is None and not math.isfinite(loss.total.item()):
                raise LossNotFiniteError
            # Only the weights: a penalty may have asked for gradients of X as well.
            loss.total.backward(inputs=self._trained)
        if processes is not None:
            loss = add_up(processes, loss, self._trained)
            if not math.isfinite(loss.total.item()):
                raise LossNotFiniteError
        return self._record(loss, "train")

    def _progress(self) -> float:
        """Return the share of the epochs that are begun, or of the batches that are done."""
        if not self._grows_by_batch:
            return len(self.history) / self.max_epochs
        done = (len(self.history[-1]["batches"]) - 1) / self._n_batches
        return (len(self.history) - 1 + done) / self.max_epochs

    def validation_step(self, batch: Rows, **fit_params: object) -> Step:
        """Compute the loss of a batch; penalties may differentiate, so gradients are on."""
        # The same draws in every epoch make the epochs comparable.
        with self._randomness.validation_stream() as generator:
            loss = self._loss(batch, generator)
        loss = loss if self._sharing is None else add_up(self._sharing, loss)
        return self._record(loss, "valid")

    def predict(self, X: NDArray | Dataset) -> NDArray:
        """Return the index of the most probable class, or the prediction in units of the net.

        For the scoring callbacks of skorch, which ask the net and not the estimator.
        """
        regresses = getattr(self.criterion_, "data_term", None) == "squared_error"
        answers, start = np.empty(0), 0
        for part in self.forward_iter(X):
            outputs = to_numpy(first_output(part))
            found = outputs[:, 0] if regresses else outputs.argmax(axis=1)
            if not start:  # filled batch by batch: many small arrays would hold on to the heap
                answers = np.empty(get_len(X), dtype=found.dtype)
            answers[start : start + len(found)] = found
            start += len(found)
        return answers

    def _loss(self, batch: Rows, generator: torch.Generator, progress: float = 1.0) -> Loss:
        X, (y, weight) = batch
        X, y, weight = (tensor.to(self.device) for tensor in (X, y, weight))
        options = {"generator": generator, "progress": progress}
        processes = self._sharing
        if processes is not None:
            options["processes"] = processes
        loss: Loss = self.criterion_(self.module_, X, y, weight, **options)
        if processes is not None and self._heard:
            own = loss.logits.detach()
            loss = replace(loss, logits=Share(processes, X, y, weight).gather(own, len(X)))
        return loss

    def _batch_row(self) -> dict[str, float]:
        """Return what the history records of the present batch; skorch looks it up each time."""
        row: dict[str, float] = self.history[-1]["batches"][-1]
        return row

    def _record(self, loss: Loss, prefix: str) -> Step:
        row = self._batch_row()
        row.update((f"{prefix}_{name}", value) for name, value in loss.parts.items())
        return {"loss": loss.total.detach(), "y_pred": loss.logits.detach()}

    def run(
        self,
        train: ArrayDataset,
        epochs: int,
        randomness: Randomness,
        acceleration: Acceleration = AS_WRITTEN,
    ) -> None:
        """Train for some epochs.

        Raises
        ------
        ValueError
            If the acceleration is not to be had here.
        KeyboardInterrupt
            If the user interrupts; early stopping ends quietly.
        LossNotFiniteError
            If a loss is not finite; the newest finite weights are restored.
        MemoryError
            If a batch is too large.
        """
        self._randomness, self.epochs_to_run = randomness, epochs
        self._acceleration = acceleration
        self.notify("on_train_begin", X=train, y=None)
        try:
            with (
                threads_for(largest_product(self.module_, self.batch_size)),
                denormals_flushed(),
                accelerated(self.module_, acceleration, self.device),
                reusable_graphs(self.module_),
            ):
                # A callback may have brought the run forward: a checkpoint does.
                self.fit_loop(train, None, epochs=self.epochs_to_run)
            if not all_finite(self.module_):
                raise LossNotFiniteError
        except KeyboardInterrupt:
            if not self.stopped_early:
                raise
        except LossNotFiniteError:
            self._restore_last_good_state()
            raise
        except (MemoryError, RuntimeError) as error:
            if not _is_lack_of_memory(error):
                raise
            raise MemoryError(
                f"A batch and the penalty's pairs must fit into memory; batch_size="
                f"{self.batch_size} does not ({str(error).splitlines()[0]}). Lower batch_size, or "
                "max_samples of the penalty."
            ) from error
        finally:
            self.notify("on_train_end", X=train, y=None)
            del self._randomness, self._acceleration  # a fitted net holds no generator

    def replace_module(self, module: nn.Module, criterion: nn.Module, weight_decay: float) -> None:
        """Go on with another module, criterion and weight decay; history and callbacks stay.

        The optimiser starts anew when it is asked for.
        """
        self.module, self.criterion = module.to(self.device), criterion
        self.optimizer__weight_decay = weight_decay
        self.initialize_module().initialize_criterion()
        self.await_optimizer(None)
        self.initialize_optimizer()

    def run_fingerprint(self, train: ArrayDataset) -> str:
        """Return what tells this run from another before its first step."""
        return run_fingerprint(self, train)

    def run_state(self) -> State | None:
        """Return all that the next epoch depends on; None where weights are not finite."""
        return run_state(self)

    def restore_run(self, state: State) -> None:
        """Go on from the state of an earlier run of the same fingerprint."""
        restore_run(self, state)

    @property
    def stopped_early(self) -> bool:
        """Whether early stopping has ended the run."""
        # skorch's callback says "stop" with the exception of Ctrl-C: tell them apart.
        stoppers = [cb for _, cb in self.callbacks_ if isinstance(cb, EarlyStopping)]
        asked = any(getattr(cb, "stopped_", False) for _, cb in self.callbacks_)
        return asked or any(cb.misses_ >= cb.patience for cb in stoppers)

    def _restore_last_good_state(self) -> None:
        keeper = next(cb for _, cb in self.callbacks_ if isinstance(cb, LastGoodState))
        keeper.restore(self)

    def __getstate__(self) -> dict[str, object]:
        """Return the trained net as arrays and plain data: nothing of torch but a user's module."""
        return net_state(self)

    def __setstate__(self, state: dict[str, object]) -> None:
        """Build the net anew."""
        restore_net(self, state)


@contextmanager
def _gradient_explained() -> Iterator[None]:
    """Say what to do where torch finds nothing to differentiate."""
    try:
        yield
    except RuntimeError as error:
        if "does not require grad" not in str(error):
            raise
        raise ValueError(_FROZEN) from error


def _is_lack_of_memory(error: Exception) -> bool:
    # On the CPU torch raises a plain RuntimeError.
    known = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return known or "DefaultCPUAllocator" in str(error)
