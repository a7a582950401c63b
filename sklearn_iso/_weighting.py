"""What sums of sample weights amount to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Relative differences of rounding, below which two sums of weights are the same.
ROUNDING = 1e-12


def effective_number(weight: NDArray[np.float64] | None, n_samples: int) -> float:
    r"""Return of how many samples of equal weight a mean is as certain (Kish).

    .. math:: n_\text{eff} = (\sum_i w_i)^2 / \sum_i w_i^2

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso._weighting import effective_number
    >>> effective_number(None, 5), effective_number(np.array([1.0, 1.0, 0.0]), 3)
    (5.0, 2.0)
    """
    if weight is None:
        return float(n_samples)
    shares = weight / weight.max()  # squares of any weights are numbers
    return float(shares.sum() ** 2 / (shares @ shares))
