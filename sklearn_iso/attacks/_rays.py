"""A decision-based attack: rays from each point, shortened where labels alone say so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from sklearn_iso._geometry.norm import along
from sklearn_iso._threat import Threat
from sklearn_iso.attacks._attack import AttackState, Logits, MinimumNormAttack, verdict
from sklearn_iso.attacks._budget import Ball, Budget
from sklearn_iso.attacks._options import QueryOptions
from sklearn_iso.attacks._parameters import RandomState, check_counts, fork_seed
from sklearn_iso.attacks._pointwise import Closest, Pointwise
from sklearn_iso.attacks._proposals import Proposals

if TYPE_CHECKING:
    from typing_extensions import Unpack

FINEST, COARSEST = 1e-3, 0.5
#: Queries of a sample between choices of what to do next with it.
TURN = 60
#: Share by which an error must have got closer for its ray to be shortened next.
WORTHWHILE = 0.005
#: Every so many turns all rays are shortened.
EVERY = 3


@dataclass
class Rays:
    """Directions of size 1, and how far along them lies an error (infinity where unknown).

    Parameters
    ----------
    ball : Ball
        Around n samples.
    y : Tensor of shape (n,)
    direction : Tensor of shape (n, ...)
    radius : Tensor of shape (n,)

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks._budget import Budget
    >>> from sklearn_iso.attacks._pointwise import Closest
    >>> from sklearn_iso.attacks._rays import Rays
    >>> X = torch.zeros(2, 3)
    >>> found = Closest.around(Budget.of(X, eps=1.0).around(X), torch.tensor([0, 1]))
    >>> Rays.to(found).radius
    tensor([inf, inf])
    """

    ball: Ball
    y: Tensor
    direction: Tensor
    radius: Tensor

    @classmethod
    def to(cls, found: Closest) -> Rays:
        """Rays to the closest errors known."""
        size = torch.where(found.size.isfinite(), found.size, 1)
        size = size.clamp(min=torch.finfo(size.dtype).tiny)
        return cls(found.ball, found.y, found.v / along(size, found.v), found.size.clone())

    def along(self, direction: Tensor, radius: Tensor) -> Tensor:
        """Coordinates at a radius, moved into the box."""
        reach = torch.where(radius.isfinite(), radius, 0)
        return self.ball.boxed(direction * along(reach, direction))

    def errs(self, predict: Logits, direction: Tensor, radius: Tensor) -> Tensor:
        """Which samples are misclassified at a radius of a direction."""
        inside = radius <= 1
        v = self.along(direction, radius)
        points = self.ball.point(v)
        if inside.any():
            points[inside] = self.ball[inside].point_within(v[inside])
        return verdict(predict(points), self.y)

    def store(self, closest: Closest, rows: Tensor) -> None:
        """Offer the ends of the rays as the closest errors of some samples."""
        some = closest[rows]
        some.offer(self.along(self.direction, self.radius), self.radius.isfinite())
        closest[rows] = some

    def adopt(self, rows: Tensor, direction: Tensor, radius: Tensor) -> None:
        """Take over directions and radii for the samples of a mask."""
        self.direction = torch.where(along(rows, direction), direction, self.direction)
        self.radius = torch.where(rows, radius, self.radius)

    def __getitem__(self, keep: Tensor) -> Rays:
        """Rays of the samples of a mask."""
        return Rays(self.ball[keep], self.y[keep], self.direction[keep], self.radius[keep])


@dataclass(frozen=True, kw_only=True, repr=False)
class RayS(MinimumNormAttack):
    r"""Shorten rays from each point to an error, with nothing but predicted labels.

    .. math:: \min_{\|u\| = 1} \; \min \{ r : \hat y(x + r \varepsilon \odot u) \ne y \}

    Errors are drawn at random, few or many features moved at once, and brought back feature by
    feature: set to the sample while the label stays wrong, halved where not (a pointwise
    attack); places where the label changed on the way are put together to further errors. Then
    random changes of some features of the ray to the closest error are kept where the point at a
    slightly smaller radius is still misclassified; a ray that could be shortened
    is shortened further, in growing steps. As in RayS no gradient is estimated; with the norm
    "linf" the changes set features to the ends of their range. Each sample gets on as what has
    served it. All samples share the random draws, so that what is found for one does not depend
    on the others.

    With a budget a sample is done as soon as an error lies within; without one all queries go to
    the closest error. Labels do not rank other categories: one that is misclassified is taken, or
    else the first. Samples that are misclassified already, and those for which no error was found
    within eps, come back unchanged.

    Parameters
    ----------
    n_queries : int, default=1000
        Points of each sample that are asked about.
    batch_size : int, default=1000

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    References
    ----------
    Chen, Gu, RayS: a Ray Searching Method for Hard-label Adversarial Attack, KDD 2020.
    Schott, Rauber, Bethge, Brendel, Towards the First Adversarially Robust Neural Network Model
    on MNIST, ICLR 2019 (pointwise attack).
    Brendel, Rauber, Bethge, Decision-Based Adversarial Attacks: Reliable Attacks Against
    Black-Box Machine Learning Models, ICLR 2018.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks import RayS, distances
    >>> X, y = torch.tensor([[0.9, 0.9], [0.1, 0.2]]), torch.tensor([1, 0])
    >>> labels = lambda x: (x.sum(dim=1) > 1).long()
    >>> X_adv = RayS(n_queries=1000)(labels, X, y, random_state=0)
    >>> distances(labels, X, y, X_adv, threat="linf").round(decimals=2)
    tensor([0.4000, 0.3500])
    """

    name = "rays"
    asks: ClassVar[str] = "labels"

    n_queries: int = 1000

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        check_counts(n_queries=self.n_queries)

    @torch.no_grad()
    def run(self, state: AttackState, budget: Budget, generator: torch.Generator) -> None:
        """Look for the closest errors of the samples."""
        seed, predict, enough = fork_seed(generator), state.logits, float(budget.limited)
        closest = torch.full_like(state.best_loss, torch.inf)
        attacked = state.robust.clone()

        def value(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            wrong = verdict(predict(x), y)
            return wrong.to(x), wrong

        for _ in () if budget.is_zero else state.rounds(budget.categories, value):
            closest[attacked & ~state.robust & closest.isinf()] = 0
            for rows in state.batches() if bool((budget.eps > 0).any()) else ():
                found = Closest.around(budget.around(state.centres[rows]), state.y[rows])
                # Every batch draws the same, so that no sample depends on how many there are.
                own = torch.Generator().manual_seed(seed)
                _approach(found, predict, self.n_queries, enough, own)
                state.seen[rows] |= found.size.isfinite()
                points = found.points(found.v)
                closer = (found.size < closest[rows]) & verdict(predict(points), found.y)
                closer &= found.size <= budget.largest
                state.X_adv[rows[closer]] = points[closer]
                closest[rows[closer]] = found.size[closer]
                if budget.limited:
                    state.robust[rows[closer]] = False
        state.seen |= ~state.robust


def rays(
    predict: Logits,
    X: Tensor,
    y: Tensor,
    *,
    eps: float | None = None,
    threat: Threat = "linf",
    random_state: RandomState = None,
    **parameters: Unpack[QueryOptions],
) -> Tensor:
    """Look for errors by labels alone, :class:`RayS`, in one call.

    Parameters
    ----------
    predict : callable
        Maps points of shape (n, ...) to labels (n,), integers as in y. Scores of shape
        (n, n_classes) are taken too, of which the largest names the label.
    X : Tensor of shape (n, ...), float32 or float64
    y : Tensor of shape (n,), integers
        Labels.
    eps : float, default=None
        Largest distance of an error, in units of the threat; None sets no limit.
    threat : ThreatModel, or the name of a norm, default="linf"
        What the attack may do.
    random_state : int, numpy generator, torch.Generator or None, default=None
        Draws the points that are asked about; None takes fresh entropy.
    **parameters
        `n_queries`, 1000 by default: points of each sample that are asked about; and `batch_size`,
        1000: the samples that are attacked at a time.

    Returns
    -------
    Tensor of the shape of X
        The nearest adversarial examples that were found.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks import distances, rays
    >>> X, y = torch.tensor([[0.9, 0.9], [0.1, 0.2]]), torch.tensor([1, 0])
    >>> labels = lambda x: (x.sum(dim=1) > 1).long()
    >>> X_adv = rays(labels, X, y, random_state=0)
    >>> distances(labels, X, y, X_adv, threat="linf").round(decimals=2)
    tensor([0.4000, 0.3500])
    """
    attack = RayS(**parameters)
    return attack(predict, X, y, eps=eps, threat=threat, random_state=random_state)


def _approach(
    found: Closest, predict: Logits, n_queries: int, enough: float, generator: torch.Generator
) -> None:
    """Find errors and bring them close, point by point and along rays in turns.

    Rays follow where an error has just got closer, and now and then in any case: on slanted
    boundaries they go on. Where labels change in steps along single features they go in vain, and
    wait twice as long before they are tried again; but not in "linf", where all features may move.
    """
    growth = 1 if found.ball.budget.norm.order == torch.inf else 2
    rayed = torch.zeros_like(found.settled)
    due, wait = torch.zeros_like(found.y), torch.full_like(found.y, EVERY)
    for turn, left in enumerate(range(n_queries, 0, -TURN)):
        before, rest = found.size.clone(), ~rayed
        # Draws of their own: how long one kind of search runs must not decide on the other.
        by_points, by_rays = _forked(generator), _forked(generator)
        if rest.any():
            some = found[rest]
            Pointwise(some, predict, by_points, enough).run(min(TURN, left))
            found[rest] = some
        if rayed.any():
            some = found[rayed]
            _shorten(some, predict, min(TURN, left), enough, by_rays)
            found[rayed] = some
        closer = found.size < (1 - WORTHWHILE) * before
        wait = torch.where(rayed, torch.where(closer, EVERY, growth * wait), wait)
        due = torch.where(rayed & ~closer, turn + wait, due)
        rayed = found.size.isfinite() & (due <= turn + 1) & (closer | (turn % EVERY == EVERY - 1))


def _forked(generator: torch.Generator) -> torch.Generator:
    return torch.Generator().manual_seed(fork_seed(generator))


def _shorten(
    closest: Closest, predict: Logits, n_queries: int, enough: float, generator: torch.Generator
) -> None:
    """Search random changes of the rays for shorter ones, until they are short enough."""
    proposals, norm = Proposals(closest.ball, generator), closest.ball.budget.norm
    found, rows = Rays.to(closest), torch.arange(len(closest.y), device=closest.y.device)
    cut = torch.full_like(found.radius, COARSEST)
    for _ in range(n_queries):
        busy = found.radius > enough
        if not busy.all():
            found.store(closest, rows)
            rows, cut, found = rows[busy], cut[busy], found[busy]
            proposals.keep(busy)
        if not len(rows):
            return
        same = cut > FINEST
        changed = norm.project(found.direction + proposals.draw())
        size = norm.size(changed).clamp(min=torch.finfo(changed.dtype).tiny)
        changed = changed / along(size, changed)
        direction = torch.where(along(same, changed), found.direction, changed)
        radius = found.radius * (1 - cut)
        shorter = found.errs(predict, direction, radius)
        found.adopt(shorter, direction, radius)
        proposals.learn(shorter)
        cut = torch.where(shorter, (cut * 2).clamp(max=COARSEST), (cut / 4).clamp(min=FINEST))
    found.store(closest, rows)
