"""Bounds of data, in penalties at samples that move."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real

import torch
from torch import Tensor

from sklearn_iso._geometry.box import rounding_slack


def check_bounds(bounds: Sequence[float] | None, X: Tensor) -> None:
    """Raise a ValueError unless bounds are None, or two numbers in order that hold X.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.penalties._bounds import check_bounds
    >>> check_bounds((0, 1), torch.rand(3, 2))
    """
    if bounds is None:
        return
    numbers = len(bounds) == 2 and all(isinstance(side, Real) for side in bounds)
    if not numbers or not bounds[0] < bounds[1]:
        raise ValueError(f"bounds must be two numbers (low, high) with low < high; got {bounds!r}.")
    low, high = (torch.tensor(float(side), dtype=X.dtype) for side in bounds)
    least, most, slack = X.min().item(), X.max().item(), rounding_slack(X, low, high).item()
    if least < bounds[0] - slack or most > bounds[1] + slack:
        raise ValueError(
            f"X must lie within bounds={bounds!r}, in the units that the network sees; "
            f"it goes from {least:.6g} to {most:.6g}. Scale X, or widen the bounds."
        )
