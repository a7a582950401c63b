"""The parts of a module, for questions that every prediction asks."""

from __future__ import annotations

import math
from contextlib import suppress

from torch import nn


def parts_of(module: nn.Module) -> list[nn.Module]:
    """Return a module and all parts of it, at a fifth of the cost of ``module.modules()``.

    A part that stands in two places comes twice.

    Examples
    --------
    >>> from torch import nn
    >>> from sklearn_iso.modules._parts import parts_of
    >>> [type(part).__name__ for part in parts_of(nn.Sequential(nn.ReLU()))]
    ['Sequential', 'ReLU']
    """
    parts = [module]
    for part in parts:  # which grows meanwhile
        if part._modules:
            parts.extend(child for child in part._modules.values() if child is not None)
    return parts


def first_weight(module: nn.Module) -> nn.Parameter:
    """Return the first parameter of a module, at a third of the cost of ``module.parameters()``.

    Raises
    ------
    StopIteration
        If it has none.

    Examples
    --------
    >>> from torch import nn
    >>> from sklearn_iso.modules._parts import first_weight
    >>> net = nn.Sequential(nn.ReLU(), nn.Linear(3, 2))
    >>> first_weight(net) is next(net.parameters())
    True
    """
    for weight in module._parameters.values():
        if weight is not None:
            return weight
    for part in module._modules.values():
        if part is not None:
            with suppress(StopIteration):
                return first_weight(part)
    raise StopIteration


def is_training(module: nn.Module) -> bool:
    """Return whether a module or a part of it is in training mode.

    Examples
    --------
    >>> from torch import nn
    >>> from sklearn_iso.modules._parts import is_training
    >>> is_training(nn.ReLU()), is_training(nn.ReLU().eval())
    (True, False)
    """
    return any(part.training for part in parts_of(module))


def largest_product(module: nn.Module, n_samples: int) -> float:
    """Return the multiplications of a module's largest product of matrices; infinite if unknown.

    It is known of perceptrons, where each sample meets each weight once.

    Examples
    --------
    >>> from sklearn_iso.modules import MLP, ConvNet
    >>> from sklearn_iso.modules._parts import largest_product
    >>> largest_product(MLP(64, 10, hidden_layer_sizes=(256,)), 100)
    1638400.0
    >>> largest_product(ConvNet(784, 10), 100)
    inf
    """
    widest = 0
    for part in parts_of(module):
        if isinstance(part, nn.Linear):
            widest = max(widest, part.in_features * part.out_features)
        elif part._parameters and any(w is not None for w in part._parameters.values()):
            return math.inf
    return float(n_samples * widest)
