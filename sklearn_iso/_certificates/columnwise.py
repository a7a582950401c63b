"""Transformers before an estimator that move each column by itself, and never turn it around."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import singledispatch

import numpy as np
import sklearn
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.feature_selection import RFE, SelectorMixin
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    RobustScaler,
    StandardScaler,
)

from sklearn_iso._certificates.beside import Beside
from sklearn_iso._certificates.registry import Steps, keeps
from sklearn_iso._protocols import Transformer
from sklearn_iso._silence import without_warnings
from sklearn_iso.exceptions import NotCertifiableError
from sklearn_iso.twins._columns import positions_of

Apply = Callable[[NDArray], NDArray]


@dataclass(frozen=True, eq=False)
class Columnwise:
    """A map of columns, each of which follows one column of X and grows or falls with it.

    Parameters
    ----------
    source : ndarray of int, shape (n_columns,)
        The column of X that each column follows.
    apply : callable
        Maps X (n, n_features) to the columns, in the arithmetic of the transformers.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_iso._certificates.columnwise import columnwise
    >>> scaler = StandardScaler().fit([[0.0, 1.0], [2.0, 5.0]])
    >>> columnwise((("scale", scaler),), n_features=2).apply(np.array([[2.0, 3.0]]))
    array([[1., 0.]])
    """

    source: NDArray
    apply: Apply

    def then(self, after: Columnwise) -> Columnwise:
        """Return this map and another of its columns."""
        return Columnwise(self.source[after.source], lambda X: after.apply(self.apply(X)))

    def of(self, X: NDArray) -> NDArray:
        """Return the columns of X, also of values that the transformers would refuse."""
        return quietly(self.apply, X)


def quietly(function: Apply, X: NDArray) -> NDArray:
    """Return what a function of scikit-learn gives for an array: without checks and warnings."""
    settings = sklearn.config_context(assume_finite=True, transform_output="default")
    with settings, without_warnings(), np.errstate(all="ignore"):
        return function(np.array(X))


@singledispatch
def _part(step: object, n_features: int) -> Columnwise:
    reason = (
        "it mixes columns, or is not known to keep their order; trees are certified behind "
        "scalers, SimpleImputer, selections of features and ColumnTransformers of these"
    )
    raise NotCertifiableError(step, reason=reason)


def columnwise(steps: Steps, n_features: int) -> Columnwise:
    """Return steps that act on columns one by one as one map.

    Raises
    ------
    NotCertifiableError
        If a step is another.
    """
    whole = Columnwise(np.arange(n_features), lambda X: X)
    for name, step in steps:
        try:
            check_keeps_transform(step, _part.registry)
            whole = whole.then(_part(step, len(whole.source)))
        except NotCertifiableError as error:
            raise error.within(name) from None
    return whole


def check_keeps_transform(step: object, known: Collection[type]) -> None:
    """Raise an error if a step overrides the transform of the class that is known.

    Raises
    ------
    NotCertifiableError
        If it does.
    """
    if not keeps(step, set(known) - {object}, ["transform"]):
        reason = "it transforms otherwise than the class that it derives from"
        raise NotCertifiableError(step, reason=reason)


@_part.register(StandardScaler)
@_part.register(MinMaxScaler)
@_part.register(RobustScaler)
@_part.register(MaxAbsScaler)
@_part.register(Binarizer)
def _scaler(scaler: Transformer, n_features: int) -> Columnwise:
    return Columnwise(np.arange(n_features), lambda X: np.asarray(scaler.transform(X.copy())))


@_part.register(SelectorMixin)
def _selector(selector: SelectorMixin, n_features: int) -> Columnwise:
    return _selected(selector.get_support(indices=True))


def _selected(kept: NDArray) -> Columnwise:
    return Columnwise(kept, lambda X: X[:, kept])


_part.register(RFE, _selector)


@_part.register(SimpleImputer)
def _imputer(imputer: SimpleImputer, n_features: int) -> Columnwise:
    kept, n_indicators = filled_columns(imputer)
    if n_indicators:
        kept = np.concatenate([kept, imputer.indicator_.features_])
    return Columnwise(kept, lambda X: np.asarray(imputer.transform(X.copy())))


def filled_columns(imputer: SimpleImputer) -> tuple[NDArray, int]:
    """Return the columns that an imputer fills, and how many tell what is missing.

    Raises
    ------
    NotCertifiableError
        If a number stands for what is missing.
    """
    missing = imputer.missing_values
    if missing is not None and not np.isnan(missing):
        reason = f"missing_values={missing!r} is a value in between others; use NaN"
        raise NotCertifiableError(imputer, reason=reason)
    kept = np.arange(imputer.n_features_in_)
    if not imputer.keep_empty_features:
        kept = np.flatnonzero(~np.isnan(np.asarray(imputer.statistics_, dtype=np.float64)))
    return kept, 0 if imputer.indicator_ is None else len(imputer.indicator_.features_)


@_part.register(FunctionTransformer)
def _function(transformer: FunctionTransformer, n_features: int) -> Columnwise:
    if transformer.func is not None:
        raise NotCertifiableError(transformer, reason="nothing is known of its func")
    return Columnwise(np.arange(n_features), lambda X: X)


@_part.register(Pipeline)
def _pipeline(pipeline: Pipeline, n_features: int) -> Columnwise:
    steps = [(name, step) for name, step in pipeline.steps if not is_word(step, "passthrough")]
    return columnwise(tuple(steps), n_features)


@_part.register(ColumnTransformer)
@_part.register(Beside)
def _column_transformer(transformer: ColumnTransformer | Beside, n_features: int) -> Columnwise:
    _check_no_weights(transformer)
    names = getattr(transformer, "feature_names_in_", None)
    branches = []
    for name, step, columns in transformer.transformers_:
        kept = positions_of(columns, n_features, names)
        if not is_word(step, "drop") and len(kept):
            branches.append(_selected(kept).then(_branch(name, step, len(kept))))
    return _side_by_side(branches)


@_part.register(FeatureUnion)
def _union(union: FeatureUnion, n_features: int) -> Columnwise:
    _check_no_weights(union)
    named = [(name, step) for name, step in union.transformer_list if not is_word(step, "drop")]
    return _side_by_side([_branch(name, step, n_features) for name, step in named])


def _check_no_weights(transformer: ColumnTransformer | Beside | FeatureUnion) -> None:
    if transformer.transformer_weights:
        reason = "transformer_weights are not supported; leave them out, as trees do without"
        raise NotCertifiableError(transformer, reason=reason)


def _branch(name: str, step: object, n_features: int) -> Columnwise:
    if is_word(step, "passthrough"):
        return Columnwise(np.arange(n_features), lambda X: X)
    try:
        check_keeps_transform(step, _part.registry)
        return _part(step, n_features)
    except NotCertifiableError as error:
        raise error.within(name) from None


def _side_by_side(branches: list[Columnwise]) -> Columnwise:
    source = np.concatenate([branch.source for branch in branches])
    return Columnwise(source, lambda X: np.hstack([branch.apply(X) for branch in branches]))


def is_word(step: object, word: str) -> bool:
    """Return whether a step is "drop" or "passthrough" and no transformer."""
    return (step is None and word == "passthrough") or (isinstance(step, str) and step == word)
