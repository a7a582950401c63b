"""What the parameters of displays may be."""

from collections.abc import Mapping
from numbers import Integral, Real

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._param_validation import Interval, validate_parameter_constraints

_RULES: dict = {
    "certify": ["boolean"],
    "chosen": [Interval(Real, 0, None, closed="left"), None],
    "feature_names": ["array-like", None],
    "grid_resolution": [Interval(Integral, 2, None, closed="left")],
    "history": [Mapping],
    "image_shape": ["array-like", None],
    "loss": [str, None],
    "measure": [str],
    "n_ellipses": [Interval(Integral, 0, None, closed="left")],
    "n_examples": [Interval(Integral, 1, None, closed="left")],
    "n_pairs": [Interval(Integral, 2, None, closed="left")],
    "n_samples": [Interval(Integral, 1, None, closed="left"), None],
    "name": [str, None],
    "param": [str, None],
    "response_method": [str],
    "scores": [Mapping],
    "stress": [Real, None],
    "terms": ["array-like", None],
}


def check_parameters(display: type, **given: object) -> None:
    """Raise an InvalidParameterError unless every parameter is of its kind.

    Examples
    --------
    >>> from sklearn_iso.plotting._checks import check_parameters
    >>> check_parameters(object, n_samples=100, name="mine")
    """
    rules = {name: _RULES[name.removeprefix("estimator_")] for name in given}
    validate_parameter_constraints(rules, given, display.__name__)


def check_names(names: ArrayLike, n_features: int) -> None:
    """Raise a ValueError unless there is a name for each feature, and no name twice.

    Examples
    --------
    >>> from sklearn_iso.plotting._checks import check_names
    >>> check_names(["age", "height"], 2)
    """
    given = np.asarray(names, dtype=object)
    if given.shape != (n_features,) or len(set(map(str, given))) < n_features:
        raise ValueError(
            f"feature_names must hold {n_features} different names, one for each feature; got "
            f"{names!r}."
        )


def as_numbers(values: ArrayLike, name: str, *, ndim: int | None = 1) -> NDArray[np.float64]:
    """Return an array of floats of so many dimensions, or say which parameter holds none.

    Examples
    --------
    >>> from sklearn_iso.plotting._checks import as_numbers
    >>> as_numbers([0, 1], "eps")
    array([0., 1.])
    """
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must hold numbers; got {values!r}.") from None
    if ndim is not None and numbers.ndim != ndim:
        raise ValueError(
            f"{name} must be an array of {ndim} dimension{'s' if ndim > 1 else ''}; got shape "
            f"{numbers.shape}."
        )
    return numbers
