"""Patches of images: moves of neighbouring pixels, which the slope of a network need not tell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral

import numpy as np
import torch
from torch import Tensor

#: Sides of a patch: the least, and the largest as a share of the shorter side of the image.
SMALLEST, LARGEST = 2, 0.8


@dataclass(frozen=True)
class ImageLayout:
    """Where the pixels of a row are.

    Parameters
    ----------
    channels, height, width : int
    channels_last : bool

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso._geometry.patches import ImageLayout
    >>> patches = ImageLayout.of((64,)).patches(2, torch.Generator().manual_seed(0))
    >>> tuple(patches.shape), bool(patches.abs().amax(dim=1).gt(0).all())
    ((2, 64), True)
    """

    channels: int
    height: int
    width: int
    channels_last: bool = False

    @classmethod
    def of(cls, row_shape: Sequence[int], image_shape: Sequence[int] | None = None) -> ImageLayout:
        """Return the layout of samples of a shape.

        Parameters
        ----------
        row_shape : sequence of int
            Shape of a row of X.
        image_shape : (height, width), (channels, height, width) or (height, width, channels), \
                optional
            What a flat sample holds; by default the shape of the sample itself where it has one, or
            else one square channel. The channels are the smaller one of the outer two sizes.

        Raises
        ------
        ValueError
            If the image does not hold as many values as a row, or none was given and rows are
            no square.
        """
        n_values = math.prod(row_shape)
        if image_shape is None:
            image_shape = row_shape if len(row_shape) in (2, 3) else _square(n_values)
        shape = _checked(image_shape)
        if math.prod(shape) != n_values:
            raise ValueError(
                f"image_shape must hold the {n_values} values of a row; {shape} holds "
                f"{math.prod(shape)}. Pass image_shape=(height, width), with the channels first "
                "or last where there are several."
            )
        first, middle, last = (1, *shape) if len(shape) == 2 else shape
        if len(shape) == 3 and last < first:
            return cls(last, first, middle, channels_last=True)
        return cls(first, middle, last)

    def patches(
        self, n: int, generator: torch.Generator, dtype: torch.dtype = torch.float32
    ) -> Tensor:
        """Draw a patch for each of n images: a square window of random side and place.

        Half of the patches are flat, the others peak in their middle; half have one sign, the
        others two halves of opposite signs; each channel has a sign of its own. No entry
        exceeds 1.

        Parameters
        ----------
        n : int
        generator : torch.Generator
            On the CPU.
        dtype : torch.dtype

        Returns
        -------
        patches : Tensor of shape (n, n_values)

        References
        ----------
        Andriushchenko, Croce, Flammarion, Hein, Square Attack: a Query-efficient Black-box
        Adversarial Attack via Random Search, ECCV 2020.
        """

        def uniform(*shape: int) -> Tensor:
            return torch.rand(shape, generator=generator, dtype=dtype)

        longest = max(1.0, LARGEST * min(self.height, self.width))
        shortest = min(SMALLEST, longest)
        side = (shortest * (longest / shortest) ** uniform(n, 1)).round()
        down = _from_middle(self.height, side, uniform(n, 1))
        right = _from_middle(self.width, side, uniform(n, 1))
        far = torch.maximum(down.abs()[:, :, None], right.abs()[:, None, :])
        window = torch.where(uniform(n, 1, 1) < 0.5, 1.0, 1 / (1 + far))
        window = window.masked_fill(far > (side[:, :, None] - 1) / 2, 0)
        halves = uniform(n, 1, 1)
        window = torch.where(halves < 0.25, window * _sides(down)[:, :, None], window)
        window = torch.where(halves > 0.75, window * _sides(right)[:, None, :], window)
        signs = torch.where(uniform(n, self.channels, 1, 1) < 0.5, -1.0, 1.0)
        drawn = signs * window[:, None]
        return (drawn.movedim(1, -1) if self.channels_last else drawn).reshape(n, -1).to(dtype)


def _square(n_values: int) -> tuple[int, int]:
    side = math.isqrt(n_values)
    if side * side != n_values:
        raise ValueError(
            "image_shape must be given where samples are flat and not square; they have "
            f"{n_values} values. Pass image_shape=(height, width), with the channels first or last "
            "where there are several."
        )
    return side, side


def _checked(image_shape: Sequence[int]) -> tuple[int, ...]:
    sizes: list[int] = np.ravel(np.asarray(image_shape, dtype=object)).tolist()
    counts = all(isinstance(s, Integral) and not isinstance(s, bool) and int(s) > 0 for s in sizes)
    if not counts or len(sizes) not in (2, 3):
        raise ValueError(
            "image_shape must be (height, width), or three sizes with the channels first or last, "
            f"positive integers; got {image_shape!r}."
        )
    return tuple(map(int, sizes))


def _from_middle(size: int, side: Tensor, place: Tensor) -> Tensor:
    """Return how far each pixel is from the middle of the window of each sample."""
    first = (place * (size - side + 1)).floor()
    return torch.arange(size, dtype=side.dtype) - first - (side - 1) / 2


def _sides(offset: Tensor) -> Tensor:
    """Return on which side of the middle a pixel is; the middle counts as the first."""
    return torch.where(offset > 0, 1.0, -1.0)
