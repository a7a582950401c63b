"""Activations, with two lines that hold each of them between bounds of its input."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from sklearn_iso.modules._nodes import DOUBLE, Bounds, Node, dot, largest

#: Slopes and intercepts of a lower and of an upper line.
Lines = tuple[Tensor, Tensor, Tensor, Tensor]
Function = Callable[[Tensor], Tensor]
#: Halvings that find where a line through a point touches a curve.
N_HALVINGS = 40
#: Intervals narrower than this share of the values at their ends have no reliable chord.
NARROW = 1e-6


class Activation(Node):
    """A function of one number, applied to each; its slope is between -1.2 and 1.2.

    Parameters
    ----------
    at : int
    shape : sequence of int
    function : callable
        Increasing, unless a subclass says otherwise.

    Attributes
    ----------
    slack : float
        By how much the network's own function may differ from it, beside rounding.
    """

    slack = 0.0

    def __init__(self, at: int, shape: Sequence[int], function: Function) -> None:
        super().__init__([at], shape)
        self.function = function

    @abstractmethod
    def lines(self, low: Tensor, high: Tensor) -> Lines:
        """Return lines below and above the function from low to high, low < high."""

    def interval(self, *bounds: Bounds) -> Bounds:
        """Return the values at the ends."""
        low, high = bounds[0]
        return self.function(low), self.function(high)

    def backward(
        self, A: Tensor, *bounds: Bounds, slopes: Tensor | None = None
    ) -> tuple[list[Tensor], Tensor | float]:
        """Put for the function the line that is on the right side of each coefficient."""
        below, above = A.clamp_min(0), A.clamp_max(0)
        slope_low, start_low, slope_high, start_high = self.safe_lines(*bounds[0])
        constant = dot(below, start_low) + dot(above, start_high)
        return [below * slope_low[:, None] + above * slope_high[:, None]], constant

    def safe_lines(self, low: Tensor, high: Tensor) -> Lines:
        """Return the lines, flat ones where the interval is too narrow for a slope."""
        narrow = high - low <= NARROW * (low.abs() + high.abs()) + 1e-30
        lines = self.lines(low, torch.where(narrow, low + 1, high))
        least, most = self.interval((low, high))
        flat = (torch.zeros_like(low), least, torch.zeros_like(low), most)
        chosen = [torch.where(narrow, a, b) for a, b in zip(flat, lines, strict=True)]
        return chosen[0], chosen[1], chosen[2], chosen[3]

    def rounding(self, *bounds: Bounds) -> Tensor | float:
        """Return a few units in the last place of the values, and of what lines are made of."""
        most = largest(self.interval(*bounds))
        own = 8 * self.unit * most + self.slack
        return own + self._share * (1 + most + largest(bounds[0]))

    @property
    def _share(self) -> float:
        """Relative error of lines, and of sums over what they bound, in float64."""
        return DOUBLE * (32 + 4 * math.prod(self.shape))


class Ramp(Activation):
    """``max(z, s z)`` with a slope s from 0 to 1 below 0, as ReLU has.

    Parameters
    ----------
    at : int
    shape : sequence of int
    slope : float
    """

    def __init__(self, at: int, shape: Sequence[int], slope: float = 0.0) -> None:
        # The gradient of a maximum of two takes many passes, that of relu one.
        steep = torch.relu if slope == 0 else lambda z: torch.maximum(z, slope * z)
        super().__init__(at, shape, steep)
        self.slope = slope

    def lines(self, low: Tensor, high: Tensor) -> Lines:
        """Return the chord, and the line through 0 that leaves the smaller area."""
        crosses = (low < 0) & (high > 0)
        width = torch.where(crosses, high - low, 1)
        chord = torch.where(crosses, (high - self.slope * low) / width, 1)
        start = torch.where(crosses, high - chord * high, 0)
        one = torch.ones_like(low)  # as a number, the slope would be rounded to float32
        below = torch.where(high > -low, one, self.slope)
        stable = torch.where(low >= 0, one, self.slope)
        chord = torch.where(crosses, chord, stable)
        return torch.where(crosses, below, stable), torch.zeros_like(low), chord, start

    def safe_lines(self, low: Tensor, high: Tensor) -> Lines:
        """Return the lines: narrow intervals do no harm here."""
        return self.lines(low, high)

    def backward(
        self, A: Tensor, *bounds: Bounds, slopes: Tensor | None = None
    ) -> tuple[list[Tensor], Tensor | float]:
        """Put lines for the function; the slopes of lower ones may be given."""
        low, high = bounds[0]
        slope_low, _, slope_high, start_high = (line[:, None] for line in self.lines(low, high))
        if slopes is not None:
            crosses = ((low < 0) & (high > 0))[:, None]
            given = self.slope + (1 - self.slope) * slopes
            slope_low = torch.where(crosses, given, slope_low)
        above = A.clamp_max(0)
        rows = A.clamp_min(0) * slope_low + above * slope_high
        return [rows], dot(above, start_high[:, 0])

    def rounding(self, *bounds: Bounds) -> Tensor | float:
        """Return what a product rounds, and the lines."""
        unit = self.unit if self.slope else 0.0
        return (unit + self._share) * largest(bounds[0])


class Curve(Activation):
    """A smooth increasing function.

    Parameters
    ----------
    at : int
    shape : sequence of int
    function, derivative : callable
    """

    def __init__(
        self, at: int, shape: Sequence[int], function: Function, derivative: Function
    ) -> None:
        super().__init__(at, shape, function)
        self.derivative = derivative

    def chord(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Return slope and intercept of the line through two points of the curve."""
        slope = (self.function(high) - self.function(low)) / (high - low)
        return slope, self.function(low) - slope * low

    def tangent(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return slope and intercept of the tangent at z."""
        slope = self.derivative(z)
        return slope, self.function(z) - slope * z


class Convex(Curve):
    """A convex function, at least between some ends, such as softplus.

    Parameters
    ----------
    at : int
    shape : sequence of int
    function, derivative : callable
    valley : (float, float), optional
        Where and how low the function is the least, where it is not increasing.
    convex_until : float, default=inf
        It is convex from minus this to this; beyond, it is bounded by constants.
    """

    def __init__(
        self,
        at: int,
        shape: Sequence[int],
        function: Function,
        derivative: Function,
        *,
        valley: tuple[float, float] | None = None,
        convex_until: float = torch.inf,
    ) -> None:
        super().__init__(at, shape, function, derivative)
        self.valley, self.convex_until = valley, convex_until

    def interval(self, *bounds: Bounds) -> Bounds:
        """Return the values at the ends, or in the valley between them."""
        low, high = bounds[0]
        ends = self.function(low), self.function(high)
        least = torch.minimum(*ends)
        if self.valley is not None:
            place, depth = self.valley
            least = torch.where((low <= place) & (high >= place), depth, least)
        return least, torch.maximum(*ends)

    def lines(self, low: Tensor, high: Tensor) -> Lines:
        """Return the tangent in the middle and the chord."""
        below, above = self.tangent((low + high) / 2), self.chord(low, high)
        least, most = self.interval((low, high))
        flat = torch.maximum(-low, high) > self.convex_until
        zero = torch.zeros_like(low)
        return (
            torch.where(flat, zero, below[0]),
            torch.where(flat, least, below[1]),
            torch.where(flat, zero, above[0]),
            torch.where(flat, most, above[1]),
        )


class SCurve(Curve):
    """A function that is convex below 0 and concave above, and odd but for a constant."""

    def lines(self, low: Tensor, high: Tensor) -> Lines:
        """Return the line from above, and that from below by symmetry."""
        slope_high, start_high = self._above(low, high)
        slope_low, start_mirrored = self._above(-high, -low)
        twice = 2 * self.function(torch.zeros((), dtype=low.dtype, device=low.device))
        return slope_low, twice - start_mirrored, slope_high, start_high

    def _above(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Return the chord where the curve is below it, and else a tangent.

        A tangent at d above 0 is above the curve from low on if it is at low.
        """
        slope, start = self.chord(low, high)
        touching = self._touching(low, high)
        tangent_slope, tangent_start = self.tangent(touching)
        by_chord = (high <= 0) | ((low < 0) & (slope <= self.derivative(high)))
        return torch.where(by_chord, slope, tangent_slope), torch.where(
            by_chord, start, tangent_start
        )

    def _touching(self, low: Tensor, high: Tensor) -> Tensor:
        """Return where the upper line touches: the middle, or as near to it as it may be.

        A line in the middle leaves the smallest area; where it is below the curve at low, one
        further to the right is not.
        """
        near, far = torch.zeros_like(low), high.clamp_min(0)
        for _ in range(N_HALVINGS):
            middle = (near + far) / 2
            slope, start = self.tangent(middle)
            holds = slope * low + start >= self.function(low)
            near, far = torch.where(holds, near, middle), torch.where(holds, middle, far)
        return torch.maximum(far, (low + high) / 2)
