"""Ranges of regression trees and their sums: exact for one tree, and mostly for sums in "linf"."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import (
    BaggingRegressor,
    ExtraTreesRegressor,
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
    VotingRegressor,
)
from sklearn.tree import DecisionTreeRegressor

from sklearn_iso._certificates.cells import Around
from sklearn_iso._certificates.certifier import RangeCertifier
from sklearn_iso._certificates.columnwise import columnwise, quietly
from sklearn_iso._certificates.domain import Domain
from sklearn_iso._certificates.following import exponential
from sklearn_iso._certificates.forests import Forest
from sklearn_iso._certificates.grids import Grid, Grids
from sklearn_iso._certificates.hist_reader import raw_predictions_of
from sklearn_iso._certificates.nearest import Question
from sklearn_iso._certificates.registry import Steps, register_ranges
from sklearn_iso._certificates.regressor_readers import has_identity_link, predictions_of
from sklearn_iso._certificates.search import Effort
from sklearn_iso._certificates.trees import (
    ROUNDING,
    STEPS_ALONE,
    check_categories_stay,
    check_size,
)
from sklearn_iso._certificates.veritas import Veritas
from sklearn_iso._protocols import Predictor
from sklearn_iso._threat import ThreatModel

#: Nodes that Veritas opens without a limit of time: for one end of a range, and for a distance.
NODES = 8000


@dataclass(frozen=True, eq=False)
class ForestRanges:
    """Bounds of predictions that are sums of what the leaves of trees hold.

    Parameters
    ----------
    predict : callable
        Maps what the steps give to predictions (n,) or (n, n_outputs).
    forest : Forest
        One score for each output, and a last one that is 0.
    steps : Steps
    time_limit : float, optional
        Seconds for each search; without it the number of its steps is limited.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import RandomForestRegressor
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso._certificates import range_certifier_of
    >>> X, y = np.array([[0.0], [1.0], [3.0]]), np.array([1.0, 2.0, 6.0])
    >>> forest = RandomForestRegressor(3, bootstrap=False, random_state=0).fit(X, y)
    >>> certifier, threat = range_certifier_of(forest), ThreatModel().resolve(X)
    >>> [side.round(3).ravel().tolist() for side in certifier.ranges(X, threat, np.full(3, 0.6))]
    [[1.0, 1.0, 6.0], [2.0, 2.0, 6.0]]
    """

    predict: Callable[[NDArray], NDArray]
    forest: Forest
    steps: Steps = ()
    time_limit: float | None = None
    _grids: Grids = field(default_factory=Grids, repr=False)

    @classmethod
    def of(
        cls, predict: Callable[[NDArray], NDArray], forest: Forest, steps: Steps
    ) -> ForestRanges:
        """Return the bounds of what a forest of one score for each output adds up."""
        values = np.hstack([forest.values, np.zeros((len(forest.values), 1))])
        constant = np.append(forest.constant, 0.0)
        return cls(predict, replace(forest, values=values, constant=constant), steps)

    @property
    def n_outputs(self) -> int:
        """How many numbers are predicted of a sample."""
        return self.forest.n_classes - 1

    @property
    def exact(self) -> bool:
        """Whether ranges and distances are exact in every norm."""
        return self.forest.is_single

    @property
    def method(self) -> str:
        """How it proves."""
        if self.forest.is_single:
            return "all leaves of the tree within the budget"
        return "search over intersections of leaves"

    def within(self, time_limit: float | None) -> ForestRanges:
        """Return the same with a limit of time for each search."""
        return replace(self, time_limit=time_limit)

    def ranges(self, X: NDArray, threat: ThreatModel, eps: NDArray) -> tuple[NDArray, NDArray]:
        """Return bounds of all predictions within budgets, each of shape (n, n_outputs)."""
        low, high = np.empty((2, len(X), self.n_outputs))
        slack = 0.0 if self.forest.is_single else self.forest.rounding()
        for row, sample in enumerate(self._samples(X, threat)):
            for output in range(self.n_outputs):
                low[row, output] = -sample.highest(output, -1, eps[row]) - slack
                high[row, output] = sample.highest(output, 1, eps[row]) + slack
        return low, high

    def distances(self, X: NDArray, low: NDArray, high: NDArray, threat: ThreatModel) -> NDArray:
        """Return lower bounds of the distances at which predictions leave intervals."""
        if not self.forest.is_single and self.time_limit is None:
            check_size(self.forest)
        samples = zip(self._samples(X, threat), low, high, strict=True)
        found = [sample.nearest(below, above) for sample, below, above in samples]
        return np.array(found, dtype=np.float64)

    def _samples(self, X: NDArray, threat: ThreatModel) -> Iterator[OneSample]:
        columns, domain = columnwise(self.steps, X.shape[1]), Domain.of(threat, X.shape[1])
        grid = self._grids.of(self.forest, columns, X.shape[1], X.dtype.type)
        check_categories_stay(self.forest, grid.gridded, domain)
        for x in X:
            own = self._grids.at(grid, x)
            yield OneSample(self, own, own.gridded.cells.around(x, domain))

    def predictions(self, X: NDArray) -> NDArray:
        """Return what the regressor predicts, of shape (n, n_outputs)."""
        columns = columnwise(self.steps, X.shape[1])
        predicted = quietly(lambda X: self.predict(columns.apply(X)), X)
        return np.asarray(predicted, dtype=np.float64).reshape(len(X), self.n_outputs)


@dataclass(frozen=True, eq=False)
class OneSample:
    """One sample before a forest on its grid."""

    certifier: ForestRanges
    grid: Grid
    around: Around

    @property
    def zero(self) -> int:
        """The score that is 0."""
        return self.certifier.n_outputs

    def _effort(self) -> Effort:
        limit = self.certifier.time_limit
        return Effort(limit, STEPS_ALONE, NODES if limit is None else None)

    def _pair(self, output: int, sign: int) -> tuple[int, int]:
        """Return the scores of which the second is ahead by an output, or by less than it."""
        return (self.zero, output) if sign > 0 else (output, self.zero)

    def highest(self, output: int, sign: int, eps: float) -> float:
        """Return an upper bound of an output times a sign within a budget."""
        own, other = self._pair(output, sign)
        radius, forest = eps * (1 + ROUNDING), self.grid.gridded.forest
        most = self.grid.intersections(own, other).highest(self.around, radius)
        search = self.grid.search(own, other)
        if len(forest.roots) > 1 and eps > 0 and isinstance(search, Veritas):
            most = min(most, search.highest(self.around, radius, self._effort()))
        return most + float(forest.constant[other] - forest.constant[own])

    def nearest(self, low: NDArray, high: NDArray) -> float:
        """Return a lower bound of the distance at which an output leaves its interval."""
        if self.certifier.forest.is_single:
            leaves = self.grid.leaves
            values = self.grid.gridded.forest.values[leaves.node, : self.zero]
            out = ((values < low) | (values > high)).any(axis=1)
            sizes = self.around.size(leaves.low[out], leaves.high[out])
            return float(sizes.min(initial=np.inf))

        def errs(x: NDArray) -> bool:
            predicted = self.certifier.predictions(x[None])[0]
            return bool(((predicted < low) | (predicted > high)).any())

        wanted = [
            (*self._pair(output, sign), float(end))
            for output in range(self.zero)
            for sign, end in ((1, high[output]), (-1, -low[output]))
            if np.isfinite(end)
        ]
        if errs(self.around.x):
            return 0.0
        searches = [self.grid.search(*one) for one in wanted]
        question = Question(self.around, errs, self._effort())
        found = question.nearest_in_its_norm(
            searches, lambda: [self.grid.intersections(*one) for one in wanted]
        )
        return found.bound * (1 - ROUNDING)


@register_ranges(DecisionTreeRegressor)
@register_ranges(RandomForestRegressor)
@register_ranges(ExtraTreesRegressor)
@register_ranges(GradientBoostingRegressor)
@register_ranges(BaggingRegressor)
@register_ranges(VotingRegressor)
def _trees(regressor: Predictor, steps: Steps) -> RangeCertifier:
    return ForestRanges.of(regressor.predict, predictions_of(regressor), steps)


@register_ranges(HistGradientBoostingRegressor)
def _boosting(boosting: HistGradientBoostingRegressor, steps: Steps) -> RangeCertifier:
    if has_identity_link(boosting):
        return _trees(boosting, steps)
    return exponential(ForestRanges.of(boosting._raw_predict, raw_predictions_of(boosting), steps))
