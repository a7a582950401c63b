"""How minimum-norm attacks come to the closest error: walks, and the best of what they find."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from sklearn_iso.attacks._attack import AttackState
from sklearn_iso.attacks._boundary import BoundaryWalk
from sklearn_iso.attacks._budget import Ball, Budget
from sklearn_iso.attacks._categories import Categories
from sklearn_iso.attacks._losses import margin
from sklearn_iso.attacks._objective import Objective
from sklearn_iso.attacks._shrinking import (
    Shrinking,
    linearised_boundaries,
    nearest_boundaries,
    pull_back,
)
from sklearn_iso.attacks._wide import climbed, has_wider_balls

N_TARGETS = 9
#: Radius of the ball in which a walk from a known error begins anew, in sizes of that error.
WIDER = 2.0

#: Maps a ball, labels and wrong classes to the closest errors and their sizes (inf for none).
Approach = Callable[[Ball, Tensor, Tensor], tuple[Tensor, Tensor]]


def nearest(state: AttackState, budget: Budget, approach: Approach) -> Tensor:
    """Closest errors of the samples that are still robust; of the others X itself."""
    if budget.is_zero:
        return state.X_adv
    objective = Objective(state.logits, margin)
    closest = torch.full_like(state.best_loss, torch.inf)
    groups, targets = budget.categories, state.ranking
    targets = targets[:, :N_TARGETS]
    state.centres = state.centres.clone()
    for n_flips in range(1 + (groups.max_changes if groups is not None else 0)):
        for rows in state.batches():
            y = state.y[rows]
            if groups is not None and n_flips:
                state.centres[rows] = _flipped(groups, objective, state.centres[rows], y)
            ball = budget.around(state.centres[rows])
            points, sizes = approach(ball, y, targets[rows])
            if state.is_fresh and sizes.isinf().all():
                objective.check_slope(ball.X, y)
            state.is_fresh, closer = False, sizes < closest[rows]
            state.X_adv[rows[closer]] = points[closer]
            closest[rows[closer]] = sizes[closer]
    return state.X_adv


def _flipped(groups: Categories, objective: Objective, x: Tensor, y: Tensor) -> Tensor:
    return groups.best_flip(x, lambda flipped: objective.value(flipped, y)[0])


def shrinking(plan: Shrinking, n_starts: int) -> Approach:
    """Approach by walks that shrink the radius, from several linearised boundaries."""

    def approach(ball: Ball, y: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        starts = nearest_boundaries(plan.objective, ball, y, targets, n_starts)
        walks = (plan.walk(ball, y, start) for start in starts)
        return _closest_of(walks, plan.objective, ball, y, plan.largest)

    return approach


def along_boundaries(walk: BoundaryWalk, plan: Shrinking, n_targets: int) -> Approach:
    """Approach by walks along the boundaries to the nearest classes, by the linear model at X.

    Where each ends, the radius shrinks by the plan: a walk comes from outside and may meet the
    boundary where no ascent inside would, but does not look for its closest point there.
    """
    objective = plan.objective

    def approach(ball: Ball, y: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        sizes, _ = linearised_boundaries(objective, ball, y, targets)
        nearest_first = targets.gather(1, sizes.argsort(dim=0).T)[:, :n_targets]
        goals = (torch.stack([y, target], dim=1) for target in nearest_first.unbind(dim=1))
        ends = (walk.from_centre(ball, goal) for goal in goals)
        walks = (found for end in ends for found in (end, _shrunk(plan, ball, y, *end)))
        return _closest_of(walks, objective, ball, y, plan.largest)

    return approach


def from_wider_balls(state: AttackState, budget: Budget, plan: Shrinking, known: Tensor) -> None:
    """Approach once more from where ascents in balls of twice the known sizes end.

    Where a network is flat around its samples, the boundaries that are linearised there say
    nothing, and a walk that keeps to its smallest radius stays where it is.
    """
    if not has_wider_balls(budget):
        return
    for rows in (known.isfinite() & (known > 0)).nonzero().squeeze(1).split(state.batch_size):
        X, y, groups = state.X[rows], state.y[rows], budget.categories
        ball = budget.around(X if groups is None else groups.graft(X, state.X_adv[rows]))
        start = climbed(plan.objective, ball, y, ball.centre(), WIDER * known[rows].to(X))
        points, sizes = _closest_of(
            [plan.walk(ball, y, start)], plan.objective, ball, y, plan.largest
        )
        closer = sizes < known[rows]
        state.X_adv[rows[closer]] = points[closer]


def _shrunk(
    plan: Shrinking, ball: Ball, y: Tensor, v: Tensor, sizes: Tensor
) -> tuple[Tensor, Tensor]:
    """Closest errors of walks from the errors v, and their sizes."""
    best, closest, known = v.clone(), torch.full_like(sizes, torch.inf), sizes.isfinite()
    if known.any():
        best[known], closest[known] = plan.walk(ball[known], y[known], v[known])
    return best, closest


def _closest_of(
    walks: Iterable[tuple[Tensor, Tensor]],
    objective: Objective,
    ball: Ball,
    y: Tensor,
    largest: float,
) -> tuple[Tensor, Tensor]:
    """Closest errors over the walks, and their sizes (infinity for none)."""
    best, closest = ball.centre(), torch.full((len(y),), torch.inf, dtype=ball.X.dtype)
    closest = closest.to(ball.X.device)
    for v, sizes in walks:
        closer = (sizes < closest) & (sizes <= largest * (1 + 1e-6))
        best[closer], closest[closer] = v[closer], sizes[closer]
    _, already = objective.value(ball.X, y)
    best[already], closest[already] = 0, 0
    points, errors = pull_back(objective, ball, y, best, largest)
    v = torch.where(points == ball.X, 0, (points - ball.X) / ball.budget.eps)
    return points, torch.where(errors, ball.budget.norm.size(v), torch.inf)
