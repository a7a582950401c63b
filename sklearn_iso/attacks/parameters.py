"""Checks of the parameters that attacks share."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np


def check_counts(**counts: int) -> None:
    """Raise a ValueError unless every count is an integer of at least 1.

    Examples
    --------
    >>> from sklearn_iso.attacks.parameters import check_counts
    >>> check_counts(n_steps=40, n_restarts=1)
    """
    for name, count in counts.items():
        if not _is_count(count):
            raise ValueError(f"{name} must be an integer of at least 1; got {count!r}.")
        if count < 1:
            raise ValueError(f"{name} must be at least 1; got {count!r}.")


def check_not_negative(**counts: int) -> None:
    """Raise a ValueError unless every count is an integer of at least 0.

    Examples
    --------
    >>> from sklearn_iso.attacks.parameters import check_not_negative
    >>> check_not_negative(max_flips=0)
    """
    for name, count in counts.items():
        if not _is_count(count):
            raise ValueError(f"{name} must be an integer of at least 0; got {count!r}.")
        if count < 0:
            raise ValueError(f"{name} must not be negative; got {count!r}.")


def check_flags(**flags: Any) -> None:
    """Raise a ValueError unless every flag is True or False.

    Examples
    --------
    >>> from sklearn_iso.attacks.parameters import check_flags
    >>> check_flags(random_start=True)
    """
    for name, flag in flags.items():
        if not isinstance(flag, bool | np.bool_):
            raise ValueError(f"{name} must be True or False; got {flag!r}.")


def _is_count(count: Any) -> bool:
    return isinstance(count, Integral) and not isinstance(count, bool)
