"""Twins of FunctionTransformer: torch functions by the NumPy function that they stand for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np
import torch
from scipy import special
from sklearn.preprocessing import FunctionTransformer
from torch import Tensor, nn

from sklearn_iso.twins._registry import NotDifferentiableError, register

TorchFunction = Callable[..., Tensor]
Function = TypeVar("Function", bound=TorchFunction)


def _safe_sqrt(X: Tensor) -> Tensor:
    # The slope is infinite at 0; a subgradient of 0 keeps attacks finite.
    positive = X != 0
    return torch.where(positive, torch.where(positive, X, 1).sqrt(), X.detach())


def _safe_cbrt(X: Tensor) -> Tensor:
    positive = X != 0
    roots = torch.where(positive, X.abs(), 1).pow(1 / 3)
    return torch.where(positive, X.sign() * roots, X.detach())


_FUNCTIONS: dict[Callable[..., object], TorchFunction] = {
    np.abs: torch.abs,
    np.arcsinh: torch.asinh,
    np.arctan: torch.atan,
    np.cbrt: _safe_cbrt,
    np.cos: torch.cos,
    np.exp: torch.exp,
    np.expm1: torch.expm1,
    np.fabs: torch.abs,
    np.log: torch.log,
    np.log10: torch.log10,
    np.log1p: torch.log1p,
    np.log2: torch.log2,
    np.negative: torch.neg,
    np.positive: torch.positive,
    np.reciprocal: torch.reciprocal,
    np.sin: torch.sin,
    np.sinh: torch.sinh,
    np.sqrt: _safe_sqrt,
    np.square: torch.square,
    np.tanh: torch.tanh,
    special.expit: torch.sigmoid,
    special.log1p: torch.log1p,
}


def torch_function(func: Callable[..., object]) -> Callable[[Function], Function]:
    """Tell which torch function stands for the function of a FunctionTransformer.

    NumPy's abs, arcsinh, arctan, cbrt, cos, exp, expm1, log, log10, log1p, log2, negative,
    reciprocal, sin, sinh, sqrt, square and tanh are known, and scipy.special.expit.

    Parameters
    ----------
    func : callable
        The function passed to ``FunctionTransformer``, itself and not a copy: pass options
        through ``kw_args`` and not through ``functools.partial``, which cloning copies.

    Returns
    -------
    callable
        Decorator for a function from a tensor X, and ``kw_args`` where there are any, to a
        tensor.

    Raises
    ------
    TypeError
        If func is not callable.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from sklearn.preprocessing import FunctionTransformer
    >>> from sklearn_iso.twins import as_torch, torch_function
    >>> def softsign(X, scale=1.0):
    ...     return X / (scale + np.abs(X))
    >>> @torch_function(softsign)
    ... def torch_softsign(X, scale=1.0):
    ...     return X / (scale + X.abs())
    >>> twin = as_torch(FunctionTransformer(softsign, kw_args={"scale": 3.0}))
    >>> twin(torch.tensor([[1.0]]))
    tensor([[0.2500]])
    """
    if not callable(func):
        raise TypeError(
            f"torch_function takes the function of a FunctionTransformer; got {func!r}. Write "
            "@torch_function(my_function) above its torch twin."
        )

    def decorator(function: Function) -> Function:
        _FUNCTIONS[func] = function
        return function

    return decorator


class Apply(nn.Module):
    """The torch function that stands for a NumPy function, looked up when called.

    It holds the NumPy function, which pickles by its name.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from sklearn_iso.twins._functions import Apply
    >>> Apply(np.square)(torch.tensor([3.0]))
    tensor([9.])
    """

    def __init__(
        self, function: Callable[..., object], kw_args: Mapping[str, object] | None = None
    ) -> None:
        super().__init__()
        self.function, self.kw_args = function, dict(kw_args or {})

    def forward(self, X: Tensor) -> Tensor:
        """Return the function of X."""
        return _FUNCTIONS[self.function](X, **self.kw_args)


@register(FunctionTransformer)
def _function_transformer(transformer: FunctionTransformer) -> nn.Module:
    if transformer.func is None:
        return nn.Identity()
    try:
        known = transformer.func in _FUNCTIONS
    except TypeError:  # a callable object without a hash
        known = False
    if not known:
        name = getattr(transformer.func, "__name__", repr(transformer.func))
        reason = (
            f"no torch function stands for {name}; declare one with "
            f"@sklearn_iso.twins.torch_function({name})"
        )
        raise NotDifferentiableError(transformer, reason=reason)
    return Apply(transformer.func, transformer.kw_args)
