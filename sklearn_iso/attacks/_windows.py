"""Random steps that move square windows of images, for attacks that have no gradient."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sklearn_iso._geometry.norm import along
from sklearn_iso._geometry.patches import ImageLayout
from sklearn_iso.attacks._budget import Ball
from sklearn_iso.attacks._proposals import LONGEST, Proposals

#: Share of the area of an image that the first windows have.
LARGEST_AREA = 0.8
#: Shares of the queries up to which windows have half the area of those before.
HALVINGS = (0.002, 0.01, 0.04, 0.1, 0.2, 0.4, 0.8)
#: Shares of the steps that move any features, and that add a patch to all there is, for all norms
#: but "linf", where a window is such a patch.
SHARE_OF_SUBSETS, SHARE_OF_PATCHES = 0.1, 0.1
#: Windows in a row of the first step, and least side of those that share out what is summed.
TILES, LEAST_SIDE = 5, 3
#: A sign that moves less than this share of what the other one does is changed for it.
LITTLE = 0.25


class Windows(Proposals):
    """Steps of the Square Attack, in windows whose area falls, and some others.

    With the norm "linf" a window goes to an end of the range of its pixels, with a sign for each
    channel; where it is there already, to the other end. With "l2" and "l1" it takes on what
    another window had of the budget, and what was left. All samples share the draws.

    Parameters
    ----------
    ball : Ball
        Around n samples.
    generator : torch.Generator
        On the CPU.
    layout : ImageLayout
        What a sample holds.
    n_queries : int
        How many steps there are in all: the windows shrink on the way.

    References
    ----------
    Andriushchenko, Croce, Flammarion, Hein, Square Attack: a Query-efficient Black-box
    Adversarial Attack via Random Search, ECCV 2020.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso._geometry.patches import ImageLayout
    >>> from sklearn_iso.attacks._budget import Budget
    >>> from sklearn_iso.attacks._windows import Windows
    >>> ball = Budget.of(torch.zeros(1, 36), eps=0.1).around(torch.zeros(1, 36))
    >>> own = torch.Generator().manual_seed(0)
    >>> windows = Windows(ball, own, ImageLayout.of((36,)), 100)
    >>> bool((windows.start().abs() == 1).all())
    True
    """

    def __init__(
        self, ball: Ball, generator: torch.Generator, layout: ImageLayout, n_queries: int
    ) -> None:
        super().__init__(ball, generator)
        self.layout, self.n_queries, self.n_drawn = layout, n_queries, 0
        self.of_window = True
        self.movable = torch.zeros(math.prod(self.shape), dtype=ball.X.dtype)
        self.movable[self.features] = 1

    def start(self) -> Tensor:
        """Return vertical stripes with "linf", and else a tile next to the other."""
        layout, order = self.layout, self.norm.order
        if order == math.inf:
            signs = self._signs(layout.channels, 1, layout.width)
            return self._into(self._image(signs.expand(-1, layout.height, -1)))
        side = max(1, min(layout.height, layout.width) // TILES)
        drawn = torch.zeros(layout.channels, layout.height, layout.width, dtype=self.length.dtype)
        for top in range(0, layout.height - side + 1, side):
            for left in range(0, layout.width - side + 1, side):
                tile = self._signs(layout.channels, 1, 1) * self._hills(side)
                drawn[:, top : top + side, left : left + side] = tile
        return self._into(self._image(drawn))

    def guided(self, v: Tensor) -> Tensor:
        """Draw coordinates after a step from v."""
        self.n_drawn += 1
        kind = float(self._uniform())
        self.of_window = kind >= SHARE_OF_SUBSETS
        if not self.of_window:
            return super().guided(v)
        if self.norm.order == math.inf:
            return self._to_ends(v)
        return self._shared_out(v) if kind < 1 - SHARE_OF_PATCHES else self._patched(v)

    def learn(self, success: Tensor) -> None:
        """Adapt the lengths of the samples, which windows do not have."""
        if not self.of_window:
            super().learn(success)

    def _patched(self, v: Tensor) -> Tensor:
        """Add a patch that is flat or has one peak, and that is longer than all there is."""
        patch = self.layout.patches(1, self.generator, self.length.dtype)
        step = self._unit((patch * self.movable).to(self.ball.X).view(1, *self.shape))
        return self.ball.project(v + LONGEST * step)

    def _to_ends(self, v: Tensor) -> Tensor:
        window = self._window(self._side(1))
        signs = self._signs(self.layout.channels, 1, 1) * window
        drawn = self._image(signs)
        ends = [self.ball.project(torch.where(s != 0, s, v)) for s in (drawn, -drawn)]
        moved, other = ((end - v).square().flatten(1).sum(dim=1) for end in ends)
        return torch.where(along(moved < LITTLE * other, v), ends[1], ends[0])

    def _shared_out(self, v: Tensor) -> Tensor:
        """Let a window have what it and another one had of the budget, and what was left."""
        side, order = self._side(LEAST_SIDE), self.norm.order
        window, other = self._window(side), self._window(side)
        signs = self._signs(self.layout.channels, 1, 1)
        hills = torch.zeros_like(window).masked_scatter(window != 0, self._hills(side))
        here, both = (self._image(w.expand_as(signs * w)) for w in (window, window.maximum(other)))
        step = self._unit(self._image(signs * hills)) + self._unit(v * here)
        free = 1 - self.norm.size(v) ** order + self.norm.size(v * both) ** order
        reach = free.clamp(min=0) ** (1 / order)
        return self._into(v * (1 - both) + along(reach, v) * self._unit(step))

    def _unit(self, v: Tensor) -> Tensor:
        size = self.norm.size(v)
        return v / along(torch.where(size > 0, size, 1), v)

    def _into(self, v: Tensor) -> Tensor:
        """Coordinates of size 1, but for what the box takes off."""
        return self.ball.project(self._unit(v).expand_as(self.ball.X))

    def _side(self, least: int) -> int:
        """Side of the next window, in pixels."""
        done = self.n_drawn / self.n_queries
        area = LARGEST_AREA / 2 ** sum(done > share for share in HALVINGS)
        side = round(math.sqrt(area * self.layout.height * self.layout.width))
        return min(max(side, least), self.layout.height, self.layout.width)

    def _window(self, side: int) -> Tensor:
        """Draw a place for a window; return an image that is 1 there and 0 elsewhere."""
        top, left = (
            int(float(self._uniform()) * (size - side + 1))
            for size in (self.layout.height, self.layout.width)
        )
        drawn = torch.zeros(1, self.layout.height, self.layout.width, dtype=self.length.dtype)
        drawn[:, top : top + side, left : left + side] = 1
        return drawn

    def _hills(self, side: int) -> Tensor:
        """Two halves of opposite signs, each with its peak in the middle, beside or below."""
        power = 2.0 if self.norm.order == 2 else 4.0  # noqa: PLR2004 - as published
        halves = [_hill(side // 2, side, power), -_hill(side - side // 2, side, power)]
        hills = torch.cat(halves).to(self.length.dtype)
        return hills.T if float(self._uniform()) < 0.5 else hills  # noqa: PLR2004

    def _signs(self, *shape: int) -> Tensor:
        return torch.where(self._uniform(*shape) < 0.5, -1.0, 1.0).to(self.length.dtype)  # noqa: PLR2004

    def _image(self, drawn: Tensor) -> Tensor:
        """Return an image of the shape (channels, height, width) as coordinates of a sample."""
        shaped = drawn.movedim(0, -1) if self.layout.channels_last else drawn
        return (shaped.reshape(-1) * self.movable).to(self.ball.X).view(1, *self.shape)


def _hill(height: int, width: int, power: float) -> Tensor:
    """Return sums of 1, 1/2^power, 1/3^power and so on, in squares around the middle.

    Examples
    --------
    >>> from sklearn_iso.attacks._windows import _hill
    >>> _hill(1, 3, 2.0)
    tensor([[0.2500, 1.2500, 0.2500]])
    """
    hill = torch.zeros(height, width, dtype=torch.float32)
    for ring in range(max(height, width) // 2 + 1):
        rows = slice(max(height // 2 - ring, 0), height // 2 + ring + 1)
        columns = slice(max(width // 2 - ring, 0), width // 2 + ring + 1)
        hill[rows, columns] += (ring + 1) ** -power
    return hill
