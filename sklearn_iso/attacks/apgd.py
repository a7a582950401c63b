"""Auto-PGD: projected gradient ascent with momentum that halves its own steps."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sklearn_iso.attacks.budget import Ball, Budget
from sklearn_iso.attacks.climb import Walk
from sklearn_iso.attacks.parameters import N_TARGETS, check_targets
from sklearn_iso.attacks.plan import Plan
from sklearn_iso.attacks.survivors import Logits, RandomState, Survivors, as_generator
from sklearn_iso.geometry.norm import along
from sklearn_iso.modules.ambient import gradients_on
from sklearn_iso.threat import Threat

MOMENTUM = 0.75
SHARE_OF_RISES = 0.75
FIRST_LENGTH = 2.0


def checkpoints(n_steps: int) -> list[int]:
    """Return the steps after which a row may halve its step, at ever shorter intervals.

    Examples
    --------
    >>> from sklearn_iso.attacks.apgd import checkpoints
    >>> checkpoints(100)
    [22, 41, 57, 70, 80, 87, 93, 99]
    """
    found, at, gap = [], 0.22, 0.22
    while math.ceil(round(at * n_steps, 9)) < n_steps:
        found.append(math.ceil(round(at * n_steps, 9)))
        gap = max(gap - 0.03, 0.06)
        at += gap
    return sorted(set(found))


class Momentum(Walk):
    r"""Steps with momentum, halved row by row where the loss has stopped rising.

    .. math:: z = \Pi(v_t + \eta u(\nabla)), \qquad
              v_{t+1} = \Pi\bigl(v_t + \alpha (z - v_t) + (1 - \alpha)(v_t - v_{t-1})\bigr)

    At a checkpoint a row halves its step and returns to its best point if fewer than 3 in 4
    steps since the last checkpoint raised the loss, or if neither its step nor its best loss
    has changed since then.

    Parameters
    ----------
    start : Tensor of shape (n, ...)
    n_steps : int

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks.apgd import Momentum
    >>> len(Momentum(torch.zeros(3, 2), n_steps=50))
    50
    """

    _of_rows = (
        "before", "best_v", "best_gradient", "best_loss", "last_loss", "length", "n_rises",
        "loss_at_checkpoint", "halved",
    )  # fmt: skip

    def __init__(self, start: Tensor, n_steps: int) -> None:
        self.n_steps, self.checkpoints, self.last_checkpoint = n_steps, checkpoints(n_steps), 0
        per_row = start.new_empty(len(start))
        self.before, self.best_v, self.best_gradient = start, start, torch.zeros_like(start)
        self.best_loss = torch.full_like(per_row, -torch.inf)
        self.last_loss, self.loss_at_checkpoint = self.best_loss.clone(), self.best_loss.clone()
        self.length = torch.full_like(per_row, FIRST_LENGTH)
        self.n_rises = torch.zeros_like(per_row)
        self.halved = torch.ones_like(per_row, dtype=torch.bool)

    def __len__(self) -> int:
        return self.n_steps

    def keep(self, rows: Tensor) -> None:
        """Forget all rows but those of a mask."""
        for name in self._of_rows:
            setattr(self, name, getattr(self, name)[rows])

    def step(self, ball: Ball, v: Tensor, loss: Tensor, gradient: Tensor, step: int) -> Tensor:
        """Coordinates after a step, from the best point where a row starts anew."""
        if step == 0:
            self.best_v, self.best_gradient = v.clone(), gradient.clone()
        else:
            self._note(v, loss.to(v), gradient)
        if step in self.checkpoints:
            v, gradient = self._start_anew(v, gradient, step)
        ahead = ball.step(v, gradient, along(self.length, v), step)
        if step:
            ahead = MOMENTUM * ahead + (2 - 2 * MOMENTUM) * v - (1 - MOMENTUM) * self.before
            ahead = ball.project(ahead)
        self.before, self.last_loss = v, loss.to(v)
        self.best_loss = torch.maximum(self.best_loss, self.last_loss)
        return ahead

    def _note(self, v: Tensor, loss: Tensor, gradient: Tensor) -> None:
        better = loss > self.best_loss
        self.best_v[better], self.best_gradient[better] = v[better], gradient[better]
        self.best_loss = torch.maximum(self.best_loss, loss)
        self.n_rises += loss > self.last_loss

    def _start_anew(self, v: Tensor, gradient: Tensor, step: int) -> tuple[Tensor, Tensor]:
        stalled = self.n_rises < SHARE_OF_RISES * (step - self.last_checkpoint)
        stuck = ~self.halved & (self.loss_at_checkpoint >= self.best_loss)
        self.halved = stalled | stuck
        self.length = torch.where(self.halved, self.length / 2, self.length)
        self.loss_at_checkpoint, self.last_checkpoint = self.best_loss.clone(), step
        self.n_rises = torch.zeros_like(self.n_rises)
        anew = along(self.halved, v)
        v = torch.where(anew, self.best_v, v)
        self.before = torch.where(anew, v, self.before)
        return v, torch.where(anew, self.best_gradient, gradient)


@gradients_on()
def apgd(
    logits: Logits,
    X: Tensor,
    y: Tensor,
    *,
    eps: float,
    threat: Threat = "linf",
    n_steps: int = 100,
    n_restarts: int = 1,
    loss: str = "cross_entropy",
    n_targets: int = N_TARGETS,
    random_start: bool = True,
    random_state: RandomState = None,
    batch_size: int = 1000,
) -> Tensor:
    """Auto-PGD: projected gradient ascent whose steps halve where the loss stops rising.

    It needs no step size. Rows that are misclassified already come back unchanged, fooled rows
    leave the batch, and for a row that is never fooled the point of the highest loss returns.

    Parameters
    ----------
    logits : callable
        Maps points of shape (n, ...) to logits of shape (n, n_classes).
    X : Tensor of shape (n, ...), float32 or float64
    y : Tensor of shape (n,), integers
        Columns of the logits.
    eps : float
        Radius of the ball, in units of the threat.
    threat : ThreatModel, or the name of a norm
        What the attack may do, see :class:`sklearn_iso.ThreatModel`.
        With "l1" the step is that of :func:`sklearn_iso.attacks.pgd` and the projection onto
        ball and box is exact.
    loss, n_targets, random_start
        As in :func:`sklearn_iso.attacks.pgd`.
    n_steps, n_restarts : int
        Steps of each run, and runs.
    random_state : int, numpy generator, torch.Generator or None
        Draws the starting points; None takes fresh entropy.
    batch_size : int
        Most rows that logits sees at once.

    Returns
    -------
    Tensor of the shape of X

    Raises
    ------
    ValueError
        As :func:`sklearn_iso.attacks.pgd`.

    References
    ----------
    Croce, Hein, Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse
    Parameter-free Attacks, ICML 2020.
    Croce, Hein, Mind the box: l1-APGD for sparse adversarial attacks on image classifiers,
    ICML 2021.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso import ThreatModel
    >>> from sklearn_iso.attacks import apgd
    >>> X, y = torch.tensor([[0.3, 0.9]]), torch.tensor([0])
    >>> linear = lambda x: torch.stack([x.sum(1), 2 - x.sum(1)], dim=1)
    >>> box = ThreatModel(bounds=(0, 1))
    >>> X_adv = apgd(linear, X, y, eps=0.25, threat=box, loss="margin", random_state=0)
    >>> bool(X_adv.sum() < 1), bool((X_adv - X).abs().max() <= 0.25)
    (True, True)
    """
    check_targets(loss, n_targets)
    plan = Plan(
        loss=loss,
        walk=lambda start: Momentum(start, n_steps),
        n_steps=n_steps,
        n_restarts=n_restarts,
        n_targets=n_targets,
        random_start=random_start,
    )
    budget = Budget.of(X, eps=eps, threat=threat)
    hunt = Survivors(logits, X, y, batch_size)
    plan.attack(hunt, budget, as_generator(random_state))
    return hunt.X_adv
