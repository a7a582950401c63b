"""A score-based attack: random search on random subsets of the features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from sklearn_iso._geometry.norm import along
from sklearn_iso._geometry.patches import ImageLayout
from sklearn_iso._threat import Threat
from sklearn_iso.attacks._attack import Attack, AttackState, Logits
from sklearn_iso.attacks._budget import Ball, Budget
from sklearn_iso.attacks._losses import margin
from sklearn_iso.attacks._objective import Objective
from sklearn_iso.attacks._options import SquareOptions
from sklearn_iso.attacks._parameters import RandomState, check_counts, fork_seed
from sklearn_iso.attacks._proposals import Proposals, tells
from sklearn_iso.attacks._windows import Windows

if TYPE_CHECKING:
    from typing_extensions import Unpack


@dataclass(frozen=True, kw_only=True, repr=False)
class Square(Attack):
    r"""Random search on random subsets of the features, guided by scores and no gradient.

    .. math:: v' = \Pi(v + \eta \, u_S), \qquad v \leftarrow v' \text{ where }
              m(x + \varepsilon \odot v') \ge m(x + \varepsilon \odot v)

    with the margin m of the scores and unit steps :math:`u_S` of the norm on a random subset S.
    As in the Square Attack a step is long and moves few features together. Where the samples are
    images, most steps move square patches of them, which get smaller; some, and all steps on
    vectors, features that need not be neighbours. The scores need not be differentiable:
    they are only ever asked for without gradients. Each sample comes back as a misclassified
    point, or else as its point of the largest margin.

    Parameters
    ----------
    n_queries : int, default=1000
        Points of each sample that scores sees in each run.
    n_restarts : int, default=1
        Runs; each attacks the samples that the ones before could not get misclassified.
    image_shape : (height, width), or with the channels first or last, default=None
        What a flat sample holds, where it is an image; samples of two or three dimensions are
        images of their own shape. The channels are the smaller one of the outer two sizes.
    batch_size : int, default=1000

    Raises
    ------
    ValueError
        If a parameter is out of its range, or when called with samples that do not hold as many
        values as image_shape.

    References
    ----------
    Andriushchenko, Croce, Flammarion, Hein, Square Attack: a Query-efficient Black-box
    Adversarial Attack via Random Search, ECCV 2020.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks import Square
    >>> X, y = torch.tensor([[0.3, 0.9]]), torch.tensor([0])
    >>> step = lambda x: torch.stack([(x.sum(1) > 1).double(), (x.sum(1) <= 1).double()], dim=1)
    >>> Square(n_queries=100)(step, X, y, eps=0.25, random_state=0).sum(dim=1) <= 1
    tensor([True])
    """

    name = "square"
    asks: ClassVar[str] = "scores"

    n_queries: int = 1000
    n_restarts: int = 1
    image_shape: Sequence[int] | None = None

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        check_counts(n_queries=self.n_queries, n_restarts=self.n_restarts)
        object.__setattr__(self, "image_shape", shape_of(self.image_shape))

    def check(self, X: Tensor, threat: Threat) -> None:
        """Raise a ValueError where a sample does not hold such an image."""
        if self.image_shape is not None:
            layout_of(X, self.image_shape)

    def run(self, state: AttackState, budget: Budget, generator: torch.Generator) -> None:
        """Attack the samples that are still robust, and record what comes of it."""
        if budget.is_zero:
            return
        objective, layout = state.objective(margin), layout_of(state.X, self.image_shape)
        for _ in state.rounds(budget.categories, objective.value):
            for _ in range(self.n_restarts if bool((budget.eps > 0).any()) else 0):
                seed = fork_seed(generator)
                for rows in state.batches():
                    # Every batch draws the same: no sample depends on how many there are.
                    own = torch.Generator().manual_seed(seed)
                    proposals = self._proposals(budget.around(state.centres[rows]), own, layout)
                    found = random_search(objective, proposals, state.y[rows], self.n_queries)
                    state.record(rows, *found)

    def _proposals(
        self, ball: Ball, generator: torch.Generator, layout: ImageLayout | None
    ) -> Proposals:
        if layout is None or ball.budget.norm.order == 0:
            return Proposals(ball, generator)
        return Windows(ball, generator, layout, self.n_queries)


def square(
    scores: Logits,
    X: Tensor,
    y: Tensor,
    *,
    eps: float,
    threat: Threat = "linf",
    random_state: RandomState = None,
    **parameters: Unpack[SquareOptions],
) -> Tensor:
    """Attack by random search, :class:`Square`, in one call.

    Parameters
    ----------
    scores : callable
        Maps points of shape (n, ...) to logits, decision values or probabilities of shape
        (n, n_classes).
    X : Tensor of shape (n, ...), float32 or float64
    y : Tensor of shape (n,), integers
        Columns of the scores.
    eps : float
        Radius of the ball, in units of the threat.
    threat : ThreatModel, or the name of a norm, default="linf"
        What the attack may do.
    random_state : int, numpy generator, torch.Generator or None, default=None
        Draws starting points and random steps; None takes fresh entropy.
    **parameters
        `n_queries` of each run, 1000 by default, the number of runs `n_restarts`, 1, `image_shape`
        of an image in a flat sample, and `batch_size`; details in :class:`Square`.

    Returns
    -------
    Tensor of the shape of X
        Adversarial examples, and the sample itself where none was found.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks import square
    >>> X, y = torch.tensor([[0.3, 0.9]]), torch.tensor([0])
    >>> step = lambda x: torch.stack([(x.sum(1) > 1).double(), (x.sum(1) <= 1).double()], dim=1)
    >>> square(step, X, y, eps=0.25, n_queries=100, random_state=0).sum(dim=1) <= 1
    tensor([True])
    """
    attack = Square(**parameters)
    return attack(scores, X, y, eps=eps, threat=threat, random_state=random_state)


def shape_of(image_shape: Sequence[int] | None) -> tuple[int, ...] | None:
    """Return the shape of an image as a tuple, which compares and hashes.

    Examples
    --------
    >>> from sklearn_iso.attacks._square import shape_of
    >>> shape_of([8, 8])
    (8, 8)
    """
    if image_shape is None:
        return None
    try:
        shape = tuple(size.__index__() for size in image_shape)
    except (AttributeError, TypeError):
        shape = ()
    if len(shape) not in (2, 3) or min(shape) < 1:
        raise ValueError(
            "image_shape must be (height, width), or three sizes with the channels first or last; "
            f"got {image_shape!r}."
        )
    return shape


def layout_of(X: Tensor, image_shape: Sequence[int] | None) -> ImageLayout | None:
    """Return the layout of the samples, or None where they are no images.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks._square import layout_of
    >>> layout_of(torch.zeros(5, 64), (8, 8)).height, layout_of(torch.zeros(5, 64), None)
    (8, None)
    """
    if image_shape is None and X.ndim not in (3, 4):
        return None
    return ImageLayout.of(X.shape[1:], image_shape)


def random_search(
    objective: Objective,
    proposals: Proposals,
    y: Tensor,
    n_queries: int,
    start: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return points, losses and verdicts of one run.

    Parameters
    ----------
    objective : Objective
    proposals : Proposals
    y : Tensor of shape (n, ...)
    n_queries : int
    start : Tensor of shape (n, ...), optional
        Coordinates in the ball; a long random step by default.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks._budget import Budget
    >>> from sklearn_iso.attacks._objective import Unending
    >>> from sklearn_iso.attacks._proposals import Proposals, tells
    >>> from sklearn_iso.attacks._square import random_search
    >>> X = torch.zeros(1, 2)
    >>> proposals = Proposals(Budget.of(X, eps=1.0).around(X), torch.Generator())
    >>> objective = Unending(lambda x: x, lambda outputs, y: outputs.sum(dim=1))
    >>> bool(random_search(objective, proposals, X, 50)[1] > 1.9)
    True
    """
    ball = proposals.ball
    v = start
    if v is None:
        v = proposals.start()
    points = ball.point_within(v)
    loss, misclassified = objective.value(points, y)
    lost = along(loss == -torch.inf, v)  # where there are no scores a search begins at X
    # Written anew: all rows of a start may share one memory.
    v, points = torch.where(lost, 0, v), torch.where(lost, ball.X, points)
    rows, v = (~misclassified).nonzero().squeeze(1), v[~misclassified]
    proposals.keep(~misclassified)
    for _ in range(n_queries - 1):
        if not len(rows):
            break
        candidate = proposals.guided(v)
        x = proposals.ball.point_within(candidate)
        value, errs = objective.value(x, y[rows])
        # Ties move too: scores of trees are flat nearly everywhere.
        better = errs | ((value >= loss[rows]) & (value > -torch.inf))
        moved, gain = candidate - v, value - loss[rows]
        proposals.learn((gain > 0) & tells(moved))
        proposals.learn_slope(moved, gain)
        v[better] = candidate[better]
        which = rows[better]
        points[which], loss[which], misclassified[rows] = x[better], value[better], errs
        if errs.any():
            rows, v = rows[~errs], v[~errs]
            proposals.keep(~errs)
    return points, loss, misclassified
