"""The look that all displays share: axes to draw on and colours that everyone can tell apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from sklearn_iso._threat import ThreatModel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colorbar import Colorbar
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

# Okabe and Ito, "Color Universal Design", 2008: distinct under every common colour blindness.
# Their yellow is left out, too pale on white, and their black, the colour of text.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P")
CONTEXTS = ("#8C8C8C", "#4D4D4D", "#C0C0C0")  # of what is drawn behind, one for each model
LINE_STYLES = ("-", "--", ":", "-.")
_MODEL = "sklearn-iso model "
#: Keyword arguments of an artist.
Style = dict[str, Any]


def axes_for(display: object, ax: Axes | None) -> Axes:
    """Return `ax`, or a new one, with the shared look if nothing is drawn on it yet."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"{type(display).__name__}.plot requires matplotlib, which is not installed. Install "
            "it with the extra: pip install 'sklearn-iso[plot]'."
        ) from error
    if ax is None:
        _, ax = plt.subplots(layout="constrained")
    if not _has_data(ax):
        looks = plt.cycler(color=COLORS) + plt.cycler(marker=MARKERS)
        ax.set_prop_cycle(plt.cycler(linestyle=LINE_STYLES) * looks)  # 24 models before one repeats
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(color="0.9", linewidth=0.8)
        ax.set_axisbelow(True)
    return ax


def figure_of(ax: Axes) -> Figure:
    """Return the figure of axes; a part of one is as good."""
    return cast("Figure", ax.figure)


def _has_data(ax: Axes) -> bool:
    if not hasattr(ax, "has_data"):
        raise TypeError(f"ax must be matplotlib Axes, or None for new ones; got {ax!r}.")
    return bool(ax.has_data())


def check_empty(ax: Axes | None, what: str) -> None:
    """Raise an error if something is drawn on axes that a picture needs for itself."""
    if ax is not None and _has_data(ax):
        raise ValueError(
            f"{what} fills its axes, and there is something on these already. Pass another ax, "
            "such as one of matplotlib.pyplot.subplots(1, 2) for each of two models."
        )


def next_mark(ax: Axes) -> tuple[int, str]:
    """Return how many models are on `ax`, and the mark that tells the artists of the next one.

    Pass the mark as `gid` of its artists.
    """
    n_models = len({line.get_gid() for line in model_lines(ax)})
    return n_models, f"{_MODEL}{n_models}"


def model_lines(ax: Axes) -> list[Line2D]:
    """Return the lines of all models on `ax`, and none that the user added."""
    return [line for line in ax.lines if str(line.get_gid()).startswith(_MODEL)]


def next_line_style(ax: Axes) -> tuple[str, str]:
    """Return the line style of the next model on `ax`, and the mark that tells its lines.

    Where colours tell quantities, line styles tell models: solid, dashed, dotted, dash-dotted.
    """
    n_models, mark = next_mark(ax)
    return LINE_STYLES[n_models % len(LINE_STYLES)], mark


def add_ticks(colorbar: Colorbar) -> None:
    """Give a logarithmic colour bar numbers to read where it spans few powers of ten."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

    low, high = colorbar.norm.vmin, colorbar.norm.vmax
    if low is not None and high is not None and 0 < low < high < 100 * low:
        colorbar.locator = LogLocator(subs=(1, 2, 3, 5, 7)) if high > 5 * low else MaxNLocator(5)
        colorbar.minorlocator = NullLocator()


def of_model(name: str | None, quantity: str) -> str:
    """Return the legend's entry for a quantity of a model."""
    return quantity if name is None else f"{name}: {quantity}"


def class_name(estimator: object) -> str:
    """Return the name of an estimator that a legend shows: of a Pipeline, that of its last step."""
    return type(last_step(estimator)).__name__


def last_step(estimator: object) -> object:
    """Return the last step of a Pipeline, or of a search's best one, or the estimator itself."""
    estimator = getattr(estimator, "best_estimator_", estimator)
    return last_step(estimator.steps[-1][1]) if hasattr(estimator, "steps") else estimator


def label_budgets(ax: Axes, threat: ThreatModel, loss: str | None, *, proven: bool) -> None:
    """Label the axes of figures against the budget of an attack, with the unit of its norm."""
    unit = "units of the features" if threat.units is None else "the units given"
    ax.set_xlabel(f"{threat.norm.symbol} budget eps, in {unit}")
    if loss is None:
        ax.set_ylabel("Accuracy" if proven else "Accuracy under attack")
        ax.set_ylim(-0.02, 1.02)
    else:
        name = loss.replace("_", " ").strip()
        ax.set_ylabel(f"{name[:1].upper()}{name[1:]} under attack")
    if ax.get_legend_handles_labels()[1]:
        ax.legend(frameon=False)


def draw_samples(ax: Axes, points: tuple[NDArray, NDArray] | None) -> None:
    """Draw samples of the plane and the numbers of their classes, one marker for each class."""
    if points is None:
        return
    X, numbers = points
    for number in np.unique(numbers):
        x0, x1 = X[numbers == number].T
        ax.scatter(
            x0,
            x1,
            s=14,
            color=COLORS[(1 + number) % len(COLORS)],
            marker=MARKERS[number % len(MARKERS)],
            edgecolors="white",
            linewidths=0.5,
        )
