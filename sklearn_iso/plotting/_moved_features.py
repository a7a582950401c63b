"""Which features of a table an attack moved, and how far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_iso.plotting._axes import Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

_MOST_FEATURES = 15
_SHOWN = "_sklearn_iso_features"  # of axes: what their labels are


def movement(
    X: NDArray[np.float64], X_adv: NDArray[np.float64], units: ArrayLike | None
) -> NDArray[np.float64]:
    r"""Return the mean absolute change of each feature in its unit; NaN where there are no samples.

    .. math:: m_j = \frac1n \sum_i |x'_{ij} - x_{ij}| / u_j

    A feature of unit 0 is one that cannot move: its change is 0.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.plotting._moved_features import movement
    >>> movement(np.zeros((2, 2)), np.array([[1.0, 0.0], [-3.0, 0.0]]), units=[2.0, 1.0])
    array([1., 0.])
    """
    if not len(X):
        return np.full(X.shape[1], np.nan)
    change: NDArray[np.float64] = np.abs(X_adv - X).mean(axis=0)
    if units is None:
        return change
    unit = np.broadcast_to(np.asarray(units, dtype=float), change.shape)
    return np.divide(change, unit, out=np.zeros_like(change), where=unit > 0)


def draw_moves(
    ax: Axes,
    moved: NDArray[np.float64],
    names: Sequence[str] | None,
    *,
    label: str,
    of: str = "misclassified samples",
    in_units: bool,
    kwargs: Mapping[str, object],
) -> list[Line2D]:
    """Draw a dot for each of the features that moved most, and return the dots.

    The first model on an axes decides which features stand there, and in which order: the next
    ones follow its labels.
    """
    known = [f"x{j}" for j in range(len(moved))] if names is None else [str(n) for n in names]
    shown = getattr(ax, _SHOWN, None)
    if shown is None:
        order = np.argsort(np.nan_to_num(-moved), kind="stable")[:_MOST_FEATURES]
        shown = [known[j] for j in order]
        setattr(ax, _SHOWN, shown)
        ax.set_yticks(range(len(shown)), shown)
        ax.invert_yaxis()
    at = dict(zip(known, moved, strict=True))
    values = [at.get(name, np.nan) for name in shown]
    style: Style = {"linestyle": "", "markersize": 7, "label": label, "alpha": 0.9}
    dots = ax.plot(values, range(len(shown)), **{**style, **kwargs})
    told = "the units given" if in_units else "units of each feature"
    ax.set_xlabel(f"Mean absolute change of {of},\nin {told}")
    drawn = np.concatenate([line.get_xdata() for line in ax.lines])
    ax.set_xlim(0, 1.08 * np.nanmax(drawn) if np.nansum(drawn) else 1.0)
    # Below the label: dots may lie anywhere in the axes.
    ax.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.45, -0.17))
    return list(dots)
