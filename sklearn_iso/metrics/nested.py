"""Attacks of growing budgets, each on the rows that the smaller ones could not break."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from sklearn_iso.metrics.breaking import Procedure
from sklearn_iso.metrics.case import Case
from sklearn_iso.metrics.evaluation import Access
from sklearn_iso.metrics.weights import share

SECONDS_BEFORE_A_BAR = 2.0


@dataclass(frozen=True, eq=False)
class Runs:
    """What nested runs broke.

    A row that breaks at one budget is broken at all larger ones, as these contain it: accuracy
    never rises with the budget, by construction.

    Attributes
    ----------
    accuracy : ndarray of shape (n_budgets,)
        In the order in which the budgets came.
    robust : ndarray of bool, shape (n_budgets, n)
        Which rows hold at each budget.
    stage : ndarray of str, shape (n,)
        What broke each row: "clean" without an attack, empty where nothing did.
    access : Access or None
        None if there was nothing to attack.
    unseen : ndarray of bool, shape (n,)
        Which rows hold because a search by labels alone met no other label.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn_iso.metrics.breaking import Procedure
    >>> from sklearn_iso.metrics.case import Case
    >>> from sklearn_iso.metrics.nested import nested_runs
    >>> X, y = load_iris(return_X_y=True)
    >>> case = Case.of(LogisticRegression(max_iter=500).fit(X, y), X, y)
    >>> nested_runs(case, [5.0, 0.0], Procedure(random_state=0)).accuracy.round(2)
    array([0.  , 0.97])
    """

    accuracy: NDArray
    robust: NDArray
    stage: NDArray
    access: Access | None
    unseen: NDArray


def nested_runs(
    case: Case,
    budgets: Sequence[float],
    procedure: Procedure,
    progress: bool = False,
    weight: NDArray | None = None,
) -> Runs:
    """Attack with growing budgets, each the rows that are left.

    Parameters
    ----------
    case : Case
    budgets : sequence of float
        In any order; each contains the smaller ones.
    procedure : Procedure
    progress : bool
        Show a bar on terminals where it takes more than two seconds.
    weight : ndarray of shape (n,), optional
        Weights of the samples, of which accuracy is a share.

    Returns
    -------
    Runs

    Examples
    --------
    See :class:`Runs`.
    """
    for eps in budgets:
        case.budget(case.points(slice(1)), eps)
    right = case.right()
    alive, stage = right.copy(), np.where(right, "", "clean").astype(object)
    robust = np.zeros((len(budgets), len(right)), dtype=bool)
    unseen = np.zeros(len(right), dtype=bool)
    access, procedure = None, procedure.seeded()
    order = sorted(range(len(budgets)), key=lambda position: budgets[position])
    hidden = None if progress else True
    bar = tqdm(order, desc="attack", unit="budget", delay=SECONDS_BEFORE_A_BAR, disable=hidden)
    for position in bar:
        eps, rows = budgets[position], np.flatnonzero(alive)
        if len(rows) and not case.budget(case.points(slice(1)), eps).is_zero:
            if access is None:
                access = procedure.access(case, rows)
            broken = procedure.run(case, access, eps, rows)
            unseen[rows] = broken.unseen & ~broken.fooled
            alive[rows[broken.fooled]] = False
            stage[rows[broken.fooled]] = broken.stage[broken.fooled]
        robust[position] = alive
    return Runs(share(robust, weight), robust, stage, access, unseen)
