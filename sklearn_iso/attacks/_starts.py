"""Random points around each sample where an error may lie, the same draws for all samples."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sklearn_iso._geometry.norm import along
from sklearn_iso.attacks._budget import Ball

#: Radii of the search for a first error, as powers of 2 in units of the budget.
NEAREST, FARTHEST = -3.0, 10.0
#: Smallest share of the reach that a feature moves, and how many draws move one feature.
SMALLEST, SHARE_OF_SINGLES, FEW, SHARE_KEPT = 0.05, 0.2, 2, 0.2
GOLDEN_RATIO = (5**0.5 - 1) / 2


@dataclass
class Starts:
    """Draws of points that differ from the centre in few or many features.

    All samples share the draws, which are scaled to each of them: what is drawn for a sample
    does not depend on what other samples there are.

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
    >>> from sklearn_iso.attacks._starts import Starts
    >>> ball = Budget.of(torch.zeros(2, 3), eps=0.1).around(torch.zeros(2, 3))
    >>> starts = Starts(ball, torch.Generator().manual_seed(0))
    >>> drawn = starts.near(torch.tensor([1.0, 2.0]), torch.zeros(2, 3))
    >>> torch.equal(2 * drawn[0], drawn[1]), bool(drawn.any())
    (True, True)
    """

    ball: Ball
    generator: torch.Generator

    def __post_init__(self) -> None:
        """Note which features may move."""
        shape = self.ball.X.shape[1:]
        self.movable = (self.ball.budget.eps > 0).expand(shape).reshape(-1).cpu()
        self.features = self.movable.nonzero().squeeze(1)
        self.turn, self.offset = 0, self._uniform(2 * len(self.features)).tolist()

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.generator, dtype=torch.float64)

    def signs(self) -> Tensor:
        """Draw a vector of -1, 0 and 1 with random shares of each."""
        d = len(self.features)
        n_moved = (
            torch.exp(self._uniform(1) * math.log((d + 1) / FEW) + math.log(FEW))
            .floor()
            .clamp(1, d)
        )
        moved = self._uniform(d).argsort() < n_moved
        # With a share of its own all features may rise together, or all fall.
        up = self._uniform(d) < self._uniform(1)
        signs = torch.zeros(len(self.movable), dtype=torch.float64)
        signs[self.features] = (2.0 * up.double() - 1.0) * moved
        return signs

    def _single(self) -> Tensor:
        """Draw a step of one feature, each feature and sign in turn."""
        d = len(self.features)
        if self.turn % (2 * d) == 0:
            self.order = self._uniform(2 * d).argsort()
        chosen = int(self.order[self.turn % (2 * d)])
        step = torch.zeros(len(self.movable), dtype=torch.float64)
        # Multiples of the golden ratio fall evenly between 0 and 1, however many there are.
        share = (self.offset[chosen] + self.turn // (2 * d) * GOLDEN_RATIO) % 1
        step[self.features[chosen // 2]] = (-1.0) ** chosen * SMALLEST**share
        self.turn += 1
        return step

    def _step(self) -> Tensor:
        """Draw a step of at most 1 in each feature: to the corners, or less far."""
        if float(self._uniform(1)) < SHARE_OF_SINGLES:
            return self._single()
        signs = self.signs()
        corner = self._uniform(len(signs)) < self._uniform(1)
        return signs * torch.where(corner, 1.0, SMALLEST ** self._uniform(len(signs)))

    def _shaped(self, step: Tensor) -> Tensor:
        return step.to(self.ball.X).view(1, *self.ball.X.shape[1:])

    def near(self, reach: Tensor, known: Tensor) -> Tensor:
        """Draw points whose features move by at most a reach, in part from known errors.

        Parameters
        ----------
        reach : Tensor of shape (n,)
        known : Tensor of shape (n, ...)
            The closest error known of each sample, or 0.
        """
        step, kept = self._shaped(self._step()), self._shaped(self._uniform(len(self.movable)))
        keeps = float(self._uniform(1)) < SHARE_KEPT
        share = float(self._uniform(1))
        v = along(reach, known) * step
        if keeps:
            v = torch.where((v == 0) & (kept < share), known, v)
        return self.ball.boxed(v)

    def anywhere(self) -> Tensor:
        """Draw points at any distance: on random steps, or on the way to 0 and away from it."""
        power = NEAREST + (FARTHEST - NEAREST) * float(self._uniform(1))
        step, share = self._shaped(self._step()), float(self._uniform(1))
        eps = self.ball.budget.eps
        size = torch.where(eps > 0, self.ball.X / eps, 0)
        kind = int(torch.randint(8, (1,), generator=self.generator))
        if kind == 0:  # Features in proportion to themselves, which tells their scales.
            return self.ball.boxed(size * step * 2.0 ** (power / 4))
        if kind == 1:
            return self.ball.boxed(-size * share * 2)
        return self.ball.boxed((2.0**power * step).expand_as(size))

    def keep(self, rows: Tensor) -> None:
        """Forget all samples but those of a mask."""
        self.ball = self.ball[rows]
