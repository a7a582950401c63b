"""as_torch and its registry: which estimators have a differentiable twin, and why others not."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import singledispatch
from typing import Protocol, TypeVar

import numpy as np
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.utils import check_scalar
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from sklearn_iso.modules._representations import first_output

Builder = TypeVar("Builder", bound=Callable[..., nn.Module])


class NotDifferentiableError(TypeError):
    """An estimator, or a step inside of one, has no differentiable twin.

    Parameters
    ----------
    estimator : object
        The innermost estimator without a twin.
    path : tuple of str
        Names of the steps that lead to it.
    reason : str or None
        Why it has none.

    Examples
    --------
    >>> from sklearn.preprocessing import Binarizer
    >>> from sklearn_iso.twins import NotDifferentiableError
    >>> print(NotDifferentiableError(Binarizer(), path=("bins",)))  # doctest: +ELLIPSIS
    Step 'bins' (Binarizer) cannot be differentiated. ...
    """

    def __init__(
        self, estimator: object, path: tuple[str, ...] = (), reason: str | None = None
    ) -> None:
        super().__init__(estimator, path, reason)
        self.estimator, self.path, self.reason = estimator, path, reason

    def within(self, step: str) -> NotDifferentiableError:
        """Return the same error, told from outside of a named step.

        Parameters
        ----------
        step : str
            Name of the step.

        Returns
        -------
        error : NotDifferentiableError
            With the step before the reason.
        """
        return NotDifferentiableError(self.estimator, (step, *self.path), self.reason)

    def __str__(self) -> str:
        """Say what has no twin, what has one, and what to do."""
        kind = type(self.estimator).__name__
        where = f"Step {' > '.join(map(repr, self.path))} ({kind})" if self.path else kind
        remedies = (
            f"Register a twin with @sklearn_iso.twins.register({kind}), or give the class a "
            "to_torch() method that returns a torch module of its output, or use an attack "
            "without gradients"
        )
        if self.path:
            remedies += ", or drop the step"
        why = f": {self.reason}" if self.reason else ""
        return (
            f"{where} cannot be differentiated{why}. These can: {', '.join(registered())}, and "
            f"estimators with a to_torch() method. {remedies}."
        )


@singledispatch
def _reason(estimator: object) -> str | None:
    return None


@singledispatch
def _build(estimator: object) -> nn.Module:
    raise NotDifferentiableError(estimator, reason=_reason(estimator))


@singledispatch
def _build_transform(estimator: object) -> nn.Module:
    if is_classifier(estimator) or is_regressor(estimator):
        kind = "classifier" if is_classifier(estimator) else "regressor"
        reason = f"it stands here as a transformer, and its twin is one of a {kind}"
        raise NotDifferentiableError(estimator, reason=_reason(estimator) or reason)
    return _build(estimator)


def register(estimator_class: type, *, transform: bool = False) -> Callable[[Builder], Builder]:
    """Register a function that builds the twin of fitted estimators of a class.

    Subclasses inherit the twin unless they register their own or have a ``to_torch`` method.

    Parameters
    ----------
    estimator_class : type
    transform : bool, default=False
        Whether the twin is that of ``transform``, for a class that also predicts. A class that
        only transforms needs no such distinction.

    Returns
    -------
    callable
        Decorator for a function that maps a fitted estimator to an nn.Module: from X of shape
        (n, n_features), in any floating dtype, to its class scores in the order of
        ``classes_`` (classifiers), to predictions of shape (n, n_outputs) (regressors) or to the
        transformed X (transformers). A module that only
        approximates the estimator says so in an attribute ``surrogate``: str, the reason.
        Ensembles ask a classifier's module for the logarithm of its probabilities:
        the log-softmax of its scores, or the result of its method ``log_proba(X)``.

    Raises
    ------
    TypeError
        If estimator_class is not a class.

    Examples
    --------
    >>> import torch
    >>> from sklearn.base import BaseEstimator, TransformerMixin
    >>> from sklearn_iso.twins import as_torch, register
    >>> class Tanh(TransformerMixin, BaseEstimator):
    ...     def fit(self, X, y=None): return self
    ...     def __sklearn_is_fitted__(self): return True
    >>> @register(Tanh)
    ... def _(estimator):
    ...     return torch.nn.Tanh()
    >>> as_torch(Tanh())
    Tanh()
    """
    if not isinstance(estimator_class, type):
        raise TypeError(
            f"register takes a class; got {estimator_class!r}. Write "
            "@register(MyEstimator) above the function that builds the twin."
        )

    def decorator(builder: Builder) -> Builder:
        (_build_transform if transform else _build).register(estimator_class, builder)
        return builder

    return decorator


def refuse(*estimator_classes: type, reason: str) -> None:
    """Declare why estimators of some classes have no twin.

    Examples
    --------
    >>> from sklearn.base import BaseEstimator
    >>> from sklearn_iso.twins import as_torch
    >>> from sklearn_iso.twins._registry import refuse
    >>> class Coin(BaseEstimator):
    ...     def fit(self, X, y): return self
    ...     def __sklearn_is_fitted__(self): return True
    >>> refuse(Coin, reason="it ignores X")
    >>> as_torch(Coin())  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    sklearn_iso.twins._registry.NotDifferentiableError: Coin cannot be differentiated: it ignores...
    """
    for estimator_class in estimator_classes:
        _reason.register(estimator_class, lambda estimator: reason)


class ReadsRawColumns(Protocol):
    """What builds the twin of an estimator that takes raw columns, not a tensor of numbers."""

    def twin(self, estimator: BaseEstimator, transform: bool) -> nn.Module:
        """Return the twin, for points of a table."""


_reader: ContextVar[ReadsRawColumns | None] = ContextVar("reader", default=None)
#: Estimators that hand the X that they get on to others as it is.
_hand_on: set[type] = set()


def hands_on(*estimator_classes: type) -> None:
    """Declare that estimators of some classes hand on the X that they get to those inside.

    Examples
    --------
    >>> from sklearn.pipeline import Pipeline
    >>> from sklearn_iso.twins._registry import hands_on
    >>> hands_on(Pipeline)
    """
    _hand_on.update(estimator_classes)


@contextmanager
def reading(reader: ReadsRawColumns | None) -> Iterator[None]:
    """Build the twins of estimators that take raw columns by a reader; None: take numbers.

    Examples
    --------
    >>> from sklearn.preprocessing import Normalizer
    >>> from sklearn_iso.twins import as_torch
    >>> from sklearn_iso.twins._registry import reading
    >>> with reading(None):
    ...     as_torch(Normalizer())
    Normalize()
    """
    token = _reader.set(reader)
    try:
        yield
    finally:
        _reader.reset(token)


@contextmanager
def after_the_first(position: int) -> Iterator[None]:
    """Build the twin of a step that gets the output of another, unless it is the first one.

    Examples
    --------
    >>> from sklearn_iso.twins._registry import after_the_first
    >>> with after_the_first(1):
    ...     pass
    """
    with reading(None if position else _reader.get()):
        yield


class InOwnDtype(nn.Module):
    """A module of a user, as estimators take it in predict.

    It casts X to the dtype of the module's parameters. Of several outputs it returns the first,
    by skorch's convention the prediction.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._registry import InOwnDtype
    >>> InOwnDtype(torch.nn.Linear(2, 1))(torch.zeros(1, 2, dtype=torch.float64)).dtype
    torch.float32
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, X: Tensor) -> Tensor:
        """Return the first output of the module."""
        parameter = next(self.module.parameters(), None)
        # A copy, as modules may write into their input: in-place activations do.
        return first_output(
            self.module(X.clone() if parameter is None else X.to(parameter, copy=True))
        )


def registered() -> list[str]:
    """Return the names of the classes with a registered twin.

    Returns
    -------
    names : list of str
        Full names, in order.

    Examples
    --------
    >>> from sklearn_iso.twins import registered
    >>> "StandardScaler" in registered()
    True
    """
    kinds = {*_build.registry, *_build_transform.registry} - {object}
    return sorted({kind.__name__ for kind in kinds})


def as_torch(estimator: BaseEstimator, *, transform: bool = False) -> nn.Module:
    """Return the differentiable twin of a fitted estimator.

    For a classifier the twin maps X to class scores, whose argmax is the column of the
    predicted label in ``classes_``; for a regressor, X to predictions of shape (n, n_outputs);
    for a transformer, X to its transformation. It computes
    in the dtype of the X passed; a ``to_torch`` module, in the dtype of its parameters. A
    predictor that also transforms gives the twin of that by ``to_torch(transform=True)``.
    Where scikit-learn decides by votes or steps, which have no gradient, the twin has the
    gradient of a surrogate and says so: :func:`sklearn_iso.twins.surrogates`.

    Parameters
    ----------
    estimator : fitted estimator
        One with a ``to_torch`` method, or of a registered class.
    transform : bool, default=False
        Return the twin of ``transform`` for an estimator that also predicts.

    Returns
    -------
    nn.Module
        In eval mode, with frozen parameters. It is a copy: using, moving or casting it leaves
        the estimator as it is.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.
    NotDifferentiableError
        If the estimator, or a step in it, has no twin.

    Examples
    --------
    >>> import torch
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_iso.twins import as_torch
    >>> X, y = load_iris(return_X_y=True)
    >>> pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    >>> logits = as_torch(pipeline)(torch.tensor(X))
    >>> bool((logits.argmax(dim=1).numpy() == pipeline.predict(X)).all())
    True
    """
    check_is_fitted(estimator)
    check_scalar(transform, "transform", (bool, np.bool_))
    reader = _reader.get()
    if reader is not None and not isinstance(estimator, tuple(_hand_on)):
        return reader.twin(estimator, transform).eval().requires_grad_(False)
    twin = _own_twin(estimator, transform)
    if twin is None:
        twin = _build_transform(estimator) if transform else _build(estimator)
    return twin.eval().requires_grad_(False)


def _own_twin(estimator: BaseEstimator, transform: bool) -> nn.Module | None:
    """Return what the estimator's to_torch gives, None where it has none of that kind."""
    if not hasattr(estimator, "to_torch"):
        return None
    if not (transform and (is_classifier(estimator) or is_regressor(estimator))):
        return InOwnDtype(copy.deepcopy(estimator.to_torch()))
    if "transform" in inspect.signature(estimator.to_torch).parameters:
        return InOwnDtype(copy.deepcopy(estimator.to_torch(transform=True)))
    return None


def twin_of_step(name: str, step: BaseEstimator, *, transform: bool = False) -> nn.Module:
    """Return the twin of an estimator inside of another; errors tell its name.

    Examples
    --------
    >>> from sklearn.preprocessing import Normalizer
    >>> from sklearn_iso.twins._registry import twin_of_step
    >>> twin_of_step("normalize", Normalizer())
    Normalize()
    """
    try:
        return as_torch(step, transform=transform)
    except NotDifferentiableError as error:
        raise error.within(name) from None
