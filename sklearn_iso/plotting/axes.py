"""The look that all displays share: axes to draw on and colours that everyone can tell apart."""

from typing import Any

# Okabe and Ito, "Color Universal Design", 2008: distinct under every common colour blindness.
# Their yellow is left out, too pale on white, and their black, the colour of text.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P")
CONTEXT = "#8C8C8C"
LINE_STYLES = ("-", "--", ":", "-.")
_MODEL = "sklearn-iso model "


def axes_for(display: object, ax: Any) -> Any:
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
    if not ax.has_data():
        ax.set_prop_cycle(plt.cycler(color=COLORS) + plt.cycler(marker=MARKERS))
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(color="0.9", linewidth=0.8)
        ax.set_axisbelow(True)
    return ax


def next_line_style(ax: Any) -> tuple[str, str]:
    """Return the line style of the next model on `ax`, and the mark that tells its lines.

    Where colours tell quantities, line styles tell models: solid, dashed, dotted, dash-dotted.
    Pass the mark as `gid` of every line of the model.
    """
    seen = {str(line.get_gid()) for line in ax.lines if str(line.get_gid()).startswith(_MODEL)}
    return LINE_STYLES[len(seen) % len(LINE_STYLES)], f"{_MODEL}{len(seen)}"


def of_model(name: str | None, quantity: str) -> str:
    """Return the legend's entry for a quantity of a model."""
    return quantity if name is None else f"{name}: {quantity}"


def class_name(estimator: Any) -> str:
    """Return the name of an estimator that a legend shows: of a Pipeline, that of its last step."""
    return type(last_step(estimator)).__name__


def last_step(estimator: Any) -> Any:
    """Return the last step of a Pipeline, or of a search's best one, or the estimator itself."""
    estimator = getattr(estimator, "best_estimator_", estimator)
    return last_step(estimator.steps[-1][1]) if hasattr(estimator, "steps") else estimator
