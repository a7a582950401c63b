"""scikit-learn's callbacks: a fit tells them of itself and of each of its epochs."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from skorch.callbacks import Callback

from sklearn_iso._protocols import Parametrized, Samples
from sklearn_iso._training import PenalizedNet, private_random_state
from sklearn_iso._training.distributed import Processes
from sklearn_iso._training.together import joint_run
from sklearn_iso.estimators._base import StoredEstimator as CallbackEstimator
from sklearn_iso.estimators._result import FitResult
from sklearn_iso.estimators._roles import Seeded
from sklearn_iso.estimators._strength import given_or_auto
from sklearn_iso.estimators._together import fit_of_processes, samples_of_all

if TYPE_CHECKING:
    from sklearn_iso._typed import CallbackContext

Item = TypeVar("Item")


def data_of_fit(
    X: Samples, y: ArrayLike | None, sample_weight: ArrayLike | None
) -> dict[str, object]:
    """Return what callbacks are told of the data of a fit."""
    metadata = {} if sample_weight is None else {"sample_weight": sample_weight}
    return {"X": X, "y": y, "metadata": metadata}


@dataclass(frozen=True)
class FitTask:
    """A fit of `max_epochs` epochs, of which callbacks hear, and of each epoch.

    Attributes
    ----------
    estimator : estimator
    context : sklearn.callback.CallbackContext or None
        None before scikit-learn 1.9, where nobody listens.
    data : dict
        "X", "y" and "metadata" of the fit.
    processes : Processes or None
        All that are at the fit, where they are several.
    """

    estimator: CallbackEstimator
    context: CallbackContext | None
    data: dict[str, object]
    processes: Processes | None = None

    def samples(
        self, X: NDArray, y: NDArray | None, sample_weight: ArrayLike | None
    ) -> tuple[NDArray, NDArray, ArrayLike | None]:
        """Return validated samples of the fit, those of all processes; y is None if it was."""
        found = X, y, sample_weight
        if self.processes is not None:
            found = samples_of_all(self.processes, self.estimator, *found)
        return cast(tuple[NDArray, NDArray, ArrayLike | None], found)

    @contextmanager
    def epochs(self, result: FitResult) -> Iterator[None]:
        """Let each epoch of the net of a result be a task, where callbacks listen."""
        with joint_run(result.net_, self.processes), self._tasks(result):
            yield

    @contextmanager
    def _tasks(self, result: FitResult) -> Iterator[None]:
        if self.context is None or not self.context._callbacks:
            yield
            return
        net = result.net_
        before = list(net.callbacks_)
        # After the means of an epoch are known; before anything that may end the training.
        place = len(net._default_callbacks)
        net.callbacks_[place:place] = [("epoch_tasks", EpochTasks(self, result))]
        net._listeners.clear()
        try:
            yield
        finally:
            net.callbacks_ = before  # a fitted net holds no data
            net._listeners.clear()


@contextmanager
def fit_task(
    estimator: CallbackEstimator,
    X: Samples,
    y: ArrayLike | None,
    sample_weight: ArrayLike | None,
) -> Iterator[FitTask]:
    """Let the block be the fit of an estimator, of which callbacks hear: in one process alone."""
    data = data_of_fit(X, y, sample_weight)
    with fit_of_processes(estimator) as processes:
        heard = processes is None or processes.leads
        if not heard or not hasattr(estimator, "_init_callback_context"):
            yield FitTask(estimator, None, data, processes)
            return
        context = estimator._init_callback_context(max_subtasks=most_epochs(estimator))
        context.call_on_fit_task_begin(estimator=estimator, **data)
        yield FitTask(estimator, context, data, processes)
        context.call_on_fit_task_end(estimator=estimator, **data, reconstruction_attributes={})


def random_state_of(estimator: Seeded, task: FitTask | None) -> np.random.RandomState:
    """Return what decides the draws of a fit: the same in all of its processes."""
    rng = private_random_state(estimator.random_state)
    processes = None if task is None else task.processes
    return rng if processes is None else processes.same_state(rng)


def most_epochs(estimator: Parametrized) -> int:
    """Return how many epochs a fit runs at most; a cross-fit, which "auto" may mean, runs fewer."""
    epochs: int = given_or_auto(estimator)["max_epochs"]
    return epochs


class Parts:
    """The parts of a fit that is made of other fits, as tasks.

    Parameters
    ----------
    estimator : estimator
    n_parts : int
    data : dict
        "X", "y" and "metadata" of the fit.
    """

    def __init__(self, estimator: CallbackEstimator, n_parts: int, data: dict[str, object]) -> None:
        self.estimator, self.data = estimator, data
        self.task: CallbackContext | None = None
        if hasattr(estimator, "_init_callback_context"):
            self.task = estimator._init_callback_context(max_subtasks=n_parts)
            self.task.call_on_fit_task_begin(estimator=estimator, **data)

    def each(self, name: str, items: Iterable[Item]) -> Iterator[Item]:
        """Yield items, each of which is worked on in a part of its own."""
        for item in items:
            with self.part(name):
                yield item

    @contextmanager
    def part(self, name: str, fitted_in_it: object = None) -> Iterator[None]:
        """Let the block be a part, of which the fit of another estimator may be all."""
        if self.task is None:
            yield
            return
        part = self.task.subcontext(task_name=name)
        handed_down = (
            nullcontext() if fitted_in_it is None else part.propagate_callback_context(fitted_in_it)
        )
        with handed_down:
            part.call_on_fit_task_begin(estimator=self.estimator, **self.data)
            yield
            part.call_on_fit_task_end(estimator=self.estimator, **self.data)

    def end(self) -> None:
        """End the fit."""
        if self.task is not None:
            self.task.call_on_fit_task_end(
                estimator=self.estimator, **self.data, reconstruction_attributes={}
            )


class EpochTasks(Callback):
    """Turns the epochs of a net into tasks of a fit.

    Parameters
    ----------
    fit : FitTask
    result : FitResult
        What the fit has found out so far.
    """

    def __init__(self, fit: FitTask, result: FitResult) -> None:
        self.fit, self.result = fit, result
        self.stopped_ = False

    def on_epoch_begin(self, net: PenalizedNet, **kwargs: object) -> None:
        """Begin a task."""
        context = cast("CallbackContext", self.fit.context)
        self.epoch_ = context.subcontext(task_name="epoch")
        self.epoch_.call_on_fit_task_begin(estimator=self.fit.estimator, **self.fit.data)

    def on_epoch_end(self, net: PenalizedNet, **kwargs: object) -> None:
        """End the task, and remember whether a callback asks to stop."""
        self.stopped_ = self.epoch_.call_on_fit_task_end(
            estimator=self.fit.estimator,
            **self.fit.data,
            # Asked for by few: a copy that predicts as if the fit had stopped here.
            reconstruction_attributes=lambda: {
                **vars(self.result),
                "net_": copy.deepcopy(net),
                "n_iter_": len(net.history),
            },
        )
