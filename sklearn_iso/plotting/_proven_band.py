"""What lies between the accuracy that is proven and the one that attacks leave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PolyCollection
    from matplotlib.lines import Line2D
    from matplotlib.text import Text
    from matplotlib.typing import ColorType

#: A gap that is large enough for a word in it, and one that is seen at all.
ROOM, SEEN = 0.12, 0.02


class ProvenBand(NamedTuple):
    """The artists of a band."""

    line: Line2D
    band: PolyCollection
    labels: Sequence[Text]


def check_certified(
    certified: NDArray[np.float64], accuracy: NDArray[np.float64], loss: str | None
) -> None:
    """Raise a ValueError unless no more is certified than is left under attack."""
    if loss is not None:
        raise ValueError(
            f"certified is a share of samples that hold, and loss={loss!r} names a loss of a "
            "regressor. Leave one of them out."
        )
    fits = certified.shape == accuracy.shape
    if not (fits and ((certified >= 0) & (certified <= accuracy + 1e-9)).all()):
        raise ValueError(
            "certified must hold a share for each budget, from 0 to the accuracy under attack "
            f"there, {accuracy.tolist()}; got {certified.tolist()}. Pass what certified_accuracy "
            "returns for the same estimator, samples and threat."
        )


def draw_proven(
    ax: Axes,
    eps: NDArray[np.float64],
    proven: NDArray[np.float64],
    accuracy: NDArray[np.float64],
    color: ColorType,
) -> ProvenBand:
    """Draw the proven accuracy, and the band between it and the accuracy under attack.

    Labels stand where the band is widest, above, in and below it, so that no legend is needed.
    Where nothing is open there is one label.

    Parameters
    ----------
    ax : matplotlib Axes
    eps, proven, accuracy : ndarray of shape (n_budgets,)
        In the order of growing budgets.
    color : color of matplotlib
        That of the curve under attack.

    Returns
    -------
    ProvenBand
    """
    (line,) = ax.plot(eps, proven, color=color, linestyle=":", marker="", label="_proven")
    band = ax.fill_between(eps, proven, accuracy, color=color, alpha=0.35, linewidth=0)
    labels = [
        ax.annotate(text, point, offset, textcoords="offset points", color=color,
                    fontsize="small", ha=ha, va=va)
        for text, point, offset, ha, va in _words(eps, proven, accuracy)
    ]  # fmt: skip
    return ProvenBand(line, band, labels)


def _words(
    eps: NDArray[np.float64], proven: NDArray[np.float64], accuracy: NDArray[np.float64]
) -> list[tuple[str, tuple[float, float], tuple[float, float], str, str]]:
    """Return words with their places, offsets in points, and what of them stands there.

    Curves fall: there is room above on the right, and below on the left.
    """
    gap = accuracy - proven
    inside = slice(1, -1) if len(eps) > 2 else slice(None)  # noqa: PLR2004
    widest = int(np.argmax(gap[inside])) + (inside.start or 0)
    at = widest if gap[widest] > SEEN else len(eps) // 2
    place, low, high = float(eps[at]), float(proven[at]), float(accuracy[at])
    below, above = ((-6.0, -3.0), "right", "top"), ((6.0, 3.0), "left", "bottom")
    if gap[at] <= SEEN:
        return [("proven, nothing open", (place, low), *below)]
    words = [("proven", (place, low), *below), ("under attack", (place, high), *above)]
    if gap[at] > ROOM:
        words.append(("open", (place, (low + high) / 2), (0.0, 0.0), "center", "center"))
    return words
