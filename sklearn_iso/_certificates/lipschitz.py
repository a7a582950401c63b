r"""Certificates of networks by their Lipschitz constants, which take one pass through the network.

.. math:: (f_y - f_j)(x') \ge (f_y - f_j)(x) - K_{yj} \|x' - x\|_2
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from sklearn_iso._certificates.norms import SpectralNorms
from sklearn_iso._geometry.norms import Norm
from sklearn_iso.modules._intervals import Graph, margin_rows
from sklearn_iso.modules._lipschitz import Constant, constant_of, cut, lipschitz_constants
from sklearn_iso.modules._nodes import (
    DOUBLE,
    Bounds,
    Cast,
    Convolution,
    Dense,
    Diagonal,
    Moved,
    Node,
    dot,
    largest,
)
from sklearn_iso.modules._sorted import Difference, SortedPairs

#: What reaches and quotients round, as a share of them.
SLACK = 1e-12
#: Up to what share lengths may grow differently and count as equal.
EVEN = 1e-3


@dataclass(frozen=True, eq=False)
class LipschitzBounds:
    """Lower bounds of margins of logits, by how far each operation moves at most.

    The rounding of the network is counted as in
    :class:`~sklearn_iso._certificates.bounds.NetworkBounds`, for all values that operations may
    have: those at the sample, give or take what the constants allow.

    Parameters
    ----------
    graph : Graph
    unit : Tensor of the shape of a sample
        How far each entry moves for a distance of 1; 0 for one that stays.

    References
    ----------
    Y. Tsuzuku, I. Sato, M. Sugiyama, "Lipschitz-Margin Training: Scalable Certification of
    Perturbation Invariance for Deep Neural Networks", NeurIPS 2018.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from sklearn_iso._certificates.lipschitz import LipschitzBounds
    >>> from sklearn_iso.modules._intervals import graph_of
    >>> bounds = LipschitzBounds(graph_of(nn.Identity(), (2,)), torch.ones(2).double())
    >>> X, y = torch.tensor([[3.0, 1.0]]).double(), torch.tensor([0])
    >>> bounds.distances(X, y, torch.full((1,), torch.inf)).round(decimals=6)
    tensor([1.4142], dtype=torch.float64)
    """

    graph: Graph
    unit: Tensor

    @cached_property
    def norms(self) -> SpectralNorms:
        """The spectral norms of the operations, each computed once."""
        return SpectralNorms()

    @cached_property
    def constants(self) -> list[Constant]:
        """The constant of each operation, that of the input first."""
        return lipschitz_constants(self.graph, self.norms, self.unit)

    @torch.no_grad()
    def margins(self, X: Tensor, y: Tensor, reach: Tensor) -> Tensor:
        """Return lower bounds (n, n_classes) of margins within distances (n,) from samples."""
        rows = self._rows(y)
        least = self._margins_at(X, rows) - self._steepness(rows) * reach[:, None]
        least = least - self._errors(X, rows, reach)
        least = torch.where(least.isfinite(), least, -torch.inf)
        return least.scatter(1, y[:, None], torch.inf)

    @torch.no_grad()
    def distances(self, X: Tensor, y: Tensor, farthest: Tensor) -> Tensor:
        """Return distances (n,) within which no margin is 0; inf where they exceed the farthest."""
        rows = self._rows(y)
        margins, steepness = self._margins_at(X, rows), self._steepness(rows)
        most = torch.minimum(_least(margins, steepness, y), farthest)
        usable = most.isfinite() & (most > 0)
        errors = self._errors(X, rows, torch.where(usable, most, 0))
        # The errors grow with the distance, and this is no larger.
        found = _least(margins - errors, steepness, y) * (1 - SLACK)
        found = torch.where(usable & ~found.isnan(), found.clamp_min(0), 0)
        return torch.where(found >= farthest, torch.inf, found)

    def _rows(self, y: Tensor) -> Tensor:
        return margin_rows(y, self.graph.shapes[self.graph.last][0], torch.float64)

    def _margins_at(self, X: Tensor, rows: Tensor) -> Tensor:
        return dot(rows, self._values(X)[-1])

    def _steepness(self, rows: Tensor) -> Tensor:
        """Return the Lipschitz constant (n, k) of each row, a little more than that."""
        ends, _ = cut(self.graph, rows)
        total = rows.new_zeros(rows.shape[:2])
        for number, A in ends.items():
            total = total + self.constants[number].of_rows(A)
        n_terms = sum(math.prod(shape) for shape in self.graph.shapes)
        return total * (1 + 8 * DOUBLE * n_terms)

    def _values(self, X: Tensor) -> list[Tensor]:
        """Return what each operation makes of the samples, in float64."""
        return [low for low, _ in self.graph.intervals(X, X)]

    def _errors(self, X: Tensor, rows: Tensor, reach: Tensor) -> Tensor:
        """Return by how much rounding may move each row (n, k) within a reach."""
        values = self._values(X)
        size = math.prod(X.shape[1:])
        boxes = [_around(X, self.constants[0].whole * reach)]
        moved = [_length(8 * DOUBLE * (size + 8) * largest(boxes[0]))]
        local: dict[int, Tensor] = {}
        for number, node in enumerate(self.graph.nodes, 1):
            own = node.rounding(*(boxes[i] for i in node.inputs))
            shape = self.graph.shapes[node.inputs[0]]
            inputs = [Constant(moved[i]) for i in node.inputs]
            passed_on = constant_of(node, inputs, self.norms, shape).whole
            if isinstance(own, Tensor):
                local[number] = own.expand_as(values[number])
                passed_on = passed_on + _length(local[number])
            moved.append(passed_on)
            boxes.append(_around(values[number], self.constants[number].whole * reach + moved[-1]))
        unit = self.graph.nodes[-1].unit if self.graph.nodes else self.graph.unit
        # Scores that close to each other may be equal as probabilities.
        total = dot(rows.abs(), 8 * unit * (1 + largest(boxes[-1])))
        ends, merged = cut(self.graph, rows)
        for number, A in ends.items():
            total = total + _length(A.flatten(0, 1)).reshape(A.shape[:2]) * moved[number][:, None]
        for number, A in merged.items():
            if number in local:
                total = total + dot(A.abs(), local[number])
        return total


def keeps_lengths(graph: Graph) -> bool:
    """Return whether all operations but the last have orthonormal rows or columns, times a factor.

    Then no distance grows, no gradient shrinks, and the constants say all that there is to say of
    the steepest direction.

    Examples
    --------
    >>> from torch import nn
    >>> from sklearn_iso._certificates.lipschitz import keeps_lengths
    >>> from sklearn_iso.modules import MLP, OrthogonalMLP
    >>> from sklearn_iso.modules._intervals import graph_of
    >>> [keeps_lengths(graph_of(one, (4,))) for one in (OrthogonalMLP(4, 2), MLP(4, 2))]
    [True, False]
    """
    inner = graph.nodes[:-1]
    moving = (SortedPairs, Difference, Cast, Moved)
    linear = [node for node in inner if not isinstance(node, moving)]
    return any(isinstance(node, SortedPairs) for node in inner) and all(map(_is_even, linear))


def _is_even(node: Node) -> bool:
    """Return whether a linear operation makes all lengths that it keeps longer by one factor."""
    if isinstance(node, Diagonal):
        factor = torch.ones(1) if node.factor is None else node.factor.abs()
        return bool(factor.amax() - factor.amin() <= EVEN * factor.amax())
    if isinstance(node, Convolution):
        apart = tuple(node.weight.shape[2:]) == tuple(node.options["stride"])
        if not apart or node.options["groups"] > 1 or max(node.options["padding"]):
            return False
    elif not isinstance(node, Dense):
        return False
    weight = node.weight.detach().double().flatten(1)
    square = weight @ weight.mT if len(weight) < weight.shape[1] else weight.mT @ weight
    factor = square.diagonal().mean()
    identity = torch.eye(len(square), dtype=square.dtype)
    return bool((square - factor * identity).abs().amax() <= EVEN * factor)


def _least(margins: Tensor, steepness: Tensor, y: Tensor) -> Tensor:
    """Return how far the first margin is from 0, (n,); infinite where none ever is."""
    flat = steepness <= 0
    far = torch.where(flat, torch.where(margins > 0, torch.inf, 0), margins / steepness)
    return far.scatter(1, y[:, None], torch.inf).amin(dim=1)


def _around(values: Tensor, half: Tensor) -> Bounds:
    wide = half.reshape(-1, *[1] * (values.ndim - 1))
    return values - wide, values + wide


def _length(values: Tensor) -> Tensor:
    return torch.linalg.vector_norm(values.flatten(1), dim=1)


@dataclass(frozen=True, eq=False)
class Reach:
    """How far a budget of a norm, within a box, reaches in the Euclidean norm.

    Parameters
    ----------
    norm : Norm
    room : Tensor of shape (n, n_features)
        How far each feature may move, in units; 0 for one that stays.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso._certificates.lipschitz import Reach
    >>> from sklearn_iso._geometry.norms import NORMS
    >>> reach = Reach(NORMS["linf"], torch.tensor([[0.5, 3.0, 4.0]]))
    >>> reach.of(torch.tensor([1.0])), reach.inverse(torch.tensor([1.5]))
    (tensor([1.5000]), tensor([1.]))
    """

    norm: Norm
    room: Tensor

    @property
    def farthest(self) -> Tensor:
        """How far anything reaches, (n,)."""
        return _length(self.room)

    def of(self, eps: Tensor) -> Tensor:
        """Return the distance (n,) that budgets (n,) reach at most."""
        if self.norm.name == "linf":
            return _length(torch.minimum(self.room, eps[:, None])) * (1 + SLACK)
        return torch.minimum(eps, self.farthest) * (1 + SLACK)

    def inverse(self, distance: Tensor) -> Tensor:
        """Return budgets (n,) that reach no farther than distances (n,); inf for infinity."""
        if self.norm.name != "linf" or not len(self.room):
            return distance
        room = self.room.sort(dim=1).values
        n_features = room.shape[1]
        spent = torch.nn.functional.pad(room.square().cumsum(dim=1), (1, 0))[:, :-1]
        left = n_features - torch.arange(n_features, dtype=room.dtype)
        # The budget at which the k-th feature comes to its end reaches so far, squared.
        at_end = torch.where(room.isfinite(), spent + room.square() * left, torch.inf)
        k = (at_end < distance.square()[:, None]).sum(dim=1).clamp_max(n_features - 1)
        rest = distance.square() - spent.gather(1, k[:, None])[:, 0]
        return (rest.clamp_min(0) / left[k]).sqrt() * (1 - SLACK)
