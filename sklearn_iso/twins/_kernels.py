"""Kernels and distances to fixed points, in memory that the number of points bounds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sklearn_iso.twins._affine import constant
from sklearn_iso.twins._scalers import Normalize

# Entries of the largest block of (samples, points) that is held at once: 32 MiB in float64.
BLOCK = 2**22


def by_rows(function: Callable[[Tensor], Tensor], X: Tensor, n_points: int) -> Tensor:
    """Apply a function to blocks of samples; their gradients recompute them.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._kernels import by_rows
    >>> by_rows(torch.square, torch.tensor([[1.0], [2.0], [3.0]]), n_points=2**22).T
    tensor([[1., 4., 9.]])
    """
    n_rows = max(1, BLOCK // max(1, n_points))
    if len(X) <= n_rows:
        return function(X)
    run: Callable[[Tensor], Tensor] = function
    if torch.is_grad_enabled() and X.requires_grad:
        run = partial(checkpoint, function, use_reentrant=False, preserve_rng_state=False)
    return torch.cat([run(rows) for rows in X.split(n_rows)])


def squared_distances(X: Tensor, points: Tensor) -> Tensor:
    """Return squared Euclidean distances by the Gram expansion, of shape (n, n_points).

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._kernels import squared_distances
    >>> squared_distances(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]]))
    tensor([[25.]])
    """
    # Distances do not see the centre, but the expansion loses digits far from 0.
    centre = points.mean(dim=0)
    X, points = X - centre, points - centre
    squares = X.square().sum(dim=1, keepdim=True) + points.square().sum(dim=1)
    return (squares - 2 * X @ points.T).clamp_min(0)


def _linear(X: Tensor, points: Tensor, kernel: Kernel) -> Tensor:
    return X @ points.T


def _poly(X: Tensor, points: Tensor, kernel: Kernel) -> Tensor:
    return (kernel.gamma * (X @ points.T) + kernel.coef0) ** kernel.degree


def _rbf(X: Tensor, points: Tensor, kernel: Kernel) -> Tensor:
    return torch.exp(-kernel.gamma * squared_distances(X, points))


def _sigmoid(X: Tensor, points: Tensor, kernel: Kernel) -> Tensor:
    return torch.tanh(kernel.gamma * (X @ points.T) + kernel.coef0)


def _laplacian(X: Tensor, points: Tensor, kernel: Kernel) -> Tensor:
    return torch.exp(-kernel.gamma * torch.cdist(X, points, p=1.0))


def _cosine(X: Tensor, points: Tensor, kernel: Kernel) -> Tensor:
    normalize = Normalize("l2")
    return normalize(X) @ normalize(points).T


KERNELS: dict[str, Callable[[Tensor, Tensor, Kernel], Tensor]] = {
    "linear": _linear,
    "poly": _poly,
    "polynomial": _poly,
    "rbf": _rbf,
    "sigmoid": _sigmoid,
    "laplacian": _laplacian,
    "cosine": _cosine,
}


class Kernel(nn.Module):
    """Kernel values between X and fixed points times coefficients, plus intercepts.

    Parameters
    ----------
    points : array-like of shape (n_points, n_features)
    coef : array-like of shape (n_points, n_outputs)
    intercept : array-like of shape (n_outputs,) or ()
    name : str
        A key of KERNELS.
    gamma, coef0, degree : float
        Factor of the products or distances, number added to the products, and their power.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._kernels import Kernel
    >>> kernel = Kernel([[1.0, 2.0]], [[3.0]], 1.0, "linear")
    >>> kernel(torch.tensor([[1.0, 1.0]]))
    tensor([[10.]])
    """

    points: Tensor
    coef: Tensor
    intercept: Tensor

    def __init__(
        self,
        points: ArrayLike,
        coef: ArrayLike,
        intercept: ArrayLike,
        name: str,
        *,
        gamma: float = 1.0,
        coef0: float = 0.0,
        degree: float = 3,
    ) -> None:
        super().__init__()
        self.register_buffer("points", constant(points))
        self.register_buffer("coef", constant(coef))
        self.register_buffer("intercept", constant(intercept))
        self.name = name
        self.gamma, self.coef0, self.degree = float(gamma), float(coef0), degree

    def forward(self, X: Tensor) -> Tensor:
        """Return outputs of shape (n, n_outputs)."""
        points, coef = self.points.to(X), self.coef.to(X)

        def rows(X: Tensor) -> Tensor:
            return KERNELS[self.name](X, points, self) @ coef

        return by_rows(rows, X, len(points)) + self.intercept.to(X)
