"""Twins of the scalers: shift, factor and clip in the order in which scikit-learn applies them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    RobustScaler,
    StandardScaler,
)
from torch import Tensor, nn

from sklearn_iso.twins._affine import constant
from sklearn_iso.twins._clipping import clipped
from sklearn_iso.twins._registry import register


class Standardize(nn.Module):
    """``(X - centre) / scale``, each optional, in the dtype of X.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._scalers import Standardize
    >>> Standardize(centre=[1.0], scale=[2.0])(torch.tensor([[5.0]]))
    tensor([[2.]])
    """

    centre: Tensor | None
    scale: Tensor | None

    def __init__(self, centre: ArrayLike | None, scale: ArrayLike | None) -> None:
        super().__init__()
        self.register_buffer("centre", None if centre is None else constant(centre))
        self.register_buffer("scale", None if scale is None else constant(scale))

    def forward(self, X: Tensor) -> Tensor:
        """Return X scaled."""
        if self.centre is not None:
            X = X - self.centre.to(X)
        return X if self.scale is None else X / self.scale.to(X)


class Rescale(nn.Module):
    """``X * scale + shift`` in the dtype of X.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._scalers import Rescale
    >>> Rescale(scale=[2.0], shift=[1.0])(torch.tensor([[5.0]]))
    tensor([[11.]])
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, scale: ArrayLike, shift: ArrayLike) -> None:
        super().__init__()
        self.register_buffer("scale", constant(scale))
        self.register_buffer("shift", constant(shift))

    def forward(self, X: Tensor) -> Tensor:
        """Return X scaled."""
        return X * self.scale.to(X) + self.shift.to(X)


class Clip(nn.Module):
    """Entries clipped to [low, high]; outside, the gradient is 0, as the scaler is flat there.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._scalers import Clip
    >>> Clip(0, 1)(torch.tensor([[-0.5, 0.5]]))
    tensor([[0.0000, 0.5000]])
    """

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low, self.high = low, high

    def forward(self, X: Tensor) -> Tensor:
        """Return X clipped."""
        return clipped(X, self.low, self.high)


@register(StandardScaler)
def _standard(scaler: StandardScaler) -> nn.Module:
    return Standardize(
        scaler.mean_ if scaler.with_mean else None, scaler.scale_ if scaler.with_std else None
    )


@register(RobustScaler)
def _robust(scaler: RobustScaler) -> nn.Module:
    return Standardize(
        scaler.center_ if scaler.with_centering else None,
        scaler.scale_ if scaler.with_scaling else None,
    )


@register(MinMaxScaler)
def _min_max(scaler: MinMaxScaler) -> nn.Module:
    rescale = Rescale(scaler.scale_, scaler.min_)
    return nn.Sequential(rescale, Clip(*scaler.feature_range)) if scaler.clip else rescale


@register(MaxAbsScaler)
def _max_abs(scaler: MaxAbsScaler) -> nn.Module:
    clips = getattr(scaler, "clip", False)  # new in scikit-learn 1.8
    standardize = Standardize(None, scaler.scale_)
    return nn.Sequential(standardize, Clip(-1.0, 1.0)) if clips else standardize


class Normalize(nn.Module):
    """Samples divided by their norm; samples of zeros pass, with a finite gradient.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._scalers import Normalize
    >>> Normalize("l1")(torch.tensor([[1.0, 3.0], [0.0, 0.0]]))
    tensor([[0.2500, 0.7500],
            [0.0000, 0.0000]])
    """

    def __init__(self, norm: str = "l2") -> None:
        super().__init__()
        self.norm = norm

    def forward(self, X: Tensor) -> Tensor:
        """Return samples of norm 1."""
        if self.norm == "l2":
            squares = X.square().sum(dim=1, keepdim=True)
            sizes = torch.where(squares > 0, squares, 1).sqrt() * (squares > 0)
        elif self.norm == "l1":
            sizes = X.abs().sum(dim=1, keepdim=True)
        else:
            sizes = X.abs().amax(dim=1, keepdim=True)
        # The threshold below which scikit-learn takes a norm for 0.
        return X / torch.where(sizes < 10 * torch.finfo(X.dtype).eps, 1, sizes)


@register(Normalizer)
def _normalizer(normalizer: Normalizer) -> nn.Module:
    return Normalize(normalizer.norm)


class SublinearCounts(nn.Module):
    """``1 + log(X)`` of positive counts; 0 stays 0, with gradient 0, as does what is below.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._scalers import SublinearCounts
    >>> SublinearCounts()(torch.tensor([0.0, 1.0]))
    tensor([0., 1.])
    """

    def forward(self, X: Tensor) -> Tensor:
        """Return X damped."""
        return torch.where(X > 0, 1 + torch.where(X > 0, X, 1).log(), 0)


@register(TfidfTransformer)
def _tfidf(transformer: TfidfTransformer) -> nn.Module:
    steps: list[nn.Module] = [SublinearCounts()] if transformer.sublinear_tf else []
    if transformer.use_idf:
        steps.append(Rescale(transformer.idf_, np.zeros_like(transformer.idf_)))
    if transformer.norm is not None:
        steps.append(Normalize(transformer.norm))
    return nn.Sequential(*steps)
