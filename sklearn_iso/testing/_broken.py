"""The error that a broken law raises, and how it names the points at fault."""

from __future__ import annotations

from numbers import Real

import numpy as np
from numpy.typing import ArrayLike, NDArray


class LawBrokenError(AssertionError):
    """What was checked does not keep its law; the message names the worst case found.

    Attributes
    ----------
    pair : tuple or None
        The pair of samples at fault: two sample numbers of X for
        :func:`check_distance_preservation`, two points for :func:`check_lipschitz`.

    Examples
    --------
    >>> from sklearn_iso.testing import LawBrokenError
    >>> issubclass(LawBrokenError, AssertionError)
    True
    """

    def __init__(
        self, message: str, pair: tuple[int, int] | tuple[NDArray, NDArray] | None = None
    ) -> None:
        super().__init__(message)
        self.pair = pair


def require(condition: object, message: str) -> None:
    """Raise a LawBrokenError unless the condition holds."""
    if not condition:
        raise LawBrokenError(message)


def as_number(found: object, who: str) -> float:
    """Return a number as a float, or raise a LawBrokenError where it is none."""
    if isinstance(found, Real | np.bool_):
        return float(found)
    told = f"{type(found).__name__} {found!r}"
    raise LawBrokenError(f"{who} must return one number; got {told}. Convert it with float().")


def shown(point: ArrayLike) -> str:
    """Return the coordinates of a point, the inner ones of a long point left out."""
    values = np.asarray(point, dtype=np.float64).ravel()
    return np.array2string(values, precision=4, threshold=6, edgeitems=2, separator=", ")
