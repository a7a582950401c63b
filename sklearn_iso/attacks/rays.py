"""A decision-based attack: rays from each point, shortened where labels alone say so."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sklearn_iso.attacks.budget import Ball, FeatureValues, budget_of
from sklearn_iso.attacks.categories import OneHot
from sklearn_iso.attacks.parameters import check_counts
from sklearn_iso.attacks.proposals import Proposals
from sklearn_iso.attacks.survivors import (
    Logits,
    RandomState,
    Survivors,
    as_generator,
    verdict,
)
from sklearn_iso.geometry.norm import along
from sklearn_iso.geometry.norms import Norm

N_DONORS, N_DOUBLINGS = 8, 10
FINEST, COARSEST = 1e-3, 0.5


@dataclass
class Rays:
    """Directions of size 1, and how far along them lies an error (infinity where unknown).

    Parameters
    ----------
    ball : Ball
        Around n rows.
    y : Tensor of shape (n,)
    direction : Tensor of shape (n, ...)
    radius : Tensor of shape (n,)

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks.budget import Budget
    >>> from sklearn_iso.attacks.rays import Rays
    >>> X = torch.zeros(2, 3)
    >>> Rays.around(Budget.of(X, eps=1.0).around(X), torch.tensor([0, 1])).radius
    tensor([inf, inf])
    """

    ball: Ball
    y: Tensor
    direction: Tensor
    radius: Tensor

    @classmethod
    def around(cls, ball: Ball, y: Tensor) -> Rays:
        """Rays without direction, at infinity."""
        radius = torch.full((len(y),), torch.inf, dtype=ball.X.dtype, device=ball.X.device)
        return cls(ball, y, ball.centre(), radius)

    def along(self, direction: Tensor, radius: Tensor) -> Tensor:
        """Coordinates at a radius, moved into the box."""
        reach = torch.where(radius.isfinite(), radius, 0)
        return self.ball.boxed(direction * along(reach, direction))

    def errs(self, predict: Logits, direction: Tensor, radius: Tensor) -> Tensor:
        """Which rows are misclassified at a radius of a direction."""
        inside = radius <= 1
        v = self.along(direction, radius)
        points = self.ball.point(v)
        if inside.any():
            points[inside] = self.ball[inside].point_within(v[inside])
        return verdict(predict(points), self.y)

    def adopt(self, rows: Tensor, direction: Tensor, radius: Tensor) -> None:
        """Take over directions and radii for the rows of a mask."""
        self.direction = torch.where(along(rows, direction), direction, self.direction)
        self.radius = torch.where(rows, radius, self.radius)

    def __getitem__(self, keep: Tensor) -> Rays:
        """Rays of the rows of a mask."""
        return Rays(self.ball[keep], self.y[keep], self.direction[keep], self.radius[keep])


@torch.no_grad()
def rays(
    predict: Logits,
    X: Tensor,
    y: Tensor,
    *,
    eps: FeatureValues | None = None,
    norm: str | float | Norm = "linf",
    bounds: tuple[FeatureValues, FeatureValues] | None = None,
    immutable: FeatureValues | None = None,
    one_hot: OneHot | None = None,
    max_flips: int = 1,
    n_queries: int = 1000,
    random_state: RandomState = None,
    batch_size: int = 1000,
) -> Tensor:
    r"""Shorten rays from each point to an error, with nothing but predicted labels.

    .. math:: \min_{\|u\| = 1} \; \min \{ r : \hat y(x + r \varepsilon \odot u) \ne y \}

    A ray starts towards points of X with other labels and in random directions. Then random
    changes of some of its features are kept where the point at a slightly smaller radius is
    still misclassified; a ray that could be shortened is shortened further, in growing steps.
    As in RayS no gradient is estimated; with the norm "linf" the changes set features to the
    ends of their range.

    Parameters
    ----------
    predict : callable
        Maps points of shape (n, ...) to labels (n,), integers as in y. Scores of shape
        (n, n_classes) are taken too, of which the largest names the label.
    X : Tensor of shape (n, ...), float32 or float64
    y : Tensor of shape (n,), integers
    eps : float, array of the shape of a row, or None
        Radius of the ball in units of X, 0 for immutable features: a row is done as soon as an
        error lies within. None: use all queries for the closest error, each feature in its own
        units.
    norm : {"linf", "l2", "l1"}, {numpy.inf, 2, 1} or Norm
    bounds : (low, high), or None
        Box that holds X, each side a number or one for each feature.
    immutable, one_hot, max_flips
        As in :func:`sklearn_iso.attacks.pgd`. Labels do not rank flips: one that fools is
        taken, or else the first.
    n_queries : int
        Points of each row that predict sees.
    random_state : int, numpy generator, torch.Generator or None
        Draws the directions; None takes fresh entropy.
    batch_size : int
        Most rows that predict sees at once.

    Returns
    -------
    Tensor of the shape of X
        Misclassified points. Rows that are misclassified already, and rows for which none was
        found within eps, come back unchanged.

    Raises
    ------
    ValueError
        As :func:`sklearn_iso.attacks.pgd`, but for gradients.

    References
    ----------
    Chen, Gu, RayS: a Ray Searching Method for Hard-label Adversarial Attack, KDD 2020.
    Brendel, Rauber, Bethge, Decision-Based Adversarial Attacks: Reliable Attacks Against
    Black-Box Machine Learning Models, ICLR 2018.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks import distances, rays
    >>> X, y = torch.tensor([[0.9, 0.9], [0.1, 0.2]]), torch.tensor([1, 0])
    >>> labels = lambda x: (x.sum(dim=1) > 1).long()
    >>> X_adv = rays(labels, X, y, random_state=0)
    >>> distances(labels, X, y, X_adv, norm="linf").round(decimals=2)
    tensor([0.4000, 0.3500])
    """
    check_counts(n_queries=n_queries)
    budget = budget_of(X, eps, norm, bounds, immutable, one_hot, max_flips)
    generator, hunt = as_generator(random_state), Survivors(predict, X, y, batch_size)
    predict = hunt.logits
    closest = torch.full_like(hunt.best_loss, torch.inf)
    attacked = hunt.alive.clone()

    def value(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        wrong = verdict(predict(x), y)
        return wrong.to(x), wrong

    for _ in () if budget.is_zero else hunt.rounds(budget.categories, value):
        closest[attacked & ~hunt.alive & closest.isinf()] = 0
        for rows in hunt.batches() if bool((budget.eps > 0).any()) else ():
            found = Rays.around(budget.around(hunt.centres[rows]), hunt.y[rows])
            enough = 0.0 if eps is None else 1.0
            _aim(found, predict, X[attacked], hunt.y[attacked], generator)
            _shorten(found, predict, n_queries - N_DONORS - N_DOUBLINGS, enough, generator)
            v = found.along(found.direction, found.radius)
            sizes = torch.where(found.radius.isfinite(), budget.norm.size(v), torch.inf)
            points = found.ball.point(v) if eps is None else found.ball.point_within(v)
            closer = (sizes < closest[rows]) & (found.radius <= (torch.inf if eps is None else 1))
            closer &= verdict(predict(points), hunt.y[rows])
            hunt.X_adv[rows[closer]], closest[rows[closer]] = points[closer], sizes[closer]
            if eps is not None:
                hunt.alive[rows[closer]] = False
    return hunt.X_adv


def _aim(found: Rays, predict: Logits, X: Tensor, y: Tensor, generator: torch.Generator) -> None:
    """Rays towards points of other labels, and at random with doubling radii."""
    norm, ball = found.ball.budget.norm, found.ball
    tiny = torch.finfo(X.dtype).tiny
    for _ in range(N_DONORS):
        donor = torch.randint(len(X), (len(found.y),), generator=generator).to(X.device)
        moved = torch.where(ball.budget.eps > 0, (X[donor] - ball.X) / ball.budget.eps, 0)
        size = norm.size(moved)
        direction = moved / along(size.clamp(min=tiny), X)
        other = (y[donor] != found.y) & (size > 0) & (size < found.radius)
        found.adopt(other & found.errs(predict, direction, size), direction, size)
    for power in range(N_DOUBLINGS):
        anywhere = norm.random(tuple(ball.X.shape), generator, X.dtype).to(X)
        direction = norm.steepest(torch.where(ball.budget.eps > 0, anywhere, 0))
        radius = torch.full_like(found.radius, 2.0**power)
        closer = found.errs(predict, direction, radius) & (radius < found.radius)
        found.adopt(closer, direction, radius)


def _shorten(
    found: Rays, predict: Logits, n_queries: int, enough: float, generator: torch.Generator
) -> None:
    """Search random changes of the rays for shorter ones, until they are short enough."""
    proposals = Proposals(found.ball, generator)
    norm, whole = found.ball.budget.norm, found
    found = whole[whole.radius > -1]  # a copy, of all rows
    rows = torch.arange(len(found.y), device=found.y.device)
    cut = torch.full_like(found.radius, COARSEST)
    for _ in range(max(0, n_queries)):
        busy = found.radius.isfinite() & (found.radius > enough)
        if not busy.all():
            whole.direction[rows], whole.radius[rows] = found.direction, found.radius
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
    whole.direction[rows], whole.radius[rows] = found.direction, found.radius
