"""Paths of labels, coarse to fine, as arrays of one row a sample."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_SAME_LENGTH = (
    "y must have one label of every level in each row, shape (n_samples, n_levels); {came}. "
    "Pad short paths with None at their end."
)


def as_paths(y: ArrayLike) -> NDArray:
    """Return labels as an array of paths, one row a sample and one column a level.

    Parameters
    ----------
    y : array-like of shape (n_samples, n_levels), or a pandas or polars DataFrame
        Labels, coarse to fine. None, NaN and "" are missing, and come only at the end of a path.

    Returns
    -------
    paths : ndarray of shape (n_samples, n_levels)
        Numbers or text where all labels are of one kind and none is None, else objects whose
        missing labels are None.

    Raises
    ------
    ValueError
        If samples differ in length, a path misses a level before its end, or has no label at all.

    Examples
    --------
    >>> from sklearn_iso.hierarchy import as_paths
    >>> as_paths([["bird", "owl"], ["fish", None]])
    array([['bird', 'owl'],
           ['fish', None]], dtype=object)
    """
    paths = _array(y)
    if paths.ndim == 1 and not any(map(_is_row, paths)):
        raise ValueError(
            f"Paths need one column for each level, shape (n_samples, n_levels); got shape "
            f"{paths.shape}. For labels of the finest level alone pass hierarchy=, the label "
            "above each; for a single level pass labels[:, None]."
        )
    if paths.ndim != 2 or not paths.shape[1]:
        raise ValueError(_SAME_LENGTH.format(came=f"got shape {paths.shape}"))
    if paths.dtype == object:
        paths = narrowed(paths)
    _check_gaps(paths)
    return paths


def _array(y: ArrayLike) -> NDArray:
    if hasattr(y, "to_numpy"):
        array: NDArray = y.to_numpy()
        return array
    # Objects first: numpy would turn the numbers beside text into text.
    array = np.asarray(y) if hasattr(y, "__array__") else np.array(y, dtype=object)
    if array.dtype == object and array.ndim == 1 and all(map(_is_row, array)):
        lengths = sorted({len(row) for row in array})
        if len(lengths) > 1:
            raise ValueError(_SAME_LENGTH.format(came=f"found samples of {lengths} labels"))
        return np.array(array.tolist(), dtype=object)
    return array


def _is_row(entry: object) -> bool:
    return isinstance(entry, list | tuple | np.ndarray)


def narrowed(paths: NDArray) -> NDArray:
    """Return objects with None for missing labels, as numbers or text where all are of one kind."""
    missing = is_missing(paths)
    present = paths[~missing].tolist()
    for kind in (str, bool, int, float):
        if not missing.any() and all(type(label) is kind for label in present):
            return np.array(paths.tolist(), dtype=kind)
    filled = paths.copy()
    filled[missing] = None
    return filled


def is_missing(labels: NDArray) -> NDArray:
    """Return which labels are missing: None, NaN or empty text.

    Parameters
    ----------
    labels : ndarray
        Labels of any shape.

    Returns
    -------
    missing : ndarray of bool of the same shape
        True where there is no label.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.hierarchy import is_missing
    >>> is_missing(np.array([["a", ""], ["b", "c"]]))
    array([[False,  True],
           [False, False]])
    """
    if labels.dtype.kind == "f":
        return np.isnan(labels)
    if labels.dtype.kind in "UST":
        return labels == labels.dtype.type("")
    if labels.dtype != object:
        return np.zeros(labels.shape, dtype=bool)
    found = [_is_missing(label) for label in labels.ravel()]
    return np.array(found, dtype=bool).reshape(labels.shape)


def _is_missing(label: object) -> bool:
    # pandas' NA is neither equal nor unequal to itself, so its name has to do.
    if label is None or type(label).__name__ in ("NAType", "NaTType"):
        return True
    return label == "" if isinstance(label, str) else bool(label != label)


def _check_gaps(paths: NDArray) -> None:
    missing = is_missing(paths)
    rows = np.flatnonzero(missing[:, 0])
    if len(rows):
        raise ValueError(
            f"Every sample of y must have a label at the first level; {len(rows)} have none, the "
            f"first of them sample {rows[0]}: {paths[rows[0]].tolist()}. Drop these samples."
        )
    rows = np.flatnonzero((missing[:, :-1] & ~missing[:, 1:]).any(axis=1))
    if len(rows):
        raise ValueError(
            f"Labels may be missing only at the end of a path; sample {rows[0]} misses one in the "
            f"middle: {paths[rows[0]].tolist()}. Fill in the label of that level."
        )


def depths(paths: NDArray) -> NDArray:
    """Return the number of labels on each path.

    Parameters
    ----------
    paths : ndarray of shape (n_samples, n_levels)
        Paths that may end above the last level.

    Returns
    -------
    depths : ndarray of int of shape (n_samples,)
        Number of labels before the first missing one.

    Examples
    --------
    >>> from sklearn_iso.hierarchy import as_paths, depths
    >>> depths(as_paths([["bird", "owl"], ["fish", None]]))
    array([2, 1])
    """
    return (~is_missing(paths)).sum(axis=1)


def common_depth(first: NDArray, second: NDArray) -> NDArray:
    """Return how many labels two paths share from their start, sample by sample.

    Parameters
    ----------
    first, second : ndarray of shape (n_samples, n_levels)
        Paths, sample by sample.

    Returns
    -------
    depth : ndarray of int of shape (n_samples,)
        Number of labels that are the same.

    Examples
    --------
    >>> from sklearn_iso.hierarchy import as_paths, common_depth
    >>> common_depth(as_paths([["bird", "owl"]]), as_paths([["bird", "crow"]]))
    array([1])
    """
    equal = (first == second) & ~is_missing(first) & ~is_missing(second)
    return np.logical_and.accumulate(equal, axis=1).sum(axis=1)
