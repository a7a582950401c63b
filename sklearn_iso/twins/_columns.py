"""Twins of transformers that choose columns and put them side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral
from typing import Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.feature_selection import RFE, SelectorMixin
from sklearn.impute import KNNImputer, MissingIndicator, SimpleImputer
from sklearn.pipeline import FeatureUnion
from torch import Tensor, nn

from sklearn_iso._geometry.norm import attached
from sklearn_iso.twins._affine import constant
from sklearn_iso.twins._registry import hands_on, register, twin_of_step
from sklearn_iso.twins._responses import Chain
from sklearn_iso.twins._scalers import Rescale


class Columns(nn.Module):
    """The columns of X at some positions.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._columns import Columns
    >>> Columns([1])(torch.tensor([[3.0, 4.0]]))
    tensor([[4.]])
    """

    positions: Tensor

    def __init__(self, positions: ArrayLike) -> None:
        super().__init__()
        self.register_buffer("positions", torch.from_numpy(np.array(positions, dtype=np.int64)))

    def forward(self, X: Tensor) -> Tensor:
        """Return these columns."""
        return X.index_select(1, self.positions)


class SideBySide(nn.Module):
    """The outputs of several twins of the same X, each times a weight, as columns.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._columns import SideBySide
    >>> SideBySide([torch.nn.Identity(), torch.nn.ReLU()], [1, 2])(torch.tensor([[3.0]]))
    tensor([[3., 6.]])
    """

    def __init__(self, twins: Iterable[nn.Module], weights: Sequence[float]) -> None:
        super().__init__()
        self.twins = nn.ModuleList(twins)
        self.weights = [float(weight) for weight in weights]

    def forward(self, X: Tensor) -> Tensor:
        """Return the joined columns."""
        outputs = [twin(X) * weight for twin, weight in zip(self.twins, self.weights, strict=True)]
        return torch.cat(outputs, dim=1) if outputs else X[:, :0]


class Impute(nn.Module):
    """Missing values replaced by constants; a finite X passes as it is.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._columns import Impute
    >>> Impute([5.0, 6.0], missing=float("nan"))(torch.tensor([[1.0, float("nan")]]))
    tensor([[1., 6.]])
    """

    statistics: Tensor

    def __init__(self, statistics: ArrayLike, missing: float) -> None:
        super().__init__()
        self.register_buffer("statistics", constant(statistics))
        self.missing = float(missing)

    def forward(self, X: Tensor) -> Tensor:
        """Return X without missing values."""
        return torch.where(is_missing(X, self.missing), self.statistics.to(X), X)


class Indicate(nn.Module):
    """1 where a value is missing and 0 elsewhere; its gradient is 0.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._columns import Indicate
    >>> Indicate(missing=-1.0)(torch.tensor([[1.0, -1.0]]))
    tensor([[0., 1.]])
    """

    def __init__(self, missing: float) -> None:
        super().__init__()
        self.missing = float(missing)

    def forward(self, X: Tensor) -> Tensor:
        """Return the indicator."""
        return attached(is_missing(X, self.missing).to(X), X)


def is_missing(X: Tensor, missing: float) -> Tensor:
    """Return where X is missing, also for the NaN that equals nothing.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._columns import is_missing
    >>> is_missing(torch.tensor([1.0, float("nan")]), float("nan"))
    tensor([False,  True])
    """
    return X.isnan() if np.isnan(missing) else X == missing


def positions_of(
    columns: ArrayLike | slice | Callable[..., object],
    n_features: int,
    names: Sequence[str] | None,
) -> NDArray:
    """Return the positions of columns told by number, name, slice or mask.

    Examples
    --------
    >>> from sklearn_iso.twins._columns import positions_of
    >>> positions_of(slice("b", "c"), 3, ["a", "b", "c"])
    array([1, 2])
    """
    position = {name: index for index, name in enumerate([] if names is None else names)}
    if isinstance(columns, slice):
        start, stop = columns.start, columns.stop
        # Slices of names include their end, as in pandas.
        start = position[start] if isinstance(start, str) else start
        stop = position[stop] + 1 if isinstance(stop, str) else stop
        return np.arange(n_features)[slice(start, stop, columns.step)]
    listed = list(np.atleast_1d(np.asarray(columns)))
    if listed and isinstance(listed[0], bool | np.bool_):
        return np.flatnonzero(listed)
    numbers = [int(c) if isinstance(c, Integral) else position[str(c)] for c in listed]
    return np.arange(n_features)[numbers] if numbers else np.arange(0)


class Branches(Protocol):
    """Fitted transformers of some columns each, as a ColumnTransformer holds them."""

    transformers_: Sequence[tuple[str, BaseEstimator | str, ArrayLike | slice]]
    transformer_weights: Mapping[str, float] | None
    n_features_in_: int


@register(ColumnTransformer)
def side_by_side(transformer: Branches) -> nn.Module:
    """Return the twin of fitted transformers of some columns each."""
    names = getattr(transformer, "feature_names_in_", None)
    branches, weights = [], []
    for name, step, columns in transformer.transformers_:
        positions = positions_of(columns, transformer.n_features_in_, names)
        if _is(step, "drop") or not len(positions):
            continue
        branches.append(Chain(Columns(positions), _branch(name, step)))
        weights.append((transformer.transformer_weights or {}).get(name, 1.0))
    return SideBySide(branches, weights)


hands_on(FeatureUnion)


@register(FeatureUnion)
def _feature_union(union: FeatureUnion) -> nn.Module:
    steps = [(name, step) for name, step in union.transformer_list if not _is(step, "drop")]
    weights = [(union.transformer_weights or {}).get(name, 1.0) for name, _ in steps]
    return SideBySide([_branch(name, step) for name, step in steps], weights)


def _branch(name: str, step: BaseEstimator) -> nn.Module:
    if _is(step, "passthrough"):
        return nn.Identity()
    return twin_of_step(name, step, transform=True)


def _is(step: BaseEstimator, word: str) -> bool:
    return isinstance(step, str) and step == word


@register(SelectorMixin, transform=True)
@register(SelectorMixin)
def _selector(selector: SelectorMixin) -> nn.Module:
    return Columns(selector.get_support(indices=True))


@register(RFE)
def _elimination(selector: RFE) -> nn.Module:
    return Chain(_selector(selector), twin_of_step("estimator_", selector.estimator_))


@register(SimpleImputer)
def _imputer(imputer: SimpleImputer) -> nn.Module:
    missing = np.nan if imputer.missing_values is None else imputer.missing_values
    statistics = np.asarray(imputer.statistics_, dtype=np.float64)
    kept = np.arange(len(statistics))
    if not imputer.keep_empty_features:
        kept = np.flatnonzero(~np.isnan(statistics))
    filled: nn.Module = Impute(statistics[kept], missing)
    if len(kept) < len(statistics):
        filled = Chain(Columns(kept), filled)
    if imputer.indicator_ is None:
        return filled
    indicator = Chain(Columns(imputer.indicator_.features_), Indicate(missing))
    return SideBySide([filled, indicator], [1.0, 1.0])


@register(MissingIndicator)
def _missing_indicator(indicator: MissingIndicator) -> nn.Module:
    missing = np.nan if indicator.missing_values is None else indicator.missing_values
    return Chain(Columns(indicator.features_), Indicate(missing))


@register(KNNImputer)
def _neighbours_imputer(imputer: KNNImputer) -> nn.Module:
    # Of a complete X nothing is imputed; missing values stay, so that a wrong twin is seen.
    missing, valid = imputer.missing_values, imputer._valid_mask
    if imputer.keep_empty_features:
        passed: nn.Module = Rescale(valid.astype(np.float64), np.zeros(len(valid)))
    else:
        passed = Columns(np.flatnonzero(valid))
    if imputer.indicator_ is None:
        return passed
    indicator = Chain(Columns(imputer.indicator_.features_), Indicate(missing))
    return SideBySide([passed, indicator], [1.0, 1.0])
