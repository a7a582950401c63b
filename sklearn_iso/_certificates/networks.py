"""Certificates of networks, alone or at the end of pipelines, by bounds of their logits."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, is_regressor
from sklearn.neural_network import MLPClassifier
from skorch import NeuralNet, NeuralNetBinaryClassifier, NeuralNetClassifier
from torch import Tensor, nn

# Importing it registers the rules of differentiable models.
from sklearn_iso._certificates import rules  # noqa: F401
from sklearn_iso._certificates.balls import Ball
from sklearn_iso._certificates.bounds import NetworkBounds, Settings
from sklearn_iso._certificates.branching import branched_margin
from sklearn_iso._certificates.budgets import RTOL, largest_budgets
from sklearn_iso._certificates.gaps import parts
from sklearn_iso._certificates.lipschitz import LipschitzBounds, Reach, keeps_lengths
from sklearn_iso._certificates.registry import Steps, register, registered
from sklearn_iso._geometry.norms import NORMS
from sklearn_iso._threat import ThreatModel
from sklearn_iso._threat.parts import numbers_of
from sklearn_iso.exceptions import NotCertifiableError
from sklearn_iso.modules._ambient import own_modes
from sklearn_iso.modules._graph import EndedError
from sklearn_iso.modules._intervals import Graph, NoBoundsError, graph_of
from sklearn_iso.modules._nodes import DOUBLE
from sklearn_iso.modules._rules import unit_of_dtype
from sklearn_iso.twins import as_torch
from sklearn_iso.twins._registry import NotDifferentiableError, twin_of_step
from sklearn_iso.twins._responses import Chain

#: Samples that are bounded at once.
N_SAMPLES = 64
#: Layers of no more units are bounded by linear functions, too, where all keep lengths.
SMALL = 128
#: How closely distances are searched where bounds are exact.
AFFINE_RTOL = 1e-5


@dataclass(frozen=True)
class NetworkCertifier:
    """Proofs by bounds of the logits of a network: Lipschitz constants, linear ones, intervals.

    The better counts. Constants come first, as they take one pass; linear bounds are left out where
    they cannot be better, and for nothing but that.

    Parameters
    ----------
    model : nn.Module
        Maps X to scores whose argmax is the prediction, in evaluation mode.
    estimator : BaseEstimator
        Whose model it is; errors tell of it.
    settings : Settings
        How much is spent on bounds.
    time_limit : float, optional
        Seconds for each sample, in which cases are told apart where bounds prove nothing.
    """

    model: nn.Module
    estimator: BaseEstimator
    settings: Settings = field(default_factory=Settings)
    time_limit: float | None = None

    exact = False

    @property
    def method(self) -> str:
        """How it proves."""
        known = "linear bounds of the logits (CROWN), Lipschitz constants"
        return known + (", in cases" if self.time_limit else "")

    def within(self, time_limit: float | None) -> NetworkCertifier:
        """Return the same certifier with a limit of seconds for each sample; None for no search."""
        return replace(self, time_limit=time_limit)

    def graph(self, shape: tuple[int, ...], unit: float = DOUBLE) -> Graph:
        """Return the operations of the model for samples of a shape.

        Raises
        ------
        NotCertifiableError
            If a part of the model has no bounds.
        """
        try:
            return graph_of(self.model, shape, unit)
        except EndedError as error:
            raise NotCertifiableError(self.estimator, reason=str(error).rstrip(".")) from error
        except NoBoundsError as error:
            if hasattr(self.estimator, "to_torch") or isinstance(self.estimator, NeuralNet):
                # Its module is the user's own: what counts is what it may consist of.
                raise NotCertifiableError(self.estimator, reason=str(error).rstrip(".")) from error
            reason = f"its differentiable model is no network with bounds. {error.fact.rstrip('.')}"
            known = registered(is_regressor(self.estimator))
            raise NotCertifiableError(self.estimator, (), reason, known) from error

    def holds(self, X: NDArray, codes: NDArray, threat: ThreatModel, eps: float) -> NDArray:
        """Return for which samples no perturbation within eps is misclassified, as booleans."""
        found = np.zeros(len(X), dtype=bool)
        for part in parts(self.model, X, threat):
            own = replace(self, model=part.model)
            found[part.rows] = own._holds(part.X, codes[part.rows], part.threat, eps)
        return found

    def _holds(self, X: NDArray, codes: NDArray, threat: ThreatModel, eps: float) -> NDArray:
        problem = NetworkProblem.of(self, X, codes, threat)
        holds = problem.by_constants(float(eps)) > 0
        if problem.bends:
            # Intervals cost a few passes, linear functions one for each unit of a layer.
            for stage in problem.stages():
                left = np.flatnonzero(~holds)
                holds[left] = stage.margins(left, np.full(len(left), float(eps))) > 0
        if self.time_limit is not None:
            right = problem.margins(np.arange(len(X)), np.zeros(len(X))) > 0
            for sample in np.flatnonzero(~holds & right).tolist():
                holds[sample] = problem.in_cases(sample, eps, self.time_limit) > 0
        return holds

    def distances(self, X: NDArray, codes: NDArray, threat: ThreatModel) -> NDArray:
        """Return a lower bound of the distance of each sample, in units of the threat.

        It is inf where no point within the bounds of the threat is misclassified.
        """
        found = np.zeros(len(X))
        for part in parts(self.model, X, threat):
            own = replace(self, model=part.model)
            found[part.rows] = own._distances(part.X, codes[part.rows], part.threat)
        return found

    def _distances(self, X: NDArray, codes: NDArray, threat: ThreatModel) -> NDArray:
        problem = NetworkProblem.of(self, X, codes, threat)
        constant = problem.distances_by_constants()
        if not problem.bends:
            return constant
        most = problem.widest()
        start = np.where(np.isfinite(most), most / 64, 1e-2)
        rtol = AFFINE_RTOL if problem.graph.affine else RTOL
        found = np.maximum(constant, largest_budgets(problem.margins, start, most, rtol))
        if self.time_limit is not None and not problem.graph.affine:
            for sample in np.flatnonzero((found > 0) & np.isfinite(found)).tolist():
                found[sample] = problem.further(sample, found[sample], self.time_limit)
        return found


@dataclass(frozen=True, eq=False)
class NetworkProblem:
    """Samples in float64, and what bounds are computed for."""

    graph: Graph
    settings: Settings
    X: Tensor
    codes: Tensor
    unit: Tensor
    threat: ThreatModel

    @classmethod
    def of(
        cls, certifier: NetworkCertifier, X: NDArray, codes: NDArray, threat: ThreatModel
    ) -> NetworkProblem:
        _check_threat(threat)
        given = np.asarray(X)
        floating = given.dtype if given.dtype in (np.float32, np.float16) else np.dtype(np.float64)
        unit = unit_of_dtype(torch.from_numpy(np.empty(0, floating)).dtype)
        graph = certifier.graph(given.shape[1:], unit)
        samples = torch.from_numpy(np.array(given, dtype=np.float64))
        places = torch.from_numpy(np.array(codes, dtype=np.int64))
        units = np.broadcast_to(threat.radius(1.0), given.shape[1:]).copy()
        if threat.immutable is not None:
            units[threat.immutable_mask()] = 0
        return cls(graph, certifier.settings, samples, places, torch.from_numpy(units), threat)

    def stages(self) -> list[NetworkProblem]:
        """Return the same problem by intervals alone, and then with all that is asked for."""
        if not self.settings.linear:
            return [self]
        return [replace(self, settings=replace(self.settings, linear=False)), self]

    @own_modes()
    def margins(self, samples: NDArray, budgets: NDArray) -> NDArray:
        """Return lower bounds of the smallest margin of samples within budgets, (n,)."""
        found = np.empty(len(samples))
        for start in range(0, len(samples), N_SAMPLES):
            part = slice(start, start + N_SAMPLES)
            found[part] = self._margins(samples[part], budgets[part])
        return found

    @own_modes()
    def in_cases(self, sample: int, budget: float, seconds: float) -> float:
        """Return a lower bound of the smallest margin of one sample, by branch and bound."""
        only = np.array([sample])
        bounds = self.bounds(only, np.array([budget]))
        return branched_margin(
            bounds, self.codes[torch.from_numpy(only)], time.monotonic() + seconds
        )

    def further(self, sample: int, proven: float, seconds: float) -> float:
        """Return the largest budget of one sample that cases prove; `proven` is without them.

        The step doubles with each proof and is a quarter without one; each has half of what is
        left of the time.
        """
        end, step = time.monotonic() + seconds, proven / 4
        most = self.widest()[sample]
        while step > RTOL * proven and (left := end - time.monotonic()) > 0:
            budget = min(proven + step, most)
            if self.in_cases(sample, budget, left / 2) > 0:
                if budget >= most:
                    return np.inf
                proven, step = budget, 2 * step
            else:
                step /= 4
        return proven

    @own_modes()
    def by_constants(self, eps: float) -> NDArray:
        """Return lower bounds of the smallest margin of samples within a budget, (n,)."""
        found = np.empty(len(self.X))
        for part in self._parts():
            X, codes = self.X[part], self.codes[part]
            reach = self._reach(X).of(torch.full((len(X),), eps, dtype=torch.float64))
            found[part] = self.lipschitz.margins(X, codes, reach).amin(dim=1).numpy()
        return found

    @own_modes()
    def distances_by_constants(self) -> NDArray:
        """Return the budgets that Lipschitz constants prove, (n,)."""
        found = np.empty(len(self.X))
        for part in self._parts():
            reach = self._reach(self.X[part])
            proven = self.lipschitz.distances(self.X[part], self.codes[part], reach.farthest)
            found[part] = reach.inverse(proven).numpy()
        return found

    @property
    def bends(self) -> bool:
        """Whether linear bounds may prove more than constants do, at a cost that is bearable."""
        large = max(math.prod(shape) for shape in self.graph.shapes[1:]) > SMALL
        return not (large and self.threat.norm.name == "l2" and keeps_lengths(self.graph))

    @cached_property
    def lipschitz(self) -> LipschitzBounds:
        """The bounds by Lipschitz constants."""
        return LipschitzBounds(self.graph, self.unit)

    def _parts(self) -> Iterator[slice]:
        starts = range(0, len(self.X), N_SAMPLES)
        return (slice(start, start + N_SAMPLES) for start in starts)

    def _reach(self, X: Tensor) -> Reach:
        """Return how far budgets reach around samples."""
        moves = (self.unit > 0).expand_as(X)
        if (box := self._box()) is None:
            room = torch.where(moves, torch.inf, 0.0).double()
        else:
            room = torch.maximum(X - box[0], box[1] - X).clamp_min(0)
            room = torch.where(moves, room / torch.where(moves, self.unit, 1), 0)
        return Reach(self.threat.norm, room.flatten(1))

    def widest(self) -> NDArray:
        """Return the budgets whose balls hold the whole box in which samples may move."""
        if (box := self._box()) is None:
            return np.full(len(self.X), np.inf)
        room = torch.maximum(self.X - box[0], box[1] - self.X).clamp_min(0)
        moves = self.unit > 0
        room = torch.where(moves, room / torch.where(moves, self.unit, 1), 0)
        size = self.threat.norm.size(room) if len(room) else room.flatten(1).sum(dim=1)
        return np.maximum(size.numpy() * (1 + 1e-9), 1e-300)

    def _margins(self, samples: NDArray, budgets: NDArray) -> NDArray:
        codes = self.codes[torch.from_numpy(samples)]
        least: NDArray = self.bounds(samples, budgets).margins(codes).amin(1).numpy()
        return least

    def bounds(self, samples: NDArray, budgets: NDArray) -> NetworkBounds:
        X = self.X[torch.from_numpy(samples)]
        eps = torch.from_numpy(np.asarray(budgets, dtype=np.float64))
        radius = eps.reshape(-1, *[1] * (X.ndim - 1)) * self.unit
        ball = Ball.around(X, radius, self.threat.norm, self._box())
        return NetworkBounds(self.graph, ball, self.settings)

    def _box(self) -> tuple[Tensor, Tensor] | None:
        if self.threat.bounds is None:
            return None
        low, high = (torch.from_numpy(numbers_of(side)) for side in self.threat.bounds)
        return low, high


def _check_threat(threat: ThreatModel) -> None:
    """Raise a ValueError for a threat that bounds of logits know nothing of."""
    if threat.norm not in NORMS.values():
        raise ValueError(
            f"norm must be one of {', '.join(map(repr, NORMS))} to certify a network; got "
            f"{threat.norm.name!r}. Measure it by attack, with adversarial_accuracy."
        )
    if threat.categories is not None:
        raise ValueError(
            "A network cannot be certified against a change of categories; got a threat with "
            "categories. Leave them out, or measure it by attack, with adversarial_accuracy."
        )


def network_certifier(estimator: BaseEstimator, steps: Steps = ()) -> NetworkCertifier:
    """Return the certifier of a fitted classifier whose differentiable model is a network.

    Raises
    ------
    NotCertifiableError
        If the network, or a step before it, is of parts without bounds.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.neural_network import MLPClassifier
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso._certificates.networks import network_certifier
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = MLPClassifier((8,), max_iter=2000, random_state=0).fit(X, y)
    >>> threat = ThreatModel("linf").resolve(X)
    >>> bool(network_certifier(classifier).holds(X[:1], y[:1], threat, 0.1)[0])
    True
    """
    certifier = NetworkCertifier(_model_of(estimator, steps), estimator)
    first = steps[0][1] if steps else estimator
    if isinstance(n_features := getattr(first, "n_features_in_", None), int):
        certifier.graph((n_features,))  # so that errors come before data
    return certifier


def _model_of(estimator: BaseEstimator, steps: Steps) -> nn.Module:
    try:
        before = [twin_of_step(name, step, transform=True) for name, step in steps]
        last = as_torch(estimator)
    except NotDifferentiableError as error:
        known = registered(is_regressor(estimator))
        raise NotCertifiableError(error.estimator, error.path, _why(error), known) from error
    return Chain(*before, last) if before else last


def _why(error: NotDifferentiableError) -> str:
    return error.reason or "there is neither a proof of its own nor a differentiable model"


for _kind in (MLPClassifier, NeuralNetClassifier, NeuralNetBinaryClassifier):
    register(_kind)(network_certifier)
# Others, among them all with a to_torch() method: whoever has a model of parts with bounds.
register(BaseEstimator)(network_certifier)
