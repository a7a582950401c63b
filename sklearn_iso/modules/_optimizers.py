"""torch's optimisers, without the compiler that torch imports to build one."""

from __future__ import annotations

import inspect
from typing import TypeVar, cast

import torch
from torch.optim import Optimizer

Kind = TypeVar("Kind", bound=Optimizer)

#: What torch keeps its compiler off: each imports all of the compiler on its first call.
_GUARDED = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")


def uncompiled(optimizer: type[Kind]) -> type[Kind]:
    """Return an optimiser of the same steps that never imports ``torch._dynamo``.

    torch wraps the methods of its optimisers so that its compiler does not trace them, and such a
    wrapper imports the compiler, and sympy with it: one second of a process that compiles nothing.
    Below the wrappers are the methods themselves.

    Parameters
    ----------
    optimizer : type
        One of torch's own.

    Returns
    -------
    optimizer : type
        A subclass of the same name.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.modules._optimizers import uncompiled
    >>> weight = torch.ones(1, requires_grad=True)
    >>> optimizer = uncompiled(torch.optim.SGD)([weight], lr=0.5)
    >>> weight.square().sum().backward()
    >>> optimizer.step()
    >>> weight.item()
    0.0
    """
    methods = {name: inspect.unwrap(getattr(optimizer, name)) for name in _GUARDED}
    step = torch.no_grad()(inspect.unwrap(optimizer.step))
    own = type(optimizer.__name__, (optimizer,), {**methods, "step": step})
    return cast(type[Kind], own)
