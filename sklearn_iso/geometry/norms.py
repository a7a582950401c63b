"""Norms of a perturbation as values: what an attack has to know of the ball it moves in."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from numbers import Real

import torch
from torch import Tensor

#: Lengths between this and its reciprocal square without under- or overflow in float32.
_SAFE = 1e-15


def _columns(v: Tensor) -> Tensor:
    """Rows as vectors: shape (n, d) whatever the trailing shape."""
    return v.reshape(v.shape[0], -1)


def _along(factor: Tensor, v: Tensor) -> Tensor:
    """One factor for each row, shaped to broadcast against the rows of v."""
    return factor.reshape(-1, *[1] * (v.ndim - 1))


def _scaled_by_peak(gradient: Tensor) -> Tensor:
    """Rows divided by their largest entry, so that no square under- or overflows."""
    if gradient.numel() == 0:
        return gradient
    peak = _columns(gradient).abs().amax(dim=1)
    return gradient / _along(torch.where(peak > 0, peak, 1), gradient)


class Norm(ABC):
    r"""A norm on the rows of a tensor, of shape (n, ...), and its unit ball.

    Attributes
    ----------
    name : str
        The name that users pass: "linf", "l2" or "l1".
    order : float
        p of the p-norm.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.geometry.norms import get_norm
    >>> get_norm("l2").project(torch.tensor([[3.0, 4.0], [0.3, 0.4]]))
    tensor([[0.6000, 0.8000],
            [0.3000, 0.4000]])
    """

    name: str
    order: float

    def size(self, v: Tensor) -> Tensor:
        r"""Size of each row, :math:`\|v_i\|_p`, of shape (n,)."""
        return torch.linalg.vector_norm(_columns(v), ord=self.order, dim=1)

    @abstractmethod
    def steepest(self, gradient: Tensor) -> Tensor:
        r"""Return the unit step u that climbs most, the maximum of :math:`\langle g_i, u\rangle`.

        Its slope is the dual norm of the gradient. A row without a gradient does not move.
        """

    def ascent(self, gradient: Tensor, step: int = 0) -> Tensor:
        """Return the unit step of an iterated attack: the steepest unless a norm overrides it."""
        return self.steepest(gradient)

    @abstractmethod
    def project(self, v: Tensor) -> Tensor:
        """Nearest point (Euclidean) of the unit ball to each row; rows inside stay as they are."""

    def project_into(self, v: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Move rows into the unit ball and a box with low <= 0 <= high, both at once.

        Clipping shortens every entry, so a clipped row stays in the ball; it is the nearest
        such point only for norms that override this.
        """
        return self.project(v).clamp(low, high)

    def farthest(self, gradient: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Step from the centre that climbs far within the unit ball and a box around 0.

        It climbs most with the norms "linf" and "l1"; "l2" clips its steepest step.
        """
        return self.steepest(gradient).clamp(low, high)

    def step_into(
        self,
        v: Tensor,
        gradient: Tensor,
        length: float | Tensor,
        step: int,
        low: Tensor,
        high: Tensor,
    ) -> Tensor:
        """Move v by a step of the length, then back into the unit ball and a box around 0.

        Features that the box already holds back are left out, so that none of the step is
        spent on them. The length is a number, or one for each row, of shape (n, 1, ...).
        """
        held = ((v >= high) & (gradient > 0)) | ((v <= low) & (gradient < 0))
        ascent = self.ascent(gradient.masked_fill(held, 0), step)
        return self.project_into(v + length * ascent, low, high)

    @abstractmethod
    def random(
        self,
        shape: tuple[int, ...],
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """Rows drawn uniformly from the unit ball, on the device of the generator."""


@dataclass(frozen=True)
class LInf(Norm):
    """Largest absolute entry.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.geometry.norms import LInf
    >>> LInf().steepest(torch.tensor([[0.3, -2.0, 0.0]]))
    tensor([[ 1., -1.,  0.]])
    """

    name: str = "linf"
    order: float = math.inf

    def steepest(self, gradient: Tensor) -> Tensor:
        """Signs of the gradient."""
        return gradient.sign()

    def project(self, v: Tensor) -> Tensor:
        """Entries clipped to [-1, 1]."""
        return v.clamp(-1, 1)

    def step_into(
        self,
        v: Tensor,
        gradient: Tensor,
        length: float | Tensor,
        step: int,
        low: Tensor,
        high: Tensor,
    ) -> Tensor:
        """Step and clip; features move independently, so none need be left out."""
        return self.project_into(v + length * gradient.sign(), low, high)

    def random(
        self,
        shape: tuple[int, ...],
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """Entries uniform in [-1, 1)."""
        return torch.rand(shape, generator=generator, dtype=dtype, device=generator.device) * 2 - 1


@dataclass(frozen=True)
class L2(Norm):
    """Euclidean length.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.geometry.norms import L2
    >>> L2().steepest(torch.tensor([[3e-30, -4e-30], [0.0, 0.0]]))
    tensor([[ 0.6000, -0.8000],
            [ 0.0000,  0.0000]])
    """

    name: str = "l2"
    order: float = 2.0

    def steepest(self, gradient: Tensor) -> Tensor:
        """Gradient at length 1."""
        size = self.size(gradient)
        if size.numel() and size.min() > _SAFE and size.max() < 1 / _SAFE:
            return gradient * _along(1 / size, gradient)
        scaled = _scaled_by_peak(gradient)
        # A scaled row has length 0 or at least 1, so the clamp touches rows of zeros only.
        return scaled / _along(self.size(scaled).clamp(min=1), scaled)

    def project(self, v: Tensor) -> Tensor:
        """Rows longer than 1 shortened to length 1."""
        return v / _along(self.size(v).clamp(min=1), v)

    def random(
        self,
        shape: tuple[int, ...],
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """Uniform directions, radii distributed as U^(1/d)."""
        device = generator.device
        direction = self.steepest(
            torch.randn(shape, generator=generator, dtype=dtype, device=device)
        )
        radius = torch.rand(shape[0], generator=generator, dtype=dtype, device=device)
        return direction * _along(radius ** (1 / max(1, math.prod(shape[1:]))), direction)


def _shrunk_into(magnitudes: Tensor, room: Tensor) -> Tensor:
    r"""Rows :math:`\min(\max(m - \lambda, 0), room)` with the :math:`\lambda` of sum 1.

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
    >>> from sklearn_iso.geometry.norms import L1
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
        columns = _columns(_scaled_by_peak(gradient))
        largest = columns.abs().topk(min(n_features, columns.shape[1]), dim=1)
        share = largest.values / largest.values.sum(dim=1, keepdim=True).clamp(min=1)
        step = torch.zeros_like(columns).scatter(1, largest.indices, share)
        return (step * columns.sign()).view_as(gradient)

    def project(self, v: Tensor) -> Tensor:
        """Entries shrunk towards 0 by one threshold for each row, found by sorting [2]_."""
        outside = self.size(v) > 1
        if not outside.any():
            return v
        rows = _columns(v[outside])
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
        columns = _columns(gradient)
        room = _columns(torch.where(gradient > 0, high, -low)).masked_fill(columns == 0, 0)
        order = columns.abs().argsort(dim=1, descending=True)
        filled = room.gather(1, order).cumsum(dim=1).clamp(max=1)
        amounts = filled.diff(dim=1, prepend=torch.zeros_like(filled[:, :1]))
        step = torch.zeros_like(columns).scatter(1, order, amounts)
        return torch.minimum(step, room).copysign(columns).view_as(gradient)

    def step_into(
        self,
        v: Tensor,
        gradient: Tensor,
        length: float | Tensor,
        step: int,
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
        room = _columns(torch.where(v > 0, high, -low))
        rows = _columns(v)
        magnitudes = rows.abs()
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


NORMS: dict[str, Norm] = {norm.name: norm for norm in (LInf(), L2(), L1())}


def get_norm(norm: str | float | Norm) -> Norm:
    """Norm of a name, an order or itself.

    Parameters
    ----------
    norm : {"linf", "l2", "l1"}, {numpy.inf, 2, 1} or Norm

    Returns
    -------
    Norm

    Raises
    ------
    ValueError
        If no such norm is known.

    Examples
    --------
    >>> from sklearn_iso.geometry.norms import get_norm
    >>> get_norm(2)
    L2(name='l2', order=2.0)
    """
    if isinstance(norm, Norm):
        return norm
    for known in NORMS.values():
        is_order = isinstance(norm, Real) and not isinstance(norm, bool)
        if norm == known.order if is_order else isinstance(norm, str) and norm == known.name:
            return known
    raise ValueError(
        f"norm must be one of {', '.join(map(repr, NORMS))} (or numpy.inf, 2, 1); got {norm!r}. "
        "Pass one of these, or a sklearn_iso.geometry.norms.Norm of your own."
    )
