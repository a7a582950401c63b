"""Whatever somebody may pass by mistake, and what may come of it."""

import re

import numpy as np
from hypothesis import strategies as st
from sklearn.utils._param_validation import InvalidParameterError

from sklearn_iso.exceptions import TrainingDivergedError

NUMBERS = [float("nan"), float("inf"), -float("inf"), 0.0, -1.0, 0.5, 1.5, 1e300, 1e-300]
NUMBERS += [np.float32(0.5), np.int64(2), np.bool_(True), 1j]
NAMES = ["auto", "fitted", "l2", "linf", "hidden", "logits", "adam", "linear", "relu", "cpu"]
NAMES += ["balanced", "global", "precomputed", "input", "stress", "margin", "cosine", "isometric"]
THINGS = [None, {}, object(), b"bytes", np.ones(2), np.ones((2, 2)), np.array(["a"]), {0: 1.0}]
THINGS += [set(), [[1, 2], [3]], [None], np.array(3.0), np.zeros((0, 4)), np.full((6, 4), np.nan)]
ANYTHING = st.one_of(
    st.booleans(),
    st.integers(-2, 9),
    st.sampled_from(NUMBERS),
    st.sampled_from(NAMES),
    st.sampled_from(THINGS),
    st.text(max_size=3),
    st.lists(st.integers(-1, 4), max_size=3),
    st.tuples(st.sampled_from(NUMBERS), st.sampled_from(NUMBERS)),
)


def is_named(error, names):
    """Return whether an error tells which parameter it is about."""
    return any(re.search(rf"\b{re.escape(name)}\b", str(error)) for name in names)


def refuse(error, names, value, *, is_data=False):
    """Raise an error again, unless it refuses a value as it should.

    A parameter out of its range is a ValueError or TypeError that names it; a fit that diverges
    says what to lower; data are refused in scikit-learn's words.
    """
    if isinstance(error, InvalidParameterError | TrainingDivergedError | OSError):
        return  # that of the system names the file
    if not isinstance(error, ValueError | TypeError):
        raise error
    if is_data or is_named(error, names):
        return
    if isinstance(value, bool | np.bool_) and isinstance(error, TypeError):
        return  # scikit-learn takes True for the number 1, and NumPy does not
    raise error
