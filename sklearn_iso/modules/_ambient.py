"""torch's modes of the caller, which must not reach what is computed here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import torch


@contextmanager
def gradients_on() -> Iterator[None]:
    """Record gradients whatever ``torch.no_grad`` or ``inference_mode`` is around; or decorate.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.modules._ambient import gradients_on
    >>> @gradients_on()
    ... def slope(x):
    ...     x = torch.tensor(x, requires_grad=True)
    ...     return torch.autograd.grad(x**2, x)[0].item()
    >>> with torch.inference_mode():
    ...     slope(3.0)
    6.0
    """
    with torch.inference_mode(False), torch.enable_grad():
        yield


@contextmanager
def own_modes() -> Iterator[None]:
    """Compute as if nobody had changed torch's modes; also a decorator.

    Gradients are on; ``torch.autocast`` and a default device, as of
    ``torch.set_default_device``, are off.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.modules._ambient import own_modes
    >>> with torch.device("meta"), own_modes():
    ...     torch.ones(2)
    tensor([1., 1.])
    """
    with ExitStack() as modes:
        modes.enter_context(gradients_on())
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                modes.enter_context(torch.autocast(kind, enabled=False))
        # A new tensor tells of a device of a context too, which older releases do not look up.
        if torch.empty(0).device.type != "cpu":  # where it is, a mode would cost time
            modes.enter_context(torch.device("cpu"))
        yield


def own_modes_without_gradients() -> AbstractContextManager[None]:
    """Compute as within :func:`own_modes` and ``torch.no_grad``, at less cost where nothing is on.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.modules._ambient import own_modes_without_gradients
    >>> with torch.device("meta"), own_modes_without_gradients():
    ...     torch.ones(2)
    tensor([1., 1.])
    """
    return _own_modes_without_gradients() if _is_changed() else torch.no_grad()


@contextmanager
def _own_modes_without_gradients() -> Iterator[None]:
    with own_modes(), torch.no_grad():
        yield


def _is_changed() -> bool:
    """Return whether the caller computes in a mode that is not torch's at its start."""
    if torch.is_inference_mode_enabled() or torch.empty(0).device.type != "cpu":
        return True
    return torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda")
