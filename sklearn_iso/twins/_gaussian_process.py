"""The twin of a Gaussian process: its mean, by covariances of the kernels of scikit-learn."""

from __future__ import annotations

import copy
import math
from functools import singledispatch

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import (
    RBF,
    ConstantKernel,
    DotProduct,
    Exponentiation,
    ExpSineSquared,
    Kernel,
    Matern,
    Product,
    RationalQuadratic,
    Sum,
    WhiteKernel,
)
from torch import Tensor, nn

from sklearn_iso.twins._affine import constant
from sklearn_iso.twins._kernels import by_rows, squared_distances
from sklearn_iso.twins._registry import NotDifferentiableError, register

#: Matern kernels by nu: what multiplies the distance, and the polynomial before exp(-distance).
MATERN = {0.5: (1.0, (1.0,)), 1.5: (3**0.5, (1.0, 1.0)), 2.5: (5**0.5, (1.0, 1.0, 1 / 3))}
KNOWN = (
    ConstantKernel, DotProduct, Exponentiation, ExpSineSquared, Matern, Product, RBF,
    RationalQuadratic, Sum, WhiteKernel,
)  # fmt: skip


@singledispatch
def covariance(kernel: Kernel, X: Tensor, points: Tensor) -> Tensor:
    """Return the values of a kernel between X and other points, of shape (n, n_points).

    Examples
    --------
    >>> import torch
    >>> from sklearn.gaussian_process.kernels import RBF
    >>> from sklearn_iso.twins._gaussian_process import covariance
    >>> covariance(2 * RBF(), torch.zeros(1, 1), torch.zeros(1, 1))
    tensor([[2.]])
    """
    raise NotImplementedError(type(kernel).__name__)


def _scaled_squares(X: Tensor, points: Tensor, length_scale: ArrayLike) -> Tensor:
    scale = torch.as_tensor(np.asarray(length_scale, dtype=np.float64)).to(X)
    return squared_distances(X / scale, points / scale)


def _root(squares: Tensor) -> Tensor:
    # The root has no slope at 0.
    return squares.clamp_min(torch.finfo(squares.dtype).tiny).sqrt()


@covariance.register(ConstantKernel)
def _constant(kernel: ConstantKernel, X: Tensor, points: Tensor) -> Tensor:
    return X.new_full((len(X), len(points)), float(kernel.constant_value))


@covariance.register(WhiteKernel)
def _white(kernel: WhiteKernel, X: Tensor, points: Tensor) -> Tensor:
    return X.new_zeros(len(X), len(points))  # noise that no two points share


@covariance.register(RBF)
def _gaussian(kernel: RBF, X: Tensor, points: Tensor) -> Tensor:
    return torch.exp(-_scaled_squares(X, points, kernel.length_scale) / 2)


@covariance.register(Matern)
def _matern(kernel: Matern, X: Tensor, points: Tensor) -> Tensor:
    squares = _scaled_squares(X, points, kernel.length_scale)
    if math.isinf(kernel.nu):
        return torch.exp(-squares / 2)
    factor, polynomial = MATERN[kernel.nu]
    distance = factor * _root(squares)
    powers = torch.stack([c * distance**power for power, c in enumerate(polynomial)])
    return powers.sum(dim=0) * torch.exp(-distance)


@covariance.register(RationalQuadratic)
def _rational(kernel: RationalQuadratic, X: Tensor, points: Tensor) -> Tensor:
    squares = squared_distances(X, points)
    return (1 + squares / (2 * kernel.alpha * kernel.length_scale**2)) ** -kernel.alpha


@covariance.register(ExpSineSquared)
def _periodic(kernel: ExpSineSquared, X: Tensor, points: Tensor) -> Tensor:
    angle = math.pi / kernel.periodicity * _root(squared_distances(X, points))
    return torch.exp(-2 * (torch.sin(angle) / kernel.length_scale) ** 2)


@covariance.register(DotProduct)
def _dot(kernel: DotProduct, X: Tensor, points: Tensor) -> Tensor:
    return X @ points.T + float(kernel.sigma_0) ** 2


@covariance.register(Sum)
def _sum(kernel: Sum, X: Tensor, points: Tensor) -> Tensor:
    return covariance(kernel.k1, X, points) + covariance(kernel.k2, X, points)


@covariance.register(Product)
def _product(kernel: Product, X: Tensor, points: Tensor) -> Tensor:
    return covariance(kernel.k1, X, points) * covariance(kernel.k2, X, points)


@covariance.register(Exponentiation)
def _power(kernel: Exponentiation, X: Tensor, points: Tensor) -> Tensor:
    return covariance(kernel.kernel, X, points) ** float(kernel.exponent)


class Mean(nn.Module):
    """Mean of a Gaussian process.

    Parameters
    ----------
    kernel : kernel of scikit-learn
    points : array-like of shape (n_points, n_features)
    coef : array-like of shape (n_points, n_outputs)
    scale, centre : array-like of shape (n_outputs,) or ()
        Standard deviation and mean of y.

    Examples
    --------
    >>> import torch
    >>> from sklearn.gaussian_process.kernels import RBF
    >>> from sklearn_iso.twins._gaussian_process import Mean
    >>> Mean(RBF(), [[0.0]], [[3.0]], 1.0, 0.5)(torch.zeros(1, 1))
    tensor([[3.5000]])
    """

    points: Tensor
    coef: Tensor
    scale: Tensor
    centre: Tensor

    def __init__(
        self,
        kernel: Kernel,
        points: ArrayLike,
        coef: ArrayLike,
        scale: ArrayLike,
        centre: ArrayLike,
    ) -> None:
        super().__init__()
        self.kernel = copy.deepcopy(kernel)
        named = {"points": points, "coef": coef, "scale": scale, "centre": centre}
        for name, values in named.items():
            self.register_buffer(name, constant(values))

    def forward(self, X: Tensor) -> Tensor:
        """Return the mean at X, of shape (n, n_outputs)."""
        points, coef = self.points.to(X), self.coef.to(X)

        def rows(X: Tensor) -> Tensor:
            return covariance(self.kernel, X, points) @ coef

        return by_rows(rows, X, len(points)) * self.scale.to(X) + self.centre.to(X)


@register(GaussianProcessRegressor)
def _gaussian_process(regressor: GaussianProcessRegressor) -> nn.Module:
    unknown = _unknown(regressor.kernel_)
    if unknown:
        names = ", ".join(kind.__name__ for kind in KNOWN)
        reason = f"kernel {unknown} has no torch form; use {names}"
        raise NotDifferentiableError(regressor, reason=reason)
    alpha = np.asarray(regressor.alpha_)
    return Mean(
        regressor.kernel_,
        regressor.X_train_,
        alpha[:, None] if alpha.ndim == 1 else alpha,
        regressor._y_train_std,
        regressor._y_train_mean,
    )


def _unknown(kernel: Kernel) -> str:
    """Return the part of a kernel that has no torch form, or nothing."""
    if isinstance(kernel, Sum | Product):
        return _unknown(kernel.k1) or _unknown(kernel.k2)
    if isinstance(kernel, Exponentiation):
        return _unknown(kernel.kernel)
    matern = isinstance(kernel, Matern) and kernel.nu not in (*MATERN, np.inf)
    return repr(kernel) if type(kernel) not in KNOWN or matern else ""
