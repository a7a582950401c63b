"""From what a user passes as `module` to an instance of their own."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeGuard

import torch
from torch import nn

from sklearn_iso.modules._mlp import MLP
from sklearn_iso.modules._orthogonal import OrthogonalMLP
from sklearn_iso.modules._small_cnn import SmallCNN

#: Names under which a module's constructor is told its sizes.
_N_FEATURES = ("n_features", "n_features_in", "in_features", "n_inputs", "input_dim")
_N_OUTPUTS = ("n_outputs", "n_classes", "out_features", "output_dim")

#: Networks of sizes of their own that a name stands for.
_NETWORKS = {"small_cnn": SmallCNN}
#: Names of networks, of which the first is built to the `hidden_layer_sizes` of an estimator.
NAMES = ("orthogonal", *_NETWORKS)
#: Networks that torch spreads over processes or devices.
_SPREAD = {"DataParallel", "DistributedDataParallel", "FSDPModule", "FullyShardedDataParallel"}

#: What a user passes: a module, its class, or a function that returns one.
ModuleLike = nn.Module | Callable[..., nn.Module]


def has_own_sizes(module: object) -> TypeGuard[str | ModuleLike]:
    """Return whether a `module` is more than a perceptron built to the widths of an estimator.

    Examples
    --------
    >>> from sklearn_iso.modules import MLP
    >>> from sklearn_iso.modules._build import has_own_sizes
    >>> [has_own_sizes(module) for module in (None, "orthogonal", "small_cnn", MLP)]
    [False, False, True, True]
    """
    return not isinstance(module, str | None) or module in _NETWORKS


def build_module(
    module: str | ModuleLike,
    n_features: int,
    n_outputs: int,
    name: str = "module",
) -> nn.Module:
    """Return a module to train: a copy of an instance, or a class built to size.

    Parameters
    ----------
    module : str, nn.Module or callable returning one
        Or the name of a network of sizes of its own. A class or function is called with the
        sizes it has parameters for, under the names n_features (n_features_in, in_features,
        n_inputs, input_dim) and n_outputs (n_classes, out_features, output_dim).
    n_features, n_outputs : int
        Width of the input and of the logits.
    name : str, default="module"
        The parameter that it came as.

    Returns
    -------
    module : nn.Module

    Raises
    ------
    TypeError
        If the result is not a module, or one that torch spreads over processes itself.

    Examples
    --------
    >>> from torch import nn
    >>> from sklearn_iso.modules._build import build_module
    >>> build_module(nn.Linear, 4, 3)
    Linear(in_features=4, out_features=3, bias=True)
    """
    if isinstance(module, str):
        return _NETWORKS[module](n_features, n_outputs)
    if isinstance(module, nn.Module):
        check_unspread(module, name)
        return copy.deepcopy(module)
    built = module(**_sizes(module, n_features, n_outputs))
    if not isinstance(built, nn.Module):
        raise TypeError(
            f"{name} must be an nn.Module, its class or a function that returns one; "
            f"{module!r} returned {type(built).__name__}."
        )
    check_unspread(built, name)
    return built


def check_unspread(module: nn.Module, name: str) -> None:
    """Raise a TypeError if torch spreads a module over processes or devices itself."""
    for part in module.modules():
        if spread := _SPREAD & {kind.__name__ for kind in type(part).__mro__}:
            raise TypeError(
                f"{name} must be a plain network: a fit in a process group shares every batch "
                f"itself, and needs the representations of all of it; got a {spread.pop()}. Pass "
                "the network inside of it, its .module."
            )


def _sizes(module: Callable[..., nn.Module], n_features: int, n_outputs: int) -> dict[str, int]:
    names = inspect.signature(module).parameters
    sizes = {name: n_features for name in _N_FEATURES if name in names}
    return sizes | {name: n_outputs for name in _N_OUTPUTS if name in names}


def perceptron(
    name: object,
    n_features: int,
    n_outputs: int,
    *,
    hidden_layer_sizes: Sequence[int],
    activation: str,
    generator: torch.Generator,
    dtype: torch.dtype,
) -> MLP:
    """Return an untrained perceptron of a name; of any other object, the usual one.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.modules._build import perceptron
    >>> sizes = {"hidden_layer_sizes": (8,), "dtype": torch.float32}
    >>> generator = torch.Generator().manual_seed(0)
    >>> type(
    ...     perceptron("orthogonal", 4, 2, activation="relu", generator=generator, **sizes)
    ... ).__name__
    'OrthogonalMLP'
    """
    kind = OrthogonalMLP if isinstance(name, str) else partial(MLP, activation=activation)
    return kind(
        n_features,
        n_outputs,
        hidden_layer_sizes=hidden_layer_sizes,
        generator=generator,
        dtype=dtype,
    )
