"""Steps of an attack on the mean of neighbours: towards those that would change it most.

Which of two training points is nearer is a question of one side of a hyperplane. So a step along
the mean of wanted points less that of the present neighbours brings the former before the latter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.neighbors import KNeighborsRegressor
from torch import Tensor

from sklearn_iso._certificates.affine import Affine, affine
from sklearn_iso._certificates.columnwise import quietly
from sklearn_iso._certificates.registry import last_step
from sklearn_iso.attacks import Budget
from sklearn_iso.attacks._losses import margin
from sklearn_iso.attacks._worst_case import WorstCaseState, along_direction
from sklearn_iso.exceptions import NotCertifiableError
from sklearn_iso.metrics._regression_problem import RegressionProblem

N_ROUNDS = 5
#: Among how many times as many points as there are neighbours the wanted ones are.
WIDTHS = (2, 4, 8)
#: How far steps go on the way to the end of the budget.
SHARES = (1.0, 0.6, 0.3, 0.1)


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
    >>> NeighbourSteps.of(problem).run(state, problem.budget(problem.points(), 0.75))
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

    def run(self, state: WorstCaseState, budget: Budget) -> None:
        """Raise what a state holds from the best points so far, where it is a direction."""
        if state.loss is not along_direction or not bool((budget.eps > 0).any()):
            return
        objective = state.objective(margin)
        for rows in state.batches():
            ball, y = budget.around(state.X[rows]), state.y[rows]
            worth = y.double() @ self.targets.T
            for _ in range(N_ROUNDS):
                slopes = self._slopes(state.X_adv[rows].numpy(), worth)
                v = budget.perturbations(state.X[rows], state.X_adv[rows])
                for slope in slopes:
                    end = ball.leap(slope.to(v))
                    for share in SHARES:
                        x = ball.point_within(v + share * (end - v))
                        loss, judged = objective.value(x, y)
                        state.record(rows, x, loss, judged)

    def _slopes(self, x: NDArray, worth: Tensor) -> list[Tensor]:
        """Return directions of X that bring points of more worth among the neighbours."""
        Z = torch.from_numpy(np.asarray(quietly(self.before.apply, x), dtype=np.float64))
        k, n = self.n_neighbors, len(self.points)
        order = torch.cdist(Z, self.points).topk(min(max(WIDTHS) * k, n), largest=False).indices
        present = self.points[order[:, :k]].mean(dim=1)
        matrix, slopes = torch.from_numpy(self.before.matrix), []
        for width in WIDTHS:
            among = order[:, : width * k]
            best = worth.gather(1, among).topk(min(k, among.shape[1])).indices
            wanted = self.points[among.gather(1, best)].mean(dim=1)
            slopes.append((wanted - present) @ matrix.T)
        return slopes
