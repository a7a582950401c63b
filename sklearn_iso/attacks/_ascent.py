"""Gradient ascent: one run over a batch, and the runs of an attack on what is still robust."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sklearn_iso._geometry.norm import along
from sklearn_iso.attacks._attack import Attack, AttackState
from sklearn_iso.attacks._budget import Ball, Budget
from sklearn_iso.attacks._losses import get_loss, margin
from sklearn_iso.attacks._objective import Objective
from sklearn_iso.attacks._parameters import N_TARGETS, check_counts, check_flags, check_targets


class _Trail:
    """Best coordinates of each sample along a run."""

    def __init__(self, v: Tensor) -> None:
        self.v = v.clone()
        self.loss = torch.full((len(v),), -torch.inf, dtype=v.dtype, device=v.device)
        self.misclassified = torch.zeros(len(v), dtype=torch.bool, device=v.device)

    def note(self, rows: Tensor, v: Tensor, loss: Tensor, misclassified: Tensor) -> None:
        better = misclassified | (loss > self.loss[rows])
        self.v[rows[better]] = v[better]
        self.loss[rows[better]] = loss[better].to(self.loss)
        self.misclassified[rows] = misclassified


class Walk(ABC):
    """How the samples of one run step; a walk may remember something of each sample.

    Examples
    --------
    >>> from sklearn_iso.attacks._ascent import Straight
    >>> len(Straight([0.5, 0.5]))
    2
    """

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of steps."""

    @abstractmethod
    def step(self, ball: Ball, v: Tensor, loss: Tensor, gradient: Tensor, step: int) -> Tensor:
        """Coordinates after step number `step` from v, where loss and gradient were taken."""

    def keep(self, rows: Tensor) -> None:  # noqa: B027 - many walks remember nothing
        """Forget all samples but those of a mask."""


class Straight(Walk):
    """Steps of given lengths, the same for each sample.

    Parameters
    ----------
    lengths : sequence of float
        Length of each step, as a fraction of eps.

    Examples
    --------
    >>> from sklearn_iso.attacks._ascent import Straight
    >>> len(Straight([0.5, 0.25]))
    2
    """

    def __init__(self, lengths: Sequence[float]) -> None:
        self.lengths = lengths

    def __len__(self) -> int:
        return len(self.lengths)

    def step(self, ball: Ball, v: Tensor, loss: Tensor, gradient: Tensor, step: int) -> Tensor:
        """Coordinates after a step along the gradient."""
        return ball.step(v, gradient, self.lengths[step], step)


def climb(
    objective: Objective,
    ball: Ball,
    y: Tensor,
    start: Tensor,
    walk: Walk,
    *,
    check_slope: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Walk from the start; samples leave as soon as they are misclassified.

    From a point without finite logits a row steps anew from the one before, along the gradient
    that it had there.

    Parameters
    ----------
    objective : Objective
    ball : Ball
        Around n samples.
    y : Tensor of shape (n,) or (n, 2)
        Labels, or labels and targets.
    start : Tensor of shape (n, ...)
        Coordinates in the ball.
    walk : Walk
        Fresh, for n samples.
    check_slope : bool
        Whether it is an error that no sample has a gradient that is a number.

    Returns
    -------
    points, loss, misclassified : Tensor
        For each sample its adversarial example, or else its point of the highest loss.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks._budget import Budget
    >>> from sklearn_iso.attacks._ascent import Objective, Straight, climb
    >>> from sklearn_iso.attacks._losses import margin
    >>> X, y = torch.tensor([[1.0]]), torch.tensor([0])
    >>> objective = Objective(lambda x: x @ torch.tensor([[2.0, -1.0]]), margin)
    >>> ball = Budget.of(X, eps=0.5).around(X)
    >>> climb(objective, ball, y, torch.zeros_like(X), Straight([0.5, 0.5]))
    (tensor([[0.5000]]), tensor([-1.5000]), tensor([False]))
    """
    whole, trail, v = ball, _Trail(start), start
    rows = torch.arange(len(y), device=y.device)
    before = (ball.centre(), trail.loss, ball.centre())
    for step in range(len(walk)):
        loss, misclassified, gradient = objective.slope(ball.point(v), y)
        if check_slope and step == 0 and not gradient.any():
            objective.check_slope(ball.X, y)
        trail.note(rows, v, loss, misclassified)
        lost = loss == -torch.inf
        if lost.any():
            now = (v, loss, gradient)
            v, loss, gradient = (
                torch.where(along(lost, new), old, new)
                for old, new in zip(before, now, strict=True)
            )
        if misclassified.any():
            keep = ~misclassified
            rows, v, y, gradient, ball = rows[keep], v[keep], y[keep], gradient[keep], ball[keep]
            loss = loss[keep]
            walk.keep(keep)
        if not len(rows):
            break
        before = (v, loss, gradient)
        v = walk.step(ball, v, loss, gradient, step)
    else:
        trail.note(rows, v, *objective.value(ball.point(v), y))
    return whole.point_within(trail.v), trail.loss, trail.misclassified


@dataclass(frozen=True, kw_only=True, repr=False)
class GradientAscent(Attack):
    """Runs of gradient ascent on a loss, each on the samples that are still robust.

    Parameters
    ----------
    n_steps : int, default=40
        Steps of each run.
    n_restarts : int, default=1
        Runs; each attacks the samples that the ones before could not get misclassified.
    loss : {"cross_entropy", "margin", "targeted_margin"}, default="cross_entropy"
        What to climb, see :mod:`sklearn_iso.attacks._losses`. "targeted_margin" takes one wrong
        class after the other, that of the largest logit at X first.
    n_targets : int, default=9
        Most wrong classes that "targeted_margin" tries.
    random_start : bool, default=True
        Whether the first run starts at a random point of the ball instead of at X; further
        runs always do.
    batch_size : int, default=1000

    Examples
    --------
    >>> from sklearn_iso.attacks import APGD, PGD
    >>> from sklearn_iso.attacks._ascent import GradientAscent
    >>> [issubclass(kind, GradientAscent) for kind in (PGD, APGD)]
    [True, True]
    """

    n_steps: int = 40
    n_restarts: int = 1
    loss: str = "cross_entropy"
    n_targets: int = N_TARGETS
    random_start: bool = True

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        get_loss(self.loss)
        check_counts(n_steps=self.n_steps, n_restarts=self.n_restarts)
        check_targets(self.loss, self.n_targets)
        check_flags(random_start=self.random_start)

    @abstractmethod
    def walk(self, start: Tensor) -> Walk:
        """Return fresh steps for samples that start at some coordinates."""

    def run(self, state: AttackState, budget: Budget, generator: torch.Generator) -> None:
        """Attack the samples that are still robust, and record what comes of it."""
        if budget.is_zero:
            return
        objective = state.objective(get_loss(self.loss))
        untargeted = margin if self.loss == "targeted_margin" else objective.loss
        value = state.objective(untargeted).value
        for _ in state.rounds(budget.categories, value):
            for first, rank in self._runs(state):
                for rows in state.batches():
                    ball = budget.around(state.centres[rows])
                    random = self.random_start or not first
                    start = ball.random(generator) if random else ball.centre()
                    goals = state.goals(rows, rank)
                    walk, check, state.is_fresh = self.walk(start), state.is_fresh, False
                    state.record(
                        rows, *climb(objective, ball, goals, start, walk, check_slope=check)
                    )

    def _runs(self, state: AttackState) -> Iterator[tuple[bool, int | None]]:
        """Whether a run is the first, and the rank of the target or None."""
        n_targets = min(self.n_targets, state.ranking.shape[1])
        ranks = range(n_targets) if self.loss == "targeted_margin" else [None]
        for restart in range(self.n_restarts):
            yield from ((restart == 0, rank) for rank in ranks)
