"""Samples grouped by class, so that within-class pairs cost no more than they must."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from sklearn_iso._geometry.distances import centred_rows, stacked_distances, unit_for_powers

#: The p of a norm, or a function from X to the matrix of its distances.
Metric = float | Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Placed:
    """Maps in the blocks of a batch.

    Attributes
    ----------
    rows : list of Tensor of shape (n_blocks, n_rows, n_units)
        The samples of each map, each block about its mean.
    distances : Tensor of shape (n_maps, n_blocks, n_rows, n_rows)
    """

    rows: list[Tensor]
    distances: Tensor


@dataclass(frozen=True)
class Blocks:
    """Samples of a batch in blocks, every one padded to the same length.

    Attributes
    ----------
    index : Tensor of shape (n_blocks, n_rows)
        Sample of the batch that stands at each place; padding may repeat any sample.
    place : Tensor of shape (n_samples,)
        The one place of each sample that counts, in the flattened blocks.
    pair_weight : Tensor of shape (n_blocks, n_rows, n_rows)
        ``w_i w_j`` of each pair that counts, 0 elsewhere.
    total_weight : float
        Sum of the weights of all samples.
    """

    index: Tensor
    place: Tensor
    pair_weight: Tensor
    total_weight: float

    def distances(
        self, X: Tensor, metric: Metric = 2.0, *, dtype: torch.dtype | None = None
    ) -> Tensor:
        """Return the distances of the pairs, (n_blocks, n_rows, n_rows), without a graph.

        `metric` is the p of a norm, or a function from X (n_samples, ...) to the matrix of
        all distances (n_samples, n_samples). `dtype` is that of the distances, by default X's.
        """
        with torch.no_grad():
            if callable(metric):
                given = metric(X.clone())[self.index.unsqueeze(2), self.index.unsqueeze(1)]
                return given if dtype is None else given.to(dtype)
            X = (X if dtype is None else X.to(dtype)).flatten(1)
            unit = unit_for_powers(X, metric)
            if unit != 1:
                return self._norms(X / unit, metric).mul_(unit)
            return self._norms(X, metric)

    def distances_with(
        self, X: Tensor, maps: Sequence[Tensor], metric: Metric = 2.0, *, dtype: torch.dtype
    ) -> tuple[Tensor, Placed | None]:
        """Return the distances of X, and Euclidean ones of maps of X where one pass finds both.

        Of small blocks, a step costs the same for one map and for all at once. None where X has
        another metric, other floats than the maps, or a unit of its own.
        """
        with torch.no_grad():
            alike = metric == 2.0 and all(Z.dtype == X.dtype == dtype for Z in maps)
            if not alike or unit_for_powers(X) != 1:
                return self.distances(X, metric, dtype=dtype), None
            rows, *of_maps = [centred_rows(Z.flatten(1), self.index) for Z in (X, *maps)]
            distances = stacked_distances([rows, *of_maps])
            return distances[0], Placed(of_maps, distances[1:])

    def _norms(self, X: Tensor, order: float) -> Tensor:
        if order == 2:
            return stacked_distances([centred_rows(X, self.index)])[0]
        rows = X[self.index]
        return torch.cdist(rows, rows, p=order)

    def only(self, counts: Tensor) -> Blocks:
        """Return the same blocks with fewer pairs: those where `counts` is True."""
        return replace(self, pair_weight=torch.where(counts, self.pair_weight, 0))


def one_block(weight: Tensor) -> Blocks:
    """Return all samples of a batch as one block, every pair counted.

    Parameters
    ----------
    weight : Tensor of shape (n_samples,)

    Returns
    -------
    blocks : Blocks

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso._geometry import one_block
    >>> one_block(torch.tensor([1.0, 2.0])).pair_weight
    tensor([[[1., 2.],
             [2., 4.]]])
    """
    place = torch.arange(len(weight), device=weight.device)
    pair_weight = torch.outer(weight, weight)[None]
    return Blocks(place[None], place, pair_weight, float(weight.sum()))


def class_blocks(y: Tensor, weight: Tensor) -> Blocks:
    """Group a batch by class; pairs of a block are the within-class pairs.

    Classes are blocks of their own unless they differ so much in size that padding would
    cost more than one block of the whole batch.

    Parameters
    ----------
    y : Tensor of shape (n_samples,)
        Class of each sample, a non-negative integer.
    weight : Tensor of shape (n_samples,)
        Weight of each sample.

    Returns
    -------
    blocks : Blocks

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso._geometry import class_blocks
    >>> class_blocks(torch.tensor([1, 0, 0, 1] * 8), torch.ones(32)).index.shape
    torch.Size([2, 16])
    """
    # numpy: twenty steps on a hundred integers cost a third of what they do in torch.
    labels, weights = y.numpy(force=True), weight.numpy(force=True)
    counts = np.bincount(labels)
    counts = counts[counts > 0]
    # Matrix products of a length divisible by four take half the time.
    longest = -(-int(counts.max()) // 4) * 4
    if len(counts) * longest**2 > len(labels) ** 2:
        return one_block(weight).only(y.unsqueeze(0) == y.unsqueeze(1))
    order = labels.argsort(kind="stable")
    steps = np.arange(longest)
    index = order.take((counts.cumsum() - counts)[:, None] + steps, mode="clip")
    present = steps < counts[:, None]
    place = np.empty_like(order)
    place[order] = present.ravel().nonzero()[0]
    placed = weights.take(index) * present
    pair_weight = placed[:, :, None] * placed[:, None, :]
    on_device = [torch.from_numpy(array).to(y.device) for array in (index, place, pair_weight)]
    return Blocks(on_device[0], on_device[1], on_device[2], float(weights.sum()))
