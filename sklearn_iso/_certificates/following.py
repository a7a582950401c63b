"""Ranges of what an increasing function makes of predictions: targets transformed back, links."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.compose import TransformedTargetRegressor
from sklearn.preprocessing import FunctionTransformer

from sklearn_iso._certificates.certifier import RangeCertifier, TimedRanges
from sklearn_iso._certificates.network_ranges import NetworkRanges
from sklearn_iso._certificates.registry import Steps, range_certifier_of, register_ranges
from sklearn_iso._threat import ThreatModel
from sklearn_iso.exceptions import NotCertifiableError
from sklearn_iso.twins._registry import NotDifferentiableError
from sklearn_iso.twins._regressor_ensembles import inverse_of
from sklearn_iso.twins._scalers import Rescale

Function = Callable[[NDArray], NDArray]
#: What roundings in a function of a prediction may make of it.
N_ROUNDINGS = 16
#: Inverses of targets that are increasing, with their own.
KNOWN: dict[object, tuple[Function, Function]] = {
    np.expm1: (np.expm1, np.log1p),
    np.exp: (np.exp, np.log),
}


@dataclass(frozen=True, eq=False)
class Following:
    """Bounds of an increasing function of predictions that are bounded.

    Parameters
    ----------
    inner : RangeCertifier
    forward, backward : callable
        The function, and its inverse.
    shift : ndarray of shape (n_outputs,)
        Sizes of what it adds, which round too: in its values, and
    shift_back : ndarray of shape (n_outputs,)
        in those of the inverse.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso._certificates.following import exponential
    >>> from sklearn_iso._certificates.linear import LinearScores
    >>> from sklearn_iso._certificates.linear_ranges import LinearRanges
    >>> line = LinearScores(np.array([[1.0]]), np.array([0.0]))
    >>> powers = exponential(LinearRanges(line))
    >>> X, one = np.zeros((1, 1)), np.ones(1)
    >>> low, high = powers.ranges(X, ThreatModel().resolve(X), one)
    >>> low.round(3).item(), high.round(3).item()
    (0.368, 2.718)
    """

    inner: RangeCertifier
    forward: Function
    backward: Function
    shift: NDArray
    shift_back: NDArray

    @property
    def exact(self) -> bool:
        """Whether the bounds of the predictions are."""
        return self.inner.exact

    @property
    def method(self) -> str:
        """How it proves."""
        return self.inner.method

    def within(self, time_limit: float | None) -> Following:
        """Return the same with a limit of time for each sample, where a search takes one."""
        if not isinstance(self.inner, TimedRanges):
            return self
        return replace(self, inner=self.inner.within(time_limit))

    def _slack(self, X: NDArray) -> float:
        single = isinstance(self.inner, NetworkRanges) or X.dtype == np.float32
        return float(N_ROUNDINGS * np.finfo(np.float32 if single else np.float64).eps)

    def ranges(self, X: NDArray, threat: ThreatModel, eps: NDArray) -> tuple[NDArray, NDArray]:
        """Return bounds of all values within budgets, each of shape (n, n_outputs)."""
        with np.errstate(over="ignore"):
            low, high = (self.forward(side) for side in self.inner.ranges(X, threat, eps))
        slack = self._slack(X)
        return (
            low - slack * (np.abs(low) + self.shift),
            high + slack * (np.abs(high) + self.shift),
        )

    def distances(self, X: NDArray, low: NDArray, high: NDArray, threat: ThreatModel) -> NDArray:
        """Return lower bounds of the distances at which values leave intervals."""
        slack = self._slack(X)
        low = low + slack * (np.abs(low) + self.shift)
        high = high - slack * (np.abs(high) + self.shift)
        with np.errstate(divide="ignore", invalid="ignore"):
            low, high = self.backward(low), self.backward(high)
        low, high = (np.where(np.isnan(side), -np.inf, side) for side in (low, high))
        low = low + slack * (np.abs(low) + self.shift_back)
        high = high - slack * (np.abs(high) + self.shift_back)
        return self.inner.distances(X, low, high, threat)


def exponential(inner: RangeCertifier) -> Following:
    """Return bounds of the exponential of predictions, the inverse of a logarithmic link."""
    return Following(inner, np.exp, np.log, np.zeros(1), np.ones(1))


@register_ranges(TransformedTargetRegressor)
def _transformed(regressor: TransformedTargetRegressor, steps: Steps) -> RangeCertifier:
    try:
        inner = range_certifier_of(regressor.regressor_, steps)
    except NotCertifiableError as error:
        raise error.within("regressor_") from None
    transformer = regressor.transformer_
    if isinstance(transformer, FunctionTransformer) and not transformer.inv_kw_args:
        if transformer.inverse_func is None:
            return inner
        if transformer.inverse_func in KNOWN:
            forward, backward = KNOWN[transformer.inverse_func]
            return Following(inner, forward, backward, np.ones(1), np.ones(1))
    return _rescaled(inner, transformer)


def _rescaled(inner: RangeCertifier, transformer: BaseEstimator) -> RangeCertifier:
    reason = (
        "its inverse is not known to be increasing; use StandardScaler, MinMaxScaler, "
        "MaxAbsScaler, RobustScaler, np.log1p with np.expm1, or np.log with np.exp"
    )
    try:
        back = inverse_of(transformer)
    except (NotDifferentiableError, TypeError) as error:
        raise NotCertifiableError(transformer, ("transformer_",), reason) from error
    if not isinstance(back, Rescale):
        raise NotCertifiableError(transformer, ("transformer_",), reason)
    scale, shift = back.scale.numpy(), back.shift.numpy()
    return Following(
        inner,
        lambda values: values * scale + shift,
        lambda values: (values - shift) / scale,
        np.abs(shift),
        np.abs(shift / scale),
    )
