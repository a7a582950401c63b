"""The norm "l1", whose ball has corners: few features move far."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sklearn_iso._geometry.norm import Norm, columns_of, room_along, scaled_by_peak, steep


def _shrunk_into(magnitudes: Tensor, room: Tensor) -> Tensor:
    r"""Return :math:`\min(\max(m - \lambda, 0), room)` with the :math:`\lambda` of sum 1.

    The sum falls from more than 1 to 0 as lambda grows, linearly between the breakpoints m
    and m - room: these are sorted, and lambda interpolates the two around a sum of 1.
    """
    n_features = magnitudes.shape[1]
    breakpoints = torch.cat([magnitudes, magnitudes - room], dim=1)
    values, order = breakpoints.sort(dim=1, descending=True)
    # Falling through m one more entry grows, through m - room it has reached its room.
    growing = torch.where(order < n_features, 1, -1).cumsum(dim=1)
    sums = (growing[:, :-1] * (values[:, :-1] - values[:, 1:])).cumsum(dim=1)
    beyond = (sums < 1).sum(dim=1, keepdim=True).clamp(max=sums.shape[1] - 1)
    excess = (sums.gather(1, beyond) - 1).clamp(min=0)
    threshold = values.gather(1, beyond + 1) + excess / growing.gather(1, beyond).clamp(min=1)
    shrunk = torch.minimum((magnitudes - threshold.clamp(min=0)).clamp(min=0), room)
    # Rounding in the cumulative sum may leave a size of 1 + 1e-6.
    return shrunk / shrunk.sum(dim=1, keepdim=True).clamp(min=1)


@dataclass(frozen=True)
class L1(Norm):
    r"""Sum of absolute entries.

    The steepest step moves one feature only and makes an iterated attack crawl in high
    dimension: a step changes one pixel. :meth:`ascent` therefore spreads a step over the
    features with the largest gradients, as [1]_ does, but in proportion to these gradients
    instead of equally, and takes the steepest step now and then: the projection takes the same
    amount from every feature, so equal shares would stay equal for ever and never gather on the
    best feature.

    Parameters
    ----------
    fraction : float
        Share of the features that a step of :meth:`ascent` moves, at least one feature.
    settle_every : int
        Every so many steps, one is the steepest.

    References
    ----------
    .. [1] Tramer, Boneh, Adversarial Training and Robustness for Multiple Perturbations,
       NeurIPS 2019 (section 3, sparse l1 descent).
    .. [2] Duchi, Shalev-Shwartz, Singer, Chandra, Efficient Projections onto the l1-Ball for
       Learning in High Dimensions, ICML 2008.
    .. [3] Croce, Hein, Mind the box: l1-APGD for sparse adversarial attacks on image
       classifiers, ICML 2021.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso._geometry.norms import L1
    >>> gradient = torch.tensor([[3.0, -1.0, 0.5, 0.0]])
    >>> L1().steepest(gradient)
    tensor([[1., -0., 0., 0.]])
    >>> L1(fraction=0.5).ascent(gradient)
    tensor([[ 0.7500, -0.2500,  0.0000,  0.0000]])
    >>> L1().project(gradient)
    tensor([[1., -0., 0., 0.]])
    """

    fraction: float = 0.01
    settle_every: int = 4
    name: str = "l1"
    order: float = 1.0

    def steepest(self, gradient: Tensor) -> Tensor:
        """Sign of the largest gradient, 0 for the other features."""
        return self._proportional(gradient, n_features=1)

    def ascent(self, gradient: Tensor, step: int = 0) -> Tensor:
        """Largest gradients in proportion; every fourth step, the largest alone."""
        if step % self.settle_every == self.settle_every - 1:
            return self.steepest(gradient)
        n_features = math.ceil(self.fraction * math.prod(gradient.shape[1:]))
        return self._proportional(gradient, n_features=max(1, n_features))

    def _proportional(self, gradient: Tensor, n_features: int) -> Tensor:
        columns = columns_of(scaled_by_peak(gradient))
        largest = columns.abs().topk(min(n_features, columns.shape[1]), dim=1)
        share = largest.values / largest.values.sum(dim=1, keepdim=True).clamp(min=1)
        step = torch.zeros_like(columns).scatter(1, largest.indices, share)
        return (step * columns.sign()).view_as(gradient)

    def project(self, v: Tensor) -> Tensor:
        """Entries shrunk towards 0 by one threshold for each sample, found by sorting [2]_."""
        outside = self.size(v) > 1
        if not outside.any():
            return v
        rows = columns_of(v[outside])
        magnitudes = rows.abs()
        descending = magnitudes.sort(dim=1, descending=True).values
        count = torch.arange(1, rows.shape[1] + 1, dtype=v.dtype, device=v.device)
        thresholds = (descending.cumsum(dim=1) - 1) / count
        n_kept = (descending > thresholds).sum(dim=1, keepdim=True).clamp(min=1)
        shrunk = (magnitudes - thresholds.gather(1, n_kept - 1)).clamp(min=0)
        # Rounding in the cumulative sum may leave a size of 1 + 1e-6.
        shrunk = shrunk / shrunk.sum(dim=1, keepdim=True).clamp(min=1)
        projected = v.clone()
        projected[outside] = (shrunk * rows.sign()).view_as(v[outside])
        return projected

    def farthest(self, gradient: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Features filled up to the box in the order of their gradients, until the size is 1."""
        columns = columns_of(gradient)
        room = columns_of(torch.where(gradient > 0, high, -low)).masked_fill(columns == 0, 0)
        order = columns.abs().argsort(dim=1, descending=True)
        filled = room.gather(1, order).cumsum(dim=1).clamp(max=1)
        amounts = filled.diff(dim=1, prepend=torch.zeros_like(filled[:, :1]))
        step = torch.zeros_like(columns).scatter(1, order, amounts)
        return torch.minimum(step, room).copysign(columns).view_as(gradient)

    def reach(
        self, gradient: Tensor, climb: Tensor, low: Tensor | None, high: Tensor | None
    ) -> Tensor:
        """Features filled up to the box in the order of their gradients, until they climb."""
        scaled, amount = steep(gradient, climb)
        slopes, room = columns_of(scaled).abs(), columns_of(room_along(scaled, low, high))
        steepest_first = slopes.argsort(dim=1, descending=True)
        slopes, room = slopes.gather(1, steepest_first), room.gather(1, steepest_first)
        gains = torch.where(room > 0, slopes * room, 0)
        climbed = torch.minimum(gains.cumsum(dim=1), amount.unsqueeze(1))
        gained = climbed.diff(dim=1, prepend=torch.zeros_like(climbed[:, :1]))
        filled = torch.where(slopes > 0, gained / slopes, 0)
        step = torch.zeros_like(filled).scatter(1, steepest_first, torch.minimum(filled, room))
        return step.view_as(scaled).copysign(scaled)

    def step_into(
        self,
        v: Tensor,
        gradient: Tensor,
        length: float | Tensor,
        step: int,
        *,
        low: Tensor,
        high: Tensor,
    ) -> Tensor:
        """Move v towards the farthest point, a conditional-gradient step.

        It never leaves ball and box, and reaches their common vertices exactly.
        """
        share = min(length, 1) if isinstance(length, (int, float)) else length.clamp(max=1)
        return v + share * (self.farthest(gradient, low, high) - v)

    def project_into(self, v: Tensor, low: Tensor, high: Tensor) -> Tensor:
        r"""Nearest point of ball and box, :math:`\pm\min(\max(|v| - \lambda, 0), room)` [3]_."""
        room = columns_of(torch.where(v > 0, high, -low))
        rows = columns_of(v)
        magnitudes = rows.abs()
        if room.isinf().any():  # no more room is needed than what there is to shrink
            room = torch.where(room.isinf(), magnitudes, room)
        clipped = torch.minimum(magnitudes, room)
        outside = clipped.sum(dim=1) > 1
        if outside.any():
            clipped[outside] = _shrunk_into(magnitudes[outside], room[outside])
        return clipped.copysign(rows).view_as(v)

    def random(
        self,
        shape: tuple[int, ...],
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """Exponential magnitudes over their sum with one more, random signs."""
        device = generator.device
        n, d = shape[0], math.prod(shape[1:])
        draws = torch.empty((n, d + 1), dtype=dtype, device=device)
        draws.exponential_(generator=generator)
        signs = torch.rand((n, d), generator=generator, dtype=dtype, device=device) - 0.5
        return (draws[:, :d] / draws.sum(dim=1, keepdim=True)).copysign(signs).reshape(shape)
