"""Twins of regressors: linear models, generalized ones, kernels and networks."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn import linear_model
from sklearn.base import BaseEstimator
from sklearn.cross_decomposition import CCA, PLSCanonical, PLSRegression
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import GammaRegressor, PoissonRegressor, RANSACRegressor, TweedieRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.svm import SVR, LinearSVR, NuSVR
from torch import Tensor, nn

from sklearn_iso.twins._affine import Linear
from sklearn_iso.twins._kernels import KERNELS, Kernel
from sklearn_iso.twins._neural import ACTIVATIONS
from sklearn_iso.twins._registry import NotDifferentiableError, register, twin_of_step
from sklearn_iso.twins._responses import Chain
from sklearn_iso.twins._scalers import Standardize
from sklearn_iso.twins._support_vectors import KERNELS_OF_LIBSVM

LINEAR = (
    "ARDRegression BayesianRidge ElasticNet ElasticNetCV HuberRegressor Lars LarsCV Lasso LassoCV "
    "LassoLars LassoLarsCV LassoLarsIC LinearRegression MultiTaskElasticNet MultiTaskElasticNetCV "
    "MultiTaskLasso MultiTaskLassoCV OrthogonalMatchingPursuit OrthogonalMatchingPursuitCV "
    "PassiveAggressiveRegressor QuantileRegressor Ridge RidgeCV SGDRegressor TheilSenRegressor"
).split()


class Exponential(nn.Module):
    """The inverse of a logarithmic link.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._regressors import Exponential
    >>> Exponential()(torch.zeros(1, 1))
    tensor([[1.]])
    """

    def forward(self, X: Tensor) -> Tensor:
        """Return the exponential."""
        return torch.exp(X)


def _dense(values: NDArray) -> NDArray:
    return np.asarray(values.toarray() if hasattr(values, "toarray") else values)


def _linear(regressor: BaseEstimator) -> nn.Module:
    coef = np.atleast_2d(_dense(regressor.coef_))
    return Linear(coef.T, np.ravel(regressor.intercept_) * np.ones(len(coef)))


for _name in LINEAR:
    if hasattr(linear_model, _name):  # one is deprecated in scikit-learn 1.8
        register(getattr(linear_model, _name))(_linear)
register(LinearSVR)(_linear)


@register(PoissonRegressor)
@register(GammaRegressor)
def _log_linear(regressor: BaseEstimator) -> nn.Module:
    return Chain(_linear(regressor), Exponential())


@register(TweedieRegressor)
def _tweedie(regressor: TweedieRegressor) -> nn.Module:
    by_power = "identity" if regressor.power <= 0 else "log"
    link = by_power if regressor.link == "auto" else regressor.link
    return _linear(regressor) if link == "identity" else _log_linear(regressor)


@register(RANSACRegressor)
def _consensus(regressor: RANSACRegressor) -> nn.Module:
    return twin_of_step("estimator_", regressor.estimator_)


@register(PLSRegression)
@register(PLSCanonical)
@register(CCA)
def _partial_least_squares(pls: BaseEstimator) -> nn.Module:
    return Chain(Standardize(pls._x_mean, None), Linear(pls.coef_.T, pls.intercept_))


@register(KernelRidge)
def _kernel_ridge(regressor: KernelRidge) -> nn.Module:
    if regressor.kernel not in KERNELS:
        reason = f"kernel={regressor.kernel!r} has no torch form; use one of {tuple(KERNELS)}"
        raise NotDifferentiableError(regressor, reason=reason)
    points = _dense(regressor.X_fit_)
    coef = np.asarray(regressor.dual_coef_)
    return Kernel(
        points,
        coef[:, None] if coef.ndim == 1 else coef,
        0.0,
        regressor.kernel,
        gamma=1 / points.shape[1] if regressor.gamma is None else regressor.gamma,
        coef0=regressor.coef0,
        degree=regressor.degree,
    )


@register(SVR)
@register(NuSVR)
def _support_vectors(regressor: BaseEstimator) -> nn.Module:
    if regressor.kernel not in KERNELS_OF_LIBSVM:
        reason = f"kernel={regressor.kernel!r} has no torch form; use one of {KERNELS_OF_LIBSVM}"
        raise NotDifferentiableError(regressor, reason=reason)
    points, dual = _dense(regressor.support_vectors_), _dense(regressor.dual_coef_)
    if regressor.kernel == "linear":
        return Linear(points.T @ dual.T, regressor.intercept_)
    return Kernel(
        points,
        dual.T,
        regressor.intercept_,
        regressor.kernel,
        gamma=regressor._gamma,
        coef0=regressor.coef0,
        degree=regressor.degree,
    )


@register(MLPRegressor)
def _network(regressor: MLPRegressor) -> nn.Module:
    layers: list[nn.Module] = []
    for coef, intercept in zip(regressor.coefs_, regressor.intercepts_, strict=True):
        layers += [Linear(coef, intercept), ACTIVATIONS[regressor.activation]()]
    last = Exponential() if regressor.out_activation_ == "exp" else nn.Identity()
    return nn.Sequential(*layers[:-1], last)
