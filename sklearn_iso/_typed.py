"""What scikit-learn decorates and inherits, with the types that it does not tell.

scikit-learn has no type hints, so that its decorators erase the signature of what they decorate,
and a class that inherits from it may be anything to a type checker. At run time these are its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Protocol, TypeVar, cast

import numpy as np
import sklearn.base
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import Tags
from sklearn.utils._param_validation import validate_params as _validate_params
from sklearn.utils.metaestimators import _BaseComposition
from sklearn.utils.metaestimators import available_if as _available_if

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from typing_extensions import Self

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., object])

Container = Literal["default", "pandas", "polars"]
#: Constraints of parameters by name, as scikit-learn reads them.
Constraints = Mapping[str, Sequence[object]]


def validate_params(
    constraints: Constraints, *, prefer_skip_nested_validation: bool
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function whose parameters scikit-learn checks; its signature stays.

    Examples
    --------
    >>> from sklearn_iso._typed import validate_params
    >>> @validate_params({"n": [int]}, prefer_skip_nested_validation=True)
    ... def twice(n: int) -> int:
    ...     return 2 * n
    >>> twice(3)
    6
    """
    decorate = _validate_params(
        constraints, prefer_skip_nested_validation=prefer_skip_nested_validation
    )
    return cast(Callable[[Callable[P, R]], Callable[P, R]], decorate)


def fit_context(
    *, prefer_skip_nested_validation: bool
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a ``fit`` or ``partial_fit`` before which scikit-learn checks the parameters.

    Examples
    --------
    >>> from sklearn_iso._typed import BaseEstimator, fit_context
    >>> class Nothing(BaseEstimator):
    ...     _parameter_constraints = {"n": [int]}
    ...
    ...     def __init__(self, n: int = 1) -> None:
    ...         self.n = n
    ...
    ...     @fit_context(prefer_skip_nested_validation=True)
    ...     def fit(self, X: list[float]) -> "Nothing":
    ...         return self
    >>> Nothing("one").fit([1.0])
    Traceback (most recent call last):
    sklearn.utils._param_validation.InvalidParameterError: The 'n' parameter of Nothing must be ...
    """
    decorate = sklearn.base._fit_context(
        prefer_skip_nested_validation=prefer_skip_nested_validation
    )
    return cast(Callable[[Callable[P, R]], Callable[P, R]], decorate)


def available_if(check: Callable[[T], object]) -> Callable[[F], F]:
    """Decorate a method that an instance has only if a function of it is true.

    Examples
    --------
    >>> from sklearn_iso._typed import available_if
    >>> class Some:
    ...     @available_if(lambda one: False)
    ...     def method(self) -> int:
    ...         return 1
    >>> hasattr(Some(), "method")
    False
    """
    return cast(Callable[[F], F], _available_if(check))


def clone(estimator: T) -> T:
    """Return an estimator of the same parameters that is not fitted.

    Examples
    --------
    >>> from sklearn_iso._typed import clone
    >>> from sklearn_iso.penalties import GlobalIsometry
    >>> clone(GlobalIsometry(scale=2.0))
    GlobalIsometry(scale=2.0)
    """
    return cast(T, sklearn.base.clone(estimator))


if TYPE_CHECKING:

    class BaseEstimator:
        """What the package uses of scikit-learn's base class."""

        _parameter_constraints: Constraints
        n_features_in_: int
        feature_names_in_: NDArray[np.object_]

        def get_params(self, deep: bool = True) -> dict[str, Any]:
            """Return the parameters by name."""

        def set_params(self, **params: object) -> Self:
            """Set parameters by name."""

        def _validate_params(self) -> None:
            """Raise an error if a parameter is out of its range."""

        def __sklearn_tags__(self) -> Tags:
            """Return what scikit-learn has to know."""

        def __getstate__(self) -> dict[str, object]:
            """Return the state for pickle."""

        def __setstate__(self, state: dict[str, object]) -> None:
            """Take up such a state."""

        def set_fit_request(self, **requests: bool | str | None) -> Self:
            """Request metadata of fit."""

        def set_partial_fit_request(self, **requests: bool | str | None) -> Self:
            """Request metadata of partial_fit."""

        def set_score_request(self, **requests: bool | str | None) -> Self:
            """Request metadata of score."""

    class ClassifierMixin:
        """What a classifier has from scikit-learn."""

        classes_: Any  # an array, or one for each level of labels

        def score(
            self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
        ) -> float:
            """Return the accuracy."""

    class RegressorMixin:
        """What a regressor has from scikit-learn."""

        def score(
            self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
        ) -> float:
            """Return the coefficient of determination."""

    class TransformerMixin:
        """What a transformer has from scikit-learn."""

        def fit_transform(
            self, X: ArrayLike, y: ArrayLike | None = None, **fit_params: object
        ) -> NDArray:
            """Fit, and return what X becomes."""

        def set_output(self, *, transform: Container | None = None) -> Self:
            """Set the container of what transform returns."""

    class ClassNamePrefixFeaturesOutMixin:
        """Names of what comes out, of the name of the class and a number."""

        def get_feature_names_out(
            self, input_features: ArrayLike | None = None
        ) -> NDArray[np.object_]:
            """Return the names."""

    class CallbackContext(Protocol):
        """A task of a fit, of which scikit-learn's callbacks hear."""

        _callbacks: list[object]

        def subcontext(self, *, task_name: str) -> CallbackContext:
            """Return a task within this one."""

        def propagate_callback_context(self, estimator: object) -> AbstractContextManager[object]:
            """Let the fit of another estimator be all of this task."""

        def call_on_fit_task_begin(self, *, estimator: object, **data: object) -> object:
            """Tell that the task begins."""

        def call_on_fit_task_end(self, *, estimator: object, **data: object) -> bool:
            """Tell that the task ends; return whether a callback asks to stop."""

    class CallbackSupportMixin:
        """What hears scikit-learn's callbacks."""

        def set_callbacks(self, *callbacks: object) -> Self:
            """Set the callbacks."""

        def _init_callback_context(self, *, max_subtasks: int) -> CallbackContext:
            """Return the task that a fit is."""

    class MetaEstimatorMixin:
        """Nothing but what scikit-learn has to know."""

    class BaseComposition(BaseEstimator):
        """The same of an estimator that is made of named ones."""

        def _get_params(self, attr: str, deep: bool = True) -> dict[str, Any]:
            """Return the parameters, those of the named ones too."""

        def _set_params(self, attr: str, **params: object) -> Self:
            """Set parameters, or a named one as a whole."""

else:
    BaseComposition = _BaseComposition
    BaseEstimator = sklearn.base.BaseEstimator
    ClassifierMixin = sklearn.base.ClassifierMixin
    ClassNamePrefixFeaturesOutMixin = sklearn.base.ClassNamePrefixFeaturesOutMixin
    MetaEstimatorMixin = sklearn.base.MetaEstimatorMixin
    RegressorMixin = sklearn.base.RegressorMixin
    TransformerMixin = sklearn.base.TransformerMixin
    try:
        from sklearn.callback import CallbackSupportMixin
    except ImportError:  # scikit-learn before 1.9 has no callbacks

        class CallbackSupportMixin:
            """Nothing to support."""
