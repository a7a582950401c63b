"""Operations of modules with a forward of their own, by running it on a symbol."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import cast

import torch
from torch import Tensor, fx, nn
from torch.fx.node import Argument
from torch.nn import functional

from sklearn_iso.modules._graph import Graph
from sklearn_iso.modules._nodes import Diagonal, Joined, Sum
from sklearn_iso.modules._rules import (
    NoBoundsError,
    append,
    append_part,
    is_replaced,
    otherwise,
    reshaped,
    rule_of,
    unit_of_dtype,
)
from sklearn_iso.modules._rules_of_torch import flattened

#: Functions and methods that are modules, with the parameters that follow the input.
_AS_MODULES: dict[str, tuple[type[nn.Module], tuple[str, ...]]] = {
    "relu": (nn.ReLU, ()),
    "relu_": (nn.ReLU, ()),
    "tanh": (nn.Tanh, ()),
    "sigmoid": (nn.Sigmoid, ()),
    "leaky_relu": (nn.LeakyReLU, ("negative_slope",)),
    "elu": (nn.ELU, ("alpha",)),
    "silu": (nn.SiLU, ()),
    "gelu": (nn.GELU, ()),
    "softplus": (nn.Softplus, ("beta", "threshold")),
    "avg_pool2d": (nn.AvgPool2d, ("kernel_size", "stride", "padding", "ceil_mode")),
    "adaptive_avg_pool2d": (nn.AdaptiveAvgPool2d, ("output_size",)),
    "softmax": (nn.Softmax, ("dim",)),
    "log_softmax": (nn.LogSoftmax, ("dim",)),
    "max_pool2d": (nn.MaxPool2d, ("kernel_size", "stride", "padding", "dilation", "ceil_mode")),
}
#: Where functions of these names are those that are meant.
_HOMES = (torch, functional, torch._C._nn)
#: The number of samples, in the arguments of a change of shape.
_SAMPLES = object()


class _Tracer(fx.Tracer):
    """Stops at modules that have a rule, and at torch's own."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return rule_of(m) is not None or super().is_leaf_module(m, module_qualified_name)


@otherwise
def append_traced(module: nn.Module, graph: Graph, at: int) -> int:
    """Append what the forward of a module calls, by the rules of what it calls."""
    if type(module).__module__.startswith("torch."):
        raise NoBoundsError(module)
    if is_replaced(module):
        raise NoBoundsError(module, reason="its forward was replaced by another")
    try:
        traced = _Tracer().trace(module)
    except NoBoundsError:
        raise
    except Exception as error:  # whatever a forward does to a symbol that is no tensor
        raise NoBoundsError(module, reason=f"its forward cannot be traced ({error})") from error
    return _Appended(module, graph, at).run(traced)


class _Appended:
    """The operations of one traced module; a value is the number of one, or a constant."""

    def __init__(self, module: nn.Module, graph: Graph, at: int) -> None:
        self.module, self.graph, self.at = module, graph, at
        self.values: dict[fx.Node, object] = {}

    def run(self, traced: fx.Graph) -> int:
        for node in traced.nodes:
            if node.op == "output":
                return self._output(node)
            self.values[node] = self._value(node)
        raise self._unknown("it returns nothing")

    def _output(self, node: fx.Node) -> int:
        output = node.args[0]
        first = output[0] if isinstance(output, tuple | list) else output
        found = self.values.get(first) if isinstance(first, fx.Node) else None
        if not isinstance(found, _Number):
            raise self._unknown("its output is no function of its input")
        return found.at

    def _value(self, node: fx.Node) -> object:
        if node.op == "placeholder":
            if self.values:
                raise self._unknown("it takes several inputs")
            return _Number(self.at)
        if node.op == "get_attr":
            return operator.attrgetter(str(node.target))(self.module)
        args = fx.node.map_arg(node.args, self._known)
        kwargs: dict[str, object] = dict(fx.node.map_arg(node.kwargs, self._known))
        if node.op == "call_module":
            part = self.module.get_submodule(str(node.target))
            return _Number(append_part(str(node.target), part, self.graph, self._at(args[0])))
        return self._called(node.target, args, kwargs)

    def _called(
        self,
        target: str | Callable[..., object],
        args: tuple[object, ...],
        kwargs: dict[str, object],
    ) -> object:
        name = target if isinstance(target, str) else target.__name__
        own = isinstance(target, str) or any(getattr(home, name, 0) is target for home in _HOMES)
        if own and name in _AS_MODULES:
            return self._as_module(name, args, kwargs)
        known = _OPERATIONS.get(name) if own or target in _OPERATORS else None
        if known is None:
            raise self._unknown(f"its forward calls {name}")
        return known(self, *args, **kwargs)

    def _as_module(self, name: str, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        kind, names = _AS_MODULES[name]
        options = {**dict(zip(names, args[1:], strict=False)), **kwargs}
        options = {key: value for key, value in options.items() if key != "inplace"}
        options = {key: value for key, value in options.items() if value is not None}
        z = options.pop("input") if "input" in options else args[0]
        return _Number(append(kind(**options), self.graph, self._at(z)))

    def _known(self, node: fx.Node) -> Argument:
        return cast(Argument, self.values[node])

    def _at(self, value: object) -> int:
        if not isinstance(value, _Number):
            raise self._unknown("it calls a function of constants")
        return int(value.at)

    def _unknown(self, reason: str) -> NoBoundsError:
        return NoBoundsError(self.module, reason=reason)

    def same(self, z: object, *args: object, **kwargs: object) -> object:
        return z

    def dropout(
        self, z: object, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> object:
        if training and p > 0:
            raise self._unknown("it drops values at random in training mode")
        return z

    def to_float(self, z: object) -> object:
        return _Number(self.graph.cast(self._at(z), unit_of_dtype(torch.float32)))

    def to_double(self, z: object) -> object:
        return _Number(self.graph.cast(self._at(z), unit_of_dtype(torch.float64)))

    def flatten(self, z: object, start_dim: int = 0, end_dim: int = -1) -> object:
        return _Number(flattened(self.graph, self._at(z), start_dim, end_dim, self.module))

    def squeeze(self, z: object, dim: int = -1) -> object:
        if self.graph.shapes[self._at(z)] != (1,) or dim not in (1, -1):
            raise self._unknown("it drops an axis that is not that of one number a sample")
        return z

    def reshape(self, z: object, *shape: object) -> object:
        given = list(shape[0]) if isinstance(shape[0], tuple | list | torch.Size) else list(shape)
        at, sizes = self._at(z), given[1:]
        fixed = all(isinstance(size, int) for size in sizes)
        if given[0] is not _SAMPLES and (given[0] != -1 or -1 in sizes) or not fixed:
            raise self._unknown(f"it reshapes to {given}; the first axis must be of the samples")
        return _Number(reshaped(self.graph, at, cast("list[int]", sizes)))

    def size(self, z: object, axis: int | None = None) -> object:
        sizes = (_SAMPLES, *self.graph.shapes[self._at(z)])
        return sizes if axis is None else sizes[axis]

    def attribute(self, z: object, name: str) -> object:
        if name != "shape":
            raise self._unknown(f"it reads {name}")
        return self.size(z)

    def item(self, values: object, index: int) -> object:
        if isinstance(values, _Number):
            raise self._unknown("it takes parts of a tensor")
        return cast("tuple[object, ...]", values)[index]

    def cat(self, tensors: Iterable[object], dim: int = 0) -> object:
        if dim != 1:
            raise self._unknown("it joins tensors along another axis than the first of a sample")
        parts = [self._at(z) for z in tensors]
        return _Number(self.graph.add(Joined(parts, [self.graph.shapes[i] for i in parts])))

    def add(self, a: object, b: object, *, alpha: float = 1) -> object:
        if alpha != 1:
            raise self._unknown("it adds a multiple")
        if isinstance(a, _Number) and isinstance(b, _Number):
            shapes = [self.graph.shapes[value.at] for value in (a, b)]
            if shapes[0] != shapes[1]:
                raise self._unknown(f"it adds samples of shapes {shapes[0]} and {shapes[1]}")
            return _Number(self.graph.add(Sum([a.at, b.at], shapes[0])))
        z, constant = (a, b) if isinstance(a, _Number) else (b, a)
        return self._scaled(z, None, constant)

    def sub(self, a: object, b: object) -> object:
        return self.add(a, self.neg(b))

    def mul(self, a: object, b: object) -> object:
        z, constant = (a, b) if isinstance(a, _Number) else (b, a)
        if isinstance(constant, _Number):
            raise self._unknown("it multiplies what depends on the input")
        return self._scaled(z, constant, None)

    def truediv(self, a: object, b: object) -> object:
        if isinstance(b, _Number):
            raise self._unknown("it divides by what depends on the input")
        return self.mul(a, 1 / torch.as_tensor(b, dtype=torch.float64))

    def neg(self, a: object) -> object:
        return self._scaled(a, -1.0, None) if isinstance(a, _Number) else -cast(float, a)

    def _scaled(self, z: object, factor: object, shift: object) -> object:
        at = self._at(z)
        shape = self.graph.shapes[at]
        factor, shift = (_constant(value, shape, self._unknown) for value in (factor, shift))
        return _Number(self.graph.add(Diagonal(at, shape, factor, shift)))


class _Number:
    """The number of an operation."""

    def __init__(self, at: int) -> None:
        self.at = at


def _constant(
    value: object, shape: tuple[int, ...], unknown: Callable[[str], NoBoundsError]
) -> Tensor | None:
    if value is None:
        return None
    constant = torch.as_tensor(value)
    if constant.ndim == len(shape) + 1 and len(constant) == 1:
        constant = constant[0]
    try:
        fits = torch.broadcast_shapes(constant.shape, shape) == torch.Size(shape)
    except RuntimeError:
        fits = False
    if not fits:
        raise unknown(f"it combines {tuple(constant.shape)} with samples of shape {shape}")
    return constant


_OPERATORS = {operator.add, operator.sub, operator.mul, operator.truediv, operator.neg}
_OPERATORS |= {operator.iadd, operator.isub, operator.imul, operator.getitem, getattr}
_OPERATIONS: dict[str, Callable[..., object]] = {
    **dict.fromkeys(["contiguous", "detach", "clone"], _Appended.same),
    **dict.fromkeys(["reshape", "view"], _Appended.reshape),
    **dict.fromkeys(["cat", "concat", "concatenate"], _Appended.cat),
    **dict.fromkeys(["add", "iadd", "add_"], _Appended.add),
    **dict.fromkeys(["sub", "isub"], _Appended.sub),
    **dict.fromkeys(["mul", "imul"], _Appended.mul),
    **dict.fromkeys(["truediv", "div"], _Appended.truediv),
    "neg": _Appended.neg,
    "float": _Appended.to_float,
    "double": _Appended.to_double,
    "dropout": _Appended.dropout,
    "flatten": _Appended.flatten,
    "squeeze": _Appended.squeeze,
    "size": _Appended.size,
    "getattr": _Appended.attribute,
    "getitem": _Appended.item,
}
