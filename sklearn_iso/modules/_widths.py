"""What the numbers of units of a network may be."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral

from sklearn.utils._param_validation import Interval

#: A number of units, by scikit-learn's rules of parameters.
COUNT = [Interval(Integral, 1, None, closed="left")]


def check_widths(name: str, widths: Iterable[object], length: int | None = None) -> None:
    """Raise a ValueError unless all are integers of 1 or more, and as many as wanted.

    Examples
    --------
    >>> from sklearn_iso.modules._widths import check_widths
    >>> check_widths("hidden_layer_sizes", (256, 128))
    """
    try:
        given = list(widths)
    except TypeError:
        given = [None]
    as_many = length is None or length == len(given)
    whole = all(isinstance(w, Integral) and not isinstance(w, bool) and int(w) > 0 for w in given)
    if not as_many or not whole:
        wanted = "" if length is None else f"{length} "
        raise ValueError(
            f"{name} must hold {wanted}integers of 1 or more; got {widths!r}. Pass for example "
            f"{(64,) * (length or 2)}."
        )


def layer_widths(sizes: int | Iterable[int], name: str = "hidden_layer_sizes") -> list[int]:
    """Return the widths of the hidden layers that a parameter tells, checked."""
    widths: Iterable[int | Integral] = [sizes] if isinstance(sizes, int | Integral) else sizes
    check_widths(name, widths)
    return [int(width) for width in widths]
