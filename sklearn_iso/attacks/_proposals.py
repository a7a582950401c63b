"""Random steps on random subsets of the features, for attacks that have no gradient."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sklearn_iso._geometry.norm import along
from sklearn_iso.attacks._budget import Ball

SHORTEST, LONGEST = 1e-3, 2.0
GROWTH, DECAY = 1.3, 0.97
#: A step that ball and box shorten to less tells of rounding.
LEAST = SHORTEST / 100


def tells(moved: Tensor) -> Tensor:
    """Tell of each step whether it is long enough for its gain to be one of the model.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks._proposals import tells
    >>> tells(torch.tensor([[0.0, 1e-17], [0.0, 1e-3]]))
    tensor([False,  True])
    """
    return torch.linalg.vector_norm(moved.flatten(1), dim=1) >= LEAST


class Proposals:
    """Unit steps of a norm on random features, at lengths that adapt sample by sample.

    The number of features is log-uniform from 1 to all that may move. Half of the lengths are
    drawn afresh, log-uniformly, so that a sample on a plateau still sees long steps; the others
    grow after a success and decay after a failure. All samples share the draws: what is proposed
    to one depends on its own successes, not on how many others there are.

    Where the gain of each step is told, a slope that explains the gains is learned by
    Kaczmarz's method, and every other guided step goes along it: on a model that is nearly
    linear it soon takes the place of the gradient.

    Parameters
    ----------
    ball : Ball
        Around n samples.
    generator : torch.Generator
        On the CPU.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks._budget import Budget
    >>> from sklearn_iso.attacks._proposals import Proposals
    >>> ball = Budget.of(torch.zeros(2, 5), eps=0.1).around(torch.zeros(2, 5))
    >>> steps = Proposals(ball, torch.Generator().manual_seed(0)).draw()
    >>> tuple(steps.shape), bool((steps != 0).any(dim=1).all())
    ((2, 5), True)
    """

    def __init__(self, ball: Ball, generator: torch.Generator) -> None:
        self.ball, self.generator = ball, generator
        self.norm, self.shape = ball.budget.norm, ball.X.shape[1:]
        movable = (ball.budget.eps > 0).expand(self.shape).reshape(-1).cpu()
        self.features = movable.nonzero().squeeze(1)
        self.slope = torch.zeros_like(ball.X)
        self.length = torch.full((len(ball.X),), LONGEST, dtype=ball.X.dtype)

    def start(self) -> Tensor:
        """Draw a long random step, the same for all samples."""
        return self.ball.project((LONGEST * self.directions()).expand_as(self.ball.X))

    def directions(self) -> Tensor:
        """Draw a unit step on random features, of shape (1, ...)."""
        d = len(self.features)
        share = torch.exp(self._uniform(1) * math.log(d)) / d
        chosen = self._uniform(d) < share
        chosen[torch.randint(d, (1,), generator=self.generator)] = True
        normal = torch.randn(d, generator=self.generator, dtype=self.length.dtype)
        wide = torch.zeros(1, math.prod(self.shape), dtype=normal.dtype)
        wide[:, self.features] = normal.masked_fill(~chosen, 0)
        return self.norm.steepest(wide.to(self.ball.X).view(1, *self.shape))

    def draw(self) -> Tensor:
        """Draw steps of adapted or fresh lengths, of shape (n, ...)."""
        return self.directions() * self._lengths()

    def guided(self, v: Tensor) -> Tensor:
        """Draw coordinates after a step from v, random or along the slope learned so far."""
        random = self.ball.project(v + self.draw())
        uphill = self.ball.ascend(v, self.slope, self._lengths())
        trusted = (self._uniform(1) < 0.5).to(v.device) & self.slope.flatten(1).any(dim=1)
        return torch.where(along(trusted, v), uphill, random)

    def _lengths(self) -> Tensor:
        fresh = SHORTEST * (LONGEST / SHORTEST) ** self._uniform(1)
        length = torch.where(self._uniform(1) < 0.5, fresh, self.length)
        return along(length.to(self.ball.X), self.ball.X)

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.generator, dtype=self.length.dtype)

    def learn(self, success: Tensor) -> None:
        """Adapt the lengths of the samples."""
        length = torch.where(success.cpu(), GROWTH * self.length, DECAY * self.length)
        self.length = length.clamp(SHORTEST, LONGEST)

    def learn_slope(self, moved: Tensor, gain: Tensor) -> None:
        r"""Correct the slope, :math:`s \leftarrow s + (gain - s \cdot m) \, m / |m|^2`.

        Not by a step that is none but for rounding: over so short a length its gain would be the
        slope of noise, which differs with how many samples there are.
        """
        length = (moved * moved).flatten(1).sum(dim=1)
        surprise = gain.to(moved) - (self.slope * moved).flatten(1).sum(dim=1)
        share = surprise / length
        # There may be no score to learn from.
        share = torch.where(share.isfinite() & tells(moved), share, 0)
        self.slope = self.slope + along(share, moved) * moved

    def keep(self, rows: Tensor) -> None:
        """Forget all samples but those of a mask."""
        self.ball, self.slope = self.ball[rows], self.slope[rows]
        self.length = self.length[rows.cpu()]
