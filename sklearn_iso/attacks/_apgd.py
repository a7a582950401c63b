"""Auto-PGD: projected gradient ascent with momentum that halves its own steps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sklearn_iso._geometry.norm import along
from sklearn_iso._threat import Threat
from sklearn_iso.attacks._ascent import GradientAscent, Walk
from sklearn_iso.attacks._attack import Logits
from sklearn_iso.attacks._budget import Ball
from sklearn_iso.attacks._options import AscentOptions
from sklearn_iso.attacks._parameters import RandomState

if TYPE_CHECKING:
    from typing_extensions import Unpack

MOMENTUM = 0.75
SHARE_OF_RISES = 0.75
FIRST_LENGTH = 2.0


def checkpoints(n_steps: int) -> list[int]:
    """Return the steps after which a row may halve its step, at ever shorter intervals.

    Examples
    --------
    >>> from sklearn_iso.attacks._apgd import checkpoints
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
    r"""Steps with momentum, halved sample by sample where the loss has stopped rising.

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
    >>> from sklearn_iso.attacks._apgd import Momentum
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
        """Forget all samples but those of a mask."""
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


@dataclass(frozen=True, kw_only=True, repr=False)
class APGD(GradientAscent):
    """Auto-PGD: projected gradient ascent whose steps halve where the loss stops rising.

    It needs no step size. Samples that are misclassified already come back unchanged, those that
    become so leave the batch, and for one that stays robust the point of the highest loss
    returns. In the norm "l1" the step is that of :class:`sklearn_iso.attacks.PGD`, and the
    projection onto ball and box is exact.

    Parameters
    ----------
    n_steps : int, default=100
        Steps of each run.
    n_restarts : int, default=1
        Runs; each attacks the samples that the ones before could not get misclassified.
    loss : {"cross_entropy", "margin", "targeted_margin"}, default="cross_entropy"
        What is maximised. "margin" is the largest other logit less that of the label;
        "targeted_margin" takes one wrong class after the other, that of the largest logit first.
    n_targets : int, default=9
        Most wrong classes that "targeted_margin" tries.
    random_start : bool, default=True
        Whether the first run starts at a random point of the ball instead of at X; further runs
        always do.
    batch_size : int, default=1000
        Samples that are attacked at a time.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

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
    >>> from sklearn_iso.attacks import APGD
    >>> X, y = torch.tensor([[0.3, 0.9]]), torch.tensor([0])
    >>> linear = lambda x: torch.stack([x.sum(1), 2 - x.sum(1)], dim=1)
    >>> box = ThreatModel(bounds=(0, 1))
    >>> X_adv = APGD(loss="margin")(linear, X, y, eps=0.25, threat=box, random_state=0)
    >>> bool(X_adv.sum() < 1), bool((X_adv - X).abs().max() <= 0.25)
    (True, True)
    """

    name = "apgd"

    n_steps: int = 100

    def walk(self, start: Tensor) -> Momentum:
        """Return steps with momentum."""
        return Momentum(start, self.n_steps)


def apgd(
    logits: Logits,
    X: Tensor,
    y: Tensor,
    *,
    eps: float,
    threat: Threat = "linf",
    random_state: RandomState = None,
    **parameters: Unpack[AscentOptions],
) -> Tensor:
    """Attack by Auto-PGD, :class:`APGD`, in one call.

    Parameters
    ----------
    logits : callable
        Maps points of shape (n, ...) to logits of shape (n, n_classes), each sample by itself: put
        modules in evaluation mode.
    X : Tensor of shape (n, ...), float32 or float64
    y : Tensor of shape (n,), integers
        Columns of the logits.
    eps : float
        Radius of the ball, in units of the threat.
    threat : ThreatModel, or the name of a norm, default="linf"
        What the attack may do.
    random_state : int, numpy generator, torch.Generator or None, default=None
        Draws starting points and random steps; None takes fresh entropy.
    **parameters
        `n_steps` of each run, 100 by default, the number of runs `n_restarts`, 1, what is climbed,
        `loss`, and `n_targets`, `random_start` and `batch_size`; details in :class:`APGD`.

    Returns
    -------
    Tensor of the shape of X
        Adversarial examples, and the sample itself where none was found.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks import apgd
    >>> X, y = torch.tensor([[0.3, 0.9]]), torch.tensor([0])
    >>> linear = lambda x: torch.stack([x.sum(1), 2 - x.sum(1)], dim=1)
    >>> bool(apgd(linear, X, y, eps=0.25, loss="margin", random_state=0).sum() < 1)
    True
    """
    attack = APGD(**parameters)
    return attack(logits, X, y, eps=eps, threat=threat, random_state=random_state)
