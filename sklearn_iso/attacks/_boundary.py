"""A walk along the decision boundary, which an ascent inside of the ball may never meet."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sklearn_iso._geometry.norm import along, columns_of
from sklearn_iso.attacks._apgd import Momentum
from sklearn_iso.attacks._ascent import climb
from sklearn_iso.attacks._attack import Attack, AttackState, Logits
from sklearn_iso.attacks._budget import Ball, Budget
from sklearn_iso.attacks._losses import margin, targeted_margin
from sklearn_iso.attacks._objective import Objective
from sklearn_iso.attacks._parameters import check_counts

OVERSHOOT = 1.05
PULL = 0.9
MOST_BIAS = 0.1


@dataclass(frozen=True)
class BoundaryWalk:
    r"""Steps onto the linearised boundary to one wrong class, each biased towards X.

    .. math:: v \leftarrow (1 - a)(v + \eta \, d_v) + a \, \eta \, d_0, \qquad
              a = \min\left(\frac{\|d_v\|}{\|d_v\| + \|d_0\|}, 0.1\right)

    with the shortest steps :math:`d_v` from v and :math:`d_0` from X onto the plane
    :math:`m(v) + \langle \nabla m(v), \cdot - v\rangle = 0` within the box, and an overshoot
    :math:`\eta = 1.05`. A point that is misclassified is pulled a tenth of its way back to X.

    Nothing keeps the walk inside of the ball: it meets the boundary where the network, not the
    budget, has it, and comes closer from there. An ascent that is held back by the ball climbs
    whatever slope the network shows inside. Where the network is all but flat the next boundary
    seems absurdly far; a row that would go there ends its walk with what it has found. From where
    logits are not finite it goes half way back.

    Parameters
    ----------
    logits : callable
    n_steps : int
    within : float
        Samples leave once a misclassified point of this size is found; 0 for the closest point.

    References
    ----------
    Croce, Hein, Minimally Distorted Adversarial Examples with a Fast Adaptive Boundary Attack,
    ICML 2020.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks._boundary import BoundaryWalk
    >>> from sklearn_iso.attacks._budget import Budget
    >>> ball = Budget.of(torch.tensor([[1.0]]), eps=1.0).around(torch.tensor([[1.0]]))
    >>> walk = BoundaryWalk(lambda x: torch.cat([x, -x], dim=1), n_steps=10)
    >>> v, size = walk.from_centre(ball, goals=torch.tensor([[0, 1]]))
    >>> bool(v < -1), bool(size < 1.1)
    (True, True)
    """

    logits: Logits
    n_steps: int
    within: float = 0.0

    def from_centre(self, ball: Ball, goals: Tensor) -> tuple[Tensor, Tensor]:
        """Coordinates of the closest error on the way, and their size (infinity for none).

        Parameters
        ----------
        ball : Ball
            Around n samples, classified correctly.
        goals : Tensor of shape (n, 2)
            Labels and targets.
        """
        objective, norm = Objective(self.logits, targeted_margin), ball.budget.norm
        best, v, before = ball.centre(), ball.centre(), ball.centre()
        closest = norm.size(v).fill_(torch.inf)
        rows = torch.arange(len(goals), device=goals.device)
        for _ in range(self.n_steps):
            value, _, gradient = objective.slope(ball.point(v), goals)
            known = along(value.isfinite(), v)
            onto = _onto_boundary(ball, v, value, ball.slope(gradient))
            before, v = torch.where(known, v, before), torch.where(known, onto, (v + before) / 2)
            led = norm.size(v) < ball.horizon()  # false for NaN
            if not led.all():
                rows, v, goals, ball, before = (
                    rows[led], v[led], goals[led], ball[led], before[led],
                )  # fmt: skip
            if not len(rows):
                break
            _, misclassified = objective.value(ball.point_within(v), goals)
            size = norm.size(v)
            closer = misclassified & (size < closest[rows])
            best[rows[closer]], closest[rows[closer]] = v[closer], size[closer]
            v = torch.where(along(misclassified, v), PULL * v, v)
            keep = closest[rows] > self.within
            if not keep.all():
                rows, v, goals, ball, before = (
                    rows[keep], v[keep], goals[keep], ball[keep], before[keep],
                )  # fmt: skip
            if not len(rows):
                break
        return best, closest


def _onto_boundary(ball: Ball, v: Tensor, value: Tensor, slope: Tensor) -> Tensor:
    norm, value = ball.budget.norm, value.to(slope)
    near = _to_plane(ball, v, slope, -value)
    far = _to_plane(ball, ball.centre(), slope, columns_of(slope * v).sum(dim=1) - value)
    short, long = (norm.size(step).clamp(min=1e-8) for step in (near, far))
    bias = along((short / (short + long)).clamp(max=MOST_BIAS), v)
    return ball.boxed((1 - bias) * (v + OVERSHOOT * near) + bias * OVERSHOOT * far)


def _to_plane(ball: Ball, v: Tensor, slope: Tensor, rise: Tensor) -> Tensor:
    """Shortest step from v that changes the value by rise, up or down."""
    uphill = slope * along(torch.where(rise < 0, -1, 1), slope)
    low, high = (None, None) if ball.box is None else (side - v for side in ball.box)
    return ball.budget.norm.reach(uphill, rise.abs(), low, high)


@dataclass(frozen=True, kw_only=True, repr=False)
class BoundaryAttack(Attack):
    """Walks along the boundaries to the nearest wrong classes, for errors within the ball.

    Unlike :class:`sklearn_iso.attacks.FAB` it looks for no closest error.

    Where a walk meets an error barely outside of the ball, an ascent begins inside, at the place
    nearest to that error. No ascent from X or from a random point may ever come there.

    Parameters
    ----------
    n_steps : int
        Of each walk, and of each ascent.
    n_targets : int
        Wrong classes of the largest logits at X. Where walks find an error that an ascent
        missed, they find nearly all of them on the way to the first or the second.
    near : float
        Ascents begin at errors of at most this size, in radii of the ball; 0 for none.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks._boundary import BoundaryAttack
    >>> X, y = torch.tensor([[1.0], [3.0]]), torch.zeros(2, dtype=int)
    >>> X_adv = BoundaryAttack(n_steps=5)(lambda x: torch.cat([x, -x], dim=1), X, y, eps=2.0)
    >>> (X_adv < 0)[:, 0]
    tensor([ True, False])
    """

    name = "boundary"

    n_steps: int = 60
    n_targets: int = 2
    near: float = 1.5

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        check_counts(n_steps=self.n_steps, n_targets=self.n_targets)

    def run(self, state: AttackState, budget: Budget, generator: torch.Generator) -> None:
        """Attack the samples that are still robust; those that stay so keep their points."""
        if budget.is_zero:
            return
        value = Objective(state.logits, margin).value
        for _ in state.rounds(budget.categories, value):
            for rank in range(min(self.n_targets, state.ranking.shape[1])):
                for rows in state.batches():
                    ball, goals = budget.around(state.centres[rows]), state.goals(rows, rank)
                    points, found = self._points(state.logits, ball, goals)
                    state.record(rows, points, torch.where(found, math.inf, -math.inf), found)

    def _points(self, logits: Logits, ball: Ball, goals: Tensor) -> tuple[Tensor, Tensor]:
        """Closest errors of a walk, or where the ascents from them end; and which break inside."""
        walk = BoundaryWalk(logits, self.n_steps, within=1.0)
        v, size = walk.from_centre(ball, goals)
        points, found = ball.point_within(v), size <= 1
        near = (size <= self.near) & ~found
        if near.any():
            start = ball[near].project(v[near] / along(size[near], v[near]))
            points[near], _, found[near] = climb(
                Objective(logits, targeted_margin), ball[near], goals[near], start,
                Momentum(start, self.n_steps),
            )  # fmt: skip
        return points, found
