"""Twins of transformers that add features: polynomials and kernel approximations."""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.decomposition import KernelPCA
from sklearn.kernel_approximation import (
    AdditiveChi2Sampler,
    Nystroem,
    PolynomialCountSketch,
    RBFSampler,
    SkewedChi2Sampler,
)
from sklearn.preprocessing import PolynomialFeatures
from torch import Tensor, nn

from sklearn_iso._protocols import Samples, is_sparse
from sklearn_iso.twins._affine import Linear, constant
from sklearn_iso.twins._kernels import KERNELS, Kernel
from sklearn_iso.twins._registry import NotDifferentiableError, register
from sklearn_iso.twins._responses import Chain


class Monomials(nn.Module):
    """Products of powers of the features; gradients stay finite at 0.

    Parameters
    ----------
    powers : array-like of shape (n_outputs, n_features)

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._expansions import Monomials
    >>> Monomials([[0, 0], [1, 2]])(torch.tensor([[2.0, 3.0]]))
    tensor([[ 1., 18.]])
    """

    factors: Tensor

    def __init__(self, powers: ArrayLike) -> None:
        super().__init__()
        powers = np.asarray(powers)
        n_features, degree = powers.shape[1], int(powers.sum(axis=1).max(initial=0))
        # Each output is a product of `degree` columns; the last column of X is made of ones.
        factors = np.full((degree, len(powers)), n_features)
        for output, row in enumerate(powers):
            listed = np.repeat(np.arange(n_features), row)
            factors[: len(listed), output] = listed
        self.register_buffer("factors", torch.from_numpy(factors))

    def forward(self, X: Tensor) -> Tensor:
        """Return the products."""
        X = torch.cat([X, torch.ones_like(X[:, :1])], dim=1)
        outputs = X.new_ones(X.shape[0], self.factors.shape[1])
        for columns in self.factors:
            outputs = outputs * X[:, columns]
        return outputs


class Cosine(nn.Module):
    """``amplitude * cos(X)``.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._expansions import Cosine
    >>> Cosine(2.0)(torch.zeros(1))
    tensor([2.])
    """

    def __init__(self, amplitude: float) -> None:
        super().__init__()
        self.amplitude = amplitude

    def forward(self, X: Tensor) -> Tensor:
        """Return the waves."""
        return self.amplitude * X.cos()


class LogOfShifted(nn.Module):
    """``log(X + shift)``, constant where scikit-learn raises: from -shift downwards.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._expansions import LogOfShifted
    >>> LogOfShifted(1.0)(torch.zeros(1))
    tensor([0.])
    """

    def __init__(self, shift: float) -> None:
        super().__init__()
        self.shift = float(shift)

    def forward(self, X: Tensor) -> Tensor:
        """Return the logarithms."""
        return (X + self.shift).clamp_min(torch.finfo(X.dtype).tiny).log()


class AdditiveChi2(nn.Module):
    """Waves of the logarithm of every feature times its root, sampled at so many steps.

    0 at 0, with gradient 0, and below, where scikit-learn raises.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._expansions import AdditiveChi2
    >>> AdditiveChi2(n_steps=1, interval=1.0)(torch.tensor([[4.0, 0.0]]))
    tensor([[2., 0.]])
    """

    def __init__(self, n_steps: int, interval: float) -> None:
        super().__init__()
        self.n_steps, self.interval = n_steps, float(interval)

    def forward(self, X: Tensor) -> Tensor:
        """Return the root of each feature, then a cosine and a sine of each for every step."""
        positive = X > 0
        values = torch.where(positive, X, 1)
        roots, angles = (values * self.interval).sqrt(), values.log() * self.interval
        columns = [roots]
        for step in range(1, self.n_steps):
            amplitude = roots * math.sqrt(2 / math.cosh(math.pi * step * self.interval))
            columns += [amplitude * (step * angles).cos(), amplitude * (step * angles).sin()]
        return torch.cat([torch.where(positive, column, 0) for column in columns], dim=1)


class CountSketch(nn.Module):
    """Circular convolution of linear sketches: products of their Fourier transforms.

    Parameters
    ----------
    sketches : array-like of shape (degree, n_features, n_components)
    offsets : array-like of shape (degree, n_components)

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._expansions import CountSketch
    >>> CountSketch([[[1.0]], [[2.0]]], [[0.0], [0.0]])(torch.tensor([[3.0]]))
    tensor([[18.]])
    """

    sketches: Tensor
    offsets: Tensor

    def __init__(self, sketches: ArrayLike, offsets: ArrayLike) -> None:
        super().__init__()
        self.register_buffer("sketches", constant(sketches))
        self.register_buffer("offsets", constant(offsets))

    def forward(self, X: Tensor) -> Tensor:
        """Return the sketch of the polynomial."""
        product: Tensor | float = 1.0
        for sketch, offset in zip(self.sketches, self.offsets, strict=True):
            product = product * torch.fft.rfft(X @ sketch.to(X) + offset.to(X))
        return torch.fft.irfft(product, n=self.sketches.shape[2])


@register(PolynomialFeatures)
def _polynomial(expansion: PolynomialFeatures) -> nn.Module:
    return Monomials(expansion.powers_)


@register(RBFSampler)
def _rbf_sampler(sampler: RBFSampler) -> nn.Module:
    waves = Linear(sampler.random_weights_, sampler.random_offset_)
    return Chain(waves, Cosine(math.sqrt(2.0 / sampler.random_weights_.shape[1])))


@register(SkewedChi2Sampler)
def _skewed_chi2_sampler(sampler: SkewedChi2Sampler) -> nn.Module:
    waves = Linear(sampler.random_weights_, sampler.random_offset_)
    amplitude = math.sqrt(2.0 / sampler.random_weights_.shape[1])
    return Chain(LogOfShifted(sampler.skewedness), waves, Cosine(amplitude))


@register(AdditiveChi2Sampler)
def _additive_chi2_sampler(sampler: AdditiveChi2Sampler) -> nn.Module:
    interval = sampler.sample_interval
    if interval is None:
        interval = {1: 0.8, 2: 0.5, 3: 0.4}[sampler.sample_steps]  # as scikit-learn's transform
    return AdditiveChi2(sampler.sample_steps, interval)


@register(PolynomialCountSketch)
def _count_sketch(sketch: PolynomialCountSketch) -> nn.Module:
    degree, n_columns = sketch.indexHash_.shape
    matrices = np.zeros((degree, n_columns, sketch.n_components))
    place = np.ogrid[:degree, :n_columns]
    matrices[place[0], place[1], sketch.indexHash_] = sketch.bitHash_
    # scikit-learn appends a column of sqrt(coef0) unless that is 0.
    n_features = n_columns - (sketch.coef0 != 0)
    offsets = math.sqrt(sketch.coef0) * matrices[:, n_features:].sum(axis=1)
    return CountSketch(math.sqrt(sketch.gamma) * matrices[:, :n_features], offsets)


@register(KernelPCA)
def _kernel_pca(pca: KernelPCA) -> nn.Module:
    _check_kernel(pca)
    alive = np.flatnonzero(pca.eigenvalues_)
    coef = np.zeros_like(pca.eigenvectors_)
    coef[:, alive] = pca.eigenvectors_[:, alive] / np.sqrt(pca.eigenvalues_[alive])
    # Kernels enter centred, which is linear: what it subtracts of them goes into the coefficients.
    centerer = pca._centerer
    intercept = (centerer.K_fit_all_ - centerer.K_fit_rows_) @ coef
    points, gamma = np.asarray(_dense(pca.X_fit_)), pca.gamma_
    given = {"gamma": gamma, "coef0": pca.coef0, "degree": pca.degree}
    return Kernel(points, coef - coef.mean(axis=0), intercept, pca.kernel, **given)


def _check_kernel(estimator: BaseEstimator) -> None:
    if not isinstance(estimator.kernel, str) or estimator.kernel not in KERNELS:
        reason = f"kernel={estimator.kernel!r} has no torch form; use one of {sorted(KERNELS)}"
        raise NotDifferentiableError(estimator, reason=reason)


@register(Nystroem)
def _nystroem(nystroem: Nystroem) -> nn.Module:
    _check_kernel(nystroem)
    points = np.asarray(_dense(nystroem.components_))
    given = {"gamma": nystroem.gamma, "coef0": nystroem.coef0, "degree": nystroem.degree}
    # The defaults of sklearn.metrics.pairwise.
    defaults = {"gamma": 1 / points.shape[1], "coef0": 1.0, "degree": 3}
    chosen = {k: defaults[k] if value is None else value for k, value in given.items()}
    return Kernel(points, nystroem.normalization_.T, 0.0, nystroem.kernel, **chosen)


def _dense(points: Samples) -> ArrayLike:
    return points.toarray() if is_sparse(points) else cast(ArrayLike, points)
