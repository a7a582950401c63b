"""Twins of transformers that add features: polynomials and kernel approximations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.kernel_approximation import Nystroem, RBFSampler
from sklearn.preprocessing import PolynomialFeatures
from torch import Tensor, nn

from sklearn_iso.twins.affine import Linear
from sklearn_iso.twins.kernels import KERNELS, Kernel
from sklearn_iso.twins.registry import NotDifferentiableError, register
from sklearn_iso.twins.responses import Chain


class Monomials(nn.Module):
    """Products of powers of the features; gradients stay finite at 0.

    Parameters
    ----------
    powers : array-like of shape (n_outputs, n_features)

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins.expansions import Monomials
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
    >>> from sklearn_iso.twins.expansions import Cosine
    >>> Cosine(2.0)(torch.zeros(1))
    tensor([2.])
    """

    def __init__(self, amplitude: float) -> None:
        super().__init__()
        self.amplitude = amplitude

    def forward(self, X: Tensor) -> Tensor:
        """Return the waves."""
        return self.amplitude * X.cos()


@register(PolynomialFeatures)
def _polynomial(expansion: PolynomialFeatures) -> nn.Module:
    return Monomials(expansion.powers_)


@register(RBFSampler)
def _rbf_sampler(sampler: RBFSampler) -> nn.Module:
    waves = Linear(sampler.random_weights_, sampler.random_offset_)
    return Chain(waves, Cosine(math.sqrt(2.0 / sampler.random_weights_.shape[1])))


@register(Nystroem)
def _nystroem(nystroem: Nystroem) -> nn.Module:
    if not isinstance(nystroem.kernel, str) or nystroem.kernel not in KERNELS:
        reason = f"kernel={nystroem.kernel!r} has no torch form; use one of {sorted(KERNELS)}"
        raise NotDifferentiableError(nystroem, reason=reason)
    points = np.asarray(_dense(nystroem.components_))
    given = {"gamma": nystroem.gamma, "coef0": nystroem.coef0, "degree": nystroem.degree}
    # The defaults of sklearn.metrics.pairwise.
    defaults = {"gamma": 1 / points.shape[1], "coef0": 1.0, "degree": 3}
    chosen = {k: defaults[k] if value is None else value for k, value in given.items()}
    return Kernel(points, nystroem.normalization_.T, 0.0, nystroem.kernel, **chosen)


def _dense(points: Any) -> Any:
    return points.toarray() if hasattr(points, "toarray") else points
