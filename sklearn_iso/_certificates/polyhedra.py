r"""The shortest step into an intersection of half-spaces and a box, with what proves it.

.. math:: \min \|v\|_p \quad \text{s.t.} \quad S v \ge g, \; -a \le v \le b

Any sum of the half-spaces with weights :math:`\lambda \ge 0` is one that contains them all, and
the distance to a half-space within a box is a knapsack: that of the best weights is the distance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog, nnls

from sklearn_iso._certificates.domain import Domain
from sklearn_iso._certificates.linear import shortest

#: Half-spaces that a first program has, and those that each further one adds.
FIRST, FURTHER = 4, 6
#: Violations, beside the sizes of the numbers in a half-space, that a step may have.
TOLERANCE = 1e-9
MOST_PROGRAMS = 60


@dataclass(frozen=True, eq=False)
class Polyhedron:
    """Half-spaces and a box around a sample, in units.

    Parameters
    ----------
    slopes : ndarray of shape (n_half_spaces, n_features)
    gains : ndarray of shape (n_half_spaces,)
    down, up : ndarray of shape (n_features,)
        How far each feature may fall and rise.
    domain : Domain
        Of unit 1.
    """

    slopes: NDArray
    gains: NDArray
    down: NDArray
    up: NDArray
    domain: Domain

    def nearest(self, most: float) -> tuple[float, NDArray | None]:
        """Return a lower bound of the distance, and the step if it is no longer than that.

        Half-spaces are taken in as the step so far violates them. A bound of `most` or more ends
        the search: the step is None then, and where there is none.
        """
        bound, violated, part = 0.0, -self.gains, np.zeros(0, dtype=int)
        sizes = np.abs(self.slopes).sum(axis=1) + np.abs(self.gains)
        step = np.zeros(self.slopes.shape[1])
        for number in range(MOST_PROGRAMS):
            new = np.flatnonzero(violated < -TOLERANCE * sizes)
            if not len(new):
                return bound, step
            depth = violated[new] / np.maximum(np.abs(self.slopes[new]).max(axis=1), 1e-300)
            new = new[np.argsort(depth)[: FURTHER if number else FIRST]]
            if np.isin(new, part).all():
                return bound, step  # as well as numbers allow
            part = np.union1d(part, new)
            found = self._program(self.slopes[part], self.gains[part])
            if found is None:
                return (bound, None) if number else (0.0, None)
            step, weights = found
            bound = max(bound, self._proven(weights, part))
            if bound >= most or not np.isfinite(step).all():
                return bound, None
            violated = self.slopes @ step - self.gains
        return bound, None

    def _proven(self, weights: NDArray, part: NDArray) -> float:
        """Return the distance to the half-space that weights sum to."""
        slope, gain = weights @ self.slopes[part], float(weights @ self.gains[part])
        if not gain > 0:
            return 0.0
        room = np.where(slope > 0, self.up, self.down)
        return float(shortest(np.abs(slope)[None], room[None], np.array([gain]), self.domain)[0])

    def _program(self, slopes: NDArray, gains: NDArray) -> tuple[NDArray, NDArray] | None:
        """Return the shortest step into some half-spaces, and their weights."""
        if self.domain.order == 2:
            return self._least_squares(slopes, gains)
        return self._linear_program(slopes, gains)

    def _least_squares(self, slopes: NDArray, gains: NDArray) -> tuple[NDArray, NDArray] | None:
        """Solve the least distance problem of Lawson and Hanson; bounds come in as violated."""
        n, low, high = slopes.shape[1], np.zeros(0, dtype=int), np.zeros(0, dtype=int)
        while True:
            sides = np.eye(n)
            rows = np.vstack([slopes, sides[low], -sides[high]])
            least = np.concatenate([gains, -self.down[low], -self.up[high]])
            scale, unit = np.abs(slopes).max(initial=1e-300), np.abs(least).max(initial=1e-300)
            system = np.vstack([rows.T / scale, least / unit])
            target = np.zeros(n + 1)
            target[-1] = 1
            try:
                weights, _ = nnls(system, target)
            except RuntimeError:  # too many steps
                return None
            rest = system @ weights - target
            if not rest[-1] < 0:
                return np.full(n, np.nan), weights[: len(gains)]
            step = -rest[:-1] / rest[-1] * (unit / scale)
            below = np.setdiff1d(np.flatnonzero(step < -self.down * (1 + TOLERANCE)), low)
            above = np.setdiff1d(np.flatnonzero(step > self.up * (1 + TOLERANCE)), high)
            if not len(below) and not len(above):
                return np.clip(step, -self.down, self.up), weights[: len(gains)]
            low, high = np.concatenate([low, below]), np.concatenate([high, above])

    def _linear_program(self, slopes: NDArray, gains: NDArray) -> tuple[NDArray, NDArray] | None:
        """Solve for steps down and up, each not negative, whose largest or whose sum is least."""
        n = slopes.shape[1]
        some = np.flatnonzero((np.abs(slopes) > 0).any(axis=0))
        few, m = slopes[:, some], len(some)
        scale = np.abs(few).max(initial=1e-300)
        tables, least = [np.hstack([-few, few]) / scale], [-gains / scale]
        ends = np.concatenate([self.up[some], self.down[some]])
        cost = np.ones(2 * m)
        if np.isinf(self.domain.order):
            tables = [np.hstack([tables[0], np.zeros((len(few), 1))])]
            tables.append(np.hstack([np.eye(2 * m), np.full((2 * m, 1), -1.0)]))
            least.append(np.zeros(2 * m))
            ends, cost = np.append(ends, np.inf), np.append(np.zeros(2 * m), 1.0)
        limits = np.stack([np.zeros(len(ends)), ends], axis=1)
        solved = linprog(
            cost, A_ub=np.vstack(tables), b_ub=np.concatenate(least), bounds=limits, method="highs"
        )
        if solved.status == 2:  # infeasible
            return None
        if solved.status != 0:
            return np.full(n, np.nan), np.ones(len(gains))
        step = np.zeros(n)
        step[some] = solved.x[:m] - solved.x[m : 2 * m]
        return step, np.maximum(-solved.ineqlin.marginals[: len(gains)], 0)
