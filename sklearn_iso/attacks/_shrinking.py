"""A walk to the closest misclassified point: step, then shrink or grow the radius."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sklearn_iso._geometry.norm import Norm, along
from sklearn_iso.attacks._budget import Ball
from sklearn_iso.attacks._losses import targeted_margin
from sklearn_iso.attacks._objective import Objective

OVERSHOOT = 1.0002
STRETCH = 1.01
N_BISECTIONS = 12


def _cosine(first: float, last: float, step: int, n_steps: int) -> float:
    """Fall from first to last along half a cosine."""
    return last + (first - last) * (1 + math.cos(math.pi * step / n_steps)) / 2


@dataclass(frozen=True)
class Shrinking:
    """A walk that steps to an error and shrinks the radius, sample by sample.

    Parameters
    ----------
    objective : Objective
        The loss that is climbed.
    n_steps : int
    largest : float
        Radius that no point may leave, in units of eps.
    on_sphere : bool
        Whether a step ends at the radius (DDN) instead of anywhere within it (FMN).
    first_change, last_change : float
        Share by which the radius shrinks or grows at the first step and at the last.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks._budget import Budget
    >>> from sklearn_iso.attacks._objective import Objective
    >>> from sklearn_iso.attacks._shrinking import Shrinking
    >>> from sklearn_iso.attacks._losses import margin
    >>> X, y = torch.tensor([[1.0]]), torch.tensor([0])
    >>> objective = Objective(lambda x: torch.cat([x, -x], dim=1), margin)
    >>> ball = Budget.of(X, eps=1.0).around(X)
    >>> best, size = Shrinking(objective, n_steps=50).walk(ball, y, torch.full_like(X, -3.0))
    >>> bool(size < 1.2), bool(best < -1)
    (True, True)
    """

    objective: Objective
    n_steps: int
    largest: float = math.inf
    on_sphere: bool = False
    first_change: float = 0.05
    last_change: float = 0.001

    def walk(self, ball: Ball, y: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        """Coordinates of the closest error on the way, and their size (infinity for none)."""
        norm, v = ball.budget.norm, start
        before, slope_before, horizon = ball.centre(), ball.centre(), ball.horizon()
        best, closest = start.clone(), torch.full_like(norm.size(start), torch.inf)
        radius = norm.size(start).clamp(max=self.largest)
        for step in range(self.n_steps):
            loss, misclassified, gradient = self.objective.slope(ball.point(v), y)
            size = norm.size(v)
            closer = misclassified & (size < closest) & (size <= self.largest * (1 + 1e-6))
            best[closer], closest[closer] = v[closer], size[closer]
            slope = ball.slope(gradient)
            change = _cosine(self.first_change, self.last_change, step, self.n_steps)
            radius = self._next_radius(radius, size, closest, misclassified, change)
            guess = size + (-loss).clamp(min=0).to(size) / _dual(norm, slope)
            unknown = closest.isinf() & (guess < horizon)
            radius = torch.where(unknown, torch.maximum(guess * OVERSHOOT, radius), radius)
            lost = loss == -torch.inf
            if lost.any():  # half way back, along the slope of the step before
                radius = torch.where(lost, (norm.size(before) + size) / 2, radius)
                v = torch.where(along(lost, v), before, v)
                slope = torch.where(along(lost, v), slope_before, slope)
            before, slope_before = v, slope
            radius = radius.clamp(max=self.largest)
            length = _cosine(1.0, 0.01, step, self.n_steps)
            v = self._step(ball, v, slope, radius, length=length, step=step)
        _, misclassified = self.objective.value(ball.point(v), y)
        size = norm.size(v)
        closer = misclassified & (size < closest) & (size <= self.largest * (1 + 1e-6))
        best[closer], closest[closer] = v[closer], size[closer]
        return best, closest

    def _next_radius(
        self, radius: Tensor, size: Tensor, closest: Tensor, misclassified: Tensor, change: float
    ) -> Tensor:
        smaller = torch.minimum(size, closest) * (1 - change)
        larger = torch.minimum(radius * (1 + change), closest)
        return torch.where(misclassified, smaller, larger)

    def _step(
        self, ball: Ball, v: Tensor, slope: Tensor, radius: Tensor, *, length: float, step: int
    ) -> Tensor:
        norm = ball.budget.norm
        r = along(radius.clamp(min=torch.finfo(v.dtype).tiny), v)
        u = v / r
        box = None if ball.box is None else (ball.box[0] / r, ball.box[1] / r)
        u = norm.projected_step(u, slope, length, step, box)
        if self.on_sphere:
            u = u / along(norm.size(u).clamp(min=1e-12), u)
        return ball.boxed(u * r)


def _dual(norm: Norm, slope: Tensor) -> Tensor:
    """Slope of the steepest unit step: the dual norm."""
    steep = (slope * norm.steepest(slope)).flatten(1).sum(dim=1)
    return steep.clamp(min=torch.finfo(slope.dtype).tiny)


def nearest_boundaries(
    objective: Objective, ball: Ball, y: Tensor, wrong_classes: Tensor, n_nearest: int
) -> list[Tensor]:
    r"""Coordinates where the linearised margins of the nearest wrong classes vanish.

    .. math:: v_t = \frac{z_y - z_t}{\|\nabla (z_t - z_y)\|_*} \, u(\nabla (z_t - z_y))

    For a linear model without a box the first of them is the closest error.

    Parameters
    ----------
    objective : Objective
        Only its logits are used.
    ball : Ball
        Around n samples.
    y : Tensor of shape (n,)
    wrong_classes : Tensor of shape (n, n_targets)
    n_nearest : int
        How many to return, the nearest first.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks._budget import Budget
    >>> from sklearn_iso.attacks._objective import Objective
    >>> from sklearn_iso.attacks._losses import margin
    >>> from sklearn_iso.attacks._shrinking import nearest_boundaries
    >>> X, y = torch.tensor([[3.0]]), torch.tensor([0])
    >>> objective = Objective(lambda x: torch.cat([x, -x], dim=1), margin)
    >>> ball = Budget.of(X, eps=1.0).around(X)
    >>> [v.round() for v in nearest_boundaries(objective, ball, y, torch.tensor([[1]]), 1)]
    [tensor([[-3.]])]
    """
    sizes, starts = linearised_boundaries(objective, ball, y, wrong_classes)
    order = sizes.argsort(dim=0)[:n_nearest]
    rows = torch.arange(len(y), device=y.device)
    return [starts[nth, rows] for nth in order]


def linearised_boundaries(
    objective: Objective, ball: Ball, y: Tensor, wrong_classes: Tensor
) -> tuple[Tensor, Tensor]:
    """Distances and coordinates of the linearised boundaries to each of the wrong classes.

    Returns
    -------
    sizes : Tensor of shape (n_targets, n)
        Infinity where the margin is flat, or nearly so.
    starts : Tensor of shape (n_targets, n, ...)

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks._budget import Budget
    >>> from sklearn_iso.attacks._objective import Objective
    >>> from sklearn_iso.attacks._losses import margin
    >>> from sklearn_iso.attacks._shrinking import linearised_boundaries
    >>> X, y = torch.tensor([[3.0]]), torch.tensor([0])
    >>> objective = Objective(lambda x: torch.cat([x, -x], dim=1), margin)
    >>> ball = Budget.of(X, eps=1.0).around(X)
    >>> sizes, _ = linearised_boundaries(objective, ball, y, torch.tensor([[1]]))
    >>> sizes.round()
    tensor([[3.]])
    """
    norm, targeted = ball.budget.norm, Objective(objective.logits, targeted_margin)
    sizes, starts = [], []
    for target in wrong_classes.unbind(dim=1):
        loss, _, gradient = targeted.slope(ball.X, torch.stack([y, target], dim=1))
        slope = ball.slope(gradient)
        size = (-loss).clamp(min=0).to(slope) / _dual(norm, slope) * OVERSHOOT
        # Where the margin is flat no step leads anywhere: the walk starts at X.
        steep = slope.flatten(1).any(dim=1) & (size < ball.horizon())
        sizes.append(torch.where(steep, size, torch.inf))
        reach = torch.where(sizes[-1].isfinite(), sizes[-1], 0)
        starts.append(ball.boxed(along(reach, slope) * norm.steepest(slope)))
    return torch.stack(sizes), torch.stack(starts)


def pull_back(
    objective: Objective, ball: Ball, y: Tensor, v: Tensor, largest: float
) -> tuple[Tensor, Tensor]:
    """Bisect between X and errors v; return the closest errors, and which are errors at all.

    Parameters
    ----------
    objective : Objective
    ball : Ball
        Around n samples, classified correctly.
    y : Tensor of shape (n,)
    v : Tensor of shape (n, ...)
    largest : float
        Size that no point may exceed; where it is finite, rounding must not leave the ball.

    Examples
    --------
    >>> import math
    >>> import torch
    >>> from sklearn_iso.attacks._budget import Budget
    >>> from sklearn_iso.attacks._objective import Objective
    >>> from sklearn_iso.attacks._losses import margin
    >>> from sklearn_iso.attacks._shrinking import pull_back
    >>> X, y = torch.tensor([[3.0]]), torch.tensor([0])
    >>> objective = Objective(lambda x: torch.cat([x, -x], dim=1), margin)
    >>> ball = Budget.of(X, eps=1.0).around(X)
    >>> errors = torch.tensor([[-8.0]])
    >>> points, wrong = pull_back(objective, ball, y, errors, largest=math.inf)
    >>> bool(-0.01 < points < 0), wrong
    (True, tensor([True]))
    """
    point = ball.point_within if math.isfinite(largest) else ball.point
    points = point(v)
    _, errors = objective.value(points, y)
    # Rounding may have taken back an error that lies on the boundary: go a little further.
    room = largest / ball.budget.norm.size(v).clamp(min=torch.finfo(v.dtype).tiny)
    further = ball.boxed(v * along(room.clamp(max=STRETCH), v))
    low, high = torch.zeros_like(v), torch.where(along(errors, v), v, further)
    points = point(high)
    _, errors = objective.value(points, y)
    for _ in range(N_BISECTIONS):
        middle = (low + high) / 2
        candidates = point(middle)
        _, misclassified = objective.value(candidates, y)
        mask = along(misclassified, v)
        low, high = torch.where(mask, low, middle), torch.where(mask, middle, high)
        points = torch.where(mask, candidates, points)
        errors = errors | misclassified
    return points, errors
