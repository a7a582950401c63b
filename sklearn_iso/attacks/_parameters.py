"""The parameters that attacks share: their checks, and what draws."""

from __future__ import annotations

from numbers import Integral

import numpy as np
import torch

RandomState = int | np.random.RandomState | np.random.Generator | torch.Generator | None
#: Wrong classes that an attack aims at.
N_TARGETS = 9


def check_counts(minimum: int = 1, /, **counts: int) -> None:
    """Raise a ValueError unless every count is an integer of at least the minimum.

    Examples
    --------
    >>> from sklearn_iso.attacks._parameters import check_counts
    >>> check_counts(n_steps=40, n_restarts=1)
    >>> check_counts(0, n_queries=0)
    """
    for name, count in counts.items():
        if not isinstance(count, Integral) or isinstance(count, bool) or count < minimum:
            raise ValueError(f"{name} must be an integer of at least {minimum}; got {count!r}.")


def check_flags(**flags: object) -> None:
    """Raise a ValueError unless every flag is True or False.

    Examples
    --------
    >>> from sklearn_iso.attacks._parameters import check_flags
    >>> check_flags(random_start=True)
    """
    for name, flag in flags.items():
        if not isinstance(flag, bool | np.bool_):
            raise ValueError(f"{name} must be True or False; got {flag!r}.")


def check_targets(loss: str, n_targets: int) -> None:
    """Raise a ValueError if a number of targets was set for a loss that has none.

    Examples
    --------
    >>> from sklearn_iso.attacks._parameters import check_targets
    >>> check_targets("targeted_margin", 3)
    """
    check_counts(n_targets=n_targets)
    if loss != "targeted_margin" and n_targets != N_TARGETS:
        raise ValueError(
            f"n_targets is a parameter of loss='targeted_margin'; got n_targets={n_targets!r} with "
            f"loss={loss!r}. Leave it out, or choose that loss."
        )


def as_generator(random_state: RandomState) -> torch.Generator:
    """Return a generator on the CPU for a seed, a generator, or (None) fresh entropy.

    Examples
    --------
    >>> from sklearn_iso.attacks._parameters import as_generator
    >>> as_generator(0).initial_seed()
    0
    """
    if isinstance(random_state, torch.Generator):
        return random_state
    generator = torch.Generator()
    if random_state is None:
        generator.seed()
    elif isinstance(random_state, np.random.RandomState):
        generator.manual_seed(int(random_state.randint(np.iinfo(np.int32).max)))
    elif isinstance(random_state, np.random.Generator):
        generator.manual_seed(int(random_state.integers(np.iinfo(np.int32).max)))
    elif isinstance(random_state, (int, np.integer)) and random_state >= 0:
        generator.manual_seed(int(random_state))
    else:
        raise ValueError(
            "random_state must be None, an integer >= 0, a numpy RandomState or Generator, or a "
            f"torch.Generator; got {random_state!r}."
        )
    return generator


def fork_seed(generator: torch.Generator) -> int:
    """Draw the seed of a generator of one's own: one draw, whatever is drawn from that.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks._parameters import fork_seed
    >>> fork_seed(torch.Generator().manual_seed(0)) == fork_seed(torch.Generator().manual_seed(0))
    True
    """
    return int(torch.randint(2**62, (1,), generator=generator))
