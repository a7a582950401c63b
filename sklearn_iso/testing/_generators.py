"""The global generators of Python, NumPy and torch, which no law lets anybody touch."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from sklearn_iso.testing._broken import require


@contextmanager
def require_global_generators_kept(who: str) -> Iterator[None]:
    """Raise a LawBrokenError if the block draws from a global generator or seeds one."""
    outside = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        # States that nobody seeds: a block that seeded them before would look innocent now.
        random.seed("a state of its own")
        np.random.seed(20_071_969)
        torch.manual_seed(20_071_969)
        before = _states()
        yield
        after = _states()
    finally:
        random.setstate(outside[0])
        np.random.set_state(outside[1])
        torch.set_rng_state(outside[2])
    changed = [name for name, state in before.items() if state != after[name]]
    require(
        not changed,
        f"{who} must leave the global generators of Python, NumPy and torch as they were; "
        f"{' and '.join(changed)} changed. Draw from a generator of its own.",
    )


def _states() -> dict[str, object]:
    return {
        "random": random.getstate(),
        "numpy.random": [np.asarray(part).tolist() for part in np.random.get_state()],
        "torch": bytes(torch.get_rng_state().numpy()),
    }
