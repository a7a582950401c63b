"""Ranges of networks that predict numbers, by bounds of their outputs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.neural_network import MLPRegressor
from skorch import NeuralNetRegressor
from torch import Tensor, nn

from sklearn_iso._certificates.budgets import RTOL, largest_budgets
from sklearn_iso._certificates.certifier import RangeCertifier
from sklearn_iso._certificates.gaps import parts
from sklearn_iso._certificates.networks import (
    AFFINE_RTOL,
    N_SAMPLES,
    NetworkCertifier,
    NetworkProblem,
    network_certifier,
)
from sklearn_iso._certificates.registry import Steps, register_ranges
from sklearn_iso._threat import ThreatModel
from sklearn_iso.exceptions import NotCertifiableError
from sklearn_iso.modules._ambient import own_modes


@dataclass(frozen=True)
class NetworkRanges:
    """Bounds of the outputs of a network: linear ones (CROWN), and intervals.

    Parameters
    ----------
    network : NetworkCertifier
        The model, and how much is spent on bounds.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.neural_network import MLPRegressor
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso._certificates import range_certifier_of
    >>> X, y = np.array([[0.0], [1.0]]), np.array([0.0, 1.0])
    >>> network = MLPRegressor(hidden_layer_sizes=(4,), solver="lbfgs", random_state=0).fit(X, y)
    >>> threat = ThreatModel(bounds=(0, 1)).resolve(X)
    >>> low, high = range_certifier_of(network).ranges(X, threat, np.ones(2))
    >>> bool((low < 0.01).all() and (high > 0.99).all())
    True
    """

    network: NetworkCertifier

    exact = False

    @property
    def method(self) -> str:
        """How it proves."""
        return "linear bounds of the outputs (CROWN)"

    def _problem(self, X: NDArray, threat: ThreatModel) -> NetworkProblem:
        problem = NetworkProblem.of(self.network, X, np.zeros(len(X), dtype=int), threat)
        if problem.graph.ends_in_order:
            reason = "its network ends with a softmax, of which only the order is bounded"
            raise NotCertifiableError(self.network.estimator, reason=reason)
        return problem

    def ranges(self, X: NDArray, threat: ThreatModel, eps: NDArray) -> tuple[NDArray, NDArray]:
        """Return bounds of all predictions within budgets, each of shape (n, n_outputs)."""
        found = []
        for part in parts(self.network.model, X, threat):
            problem = self._of(part.model)._problem(part.X, part.threat)
            sides = _ranges(problem, np.arange(len(part.X)), eps[part.rows])
            found.append((part.rows, np.stack(sides)))
        order = np.argsort(np.concatenate([rows for rows, _ in found]), kind="stable")
        low, high = np.concatenate([sides for _, sides in found], axis=1)[:, order]
        return low, high

    def _of(self, model: nn.Module) -> NetworkRanges:
        return replace(self, network=replace(self.network, model=model))

    def distances(self, X: NDArray, low: NDArray, high: NDArray, threat: ThreatModel) -> NDArray:
        """Return lower bounds of the distances at which predictions leave intervals."""
        found = np.zeros(len(X))
        for part in parts(self.network.model, X, threat):
            ends = low[part.rows], high[part.rows]
            found[part.rows] = self._of(part.model)._distances(part.X, *ends, part.threat)
        return found

    def _distances(self, X: NDArray, low: NDArray, high: NDArray, threat: ThreatModel) -> NDArray:
        problem = self._problem(X, threat)

        def room(samples: NDArray, budgets: NDArray) -> NDArray:
            least, most = _ranges(problem, samples, budgets)
            with np.errstate(invalid="ignore"):
                left = np.minimum(least - low[samples], high[samples] - most)
            return np.nan_to_num(left.min(axis=1), nan=-np.inf)

        most = problem.widest()
        start = np.where(np.isfinite(most), most / 64, 1e-2)
        rtol = AFFINE_RTOL if problem.graph.affine else RTOL
        return largest_budgets(room, start, most, rtol)


@own_modes()
def _ranges(problem: NetworkProblem, samples: NDArray, eps: NDArray) -> tuple[NDArray, NDArray]:
    shape = problem.graph.shapes[problem.graph.last]
    n_outputs = math.prod(shape)
    identity = torch.eye(n_outputs, dtype=torch.float64)
    rows: Tensor = torch.cat([identity, -identity]).reshape(1, 2 * n_outputs, *shape)
    found = np.empty((len(samples), 2 * n_outputs))
    for start in range(0, len(samples), N_SAMPLES):
        part = slice(start, start + N_SAMPLES)
        found[part] = problem.bounds(samples[part], eps[part]).lowest(rows).numpy()
    return found[:, :n_outputs], -found[:, n_outputs:]


@register_ranges(MLPRegressor)
@register_ranges(NeuralNetRegressor)
@register_ranges(BaseEstimator)
def _network(estimator: BaseEstimator, steps: Steps) -> RangeCertifier:
    # Others, among them all with a to_torch() method: whoever has a model of parts with bounds.
    return NetworkRanges(network_certifier(estimator, steps))
