"""Steps that are exact for a linear function: the highest in a ball, and the shortest to a rise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sklearn_iso._geometry.norm import Norm, along, columns_of, room_along, steep
from sklearn_iso._geometry.norms import L2
from sklearn_iso.attacks._ascent import GradientAscent, Walk
from sklearn_iso.attacks._budget import Ball

Box = tuple[Tensor, Tensor]
N_BISECTIONS, N_DOUBLINGS = 60, 60
#: Steps that go all the way to the vertex, before they shrink.
N_WHOLE = 3


def highest(norm: Norm, slope: Tensor, box: Box | None = None) -> Tensor:
    r"""Return the point of the unit ball and a box around 0 at which a linear function is highest.

    .. math:: \arg\max \langle g, v \rangle
              \quad \text{s.t.} \quad \|v\| \le 1, \; low \le v \le high

    Parameters
    ----------
    norm : Norm
    slope : Tensor of shape (n, ...)
    box : (low, high) of the shape of slope, or None

    Returns
    -------
    Tensor of the shape of slope
        Exact for "linf", "l2" and "l1"; for other norms as far as their `farthest` goes.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso._geometry.norms import get_norm
    >>> from sklearn_iso.attacks._linear_steps import highest
    >>> box = (torch.tensor([[-1.0, -1.0]]), torch.tensor([[0.6, 1.0]]))
    >>> highest(get_norm("l2"), torch.tensor([[5.0, 1.0]]), box)
    tensor([[0.6000, 0.8000]])
    """
    if box is None:
        return norm.steepest(slope)
    if not isinstance(norm, L2):
        return norm.farthest(slope, *box)
    scaled, _ = steep(slope, slope.new_zeros(len(slope)))
    room = columns_of(room_along(scaled, *box))
    size = columns_of(scaled).abs()
    held = size == 0
    for _ in range(size.shape[1]):
        # Features that the box holds back leave the rest of the ball to the others.
        left = 1 - torch.where(held, room, 0).square().sum(dim=1)
        free = size.masked_fill(held, 0).square().sum(dim=1)
        stretch = (left.clamp(min=0) / torch.where(free > 0, free, 1)).sqrt()
        beyond = ~held & (size * stretch[:, None] > room)
        if not beyond.any():
            break
        held |= beyond
    step = torch.where(held, room, size * stretch[:, None])
    return norm.project(step.view_as(slope).copysign(scaled))


def shortest(norm: Norm, slope: Tensor, climb: Tensor, box: Box | None = None) -> Tensor:
    """Return the shortest step along which a linear function rises by some amount.

    Parameters
    ----------
    norm : Norm
    slope : Tensor of shape (n, ...)
    climb : Tensor of shape (n,)
        Not negative.
    box : (low, high) of the shape of slope, or None
        Where it ends before, the step is that to its corner; where the slope is 0, none.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso._geometry.norms import get_norm
    >>> from sklearn_iso.attacks._linear_steps import shortest
    >>> shortest(get_norm("linf"), torch.tensor([[3.0, -1.0]]), torch.tensor([2.0]))
    tensor([[ 0.5000, -0.5000]])
    """
    scaled, amount = steep(slope, climb)
    step = norm.steepest(scaled)
    rate = columns_of(scaled * step).sum(dim=1)
    size = torch.where(rate > 0, amount / torch.where(rate > 0, rate, 1), 0)
    if box is None:
        return step * along(size, step)

    def rises_within(size: Tensor) -> Tensor:
        step = _of_size(norm, scaled, size, box)
        return columns_of(scaled * step).sum(dim=1) >= amount

    room = room_along(scaled, *box)
    endless = columns_of(room.isinf()).any(dim=1)
    low, high = size, torch.maximum(size, norm.size(room.nan_to_num(posinf=0)))
    for _ in range(N_DOUBLINGS):
        short = endless & ~rises_within(high)
        if not short.any():
            break
        high = torch.where(short, 2 * high, high)
    for _ in range(N_BISECTIONS):
        middle = (low + high) / 2
        rises = rises_within(middle)
        low, high = torch.where(rises, low, middle), torch.where(rises, middle, high)
    return _of_size(norm, scaled, high, box)


def _of_size(norm: Norm, slope: Tensor, size: Tensor, box: Box) -> Tensor:
    """Highest step of at most some size, within a box."""
    radius = along(torch.where(size > 0, size, 1), slope)
    step = highest(norm, slope, (box[0] / radius, box[1] / radius)) * radius
    return torch.where(along(size > 0, slope), step, 0)


class Vertices(Walk):
    r"""Steps to where the linearised loss is highest, first whole, then ever shorter ones.

    .. math:: v \leftarrow v + \gamma_t \, (\arg\max_{u} \langle \nabla \ell(v), u \rangle - v)

    The first step ends at the maximum of a linear function, and whole steps climb a convex one
    from vertex to vertex; shorter ones settle on the maximum of a concave one.

    References
    ----------
    Jaggi, Revisiting Frank-Wolfe: Projection-Free Sparse Convex Optimization, ICML 2013.

    Examples
    --------
    >>> from sklearn_iso.attacks._linear_steps import Vertices
    >>> len(Vertices(5))
    5
    """

    def __init__(self, n_steps: int) -> None:
        self.n_steps = n_steps

    def __len__(self) -> int:
        return self.n_steps

    def step(self, ball: Ball, v: Tensor, loss: Tensor, gradient: Tensor, step: int) -> Tensor:
        """Coordinates after a step towards the vertex."""
        ahead = highest(ball.budget.norm, gradient * ball.budget.eps, ball.box)
        share = 1.0 if step < N_WHOLE else 2 / (step - N_WHOLE + 3)
        return v + share * (ahead - v)


@dataclass(frozen=True, kw_only=True, repr=False)
class FrankWolfe(GradientAscent):
    """Gradient ascent from vertex to vertex of the ball and the bounds, from X.

    One step is exact where the loss is linear.

    Parameters
    ----------
    n_steps : int, default=10

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks._linear_steps import FrankWolfe
    >>> X, y = torch.tensor([[0.3, 0.9]]), torch.tensor([0])
    >>> linear = lambda x: torch.stack([x.sum(1), 2 - x.sum(1)], dim=1)
    >>> FrankWolfe()(linear, X, y, eps=0.25)
    tensor([[0.0500, 0.6500]])
    """

    name = "frank_wolfe"

    n_steps: int = 10
    random_start: bool = False

    def walk(self, start: Tensor) -> Vertices:
        """Return steps to vertices."""
        return Vertices(self.n_steps)
