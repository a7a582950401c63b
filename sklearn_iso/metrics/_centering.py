"""Centred points, block by block, and their products: what compares shapes without all pairs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_iso.metrics._pairs import binary_scale, check_pair_of_spaces
from sklearn_iso.metrics._weights import weighted

Values = NDArray[np.float64]

_BLOCK_ENTRIES = 2**20  # 8 MB of float64


@dataclass(frozen=True)
class Centered:
    r"""Points around their weighted mean, each times the root of its weight, up to a scale.

    Attributes
    ----------
    points : ndarray of shape (n_samples, n_features)
        As they came, in any dtype; a block of them at a time becomes float64.
    unit : float
        The power of two by which they are divided, so that squares neither overflow nor vanish.
    first, mean : ndarray of shape (n_features,)
        The first sample in that unit, and the mean around it: what is constant becomes exactly 0.
    root : ndarray of shape (n_samples,) or None
        Root of the weights.
    is_weighted : bool
        Whether the samples had different weights.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.metrics._centering import Centered
    >>> [block] = Centered.of(np.array([[1.0], [3.0]]), None).blocks()
    >>> block.tolist()
    [[-0.5], [0.5]]
    """

    points: NDArray
    unit: float
    first: Values
    mean: Values
    root: Values | None = None
    is_weighted: bool = False

    @classmethod
    def of(cls, points: NDArray, weight: Values | None) -> Centered:
        """Return centred points; of more features than samples, their coordinates in the span."""
        unit = binary_scale(points)
        zero, root = np.zeros(points.shape[1]), None if weight is None else np.sqrt(weight)
        first = cls(points, unit, zero, zero).block(slice(0, 1))[0]
        around_first = cls(points, unit, first, zero)
        sums = [
            block.sum(axis=0) if weight is None else weight[rows] @ block
            for rows, block in around_first._blocks()
        ]
        total = float(len(points)) if weight is None else float(weight.sum())
        centered = cls(points, unit, first, np.sum(sums, axis=0) / total, root, root is not None)
        return centered if len(points) >= points.shape[1] else centered._in_their_span()

    def blocks(self) -> Iterator[Values]:
        """Give all of them, in blocks of samples."""
        for _, block in self._blocks():
            yield block

    def squared_norms(self) -> Values:
        """Return the squared distance of each sample from the mean, times its weight."""
        return np.concatenate([np.einsum("ij,ij->i", block, block) for block in self.blocks()])

    def block(self, rows: slice) -> Values:
        """Return some of the centred and weighted points, in float64."""
        block: Values = self.points[rows].astype(np.float64)
        block /= self.unit
        block -= self.first
        block -= self.mean
        if self.root is not None:
            block *= self.root[rows, np.newaxis]
        return block

    def _blocks(self) -> Iterator[tuple[slice, Values]]:
        step = max(1, _BLOCK_ENTRIES // self.points.shape[1])
        for start in range(0, len(self.points), step):
            rows = slice(start, start + step)
            yield rows, self.block(rows)

    def _in_their_span(self) -> Centered:
        # A = L Q with orthonormal rows in Q: L is A, rotated into as many features as samples.
        whole = np.concatenate(list(self.blocks()))
        lower = cast(Values, np.linalg.qr(whole.T, mode="r")).T
        zero = np.zeros(lower.shape[1])
        return Centered(lower, 1.0, zero, zero, is_weighted=self.is_weighted)


def centered_pair(
    X: ArrayLike, Z: ArrayLike, sample_weight: ArrayLike | None
) -> tuple[Centered, Centered]:
    """Return X and Z, checked and centred, without the samples of weight 0.

    Examples
    --------
    >>> from sklearn_iso.metrics._centering import centered_pair
    >>> X, Z = centered_pair([[0.0], [1.0]], [[0, 0, 5], [1, 1, 5]], None)
    >>> Z.points.shape
    (2, 2)
    """
    weight, X, Z = weighted(sample_weight, X, Z)
    X, Z, _ = check_pair_of_spaces(X, Z, None)
    if weight is not None and np.ptp(weight) == 0:
        weight = None
    return Centered.of(X, weight), Centered.of(Z, weight)


def in_step(X: Centered, Z: Centered) -> Iterator[tuple[Values, Values]]:
    """Give blocks of the same samples of both sides.

    Examples
    --------
    >>> from sklearn_iso.metrics._centering import centered_pair, in_step
    >>> [(x, z)] = in_step(*centered_pair([[0.0], [1.0]], [[0.0], [2.0]], None))
    >>> x.tolist(), z.tolist()
    ([[-0.5], [0.5]], [[-0.5], [0.5]])
    """
    step = max(1, _BLOCK_ENTRIES // max(X.points.shape[1], Z.points.shape[1]))
    for start in range(0, len(X.points), step):
        rows = slice(start, start + step)
        yield X.block(rows), Z.block(rows)


def cross_product(X: Centered, Z: Centered) -> Values:
    r"""Return :math:`X^\top Z` of centred points, of shape (n_features of X, n_features of Z).

    Examples
    --------
    >>> from sklearn_iso.metrics._centering import centered_pair, cross_product
    >>> cross_product(*centered_pair([[0.0], [1.0]], [[0.0], [2.0]], None)).tolist()
    [[0.5]]
    """
    total = np.zeros((X.points.shape[1], Z.points.shape[1]))
    for x, z in in_step(X, Z):
        total += x.T @ z
    return total
