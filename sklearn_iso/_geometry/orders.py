"""The p-norms by all their names, those of norms and those of metrics."""

from __future__ import annotations

import math

#: p of each name: of norms, of scikit-learn's metrics and of SciPy's.
ORDERS: dict[str, float] = {
    "l1": 1.0,
    "manhattan": 1.0,
    "cityblock": 1.0,
    "l2": 2.0,
    "euclidean": 2.0,
    "linf": math.inf,
    "chebyshev": math.inf,
    "infinity": math.inf,
}
