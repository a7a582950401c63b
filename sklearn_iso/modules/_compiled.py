"""Modules that torch.compile has changed: what hooks and penalties need of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


def is_compiled(module: nn.Module) -> bool:
    """Return whether a module, or a part of it, went through torch.compile."""
    return any(
        getattr(part, "_compiled_call_impl", None) is not None
        or hasattr(vars(part).get("forward"), "_torchdynamo_orig_callable")
        or type(part).__name__ == "OptimizedModule"  # whose class takes seconds to import
        for part in module.modules()
    )


@contextmanager
def uncompiled(module: nn.Module) -> Iterator[None]:
    """Run a module as it was written, so that hooks set afterwards are called."""
    if not is_compiled(module):
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield


@contextmanager
def reusable_graphs(module: nn.Module) -> Iterator[None]:
    """Let gradients be taken twice through one forward pass, as worst-case pairs do."""
    if not is_compiled(module):
        yield
        return
    from torch._functorch import config

    with config.patch(donated_buffer=False):
        yield
