"""Twins of linear projections."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import sparray
from sklearn.base import BaseEstimator
from sklearn.cross_decomposition import CCA, PLSSVD, PLSCanonical, PLSRegression
from sklearn.decomposition import (
    PCA,
    FactorAnalysis,
    FastICA,
    IncrementalPCA,
    MiniBatchSparsePCA,
    SparsePCA,
    TruncatedSVD,
)
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.neighbors import NeighborhoodComponentsAnalysis
from sklearn.random_projection import GaussianRandomProjection, SparseRandomProjection
from torch import Tensor, nn

from sklearn_iso.twins._affine import constant
from sklearn_iso.twins._registry import NotDifferentiableError, register
from sklearn_iso.twins._responses import Chain
from sklearn_iso.twins._scalers import Standardize


class Project(nn.Module):
    """``X @ directions`` with the directions in float64, cast to the dtype of X.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._projections import Project
    >>> Project([[1.0], [2.0]])(torch.ones(1, 2))
    tensor([[3.]])
    """

    directions: Tensor

    def __init__(self, directions: ArrayLike) -> None:
        super().__init__()
        self.register_buffer("directions", constant(directions))

    def forward(self, X: Tensor) -> Tensor:
        """Return the coordinates along the directions."""
        return X @ self.directions.to(X)


@register(PCA)
@register(IncrementalPCA)
def _pca(pca: PCA) -> nn.Module:
    directions = pca.components_.T
    if pca.whiten:
        scale = np.sqrt(pca.explained_variance_)
        directions = directions / np.maximum(scale, np.finfo(scale.dtype).eps)
    return _centred(pca.mean_, directions)


def _centred(mean: ArrayLike, directions: ArrayLike) -> nn.Module:
    # Centred first: a large mean would cost digits in float32.
    return Chain(Standardize(mean, None), Project(directions))


@register(TruncatedSVD)
@register(NeighborhoodComponentsAnalysis)
@register(GaussianRandomProjection)
@register(SparseRandomProjection)
def _components(projection: BaseEstimator) -> nn.Module:
    return Project(_dense(projection.components_).T)


def _dense(matrix: NDArray | sparray) -> NDArray:
    return np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix)


@register(FastICA)
def _independent_components(ica: FastICA) -> nn.Module:
    if not ica.whiten:
        return Project(ica.components_.T)
    return _centred(ica.mean_, ica.components_.T)


@register(FactorAnalysis)
def _factors(analysis: FactorAnalysis) -> nn.Module:
    loadings = np.asarray(analysis.components_)
    weighted = loadings / analysis.noise_variance_
    precision = np.eye(len(loadings)) + weighted @ loadings.T
    return _centred(analysis.mean_, np.linalg.solve(precision.T, weighted).T)


@register(SparsePCA)
@register(MiniBatchSparsePCA)
def _sparse_pca(pca: SparsePCA) -> nn.Module:
    components = np.asarray(pca.components_)
    gram = components @ components.T + pca.ridge_alpha * np.eye(len(components))
    return _centred(pca.mean_, np.linalg.solve(gram, components).T)


# All but PLSSVD also predict.
@register(PLSCanonical, transform=True)
@register(PLSRegression, transform=True)
@register(CCA, transform=True)
def _partial_least_squares(pls: BaseEstimator) -> nn.Module:
    return Chain(Standardize(pls._x_mean, pls._x_std), Project(pls.x_rotations_))


@register(PLSSVD)
def _cross_covariance(pls: PLSSVD) -> nn.Module:
    return Chain(Standardize(pls._x_mean, pls._x_std), Project(pls.x_weights_))


@register(LinearDiscriminantAnalysis, transform=True)
def _discriminant_directions(lda: LinearDiscriminantAnalysis) -> nn.Module:
    if lda.solver == "lsqr":
        reason = "with solver='lsqr' it has no transform; use 'svd' or 'eigen'"
        raise NotDifferentiableError(lda, reason=reason)
    directions = Project(lda.scalings_[:, : lda._max_components])
    if lda.solver == "eigen":
        return directions
    return Chain(Standardize(lda.xbar_, None), directions)
