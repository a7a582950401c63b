"""Lipschitz constants of networks in the Euclidean norm, one operation after the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import cast

import torch
from torch import Tensor, nn

from sklearn_iso.modules._graph import Graph
from sklearn_iso.modules._intervals import graph_of
from sklearn_iso.modules._largest import Largest
from sklearn_iso.modules._lines import Convex, Ramp, SCurve
from sklearn_iso.modules._nodes import (
    Affine,
    Cast,
    Dense,
    Diagonal,
    Joined,
    Moved,
    Node,
    Pooled,
    Sum,
    sum_of,
)
from sklearn_iso.modules._orthogonal import OrthogonalConvNet, OrthogonalMLP
from sklearn_iso.modules._rules import NoBoundsError
from sklearn_iso.modules._sorted import SortedPairs

#: Largest smaller side of a matrix whose norm is computed and not iterated.
SMALL = 64
#: Steps of the power iteration that finds a spectral norm.
N_STEPS = 12
#: No activation with a valley is steeper than this.
STEEPEST = 1.2


def margin_constants(module: nn.Module, shape: Sequence[int]) -> Tensor:
    r"""Return Lipschitz constants (n_outputs, n_outputs) of the differences of two outputs.

    .. math:: |(f_y - f_j)(x') - (f_y - f_j)(x)| \le K_{yj} \|x' - x\|_2

    They are differentiable, made for training: spectral norms of large layers are those of a power
    iteration, which may be a little too small. Certificates have their own.

    Parameters
    ----------
    module : nn.Module
    shape : sequence of int
        Of a sample.

    Raises
    ------
    NoBoundsError
        If an operation has no known constant.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from sklearn_iso.modules._lipschitz import margin_constants
    >>> layer = nn.Linear(2, 2)
    >>> with torch.no_grad():
    ...     _ = layer.weight.copy_(torch.tensor([[3.0, 0.0], [0.0, 4.0]]))
    >>> margin_constants(layer, (2,)).detach()
    tensor([[0., 5.],
            [5., 0.]])
    """
    if type(module) is OrthogonalMLP and module.kind_of_output == "unit_rows":
        return module.factor.abs() * _between_rows(module.output.weight)
    if type(module) is OrthogonalConvNet:
        return _between_rows(cast(nn.Linear, module.head[-1]).weight)
    graph = graph_of(module, shape)
    n_outputs = graph.shapes[graph.last][0]
    weight = next(module.parameters())
    constants = lipschitz_constants(graph, spectral_norm, like=weight)
    identity = torch.eye(n_outputs, dtype=weight.dtype, device=weight.device)
    rows = (identity[:, None] - identity).flatten(0, 1)[None]
    total = through_last(graph, rows, constants)
    return total.reshape(n_outputs, n_outputs)


def _between_rows(weight: Tensor) -> Tensor:
    """Return the distances between rows, whose gradient is 0 at a distance of 0."""
    squares = (weight[:, None] - weight).square().sum(dim=2)
    away = squares > 0
    return torch.where(away, torch.where(away, squares, 1).sqrt(), 0)


@dataclass(frozen=True, eq=False)
class Constant:
    r"""How far an operation moves at most: its output is diag(scale) g, and g moves by `value`.

    .. math:: \|g(x') - g(x)\|_2 \le value \cdot \|x' - x\|_2

    Parameters
    ----------
    value : Tensor, a scalar
    scale : Tensor that broadcasts to the output's shape, or None for 1
        Not negative.
    """

    value: Tensor
    scale: Tensor | None = None

    @property
    def whole(self) -> Tensor:
        """A Lipschitz constant of the output."""
        return self.value if self.scale is None else self.value * self.scale.amax()

    def of_rows(self, rows: Tensor) -> Tensor:
        """Return Lipschitz constants (n or 1, k) of linear functions of the output."""
        scaled = rows if self.scale is None else rows * self.scale.to(rows)
        squares = scaled.flatten(2).square().sum(dim=2)
        away = squares > 0  # where the root has a gradient
        return torch.where(away, torch.where(away, squares, 1).sqrt(), 0) * self.value.to(rows)


#: The spectral norm of a linear operation whose input is scaled entry by entry.
NormOf = Callable[[Affine, Tensor | None, tuple[int, ...]], Tensor]


def lipschitz_constants(
    graph: Graph, norm_of: NormOf, scale: Tensor | None = None, like: Tensor | None = None
) -> list[Constant]:
    """Return the constant of every operation, that of the input first.

    Parameters
    ----------
    graph : Graph
    norm_of : callable
        Returns an upper bound of the spectral norm of a linear operation.
    scale : Tensor of the shape of a sample, optional
        How far each entry of the input moves for one unit of what is measured.
    like : Tensor, optional
        Of which type and where the constants are.
    """
    one = torch.ones((), dtype=torch.float64) if like is None else like.new_ones(())
    found = [Constant(one, scale)]
    for node in graph.nodes:
        shape = graph.shapes[node.inputs[0]]
        found.append(constant_of(node, [found[i] for i in node.inputs], norm_of, shape))
    return found


def through_last(graph: Graph, rows: Tensor, constants: Sequence[Constant]) -> Tensor:
    """Return Lipschitz constants (n or 1, k) of linear functions of the output of a network.

    Affine operations at the end are merged with the rows (n or 1, k, *shape).
    """
    total = rows.new_zeros(rows.shape[:2])
    for number, A in cut(graph, rows)[0].items():
        total = total + constants[number].of_rows(A)
    return total


def cut(graph: Graph, rows: Tensor) -> tuple[dict[int, Tensor], dict[int, Tensor]]:
    """Return rows of the operations before the affine ones at the end, and rows of those.

    Together, rows of the output are the sum of the first applied to the operations of their
    numbers, and constants.
    """
    pending, ends, merged = {graph.last: rows}, {}, {}
    for number in range(graph.last, -1, -1):
        if (A := pending.pop(number, None)) is None:
            continue
        if number == 0 or not graph.node(number).affine:
            ends[number] = A
            continue
        merged[number] = A
        node = graph.node(number)
        for i, part in zip(node.inputs, node.backward(A)[0], strict=True):
            pending[i] = pending[i] + part if i in pending else part
    return ends, merged


@singledispatch
def constant_of(
    node: Node, inputs: list[Constant], norm_of: NormOf, shape: tuple[int, ...]
) -> Constant:
    """Return the constant of an operation, from those of its inputs."""
    raise NoBoundsError(node, reason="its Lipschitz constant is not known")


@constant_of.register
def _(node: Affine, inputs: list[Constant], norm_of: NormOf, shape: tuple[int, ...]) -> Constant:
    (before,) = inputs
    return Constant(norm_of(node, before.scale, shape) * before.value)


@constant_of.register
def _(node: Cast, inputs: list[Constant], norm_of: NormOf, shape: tuple[int, ...]) -> Constant:
    return inputs[0]


@constant_of.register
def _(node: Diagonal, inputs: list[Constant], norm_of: NormOf, shape: tuple[int, ...]) -> Constant:
    (before,) = inputs
    if node.factor is None:
        return before
    factor = node.factor.to(before.value).abs()
    scale = factor if before.scale is None else before.scale * factor
    return Constant(before.value, scale.expand(shape))


@constant_of.register
def _(node: Pooled, inputs: list[Constant], norm_of: NormOf, shape: tuple[int, ...]) -> Constant:
    (before,) = inputs
    return Constant(norm_of(node, before.scale, shape) * before.value)


@constant_of.register
def _(node: Moved, inputs: list[Constant], norm_of: NormOf, shape: tuple[int, ...]) -> Constant:
    (before,) = inputs
    ones = torch.ones(1, *node.shape, dtype=torch.float64, device=before.value.device)
    most = node.transposed(ones).amax().to(before.value)  # how often a value is taken
    scale = None if before.scale is None else node.move(before.scale.expand(shape)[None])[0]
    return Constant(before.value * most.sqrt(), scale)


@constant_of.register
def _(node: Ramp, inputs: list[Constant], norm_of: NormOf, shape: tuple[int, ...]) -> Constant:
    return Constant(inputs[0].whole)


@constant_of.register
def _(node: SCurve, inputs: list[Constant], norm_of: NormOf, shape: tuple[int, ...]) -> Constant:
    steepest = node.derivative(torch.zeros_like(inputs[0].value))
    return Constant(inputs[0].whole * steepest)


@constant_of.register
def _(node: Convex, inputs: list[Constant], norm_of: NormOf, shape: tuple[int, ...]) -> Constant:
    # With a valley (SiLU, GELU) a function is a little steeper than 1 before it is straight.
    return Constant(inputs[0].whole * (1.0 if node.valley is None else STEEPEST))


@constant_of.register
def _(node: Largest, inputs: list[Constant], norm_of: NormOf, shape: tuple[int, ...]) -> Constant:
    places = node.places[node.places >= 0]
    return Constant(inputs[0].whole * math.sqrt(int(torch.bincount(places).max())))


@constant_of.register
def _(
    node: SortedPairs, inputs: list[Constant], norm_of: NormOf, shape: tuple[int, ...]
) -> Constant:
    return Constant(inputs[0].whole)


@constant_of.register
def _(node: Sum, inputs: list[Constant], norm_of: NormOf, shape: tuple[int, ...]) -> Constant:
    return Constant(sum_of([before.whole for before in inputs]))


@constant_of.register
def _(node: Joined, inputs: list[Constant], norm_of: NormOf, shape: tuple[int, ...]) -> Constant:
    return Constant(sum_of([before.whole.square() for before in inputs]).sqrt())


def spectral_norm(node: Affine, scale: Tensor | None, shape: tuple[int, ...]) -> Tensor:
    """Return the spectral norm of a linear operation; of large ones by power iteration, from below.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.modules._lipschitz import spectral_norm
    >>> from sklearn_iso.modules._nodes import Dense
    >>> spectral_norm(Dense(0, torch.diag(torch.tensor([2.0, 3.0])), None), None, (2,))
    tensor(3.)
    """
    if isinstance(node, Dense) and min(node.weight.shape) <= SMALL:
        weight = node.weight if scale is None else node.weight * scale.to(node.weight)
        return torch.linalg.matrix_norm(weight, 2)
    like = getattr(node, "weight", None if scale is None else scale)
    generator = torch.Generator().manual_seed(0)
    v = torch.randn(1, *shape, generator=generator, dtype=torch.float32)
    v = v if like is None else v.to(like)
    factor = torch.ones_like(v) if scale is None else scale.to(v)
    with torch.no_grad():
        for _ in range(N_STEPS):
            v = factor * node.transposed(node.linear(factor * v))
            v = v / v.norm().clamp_min(torch.finfo(v.dtype).tiny)
    return node.linear(factor * v).norm()
