"""A norm of a perturbation as a value: what an attack has to know of the ball it moves in."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

#: Iterations of :meth:`Norm.reach`, each of which meets the bounds of further features.
N_NEWTON = 30
TOLERANCE = 1e-4


def columns_of(v: Tensor) -> Tensor:
    """Return samples as vectors: shape (n, d) whatever the trailing shape."""
    return v.reshape(v.shape[0], math.prod(v.shape[1:]))  # -1 says nothing of no samples


def along(factor: Tensor, v: Tensor) -> Tensor:
    """One factor for each sample, shaped to broadcast against the samples of v."""
    return factor.reshape(-1, *[1] * (v.ndim - 1))


def attached(values: Tensor, x: Tensor) -> Tensor:
    """Return values as functions of x that are flat where they did not depend on x."""
    return values + along(columns_of(x)[:, :0].sum(dim=1), values)


def steep(gradient: Tensor, climb: Tensor) -> tuple[Tensor, Tensor]:
    """Scale samples by their largest entry, and what a step along them has to climb then."""
    if gradient.numel() == 0:
        return gradient, climb
    peak = columns_of(gradient).abs().amax(dim=1)
    peak = torch.where(peak > 0, peak, 1)
    return gradient / along(peak, gradient), climb / peak


def scaled_by_peak(gradient: Tensor) -> Tensor:
    """Divide samples by their largest entry, so that no square under- or overflows."""
    return steep(gradient, gradient.new_zeros(len(gradient)))[0]


def room_along(gradient: Tensor, low: Tensor | None, high: Tensor | None) -> Tensor:
    """How far each feature may move uphill; nowhere where the gradient is 0."""
    if low is None or high is None:
        room = torch.full_like(gradient, torch.inf)
    else:
        room = torch.where(gradient > 0, high, -low)
    return room.masked_fill(gradient == 0, 0)


class Norm(ABC):
    r"""A norm on the samples of a tensor, of shape (n, ...), and its unit ball.

    Attributes
    ----------
    name : str
        The name that users pass: "linf", "l2" or "l1".
    order : float
        p of the p-norm.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks import get_norm
    >>> get_norm("l2").project(torch.tensor([[3.0, 4.0], [0.3, 0.4]]))
    tensor([[0.6000, 0.8000],
            [0.3000, 0.4000]])
    """

    name: str
    order: float

    @property
    def dual_order(self) -> float:
        r"""The order q of the dual norm, :math:`1/p + 1/q = 1`."""
        if self.order == 1:
            return math.inf
        return 1.0 if math.isinf(self.order) else self.order / (self.order - 1)

    @property
    def symbol(self) -> str:
        """The norm in mathematical notation, as labels of axes show it."""
        return r"$L_\infty$" if math.isinf(self.order) else f"$L_{self.order:g}$"

    def size(self, v: Tensor) -> Tensor:
        r"""Size of each sample, :math:`\|v_i\|_p`, of shape (n,).

        Parameters
        ----------
        v : Tensor of shape (n, ...)
            Perturbations.

        Returns
        -------
        sizes : Tensor of shape (n,)
            The norm of each.
        """
        return torch.linalg.vector_norm(columns_of(v), ord=self.order, dim=1)

    @abstractmethod
    def steepest(self, gradient: Tensor) -> Tensor:
        r"""Return the unit step u that climbs most, the maximum of :math:`\langle g_i, u\rangle`.

        Its slope is the dual norm of the gradient. A sample without a gradient does not move.

        Parameters
        ----------
        gradient : Tensor of shape (n, ...)
            Gradient of what is to grow.

        Returns
        -------
        u : Tensor of the shape of gradient
            Steps of norm 1.
        """

    def ascent(self, gradient: Tensor, step: int = 0) -> Tensor:
        """Return the unit step of an iterated attack: the steepest unless a norm overrides it.

        Parameters
        ----------
        gradient : Tensor of shape (n, ...)
            Gradient of what is to grow.
        step : int, default=0
            Number of the step, by which a norm may vary it.

        Returns
        -------
        u : Tensor of the shape of gradient
            Steps of norm 1.
        """
        return self.steepest(gradient)

    @abstractmethod
    def project(self, v: Tensor) -> Tensor:
        """Nearest point (Euclidean) of the unit ball to each; what is inside stays as it is.

        Parameters
        ----------
        v : Tensor of shape (n, ...)
            Perturbations in units of the radius.

        Returns
        -------
        v : Tensor of the same shape
            Points of the unit ball.
        """

    def project_into(self, v: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Move samples into the unit ball and a box with low <= 0 <= high, both at once.

        Clipping shortens every entry, so a clipped sample stays in the ball; it is the nearest
        such point only for norms that override this.

        Parameters
        ----------
        v : Tensor of shape (n, ...)
            Perturbations in units of the radius.
        low, high : Tensor of the shape of v
            Bounds of the box.

        Returns
        -------
        v : Tensor of the same shape
            Points of the ball and the box.
        """
        return self.project(v).clamp(low, high)

    def farthest(self, gradient: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Step from the centre that climbs far within the unit ball and a box around 0.

        It climbs most with the norms "linf" and "l1"; "l2" clips its steepest step.

        Parameters
        ----------
        gradient : Tensor of shape (n, ...)
            Gradient of what is to grow.
        low, high : Tensor of the shape of gradient
            Bounds of the box.

        Returns
        -------
        v : Tensor of the shape of gradient
            Points of the ball and the box.
        """
        return self.steepest(gradient).clamp(low, high)

    def projected_step(
        self,
        v: Tensor,
        gradient: Tensor,
        length: float | Tensor,
        step: int = 0,
        box: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Move v by a step of projected gradient ascent: uphill, then back into the unit ball.

        Parameters
        ----------
        v : Tensor of shape (n, ...)
            In the unit ball, and in the box if there is one.
        gradient : Tensor of the shape of v
        length : float, or Tensor of shape (n, 1, ...)
            Of the step, over the radius of the ball.
        step : int
            Number of the step, by which a norm may vary it.
        box : (low, high) of tensors of the shape of v, or None
            Around 0; see :meth:`step_into`.

        Returns
        -------
        v : Tensor of the same shape
            In the unit ball, and in the box if there is one.

        Examples
        --------
        >>> import torch
        >>> from sklearn_iso.attacks import get_norm
        >>> v, gradient = torch.tensor([[0.8, 0.0]]), torch.tensor([[3.0, 0.0]])
        >>> get_norm("l2").projected_step(v, gradient, 0.5)
        tensor([[1., 0.]])
        >>> box = (torch.tensor([[-1.0, -1.0]]), torch.tensor([[0.9, 0.9]]))
        >>> get_norm("l2").projected_step(v, gradient, 0.5, box=box)
        tensor([[0.9000, 0.0000]])
        """
        if box is None:
            return self.project(v + length * self.ascent(gradient, step))
        low, high = box
        return self.step_into(v, gradient, length, step, low=low, high=high)

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
        """Move v by a step of the length, then back into the unit ball and a box around 0.

        Features that the box already holds back are left out, so that none of the step is
        spent on them. The length is a number, or one for each sample, of shape (n, 1, ...).

        Parameters
        ----------
        v : Tensor of shape (n, ...)
            In the ball and the box.
        gradient : Tensor of the shape of v
            Gradient of what is to grow.
        length : float, or Tensor of shape (n, 1, ...)
            Of the step, over the radius of the ball.
        step : int
            Number of the step, by which a norm may vary it.
        low, high : Tensor of the shape of v
            Bounds of the box.

        Returns
        -------
        v : Tensor of the same shape
            Points of the ball and the box.
        """
        held = ((v >= high) & (gradient > 0)) | ((v <= low) & (gradient < 0))
        ascent = self.ascent(gradient.masked_fill(held, 0), step)
        return self.project_into(v + length * ascent, low, high)

    def reach(
        self, gradient: Tensor, climb: Tensor, low: Tensor | None, high: Tensor | None
    ) -> Tensor:
        r"""Shortest step d from the centre that climbs by a given amount, within a box around 0.

        .. math:: \min \|d\| \quad \text{s.t.} \quad \langle g, d\rangle = c, \; low \le d \le high

        Where the box ends before, the step is that to its corner. By the conditions of
        optimality the step is the steepest one, stretched until it climbs enough and clipped:
        what it climbs is concave in the stretch, and Newton's iteration meets c from below.

        Parameters
        ----------
        gradient : Tensor of shape (n, ...)
        climb : Tensor of shape (n,)
            Not negative.
        low, high : Tensor of shape (n, ...), or None

        Returns
        -------
        d : Tensor of the shape of gradient
            The steps.
        """
        scaled, amount = steep(gradient, climb)
        slope, shape = scaled.abs(), self.steepest(scaled).abs()
        stretch, step = torch.zeros_like(amount), torch.zeros_like(scaled)
        room = room_along(scaled, low, high)
        for _ in range(N_NEWTON):
            raw = along(stretch, shape) * shape
            step = torch.minimum(raw, room)
            lacking = amount - columns_of(slope * step).sum(dim=1)
            rate = columns_of(slope * shape * (raw < room)).sum(dim=1)
            short = (lacking > TOLERANCE * amount) & (rate > 0)
            if not short.any():
                break
            stretch = torch.where(short, stretch + lacking / rate, stretch)
        return step.copysign(scaled)

    @abstractmethod
    def random(
        self,
        shape: tuple[int, ...],
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """Draw samples uniformly from the unit ball, on the device of the generator.

        Parameters
        ----------
        shape : tuple of int
            Of the samples, (n, ...).
        generator : torch.Generator
            Where random numbers come from.
        dtype : torch.dtype, default=torch.float32
            Of the samples.

        Returns
        -------
        v : Tensor of the shape
            Points of the unit ball.
        """
