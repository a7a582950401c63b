"""Batches in which every class comes with several samples."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray


def class_batches(
    y: NDArray,
    n_batches: int,
    samples_per_class: int,
    generator: torch.Generator | None = None,
) -> list[NDArray]:
    r"""Divide one pass over the samples into batches of few classes with several samples each.

    A class of :math:`n_c` samples is cut into :math:`\lfloor n_c / m \rfloor` groups (at least
    one) of nearly equal size, so that a group has :math:`\min(m, n_c)` samples or more. The
    groups of each class are spread evenly over the pass, and batches are cut between groups.
    The samples of a group stand together: any leading part of a batch holds pairs of a class.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        Class of each sample, as an index.
    n_batches : int
        Between 1 and n_samples.
    samples_per_class : int
        The m; at most half of the samples of a batch count.
    generator : torch.Generator, optional
        Draws the groups and their order anew; None keeps the order of the samples within a
        class, and that of the classes.

    Returns
    -------
    batches : list of ndarray of int
        Samples of each batch; every sample is in exactly one.

    References
    ----------
    A. Hermans, L. Beyer, B. Leibe, "In Defense of the Triplet Loss for Person
    Re-Identification", 2017, for batches of P classes with K samples each.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso._training.by_class import class_batches
    >>> class_batches(np.array([0, 1, 2, 0, 1, 2]), n_batches=1, samples_per_class=2)
    [array([0, 3, 1, 4, 2, 5])]
    """
    n_samples = len(y)
    # Groups below the length of a batch leave no batch empty.
    m = max(1, min(samples_per_class, n_samples // n_batches // 2))
    shuffled = np.arange(n_samples)
    if generator is not None:
        shuffled = torch.randperm(n_samples, generator=generator).numpy()
    groups, places = [], []
    by_class = shuffled[y[shuffled].argsort(kind="stable")]
    for rows in np.split(by_class, np.bincount(y).cumsum()[:-1]):
        n_groups = max(1, len(rows) // m)
        groups += np.array_split(rows, n_groups)
        places.append((np.arange(n_groups) + _draws(n_groups, generator)) / n_groups)
    order = np.concatenate(places).argsort(kind="stable")
    ordered = [groups[position] for position in order]
    ends = np.cumsum([len(rows) for rows in ordered])
    cuts = _nearest(ends, np.arange(1, n_batches) * n_samples / n_batches)
    return np.split(np.concatenate(ordered), cuts)


def _draws(size: int, generator: torch.Generator | None) -> NDArray:
    """Return where in its part of the pass each group comes."""
    if generator is None:
        return np.zeros(size)
    return torch.rand(size, generator=generator, dtype=torch.float64).numpy()


def _nearest(ends: NDArray, wanted: NDArray) -> NDArray:
    """Return for each wanted length the end of a group next to it."""
    after = ends.searchsorted(wanted)
    before = np.maximum(after - 1, 0)
    return np.where(wanted - ends[before] < ends[after] - wanted, ends[before], ends[after])
