"""Rows of small images on one axes: originals, perturbations, adversarial examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sklearn_iso.plotting._axes import Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

_ROWS = ("original", "perturbation", "adversarial")
_GAP = 0.1  # of the side of an image, between images
_CAPTION = 0.3  # and below a row


def draw_images(
    ax: Axes,
    X: NDArray[np.float64],
    X_adv: NDArray[np.float64],
    captions: list[tuple[str, str]],
    kwargs: Mapping[str, object],
) -> list[AxesImage]:
    """Draw three images for each sample, one column each, and return them sample by sample.

    Parameters
    ----------
    ax : matplotlib Axes
    X, X_adv : ndarray of shape (n_samples, height, width) or (n_samples, height, width, 3)
    captions : list of (str, str)
        What stands under the original and under the adversarial example.
    kwargs : dict
        Passed to `imshow` of both.

    Returns
    -------
    artists : list of matplotlib AxesImage
    """
    height = X.shape[1] / X.shape[2]
    low, high = min(X.min(), X_adv.min()), max(X.max(), X_adv.max())
    grey: Style = {"cmap": "gray_r", "vmin": low, "vmax": high, **kwargs}
    # The strongest pixel of a column sets the scale of all: perturbations compare.
    strongest = float(np.abs(X_adv - X).max()) or 1.0
    signed: Style = {"cmap": "RdBu_r", "vmin": -strongest, "vmax": strongest}
    artists = []
    for column in range(len(X)):
        delta = X_adv[column] - X[column]
        if X.ndim == 4:
            delta = delta.mean(axis=-1)
        before, after = (_visible(image, low, high) for image in (X[column], X_adv[column]))
        pictures = ((before, grey), (delta, signed), (after, grey))
        for row, (picture, style) in enumerate(pictures):
            artists.append(
                ax.imshow(picture, extent=_place(row, column, height), aspect="equal", **style)
            )
        _caption(ax, captions[column], column, height)
    _frame(ax, len(X), height, strongest)
    return artists


def _visible(image: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Return an image as imshow takes it: colours have to lie between 0 and 1."""
    if image.ndim == 2 or (low >= 0 and high <= 1):
        return image
    return (image - low) / (high - low)


def _place(row: int, column: int, height: float) -> tuple[float, float, float, float]:
    left, top = column * (1 + _GAP), -row * (height + _CAPTION)
    return (left, left + 1, top - height, top)


def _caption(ax: Axes, captions: tuple[str, str], column: int, height: float) -> None:
    for row, text in zip((0, 2), captions, strict=True):
        left, right, bottom, _ = _place(row, column, height)
        style: Style = {"ha": "center", "va": "top", "fontsize": "small"}
        ax.text((left + right) / 2, bottom - 0.03, text, **style)


def _frame(ax: Axes, n_samples: int, height: float, strongest: float) -> None:
    middles = [-row * (height + _CAPTION) - height / 2 for row in range(3)]
    labels = (_ROWS[0], f"{_ROWS[1]}\n(up to ±{strongest:.2g},\nin units of X)", _ROWS[2])
    ax.set(
        xlim=(-_GAP, n_samples * (1 + _GAP)),
        ylim=(-2 * (height + _CAPTION) - height - _CAPTION, _GAP),
        xticks=[],
    )
    ax.set_yticks(middles, labels)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.grid(visible=False)
