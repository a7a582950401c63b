"""Operations that networks consist of, each with bounds of its output: those that are linear."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

#: Lower and upper bounds of values, each of shape (n, *shape).
Bounds = tuple[Tensor, Tensor]
#: Rounding unit of float64, in which bounds are proven.
DOUBLE = 2.0**-53
#: Below this, products lose digits whatever their size.
TINY = 1e-36


def dot(A: Tensor, values: Tensor) -> Tensor:
    """Return the products of rows (n or 1, k, *shape) with values (n or 1, *shape): (n, k).

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.modules._nodes import dot
    >>> dot(torch.ones(1, 2, 3), torch.ones(4, 3)).shape
    torch.Size([4, 2])
    """
    return torch.matmul(A.flatten(2), values.flatten(1).unsqueeze(2)).squeeze(2)


def largest(bounds: Bounds) -> Tensor:
    """Return the largest absolute value within bounds."""
    return torch.maximum(bounds[0].abs(), bounds[1].abs())


class Node(ABC):
    r"""An operation on the outputs of others.

    Rows of coefficients A, of shape (n, k, \*shape) or (1, k, \*shape), stand for k linear
    functions of its output for each sample. All methods are differentiable.

    Attributes
    ----------
    inputs : tuple of int
        Numbers of the nodes that it reads.
    shape : tuple of int
        Of its output, without the samples.
    affine : bool
        Whether the output is an affine function of the inputs.
    unit : float
        Rounding unit of the arithmetic in which the network computes it.
    """

    affine = False
    unit = DOUBLE

    def __init__(self, inputs: Sequence[int], shape: Sequence[int]) -> None:
        self.inputs, self.shape = tuple(inputs), tuple(shape)

    @abstractmethod
    def interval(self, *bounds: Bounds) -> Bounds:
        """Return bounds of the output for inputs within bounds."""

    @abstractmethod
    def backward(
        self, A: Tensor, *bounds: Bounds, slopes: Tensor | None = None
    ) -> tuple[list[Tensor], Tensor | float]:
        """Return rows of the inputs and a constant (n, k) whose sum is no more than A does.

        Parameters
        ----------
        A : Tensor of shape (n or 1, k, *shape)
        *bounds : bounds
            Of the inputs.
        slopes : Tensor that broadcasts against A, optional
            From 0 to 1: which of the possible lower bounds an activation has.
        """

    def rounding(self, *bounds: Bounds) -> Tensor | float:
        """Return by how much the network's own output, or a bound, may be off by rounding."""
        return 0.0

    def share(self, n_terms: int) -> float:
        """Return the relative error of sums of so many terms, here and in what bounds are sums of.

        That of the network's own arithmetic, and that of the bounds, in float64, which are sums
        over all outputs as well.
        """
        own = (n_terms + 1) * self.unit
        own = own / (1 - own) if own < 1 else math.inf
        return own + 4 * DOUBLE * (n_terms + math.prod(self.shape) + 8)


class Affine(Node):
    """A linear operation plus a bias.

    Parameters
    ----------
    inputs, shape : sequence of int
        Numbers of the nodes that it reads, and the shape of its output without the samples.
    fan_in : int
        Numbers that each output is a sum of.
    """

    affine = True

    def __init__(self, inputs: Sequence[int], shape: Sequence[int], fan_in: int = 1) -> None:
        super().__init__(inputs, shape)
        self.fan_in = fan_in

    @abstractmethod
    def linear(self, z: Tensor, absolute: bool = False) -> Tensor:
        """Return the linear part for values (m, *shape), by absolute weights if asked to."""

    @abstractmethod
    def transposed(self, A: Tensor) -> Tensor:
        """Return rows of the input, (m, *input shape), for rows (m, *shape) of the output."""

    def bias(self, like: Tensor) -> Tensor | None:
        """Return what is added, of the output's shape or one that broadcasts to it."""
        return None

    def interval(self, *bounds: Bounds) -> Bounds:
        """Return exact bounds: those of the centre, and the half widths by absolute weights."""
        low, high = bounds[0]
        centre, half = self.linear((low + high) / 2), self.linear((high - low) / 2, absolute=True)
        bias = self.bias(low)
        centre = centre if bias is None else centre + bias
        return centre - half, centre + half

    def backward(
        self, A: Tensor, *bounds: Bounds, slopes: Tensor | None = None
    ) -> tuple[list[Tensor], Tensor | float]:
        """Return the rows times the matrix, and what they make of the bias."""
        bias = self.bias(A)
        constant = 0.0 if bias is None else dot(A, bias.expand(self.shape)[None])
        rows = self.transposed(A.flatten(0, 1))
        return [rows.unflatten(0, A.shape[:2])], constant

    def rounding(self, *bounds: Bounds) -> Tensor | float:
        """Return the bound of the error of a sum, whatever its order."""
        total = self.linear(largest(bounds[0]), absolute=True)
        bias = self.bias(total)
        total = total if bias is None else total + bias.abs()
        return self.share(self.fan_in) * total + self.fan_in * TINY


class Dense(Affine):
    """``z @ weight.T + bias``.

    Parameters
    ----------
    at : int
    weight : Tensor of shape (n_outputs, n_inputs)
    bias : Tensor of shape (n_outputs,) or None
    """

    def __init__(self, at: int, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__([at], weight.shape[:1], weight.shape[1])
        self.weight, self.offset = weight, bias

    def linear(self, z: Tensor, absolute: bool = False) -> Tensor:
        """Return the products with the weights."""
        weight = self.weight.to(z)
        return z @ (weight.abs() if absolute else weight).T

    def transposed(self, A: Tensor) -> Tensor:
        """Return the products with the transposed weights."""
        return A @ self.weight.to(A)

    def bias(self, like: Tensor) -> Tensor | None:
        """Return the bias."""
        return None if self.offset is None else self.offset.to(like)


class Diagonal(Affine):
    """``z * factor + shift``, entry by entry.

    Parameters
    ----------
    at : int
    shape : sequence of int
    factor, shift : Tensor that broadcasts against the shape, or None
    """

    def __init__(
        self, at: int, shape: Sequence[int], factor: Tensor | None, shift: Tensor | None
    ) -> None:
        super().__init__([at], shape, 3)
        self.factor, self.shift = factor, shift

    def linear(self, z: Tensor, absolute: bool = False) -> Tensor:
        """Return the products with the factors."""
        if self.factor is None:
            return z
        factor = self.factor.to(z)
        return z * (factor.abs() if absolute else factor)

    def transposed(self, A: Tensor) -> Tensor:
        """Return the products with the factors."""
        return self.linear(A)

    def bias(self, like: Tensor) -> Tensor | None:
        """Return the shifts."""
        return None if self.shift is None else self.shift.to(like)


class Cast(Affine):
    """Values rounded to another type of numbers; the rounding is no part of the linear map."""

    def linear(self, z: Tensor, absolute: bool = False) -> Tensor:
        """Return the values."""
        return z

    def transposed(self, A: Tensor) -> Tensor:
        """Return the rows."""
        return A


class Moved(Affine):
    """Entries put elsewhere: reshaped, chosen or repeated, none of them rounded.

    Parameters
    ----------
    at : int
    input_shape, shape : sequence of int
    move : callable
        Moves the entries of (m, *input_shape) to (m, *shape); linear.
    """

    def __init__(
        self,
        at: int,
        input_shape: Sequence[int],
        shape: Sequence[int],
        move: Callable[[Tensor], Tensor],
    ) -> None:
        super().__init__([at], shape)
        self.input_shape, self.move = tuple(input_shape), move

    def interval(self, *bounds: Bounds) -> Bounds:
        """Return the bounds moved: no entry falls where another one rises."""
        low, high = bounds[0]
        return self.move(low), self.move(high)

    def linear(self, z: Tensor, absolute: bool = False) -> Tensor:
        """Return the entries where they belong."""
        return self.move(z)

    def transposed(self, A: Tensor) -> Tensor:
        """Return the derivative of the linear map, applied to rows."""
        return pulled_back(self.move, A, self.input_shape)

    def rounding(self, *bounds: Bounds) -> Tensor | float:
        """Return 0."""
        return 0.0


class Pooled(Moved):
    """Averages: a linear map with weights of one sign, given as a function.

    Parameters
    ----------
    at : int
    input_shape, shape : sequence of int
    move : callable
    fan_in : int
    """

    def __init__(
        self,
        at: int,
        input_shape: Sequence[int],
        shape: Sequence[int],
        move: Callable[[Tensor], Tensor],
        fan_in: int,
    ) -> None:
        super().__init__(at, input_shape, shape, move)
        self.fan_in = fan_in

    def rounding(self, *bounds: Bounds) -> Tensor | float:
        """Return the bound of the error of a sum."""
        return Affine.rounding(self, *bounds)


def pulled_back(move: Callable[[Tensor], Tensor], A: Tensor, shape: Sequence[int]) -> Tensor:
    """Return the transpose of a linear map, applied to rows.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.modules._nodes import pulled_back
    >>> pulled_back(lambda z: z[:, [1]], torch.tensor([[5.0]]), (2,))
    tensor([[0., 5.]])
    """
    with torch.enable_grad():
        z = A.new_zeros(len(A), *shape, requires_grad=True)
        (rows,) = torch.autograd.grad(move(z), z, A, create_graph=A.requires_grad)
    return rows


class Convolution(Affine):
    """A convolution of images.

    Parameters
    ----------
    at : int
    input_shape, shape : (channels, height, width)
    weight, bias : Tensor
    options : dict
        stride, padding, dilation and groups, as pairs of numbers but for the last.
    """

    def __init__(
        self,
        at: int,
        input_shape: Sequence[int],
        shape: Sequence[int],
        weight: Tensor,
        bias: Tensor | None,
        **options: Sequence[int] | int,
    ) -> None:
        super().__init__([at], shape, weight[0].numel())
        self.input_shape, self.weight, self.offset = tuple(input_shape), weight, bias
        self.options: dict = options

    def linear(self, z: Tensor, absolute: bool = False) -> Tensor:
        """Return the convolution without its bias."""
        weight = self.weight.to(z)
        weight = weight.abs() if absolute else weight
        return torch.nn.functional.conv2d(z, weight, **self.options)

    def transposed(self, A: Tensor) -> Tensor:
        """Return the transposed convolution."""
        sizes = (self.input_shape[1:], self.shape[1:], self.weight.shape[2:])
        steps = (self.options[name] for name in ("stride", "padding", "dilation"))
        left = [
            size - ((out - 1) * stride - 2 * pad + gap * (kernel - 1) + 1)
            for size, out, kernel, stride, pad, gap in zip(*sizes, *steps, strict=True)
        ]
        return torch.nn.functional.conv_transpose2d(
            A, self.weight.to(A), output_padding=left, **self.options
        )

    def bias(self, like: Tensor) -> Tensor | None:
        """Return the bias of each channel."""
        return None if self.offset is None else self.offset.to(like)[:, None, None]


class Sum(Node):
    """The sum of several nodes of one shape."""

    affine = True

    def interval(self, *bounds: Bounds) -> Bounds:
        """Return the sums of the bounds."""
        return sum_of([low for low, _ in bounds]), sum_of([high for _, high in bounds])

    def backward(
        self, A: Tensor, *bounds: Bounds, slopes: Tensor | None = None
    ) -> tuple[list[Tensor], Tensor | float]:
        """Return the rows once for each of the nodes."""
        return [A] * len(self.inputs), 0.0

    def rounding(self, *bounds: Bounds) -> Tensor | float:
        """Return the bound of the error of a sum."""
        return self.share(len(self.inputs)) * sum_of([largest(bound) for bound in bounds])


class Joined(Node):
    """The outputs of several nodes side by side, along the first axis of a sample."""

    affine = True

    def __init__(self, inputs: Sequence[int], shapes: Sequence[Sequence[int]]) -> None:
        self.sizes = [shape[0] for shape in shapes]
        super().__init__(inputs, (sum(self.sizes), *shapes[0][1:]))

    def interval(self, *bounds: Bounds) -> Bounds:
        """Return the bounds side by side."""
        lows, highs = zip(*bounds, strict=True)
        return torch.cat(lows, dim=1), torch.cat(highs, dim=1)

    def backward(
        self, A: Tensor, *bounds: Bounds, slopes: Tensor | None = None
    ) -> tuple[list[Tensor], Tensor | float]:
        """Return the rows of each of the nodes."""
        return list(A.split(self.sizes, dim=2)), 0.0


def sum_of(tensors: Sequence[Tensor]) -> Tensor:
    """Return the sum of tensors."""
    total = tensors[0]
    for tensor in tensors[1:]:
        total = total + tensor
    return total
