"""Twins of regressors that are made of others: means, stacks, chains and transformed targets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import BaggingRegressor, StackingRegressor, VotingRegressor
from sklearn.multioutput import MultiOutputRegressor, RegressorChain
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    RobustScaler,
    StandardScaler,
)
from torch import Tensor, nn

from sklearn_iso.twins._affine import constant
from sklearn_iso.twins._clipping import clipped
from sklearn_iso.twins._columns import Columns
from sklearn_iso.twins._registry import NotDifferentiableError, as_torch, register, twin_of_step
from sklearn_iso.twins._responses import Chain
from sklearn_iso.twins._scalers import Rescale


class WeightedMean(nn.Module):
    """Weighted mean of the predictions of members.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._regressor_ensembles import WeightedMean
    >>> WeightedMean([torch.nn.Identity(), torch.nn.ReLU()], [3, 1])(torch.tensor([[-4.0]]))
    tensor([[-3.]])
    """

    def __init__(self, members: Iterable[nn.Module], weights: Sequence[float]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.weights = [float(weight) / sum(weights) for weight in weights]

    def forward(self, X: Tensor) -> Tensor:
        """Return the mean."""
        pairs = zip(self.members, self.weights, strict=True)
        return torch.stack([weight * member(X) for member, weight in pairs]).sum(dim=0)


class SideBySide(nn.Module):
    """Predictions of members in columns, and X itself after them if it is passed through.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._regressor_ensembles import SideBySide
    >>> SideBySide([torch.nn.ReLU()], passes=True)(torch.tensor([[-4.0]]))
    tensor([[ 0., -4.]])
    """

    def __init__(self, members: Iterable[nn.Module], passes: bool = False) -> None:
        super().__init__()
        self.members, self.passes = nn.ModuleList(members), passes

    def forward(self, X: Tensor) -> Tensor:
        """Return the columns."""
        columns = [member(X) for member in self.members]
        return torch.cat([*columns, X] if self.passes else columns, dim=1)


class OneAfterAnother(nn.Module):
    """Members each of which sees X and what those before it predict.

    Parameters
    ----------
    members : iterable of nn.Module
    order : sequence of int
        Which output each member predicts.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._affine import Linear
    >>> from sklearn_iso.twins._regressor_ensembles import OneAfterAnother
    >>> members = [Linear([[1.0]], 1.0), Linear([[0.0], [2.0]], 0.0)]
    >>> OneAfterAnother(members, [1, 0])(torch.tensor([[3.0]]))
    tensor([[8., 4.]])
    """

    def __init__(self, members: Iterable[nn.Module], order: Sequence[int]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.places = np.argsort(order).tolist()

    def forward(self, X: Tensor) -> Tensor:
        """Return the outputs."""
        known = X
        for member in self.members:
            known = torch.cat([known, member(known)], dim=1)
        return known[:, X.shape[1] :][:, self.places]


class PowerBack(nn.Module):
    """The inverse of a power transformation, NaN where there is none.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._marginals import YeoJohnson
    >>> from sklearn_iso.twins._regressor_ensembles import PowerBack
    >>> z = YeoJohnson([0.5])(torch.tensor([[-2.0], [3.0]]))
    >>> PowerBack([0.5], both_sides=True)(z)
    tensor([[-2.0000],
            [ 3.0000]])
    """

    lambdas: Tensor

    def __init__(self, lambdas: ArrayLike, both_sides: bool) -> None:
        super().__init__()
        self.register_buffer("lambdas", constant(lambdas))
        self.both_sides = both_sides

    def forward(self, X: Tensor) -> Tensor:
        """Return X transformed back."""
        lambdas = self.lambdas.to(X)
        if not self.both_sides:
            return _exp_of_power(X, lambdas)
        right = _exp_of_power(clipped(X, low=0), lambdas) - 1
        left = 1 - _exp_of_power(-clipped(X, high=0), 2 - lambdas)
        return torch.where(X >= 0, right, left)


def _exp_of_power(X: Tensor, power: Tensor) -> Tensor:
    """``(1 + power * X) ** (1 / power)``, and the exponential where the power is 0."""
    safe = torch.where(power == 0, 1, power)
    return torch.where(power == 0, torch.exp(X), (1 + safe * X) ** (1 / safe))


def inverse_of(transformer: BaseEstimator) -> nn.Module:
    """Return the twin of ``inverse_transform`` of a fitted transformer of targets.

    Raises
    ------
    NotDifferentiableError
        If there is none.

    Examples
    --------
    >>> import torch
    >>> from sklearn.preprocessing import MaxAbsScaler
    >>> from sklearn_iso.twins._regressor_ensembles import inverse_of
    >>> inverse_of(MaxAbsScaler().fit([[5.0]]))(torch.tensor([[2.0]]))
    tensor([[10.]])
    """
    if isinstance(transformer, FunctionTransformer):
        back = FunctionTransformer(transformer.inverse_func, kw_args=transformer.inv_kw_args)
        return as_torch(back.fit(np.ones((1, 1))))
    if isinstance(transformer, MaxAbsScaler | MinMaxScaler | RobustScaler | StandardScaler):
        n_targets = transformer.n_features_in_
        shift = transformer.inverse_transform(np.zeros((1, n_targets)))[0]
        return Rescale(transformer.inverse_transform(np.ones((1, n_targets)))[0] - shift, shift)
    if isinstance(transformer, PowerTransformer):
        both_sides = transformer.method == "yeo-johnson"
        back = PowerBack(transformer.lambdas_, both_sides)
        return Chain(inverse_of(transformer._scaler), back) if transformer.standardize else back
    reason = f"the inverse of {type(transformer).__name__} has no torch form"
    raise NotDifferentiableError(transformer, reason=reason)


@register(VotingRegressor)
def _voting(voting: VotingRegressor) -> nn.Module:
    named = [(name, step) for name, step in voting.named_estimators_.items() if step != "drop"]
    members = [twin_of_step(name, member) for name, member in named]
    return WeightedMean(members, voting._weights_not_none or [1.0] * len(members))


def _members(estimators: Iterable[BaseEstimator]) -> list[nn.Module]:
    pairs = enumerate(estimators)
    return [twin_of_step(f"estimators_[{position}]", member) for position, member in pairs]


@register(BaggingRegressor)
def _bagging(bagging: BaggingRegressor) -> nn.Module:
    pairs = zip(_members(bagging.estimators_), bagging.estimators_features_, strict=True)
    members = [Chain(Columns(features), member) for member, features in pairs]
    return WeightedMean(members, [1.0] * len(members))


@register(StackingRegressor)
def _stacking(stacking: StackingRegressor) -> nn.Module:
    members = SideBySide(_members(stacking.estimators_), passes=stacking.passthrough)
    return Chain(members, twin_of_step("final_estimator_", stacking.final_estimator_))


@register(MultiOutputRegressor)
def _outputs(regressor: MultiOutputRegressor) -> nn.Module:
    return SideBySide(_members(regressor.estimators_))


@register(RegressorChain)
def _regressor_chain(chain: RegressorChain) -> nn.Module:
    return OneAfterAnother(_members(chain.estimators_), chain.order_)


@register(TransformedTargetRegressor)
def _transformed_target(regressor: TransformedTargetRegressor) -> nn.Module:
    try:
        back = inverse_of(regressor.transformer_)
    except NotDifferentiableError as error:
        raise error.within("transformer_") from None
    return Chain(twin_of_step("regressor_", regressor.regressor_), back)
