"""Twins of transformers that bend every feature by itself: powers and quantiles."""

from __future__ import annotations

import torch
from numpy.typing import ArrayLike
from scipy import stats
from sklearn.preprocessing import PowerTransformer, QuantileTransformer
from torch import Tensor, nn

from sklearn_iso.twins._affine import constant
from sklearn_iso.twins._clipping import clipped
from sklearn_iso.twins._registry import as_torch, register
from sklearn_iso.twins._responses import Chain

# Distance to 0 and 1 at which QuantileTransformer cuts probabilities off before the normal ppf.
QUANTILE_CUT = 1e-7


class YeoJohnson(nn.Module):
    """Yeo and Johnson's power transformation of every feature.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._marginals import YeoJohnson
    >>> YeoJohnson([1.0])(torch.tensor([[-2.0], [3.0]]))
    tensor([[-2.],
            [ 3.]])
    """

    lambdas: Tensor

    def __init__(self, lambdas: ArrayLike) -> None:
        super().__init__()
        self.register_buffer("lambdas", constant(lambdas))

    def forward(self, X: Tensor) -> Tensor:
        """Return X transformed."""
        lambdas = self.lambdas.to(X)
        # Each branch sees only the side on which it is defined, so that gradients stay finite.
        right = _power_of_log(clipped(X, low=0).log1p(), lambdas)
        left = -_power_of_log((-clipped(X, high=0)).log1p(), 2 - lambdas)
        return torch.where(X >= 0, right, left)


class BoxCox(nn.Module):
    """Box and Cox's power transformation of every positive feature.

    Below the smallest positive number, where scikit-learn raises, it is constant.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._marginals import BoxCox
    >>> BoxCox([1.0])(torch.tensor([[3.0]]))
    tensor([[2.]])
    """

    lambdas: Tensor

    def __init__(self, lambdas: ArrayLike) -> None:
        super().__init__()
        self.register_buffer("lambdas", constant(lambdas))

    def forward(self, X: Tensor) -> Tensor:
        """Return X transformed."""
        logarithm = X.clamp_min(torch.finfo(X.dtype).tiny).log()
        return _power_of_log(logarithm, self.lambdas.to(X))


def _power_of_log(logarithm: Tensor, power: Tensor) -> Tensor:
    """``(exp(logarithm * power) - 1) / power``, and the logarithm where the power is 0."""
    safe = torch.where(power == 0, 1, power)
    return torch.where(power == 0, logarithm, torch.expm1(logarithm * safe) / safe)


def interpolate(X: Tensor, knots: Tensor, values: Tensor, *, from_right: bool) -> Tensor:
    """Interpolate linearly between knots, for every sample of features by itself.

    Parameters
    ----------
    X : Tensor of shape (n_features, n)
    knots : Tensor of shape (n_features, n_knots)
        In ascending order; repeated knots are jumps.
    values : Tensor of shape (n_features, n_knots)
    from_right : bool
        Whether a point on a jump takes the value above it, as numpy.interp does.

    Returns
    -------
    Tensor of shape (n_features, n)
        Constant beyond the outer knots.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._marginals import interpolate
    >>> knots, values = torch.tensor([[0.0, 2.0]]), torch.tensor([[0.0, 4.0]])
    >>> interpolate(torch.tensor([[1.0, 9.0]]), knots, values, from_right=True)
    tensor([[2., 4.]])
    """
    X = clipped(X, knots[:, :1], knots[:, -1:])
    last = knots.shape[1] - 1
    after = torch.searchsorted(knots, X.detach().contiguous(), right=from_right)
    if from_right:
        start = (after - 1).clamp(0, last)
        other = (start + 1).clamp_max(last)
    else:
        start = after.clamp(0, last)
        other = (start - 1).clamp_min(0)
    low, high = knots.gather(1, start), knots.gather(1, other)
    rise = values.gather(1, other) - values.gather(1, start)
    slope = torch.where(high == low, 0, rise / torch.where(high == low, 1, high - low))
    return values.gather(1, start) + slope * (X - low)


class Quantiles(nn.Module):
    """Piecewise linear cumulative distribution of every feature, to a uniform or normal one.

    Constant, with gradient 0, beyond the range seen in fit, as the transformer is, and at the ends
    of that range where the output is normal, as it is cut off there. The mean of both sides of a
    jump, as there; computed in float64.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._marginals import Quantiles
    >>> Quantiles([[0.0], [10.0]], [0.0, 1.0], "uniform")(torch.tensor([[4.0]]))
    tensor([[0.4000]])
    """

    quantiles: Tensor
    references: Tensor

    def __init__(self, quantiles: ArrayLike, references: ArrayLike, output: str) -> None:
        super().__init__()
        self.register_buffer("quantiles", constant(quantiles).T.contiguous())
        self.register_buffer("references", constant(references))
        self.output = output

    def forward(self, X: Tensor) -> Tensor:
        """Return X transformed."""
        columns = X.to(torch.float64).T
        knots = self.quantiles.to(columns)
        values = self.references.to(columns).expand_as(knots)
        sides = [interpolate(columns, knots, values, from_right=side) for side in (True, False)]
        # scikit-learn stores the probabilities in the dtype of X, then takes the normal ppf.
        probabilities = ((sides[0] + sides[1]) / 2).T.to(X.dtype)
        if self.output == "uniform":
            # The lower edge is assigned last, here and below: a constant feature is at it.
            slope = probabilities - probabilities.detach()  # inwards at the edges, 0 beyond
            probabilities = torch.where(columns.T >= knots[:, -1], 1 + slope, probabilities)
            return torch.where(columns.T <= knots[:, 0], slope, probabilities)
        return self._normal(columns.T, probabilities.to(torch.float64)).to(X.dtype)

    def _normal(self, X: Tensor, probabilities: Tensor) -> Tensor:
        low, high = self.quantiles[:, 0].to(X), self.quantiles[:, -1].to(X)
        below, above = X - QUANTILE_CUT < low, X + QUANTILE_CUT > high
        inside = probabilities.clamp(QUANTILE_CUT, 1 - QUANTILE_CUT)
        normal = torch.special.ndtri(inside)
        edge = -float(stats.norm.ppf(QUANTILE_CUT))
        normal = torch.where(above, edge, normal)
        return torch.where(below, -edge, normal)


class InFloat64(Chain):
    """Modules that compute in float64 whatever the dtype of X, and return the dtype of X.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._marginals import InFloat64
    >>> InFloat64(torch.nn.Identity())(torch.ones(1)).dtype
    torch.float32
    """

    def forward(self, X: Tensor) -> Tensor:
        """Return the output of the last module."""
        return super().forward(X.to(torch.float64)).to(X.dtype)


@register(PowerTransformer)
def _power(transformer: PowerTransformer) -> nn.Module:
    kind = YeoJohnson if transformer.method == "yeo-johnson" else BoxCox
    steps: list[nn.Module] = [kind(transformer.lambdas_)]
    if transformer.standardize:
        steps.append(as_torch(transformer._scaler))
    # A power far from 1 leaves a range so narrow that float32 would round it to a few values.
    return InFloat64(*steps)


@register(QuantileTransformer)
def _quantile(transformer: QuantileTransformer) -> nn.Module:
    return Quantiles(
        transformer.quantiles_, transformer.references_, transformer.output_distribution
    )
