"""Values and labels that are none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def is_missing(value: object) -> bool:
    """Tell whether a value stands for none: None, NaN, pandas' NA and NaT.

    Examples
    --------
    >>> from sklearn_iso._labels import is_missing
    >>> is_missing(None), is_missing(float("nan")), is_missing(0)
    (True, True, False)
    """
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float | np.floating) and bool(value != value)


def check_labels_known(labels: NDArray, name: str = "y") -> None:
    """Raise a ValueError where a label is none: None, NaN, pandas' NA, or infinity.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso._labels import check_labels_known
    >>> check_labels_known(np.array(["a", None], dtype=object))
    Traceback (most recent call last):
    ValueError: y must hold a label for each sample; 1 of 2 samples have none, the first of them ...
    """
    if labels.dtype.kind not in "fcO":
        return
    unknown = np.array([_is_no_label(label) for label in labels.tolist()], dtype=bool)
    if unknown.any():
        first = int(np.argmax(unknown))
        label = labels.tolist()[first]
        raise ValueError(
            f"{name} must hold a label for each sample; {int(unknown.sum())} of {len(labels)} "
            f"samples have none, the first of them sample {first}: {label!r}. Drop these "
            "samples, or give what is missing a class of its own."
        )


def _is_no_label(label: object) -> bool:
    return is_missing(label) or (isinstance(label, float) and abs(label) == float("inf"))
