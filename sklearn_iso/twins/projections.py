"""Twins of linear projections."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from sklearn.decomposition import PCA, IncrementalPCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import Tensor, nn

from sklearn_iso.twins.affine import constant
from sklearn_iso.twins.registry import NotDifferentiableError, register
from sklearn_iso.twins.responses import Chain
from sklearn_iso.twins.scalers import Standardize


class Project(nn.Module):
    """``X @ directions`` with the directions in float64, cast to the dtype of X.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins.projections import Project
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
    # Centred first: a large mean would cost digits in float32.
    return Chain(Standardize(pca.mean_, None), Project(directions))


@register(TruncatedSVD)
def _truncated_svd(svd: TruncatedSVD) -> nn.Module:
    return Project(svd.components_.T)


@register(LinearDiscriminantAnalysis, transform=True)
def _discriminant_directions(lda: LinearDiscriminantAnalysis) -> nn.Module:
    if lda.solver == "lsqr":
        reason = "with solver='lsqr' it has no transform; use 'svd' or 'eigen'"
        raise NotDifferentiableError(lda, reason=reason)
    directions = Project(lda.scalings_[:, : lda._max_components])
    if lda.solver == "eigen":
        return directions
    return Chain(Standardize(lda.xbar_, None), directions)
