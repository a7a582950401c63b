"""A network under test, which no penalty and no attack may change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from sklearn_iso.testing._broken import LawBrokenError


@contextmanager
def require_model_kept(module: nn.Module, who: str) -> Iterator[None]:
    """Raise a LawBrokenError if the block changes a module, or torch's grad mode."""
    before, enabled = _state(module), torch.is_grad_enabled()
    try:
        yield
        after = _state(module) | {"torch's grad mode": torch.is_grad_enabled()}
    finally:
        torch.set_grad_enabled(enabled)
    for part, state in (before | {"torch's grad mode": enabled}).items():
        if state != after[part]:
            raise LawBrokenError(
                f"{who} must leave the network as it was; {part} changed. Take gradients with "
                "torch.autograd.grad, and work on copies."
            )


def _state(module: nn.Module) -> dict[str, object]:
    # In this order: who steps an optimiser also leaves gradients behind.
    parameters = dict(module.named_parameters())
    return {
        "the gradient in its parameters": {k: _numbers(p.grad) for k, p in parameters.items()},
        "its weights": {name: _numbers(value) for name, value in module.state_dict().items()},
        "its training mode": [part.training for part in module.modules()],
        "requires_grad of its parameters": [p.requires_grad for p in parameters.values()],
    }


def _numbers(tensor: torch.Tensor | None) -> bytes | None:
    return None if tensor is None else tensor.detach().cpu().numpy().tobytes()
