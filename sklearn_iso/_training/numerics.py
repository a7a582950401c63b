"""Floating-point mode of a training run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

#: A float32 too small for its exponent: an operation on one costs a hundred times the usual.
_DENORMAL = 1e-40


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """Treat denormal numbers as 0 in this thread, and restore its mode afterwards.

    Gradients of confident predictions decay into them, and Adam's averages after them.
    """
    before = (torch.full((), _DENORMAL) * 1).item() == 0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)
