"""A network as operations in the order in which they run, and bounds through them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from sklearn_iso.modules._nodes import DOUBLE, Bounds, Cast, Node, dot


class EndedError(TypeError):
    """Something follows a softmax."""


class Graph:
    r"""Operations in the order in which they run; number 0 is the input.

    Parameters
    ----------
    shape : sequence of int
        Of a sample.
    unit : float
        Rounding unit of the arithmetic of the network, until a cast changes it.

    Attributes
    ----------
    ends_in_order : bool
        Whether the network goes on, but only to values of the same order, as a softmax does.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from sklearn_iso.modules._intervals import graph_of
    >>> graph = graph_of(nn.Sequential(nn.Linear(1, 1), nn.ReLU()), (1,))
    >>> [type(node).__name__ for node in graph.nodes]
    ['Dense', 'Ramp']
    """

    def __init__(self, shape: Sequence[int], unit: float = DOUBLE) -> None:
        self.nodes: list[Node] = []
        self.shapes: list[tuple[int, ...]] = [tuple(shape)]
        self.unit = unit
        self.ends_in_order = False

    def add(self, node: Node) -> int:
        """Append an operation and return its number."""
        if self.ends_in_order:
            raise EndedError(
                "A softmax has bounds at the end of a network alone, where only the order of its "
                f"values counts; {type(node).__name__} follows. Let the network return logits."
            )
        node.unit = self.unit
        self.nodes.append(node)
        self.shapes.append(node.shape)
        return len(self.nodes)

    def cast(self, at: int, unit: float) -> int:
        """Append a rounding to numbers of another unit, unless they are of it already."""
        if unit == self.unit:
            return at
        coarser, self.unit = max(self.unit, unit), unit
        number = self.add(Cast([at], self.shapes[at]))
        self.nodes[-1].unit = coarser
        return number

    def node(self, number: int) -> Node:
        """Return the operation of a number from 1."""
        return self.nodes[number - 1]

    @property
    def last(self) -> int:
        """The number of the last operation, whose output is that of the network."""
        return len(self.nodes)

    @property
    def affine(self) -> bool:
        """Whether the network is an affine function of its input."""
        return all(node.affine for node in self.nodes)

    def intervals(self, low: Tensor, high: Tensor) -> list[Bounds]:
        """Return bounds of every operation for inputs (n, *shape) between bounds; differentiable.

        They are interval arithmetic, each operation on its own; rounding is left out.
        """
        found = [(low, high)]
        for node in self.nodes:
            found.append(node.interval(*(found[i] for i in node.inputs)))
        return found

    def backward(
        self,
        rows: Tensor,
        at: int,
        bounds: Sequence[Bounds],
        errors: Mapping[int, Tensor] | None = None,
        slopes: Mapping[int, Tensor] | None = None,
        *,
        added: Mapping[int, Tensor] | None = None,
        seen: dict[int, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        r"""Return rows of the input and constants that bound rows of an operation from below.

        .. math:: A z_{at} \ge A_0 x + c

        Parameters
        ----------
        rows : Tensor of shape (n or 1, k, *shape)
            The A.
        at : int
            Number of the operation.
        bounds : sequence of bounds
            Of the outputs of all operations before.
        errors : mapping of int to Tensor, optional
            By how much rounding may move the output of each operation.
        slopes : mapping of int to Tensor, optional
            Lower slopes of activations, where they are chosen.
        added : mapping of int to Tensor, optional
            Rows of the output of each operation that are added on the way: then what is bounded
            is the sum.
        seen : dict, optional
            Filled with the rows of the output of each operation.

        Returns
        -------
        rows : Tensor of shape (n or 1, k, *input shape)
        constants : Tensor of shape (n, k)
        """
        pending, constant = {at: rows}, torch.zeros_like(dot(rows[:, :, :0], rows[:, 0, :0]))
        for number in range(at, 0, -1):
            A = pending.pop(number, None)
            if added is not None and number in added:
                A = added[number] if A is None else A + added[number]
            if A is None:
                continue
            if seen is not None:
                seen[number] = A
            node = self.node(number)
            if errors is not None and number in errors:
                constant = constant - dot(A.abs(), errors[number])
            chosen = None if slopes is None else slopes.get(number)
            parts, offset = node.backward(A, *(bounds[i] for i in node.inputs), slopes=chosen)
            constant = constant + offset
            for i, part in zip(node.inputs, parts, strict=True):
                pending[i] = pending[i] + part if i in pending else part
        left = pending.get(0)
        return _nothing(rows, self.shapes[0]) if left is None else left, constant

    def lowest(
        self,
        rows: Tensor,
        bounds: Sequence[Bounds],
        errors: Mapping[int, Tensor] | None = None,
    ) -> Tensor:
        """Return lower bounds (n, k) of rows of the output by intervals; differentiable.

        Affine operations at the end are merged with the rows, whose bounds are those of intervals
        where the first other operation ends: differences of logits and not of their bounds.
        """
        pending, total = {self.last: rows}, rows.new_zeros(())
        for number in range(self.last, -1, -1):
            if (A := pending.pop(number, None)) is None:
                continue
            if (
                errors is not None
                and number in errors
                and (number == 0 or self.node(number).affine)
            ):
                total = total - dot(A.abs(), errors[number])
            if number == 0 or not self.node(number).affine:
                low, high = bounds[number]
                total = total + dot(A.clamp_min(0), low) + dot(A.clamp_max(0), high)
                continue
            node = self.node(number)
            parts, added = node.backward(A, *(bounds[i] for i in node.inputs))
            total = total + added
            for i, part in zip(node.inputs, parts, strict=True):
                pending[i] = pending[i] + part if i in pending else part
        return total


def _nothing(rows: Tensor, shape: Sequence[int]) -> Tensor:
    return rows.new_zeros(*rows.shape[:2], *shape)
