"""Fits of several processes: whether a fit is one, and on which samples."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager, nullcontext

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_iso._protocols import Parametrized
from sklearn_iso._training.distributed import Processes, joint_fit
from sklearn_iso._training.shards import Data, check_same, whole_of_shards

#: What may differ from process to process.
_OWN_PARAMETERS = {"callbacks", "device", "random_state", "verbose"}
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def fit_of_processes(estimator: Parametrized) -> AbstractContextManager[Processes | None]:
    """Return the context of a fit: with the processes that share it, if there are several."""
    distributed = estimator.get_params(deep=False).get("distributed", "off")
    return nullcontext() if distributed == "off" else joint_fit()


def samples_of_all(
    processes: Processes,
    estimator: Parametrized,
    X: NDArray,
    y: NDArray | None,
    sample_weight: ArrayLike | None,
) -> Data:
    """Return the samples of a joint fit, and see that all processes mean the same one.

    Raises
    ------
    ValueError
        If they differ in their parameters or data, or a penalty does not go with several processes.
    """
    params = estimator.get_params(deep=False)
    told = {name: value for name, value in params.items() if name not in _OWN_PARAMETERS}
    known = {"estimator": type(estimator).__name__} | {
        f"parameter {name}": _ADDRESS.sub("", repr(value)) for name, value in told.items()
    }
    seed = params["random_state"]
    known["parameter random_state"] = str(seed) if isinstance(seed, int | np.integer) else "no int"
    if params["distributed"] == "sharded":
        names = getattr(estimator, "feature_names_in_", ())
        known["names of features"] = ", ".join(names) or "none"
        return whole_of_shards(processes, known, X, y, sample_weight)
    check_same(processes, known, X, y, sample_weight)
    return X, y, sample_weight
