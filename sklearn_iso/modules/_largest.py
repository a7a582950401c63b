"""Bounds of the largest of several values: pooling of images, and the best of a group."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from sklearn_iso.modules._nodes import DOUBLE, Bounds, Node, dot, largest


class Largest(Node):
    r"""The largest of the values at some places of the input.

    .. math:: z_{j^*} \le \max_j z_j \le \max_j u_j, \qquad j^* = \arg\max_j l_j

    Where no other place can be as large as the one of the largest lower bound, the output is the
    value at that place.

    Parameters
    ----------
    at : int
    shape : sequence of int
        Of the output.
    places : Tensor of int of shape (n_places, n_outputs)
        For each output, places in the flat input; -1 for none.
    input_shape : sequence of int
    pool : callable, optional
        From values (n, *input_shape) to their largest ones, where there is something faster than
        to collect the values at all places.
    """

    def __init__(
        self,
        at: int,
        shape: Sequence[int],
        places: Tensor,
        input_shape: Sequence[int],
        pool: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__([at], shape)
        self.places, self.input_shape = places, tuple(input_shape)
        self.pool = self._collected if pool is None else pool

    @classmethod
    def of_windows(
        cls,
        at: int,
        input_shape: Sequence[int],
        *,
        kernel: Sequence[int],
        stride: Sequence[int],
        padding: Sequence[int],
        dilation: Sequence[int],
    ) -> Largest:
        """Return the largest of each window of an image, in every channel."""
        channels, *sizes = input_shape
        numbers = torch.arange(1, channels * sizes[0] * sizes[1] + 1, dtype=torch.float64)
        image = numbers.reshape(1, channels, *sizes)
        windows = torch.nn.functional.unfold(
            image, tuple(kernel), tuple(dilation), tuple(padding), tuple(stride)
        )
        places = windows.reshape(channels, kernel[0] * kernel[1], -1).transpose(0, 1).long() - 1
        out = [
            (size + 2 * pad - gap * (width - 1) - 1) // step + 1
            for size, pad, gap, width, step in zip(
                sizes, padding, dilation, kernel, stride, strict=True
            )
        ]
        pool = partial(
            max_pool2d, kernel_size=tuple(kernel), stride=tuple(stride), padding=tuple(padding),
            dilation=tuple(dilation),
        )  # fmt: skip
        return cls(at, (channels, *out), places.flatten(1), input_shape, pool)

    def interval(self, *bounds: Bounds) -> Bounds:
        """Return the largest bounds."""
        low, high = bounds[0]
        return self.pool(low), self.pool(high)

    def backward(
        self, A: Tensor, *bounds: Bounds, slopes: Tensor | None = None
    ) -> tuple[list[Tensor], Tensor | float]:
        """Put for the output the value that is surely large, or the largest bound."""
        lows, highs = self._values(bounds[0][0]), self._values(bounds[0][1])
        surest = lows.argmax(dim=1, keepdim=True)
        certain = lows.gather(1, surest)[:, 0]
        others = highs.scatter(1, surest, -torch.inf).amax(dim=1)
        alone, most = others <= certain, highs.amax(dim=1)
        flat = A.flatten(2)
        below, above = flat.clamp_min(0), flat.clamp_max(0)
        passed = below + torch.where(alone[:, None], above, 0)
        source = self.places.to(A.device)[None].expand(len(lows), -1, -1).gather(1, surest)
        rows = A.new_zeros(*passed.shape[:2], math.prod(self.input_shape))
        rows = rows.scatter_add(2, source.expand_as(passed), passed)
        constant = dot(above, torch.where(alone, 0, most))
        return [rows.unflatten(2, self.input_shape)], constant

    def rounding(self, *bounds: Bounds) -> Tensor | float:
        """Return what sums over constant bounds round, in float64."""
        most = self.pool(largest(bounds[0]))
        return DOUBLE * (16 + 4 * math.prod(self.shape)) * most

    def _collected(self, bound: Tensor) -> Tensor:
        return self._values(bound).amax(dim=1).unflatten(1, self.shape)

    def _values(self, bound: Tensor) -> Tensor:
        """Return the values at the places, (n, n_places, n_outputs); -inf where there is none."""
        flat, places = bound.flatten(1), self.places.to(bound.device)
        return torch.where(places < 0, -torch.inf, flat[:, places.clamp_min(0)])
