"""Stress: how far the distances of a representation are from those of the input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

import torch
from torch import Tensor

from sklearn_iso._geometry.blocks import Blocks, Placed
from sklearn_iso._geometry.distances import (
    centred_rows,
    pull_rows,
    stacked_distances,
    unit_for_powers,
)
from sklearn_iso._protocols import Context

if TYPE_CHECKING:
    from typing_extensions import Unpack


def fitted_factors(d_X: Tensor, d_Z: Tensor, weight: Tensor) -> list[float]:
    r"""Return for each map the factor that brings its distances closest to those of X.

    .. math:: c^* = \arg\min_c \sum w (c\, d_Z - d_X)^2 = \frac{\sum w\, d_X d_Z}{\sum w\, d_Z^2}

    Parameters
    ----------
    d_X : Tensor
        Distances of the input.
    d_Z : Tensor of shape (n_maps, ...)
        Distances of each map.
    weight : Tensor of the shape of d_X or of d_Z
        Non-negative pair weights, the same for all maps or those of each.

    Returns
    -------
    factors : list of float
        The reciprocals of the scales `s` in ``d_Z = s * d_X``; 0 for a collapsed map, which
        no factor can mend.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso._geometry import fitted_factors
    >>> d_X = torch.tensor([1.0, 2.0])
    >>> fitted_factors(d_X, torch.stack([2 * d_X, 0 * d_X]), torch.ones(2))
    [0.5, 0.0]
    """
    weighted = (weight * d_Z).flatten(1)
    powers = torch.linalg.vecdot(weighted, d_Z.flatten(1)).tolist()
    products = torch.mv(weighted, d_X.flatten()).tolist()
    return [p / power if power > 0 else 0.0 for p, power in zip(products, powers, strict=True)]


@dataclass(frozen=True)
class Kernel:
    """What a stress does with a residual ``c * d_Z - d_X``.

    Attributes
    ----------
    absolute : bool
        Take its size, not its square.
    one_sided : bool
        Count expansion only: a residual below 0 is 0.
    """

    absolute: bool = False
    one_sided: bool = False

    def value_and_slope(self, residual: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, float]:
        """Return the weighted sum of the losses, and its slope in the residual over a factor."""
        if self.one_sided:
            residual = residual.clamp_min_(0)
        slope = weight * (residual.sign() if self.absolute else residual)
        value = torch.dot(slope.flatten(), residual.flatten())
        return value, slope, 1.0 if self.absolute else 2.0


class Options(TypedDict, total=False):
    """What a stress may be told beside its distances."""

    factor: float | None
    kernel: Kernel


@dataclass(frozen=True)
class Stress:
    r"""Stress of representations against the distances of one input.

    .. math:: \frac{\sum_{ij} w_{ij}\, \rho(c\, d_Z(z_i, z_j) - d_X(x_i, x_j))}{D}

    with the factor `c` one over the scale, fitted or given. The fitted factor minimises the
    two-sided squares and needs no gradient of its own there (envelope theorem).

    Attributes
    ----------
    blocks : Blocks
        Which pairs there are.
    d_X, weight : Tensor of the blocks' shape
        Distances of the input, in whose dtype all is computed, and the weight of each pair.
    divisor : float
        The D, taken from the input, so that a network cannot lower the value by shrinking Z.
    factor : float or None
        The c; None fits it to each representation.
    kernel : Kernel
        The rho: squares by default.

    References
    ----------
    I. Borg, P. Groenen, *Modern Multidimensional Scaling*, 2nd ed., Springer 2005, ch. 3.
    K. Smelser, J. Miller, S. Kobourov, "Normalized Stress is Not Normalized", 2024,
    arXiv:2408.07724.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso._geometry import Stress, class_blocks
    >>> X = torch.tensor([[0.0], [1.0], [3.0]])
    >>> blocks = class_blocks(torch.zeros(3, dtype=int), torch.ones(3))
    >>> stress = Stress.normalized(blocks, blocks.distances(X))
    >>> bool(stress(7 * X) < 1e-6), bool(stress(X**2) > 0.01)
    (True, True)
    """

    blocks: Blocks
    d_X: Tensor
    weight: Tensor
    divisor: float
    factor: float | None = None
    kernel: Kernel = Kernel()

    @classmethod
    def normalized(cls, blocks: Blocks, d_X: Tensor, **options: Unpack[Options]) -> Stress:
        """Return the stress over the squared distances of X: ``1 - cos^2`` if fitted."""
        d_X, options["factor"] = _in_unit(d_X, options.get("factor"))
        weight = blocks.pair_weight
        return cls(blocks, d_X, weight, _dot(weight * d_X, d_X), **options)

    @classmethod
    def raw(cls, blocks: Blocks, d_X: Tensor, **options: Unpack[Options]) -> Stress:
        """Return the stress over the weight of all pairs of samples, counted or not."""
        return cls(blocks, d_X, blocks.pair_weight, blocks.total_weight**2, **options)

    @classmethod
    def relative(cls, blocks: Blocks, d_X: Tensor, **options: Unpack[Options]) -> Stress:
        """Return the mean of ``rho(c * d_Z / d_X - 1)`` over pairs of distinct points.

        Near pairs count as much as far ones, so their distances must keep their digits: with d_X
        in float64, those of representations in float32 are taken in float64 too.
        """
        d_X, options["factor"] = _in_unit(d_X, options.get("factor"))
        apart = torch.where(d_X > 0, blocks.pair_weight, 0)
        weight = torch.where(d_X > 0, apart / d_X.square(), 0)
        return cls(blocks, d_X, weight, float(apart.sum()), **options)

    @classmethod
    def absolute(cls, blocks: Blocks, d_X: Tensor, one_sided: bool, factor: float) -> Stress:
        """Return the sum of absolute residuals over the sum of the distances of X."""
        d_X, in_unit = _in_unit(d_X, factor)
        weight = blocks.pair_weight
        kernel = Kernel(absolute=True, one_sided=one_sided)
        return cls(blocks, d_X, weight, _dot(weight, d_X), in_unit, kernel)

    def __call__(self, *Z: Tensor, placed: Placed | None = None) -> Tensor:
        """Return the mean stress of representations (n_samples, ...); 0 where the divisor is.

        `placed` is what is known of these representations already.
        """
        value: Tensor = _Stress.apply(self, placed, *(z.flatten(1) for z in Z))
        return value


def _in_unit(d_X: Tensor, factor: float | None) -> tuple[Tensor, float | None]:
    """Return distances and the factor of a map in a unit in which squares are numbers.

    A stress over one of the input has no unit; most distances are left as they are.
    """
    unit = unit_for_powers(d_X)
    if unit == 1:
        return d_X, factor
    return d_X / unit, None if factor is None else factor / unit


def _dot(a: Tensor, b: Tensor) -> float:
    return torch.dot(a.flatten(), b.flatten()).item()


class _Context(Context):
    """What the gradient of a stress needs."""

    dtype: torch.dtype
    factor: Tensor | float
    lengths: list[int]


class _Stress(torch.autograd.Function):
    """Value and gradient in one go, of all maps: small batches pay by the operation."""

    @staticmethod
    def forward(ctx: _Context, stress: Stress, placed: Placed | None, *Z: Tensor) -> Tensor:
        if placed is None:
            maps = [centred_rows(z.to(stress.d_X.dtype), stress.blocks.index) for z in Z]
            placed = Placed(maps, stacked_distances(maps))
        maps, d_Z = placed.rows, placed.distances
        c: Tensor | float | None = stress.factor
        if c is None:
            factors = fitted_factors(stress.d_X, d_Z, stress.weight)
            c = d_Z.new_tensor(factors).view(-1, 1, 1, 1)
        residual = (d_Z * c).sub_(stress.d_X)
        ctx.dtype = Z[0].dtype
        value, slope, twice = stress.kernel.value_and_slope(residual, stress.weight)
        # Plain numbers: on small batches an operation on a scalar tensor costs a matrix's.
        share = 1 / (stress.divisor * len(Z)) if stress.divisor > 0 else 0.0
        ctx.save_for_backward(d_Z, slope, stress.blocks.place, *maps)
        # A pair stands in both triangles of the matrix, hence 2.
        ctx.factor, ctx.lengths = c * (2 * twice * share), [len(z) for z in Z]
        return (value * share).to(ctx.dtype)

    @staticmethod
    def backward(ctx: _Context, gradient: Tensor) -> tuple[Tensor | None, ...]:
        d_Z, slope, place, *maps = ctx.saved_tensors
        pulled = pull_rows(maps, d_Z, slope * (gradient.to(slope) * ctx.factor))
        parts = zip((rows.flatten(0, 1).to(ctx.dtype) for rows in pulled), ctx.lengths, strict=True)
        return None, None, *(_placed(rows, place, n_samples) for rows, n_samples in parts)


def _placed(rows: Tensor, place: Tensor, n_samples: int) -> Tensor:
    """Return the samples at their places; the samples after those are in no pair."""
    if n_samples == len(place):
        return rows.index_select(0, place)
    whole = rows.new_zeros(n_samples, rows.shape[1])
    torch.index_select(rows, 0, place, out=whole[: len(place)])
    return whole
