"""Bounds of pairs of units that are sorted."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sklearn_iso.modules._graph import Graph
from sklearn_iso.modules._lines import Ramp
from sklearn_iso.modules._nodes import DOUBLE, Affine, Bounds, Node, largest
from sklearn_iso.modules._orthogonal import SortPairs
from sklearn_iso.modules._rules import NoBoundsError, rule


@rule(SortPairs)
def _sort_pairs(module: SortPairs, graph: Graph, at: int) -> int:
    shape = graph.shapes[at]
    if shape[0] % 2:
        raise NoBoundsError(module, reason=f"it needs an even number of units; got {shape[0]}")
    difference = graph.add(Difference(at, shape))
    return graph.add(SortedPairs(at, difference, shape))


class Difference(Affine):
    """The first unit of each pair less the second; what bounds need and no network computes.

    Parameters
    ----------
    at : int
    input_shape : sequence of int
        The first half of the first axis holds the first units.
    """

    def __init__(self, at: int, input_shape: Sequence[int]) -> None:
        super().__init__([at], (input_shape[0] // 2, *input_shape[1:]), 2)

    def linear(self, z: Tensor, absolute: bool = False) -> Tensor:
        """Return the differences, or the sums."""
        first, second = z.chunk(2, dim=1)
        return first + second if absolute else first - second

    def transposed(self, A: Tensor) -> Tensor:
        """Return the rows for the first units and for the second."""
        return torch.cat([A, -A], dim=1)

    def rounding(self, *bounds: Bounds) -> Tensor | float:
        """Return what float64 rounds in bounds."""
        first, second = largest(bounds[0]).chunk(2, dim=1)
        return 8 * DOUBLE * (first + second)


class SortedPairs(Node):
    r"""Pairs of units as their larger and their smaller one.

    .. math:: \max(a, b) = b + \mathrm{ReLU}(a - b), \qquad \min(a, b) = a - \mathrm{ReLU}(a - b)

    Parameters
    ----------
    at, difference : int
        Numbers of the pairs and of their differences, which are bounded more closely than what
        bounds of the units allow.
    shape : sequence of int
    """

    def __init__(self, at: int, difference: int, shape: Sequence[int]) -> None:
        super().__init__([at, difference], shape)
        self.ramp = Ramp(1, (shape[0] // 2, *shape[1:]))

    def interval(self, *bounds: Bounds) -> Bounds:
        """Return the sorted bounds."""
        return _sorted(bounds[0][0]), _sorted(bounds[0][1])

    def backward(
        self, A: Tensor, *bounds: Bounds, slopes: Tensor | None = None
    ) -> tuple[list[Tensor], Tensor | float]:
        """Return rows of the pairs, and of the differences by lines for ReLU."""
        of_larger, of_smaller = A.chunk(2, dim=2)
        parts, constant = self.ramp.backward(of_larger - of_smaller, bounds[1])
        return [torch.cat([of_smaller, of_larger], dim=2), parts[0]], constant

    def rounding(self, *bounds: Bounds) -> Tensor | float:
        """Return what float64 rounds in bounds; the network only moves values."""
        first, second = largest(bounds[0]).chunk(2, dim=1)
        both = DOUBLE * (64 + 8 * self.ramp_size) * (first + second)
        return torch.cat([both, both], dim=1)

    @property
    def ramp_size(self) -> int:
        """Number of pairs."""
        return int(torch.Size(self.ramp.shape).numel())


def _sorted(z: Tensor) -> Tensor:
    first, second = z.chunk(2, dim=1)
    return torch.cat([torch.maximum(first, second), torch.minimum(first, second)], dim=1)
