"""scikit-learn's callbacks: a fit tells them of itself and of each of its epochs."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, TypeVar, cast

from skorch.callbacks import Callback

from sklearn_iso.estimators.strength import given_or_auto

Item = TypeVar("Item")
Fit = TypeVar("Fit", bound=Callable[..., Any])


def data_of_fit(X: Any, y: Any, sample_weight: Any) -> dict[str, Any]:
    """Return what callbacks are told of the data of a fit."""
    metadata = {} if sample_weight is None else {"sample_weight": sample_weight}
    return {"X": X, "y": y, "metadata": metadata}


def reports_epochs(fit: Fit) -> Fit:
    """Decorate a ``fit`` of `max_epochs` epochs: callbacks hear of it and of each epoch."""

    @functools.wraps(fit)
    def reported(estimator: Any, X: Any, y: Any = None, *args: Any, **kwargs: object) -> Any:
        if not hasattr(estimator, "_init_callback_context"):
            return fit(estimator, X, y, *args, **kwargs)
        data = data_of_fit(X, y, args[0] if args else kwargs.get("sample_weight"))
        task = estimator._init_callback_context(max_subtasks=most_epochs(estimator))
        task.call_on_fit_task_begin(estimator=estimator, **data)
        estimator._fit_task = (task, data)
        try:
            fit(estimator, X, y, *args, **kwargs)
        finally:
            del estimator._fit_task
        task.call_on_fit_task_end(estimator=estimator, **data, reconstruction_attributes={})
        return estimator

    return cast(Fit, reported)


def most_epochs(estimator: Any) -> int:
    """Return how many epochs a fit runs at most; a cross-fit, which "auto" may mean, runs fewer."""
    epochs: int = given_or_auto(estimator)["max_epochs"]
    return epochs


@contextmanager
def epochs_reported(estimator: Any) -> Iterator[None]:
    """Let each epoch of the net of an estimator be a task, where callbacks listen."""
    net, begun = estimator.net_, getattr(estimator, "_fit_task", None)
    if begun is None or not begun[0]._callbacks:
        yield
        return
    before = list(net.callbacks_)
    # After the means of an epoch are known; before anything that may end the training.
    place = len(net._default_callbacks)
    net.callbacks_[place:place] = [("epoch_tasks", EpochTasks(estimator, *begun))]
    net._listeners.clear()
    try:
        yield
    finally:
        net.callbacks_ = before  # a fitted net holds no data
        net._listeners.clear()


class Parts:
    """The parts of a fit that is made of other fits, as tasks.

    Parameters
    ----------
    estimator : estimator
    n_parts : int
    data : dict
        "X", "y" and "metadata" of the fit.
    """

    def __init__(self, estimator: Any, n_parts: int, data: dict[str, Any]) -> None:
        self.estimator, self.data, self.task = estimator, data, None
        if hasattr(estimator, "_init_callback_context"):
            self.task = estimator._init_callback_context(max_subtasks=n_parts)
            self.task.call_on_fit_task_begin(estimator=estimator, **data)

    def each(self, name: str, items: Iterable[Item]) -> Iterator[Item]:
        """Yield items, each of which is worked on in a part of its own."""
        for item in items:
            with self.part(name):
                yield item

    @contextmanager
    def part(self, name: str, fitted_in_it: Any = None) -> Iterator[None]:
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
    estimator : estimator
        Whose ``net_`` is trained.
    task : sklearn.callback.CallbackContext
        That of the fit.
    data : dict
        "X", "y" and "metadata" of the fit.
    """

    def __init__(self, estimator: Any, task: Any, data: dict[str, Any]) -> None:
        self.estimator, self.task, self.data = estimator, task, data
        self.stopped_ = False

    def on_epoch_begin(self, net: Any, **kwargs: object) -> None:
        """Begin a task."""
        self.epoch_ = self.task.subcontext(task_name="epoch")
        self.epoch_.call_on_fit_task_begin(estimator=self.estimator, **self.data)

    def on_epoch_end(self, net: Any, **kwargs: object) -> None:
        """End the task, and remember whether a callback asks to stop."""
        self.stopped_ = self.epoch_.call_on_fit_task_end(
            estimator=self.estimator,
            **self.data,
            # Asked for by few: a copy that predicts as if the fit had stopped here.
            reconstruction_attributes=lambda: {
                "net_": copy.deepcopy(net),
                "n_iter_": len(net.history),
            },
        )
