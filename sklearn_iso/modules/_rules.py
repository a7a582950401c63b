"""Which modules have bounds: what operations each of them consists of."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from sklearn_iso.modules._graph import Graph
from sklearn_iso.modules._nodes import DOUBLE, Moved
from sklearn_iso.modules._representations import _first

Rule = Callable[..., int]
AnyRule = TypeVar("AnyRule", bound=Rule)

_RULES: dict[type[nn.Module], Rule] = {}
#: What is asked where there is no rule.
_OTHERWISE: list[Rule] = []


class NoBoundsError(TypeError):
    """A module, or one inside of it, is none whose output can be bounded.

    Parameters
    ----------
    module : nn.Module
        The innermost module without bounds.
    path : tuple of str
        Names of the submodules that lead to it.
    reason : str or None

    Examples
    --------
    >>> from torch import nn
    >>> from sklearn_iso.modules._intervals import NoBoundsError
    >>> print(NoBoundsError(nn.LSTM(2, 2), ("encoder",)))  # doctest: +ELLIPSIS
    The output of 'encoder' (LSTM) has no known bounds. ...
    """

    def __init__(
        self, module: object, path: tuple[str, ...] = (), reason: str | None = None
    ) -> None:
        super().__init__(module, path, reason)
        self.module, self.path, self.reason = module, path, reason

    def within(self, name: str) -> NoBoundsError:
        """Return the same error, told from outside of a named submodule."""
        return NoBoundsError(self.module, (name, *self.path), self.reason)

    @property
    def fact(self) -> str:
        """What has no bounds, and why."""
        kind = type(self.module).__name__
        where = f"{'.'.join(self.path)!r} ({kind})" if self.path else kind
        why = f": {self.reason}" if self.reason else ""
        return f"The output of {where} has no known bounds{why}."

    def __str__(self) -> str:
        """Say what has no bounds, what has, and what to do."""
        return (
            f"{self.fact} These have: "
            f"{', '.join(bounded())}, and modules whose forward calls them by name. Build the "
            "network of these in evaluation mode, or measure it by attack."
        )


def rule(*kinds: type[nn.Module]) -> Callable[[AnyRule], AnyRule]:
    """Register a function that appends what modules of some classes compute.

    It is called with the module, the graph and the number of the operation whose output the
    module gets, and returns the number of the operation whose output is the module's.
    """

    def decorator(function: AnyRule) -> AnyRule:
        for kind in kinds:
            _RULES[kind] = function
        return function

    return decorator


def otherwise(function: AnyRule) -> AnyRule:
    """Register the function that appends modules without a rule."""
    _OTHERWISE[:] = [function]
    return function


def bounded() -> list[str]:
    """Return the names of the modules with bounds.

    Examples
    --------
    >>> from sklearn_iso.modules._intervals import bounded
    >>> "Conv2d" in bounded()
    True
    """
    return sorted({kind.__name__ for kind in _RULES})


def rule_of(module: nn.Module) -> Rule | None:
    """Return the rule of a module's class: none of a subclass that computes something else.

    Examples
    --------
    >>> from torch import nn
    >>> from sklearn_iso.modules._intervals import rule_of
    >>> class Doubled(nn.ReLU):
    ...     def forward(self, X): return 2 * super().forward(X)
    >>> rule_of(nn.ReLU()) is None, rule_of(Doubled()) is None
    (False, True)
    """
    for kind in type(module).__mro__:
        if kind in _RULES:
            same = type(module).forward is kind.forward and not is_replaced(module)
            return _RULES[kind] if same else None
    return None


def is_replaced(module: nn.Module) -> bool:
    """Return whether an instance has a forward of its own, beside one that computes the same."""
    own = vars(module).get("forward")
    return own is not None and not getattr(own, "computes_the_same", False)


def append(module: nn.Module, graph: Graph, at: int) -> int:
    """Append what a module computes to a graph, and return the number of its output.

    Raises
    ------
    NoBoundsError
        If there is no rule for the module, or for one inside.
    """
    if type(module).__name__ == "OptimizedModule":  # of torch.compile
        module = module.get_submodule("_orig_mod")
    _check_hooks(module)
    found = rule_of(module)
    return (_OTHERWISE[0] if found is None else found)(module, graph, at)


def append_part(name: str, module: nn.Module, graph: Graph, at: int) -> int:
    """Append a module inside of another; errors tell its name."""
    try:
        return append(module, graph, at)
    except NoBoundsError as error:
        raise error.within(name) from None


def graph_of(module: nn.Module, shape: Sequence[int], unit: float = DOUBLE) -> Graph:
    """Return a module as operations, for samples of a shape.

    Parameters
    ----------
    module : nn.Module
        Its weights are those that it has when bounds are computed.
    shape : sequence of int
    unit : float
        Rounding unit of the numbers that it gets.

    Raises
    ------
    NoBoundsError
        If the module, or one inside, is none with bounds.
    """
    graph = Graph(shape, unit)
    append(module, graph, 0)
    return graph


def reshaped(graph: Graph, at: int, shape: Sequence[int]) -> int:
    """Append a change of shape; one size may be -1."""
    before = graph.shapes[at]
    if -1 in shape:
        known = math.prod(size for size in shape if size != -1)
        shape = [math.prod(before) // known if size == -1 else size for size in shape]
    if math.prod(shape) != math.prod(before):
        raise ValueError(f"Samples of shape {tuple(before)} cannot be of shape {tuple(shape)}.")
    if tuple(shape) == before:
        return at
    target = tuple(shape)

    def move(z: Tensor) -> Tensor:
        return z.reshape(len(z), *target)

    return graph.add(Moved(at, before, target, move))


def unit_of(module: nn.Module) -> float | None:
    """Return the rounding unit of a module's weights, None of one without weights."""
    parameter = next(module.parameters(), None)
    return None if parameter is None else unit_of_dtype(parameter.dtype)


def unit_of_dtype(dtype: torch.dtype) -> float:
    """Return the rounding unit of numbers of a type.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.modules._rules import unit_of_dtype
    >>> unit_of_dtype(torch.float32) == 2.0**-24
    True
    """
    return torch.finfo(dtype).eps / 2


def _check_hooks(module: nn.Module) -> None:
    """Raise for hooks, which may change what a module computes; ours takes the first output."""
    hooks = [*module._forward_pre_hooks.values(), *module._forward_hooks.values()]
    if any(hook is not _first for hook in hooks):
        raise NoBoundsError(module, reason="it has forward hooks; remove them")
