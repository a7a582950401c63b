"""What goes wrong with images by itself: noise, blur, shifts, lost contrast, occlusion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from sklearn_iso._geometry.patches import ImageLayout
from sklearn_iso._protocols import Floats, Samples
from sklearn_iso._threat.parts import PerFeature
from sklearn_iso.metrics._corruptions import Corruption, Dose, Draw, check_unit
from sklearn_iso.metrics._table import Table

#: Images of shape (n, channels, height, width).
Images = Floats


@dataclass(frozen=True)
class Pixels:
    """What is known of all pixels: their standard deviation, or a given unit, and their mean."""

    spread: float
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class OfImages(Corruption):
    """A corruption of whole images."""

    change: Callable[[Images, Pixels, Draw], Images] = lambda images, pixels, draw: images


def _noise(images: Images, pixels: Pixels, draw: Draw) -> Images:
    noise = draw.generator.standard_normal(images.shape)
    return (images + draw.severity * pixels.spread * noise).clip(pixels.low, pixels.high)


def _blur(images: Images, pixels: Pixels, draw: Draw) -> Images:
    sigma = (0, 0, draw.severity, draw.severity)
    return np.asarray(ndimage.gaussian_filter(images, sigma, mode="nearest"))


def _shift(images: Images, pixels: Pixels, draw: Draw) -> Images:
    shifted, way = images.copy(), draw.generator.integers(4, size=len(images))
    for number, (down, right) in enumerate([(1, 0), (-1, 0), (0, 1), (0, -1)]):
        offset = (0, 0, down * draw.severity, right * draw.severity)
        moved = ndimage.shift(images[way == number], offset, order=1, mode="nearest")
        shifted[way == number] = moved
    return shifted


def _contrast(images: Images, pixels: Pixels, draw: Draw) -> Images:
    middle = images.mean(axis=(1, 2, 3), keepdims=True)
    return middle + (1 - draw.severity) * (images - middle)


def _occlusion(images: Images, pixels: Pixels, draw: Draw) -> Images:
    height, width = images.shape[2:]
    side = round(draw.severity * min(height, width))
    places = draw.generator.random((2, len(images), 1))
    covered = []
    for size, place in zip((height, width), places, strict=True):
        first = np.floor(place * (size - side + 1))
        covered.append((np.arange(size) >= first) & (np.arange(size) < first + side))
    window = covered[0][:, None, :, None] & covered[1][:, None, None, :]
    return np.where(window, pixels.mean, images)


IMAGE_CORRUPTIONS = {
    one.name: one
    for one in (
        OfImages("noise", (0.1, 0.3, 1.0), "standard deviations of all pixels", change=_noise),
        OfImages("blur", (0.5, 1.0, 2.0), "pixels", is_random=False, change=_blur),
        OfImages("shift", (1.0, 2.0, 4.0), "pixels", change=_shift),
        OfImages("contrast", (0.3, 0.6, 0.9), "share of the contrast", 1.0, is_random=False,
                 change=_contrast),
        OfImages("occlusion", (0.2, 0.4, 0.6), "share of the shorter side", 1.0, change=_occlusion),
    )
}  # fmt: skip


class CorruptibleImages:
    """Samples that are images.

    Parameters
    ----------
    X : array-like, sparse matrix or frame
        Images, flat or not.
    image_shape : (height, width), with the channels first or last where there are several, or None
    units : float or None
        What a severity of 1 of the noise is; None for the standard deviation of all pixels.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.metrics._corruptions import Dose
    >>> from sklearn_iso.metrics._image_corruptions import IMAGE_CORRUPTIONS, CorruptibleImages
    >>> images = CorruptibleImages(np.eye(2).reshape(1, 4), image_shape=(2, 2))
    >>> images.corrupted(Dose(IMAGE_CORRUPTIONS["contrast"], 0.5), seed=0, repeat=0, sign=1)
    array([[0.75, 0.25, 0.25, 0.75]])
    """

    def __init__(
        self, X: Samples, image_shape: Sequence[int] | None, units: PerFeature | None = None
    ) -> None:
        self.table, self.names = Table(X), list[str]()
        values = self.table.values
        self.layout = ImageLayout.of(values.shape[1:], image_shape)
        if units is not None and np.array(units, dtype=object).ndim:
            raise ValueError(f"units must be one number for images; got {units!r}.")
        spread = float(values.std()) if units is None else check_unit(units)
        self.pixels = Pixels(spread, float(values.mean()), float(values.min()), float(values.max()))

    def known(self) -> dict[str, Corruption]:
        """Return the corruptions of images."""
        return dict(IMAGE_CORRUPTIONS)

    def positions(self, corruption: Corruption) -> list[int]:
        """Return no columns: pixels alone tell little."""
        return []

    def corrupted(self, dose: Dose, seed: int, repeat: int, sign: int) -> Samples:
        """Return corrupted images in the container and the shape of X; X itself for 0."""
        if dose.severity == 0 or not isinstance(dose.corruption, OfImages):
            return self.table.copied()
        values, at = self.table.values, self.layout
        sizes = (at.height, at.width)
        shape = (-1, *sizes, at.channels) if at.channels_last else (-1, at.channels, *sizes)
        images = values.reshape(shape)
        images = np.moveaxis(images, -1, 1) if at.channels_last else images
        images = dose.corruption.change(images, self.pixels, dose.draw(seed, repeat, sign))
        images = np.moveaxis(images, 1, -1) if at.channels_last else images
        changed = images.reshape(values.shape).astype(values.dtype)
        return self.table.with_values(changed, np.arange(len(changed)))
