"""The least perturbation that moves a prediction of a regressor by more than a tolerance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from numbers import Real
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sklearn_iso._threat import ThreatModel
from sklearn_iso.attacks import Budget, MinimumNormEnsemble, RayS
from sklearn_iso.attacks._attack import MinimumNormAttack
from sklearn_iso.attacks._deviations import Deviations
from sklearn_iso.attacks._linear_steps import shortest
from sklearn_iso.attacks._parameters import RandomState, as_generator
from sklearn_iso.metrics._combinations import changed
from sklearn_iso.metrics._evaluation import AUTOMATIC_QUERIES
from sklearn_iso.metrics._jobs import over_parts
from sklearn_iso.metrics._known_values import KnownValues
from sklearn_iso.metrics._regression_access import RegressionAccess
from sklearn_iso.metrics._regression_evaluation import Outputs
from sklearn_iso.metrics._regression_problem import RegressionProblem
from sklearn_iso.metrics._settling import Settling
from sklearn_iso.metrics._table import Table

#: Halvings of the way to a point, which leave less than a billionth of it.
N_BISECTIONS = 32
#: Steps to the boundary linearised at the closest point so far.
N_POLISHINGS = 2
#: Share of a tolerance by which linear steps go beyond it.
BEYOND = 1e-9


def check_tolerance(tolerance: object) -> float:
    """Return a tolerance as a float.

    Raises
    ------
    ValueError
        If it is no finite number above 0.

    Examples
    --------
    >>> from sklearn_iso.metrics._regression_distance import check_tolerance
    >>> check_tolerance(2)
    2.0
    """
    is_number = isinstance(tolerance, Real) and not isinstance(tolerance, bool | np.bool_)
    number = float(cast(Real, tolerance)) if is_number else np.nan
    if not np.isfinite(number) or number <= 0:
        raise ValueError(
            "tolerance must be a number above 0 for a regressor, in units of y; got "
            f"{tolerance!r}. A prediction counts as wrong once it is farther away than that: pass "
            "for example tolerance=0.5 * y.std()."
        )
    return number


@dataclass(frozen=True)
class DeviationProblem:
    """A regressor whose predictions are wrong where they deviate by more than a tolerance.

    Parameters
    ----------
    problem : RegressionProblem
        Its y is what deviations are counted from.
    tolerance : float

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression
    >>> from sklearn_iso.metrics._regression_distance import DeviationProblem
    >>> from sklearn_iso.metrics._regression_problem import RegressionProblem
    >>> X, y = np.array([[0.0], [1.0]]), np.array([1.0, 3.0])
    >>> problem = RegressionProblem.of(LinearRegression().fit(X, y), X, y)
    >>> deviations = DeviationProblem(problem, tolerance=1.0)
    >>> deviations.misclassified_at(deviations.points([0, 1]) + 0.6, np.array([0, 1]))
    array([ True,  True])
    """

    problem: RegressionProblem
    tolerance: float

    @property
    def threat(self) -> ThreatModel:
        """What an attack may do."""
        return self.problem.threat

    def candidate(self, X: Tensor, X_adv: Tensor, eps: float | None, rows: NDArray) -> Tensor:
        """Return perturbed samples as they are judged."""
        return self.problem.candidate(X, X_adv, eps, rows)

    @property
    def table(self) -> Table:
        """What is attacked."""
        return self.problem.table

    def points(self, rows: NDArray | slice = slice(None)) -> Tensor:
        """Return samples as a tensor."""
        return self.problem.points(rows)

    def right(self) -> NDArray[np.bool_]:
        """Which samples deviate by no more than the tolerance without an attack."""
        return self._near(self.problem.clean, self.problem.y)

    def misclassified_at(self, X_adv: Tensor, rows: NDArray) -> NDArray[np.bool_]:
        """Which samples deviate by more at X_adv; none where the estimator refuses to answer."""
        values = X_adv.detach().cpu().numpy()
        predicted = self.problem.predict_perturbed(values, rows, thorough=True)
        known = np.isfinite(predicted).all(axis=1)
        found: NDArray[np.bool_] = known & ~self._near(predicted, self.problem.y[rows])
        return found

    def _near(self, predicted: NDArray, references: NDArray) -> NDArray[np.bool_]:
        near: NDArray[np.bool_] = (np.abs(predicted - references) <= self.tolerance).all(axis=1)
        return near


@dataclass(frozen=True)
class RegressionSearch:
    """Minimum-norm attacks on a regressor, and what it says itself of their points.

    Parameters
    ----------
    deviations : DeviationProblem
    method : MinimumNormAttack
    generator : torch.Generator

    Examples
    --------
    >>> import numpy as np, torch
    >>> from sklearn.linear_model import LinearRegression
    >>> from sklearn_iso.attacks import FMN
    >>> from sklearn_iso.metrics._regression_distance import DeviationProblem, RegressionSearch
    >>> from sklearn_iso.metrics._regression_problem import RegressionProblem
    >>> X, y = np.array([[0.0], [1.0]]), np.array([1.0, 3.0])
    >>> problem = RegressionProblem.of(LinearRegression().fit(X, y), X, y)
    >>> search = RegressionSearch(DeviationProblem(problem, 1.0), FMN(), torch.Generator())
    >>> search.distances(np.array([0, 1])).round(6)
    array([0.5, 0.5])
    """

    deviations: DeviationProblem
    method: MinimumNormAttack
    generator: torch.Generator

    @property
    def problem(self) -> RegressionProblem:
        """The regressor with its samples."""
        return self.deviations.problem

    def distances(self, rows: NDArray) -> NDArray[np.float64]:
        """Return the distances of the closest deviations found for samples that are right."""
        problem, method = self.problem, self.method
        problem.count_refusals_within(np.ptp(problem.table.values, axis=0))
        access = RegressionAccess.of(problem, method.asks)
        known = _Closest(Settling(self.deviations, N_BISECTIONS), rows)
        if self._take_known(known):
            return known.distance
        if self._follows_gradients(access):
            self._walk(access, known)
        search = method if isinstance(method, RayS) else self._search_by_labels()
        left = np.flatnonzero(np.isinf(known.distance) | (not access.trusted))
        if search is not None and len(left):
            known.offer(self._found(search, problem.outputs, rows[left]), left)
        if problem.table.is_raw and isinstance(method, MinimumNormEnsemble):
            self._try_all_categories(access, known)
        return known.distance

    def _take_known(self, known: _Closest) -> bool:
        """Take what is known without a search; return whether nothing remains to find."""
        values = KnownValues.of(self.problem)
        if values is None or not isinstance(self.method, MinimumNormEnsemble):
            return False
        points = values.nearest(known.rows, self.deviations.tolerance)
        if points is None:
            return False
        known.offer(points, np.arange(len(known.rows)), exact=True)
        return values.is_all

    def _try_all_categories(self, access: RegressionAccess, known: _Closest) -> None:
        """Try each combination of categories, and a step of the other features from there."""
        X, rows = self.problem.points(known.rows), known.rows
        for points in changed(X, self.problem.threat):
            known.distance[self.deviations.misclassified_at(points, rows)] = 0
        for points in changed(X, self.problem.threat) if access.climbs else ():
            left = np.flatnonzero(known.distance)
            for steps in self._linear_steps(access.model, X[left], points[left], rows[left]):
                nearer = known.settling.sizes(X[left], steps) < known.distance[left]
                known.offer(steps[torch.from_numpy(nearer)], left[nearer])

    def _follows_gradients(self, access: RegressionAccess) -> bool:
        if self.method.asks != "gradients":
            return False
        if isinstance(self.method, MinimumNormEnsemble):
            return access.climbs
        access.require_gradients()
        return True

    def _search_by_labels(self) -> RayS | None:
        """Return the search that follows gradients; none where one attack was to run alone."""
        if not isinstance(self.method, MinimumNormEnsemble) or self.method.n_queries == 0:
            return None
        return RayS(n_queries=self.method.n_queries or AUTOMATIC_QUERIES)

    def _found(self, method: MinimumNormAttack, outputs: Outputs, rows: NDArray) -> Tensor:
        X = self.problem.points(rows)
        deviations = Deviations(outputs, tuple(X.shape[1:]), self.deviations.tolerance)
        budget = Budget.of(X, threat=self.problem.threat)
        return deviations.closest(method, X, self.problem.targets(rows), budget, self.generator)

    def _walk(self, access: RegressionAccess, known: _Closest) -> None:
        """Walk by the gradients of the twin; then step onto boundaries linearised where it ends."""
        rows, everyone = known.rows, np.arange(len(known.rows))
        X = self.problem.points(rows)
        for points in self._linear_steps(access.model, X, X, rows):
            known.offer(points, everyone)
        known.offer(self._found(self.method, access.outputs, rows), everyone)
        for _ in range(N_POLISHINGS):
            found = np.flatnonzero(np.isfinite(known.distance))
            for points in self._linear_steps(
                access.model, X[found], known.points[found], rows[found]
            ):
                known.offer(points, found)

    def _linear_steps(
        self, twin: nn.Module, X: Tensor, at: Tensor, rows: NDArray
    ) -> Iterator[Tensor]:
        """Yield, for every output up and down, the closest points by a twin linearised at some."""
        if not len(X):
            return
        budget = Budget.of(X, threat=self.problem.threat)
        centre = X if budget.categories is None else budget.categories.graft(X, at)
        ball, v = budget.around(centre), budget.perturbations(centre, at)
        references = self.problem.targets(rows).double()
        enough = self.deviations.tolerance * (1 + BEYOND)
        for output in range(references.shape[1]):
            x = at.detach().clone().requires_grad_()
            with torch.enable_grad():
                value = twin(x)[:, output]
            if not value.requires_grad:
                continue
            (gradient,) = torch.autograd.grad(value.sum(), x)
            slope = torch.where(gradient.isfinite(), gradient, 0) * budget.eps
            origin = value.detach().double() - (slope * v).flatten(1).sum(dim=1).double()
            for sign in (1, -1):
                climb = enough - sign * (origin - references[:, output])
                step = shortest(budget.norm, sign * slope, climb.clamp(min=0).to(X), ball.box)
                yield ball.point(step)


def deviation_distances(
    deviations: DeviationProblem,
    method: MinimumNormAttack,
    random_state: RandomState,
    *,
    n_jobs: int | None = None,
) -> NDArray[np.float64]:
    """Return the distance of every sample to the closest deviation found, 0 where there is one.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression
    >>> from sklearn_iso.attacks import FMN
    >>> from sklearn_iso.metrics._regression_distance import DeviationProblem, deviation_distances
    >>> from sklearn_iso.metrics._regression_problem import RegressionProblem
    >>> X, y = np.array([[0.0], [1.0]]), np.array([1.0, 3.0])
    >>> regression = LinearRegression().fit(X, y)
    >>> problem = RegressionProblem.of(regression, X, y + [0, 2])
    >>> deviation_distances(DeviationProblem(problem, 1.0), FMN(), 0).round(6)
    array([0.5, 0. ])
    """
    problem = deviations.problem
    method.check(problem.points(), problem.threat)
    found, rows = np.zeros(len(problem.table)), np.flatnonzero(deviations.right())
    if len(rows):
        search = RegressionSearch(deviations, method, as_generator(random_state))
        if n_jobs is None:
            found[rows] = search.distances(rows)
        else:
            parts = over_parts(
                _distances_of_part, search, rows, problem=problem,
                random_state=search.generator, n_jobs=n_jobs,
            )  # fmt: skip
            found[rows] = np.concatenate(parts)
    return found


def _distances_of_part(search: RegressionSearch, rows: NDArray, seed: int) -> NDArray[np.float64]:
    return replace(search, generator=torch.Generator().manual_seed(seed)).distances(rows)


class _Closest:
    """The closest deviations of some samples that the estimator confirmed."""

    def __init__(self, settling: Settling, rows: NDArray) -> None:
        self.settling, self.rows = settling, rows
        self.points = settling.problem.points(rows).clone()
        self.distance = np.full(len(rows), np.inf)

    def offer(self, points: Tensor, at: NDArray, exact: bool = False) -> None:
        """Settle the points of samples at some positions, and keep those that are closer."""
        distance = self.settling.settle(points, self.rows[at], exact=exact)
        closer = distance < self.distance[at]
        self.points[at[closer]] = points[torch.from_numpy(closer)]
        self.distance[at[closer]] = distance[closer]
