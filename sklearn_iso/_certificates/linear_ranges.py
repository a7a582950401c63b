"""Ranges of linear regressors: a continuous knapsack up and one down, exact in every norm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn import linear_model
from sklearn.base import BaseEstimator
from sklearn.linear_model import GammaRegressor, PoissonRegressor, TweedieRegressor
from sklearn.svm import SVR, LinearSVR, NuSVR

from sklearn_iso._certificates.balls import Ball
from sklearn_iso._certificates.certifier import RangeCertifier
from sklearn_iso._certificates.columnwise import quietly
from sklearn_iso._certificates.domain import Domain
from sklearn_iso._certificates.following import exponential
from sklearn_iso._certificates.linear import LinearScores, shortest
from sklearn_iso._certificates.registry import Steps, register_ranges
from sklearn_iso._threat import ThreatModel
from sklearn_iso.exceptions import NotCertifiableError
from sklearn_iso.twins import as_torch
from sklearn_iso.twins._affine import Linear
from sklearn_iso.twins._regressors import LINEAR


@dataclass(frozen=True, eq=False)
class LinearRanges:
    """Bounds of predictions that are affine in what the steps before them give.

    Parameters
    ----------
    outputs : LinearScores
        One for each output.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso._certificates.linear import LinearScores
    >>> from sklearn_iso._certificates.linear_ranges import LinearRanges
    >>> line = LinearScores(np.array([[3.0], [4.0]]), np.array([1.0]))
    >>> X = np.zeros((1, 2))
    >>> low, high = LinearRanges(line).ranges(X, ThreatModel("l2").resolve(X), np.array([2.0]))
    >>> low.round(6).item(), high.round(6).item()
    (-9.0, 11.0)
    """

    outputs: LinearScores

    @property
    def exact(self) -> bool:
        """Always: up to rounding."""
        return True

    @property
    def method(self) -> str:
        """How it proves."""
        return "the steepest step within the budget"

    def ranges(self, X: NDArray, threat: ThreatModel, eps: NDArray) -> tuple[NDArray, NDArray]:
        """Return bounds of all predictions within budgets, each of shape (n, n_outputs)."""
        outputs, domain = self.outputs.on(X.shape[1]), Domain.of(threat, X.shape[1])
        at = quietly(outputs.apply, X)
        down, up = domain.room(X)
        radius = np.where(np.isnan(X), 0.0, eps[:, None] * domain.units)
        ball = Ball.around(
            torch.zeros(X.shape, dtype=torch.float64),
            torch.from_numpy(radius),
            threat.norm,
            (torch.from_numpy(-down), torch.from_numpy(up)),
        )
        rows = torch.from_numpy(outputs.matrix.T.copy())[None]
        n_steps = X.shape[1] + 1
        fall, rise = (ball.fall(side, n_steps).numpy() for side in (rows, -rows))
        farthest = np.abs(np.nan_to_num(X)) + np.maximum(
            np.minimum(radius, up), np.minimum(radius, down)
        )
        slack = self.outputs.rounding(outputs, farthest.astype(X.dtype))
        return at - fall - slack, at + rise + slack

    def distances(self, X: NDArray, low: NDArray, high: NDArray, threat: ThreatModel) -> NDArray:
        """Return the distances at which predictions leave intervals, in units of the threat."""
        outputs, domain = self.outputs.on(X.shape[1]), Domain.of(threat, X.shape[1])
        at, slack = quietly(outputs.apply, X), self.outputs.rounding(outputs, X)
        down, up = domain.room(X)
        nearest = np.full(len(X), np.inf)
        for output, slopes in enumerate(outputs.matrix.T):
            for rates, gain in ((slopes, high - at), (-slopes, at - low)):
                room = np.where(rates > 0, up, down)
                lead = np.maximum(gain[:, output] - slack[:, output], 0)
                wide = np.broadcast_to(np.abs(rates), room.shape)
                nearest = np.minimum(nearest, shortest(wide, room, lead, domain))
        return nearest


def _linear(regressor: BaseEstimator, steps: Steps) -> RangeCertifier:
    twin = as_torch(regressor)
    if not isinstance(twin, Linear):
        raise NotCertifiableError(regressor, reason="its predictions are not linear in X")
    coef = twin.coef.numpy()
    intercept = np.broadcast_to(twin.intercept.numpy().astype(np.float64), coef.shape[1])
    return LinearRanges(LinearScores(coef, intercept, steps))


for _name in LINEAR:
    if hasattr(linear_model, _name):  # one is deprecated in scikit-learn 1.8
        register_ranges(getattr(linear_model, _name))(_linear)
register_ranges(LinearSVR)(_linear)


@register_ranges(SVR)
@register_ranges(NuSVR)
def _support_vectors(regressor: SVR | NuSVR, steps: Steps) -> RangeCertifier:
    if regressor.kernel != "linear":
        reason = f"there is no bound of kernel={regressor.kernel!r}; 'linear' has one"
        raise NotCertifiableError(regressor, reason=reason)
    return _linear(regressor, steps)


@register_ranges(PoissonRegressor)
@register_ranges(GammaRegressor)
@register_ranges(TweedieRegressor)
def _generalized(regressor: BaseEstimator, steps: Steps) -> RangeCertifier:
    if isinstance(as_torch(regressor), Linear):
        return _linear(regressor, steps)
    line = LinearScores(regressor.coef_[:, None], np.array([regressor.intercept_]), steps)
    return exponential(LinearRanges(line))
