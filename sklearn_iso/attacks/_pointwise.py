"""Errors brought back towards their sample feature by feature, where labels alone are known."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor

from sklearn_iso._geometry.norm import along, columns_of
from sklearn_iso.attacks._attack import Logits, verdict
from sklearn_iso.attacks._budget import Ball
from sklearn_iso.attacks._edges import MOST_PLACES, MOST_TOGETHER, Edges
from sklearn_iso.attacks._starts import Starts

N_HALVINGS, N_FINE_HALVINGS = 7, 8
#: An error is followed as long as it may become closer than this share of the closest.
WORTHWHILE = 0.9
#: Share of the draws that are made of places where labels have changed, and of three of them.
SHARE_RECALLED, SHARE_OF_TRIPLES = 0.25, 0.3
#: Most features of an error that are brought back by halving, the farthest first.
MOST_HALVED = 16


class Phase(IntEnum):
    """What is done next with a sample."""

    DRAW, RESET, HALVE = range(3)


@dataclass
class Closest:
    """The closest error known of each sample, in coordinates of its ball.

    Parameters
    ----------
    ball : Ball
        Around n samples.
    y : Tensor of shape (n,)
    v : Tensor of shape (n, ...)
        Coordinates of the error; 0 where none is known.
    size : Tensor of shape (n,)
        Its size in the norm; infinity where none is known.
    settled : Tensor of shape (n,), bool
        Whether its features have been brought back already.
    edges : Edges
        Where labels changed on the way.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks._budget import Budget
    >>> from sklearn_iso.attacks._pointwise import Closest
    >>> X = torch.zeros(2, 3)
    >>> Closest.around(Budget.of(X, eps=1.0).around(X), torch.tensor([0, 1])).size
    tensor([inf, inf])
    """

    ball: Ball
    y: Tensor
    v: Tensor
    size: Tensor
    settled: Tensor
    edges: Edges

    @classmethod
    def around(cls, ball: Ball, y: Tensor) -> Closest:
        """No error known."""
        size = torch.full((len(y),), torch.inf, dtype=ball.X.dtype, device=ball.X.device)
        v, settled = ball.centre(), torch.zeros_like(y, dtype=torch.bool)
        return cls(ball, y, v, size, settled, Edges.none(v))

    def sizes(self, v: Tensor) -> Tensor:
        """Sizes of coordinates."""
        return self.ball.budget.norm.size(v)

    def points(self, v: Tensor) -> Tensor:
        """Points of coordinates, rounded towards the sample where they lie in the ball."""
        points = self.ball.point(v)
        inside = self.sizes(v) <= 1
        if inside.any():
            points[inside] = self.ball[inside].point_within(v[inside])
        return points

    def errs(self, predict: Logits, v: Tensor) -> Tensor:
        """Which samples are misclassified at coordinates."""
        return verdict(predict(self.points(v)), self.y)

    def offer(self, v: Tensor, wrong: Tensor) -> None:
        """Take over errors that are closer."""
        size = self.sizes(v)
        closer = wrong & (size < self.size)
        self.v[closer], self.size[closer], self.settled[closer] = v[closer], size[closer], False

    def __getitem__(self, keep: Tensor) -> Closest:
        """Return the samples of a mask or of positions, as a copy."""
        own = (self.v[keep], self.size[keep], self.settled[keep], self.edges[keep])
        return Closest(self.ball[keep], self.y[keep], *own)

    def __setitem__(self, keep: Tensor, some: Closest) -> None:
        """Take over what is known of the samples of a mask or of positions."""
        self.v[keep], self.size[keep], self.settled[keep] = some.v, some.size, some.settled
        self.edges[keep] = some.edges


class Pointwise:
    """Draw an error, set its features back one after the other, halve what is left; again.

    Every sample is in a phase of its own. A drawn point that is no error costs one query; some
    are made of places where the label changed before, see `Edges`. Of an
    error blocks of features are set back to the sample, the farthest first, as long as it
    stays an error; blocks double where that succeeds and halve where it fails. Then the
    features that are left are brought back by bisection, finely where the error is the closest
    known from an earlier run. Errors that cannot become closer than what counts are given up.

    Parameters
    ----------
    found : Closest
        Written to.
    predict : callable
    generator : torch.Generator
        On the CPU.
    enough : float
        Errors of this size end the search of a sample; larger ones hardly count.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks._budget import Budget
    >>> from sklearn_iso.attacks._pointwise import Closest, Pointwise
    >>> X = torch.zeros(1, 3)
    >>> found = Closest.around(Budget.of(X, eps=1.0, threat="l2").around(X), torch.tensor([0]))
    >>> labels = lambda x: ((x[:, 0] > 0.5) & (x[:, 2] < -0.25)).long()
    >>> Pointwise(found, labels, torch.Generator().manual_seed(0)).run(200)
    >>> found.v.round(decimals=1)
    tensor([[ 0.5000,  0.0000, -0.3000]])
    """

    def __init__(
        self, found: Closest, predict: Logits, generator: torch.Generator, enough: float = 0.0
    ) -> None:
        self.whole, self.predict, self.enough = found, predict, enough
        self.rows = torch.arange(len(found.y), device=found.y.device)
        self.found = found[self.rows]
        self.starts = Starts(found.ball, generator)
        self.work = found.v.clone()
        n = len(found.y)
        self.phase = torch.full((n,), int(Phase.DRAW), device=found.y.device)
        self.rank = torch.zeros_like(columns_of(self.work), dtype=torch.long)
        self.place, self.block, self.n_moved = (torch.zeros_like(self.phase) for _ in range(3))
        self.n_halved = torch.zeros_like(self.phase)
        self.low = torch.zeros_like(found.size)
        self.fine = found.size.isfinite() & ~found.settled
        self._begin(self.fine, Phase.RESET)

    def run(self, n_queries: int) -> None:
        """Ask about as many points of each sample, or until the errors are close enough."""
        for _ in range(max(0, n_queries)):
            self._drop()
            if not len(self.rows):
                return
            self._step()
        self._store()

    def _store(self) -> None:
        self.whole[self.rows] = self.found

    def _drop(self) -> None:
        """Leave out samples whose error is close enough."""
        busy = self.found.size > self.enough
        if busy.all():
            return
        self._store()
        self.found, self.rows = self.found[busy], self.rows[busy]
        self.starts.keep(busy)
        for name in (
            "work",
            "phase",
            "rank",
            "place",
            "block",
            "n_moved",
            "n_halved",
            "low",
            "fine",
        ):
            setattr(self, name, getattr(self, name)[busy])

    def _limit(self) -> Tensor:
        """Sizes beyond which an error is of no use."""
        if self.enough:
            return torch.full_like(self.found.size, self.enough)
        return torch.where(self.fine, self.found.size, WORTHWHILE * self.found.size)

    def _step(self) -> None:
        draws, resets = self.phase == Phase.DRAW, self.phase == Phase.RESET
        chosen = self._chosen()
        flat = columns_of(self.work)
        halved = torch.where(chosen, ((flat + self.low[:, None]) / 2), flat)
        brought = torch.where(resets[:, None], flat.masked_fill(chosen, 0), halved)
        v = torch.where(along(draws, self.work), self._drawn(), brought.view_as(self.work))
        wrong = self.found.errs(self.predict, v)
        self.found.offer(v, wrong)
        before = flat
        self.work = torch.where(along(wrong, v), v, self.work)
        self._after_reset(resets, wrong)
        self._after_halving(~draws & ~resets, wrong, chosen, before)
        self._begin(draws & wrong, Phase.RESET)
        self._give_up()
        done = self.fine & (self.phase == Phase.DRAW)
        self.found.settled |= done
        self.fine &= ~done

    def _drawn(self) -> Tensor:
        known = self.found.size.isfinite()
        reach = torch.where(known, self._limit(), max(self.enough, 1.0))
        reach = torch.where(reach.isfinite(), reach, 1.0)
        near, far = self.starts.near(reach, self.found.v), self.starts.anywhere()
        turn = float(self.starts._uniform(1)) < 0.5
        drawn = torch.where(along(~known & turn, near), far, near)
        return self._recalled(drawn, torch.where(known, self.found.size, torch.inf))

    def _recalled(self, drawn: Tensor, limit: Tensor) -> Tensor:
        """Points of places where labels have changed before, in part instead of those drawn."""
        edges, norm = self.found.edges, self.found.ball.budget.norm
        if self.enough:
            limit = limit.clamp(max=self.enough)
        keys = self.starts._uniform(MOST_TOGETHER, MOST_PLACES)
        n_together = 2 + int(float(self.starts._uniform(1)) < SHARE_OF_TRIPLES)
        if float(self.starts._uniform(1)) < SHARE_RECALLED:
            points, some = edges.together(drawn, limit, norm, keys[:n_together])
            drawn = torch.where(along(some, drawn), points, drawn)
        points, some = edges.alone(drawn, limit, self.phase == Phase.DRAW)
        return torch.where(along(some, drawn), points, drawn)

    def _chosen(self) -> Tensor:
        """Features that are changed next."""
        length = torch.where(self.phase == Phase.RESET, self.block, 1)
        first, last = self.place[:, None], (self.place + length)[:, None]
        return (self.rank >= first) & (self.rank < last)

    def _begin(self, rows: Tensor, phase: Phase) -> None:
        """Sort the features of errors, the farthest first, for a phase."""
        if not rows.any():
            return
        size = columns_of(self.work).abs()
        rank = (-size).argsort(dim=1, stable=True).argsort(dim=1)
        n_moved = (size > 0).sum(dim=1)
        self.rank = torch.where(rows[:, None], rank, self.rank)
        self.n_moved = torch.where(rows, n_moved, self.n_moved)
        self.place, self.n_halved = (
            self.place.masked_fill(rows, 0),
            self.n_halved.masked_fill(rows, 0),
        )
        self.low = self.low.masked_fill(rows, 0)
        self.block = torch.where(rows, (n_moved // 2).clamp(min=1), self.block)
        # What is left of an error that moves one feature is no error.
        at = torch.where(n_moved > 1, int(phase), int(Phase.HALVE))
        self.phase = torch.where(rows, at, self.phase)

    def _after_reset(self, rows: Tensor, wrong: Tensor) -> None:
        if not rows.any():
            return
        single = self.block == 1
        ahead = torch.where(wrong, self.block, torch.where(single, 1, 0))
        self.place = torch.where(rows, self.place + ahead, self.place)
        block = torch.where(wrong, self.block * 2, (self.block // 2).clamp(min=1))
        self.block = torch.where(rows, block, self.block)
        self._begin(rows & (self.place >= self.n_moved), Phase.HALVE)

    def _after_halving(self, rows: Tensor, wrong: Tensor, chosen: Tensor, before: Tensor) -> None:
        if not rows.any():
            return
        middle = ((before + self.low[:, None]) / 2 * chosen).sum(dim=1)
        self.low = torch.where(rows & ~wrong, middle, self.low)
        self.n_halved = torch.where(rows, self.n_halved + 1, self.n_halved)
        ready = rows & (self.n_halved >= torch.where(self.fine, N_FINE_HALVINGS, N_HALVINGS))
        value = (columns_of(self.work) * chosen).sum(dim=1)
        feature = chosen.long().argmax(dim=1)
        self.found.edges.add(ready & (value != 0), feature, value)
        self.found.edges.add(ready & (self.low != 0), feature, self.low)
        self.place = torch.where(ready, self.place + 1, self.place)
        self.n_halved, self.low = (
            self.n_halved.masked_fill(ready, 0),
            self.low.masked_fill(ready, 0),
        )
        over = ready & (self.place >= self.n_moved.clamp(max=MOST_HALVED))
        self.phase = self.phase.masked_fill(over, int(Phase.DRAW))

    def _give_up(self) -> None:
        """Draw anew where what has been halved alone is too far."""
        halving = self.phase == Phase.HALVE
        if not halving.any():
            return
        flat, done = columns_of(self.work), self.rank < self.place[:, None]
        least = torch.where(done, flat, 0)
        least = least + torch.where(self._chosen(), self.low[:, None], 0)
        hopeless = halving & (self.found.sizes(least) >= self._limit())
        self.phase = self.phase.masked_fill(hopeless, int(Phase.DRAW))
