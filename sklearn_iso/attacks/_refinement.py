"""Random search that goes on from the best points known, and gives back what gains nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from sklearn_iso.attacks._attack import Attack, AttackState
from sklearn_iso.attacks._budget import Budget
from sklearn_iso.attacks._losses import margin
from sklearn_iso.attacks._parameters import check_counts, fork_seed
from sklearn_iso.attacks._proposals import Proposals
from sklearn_iso.attacks._square import random_search

#: Shares of the proposals that bring features back towards the sample, and that start anew.
SHARE_BACK, SHARE_ANEW = 0.3, 0.3


class Returning(Proposals):
    """Proposals of which some bring random features back, in part or wholly.

    Where the loss changes in steps, as that of a tree does, the features lose nothing on the way
    back to the step, and what they give back of the budget is free for the others. Others are
    random steps from the sample itself, which no plateau holds up.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks._budget import Budget
    >>> from sklearn_iso.attacks._refinement import Returning
    >>> X = torch.zeros(1, 2)
    >>> proposals = Returning(Budget.of(X, eps=1.0).around(X), torch.Generator().manual_seed(3))
    >>> bool((proposals.guided(torch.ones(1, 2)) <= 1).all())
    True
    """

    def guided(self, v: Tensor) -> Tensor:
        """Draw coordinates after a step from v or from the sample, or on the way back from v."""
        kind = float(self._uniform())
        if kind < SHARE_ANEW:
            return self.ball.project(self.directions().expand_as(v))
        if kind >= SHARE_ANEW + SHARE_BACK:
            return super().guided(v)
        chosen = (self.directions() != 0).to(v.device)
        kept = float(self._uniform()) if float(self._uniform()) < 0.5 else 0.0  # noqa: PLR2004
        return torch.where(chosen, kept * v, v)


@dataclass(frozen=True, kw_only=True, repr=False)
class Refinement(Attack):
    """Random search from the best points that the attacks before have found.

    Parameters
    ----------
    n_queries : int, default=500
        Points of each sample that scores sees.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks._refinement import Refinement
    >>> X, y = torch.tensor([[0.3, 0.9]]), torch.tensor([0])
    >>> step = lambda x: torch.stack([(x.sum(1) > 1).double(), (x.sum(1) <= 1).double()], dim=1)
    >>> Refinement()(step, X, y, eps=0.25, random_state=0).sum(dim=1) <= 1
    tensor([True])
    """

    name = "refinement"
    asks: ClassVar[str] = "scores"

    n_queries: int = 500

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        check_counts(n_queries=self.n_queries)

    def run(self, state: AttackState, budget: Budget, generator: torch.Generator) -> None:
        """Attack the samples that are still robust, and record what comes of it."""
        if not bool((budget.eps > 0).any()):
            return
        seed, objective = fork_seed(generator), state.objective(margin)
        for rows in state.batches():
            X, best = state.X[rows], state.X_adv[rows]
            if budget.categories is not None:
                X = budget.categories.graft(X, best)
            # Every batch draws the same: no sample depends on how many there are.
            own = torch.Generator().manual_seed(seed)
            proposals = Returning(budget.around(X), own)
            start = budget.perturbations(X, best)
            found = random_search(objective, proposals, state.y[rows], self.n_queries, start)
            state.record(rows, *found)
