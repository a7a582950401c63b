"""A minimum-norm attack as a stage: errors that it finds count where they lie within the budget."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from sklearn_iso.attacks._approach import N_TARGETS
from sklearn_iso.attacks._attack import Attack, AttackState
from sklearn_iso.attacks._budget import Budget
from sklearn_iso.attacks._closest import DDN, FMN
from sklearn_iso.attacks._losses import margin
from sklearn_iso.attacks._parameters import check_counts
from sklearn_iso.attacks._shrinking import nearest_boundaries
from sklearn_iso.attacks._wide import batches_beyond


@dataclass(frozen=True, kw_only=True, repr=False)
class NearestErrors(Attack):
    r"""Look for the closest error, and count it where it lies within the budget.

    The walk of :class:`sklearn_iso.attacks.DDN` in "l2" and :class:`sklearn_iso.attacks.FMN`
    otherwise begins at the closest linearised boundary and crosses the sphere of eps as it likes.
    It meets errors behind steep steps of a network, between which there is no slope to follow.

    Parameters
    ----------
    n_steps : int

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks._nearest import NearestErrors
    >>> X, y = torch.tensor([[1.0], [3.0]]), torch.zeros(2, dtype=int)
    >>> X_adv = NearestErrors()(lambda x: torch.cat([x, -x], 1), X, y, eps=2.0, random_state=0)
    >>> (X_adv < 0)[:, 0]
    tensor([ True, False])
    """

    name = "nearest"

    n_steps: int = 60

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        check_counts(n_steps=self.n_steps)

    def run(self, state: AttackState, budget: Budget, generator: torch.Generator) -> None:
        """Attack the samples that are still robust, and record what comes of it."""
        kind = DDN if budget.norm.name == "l2" else FMN
        plan, objective = kind(n_steps=self.n_steps).plan(state, math.inf), state.objective(margin)
        for rows, ball, y in batches_beyond(state, budget, objective.value):
            targets = state.ranking[rows][:, :N_TARGETS]
            (start,) = nearest_boundaries(plan.objective, ball, y, targets, 1)
            v, _ = plan.walk(ball, y, start)
            points = ball.point_within(ball.project(v))
            loss, wrong = objective.value(points, y)
            # Of the others the point of the attack before stays, which is within the budget.
            state.record(rows, points, torch.where(wrong, loss, -torch.inf), wrong)
