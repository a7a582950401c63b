"""Modes of the processor."""

from __future__ import annotations

import pytest
import torch

from sklearn_iso._training.numerics import denormals_flushed


@pytest.mark.parametrize("before", [False, True])
def test_denormals_are_flushed_inside_and_the_mode_is_restored(before):
    def is_flushed():
        return (torch.full((), 1e-40) * 1).item() == 0

    torch.set_flush_denormal(before)
    try:
        with pytest.raises(KeyboardInterrupt), denormals_flushed():
            assert is_flushed()
            raise KeyboardInterrupt
        assert is_flushed() == before
    finally:
        torch.set_flush_denormal(False)
