"""Transformers before an estimator that are affine maps of X, composed to one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA, FactorAnalysis, FastICA, IncrementalPCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.feature_selection import RFE, SelectorMixin
from sklearn.impute import SimpleImputer
from sklearn.neighbors import NeighborhoodComponentsAnalysis
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    RobustScaler,
    StandardScaler,
)
from sklearn.random_projection import GaussianRandomProjection, SparseRandomProjection

from sklearn_iso._certificates.beside import Beside
from sklearn_iso._certificates.columnwise import (
    check_keeps_transform,
    filled_columns,
    is_word,
    quietly,
)
from sklearn_iso._certificates.registry import Steps
from sklearn_iso._protocols import Transformer
from sklearn_iso.exceptions import NotCertifiableError
from sklearn_iso.twins import as_torch
from sklearn_iso.twins._columns import positions_of


@dataclass(frozen=True, eq=False)
class Affine:
    r"""A map :math:`x \mapsto x^\top A + b` that knows how large what it adds up may be.

    Parameters
    ----------
    matrix : ndarray of shape (n_features, n_outputs)
        A.
    apply : callable
        The map, in the arithmetic of the transformers.
    weight : ndarray of shape (n_features, n_outputs)
    offset : ndarray of shape (n_outputs,)
        A and b of the same map with all its parts as absolute values: what rounds in a sum.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_iso._certificates.affine import affine
    >>> scaler = StandardScaler().fit([[0.0], [4.0]])
    >>> affine((("scale", scaler),), n_features=1).matrix
    array([[0.5]])
    """

    matrix: NDArray
    apply: Callable[[NDArray], NDArray]
    weight: NDArray
    offset: NDArray

    @classmethod
    def of(cls, matrix: NDArray, apply: Callable[[NDArray], NDArray]) -> Affine:
        """Return a map of one part."""
        at_zero = np.asarray(quietly(apply, np.zeros((1, len(matrix)))), dtype=np.float64)[0]
        return cls(matrix, apply, np.abs(matrix), np.abs(at_zero))

    def then(self, after: Affine) -> Affine:
        """Return this map and another of its outputs."""
        return Affine(
            self.matrix @ after.matrix,
            lambda X: after.apply(self.apply(X)),
            self.weight @ after.weight,
            self.offset @ after.weight + after.offset,
        )

    def sizes(self, X: NDArray) -> NDArray:
        """Return the sums of the absolute values that are added up."""
        return np.abs(np.nan_to_num(np.asarray(X, dtype=np.float64))) @ self.weight + self.offset


def affine(steps: Steps, n_features: int) -> Affine:
    """Return affine steps as one map.

    Raises
    ------
    NotCertifiableError
        If a step is not known to be affine.
    """
    whole = Affine.of(np.eye(n_features), lambda X: X)
    for name, step in steps:
        try:
            check_keeps_transform(step, _part.registry)
            whole = whole.then(_part(step, whole.matrix.shape[1]))
        except NotCertifiableError as error:
            raise error.within(name) from None
    return whole


@singledispatch
def _part(step: object, n_features: int) -> Affine:
    reason = (
        "it is not known to be affine; linear classifiers are certified behind scalers, "
        "projections such as PCA, SimpleImputer, selections and ColumnTransformers of these"
    )
    raise NotCertifiableError(step, reason=reason)


def _as_it_is(step: Transformer, matrix: NDArray) -> Affine:
    return Affine.of(matrix, lambda X: np.asarray(step.transform(X.copy())))


@_part.register(StandardScaler)
@_part.register(RobustScaler)
def _scaler(scaler: StandardScaler | RobustScaler, n_features: int) -> Affine:
    scales = scaler.with_std if isinstance(scaler, StandardScaler) else scaler.with_scaling
    return _as_it_is(scaler, np.diag(1 / scaler.scale_) if scales else np.eye(n_features))


@_part.register(MinMaxScaler)
@_part.register(MaxAbsScaler)
def _range_scaler(scaler: MinMaxScaler | MaxAbsScaler, n_features: int) -> Affine:
    if getattr(scaler, "clip", False):
        raise NotCertifiableError(scaler, reason="it clips; set clip=False")
    scale = scaler.scale_ if isinstance(scaler, MinMaxScaler) else 1 / scaler.scale_
    return _as_it_is(scaler, np.diag(scale))


@_part.register(SelectorMixin)
@_part.register(RFE)
def _selector(selector: SelectorMixin | RFE, n_features: int) -> Affine:
    return _selected(selector.get_support(indices=True), n_features)


def _selected(kept: NDArray, n_features: int) -> Affine:
    return Affine.of(np.eye(n_features)[:, kept], lambda X: X[:, kept])


@_part.register(SimpleImputer)
def _imputer(imputer: SimpleImputer, n_features: int) -> Affine:
    kept, n_indicators = filled_columns(imputer)
    matrix = np.hstack([np.eye(n_features)[:, kept], np.zeros((n_features, n_indicators))])
    return _as_it_is(imputer, matrix)


@_part.register(PCA)
@_part.register(IncrementalPCA)
@_part.register(TruncatedSVD)
@_part.register(FactorAnalysis)
@_part.register(FastICA)
@_part.register(GaussianRandomProjection)
@_part.register(SparseRandomProjection)
@_part.register(NeighborhoodComponentsAnalysis)
@_part.register(LinearDiscriminantAnalysis)
def _projection(projection: Transformer, n_features: int) -> Affine:
    variances = getattr(projection, "explained_variance_", np.ones(1))
    faintest = np.finfo(np.float64).eps * variances.max(initial=0.0)
    if getattr(projection, "whiten", False) and (variances <= faintest).any():
        reason = "it magnifies a direction without variance; lower n_components, or do not whiten"
        raise NotCertifiableError(projection, reason=reason)
    twin = as_torch(projection, transform=True)
    axes = torch.eye(n_features, dtype=torch.float64)
    return _as_it_is(projection, (twin(axes) - twin(torch.zeros_like(axes))).numpy())


@_part.register(FunctionTransformer)
def _function(transformer: FunctionTransformer, n_features: int) -> Affine:
    if transformer.func is not None:
        raise NotCertifiableError(transformer, reason="nothing is known of its func")
    return Affine.of(np.eye(n_features), lambda X: X)


@_part.register(Pipeline)
def _pipeline(pipeline: Pipeline, n_features: int) -> Affine:
    steps = [(name, step) for name, step in pipeline.steps if not is_word(step, "passthrough")]
    return affine(tuple(steps), n_features)


@_part.register(ColumnTransformer)
@_part.register(Beside)
def _column_transformer(transformer: ColumnTransformer | Beside, n_features: int) -> Affine:
    names = getattr(transformer, "feature_names_in_", None)
    branches = []
    for name, step, columns in transformer.transformers_:
        kept = positions_of(columns, n_features, names)
        if not is_word(step, "drop") and len(kept):
            branch = _selected(kept, n_features).then(_branch(name, step, len(kept)))
            branches.append(_times(branch, (transformer.transformer_weights or {}).get(name)))
    return _side_by_side(branches)


@_part.register(FeatureUnion)
def _union(union: FeatureUnion, n_features: int) -> Affine:
    weights = union.transformer_weights or {}
    named = [(name, step) for name, step in union.transformer_list if not is_word(step, "drop")]
    return _side_by_side(
        [_times(_branch(name, step, n_features), weights.get(name)) for name, step in named]
    )


def _branch(name: str, step: BaseEstimator | str, n_features: int) -> Affine:
    if is_word(step, "passthrough"):
        return Affine.of(np.eye(n_features), lambda X: X)
    return affine(((name, step),), n_features)


def _times(branch: Affine, weight: float | None) -> Affine:
    if weight is None:
        return branch
    return branch.then(Affine.of(np.eye(branch.matrix.shape[1]) * weight, lambda X: X * weight))


def _side_by_side(branches: list[Affine]) -> Affine:
    return Affine(
        np.hstack([one.matrix for one in branches]),
        lambda X: np.hstack([one.apply(X) for one in branches]),
        np.hstack([one.weight for one in branches]),
        np.concatenate([one.offset for one in branches]),
    )
