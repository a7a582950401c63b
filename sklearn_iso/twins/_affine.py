"""Modules of constants that follow the dtype and device of X."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn


def constant(values: ArrayLike) -> Tensor:
    """Return a float64 tensor of its own memory.

    Examples
    --------
    >>> from sklearn_iso.twins._affine import constant
    >>> constant([1, 2])
    tensor([1., 2.], dtype=torch.float64)
    """
    return torch.from_numpy(np.array(values, dtype=np.float64))


class Linear(nn.Module):
    """Affine map ``X @ coef + intercept`` with constants in float64, cast to the dtype of X.

    Parameters
    ----------
    coef : array-like of shape (n_features, n_outputs)
    intercept : array-like of shape (n_outputs,) or ()

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._affine import Linear
    >>> Linear([[1.0], [2.0]], [0.5])(torch.ones(1, 2))
    tensor([[3.5000]])
    """

    coef: Tensor
    intercept: Tensor

    def __init__(self, coef: ArrayLike, intercept: ArrayLike) -> None:
        super().__init__()
        self.register_buffer("coef", constant(coef))
        self.register_buffer("intercept", constant(intercept))

    def forward(self, X: Tensor) -> Tensor:
        """Return outputs of shape (n, n_outputs)."""
        return X @ self.coef.to(X) + self.intercept.to(X)


class TwoLogits(nn.Module):
    """Score of the second of two classes, shape (n, 1), as two logits (0, score).

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._affine import TwoLogits
    >>> TwoLogits()(torch.tensor([[3.0]]))
    tensor([[0., 3.]])
    """

    def forward(self, score: Tensor) -> Tensor:
        """Return logits of shape (n, 2)."""
        return torch.cat([torch.zeros_like(score), score], dim=1)
