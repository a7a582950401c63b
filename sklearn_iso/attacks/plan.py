"""What a first-order attack does to the survivors: its loss, its walk, its runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from sklearn_iso.attacks.budget import Budget
from sklearn_iso.attacks.climb import Objective, Walk, climb
from sklearn_iso.attacks.losses import get_loss, margin
from sklearn_iso.attacks.parameters import check_counts, check_flags
from sklearn_iso.attacks.survivors import Survivors


@dataclass(frozen=True)
class Plan:
    """Runs of a walk up a loss, each against the rows that the ones before could not fool.

    Parameters
    ----------
    loss : str
        Name of the loss. "targeted_margin" makes a run for each of the targets.
    walk : callable
        Maps the starting coordinates to a fresh Walk.
    n_steps, n_restarts, n_targets : int
    random_start : bool
        Whether the first run starts at a random point of the ball; further runs always do.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks.budget import Budget
    >>> from sklearn_iso.attacks.climb import Straight
    >>> from sklearn_iso.attacks.plan import Plan
    >>> from sklearn_iso.attacks.survivors import Survivors
    >>> X = torch.tensor([[1.0], [3.0]])
    >>> hunt = Survivors(lambda x: torch.cat([x, -x], dim=1), X, torch.zeros(2, dtype=int), 10)
    >>> plan = Plan("margin", lambda start: Straight([1.0]), n_steps=1, random_start=False)
    >>> plan.attack(hunt, Budget.of(X, eps=2.0), torch.Generator())
    >>> hunt.X_adv, hunt.alive
    (tensor([[-1.],
            [ 1.]]), tensor([False,  True]))
    """

    loss: str
    walk: Callable[[Tensor], Walk]
    n_steps: int
    n_restarts: int = 1
    n_targets: int = 9
    random_start: bool = True

    def __post_init__(self) -> None:
        get_loss(self.loss)
        check_counts(n_steps=self.n_steps, n_restarts=self.n_restarts, n_targets=self.n_targets)
        check_flags(random_start=self.random_start)

    def attack(self, hunt: Survivors, budget: Budget, generator: torch.Generator) -> None:
        """Attack the survivors, and record what comes of it."""
        if budget.is_zero:
            return
        objective = Objective(hunt.logits, get_loss(self.loss))
        untargeted = margin if self.loss == "targeted_margin" else objective.loss
        value = Objective(hunt.logits, untargeted).value
        for _ in hunt.rounds(budget.categories, value):
            for first, rank in self._runs(hunt):
                for rows in hunt.batches():
                    ball = budget.around(hunt.centres[rows])
                    random = self.random_start or not first
                    start = ball.random(generator) if random else ball.centre()
                    goals = hunt.goals(rows, rank)
                    walk, check, hunt.is_fresh = self.walk(start), hunt.is_fresh, False
                    hunt.record(rows, *climb(objective, ball, goals, start, walk, check))

    def _runs(self, hunt: Survivors) -> Iterator[tuple[bool, int | None]]:
        """Whether a run is the first, and the rank of the target or None."""
        n_targets = min(self.n_targets, hunt.ranking.shape[1])
        ranks = range(n_targets) if self.loss == "targeted_margin" else [None]
        for restart in range(self.n_restarts):
            yield from ((restart == 0, rank) for rank in ranks)
