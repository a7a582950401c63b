"""Steps of an attack on the mean of neighbours: towards those that would change it most.

The mean is constant on cells, but that of neighbours whose weights fall off smoothly has slopes. An
ascent on it, from many starts, makes the fall steeper and steeper. It asks the regressor about its
best points alone. Then steps follow that bring wanted points before present neighbours: which of
two training points is nearer is a question of one side of a hyperplane.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.neighbors import KNeighborsRegressor
from torch import Tensor

from sklearn_iso._certificates.affine import Affine, affine
from sklearn_iso._certificates.columnwise import quietly
from sklearn_iso._certificates.registry import last_step
from sklearn_iso.attacks import Budget
from sklearn_iso.attacks._budget import Ball
from sklearn_iso.attacks._losses import margin
from sklearn_iso.attacks._worst_case import WorstCaseState, along_direction
from sklearn_iso.exceptions import NotCertifiableError
from sklearn_iso.metrics._regression_problem import RegressionProblem

N_ROUNDS = 5
#: Among how many times as many points as there are neighbours the wanted ones are.
WIDTHS = (2, 4, 8)
#: How far steps go on the way to the end of the budget.
SHARES = (1.0, 0.6, 0.3, 0.1)
#: Of the smooth ascent: starts, steps, and the best ends that the regressor is asked about.
N_STARTS, N_STEPS, N_ENDS = 32, 60, 4
#: First and last length of its steps, in budgets, what stays of the step before, and first and
#: last width of the fall of the weights, in half the gaps to twice as many neighbours.
LENGTHS, MOMENTUM, FALLS = (0.5, 0.02), 0.5, (0.25, 0.002)
#: Training points near each sample that the ascent knows of, and distances it takes at once.
MOST_POINTS, MOST_DISTANCES = 500, 4_000_000


@dataclass(frozen=True, eq=False)
class NeighbourSteps:
    """Raises or lowers the mean of neighbours, point by point.

    Parameters
    ----------
    points : Tensor of shape (n_points, n_columns)
        Training points, as the regressor sees them.
    targets : Tensor of shape (n_points, n_outputs)
    n_neighbors : int
    before : Affine
        The steps before the regressor.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from sklearn.neighbors import KNeighborsRegressor
    >>> from sklearn_iso.attacks import Budget
    >>> from sklearn_iso.attacks._worst_case import WorstCaseState, along_direction
    >>> from sklearn_iso.metrics._neighbour_steps import NeighbourSteps
    >>> from sklearn_iso.metrics._regression_problem import RegressionProblem
    >>> X, y = np.array([[0.0], [1.0], [2.0]]), np.array([0.0, 1.0, 5.0])
    >>> problem = RegressionProblem.of(KNeighborsRegressor(1).fit(X, y), X, y)
    >>> up = torch.ones(3, 1, dtype=torch.float64)
    >>> state = WorstCaseState(problem.outputs, problem.points(), up, along_direction, 10)
    >>> budget, generator = problem.budget(problem.points(), 0.75), torch.Generator()
    >>> NeighbourSteps.of(problem).run(state, budget, generator)
    >>> problem.outputs(state.X_adv).ravel()
    tensor([1., 5., 5.], dtype=torch.float64)
    """

    points: Tensor
    targets: Tensor
    n_neighbors: int
    before: Affine

    name = "neighbours"

    @classmethod
    def of(cls, problem: RegressionProblem) -> NeighbourSteps | None:
        """Return the steps for a problem, None for other regressors than neighbours of numbers."""
        values = problem.table.values
        if problem.table.is_raw or values.ndim != 2:  # noqa: PLR2004
            return None
        try:
            last, steps = last_step(cast(BaseEstimator, problem.estimator))
            if not isinstance(last, KNeighborsRegressor) or isinstance(last._fit_X, str):
                return None
            before = affine(steps, values.shape[1])
        except (TypeError, NotFittedError, NotCertifiableError):
            return None
        points = last._fit_X.toarray() if hasattr(last._fit_X, "toarray") else last._fit_X
        if np.ndim(points) != 2 or points.shape[1] != before.matrix.shape[1]:  # noqa: PLR2004
            return None
        targets = np.asarray(last._y, dtype=np.float64).reshape(len(points), -1)
        table = torch.from_numpy(np.asarray(points, dtype=np.float64))
        return cls(table, torch.from_numpy(targets), int(last.n_neighbors), before)

    def run(self, state: WorstCaseState, budget: Budget, generator: torch.Generator) -> None:
        """Raise what a state holds, where it is a direction."""
        if state.loss is not along_direction or not bool((budget.eps > 0).any()):
            return
        shape = (N_STARTS, *state.X.shape[1:])
        starts = budget.norm.random(shape, generator, state.X.dtype).to(state.X)
        starts[0] = 0
        self._climb(state, budget, torch.where(budget.eps > 0, starts, 0))
        self._swap(state, budget)

    def _climb(self, state: WorstCaseState, budget: Budget, starts: Tensor) -> None:
        """Record the best ends of smooth ascents; all samples share the starts."""
        objective = state.objective(margin)
        n_points = min(MOST_POINTS, len(self.points))
        n_together = max(1, MOST_DISTANCES // (len(starts) * n_points))
        for batch in state.batches():
            for rows in batch.split(n_together):
                X, y = state.X[rows], state.y[rows]
                order = torch.cdist(self._seen(X), self.points).topk(n_points, largest=False)
                worth = (y.double() @ self.targets.T).gather(1, order.indices)
                near = _Near(self.points[order.indices], worth, self.n_neighbors)
                ends, means = self._ends(budget.around(X.repeat(len(starts), 1)), starts, near)
                best = means.topk(min(N_ENDS, len(means)), dim=0).indices
                for v in ends.gather(0, best[:, :, None].expand(-1, -1, X.shape[1])):
                    x = budget.around(X).point_within(v)
                    state.record(rows, x, *objective.value(x, y))

    def _ends(self, ball: Ball, starts: Tensor, near: _Near) -> tuple[Tensor, Tensor]:
        """Return the best coordinates of each ascent, (starts, n, d), and their means."""
        n = len(near.worth)
        v = ball.boxed(starts.repeat_interleave(n, dim=0))
        best, before = v.clone(), torch.zeros_like(v)
        highest = torch.full((len(v),), -torch.inf, dtype=torch.float64)
        matrix = torch.from_numpy(self.before.matrix)
        for step, done in enumerate(torch.linspace(0, 1, N_STEPS).tolist()):
            Z = self._seen(ball.point(v)).view(len(starts), n, -1)
            mean, slope = near.mean_and_slope(Z, between(*FALLS, done))
            better = mean.flatten() > highest
            best[better], highest[better] = v[better], mean.flatten()[better]
            slope = (slope.flatten(0, 1) @ matrix.T).to(v) * ball.budget.eps
            length = torch.linalg.vector_norm(slope, dim=1, keepdim=True)
            before = MOMENTUM * before + slope / torch.where(length > 0, length, 1)
            v = ball.ascend(v, before, between(*LENGTHS, done), step)
        return best.view(len(starts), n, -1), highest.view(len(starts), n)

    def _seen(self, x: Tensor) -> Tensor:
        """Points as the regressor sees them."""
        seen = quietly(self.before.apply, x.numpy())
        return torch.from_numpy(np.asarray(seen, dtype=np.float64))

    def _swap(self, state: WorstCaseState, budget: Budget) -> None:
        """Bring wanted points before present neighbours, from the best points so far."""
        objective = state.objective(margin)
        for rows in state.batches():
            ball, y = budget.around(state.X[rows]), state.y[rows]
            worth = y.double() @ self.targets.T
            for _ in range(N_ROUNDS):
                slopes = self._slopes(state.X_adv[rows], worth)
                v = budget.perturbations(state.X[rows], state.X_adv[rows])
                for slope in slopes:
                    end = ball.leap(slope.to(v))
                    for share in SHARES:
                        x = ball.point_within(v + share * (end - v))
                        loss, judged = objective.value(x, y)
                        state.record(rows, x, loss, judged)

    def _slopes(self, x: Tensor, worth: Tensor) -> list[Tensor]:
        """Return directions of X that bring points of more worth among the neighbours."""
        Z, k, n = self._seen(x), self.n_neighbors, len(self.points)
        order = torch.cdist(Z, self.points).topk(min(max(WIDTHS) * k, n), largest=False).indices
        present = self.points[order[:, :k]].mean(dim=1)
        matrix, slopes = torch.from_numpy(self.before.matrix), []
        for width in WIDTHS:
            among = order[:, : width * k]
            best = worth.gather(1, among).topk(min(k, among.shape[1])).indices
            wanted = self.points[among.gather(1, best)].mean(dim=1)
            slopes.append((wanted - present) @ matrix.T)
        return slopes


@dataclass(frozen=True, eq=False)
class _Near:
    """Training points near each of n samples, (n, m, d), what they are worth, (n, m), and k."""

    points: Tensor
    worth: Tensor
    n_neighbors: int

    def mean_and_slope(self, Z: Tensor, fall: float) -> tuple[Tensor, Tensor]:
        r"""Return the mean of the neighbours, and the slope of a smooth one.

        .. math:: w_i = \sigma\bigl((\tau - |z - p_i|^2) / t\bigr), \qquad
                  \nabla \sum_i w_i c_i \propto \sum_i w_i (1 - w_i) (c_i - \bar c) \, p_i

        with :math:`\tau` such that the sum of the weights stays the same, which takes
        the mean :math:`\bar c` by the factors :math:`w_i (1 - w_i)` off what points are worth.

        Parameters
        ----------
        Z : Tensor of shape (starts, n, d)
        fall : float
            How wide the weights fall off.

        Returns
        -------
        mean : Tensor of shape (starts, n)
        slope : Tensor of the shape of Z
        """
        k, m = self.n_neighbors, self.points.shape[1]
        squares = torch.cdist(Z.transpose(0, 1), self.points).square()
        nearest = squares.topk(min(2 * k, m), dim=2, largest=False)
        worth = self.worth[:, None].expand_as(squares)
        mean = worth.gather(2, nearest.indices[..., :k]).mean(dim=2)
        last = nearest.values[..., k - 1 : k + 1].mean(dim=2, keepdim=True)
        gap = (nearest.values[..., -1:] - nearest.values[..., :1]) / 2
        tiny = torch.finfo(gap.dtype).tiny
        weight = torch.sigmoid((last - squares) / (fall * gap).clamp(min=tiny))
        weight = weight * (1 - weight)
        total = weight.sum(dim=2, keepdim=True)
        middle = (weight * worth).sum(dim=2, keepdim=True) / total.clamp(min=tiny)
        slope = (weight * (worth - middle)) @ self.points
        return mean.T, slope.transpose(0, 1)


def between(first: float, last: float, done: float) -> float:
    """Return a value on the way from the first to the last, in equal factors.

    Examples
    --------
    >>> from sklearn_iso.metrics._neighbour_steps import between
    >>> round(between(1.0, 0.01, 0.5), 6)
    0.1
    """
    return first * (last / first) ** done
