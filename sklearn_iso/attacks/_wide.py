"""Gradient ascent that begins in wider balls, where slopes lead that the ball itself hides."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sklearn_iso._geometry.norm import along
from sklearn_iso.attacks._apgd import Momentum
from sklearn_iso.attacks._ascent import climb
from sklearn_iso.attacks._attack import Attack, AttackState, Value
from sklearn_iso.attacks._budget import Ball, Budget
from sklearn_iso.attacks._losses import margin
from sklearn_iso.attacks._objective import Objective
from sklearn_iso.attacks._parameters import check_counts

N_STEPS = 20
#: Of steps, as a share of the radius.
FIRST_LENGTH, LAST_LENGTH = 0.5, 0.1


def has_wider_balls(budget: Budget) -> bool:
    """Whether wider balls have the shape of the one of eps; relations bind one size alone.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks._budget import Budget
    >>> from sklearn_iso.attacks._wide import has_wider_balls
    >>> has_wider_balls(Budget.of(torch.zeros(1, 2), eps=1.0))
    True
    """
    return budget.rules is None or budget.rules.relations is None


def batches_beyond(
    state: AttackState, budget: Budget, value: Value
) -> Iterator[tuple[Tensor, Ball, Tensor]]:
    """Yield batches of samples still robust to an attack that leaves its ball on the way.

    Parameters
    ----------
    state : AttackState
    budget : Budget
        Where nothing may move, or wider balls have another shape, there are no batches.
    value : callable
        As :meth:`AttackState.rounds` takes it.

    Yields
    ------
    rows, ball, y
        Positions of the samples, the ball around them, and their labels.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks._attack import AttackState
    >>> from sklearn_iso.attacks._budget import Budget
    >>> from sklearn_iso.attacks._losses import margin
    >>> from sklearn_iso.attacks._wide import batches_beyond
    >>> X, y = torch.tensor([[1.0], [-1.0], [2.0]]), torch.zeros(3, dtype=int)
    >>> state = AttackState(lambda x: torch.cat([x, -x], dim=1), X, y, batch_size=10)
    >>> value = state.objective(margin).value
    >>> [rows for rows, ball, y in batches_beyond(state, Budget.of(X, eps=1.0), value)]
    [tensor([0, 2])]
    """
    if budget.is_zero or not has_wider_balls(budget):
        return
    for _ in state.rounds(budget.categories, value):
        for rows in state.batches():
            yield rows, budget.around(state.centres[rows]), state.y[rows]


def widened(ball: Ball, radius: Tensor) -> Ball:
    """Balls of other radii, in units of each of them.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso.attacks._budget import Budget
    >>> from sklearn_iso.attacks._wide import widened
    >>> X = torch.tensor([[0.4]])
    >>> ball = Budget.of(X, eps=0.1, threat=ThreatModel(bounds=(0, 1))).around(X)
    >>> widened(ball, torch.tensor([2.0])).box[1].round()
    tensor([[3.]])
    """
    if ball.box is None:
        return ball
    low, high = ball.box
    return replace(ball, box=(low / along(radius, low), high / along(radius, high)))


def climbed(
    objective: Objective, ball: Ball, y: Tensor, v: Tensor, radius: Tensor, n_steps: int = N_STEPS
) -> Tensor:
    """Coordinates at the end of an ascent within balls of other radii; no error ends it.

    Parameters
    ----------
    objective : Objective
    ball : Ball
        Around n samples.
    y : Tensor of shape (n,)
    v : Tensor of shape (n, ...)
        Coordinates to start from.
    radius : Tensor of shape (n,)
        In radii of the ball.
    n_steps : int

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks._budget import Budget
    >>> from sklearn_iso.attacks._losses import margin
    >>> from sklearn_iso.attacks._objective import Objective
    >>> from sklearn_iso.attacks._wide import climbed
    >>> X, y = torch.tensor([[1.0]]), torch.tensor([0])
    >>> objective = Objective(lambda x: torch.cat([x, -x], dim=1), margin)
    >>> ball = Budget.of(X, eps=1.0).around(X)
    >>> climbed(objective, ball, y, torch.zeros_like(X), torch.tensor([3.0]))
    tensor([[-3.]])
    """
    wide, radius = widened(ball, radius), along(radius, v)
    u = wide.project(v / radius)
    walk = Momentum(u, n_steps)
    for step in range(n_steps):
        loss, _, gradient = objective.slope(ball.point(radius * u), y)
        u = walk.step(wide, u, loss, gradient, step)
    return radius * u


@dataclass(frozen=True, kw_only=True, repr=False)
class WideAscent(Attack):
    r"""Gradient ascent on the margin in a ball that shrinks to that of eps, then Auto-PGD in it.

    .. math:: v \leftarrow \Pi_{r_t} \bigl(v + \alpha_t r_t \, u(\nabla m)\bigr), \qquad
              r_t = r_0^{1 - t / T}

    Errors outside of the ball of eps count for nothing, but what leads there may lead back to an
    error inside. A network that was trained to be flat around its samples in one norm hides its
    slopes from an ascent that another norm keeps close to them. The radius falls by little at a
    time, so that a feature that it took a long step to move stays moved.

    Parameters
    ----------
    n_steps : int
        While the ball shrinks; half as many follow in the ball of eps.
    first_radius : float
        In radii of that ball.

    References
    ----------
    Croce, Hein, Mind the box: l1-APGD for sparse adversarial attacks on image classifiers,
    ICML 2021, for the wider balls.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks._wide import WideAscent
    >>> X, y = torch.tensor([[1.0], [3.0]]), torch.zeros(2, dtype=int)
    >>> X_adv = WideAscent()(lambda x: torch.cat([x, -x], 1), X, y, eps=2.0, random_state=0)
    >>> (X_adv < 0)[:, 0]
    tensor([ True, False])
    """

    name = "wide"

    n_steps: int = 2 * N_STEPS
    first_radius: float = 3.0

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        check_counts(n_steps=self.n_steps)

    def run(self, state: AttackState, budget: Budget, generator: torch.Generator) -> None:
        """Attack the samples that are still robust, and record what comes of it."""
        objective = state.objective(margin)
        for rows, ball, y in batches_beyond(state, budget, objective.value):
            start = self._narrowed(objective, ball, y, generator)
            walk = Momentum(start, math.ceil(self.n_steps / 2))
            state.record(rows, *climb(objective, ball, y, start, walk))

    def _narrowed(
        self, objective: Objective, ball: Ball, y: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Coordinates in the ball, at the end of steps in wider ones."""
        v = ball.boxed(self.first_radius * ball.random(generator))
        for step in range(self.n_steps):
            done = step / self.n_steps
            radius = self.first_radius ** (1 - done)
            wide = widened(ball, torch.full((len(y),), radius, dtype=v.dtype, device=v.device))
            _, _, gradient = objective.slope(ball.point(v), y)
            length = FIRST_LENGTH + (LAST_LENGTH - FIRST_LENGTH) * done
            v = radius * wide.step(wide.project(v / radius), gradient, length, step)
        return ball.project(v)
