"""Twins of classifiers with a Gaussian for each class."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.naive_bayes import GaussianNB
from torch import Tensor, nn

from sklearn_iso.twins._affine import constant
from sklearn_iso.twins._registry import register

# The joint log-likelihood of a class of prior 0; scikit-learn's is infinite.
NEVER = -1e30


class Gaussians(nn.Module):
    r"""Joint log-likelihoods ``offset - \|(X - mean) @ whitening\|^2 / 2`` of the classes.

    Less the largest of a row: near-constant features make them so large that float32 would
    round the classes' differences away. Computed in float64, as scikit-learn does.

    Parameters
    ----------
    means : array-like of shape (n_classes, n_features)
    whitenings : sequence of array-like
        For each class, of shape (n_features, rank), or (n_features,) for a diagonal one.
    offsets : array-like of shape (n_classes,)

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._gaussian import Gaussians
    >>> Gaussians([[0.0], [2.0]], [[1.0], [1.0]], [0.0, 1.0])(torch.tensor([[2.0]]))
    tensor([[-3.,  0.]])
    """

    means: Tensor
    offsets: Tensor

    def __init__(self, means: ArrayLike, whitenings: list[ArrayLike], offsets: ArrayLike) -> None:
        super().__init__()
        self.register_buffer("means", constant(means))
        self.register_buffer("offsets", constant(offsets))
        self.n_classes = len(whitenings)
        for column, whitening in enumerate(whitenings):
            self.register_buffer(f"whitening_{column}", constant(whitening))

    def forward(self, X: Tensor) -> Tensor:
        """Return log-likelihoods of shape (n, n_classes)."""
        # One class at a time: differences keep the digits that an expansion would lose.
        precise = X.to(torch.float64)
        squares = [self._square(precise, column) for column in range(self.n_classes)]
        scores = self.offsets.to(precise) - torch.stack(squares, dim=1) / 2
        return (scores - scores.amax(dim=1, keepdim=True)).to(X.dtype)

    def _square(self, X: Tensor, column: int) -> Tensor:
        whitening = self.get_buffer(f"whitening_{column}").to(X)
        centred = X - self.means[column].to(X)
        white = centred * whitening if whitening.ndim == 1 else centred @ whitening
        return white.square().sum(dim=1)


@register(GaussianNB)
def _naive_bayes(classifier: GaussianNB) -> nn.Module:
    spread = np.log(2 * np.pi * classifier.var_).sum(axis=1)
    prior = np.asarray(classifier.class_prior_)
    seen = prior > 0
    offsets = np.where(seen, np.log(np.where(seen, prior, 1)) - spread / 2, NEVER)
    return Gaussians(classifier.theta_, list(classifier.var_**-0.5), offsets)


@register(QuadraticDiscriminantAnalysis)
def _quadratic(classifier: QuadraticDiscriminantAnalysis) -> nn.Module:
    pairs = list(zip(classifier.rotations_, classifier.scalings_, strict=True))
    spread = np.array([np.log(scaling).sum() for _, scaling in pairs])
    whitenings = [rotation * scaling**-0.5 for rotation, scaling in pairs]
    return Gaussians(classifier.means_, whitenings, np.log(classifier.priors_) - spread / 2)
