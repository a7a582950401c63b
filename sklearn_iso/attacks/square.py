"""A score-based attack: random search on random subsets of the features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sklearn_iso.attacks.budget import Budget
from sklearn_iso.attacks.climb import Objective
from sklearn_iso.attacks.losses import margin
from sklearn_iso.attacks.parameters import check_counts
from sklearn_iso.attacks.proposals import LONGEST, Proposals
from sklearn_iso.attacks.survivors import (
    Logits,
    RandomState,
    Survivors,
    as_generator,
    fork_seed,
)
from sklearn_iso.geometry.patches import ImageLayout
from sklearn_iso.modules.ambient import gradients_on
from sklearn_iso.threat import Threat


@gradients_on()
def square(
    scores: Logits,
    X: Tensor,
    y: Tensor,
    *,
    eps: float,
    threat: Threat = "linf",
    n_queries: int = 1000,
    n_restarts: int = 1,
    random_state: RandomState = None,
    batch_size: int = 1000,
    image_shape: Sequence[int] | None = None,
) -> Tensor:
    r"""Random search on random subsets of the features, guided by scores and no gradient.

    .. math:: v' = \Pi(v + \eta \, u_S), \qquad v \leftarrow v' \text{ where }
              m(x + \varepsilon \odot v') \ge m(x + \varepsilon \odot v)

    with the margin m of the scores and unit steps :math:`u_S` of the norm on a random subset S.
    As in the Square Attack a step is long and moves few features together. Where the rows are
    images, half of the steps move square patches of them; the others, and all steps on
    vectors, features that need not be neighbours.

    Parameters
    ----------
    scores : callable
        Maps points of shape (n, ...) to logits, decision values or probabilities of shape
        (n, n_classes). It need not be differentiable: it is only ever called without gradients.
    X : Tensor of shape (n, ...), float32 or float64
    y : Tensor of shape (n,), integers
        Columns of the scores.
    eps : float
        Radius of the ball, in units of the threat.
    threat : ThreatModel, or the name of a norm
        What the attack may do, see :class:`sklearn_iso.ThreatModel`.
    n_queries : int
        Points of each row that scores sees in each run.
    n_restarts : int
        Runs; each attacks the rows that the ones before could not fool.
    random_state : int, numpy generator, torch.Generator or None
        Draws starts and steps; None takes fresh entropy.
    batch_size : int
        Most rows that scores sees at once.
    image_shape : (height, width), or with the channels first or last, optional
        What a flat row holds, where it is an image; rows of two or three dimensions are images
        of their own shape. The channels are the smaller one of the outer two sizes.

    Returns
    -------
    Tensor of the shape of X
        For each row its fooling point, or else its point of the largest margin.

    Raises
    ------
    ValueError
        As :func:`sklearn_iso.attacks.pgd`, but for gradients; or if image_shape does not hold as
        many values as a row.

    References
    ----------
    Andriushchenko, Croce, Flammarion, Hein, Square Attack: a Query-efficient Black-box
    Adversarial Attack via Random Search, ECCV 2020.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks import square
    >>> X, y = torch.tensor([[0.3, 0.9]]), torch.tensor([0])
    >>> step = lambda x: torch.stack([(x.sum(1) > 1).double(), (x.sum(1) <= 1).double()], dim=1)
    >>> square(step, X, y, eps=0.25, n_queries=100, random_state=0).sum(dim=1) <= 1
    tensor([True])
    """
    check_counts(n_queries=n_queries, n_restarts=n_restarts)
    budget = Budget.of(X, eps=eps, threat=threat)
    hunt = Survivors(scores, X, y, batch_size)
    plan = Search(n_queries, n_restarts, layout_of(X, image_shape))
    plan.attack(hunt, budget, as_generator(random_state))
    return hunt.X_adv


def layout_of(X: Tensor, image_shape: Sequence[int] | None) -> ImageLayout | None:
    """Return the layout of the rows, or None where they are no images.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks.square import layout_of
    >>> layout_of(torch.zeros(5, 64), (8, 8)).height, layout_of(torch.zeros(5, 64), None)
    (8, None)
    """
    if image_shape is None and X.ndim not in (3, 4):
        return None
    return ImageLayout.of(X.shape[1:], image_shape)


@dataclass(frozen=True)
class Search:
    """Random search, on the rows that are left.

    Parameters
    ----------
    n_queries, n_restarts : int
    layout : ImageLayout, optional
        What a row holds, where it is an image.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks.budget import Budget
    >>> from sklearn_iso.attacks.square import Search
    >>> from sklearn_iso.attacks.survivors import Survivors
    >>> X = torch.tensor([[1.0]])
    >>> hunt = Survivors(lambda x: torch.cat([x, -x], dim=1), X, torch.zeros(1, dtype=int), 10)
    >>> Search(20).attack(hunt, Budget.of(X, eps=2.0), torch.Generator().manual_seed(0))
    >>> hunt.alive
    tensor([False])
    """

    n_queries: int
    n_restarts: int = 1
    layout: ImageLayout | None = None

    def attack(self, hunt: Survivors, budget: Budget, generator: torch.Generator) -> None:
        """Attack the survivors, and record what comes of it."""
        if budget.is_zero:
            return
        objective = Objective(hunt.logits, margin)
        for _ in hunt.rounds(budget.categories, objective.value):
            for _ in range(self.n_restarts if bool((budget.eps > 0).any()) else 0):
                seed = fork_seed(generator)
                for rows in hunt.batches():
                    # Every batch draws the same: no row depends on how many there are.
                    own = torch.Generator().manual_seed(seed)
                    proposals = Proposals(budget.around(hunt.centres[rows]), own, self.layout)
                    hunt.record(rows, *_run(objective, proposals, hunt.y[rows], self.n_queries))


def _run(
    objective: Objective, proposals: Proposals, y: Tensor, n_queries: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Points, margins and verdicts of one run."""
    ball = proposals.ball
    v = ball.project((LONGEST * proposals.directions()).expand_as(ball.X))
    points = ball.point_within(v)
    loss, fooled = objective.value(points, y)
    lost = loss == -torch.inf  # where there are no scores a search begins at X
    v[lost], points[lost] = 0, ball.X[lost]
    rows, v = (~fooled).nonzero().squeeze(1), v[~fooled]
    proposals.keep(~fooled)
    for _ in range(n_queries - 1):
        if not len(rows):
            break
        candidate = proposals.guided(v)
        x = proposals.ball.point_within(candidate)
        value, errs = objective.value(x, y[rows])
        # Ties move too: scores of trees are flat nearly everywhere.
        better = errs | ((value >= loss[rows]) & (value > -torch.inf))
        proposals.learn(value > loss[rows])
        proposals.learn_slope(candidate - v, value - loss[rows])
        v[better] = candidate[better]
        moved = rows[better]
        points[moved], loss[moved], fooled[rows] = x[better], value[better], errs
        if errs.any():
            rows, v = rows[~errs], v[~errs]
            proposals.keep(~errs)
    return points, loss, fooled
