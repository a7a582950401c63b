"""Certificates of trees and their sums: exact for one tree, and for ensembles in "linf"."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.tree import DecisionTreeClassifier

from sklearn_iso._certificates import (
    hist_reader,  # noqa: F401  it registers a reader
    veritas,
)
from sklearn_iso._certificates.cells import Around, Gridded
from sklearn_iso._certificates.certifier import Certifier, Errors
from sklearn_iso._certificates.columnwise import Columnwise, columnwise, quietly
from sklearn_iso._certificates.domain import Domain
from sklearn_iso._certificates.forests import Forest
from sklearn_iso._certificates.grids import Grid, Grids
from sklearn_iso._certificates.nearest import Found, Question
from sklearn_iso._certificates.registry import Steps, register
from sklearn_iso._certificates.search import Effort, Intersections, OutOfReach, Search
from sklearn_iso._certificates.tree_readers import forest_of
from sklearn_iso._protocols import Classifier
from sklearn_iso._threat import ThreatModel
from sklearn_iso.exceptions import NotCertifiableError

#: Steps of the search in NumPy for a sample, where it is alone.
STEPS_ALONE = 50_000
#: Nodes and steps for a sample of an ensemble where errors are looked for beside an attack.
NODES_BESIDE, STEPS_BESIDE = 4000, 60
#: Without Veritas: larger ensembles are left to it.
MOST_LEAVES = 500
#: What rounding may make of a distance.
ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class TreesCertifier:
    """Certifies a classifier whose scores are sums of what the leaves of trees hold.

    Parameters
    ----------
    classifier : fitted classifier
        Behind the steps.
    forest : Forest
    steps : Steps
    time_limit : float, optional
        Seconds for each sample.
    n_steps : int
        Of the search in NumPy, for each sample.
    n_nodes : int, optional
        Of the search by Veritas.
    """

    classifier: Classifier
    forest: Forest
    steps: Steps = ()
    time_limit: float | None = None
    n_steps: int = STEPS_ALONE
    n_nodes: int | None = None
    _grids: Grids = field(default_factory=Grids, repr=False)

    @property
    def exact(self) -> bool:
        """Whether distances are exact in every norm."""
        return self.is_single

    @property
    def is_single(self) -> bool:
        """Whether there is one tree alone."""
        return self.forest.is_single

    @property
    def method(self) -> str:
        """How it proves."""
        if self.is_single:
            return "distance to the leaves of the tree"
        if self.time_limit is None:
            return "search over intersections of leaves, exact in 'linf'"
        return f"search over intersections of leaves, a lower bound after {self.time_limit:g} s"

    def within(self, time_limit: float | None) -> TreesCertifier:
        """Return the same with a limit of time for each sample."""
        return replace(self, time_limit=time_limit)

    def holds(self, X: NDArray, codes: NDArray, threat: ThreatModel, eps: float) -> NDArray:
        """Return for which samples no perturbation within eps is misclassified."""
        samples = self._samples(X, codes, threat)
        return np.array([one.holds(eps) for one in samples], dtype=bool)

    def distances(self, X: NDArray, codes: NDArray, threat: ThreatModel) -> NDArray:
        """Return a lower bound of the distance of each sample, in units of the threat."""
        found = [one.bound for one in self._checked(X, codes, threat, OneSample.nearest)]
        return np.array(found, dtype=np.float64)

    def witness(self, X: NDArray, codes: NDArray, threat: ThreatModel) -> NDArray:
        """Return the nearest errors that were found; samples without one as they are."""
        found = self._checked(X, codes, threat, OneSample.nearest)
        return self._errors_of(X, found).points

    def errors(
        self, X: NDArray, codes: NDArray, threat: ThreatModel, eps: float | None = None
    ) -> Errors:
        """Return errors near samples: of one tree in all norms, of several in "linf"."""
        if not self.is_single and threat.norm.order != np.inf:
            return Errors.none(X)
        brief = replace(self, n_steps=STEPS_BESIDE, n_nodes=NODES_BESIDE)
        look = OneSample.nearest if eps is None else partial(OneSample.within, eps=eps)
        return self._errors_of(X, brief._checked(X, codes, threat, look))

    def _checked(
        self, X: NDArray, codes: NDArray, threat: ThreatModel, look: Callable[[OneSample], Found]
    ) -> list[Found]:
        """Return what is found of each sample, all errors seen by the classifier itself.

        What the sum over trees tells is checked for all samples at once; where the classifier
        contradicts it, it is asked at every point of a second search.
        """
        found = [look(one) for one in self._samples(X, codes, threat)]
        points = {at: one.point for at, one in enumerate(found) if one.point is not None}
        if not points:
            return found
        some = np.array(list(points))
        predicted = self._predicted(np.array(list(points.values()), dtype=X.dtype))
        again = some[predicted == codes[some]]
        if len(again):
            samples = self._samples(X[again], codes[again], threat)
            for at, one in zip(again.tolist(), samples, strict=True):
                found[at] = look(replace(one, asks_always=True))
        return found

    @staticmethod
    def _errors_of(X: NDArray, found: list[Found]) -> Errors:
        points = [x if one.point is None else one.point for x, one in zip(X, found, strict=True)]
        known = np.array([one.point is not None for one in found], dtype=bool)
        settled = np.array([one.bound >= one.distance for one in found], dtype=bool)
        return Errors(np.array(points, dtype=X.dtype).reshape(X.shape), known, settled)

    def columns(self, n_features: int) -> Columnwise:
        """Return the steps before the classifier as one map."""
        return columnwise(self.steps, n_features)

    def _samples(self, X: NDArray, codes: NDArray, threat: ThreatModel) -> Iterator[OneSample]:
        if not self.is_single and self.time_limit is None:
            check_size(self.forest)
        domain = Domain.of(threat, X.shape[1])
        columns = self.columns(X.shape[1])
        grid = self._grids.of(self.forest, columns, X.shape[1], X.dtype.type)
        predicted = self._predicted(X)
        self._check(grid.gridded, domain, X, predicted)
        for x, code, at_x in zip(X, codes.tolist(), predicted.tolist(), strict=True):
            own = self._grids.at(grid, x)
            around = own.gridded.cells.around(x, domain)
            yield OneSample(self, own, around, code, wrong=at_x != code)

    def errs(self, x: NDArray, code: int) -> bool:
        """Return whether the estimator errs at a point: it is asked where scores nearly tie."""
        scores = self.forest.scores(self.columns(len(x)).of(x[None]))[0]
        lead = np.delete(scores, code).max(initial=-np.inf) - scores[code]
        if abs(lead) > self._rounding:
            return bool(lead > 0)
        return bool(self._predicted(x[None])[0] != code)

    @cached_property
    def _rounding(self) -> float:
        return self.forest.rounding()

    def _predicted(self, X: NDArray) -> NDArray:
        columns = self.columns(X.shape[1])
        predicted = quietly(lambda X: self.classifier.predict(columns.apply(X)), X)
        return np.searchsorted(np.asarray(self.classifier.classes_), predicted)

    def _check(self, gridded: Gridded, domain: Domain, X: NDArray, predicted: NDArray) -> None:
        """Raise an error where categories may move, or predictions are not the sum over trees."""
        check_categories_stay(self.classifier, gridded, domain)
        scores = self.forest.scores(gridded.columns.of(X))
        lead = scores.max(axis=1) - np.take_along_axis(scores, predicted[:, None], 1)[:, 0]
        if (lead > self._rounding).any():
            reason = "it predicts otherwise than the sum of its trees; predict is overridden"
            raise NotCertifiableError(self.classifier, reason=reason)


def check_size(forest: Forest) -> None:
    """Raise an ImportError for a large ensemble, unless there is the package that searches it."""
    n_leaves = int(forest.is_leaf.sum())
    if n_leaves > MOST_LEAVES and not veritas.is_installed():
        raise ImportError(
            f"Ensembles of more than {MOST_LEAVES} leaves are certified by the package "
            f"Veritas, which is not installed; got {n_leaves} leaves. Install it, with "
            "pip install 'sklearn-iso[certify]', or pass a time_limit for each sample."
        )


def check_categories_stay(estimator: object, gridded: Gridded, domain: Domain) -> None:
    """Raise a NotCertifiableError where native categories of trees may move."""
    moving = [int(one) for one in gridded.categorical_features() if domain.units[one] > 0]
    if moving:
        reason = (
            f"columns {moving} hold native categories, which have no distances; keep them as "
            f"they are, with threat=ThreatModel(immutable={moving})"
        )
        raise NotCertifiableError(estimator, reason=reason)


@dataclass(frozen=True, eq=False)
class OneSample:
    """One sample before a forest on its grid."""

    certifier: TreesCertifier
    grid: Grid
    around: Around
    code: int
    wrong: bool
    asks_always: bool = False

    @property
    def others(self) -> list[int]:
        """The classes that it may be mistaken for."""
        n_classes = self.grid.gridded.forest.n_classes
        return [other for other in range(n_classes) if other != self.code]

    def errs(self, x: NDArray) -> bool:
        """Return whether the estimator errs at a point."""
        return self.certifier.errs(x, self.code)

    def holds(self, eps: float) -> bool:
        """Return whether no perturbation within eps is misclassified."""
        if self.certifier.is_single or self.around.domain.order != np.inf:
            return bool(self.nearest().bound * (1 - ROUNDING) > eps)
        if self.wrong:
            return False
        question, radius = self._question(), eps * (1 + ROUNDING)
        return all(question.within(search, radius) is False for search in self._searches())

    def within(self, eps: float) -> Found:
        """Return an error within eps, or that there is none, or neither; of several in "linf"."""
        if self.wrong:
            return Found(0.0, 0.0, self.around.x)
        if self.certifier.is_single:
            nearest = self._nearest_leaf()
            return nearest if nearest.distance <= eps * (1 + ROUNDING) else Found(np.inf)
        try:
            error = self._question().first_of(self._searches(), eps * (1 + ROUNDING))
        except OutOfReach:
            return Found(0.0)
        return Found(np.inf) if error is None else Found(0.0, error.distance, error.point)

    def nearest(self) -> Found:
        """Return the nearest error, or how far there is none."""
        if self.wrong:
            return Found(0.0, 0.0, self.around.x)
        if self.certifier.is_single:
            return self._nearest_leaf()
        return self._question().nearest_in_its_norm(self._searches(), self._intersections)

    def _nearest_leaf(self) -> Found:
        leaves, forest = self.grid.leaves, self.grid.gridded.forest
        wrong = forest.winners(forest.values[leaves.node]) != self.code
        if not wrong.any():
            return Found(np.inf)
        low, high = leaves.low[wrong], leaves.high[wrong]
        sizes = self.around.size(low, high)
        first = int(sizes.argmin())
        if np.isinf(sizes[first]):
            return Found(np.inf)
        point = self.around.point(low[first], high[first])
        return Found(float(sizes[first]), float(sizes[first]), point)

    def _question(self) -> Question:
        of = self.certifier
        effort = Effort(of.time_limit, of.n_steps, of.n_nodes)
        return Question(self.around, self.errs, effort, self.asks_always)

    def _searches(self) -> list[Search]:
        return [self.grid.search(self.code, other) for other in self.others]

    def _intersections(self) -> list[Intersections]:
        return [self.grid.intersections(self.code, other) for other in self.others]


@register(DecisionTreeClassifier, knows_errors=True)
@register(RandomForestClassifier, knows_errors=True)
@register(ExtraTreesClassifier, knows_errors=True)
@register(GradientBoostingClassifier, knows_errors=True)
@register(HistGradientBoostingClassifier, knows_errors=True)
@register(AdaBoostClassifier, knows_errors=True)
@register(BaggingClassifier, knows_errors=True)
@register(VotingClassifier, knows_errors=True)
def _trees(classifier: Classifier, steps: Steps) -> Certifier:
    return TreesCertifier(classifier, forest_of(classifier), steps)
