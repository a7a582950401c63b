"""Random steps on random subsets of the features, for attacks that have no gradient."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sklearn_iso.attacks.budget import Ball

SHORTEST, LONGEST = 1e-3, 2.0
GROWTH, DECAY = 1.3, 0.97


class Proposals:
    """Unit steps of a norm on random features, at lengths that adapt row by row.

    The number of features is log-uniform from 1 to all that may move. Every other length is
    drawn afresh, log-uniformly, so that a row on a plateau still sees long steps; the others
    grow after a success and decay after a failure.

    Where the gain of each step is told, a slope that explains the gains is learned by
    Kaczmarz's method, and every other guided step goes along it: on a model that is nearly
    linear it soon takes the place of the gradient.

    Parameters
    ----------
    ball : Ball
        Around n rows.
    generator : torch.Generator
        On the CPU.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks.budget import Budget
    >>> from sklearn_iso.attacks.proposals import Proposals
    >>> ball = Budget.of(torch.zeros(2, 5), eps=0.1).around(torch.zeros(2, 5))
    >>> steps = Proposals(ball, torch.Generator().manual_seed(0)).draw()
    >>> tuple(steps.shape), bool((steps != 0).any(dim=1).all())
    ((2, 5), True)
    """

    def __init__(self, ball: Ball, generator: torch.Generator) -> None:
        self.generator, self.norm, self.shape = generator, ball.budget.norm, ball.X.shape[1:]
        movable = (ball.budget.eps > 0).expand(self.shape).reshape(-1).cpu()
        self.features = movable.nonzero().squeeze(1)
        self.like, self.slope = ball.X, torch.zeros_like(ball.X)
        self.length = torch.full((len(ball.X),), LONGEST, dtype=ball.X.dtype)

    def directions(self) -> Tensor:
        """Draw unit steps on random features, of shape (n, ...)."""
        n, d = len(self.length), len(self.features)
        share = torch.exp(self._uniform(n, 1) * math.log(d)) / d
        chosen = self._uniform(n, d) < share
        chosen[torch.arange(n), torch.randint(d, (n,), generator=self.generator)] = True
        normal = torch.randn((n, d), generator=self.generator, dtype=self.length.dtype)
        normal = normal.masked_fill(~chosen, 0)
        wide = torch.zeros(n, math.prod(self.shape), dtype=normal.dtype)
        wide[:, self.features] = normal
        return self.norm.steepest(wide.to(self.like).view(n, *self.shape))

    def draw(self) -> Tensor:
        """Draw steps of adapted or fresh lengths, of shape (n, ...)."""
        return self.directions() * self._lengths()

    def guided(self, ball: Ball, v: Tensor) -> Tensor:
        """Draw coordinates after a step from v, random or along the slope learned so far."""
        random = ball.project(v + self.draw())
        along = ball.ascend(v, self.slope, self._lengths())
        trusted = (self._uniform(len(v)) < 0.5).to(v.device) & self.slope.flatten(1).any(dim=1)
        return torch.where(self._per_row(trusted), along, random)

    def _lengths(self) -> Tensor:
        n = len(self.length)
        fresh = SHORTEST * (LONGEST / SHORTEST) ** self._uniform(n)
        length = torch.where(self._uniform(n) < 0.5, fresh, self.length)
        return self._per_row(length.to(self.like))

    def _per_row(self, values: Tensor) -> Tensor:
        return values.view(-1, *[1] * len(self.shape))

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.generator, dtype=self.length.dtype)

    def learn(self, success: Tensor) -> None:
        """Adapt the lengths of the rows."""
        factor = torch.where(success.cpu(), GROWTH, DECAY)
        self.length = (self.length * factor).clamp(SHORTEST, LONGEST)

    def learn_slope(self, moved: Tensor, gain: Tensor) -> None:
        r"""Correct the slope, :math:`s \leftarrow s + (gain - s \cdot m) \, m / |m|^2`."""
        length = (moved * moved).flatten(1).sum(dim=1)
        surprise = gain.to(moved) - (self.slope * moved).flatten(1).sum(dim=1)
        share = torch.where(length > 0, surprise / length, 0)
        self.slope = self.slope + self._per_row(share) * moved

    def keep(self, rows: Tensor) -> None:
        """Forget all rows but those of a mask."""
        self.length, self.slope = self.length[rows.cpu()], self.slope[rows]
