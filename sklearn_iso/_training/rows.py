"""Samples that are read when a batch asks for them: sparse, memory-mapped, of torch data sets."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import cast

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy.sparse import csr_matrix
from torch import Tensor
from torch.utils.data import Dataset

#: What picks samples of an array.
Index = int | slice | NDArray


class LazyRows:
    """Dense samples on demand, by the part of an array's manners that training needs.

    Parameters
    ----------
    read : callable
        Returns the samples (n, ...) of an integer index of shape (n,).
    shape : tuple of int
    dtype : numpy dtype

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> from sklearn_iso._training.rows import sparse_rows
    >>> sparse_rows(csr_array(np.eye(3)))[1:]
    array([[0., 1., 0.],
           [0., 0., 1.]])
    """

    def __init__(
        self, read: Callable[[NDArray], NDArray], shape: tuple[int, ...], dtype: DTypeLike
    ) -> None:
        self._read, self.shape, self.dtype = read, shape, np.dtype(dtype)
        self.ndim = len(shape)

    def __len__(self) -> int:
        """Return the number of samples."""
        return self.shape[0]

    def __getitem__(self, index: Index) -> NDArray:
        """Return dense samples."""
        return self._read(np.arange(len(self))[index]).astype(self.dtype, copy=False)

    def take(self, index: NDArray, axis: int = 0) -> NDArray:
        """Return dense samples."""
        return self[index]

    def astype(self, dtype: DTypeLike, copy: bool = True) -> LazyRows:
        """Return the same samples in another precision."""
        return LazyRows(self._read, self.shape, dtype)


#: Samples in memory or on demand; where training needs no more, the latter stand for an array.
Rows = NDArray | LazyRows


def rows_at(X: Rows, index: NDArray) -> NDArray:
    """Return some samples: a copy of an array in memory, by need of what is not."""
    if isinstance(X, LazyRows) or is_mapped(X):
        lazy = LazyRows(lambda batch: X[index[batch]], (len(index), *X.shape[1:]), X.dtype)
        return cast(NDArray, lazy)
    return X[index]


def is_mapped(X: object) -> bool:
    """Return whether an array is a view of a file."""
    while isinstance(X, np.ndarray):
        if isinstance(X, np.memmap):
            return True
        X = X.base
    return False


def mapped_rows(X: NDArray) -> LazyRows:
    """Return the samples of a memory map of small integers, or in foreign byte order, as floats."""
    dtype = np.float64 if X.dtype.kind == "f" and X.dtype.itemsize == 8 else np.float32
    return LazyRows(lambda index: X[index], X.shape, dtype)


def single_rows(X: Rows) -> NDArray:
    """Return samples as float32; those of a memory map when a batch asks for them.

    Raises
    ------
    ValueError
        If the values of an array in memory are beyond float32.
    """
    if isinstance(X, LazyRows) or X.dtype == np.float32:
        return cast(NDArray, X.astype(np.float32, copy=False))
    if is_mapped(X):
        return cast(NDArray, LazyRows(lambda index: X[index], X.shape, np.float32))
    largest = float(np.abs(X).max(initial=0))
    least, most = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)
    if largest > most or 0 < largest < least:
        raise ValueError(
            f"mixed_precision=True trains in float32, which holds sizes from {least:.1g} to "
            f"{most:.1g}; the largest of X is {largest:.3g}. Scale the features, or set "
            "mixed_precision=False."
        )
    return X.astype(np.float32)


def sparse_rows(X: csr_matrix) -> LazyRows:
    """Return the rows of a CSR matrix."""
    return LazyRows(lambda index: X[index].toarray(), X.shape, X.dtype)


def dataset_rows(dataset: Dataset) -> tuple[LazyRows, NDArray]:
    """Return the inputs of a torch data set, read by need, and its labels, read once.

    Parameters
    ----------
    dataset : Dataset
        With a length; an item is ``(x, y)``.

    Raises
    ------
    TypeError
        If it has no length, or its items are no pairs.
    """
    if not hasattr(dataset, "__len__"):
        raise TypeError(
            f"A torch Dataset must have a length; got {type(dataset).__name__} without __len__. "
            "Give it one, or pass its chunks to partial_fit."
        )
    if not len(dataset):
        raise ValueError("A torch Dataset must hold at least one sample; got one of length 0.")
    first = _pair(dataset[0])[0]
    dtype = first.dtype if first.dtype in (np.float32, np.float64) else np.dtype(np.float32)
    y = np.array([_pair(dataset[i])[1] for i in range(len(dataset))])

    def read(index: NDArray) -> NDArray:
        items = [_pair(dataset[int(i)])[0] for i in index]
        if shapes := {item.shape for item in items} - {first.shape}:
            raise ValueError(
                f"Samples of a Dataset must be of one shape; the first is of {first.shape}, "
                f"another of {shapes.pop()}. Pad or crop them in __getitem__."
            )
        shape = (len(items), *first.shape)  # a shard may have no sample of a batch
        rows = np.array(items, dtype=dtype).reshape(shape)
        if not np.isfinite(rows).all():
            raise ValueError("X must be finite; a row of the Dataset contains NaN or infinity.")
        return rows

    return LazyRows(read, (len(dataset), *first.shape), dtype), y


def _pair(item: object) -> tuple[NDArray, Hashable]:
    if not isinstance(item, tuple | list) or len(item) != 2:
        raise TypeError(
            f"An item of a Dataset must be a pair (x, y); got {type(item).__name__}. Return both "
            "from __getitem__."
        )
    x, y = item
    label = y.item() if isinstance(y, Tensor | np.generic) else y
    return (x.numpy(force=True) if isinstance(x, Tensor) else np.asarray(x)), label
