"""The twin of splines of every feature."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.preprocessing import SplineTransformer
from torch import Tensor, nn

from sklearn_iso.twins._affine import constant
from sklearn_iso.twins._clipping import clipped
from sklearn_iso.twins._registry import NotDifferentiableError, register


class Splines(nn.Module):
    """Piecewise polynomials of every feature, side by side.

    Parameters
    ----------
    knots : array-like of shape (n_features, n_pieces + 1)
        In ascending order.
    pieces : array-like of shape (n_features, n_pieces, degree + 1, n_splines)
        Taylor coefficients at the lower end of each piece, the constant first.
    extrapolation : {"constant", "linear", "continue", "periodic"}
        How the outer pieces go on beyond the outer knots.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._splines import Splines
    >>> Splines([[0.0, 1.0]], [[[[2.0], [3.0]]]], "constant")(torch.tensor([[0.5], [7.0]]))
    tensor([[3.5000],
            [5.0000]])
    """

    knots: Tensor
    pieces: Tensor

    def __init__(self, knots: ArrayLike, pieces: ArrayLike, extrapolation: str) -> None:
        super().__init__()
        self.register_buffer("knots", constant(knots))
        self.register_buffer("pieces", constant(pieces))
        self.extrapolation = extrapolation

    def forward(self, X: Tensor) -> Tensor:
        """Return X transformed, the splines of the first feature first."""
        columns = X.T.contiguous()
        knots, pieces = self.knots.to(X), self.pieces.to(X)
        low, high = knots[:, :1], knots[:, -1:]
        if self.extrapolation == "periodic":
            period = high - low
            columns = low + torch.where(period > 0, (columns - low) % period, 0)
        inside = columns
        if self.extrapolation in ("constant", "linear"):
            inside = clipped(columns, low, high)
        piece = torch.searchsorted(knots, inside.detach().contiguous(), right=True) - 1
        piece = piece.clamp(0, pieces.shape[1] - 1)
        chosen = pieces[torch.arange(len(pieces), device=X.device)[:, None], piece]
        step = (inside - knots.gather(1, piece))[:, :, None]
        values = _horner(chosen, step)
        if self.extrapolation == "linear":
            slopes = _horner(_derivative(chosen), step.detach())
            values = values + slopes * (columns - inside)[:, :, None]
        return values.transpose(0, 1).flatten(1)


def _horner(coefficients: Tensor, step: Tensor) -> Tensor:
    value = coefficients[:, :, -1]
    for power in range(coefficients.shape[2] - 2, -1, -1):
        value = value * step + coefficients[:, :, power]
    return value


def _derivative(coefficients: Tensor) -> Tensor:
    powers = torch.arange(1, coefficients.shape[2], device=coefficients.device)
    return coefficients[:, :, 1:] * powers.to(coefficients)[:, None]


@register(SplineTransformer)
def _spline_transformer(transformer: SplineTransformer) -> nn.Module:
    degree = transformer.degree
    if degree == 0:
        reason = "with degree=0 it is piecewise constant, so its gradient is zero almost everywhere"
        raise NotDifferentiableError(transformer, reason=reason)
    splines = transformer.bsplines_
    knots = np.stack([spline.t[degree : len(spline.t) - degree] for spline in splines])
    pairs = zip(splines, knots, strict=True)
    pieces = np.stack([_taylor(spline, ends, degree) for spline, ends in pairs])
    if not transformer.include_bias:
        pieces = pieces[..., :-1]
    # Beyond the outer knots "error" has no value: the twin stays where it was.
    outside = transformer.extrapolation
    return Splines(knots, pieces, "constant" if outside == "error" else outside)


def _taylor(spline: BaseEstimator, knots: NDArray, degree: int) -> NDArray:
    orders = [spline(knots[:-1], nu=order) / math.factorial(order) for order in range(degree + 1)]
    return np.stack(orders, axis=1)
