"""What the penalties on pairs of a batch share: their stress and its parameters."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, Options, StrOptions
from torch import Tensor

from sklearn_iso.geometry import Blocks, Kernel, Metric, Stress
from sklearn_iso.penalties.batch import Batch

LOSSES: dict[str, Callable[..., Stress]] = {
    "normalized_stress": Stress.normalized,
    "raw_stress": Stress.raw,
    "relative": Stress.relative,
    "absolute": Stress.absolute,
}

#: The p of a norm; above 100 the powers of most numbers overflow or vanish.
NORM_ORDERS: list[Any] = [Interval(Real, 1, 100, closed="both"), Options(Real, {np.inf})]

CONSTRAINTS: dict[str, list[Any]] = {
    "loss": [StrOptions(set(LOSSES))],
    "scale": [StrOptions({"fitted"}), Interval(Real, 0, None, closed="neither")],
    "two_sided": ["boolean"],
    "metric": [
        StrOptions({"l1", "l2", "linf", "precomputed"}),
        *NORM_ORDERS,
        callable,
    ],
    "target": [StrOptions({"input", "previous"})],
    "layers": [str, "array-like", None],
    "max_rows": [Interval(Integral, 2, None, closed="left"), None],
}
_ORDERS: dict[Any, float] = {"l1": 1.0, "l2": 2.0, "linf": np.inf}


def check_pairwise(penalty: Any) -> None:
    """Raise an error unless the parameters of a pairwise penalty fit together."""
    penalty._validate_params()
    if penalty.scale == "fitted" and (penalty.loss == "absolute" or not penalty.two_sided):
        raise ValueError(
            "scale='fitted' goes with two-sided squared losses, whose best scale has a closed "
            f"form; got loss={penalty.loss!r}, two_sided={penalty.two_sided}. Pass a number."
        )
    if penalty.metric == "precomputed" and penalty.target == "previous":
        raise ValueError(
            "target='previous' measures the layers, which have no precomputed distances. "
            "Pass target='input', or a norm as metric."
        )


def norm_order(metric: str | float) -> float:
    """Return the p of a norm by name or number."""
    return float(_ORDERS.get(metric, metric))


def metric_of(penalty: Any, batch: Batch, rows: slice) -> Metric:
    """Return how the distances between rows of a batch are found."""
    if callable(penalty.metric):
        function: Metric = penalty.metric
        return function
    if penalty.metric != "precomputed":
        return norm_order(penalty.metric)
    if batch.distances is None:
        raise ValueError(
            "metric='precomputed' needs the distances between the training rows, and there are "
            "none. Pass them as IsometricTransformer(metric='precomputed').fit(X, distances=D)."
        )
    given = batch.distances[rows, rows]
    return lambda _: given


def dtype_of(penalty: Any, X: Tensor) -> torch.dtype:
    """Return in what the distances of a penalty are computed: float64 where near pairs matter.

    Those of the Gram expansion lose their digits in float32: of a pair 1e-4 of the extent apart,
    all of them.
    """
    return torch.float64 if penalty.loss == "relative" else X.dtype


def pairwise_penalty(penalty: Any, batch: Batch, blocks: Blocks, rows: slice) -> Tensor:
    """Return the mean over the layers of the stress of a penalty's pairs.

    Parameters
    ----------
    penalty : Penalty
        Has the parameters of ``CONSTRAINTS``.
    batch : Batch
    blocks : Blocks
        Pairs among the rows of the slice.
    rows : slice

    Returns
    -------
    stress : Tensor, scalar
    """
    metric, dtype = metric_of(penalty, batch, rows), dtype_of(penalty, batch.X)
    layers = batch.representations(penalty.layers)
    if penalty.target == "input":
        d_X = blocks.distances(batch.X[rows], metric, dtype=dtype)
        return stress_of(penalty, blocks, d_X)(*layers)
    sources = [batch.X[rows], *(Z[rows].detach() for Z in layers[:-1])]
    distances = [blocks.distances(source, metric, dtype=dtype) for source in sources]
    values = [stress_of(penalty, blocks, d)(Z) for d, Z in zip(distances, layers, strict=True)]
    return torch.stack(values).mean()


def stress_of(penalty: Any, blocks: Blocks, d_X: Tensor) -> Stress:
    """Return the stress that a penalty's parameters ask for, against distances of X."""
    factor = None if penalty.scale == "fitted" else 1 / float(penalty.scale)
    if penalty.loss == "absolute":
        return Stress.absolute(blocks, d_X, not penalty.two_sided, factor or 0.0)
    kernel = Kernel(one_sided=not penalty.two_sided)
    return LOSSES[penalty.loss](blocks, d_X, factor=factor, kernel=kernel)
