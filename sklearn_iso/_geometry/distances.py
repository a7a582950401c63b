"""Euclidean distances whose gradient is zero, never NaN, where two points coincide."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sklearn_iso._protocols import Context


def power_of_two(X: Tensor) -> float:
    """Return the power of two at the largest magnitude of X, by which dividing is exact.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso._geometry.distances import power_of_two
    >>> power_of_two(torch.tensor([-5.0, 3.0])), power_of_two(torch.zeros(2))
    (4.0, 1.0)
    """
    if not X.numel():
        return 1.0
    least, most = torch.aminmax(X)
    return power_below(max(-least.item(), most.item()))


def power_below(largest: float) -> float:
    """Return the power of two at a magnitude; 1 at 0 and infinity."""
    return math.ldexp(1.0, math.frexp(largest)[1] - 1) if 0 < largest < math.inf else 1.0


def unit_for_powers(X: Tensor, order: float = 2.0) -> float:
    """Return what to divide X by so that powers of its distances are numbers of its dtype.

    It is 1 unless X is so large or small that the powers would overflow or vanish.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso._geometry.distances import unit_for_powers
    >>> unit_for_powers(torch.tensor([3.0])), unit_for_powers(torch.tensor([2.0**100]))
    (1.0, 1.2676506002282294e+30)
    """
    unit = power_of_two(X)
    power = 1.0 if math.isinf(order) else order
    # Three quarters of the range of exponents, for sums and for the digits of near pairs.
    room = 0.75 * -math.log2(torch.finfo(X.dtype).tiny)
    return unit if abs(math.log2(unit)) * power > room else 1.0


def centred_rows(Z: Tensor, index: Tensor) -> Tensor:
    """Return the samples (n_samples, d) in blocks (n_blocks, n_rows, d), each about its mean."""
    rows = Z.index_select(0, index.reshape(-1)).view(*index.shape, Z.shape[1])
    # Out of place where Z itself came back: a view of it must not be changed.
    return rows - rows.mean(1, keepdim=True)


def stacked_distances(maps: Sequence[Tensor]) -> Tensor:
    """Return the distances (n_maps, n_blocks, n_rows, n_rows) within blocks of centred samples.

    The Gram expansion ``|a|^2 + |b|^2 - 2ab`` cancels for near pairs far from the origin:
    hence centred samples.
    """
    n_blocks, n_rows, _ = maps[0].shape
    gram = maps[0].new_empty(len(maps), n_blocks, n_rows, n_rows)
    for rows, product in zip(maps, gram, strict=True):
        torch.bmm(rows, rows.mT, out=product)
    # The squares from the same product: the diagonal cancels to exactly 0.
    squares = gram.diagonal(dim1=2, dim2=3)
    sums = squares.unsqueeze(3) + squares.unsqueeze(2)
    return sums.sub_(gram, alpha=2).clamp_min_(0).sqrt_()


def pull_rows(maps: Sequence[Tensor], distances: Tensor, slope: Tensor) -> list[Tensor]:
    r"""Return the gradients in the samples, given symmetric slopes in the stacked distances.

    .. math:: \frac{\partial L}{\partial z_i} = \sum_j
              \Bigl( \frac{\partial L}{\partial d_{ij}} + \frac{\partial L}{\partial d_{ji}}
              \Bigr) \frac{z_i - z_j}{d_{ij}}

    with 0 for the terms of coincident points; `slope` is the sum in the brackets.
    """
    pull = (slope / distances).nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0)
    totals = pull.sum(3, keepdim=True)
    return [
        torch.baddbmm(total * rows, pulls, rows, alpha=-1)
        for rows, pulls, total in zip(maps, pull, totals, strict=True)
    ]


class _PairwiseDistances(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Context, Z: Tensor) -> Tensor:
        unit = unit_for_powers(Z)
        rows = Z / unit if unit != 1 else Z
        rows = (rows - rows.mean(0)).unsqueeze(0)
        distances = stacked_distances([rows])
        ctx.save_for_backward(rows, distances)  # the gradient has no unit
        return distances[0, 0] * unit

    @staticmethod
    def backward(ctx: Context, gradient: Tensor) -> Tensor:
        rows, distances = ctx.saved_tensors
        (pulled,) = pull_rows([rows], distances, gradient + gradient.mT)
        return pulled[0]


def pairwise_distances(Z: Tensor) -> Tensor:
    r"""Return the Euclidean distances between all samples.

    .. math:: d_{ij} = \lVert z_i - z_j \rVert_2

    Parameters
    ----------
    Z : Tensor of shape (n_samples, d)
        Points.

    Returns
    -------
    distances : Tensor of shape (n_samples, n_samples)
        Symmetric, with a zero diagonal, in the units of `Z`. The gradient at a pair of
        coincident points is 0.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso._geometry import pairwise_distances
    >>> pairwise_distances(torch.tensor([[0.0, 0.0], [3.0, 4.0]]))
    tensor([[0., 5.],
            [5., 0.]])
    """
    distances: Tensor = _PairwiseDistances.apply(Z)
    return distances
