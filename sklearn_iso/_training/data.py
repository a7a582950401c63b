"""In-memory samples, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from sklearn_iso._training.by_class import class_batches
from sklearn_iso._training.rows import Index, rows_at


class ArrayDataset(Dataset):
    """Samples of X with their class and weight.

    Parameters
    ----------
    X : ndarray of shape (n_samples, ...)
        Input; a memory map is read batch by batch.
    y : ndarray of shape (n_samples,)
        Class of each sample, as an index.
    weight : ndarray of shape (n_samples,) or (n_samples, n_members)
        Weight of each sample, or its weight for each of several networks.
    """

    def __init__(self, X: NDArray, y: NDArray, weight: NDArray) -> None:
        self.X, self.y, self.weight = X, y, weight

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.X)

    def __getitem__(self, index: Index) -> tuple[NDArray, tuple[NDArray, NDArray]]:
        """Return samples in the ``X, y`` form of skorch, the weight beside y."""
        return self.X[index], (self.y[index], self.weight[index])

    def take(self, index: NDArray) -> tuple[NDArray, tuple[NDArray, NDArray]]:
        """Return the samples of an index, for less than ``self[index]``."""
        return self.X.take(index, axis=0), (self.y.take(index), self.weight.take(index, axis=0))

    def subset(self, index: NDArray) -> ArrayDataset:
        """Return the samples of an index as a data set of their own; a memory map stays one."""
        return ArrayDataset(rows_at(self.X, index), self.y[index], self.weight[index])


class ArrayBatches:
    """Slices of an :class:`ArrayDataset`: no worker, no collation.

    Parameters
    ----------
    dataset : ArrayDataset
    batch_size : int
        Samples of a batch; the last may be smaller.
    generator : torch.Generator, optional
        Shuffles the samples anew for every pass; None keeps their order.
    samples_per_class : int, optional
        Samples of one class that come together, as :func:`class_batches` says; a batch then
        differs from the others in size by less than two such groups.
    """

    def __init__(
        self,
        dataset: ArrayDataset,
        batch_size: int,
        generator: torch.Generator | None = None,
        samples_per_class: int | None = None,
    ) -> None:
        self.dataset, self.batch_size, self.generator = dataset, batch_size, generator
        self.samples_per_class = samples_per_class

    def __len__(self) -> int:
        """Return the number of batches."""
        return -(-len(self.dataset) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, tuple[Tensor, Tensor]]]:
        """Yield ``X, (y, weight)`` as tensors."""
        for index in self._batches():
            X, (y, weight) = self.dataset.take(index)
            yield torch.from_numpy(X), (torch.from_numpy(y), torch.from_numpy(weight))

    def _batches(self) -> list[NDArray]:
        """Return the samples of each batch of a new pass."""
        if self.samples_per_class is not None:
            return class_batches(self.dataset.y, len(self), self.samples_per_class, self.generator)
        n_samples = len(self.dataset)
        order = np.arange(n_samples)
        if self.generator is not None:
            order = torch.randperm(n_samples, generator=self.generator).numpy()
        return [
            order[start : start + self.batch_size] for start in range(0, n_samples, self.batch_size)
        ]


def make_iterator(
    dataset: Dataset,
    batch_size: int,
    generator: torch.Generator | None = None,
    samples_per_class: int | None = None,
) -> ArrayBatches | DataLoader:
    """Return slices of an array data set, a DataLoader over any other."""
    if isinstance(dataset, ArrayDataset):
        return ArrayBatches(dataset, batch_size, generator, samples_per_class)
    return DataLoader(dataset, batch_size, shuffle=generator is not None, generator=generator)
