"""What a fit takes from the data before it starts: units, and the input similarity."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import gen_batches

from sklearn_iso._threads import threads_for
from sklearn_iso._training.data import ArrayDataset
from sklearn_iso._training.randomness import new_generator
from sklearn_iso.penalties import Penalty

#: Samples that penalties are calibrated on.
MAX_ROWS = 2000

#: Root mean square length of the samples that enter the built-in network.
INPUT_LENGTH = 8.0

#: Root mean square distances from the mean that leave room for sums of squares over all pairs, for
#: the digits of near ones, and for squares of gradients in units of them.
SIZES = {"float32": (1e-15, 1e15), "float64": (1e-145, 1e145)}


def calibrate(penalty: Penalty, dataset: ArrayDataset, rng: np.random.RandomState) -> Penalty:
    """Calibrate a penalty in place, and return it.

    On a subsample of the training samples, unless a term needs all of them.
    """
    index = np.arange(len(dataset))
    needs_all = any(term.needs_all_samples for _, _, term in penalty.terms())
    if len(index) > MAX_ROWS and not needs_all:
        index = np.sort(rng.choice(index, MAX_ROWS, replace=False))
    X, (y, weight) = dataset[index]
    tensors = torch.from_numpy(X), torch.from_numpy(y), torch.from_numpy(weight)
    with threads_for(0 if len(index) <= MAX_ROWS else math.inf):
        return penalty.calibrate(*tensors, new_generator(rng))


def input_similarity(X: NDArray, weight: NDArray) -> tuple[NDArray, float]:
    r"""Return the mean of the samples, and the factor that brings them to a distance of 8 from it.

    .. math:: \mu = \frac{\sum_i w_i x_i}{\sum_i w_i}, \qquad
              c^2 = \frac{\sum_i w_i \lVert x_i - \mu \rVert^2}{\sum_i w_i}, \qquad
              \text{factor} = 8 / c

    Eight is the root mean square length of 64 standardised features, for which the usual
    initial weights and learning rates are made; it is the same in every unit and dimension.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
    weight : ndarray of shape (n_samples,)

    Returns
    -------
    shift : ndarray of shape (n_features,)
    factor : float
        ``1 / c``; 1 where all samples are equal.
    """
    total = weight.sum(dtype=np.float64)
    batches = list(gen_batches(len(X), 1024))
    shift = sum(weight[rows].astype(np.float64) @ X[rows] for rows in batches) / total
    # Batches keep the temporary small; two passes keep the digits.
    with np.errstate(over="ignore", under="ignore"):
        squares = sum(
            float(weight[rows] @ np.square(X[rows] - shift, dtype=np.float64).sum(1))
            for rows in batches
        )
    spread = np.sqrt(squares / total)
    _check_squares(X, float(spread))
    resolution = np.finfo(X.dtype).eps * float(np.abs(shift).max(initial=0.0))
    return shift, float(INPUT_LENGTH / spread) if spread > resolution else 1.0


def _check_squares(X: NDArray, spread: float) -> None:
    """Raise a ValueError where sums of squares of distances overflow or vanish."""
    dtype = "float32" if X.dtype == np.float32 else "float64"
    least, most = SIZES[dtype]
    if np.isfinite(spread) and least < spread < most:
        return
    batches = list(gen_batches(len(X), 1024))
    if spread < 1 and not any((X[rows] != X[:1]).any() for rows in batches):
        return  # all samples are equal, and the spread is that of rounding
    largest = max(np.abs(X[rows]).max() for rows in batches)
    raise ValueError(
        f"The squared distances between samples of X, and their sums, must be numbers that {dtype} "
        f"holds, of distances from {least:.0e} to {most:.0e} on the average. The values of X go up "
        f"to {largest:.3g}. Scale the features."
    )
