"""Operations of torch's own layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from sklearn_iso.modules._graph import Graph
from sklearn_iso.modules._largest import Largest
from sklearn_iso.modules._lines import Convex, Ramp, SCurve
from sklearn_iso.modules._nodes import Convolution, Dense, Diagonal, Moved, Pooled
from sklearn_iso.modules._rules import NoBoundsError, append_part, reshaped, rule

#: Where silu and gelu are the least, how low they are, and until where they are convex.
_SILU_VALLEY, _SILU_CONVEX = (-1.2784645427610738, -0.27846454276107396), 2.3993
_GELU_VALLEY, _GELU_CONVEX = (-0.7517915246935645, -0.16997120747990369), math.sqrt(2) - 1e-9


@rule(nn.Sequential)
def _sequential(module: nn.Sequential, graph: Graph, at: int) -> int:
    for name, part in module.named_children():
        at = append_part(name, part, graph, at)
    return at


@rule(nn.Identity)
def _identity(module: nn.Identity, graph: Graph, at: int) -> int:
    return at


@rule(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout)
def _dropout(module: nn.Dropout, graph: Graph, at: int) -> int:
    if module.training and module.p > 0:
        raise NoBoundsError(module, reason="it drops values at random in training mode")
    return at


@rule(nn.Linear)
def _linear(module: nn.Linear, graph: Graph, at: int) -> int:
    if graph.shapes[at] != (module.in_features,):
        raise NoBoundsError(
            module,
            reason=f"samples must be of shape ({module.in_features},) here; got {graph.shapes[at]}",
        )
    return graph.add(Dense(at, module.weight, module.bias))


@rule(nn.Flatten)
def _flatten(module: nn.Flatten, graph: Graph, at: int) -> int:
    return flattened(graph, at, module.start_dim, module.end_dim, module)


def flattened(graph: Graph, at: int, start: int, end: int, owner: nn.Module) -> int:
    """Append a flattening of some axes, counted with that of the samples."""
    shape = (-1, *graph.shapes[at])
    start, end = start % len(shape), end % len(shape)
    if start == 0 and graph.shapes[at] == (1,):
        return at  # one number a sample, which stays
    if start == 0:
        raise NoBoundsError(owner, reason="it must leave the axis of samples alone")
    return reshaped(
        graph, at, [*shape[1:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]]
    )


@rule(nn.Unflatten)
def _unflatten(module: nn.Unflatten, graph: Graph, at: int) -> int:
    shape = (-1, *graph.shapes[at])
    if not isinstance(module.dim, int) or module.dim % len(shape) == 0:
        raise NoBoundsError(module, reason="dim must be a number, and not that of the samples")
    place, known = module.dim % len(shape), shape[module.dim]
    sizes = list(module.unflattened_size)
    if -1 in sizes:
        sizes[sizes.index(-1)] = known // -math.prod(sizes)
    return reshaped(graph, at, [*shape[1:place], *sizes, *shape[place + 1 :]])


@rule(nn.Conv2d)
def _convolution(module: nn.Conv2d, graph: Graph, at: int) -> int:
    shape = _image(graph, at, module)
    if module.padding_mode != "zeros" or module.padding == "same" and _uneven(module):
        raise NoBoundsError(module, reason="its padding must be of zeros, as much on either side")
    padding: Sequence[int]
    if isinstance(module.padding, str):
        same = module.padding == "same"
        padding = [
            gap * (width - 1) // 2 if same else 0
            for gap, width in zip(module.dilation, module.kernel_size, strict=True)
        ]
    else:
        padding = module.padding
    options = {"stride": module.stride, "padding": padding, "dilation": module.dilation}
    out = _windows(shape, module.kernel_size, module.stride, padding, module.dilation)
    target = (module.out_channels, *out)
    node = Convolution(
        at, shape, target, module.weight, module.bias, groups=module.groups, **options
    )
    return graph.add(node)


def _uneven(module: nn.Conv2d) -> bool:
    pairs = zip(module.dilation, module.kernel_size, strict=True)
    return any(gap * (width - 1) % 2 for gap, width in pairs)


def _windows(
    shape: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> list[int]:
    zipped = zip(shape[1:], kernel, stride, padding, dilation, strict=True)
    return [(n + 2 * pad - gap * (k - 1) - 1) // step + 1 for n, k, step, pad, gap in zipped]


def _image(graph: Graph, at: int, module: nn.Module) -> tuple[int, ...]:
    shape = graph.shapes[at]
    if len(shape) != 3:
        raise NoBoundsError(module, reason=f"samples must be images here; got shape {shape}")
    return shape


def _pair(value: int | Sequence[int]) -> tuple[int, ...]:
    return (value, value) if isinstance(value, int) else tuple(value)


@rule(nn.MaxPool2d)
def _max_pool(module: nn.MaxPool2d, graph: Graph, at: int) -> int:
    shape = _image(graph, at, module)
    if module.ceil_mode or module.return_indices:
        raise NoBoundsError(module, reason="ceil_mode and return_indices must be False")
    node = Largest.of_windows(
        at,
        shape,
        kernel=_pair(module.kernel_size),
        stride=_pair(module.stride),
        padding=_pair(module.padding),
        dilation=_pair(module.dilation),
    )
    return graph.add(node)


@rule(nn.AvgPool2d, nn.AdaptiveAvgPool2d)
def _average(module: nn.Module, graph: Graph, at: int) -> int:
    shape = _image(graph, at, module)
    forward: Callable[[Tensor], Tensor] = module.forward
    out = tuple(forward(torch.zeros(1, *shape)).shape[1:])
    return graph.add(Pooled(at, shape, out, forward, shape[1] * shape[2]))


@rule(nn.BatchNorm1d, nn.BatchNorm2d)
def _batch_norm(module: nn.BatchNorm1d, graph: Graph, at: int) -> int:
    mean, variance = module.running_mean, module.running_var
    if module.training or mean is None or variance is None:
        raise NoBoundsError(module, reason="it normalises by the batch at hand in training mode")
    shape = graph.shapes[at]
    wide = [-1, *[1] * (len(shape) - 1)]
    factor = (variance.double() + module.eps).rsqrt()
    if module.weight is not None:
        factor = factor * module.weight.double()
    bias = None if module.bias is None else module.bias.reshape(wide)
    # In two steps: shift and factor in one may be small where what is rounded is large.
    centred = graph.add(Diagonal(at, shape, None, -mean.double().reshape(wide)))
    return graph.add(Diagonal(centred, shape, factor.reshape(wide), bias))


@rule(nn.ReLU)
def _relu(module: nn.ReLU, graph: Graph, at: int) -> int:
    return graph.add(Ramp(at, graph.shapes[at]))


@rule(nn.LeakyReLU)
def _leaky(module: nn.LeakyReLU, graph: Graph, at: int) -> int:
    if not 0 <= module.negative_slope <= 1:
        raise NoBoundsError(module, reason="its negative_slope must be from 0 to 1")
    return graph.add(Ramp(at, graph.shapes[at], float(module.negative_slope)))


@rule(nn.Hardtanh, nn.ReLU6)
def _hard(module: nn.Hardtanh, graph: Graph, at: int) -> int:
    return clipped(graph, at, module.min_val, module.max_val)


def clipped(graph: Graph, at: int, low: float, high: float) -> int:
    """Append what is not below low, and then not above high."""
    shape = graph.shapes[at]

    def affine(at: int, factor: float, shift: float) -> int:
        return graph.add(Diagonal(at, shape, torch.tensor(factor), torch.tensor(shift)))

    up = graph.add(Ramp(affine(at, 1.0, -low), shape))  # max(z, low) - low
    down = graph.add(Ramp(affine(up, -1.0, high - low), shape))  # high - min(max(z, low), high)
    return affine(down, -1.0, high)


@rule(nn.Tanh)
def _tanh(module: nn.Tanh, graph: Graph, at: int) -> int:
    return graph.add(SCurve(at, graph.shapes[at], torch.tanh, _tanh_slope))


def _tanh_slope(z: Tensor) -> Tensor:
    return torch.cosh(z.clamp(-300, 300)).pow(-2)


@rule(nn.Sigmoid)
def _sigmoid(module: nn.Sigmoid, graph: Graph, at: int) -> int:
    return graph.add(SCurve(at, graph.shapes[at], torch.sigmoid, _sigmoid_slope))


def _sigmoid_slope(z: Tensor) -> Tensor:
    return torch.sigmoid(z) * torch.sigmoid(-z)


@rule(nn.ELU)
def _elu(module: nn.ELU, graph: Graph, at: int) -> int:
    alpha = float(module.alpha)
    if not 0 <= alpha <= 1:
        raise NoBoundsError(module, reason="its alpha must be from 0 to 1")

    def slope(z: Tensor) -> Tensor:
        return torch.where(z > 0, 1, alpha * z.clamp_max(0).exp())

    def function(z: Tensor) -> Tensor:
        return functional.elu(z, alpha)

    return graph.add(Convex(at, graph.shapes[at], function, slope))


@rule(nn.Softplus)
def _softplus(module: nn.Softplus, graph: Graph, at: int) -> int:
    beta = float(module.beta)
    # Beyond the threshold torch returns z, which is as good as equal from 20 on.
    if beta <= 0 or module.threshold < 20:
        raise NoBoundsError(module, reason="its beta must be positive, its threshold at least 20")

    def function(z: Tensor) -> Tensor:
        return torch.logaddexp(beta * z, torch.zeros_like(z)) / beta

    node = Convex(at, graph.shapes[at], function, lambda z: torch.sigmoid(beta * z))
    node.slack = math.exp(-module.threshold) / beta
    return graph.add(node)


@rule(nn.SiLU)
def _silu(module: nn.SiLU, graph: Graph, at: int) -> int:
    def slope(z: Tensor) -> Tensor:
        share = torch.sigmoid(z)
        return share * (1 + z * (1 - share))

    shape = graph.shapes[at]
    node = Convex(at, shape, functional.silu, slope, valley=_SILU_VALLEY, convex_until=_SILU_CONVEX)
    return graph.add(node)


@rule(nn.GELU)
def _gelu(module: nn.GELU, graph: Graph, at: int) -> int:
    if module.approximate != "none":
        raise NoBoundsError(module, reason="its approximate must be 'none'")

    def slope(z: Tensor) -> Tensor:
        normal = torch.exp(-z.square() / 2) / math.sqrt(2 * math.pi)
        return torch.special.ndtr(z) + z * normal

    shape = graph.shapes[at]
    node = Convex(at, shape, functional.gelu, slope, valley=_GELU_VALLEY, convex_until=_GELU_CONVEX)
    return graph.add(node)


@rule(nn.Softmax, nn.LogSoftmax)
def _softmax(module: nn.Softmax, graph: Graph, at: int) -> int:
    if len(graph.shapes[at]) != 1 or module.dim not in (1, -1, None):
        raise NoBoundsError(module, reason="it must be over the classes, with dim=1")
    return in_order(graph, at)


def in_order(graph: Graph, at: int) -> int:
    """Mark the end of a network, after which only the order of values counts."""
    graph.ends_in_order = True
    return at


def columns(graph: Graph, at: int, positions: Tensor) -> int:
    """Append a choice of columns."""

    def move(z: Tensor) -> Tensor:
        return z.index_select(1, positions.to(z.device))

    return graph.add(Moved(at, graph.shapes[at], (len(positions),), move))
