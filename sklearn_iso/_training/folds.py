"""Folds that depend on what a sample is, and not on where it stands."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from sklearn_iso._training.data import ArrayDataset, make_iterator

_BATCH = 1024


def content_groups(samples: ArrayDataset) -> NDArray:
    """Return a number for each sample, the same for samples with equal X and y.

    It depends on what the sample is and on what others there are, not on their order.

    Parameters
    ----------
    samples : ArrayDataset

    Returns
    -------
    group : ndarray of shape (n_samples,)
    """
    group: NDArray = np.unique(np.array(_digests(samples)), return_inverse=True)[1]
    return group


def stratified_folds(
    group: NDArray, y: NDArray, n_folds: int, rng: np.random.RandomState
) -> NDArray:
    """Return the fold of each sample, every class spread over all folds.

    Samples of one group come into one fold, so that no member learns by heart what it is to be
    judged by, and a sample of weight 2 is the sample twice.

    Parameters
    ----------
    group : ndarray of shape (n_samples,)
        The same number for samples that equal each other.
    y : ndarray of shape (n_samples,)
        Class of each sample, as an index.
    n_folds : int
    rng : RandomState

    Returns
    -------
    fold : ndarray of shape (n_samples,)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso._training.folds import stratified_folds
    >>> group, y = np.array([0, 1, 2, 1]), np.array([0, 0, 0, 0])
    >>> fold = stratified_folds(group, y, 3, np.random.RandomState(0))
    >>> bool(fold[1] == fold[3]), len(set(fold.tolist()))
    (True, 3)
    """
    known, first = np.unique(group, return_index=True)
    label = y[first]
    fold, start = np.empty(len(known), dtype=np.int64), 0
    for one in np.unique(label):
        members = rng.permutation(np.flatnonzero(label == one))
        fold[members] = (start + np.arange(len(members))) % n_folds
        start += len(members)  # small classes do not all begin at the same fold
    result: NDArray = fold[group]
    return result


def _digests(samples: ArrayDataset) -> list[str]:
    digests = []
    for X, (y, _) in make_iterator(samples, _BATCH):
        rows = (X.flatten(1) + 0.0).numpy()  # a zero has no sign
        digests += [
            hashlib.blake2b(row.tobytes() + label.tobytes(), digest_size=16).hexdigest()
            for row, label in zip(rows, y.numpy(), strict=True)
        ]
    return digests
