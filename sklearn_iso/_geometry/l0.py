"""The number of entries that are not 0: no norm, but an attack can be held to it all the same."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sklearn_iso._geometry.norm import Norm, columns_of, room_along


def largest(values: Tensor, count: int) -> Tensor:
    """Mask of the largest values of each sample, of which there are `count`, none of them 0.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso._geometry.l0 import largest
    >>> largest(torch.tensor([[0.2, 0.0, 3.0], [0.0, 1.0, 0.0]]), 2)
    tensor([[ True, False,  True],
            [False,  True, False]])
    """
    flat = columns_of(values)
    kept = torch.zeros_like(flat, dtype=torch.bool)
    top = flat.topk(min(count, flat.shape[1]), dim=1).indices
    return (kept.scatter(1, top, True) & (flat > 0)).view_as(values)


@dataclass(frozen=True)
class L0(Norm):
    r"""Number of entries that are not 0, over the number that may be so.

    .. math:: \|v\|_0 = \frac{1}{k} \#\{ j : v_j \ne 0 \}

    It does not scale with v, so that the ball of k entries is a value of its own; how far an
    entry goes is a matter of the box alone.

    Parameters
    ----------
    count : int
        k, the entries of the unit ball.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso._geometry.l0 import L0
    >>> L0(2).size(torch.tensor([[0.0, 5.0, -1.0, 0.1]]))
    tensor([1.5000])
    """

    count: int = 1
    name: str = "l0"
    order: float = 0.0

    @property
    def dual_order(self) -> float:
        """There is none: the unit ball is not convex."""
        raise AttributeError("l0 is no norm and has no dual.")

    def size(self, v: Tensor) -> Tensor:
        """Count the entries that are not 0, over `count`."""
        return (columns_of(v) != 0).sum(dim=1).to(v) / self.count

    def steepest(self, gradient: Tensor) -> Tensor:
        """Signs of the entries of largest slope."""
        return torch.where(largest(gradient.abs(), self.count), gradient.sign(), 0)

    def project(self, v: Tensor) -> Tensor:
        """Keep the largest entries."""
        return torch.where(largest(v.abs(), self.count), v, 0)

    def project_into(self, v: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Clip, and keep the entries that bring the point nearest to v."""
        clipped = v.clamp(low, high)
        nearer = clipped * (2 * v - clipped)  # v^2 less the square of what clipping takes
        return torch.where(largest(nearer, self.count), clipped, 0)

    def farthest(self, gradient: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Step that climbs most: the entries that gain most, each to the end of the box."""
        room = room_along(gradient, low, high)
        kept = largest(room * gradient.abs(), self.count)
        return torch.where(kept, room.copysign(gradient), 0)

    def reach(
        self, gradient: Tensor, climb: Tensor, low: Tensor | None, high: Tensor | None
    ) -> Tensor:
        """Step of the fewest entries that climbs by a given amount, each to the end of the box.

        Entries gain independently of each other, so that those which gain most are the fewest.
        """
        room = columns_of(room_along(gradient, low, high))
        gains, order = (room * columns_of(gradient).abs()).sort(dim=1, descending=True)
        before = gains.cumsum(dim=1) - gains
        needed = (before < climb[:, None]) & (gains > 0)
        kept = torch.zeros_like(needed).scatter(1, order, needed)
        return torch.where(kept, room, 0).view_as(gradient).copysign(gradient)

    def random(
        self,
        shape: tuple[int, ...],
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """Draw which entries move, and how far each does, between -1 and 1."""
        places = torch.rand(shape, generator=generator, dtype=dtype, device=generator.device)
        values = torch.rand(shape, generator=generator, dtype=dtype, device=generator.device)
        return torch.where(largest(places, self.count), 2 * values - 1, 0)
