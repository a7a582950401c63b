"""Data of a joint fit: the same in all processes, or a shard in each."""

from __future__ import annotations

import json
from typing import cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from sklearn_iso._training.distributed import Processes, digest_of
from sklearn_iso._training.rows import LazyRows

#: Samples of X that are compared.
N_COMPARED = 1000

#: What to do where data differ.
_SAME = (
    "Pass the same X, y and sample_weight to all, or set distributed='sharded' if each has samples "
    "of its own."
)
_ALIKE = "Shards differ in their samples only: prepare them alike."

#: Kinds of y by the code that NumPy has for them.
_TEXT, _NUMBERS = "text", "floats"
_KINDS = {"b": "bool", "i": "integers", "u": "integers", "f": _NUMBERS, "U": _TEXT}

#: X, y and sample_weight.
Data = tuple[NDArray, NDArray | None, ArrayLike | None]


def check_same(
    processes: Processes,
    known: dict[str, str],
    X: NDArray,
    y: NDArray | None,
    weight: ArrayLike | None,
) -> None:
    """Raise a ValueError unless all processes have the same data, and `known` facts.

    Of X up to 1,000 samples are compared.
    """
    index = np.linspace(0, len(X) - 1, min(len(X), N_COMPARED)).astype(int)
    labels = [] if y is None else [np.asarray(y)]
    weights = [] if weight is None else [np.asarray(weight)]
    facts = {
        "X": f"an array of shape {X.shape} and {X.dtype} ({digest_of([X[index]])})",
        "y": _described(labels),
        "sample_weight": _described(weights),
    }
    processes.agree(known | facts, _SAME)


def whole_of_shards(
    processes: Processes,
    known: dict[str, str],
    X: NDArray,
    y: NDArray | None,
    weight: ArrayLike | None,
) -> Data:
    """Return the samples of all processes, in the order of these, of which each has a shard.

    X is read from its owners whenever it is asked for, by all processes at once.

    Raises
    ------
    ValueError
        If shards have other features or kinds of data, or processes other `known` facts.
    """
    facts = {
        "shape of a sample of X": str(X.shape[1:]),
        "type of X": str(X.dtype),
        "kind of y": "none" if y is None else _kind(np.asarray(y)),
        "kind of sample_weight": "none" if weight is None else "given",
    }
    processes.agree(known | facts, _ALIKE)
    counts = processes.watch.exchange("counts", str(len(X)))
    bounds = np.cumsum([0, *map(int, counts)])
    rows = _read_by_owners(processes, X, bounds)
    labels = None if y is None else _all_labels(processes, np.asarray(y), bounds)
    weights = None
    if weight is not None:
        weights = _all_values(processes, _weights(weight, len(X)), bounds)
    return cast(NDArray, rows), labels, weights


def _read_by_owners(processes: Processes, X: NDArray, bounds: NDArray) -> LazyRows:
    start, stop = bounds[processes.rank], bounds[processes.rank + 1]

    def read(index: NDArray) -> NDArray:
        rows = np.zeros((len(index), *X.shape[1:]), dtype=X.dtype)
        own = np.flatnonzero((index >= start) & (index < stop))
        rows[own] = X[index[own] - start]
        processes.sum_(torch.from_numpy(rows))
        return rows

    return LazyRows(read, (int(bounds[-1]), *X.shape[1:]), X.dtype)


def _kind(y: NDArray) -> str:
    """Return the kind of labels that shards must have in common; widths may differ."""
    if y.dtype.kind == "O" and all(isinstance(label, str) for label in y.tolist()):
        return _TEXT
    return _KINDS.get(y.dtype.kind, str(y.dtype))


def _all_labels(processes: Processes, y: NDArray, bounds: NDArray) -> NDArray:
    """Return the labels of all shards; text by its place among all labels."""
    kind = _kind(y)
    if kind not in _KINDS.values():
        raise ValueError(
            f"Labels of shards must be numbers or text; got an array of {y.dtype}. Encode them, "
            "for example y.astype(str)."
        )
    types = processes.watch.exchange("types of y", y.dtype.str if y.dtype.kind != "O" else "O")
    if kind != _TEXT:
        wide = np.float64 if kind == _NUMBERS else np.int64
        return _all_values(processes, y.astype(wide), bounds).astype(np.result_type(*types))
    own, place = np.unique(y, return_inverse=True)
    told = processes.watch.exchange("labels", json.dumps(own.tolist()))
    every = np.unique(np.concatenate([np.array(json.loads(text)) for text in told]))
    codes = np.searchsorted(every, own)[place]
    labels = every[_all_values(processes, codes, bounds)]
    return labels.astype(object) if "O" in types else labels


def _weights(weight: ArrayLike, n_samples: int) -> NDArray:
    """Return the weight of each sample of the own shard, all of which may be 0."""
    values = np.asarray(weight, dtype=np.float64)
    if values.shape not in ((), (n_samples,)):
        raise ValueError(
            f"sample_weight must be of shape ({n_samples},), one number for each sample of the "
            f"shard; got {values.shape}."
        )
    return np.full(n_samples, values)


def _all_values(processes: Processes, own: NDArray, bounds: NDArray) -> NDArray:
    """Return numbers of all shards, one for each sample."""
    values = np.zeros(bounds[-1], dtype=own.dtype)
    values[bounds[processes.rank] : bounds[processes.rank + 1]] = own
    processes.sum_(torch.from_numpy(values))
    return values


def _described(arrays: list[NDArray]) -> str:
    return f"an array ({digest_of(arrays)})" if arrays else "none"
