"""The worst losses of a regressor at growing budgets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from sklearn_iso.attacks import Attack
from sklearn_iso.attacks._parameters import RandomState
from sklearn_iso.metrics._jobs import over_parts
from sklearn_iso.metrics._regression_evaluation import Method, RegressionEvaluation, Worst
from sklearn_iso.metrics._regression_problem import RegressionProblem, SampleLoss

SECONDS_BEFORE_A_BAR = 2.0


@dataclass(frozen=True, eq=False)
class WorstRuns:
    """What nested runs found.

    A prediction within a budget is within all larger ones: losses never fall with the budget, by
    construction.

    Attributes
    ----------
    loss : ndarray of shape (n_budgets, n)
        In the order in which the budgets came.
    predicted : ndarray of shape (n_budgets, n, n_outputs)
    stage : ndarray of str, shape (n_budgets, n)
        Which attack found the worst prediction; "clean" where none found one.
    evaluation : RegressionEvaluation

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn_iso.attacks import AttackEnsemble
    >>> from sklearn_iso.metrics._worst_runs import worst_runs
    >>> from sklearn_iso.metrics._regression_problem import RegressionProblem, SampleLoss
    >>> X, y = load_diabetes(return_X_y=True)
    >>> problem = RegressionProblem.of(Ridge().fit(X, y), X, y)
    >>> loss = SampleLoss("absolute_error")
    >>> worst_runs(problem, loss, [0.01, 0.0], AttackEnsemble(), 0).mean.round(1)
    array([60.6, 47.6])
    """

    loss: NDArray[np.float64]
    predicted: NDArray[np.float64]
    stage: NDArray[np.object_]
    evaluation: RegressionEvaluation

    @property
    def mean(self) -> NDArray[np.float64]:
        """Weighted mean of the losses at each budget."""
        weight = self.evaluation.problem.weight
        mean: NDArray[np.float64] = np.average(self.loss, axis=1, weights=weight)
        return mean


def worst_runs(
    problem: RegressionProblem,
    loss: SampleLoss,
    budgets: Sequence[float],
    attack: Method,
    random_state: RandomState,
    *,
    progress: bool = False,
    n_jobs: int | None = None,
) -> WorstRuns:
    """Attack with growing budgets.

    Parameters
    ----------
    problem : RegressionProblem
    loss : SampleLoss
    budgets : sequence of float
        In any order; each contains the smaller ones.
    attack : Attack or callable
    random_state : int, RandomState, torch.Generator or None
    progress : bool
        Show a bar on terminals where it takes more than two seconds.
    n_jobs : int, optional
        Processes for parts of the samples.

    Examples
    --------
    See :class:`WorstRuns`.
    """
    for eps in budgets:
        problem.budget(problem.points(slice(1)), eps)
    evaluation = RegressionEvaluation.of(problem, loss, attack, random_state)
    worst = evaluation.clean()
    n_budgets, n = len(budgets), len(worst.loss)
    found = WorstRuns(
        np.empty((n_budgets, n)),
        np.empty((n_budgets, n, problem.n_outputs)),
        np.empty((n_budgets, n), dtype=object),
        evaluation,
    )
    order = sorted(range(n_budgets), key=lambda position: budgets[position])
    hidden = None if progress else True
    for position in tqdm(
        order, desc="attack", unit="budget", delay=SECONDS_BEFORE_A_BAR, disable=hidden
    ):
        if n_jobs is None:
            evaluation.attack(worst, budgets[position])
        else:
            worst = _attack_parts(evaluation, worst, budgets[position], n_jobs)
        found.loss[position] = worst.loss
        found.predicted[position] = worst.predicted
        found.stage[position] = worst.stage
    return found


def _attack_parts(evaluation: RegressionEvaluation, worst: Worst, eps: float, n_jobs: int) -> Worst:
    """Attack samples part by part, in processes."""
    problem = evaluation.problem
    problem.count_refusals_within(problem.threat.radius(eps))
    parts = over_parts(
        _attack_part, (evaluation, worst, eps), np.arange(len(worst.loss)), problem=problem,
        random_state=evaluation.generator, n_jobs=n_jobs,
    )  # fmt: skip
    return Worst.joined(parts)


def _attack_part(
    shared: tuple[RegressionEvaluation, Worst, float], rows: NDArray, seed: int
) -> Worst:
    evaluation, worst, eps = shared
    is_ours = isinstance(evaluation.method, Attack)
    generator = torch.Generator().manual_seed(seed) if is_ours else seed
    own = worst.part(rows)
    evaluation.part(rows, generator).attack(own, eps)
    return own
