"""Where perturbed samples may be, and the least that a linear function has there."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sklearn_iso._geometry.norms import Norm
from sklearn_iso.modules._nodes import dot

#: Steps of the search for the features that the box holds back; any number is sound.
N_STEPS = 4
_FAR = 1e150


@dataclass(frozen=True, eq=False)
class Ball:
    r"""The points of a ball around each sample that are in a box.

    .. math:: \{x' : \|(x' - x) / r\|_p \le 1, \; low \le x' \le high\}

    Parameters
    ----------
    centre : Tensor of shape (n, ...)
        The samples x, in float64.
    radius : Tensor of the shape of the samples
        The r of each feature: the budget times its unit.
    low, high : Tensor of the shape of the samples
        The box; it holds the centre and is no wider than the ball.
    norm : Norm
        "linf", "l2" or "l1".
    """

    centre: Tensor
    radius: Tensor
    low: Tensor
    high: Tensor
    norm: Norm

    @classmethod
    def around(
        cls,
        centre: Tensor,
        radius: Tensor,
        norm: Norm,
        bounds: tuple[Tensor, Tensor] | None = None,
    ) -> Ball:
        """Return the ball of a radius within bounds; a centre out of bounds stays in."""
        low, high = centre - radius, centre + radius
        if bounds is not None:
            low = torch.minimum(torch.maximum(low, bounds[0].expand_as(low)), centre)
            high = torch.maximum(torch.minimum(high, bounds[1].expand_as(high)), centre)
        return cls(centre, radius, low, high, norm)

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.centre)

    def lowest(self, rows: Tensor) -> Tensor:
        r"""Return the least of linear functions in the ball, or a little less.

        By weak duality, of whatever parts the function is the sum: one part in the ball alone,
        the rest in the box alone,

        .. math:: \min_{x'} \langle a, x' \rangle \ge \langle a, x \rangle - \|r b\|_q
                  - \sum_i |a_i - b_i| h_i

        with q dual to p and h the room of each feature. The b is chosen so that both sides are
        equal, but for the norm "l2" up to the end of an iteration.

        Parameters
        ----------
        rows : Tensor of shape (n or 1, k, ...)
            Coefficients.

        Returns
        -------
        least : Tensor of shape (n, k)
        """
        if self.norm.name == "linf":
            return dot(rows.clamp_min(0), self.low) + dot(rows.clamp_max(0), self.high)
        return dot(rows, self.centre) - self.fall(rows)

    def fall(self, rows: Tensor, n_steps: int = N_STEPS) -> Tensor:
        """Return by how much linear functions fall from the centre, (n, k), or a little more.

        Parameters
        ----------
        rows : Tensor of shape (n or 1, k, ...)
            Coefficients.
        n_steps : int
            With one more than there are features, it is exact but for rounding.
        """
        flat, radius = rows.flatten(2), self.radius.flatten(1)[:, None]
        down, up = (
            torch.where(radius > 0, room.flatten(1)[:, None] / radius, 0)
            for room in (self.centre - self.low, self.high - self.centre)
        )
        # Over the radius: the ball is the unit ball, and a room is at most 1.
        slope, room = (flat * radius).abs(), torch.where(flat > 0, down, up)
        if self.norm.name == "linf":
            return (slope * room).sum(dim=2)
        return (
            _fall_in_l2(slope, room, n_steps)
            if self.norm.name == "l2"
            else _fall_in_l1(slope, room)
        )


def _fall_in_l2(slope: Tensor, room: Tensor, n_steps: int) -> Tensor:
    """Return by how much a function can fall in the Euclidean unit ball and a box, (n, k).

    The steepest step is stretched until, clipped by the box, it has length 1.
    """
    length = torch.linalg.vector_norm(slope, dim=2, keepdim=True)
    stretch = 1 / length.clamp_min(torch.finfo(slope.dtype).tiny)
    squares = slope.square()
    for _ in range(n_steps):
        before = stretch
        held = stretch * slope >= room
        left = 1 - torch.where(held, room.square(), 0).sum(dim=2, keepdim=True)
        free = torch.where(held, 0, squares).sum(dim=2, keepdim=True)
        further = (left.clamp_min(0) / free.clamp_min(torch.finfo(slope.dtype).tiny)).sqrt()
        # Where the box holds all features back, the ball has no part in it.
        stretch = torch.where(free > 0, torch.maximum(stretch, further), _FAR)
        if torch.equal(stretch, before):
            break
    in_ball = torch.minimum(slope, room / stretch)
    in_box = ((slope - in_ball) * room).sum(dim=2)
    return torch.linalg.vector_norm(in_ball, dim=2) + in_box


def _fall_in_l1(slope: Tensor, room: Tensor) -> Tensor:
    """Return by how much a function can fall in the cross-polytope and a box, (n, k).

    The steepest features come first, each as far as its room, until the budget is spent.
    """
    order = slope.argsort(dim=2, descending=True)
    sorted_slope = slope.gather(2, order)
    spent = room.expand_as(slope).gather(2, order).cumsum(dim=2)
    last = (spent < 1).sum(dim=2, keepdim=True)  # the first at which the budget is spent
    padded = torch.nn.functional.pad(sorted_slope, (0, 1))
    threshold = padded.gather(2, last)
    return threshold[..., 0] + ((slope - threshold).clamp_min(0) * room).sum(dim=2)
