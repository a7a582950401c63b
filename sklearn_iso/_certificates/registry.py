"""certifier_of and its registry: for which estimators there is a proof, and why not for others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from functools import singledispatch
from inspect import getattr_static
from typing import TypeVar

from sklearn.base import BaseEstimator, is_regressor
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection._search import BaseSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsRegressor, RadiusNeighborsRegressor
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from sklearn_iso._certificates.certifier import Certifier, RangeCertifier, Witnessing
from sklearn_iso.exceptions import NotCertifiableError

#: Methods that a label comes from.
DECIDING = frozenset(("predict", "predict_proba", "decision_function"))
#: Why there is no certificate of classes.
OF_NUMBERS = (
    "it predicts numbers and no classes; call certified_error, or certified_distance with a "
    "tolerance"
)
#: Transformers before an estimator, with their names, in the order in which they run.
Steps = tuple[tuple[str, BaseEstimator], ...]
Unwrapper = TypeVar("Unwrapper", bound=Callable[..., tuple[BaseEstimator, Steps]])
Builder = TypeVar("Builder", bound=Callable[..., Certifier])
RangeBuilder = TypeVar("RangeBuilder", bound=Callable[..., RangeCertifier])
Built = TypeVar("Built")


@singledispatch
def _reason(estimator: object) -> str | None:
    return None


@singledispatch
def _build(estimator: object, steps: Steps) -> Certifier:
    raise NotCertifiableError(estimator, known=registered())


@singledispatch
def build_ranges(estimator: object, steps: Steps) -> RangeCertifier:
    """Return what bounds the predictions of a fitted regressor behind steps.

    Raises
    ------
    NotCertifiableError
        If nothing does.
    """
    raise NotCertifiableError(estimator, known=_names(build_ranges.registry))


@singledispatch
def _unwrap(estimator: object) -> tuple[BaseEstimator, Steps] | None:
    return None


_know_errors: set[Callable[..., Certifier]] = set()


def register(estimator_class: type, *, knows_errors: bool = False) -> Callable[[Builder], Builder]:
    """Register a function that builds the certifier of fitted estimators of a class.

    Parameters
    ----------
    estimator_class : type
        Subclasses inherit the certifier unless they register their own.
    knows_errors : bool
        Whether the certifiers are :class:`Witnessing`.

    Returns
    -------
    callable
        Decorator for a function ``(estimator, steps) -> Certifier``. The steps are the fitted
        transformers that run before the estimator in pipelines, with their names; there may be
        none. It raises NotCertifiableError for a step, or for parameters of the estimator, that
        it cannot prove anything about.

    Examples
    --------
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> from sklearn_iso._certificates.registry import register
    >>> class MyTree(DecisionTreeClassifier): ...
    >>> @register(MyTree)
    ... def _(tree, steps):
    ...     raise NotImplementedError
    """

    def decorator(builder: Builder) -> Builder:
        _build.register(estimator_class, builder)
        if knows_errors:
            _know_errors.add(builder)
        return builder

    return decorator


def register_ranges(estimator_class: type) -> Callable[[RangeBuilder], RangeBuilder]:
    """Register a function that builds what bounds the predictions of regressors of a class.

    Parameters
    ----------
    estimator_class : type
        Subclasses inherit it unless they register their own.

    Returns
    -------
    callable
        Decorator for a function ``(estimator, steps) -> RangeCertifier``. The steps are the fitted
        transformers that run before the estimator in pipelines, with their names.

    Examples
    --------
    >>> from sklearn.dummy import DummyRegressor
    >>> from sklearn_iso._certificates.registry import register_ranges
    >>> class MyDummy(DummyRegressor): ...
    >>> @register_ranges(MyDummy)
    ... def _(dummy, steps):
    ...     raise NotImplementedError
    """

    def decorator(builder: RangeBuilder) -> RangeBuilder:
        build_ranges.register(estimator_class, builder)
        return builder

    return decorator


def unwrap(estimator_class: type) -> Callable[[Unwrapper], Unwrapper]:
    """Register what estimators of a class consist of, where they leave prediction to another.

    The function returns the estimator that predicts in their place, and the steps before it.

    Examples
    --------
    >>> from sklearn.base import BaseEstimator
    >>> from sklearn_iso._certificates.registry import unwrap
    >>> class Wrapper(BaseEstimator): ...
    >>> @unwrap(Wrapper)
    ... def _(wrapper):
    ...     return wrapper.estimator_, ()
    """

    def decorator(function: Unwrapper) -> Unwrapper:
        _unwrap.register(estimator_class, function)
        return function

    return decorator


def refuse(*estimator_classes: type, reason: str) -> None:
    """Declare why there is no proof for estimators of some classes."""
    for estimator_class in estimator_classes:
        _reason.register(estimator_class, lambda estimator: reason)


def registered(of_numbers: bool = False) -> list[str]:
    """Return the names of the classes with a certifier."""
    return _names((build_ranges if of_numbers else _build).registry)


def _names(kinds: Collection[type]) -> list[str]:
    return sorted({kind.__name__ for kind in set(kinds) - {object, BaseEstimator}})


def certifier_of(estimator: BaseEstimator) -> Certifier:
    """Return what certifies a fitted classifier, alone or at the end of pipelines.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.
    NotCertifiableError
        If there is no proof for the estimator, or for a step before it; or if one overrides how
        the class that there is a proof for predicts.
    """
    return _built(estimator, _build)


def range_certifier_of(estimator: BaseEstimator, before: Steps = ()) -> RangeCertifier:
    """Return what bounds the predictions of a fitted regressor, alone or at the end of pipelines.

    Parameters
    ----------
    estimator : fitted regressor
    before : Steps
        What runs before it.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.
    NotCertifiableError
        If there is no proof for the estimator, or for a step before it.

    Examples
    --------
    >>> from sklearn.tree import DecisionTreeRegressor
    >>> from sklearn_iso._certificates import range_certifier_of
    >>> range_certifier_of(DecisionTreeRegressor().fit([[0.0], [1.0]], [0.0, 1.0])).exact
    True
    """
    return _built(estimator, build_ranges, before)


def _built(
    estimator: BaseEstimator, build: Callable[[BaseEstimator, Steps], Built], before: Steps = ()
) -> Built:
    """Return what a family builds of an estimator, of what it consists of."""
    check_plain(estimator)
    last, steps = last_step(estimator)
    try:
        if build is _build and is_regressor(last):
            raise NotCertifiableError(last, reason=OF_NUMBERS)
        if (reason := _reason(last)) is not None:
            raise NotCertifiableError(last, reason=reason, known=registered(is_regressor(last)))
        return build(last, before + steps)
    except NotCertifiableError as error:
        path = _path_of_last(estimator)
        if error.path or error.estimator is not last or not path:
            raise
        raise NotCertifiableError(last, path, error.reason, error.known) from error


def check_predicts_classes(estimator: BaseEstimator) -> None:
    """Raise an error for a fitted regressor, of which there are no certificates of classes.

    Raises
    ------
    NotCertifiableError
        If the estimator is one.
    """
    if is_regressor(estimator):
        last, _ = last_step(estimator)
        raise NotCertifiableError(last, _path_of_last(estimator), OF_NUMBERS)


def _path_of_last(estimator: BaseEstimator) -> tuple[str, ...]:
    """Return the names of the steps of pipelines that lead to the estimator that predicts."""
    path: tuple[str, ...] = ()
    while (part := _unwrap(estimator)) is not None:
        if isinstance(estimator, Pipeline):
            path += (estimator.steps[-1][0],)
        estimator, _ = part
    return path


def errors_of(estimator: BaseEstimator) -> Witnessing | None:
    """Return what knows the errors of a fitted estimator, None if nothing does.

    Examples
    --------
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> from sklearn_iso._certificates import errors_of
    >>> errors_of(DecisionTreeClassifier().fit([[0.0], [1.0]], [0, 1])).is_single
    True
    """
    last, steps = last_step(estimator)
    builder = _build.dispatch(type(last))
    if builder not in _know_errors or not all(map(is_plain, _nested(estimator))):
        return None
    try:
        certifier = builder(last, steps)
    except NotCertifiableError:
        return None
    return certifier if isinstance(certifier, Witnessing) else None


def last_step(estimator: BaseEstimator) -> tuple[BaseEstimator, Steps]:
    """Return the estimator that predicts at the end of pipelines, and the steps before it."""
    check_is_fitted(estimator)
    steps: Steps = ()
    while (part := _unwrap(estimator)) is not None:
        estimator, before = part
        steps += before
    return estimator, steps


def _nested(estimator: BaseEstimator) -> Iterator[BaseEstimator]:
    """Yield an estimator, what predicts inside of it, and so on."""
    yield estimator
    while (part := _unwrap(estimator)) is not None:
        estimator = part[0]
        yield estimator


def check_plain(estimator: BaseEstimator) -> None:
    """Raise an error where an estimator, or what predicts inside of it, overrides predict.

    Raises
    ------
    NotCertifiableError
        If one does.
    """
    for part in _nested(estimator):
        if not is_plain(part):
            own = "it predicts otherwise than the class that it derives from; predict is its own"
            raise NotCertifiableError(part, reason=own)


def is_plain(estimator: BaseEstimator, *also: type) -> bool:
    """Return whether an estimator predicts as the class that is known, its own or an ancestor."""
    known = {*_build.registry, *build_ranges.registry, *_unwrap.registry, *also}
    return keeps(estimator, known - {object, BaseEstimator}, DECIDING)


def keeps(estimator: object, known: Collection[type], names: Iterable[str]) -> bool:
    """Return whether methods are those of the known class that an estimator is of, or derives from.

    Examples
    --------
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_iso._certificates.registry import keeps
    >>> class Other(StandardScaler):
    ...     def transform(self, X):
    ...         return -X
    >>> [keeps(one, {StandardScaler}, ["transform"]) for one in (StandardScaler(), Other())]
    [True, False]
    """
    own = type(estimator)
    kind = next((base for base in own.__mro__ if base in known), own)
    return not any(
        name in vars(estimator)
        or getattr_static(own, name, None) is not getattr_static(kind, name, None)
        for name in names
    )


@unwrap(Pipeline)
def _pipeline(pipeline: Pipeline) -> tuple[BaseEstimator, Steps]:
    *before, (_, last) = pipeline.steps
    return last, tuple((name, step) for name, step in before if not _passes(step))


def _passes(step: object) -> bool:
    return step is None or (isinstance(step, str) and step == "passthrough")


@unwrap(BaseSearchCV)
def _search(search: BaseSearchCV) -> tuple[BaseEstimator, Steps]:
    return search.best_estimator_, ()


@unwrap(FrozenEstimator)
def _frozen(frozen: FrozenEstimator) -> tuple[BaseEstimator, Steps]:
    return frozen.estimator, ()


refuse(
    GaussianNB,
    QuadraticDiscriminantAnalysis,
    reason="its scores are quadratic, and bounds are known of linear ones; "
    "LinearDiscriminantAnalysis has them",
)
refuse(
    KNeighborsRegressor,
    RadiusNeighborsRegressor,
    reason="there is no bound of what means of neighbours may be; trees and networks have one",
)
refuse(
    GaussianProcessRegressor,
    KernelRidge,
    reason="there is no bound of sums of kernels; linear regressors, trees and networks have one",
)
