"""The look that all displays share: axes to draw on and colours that everyone can tell apart."""

from typing import Any

# Okabe and Ito, "Color Universal Design", 2008: distinct under every common colour blindness.
# Their yellow is left out, too pale on white, and their black, the colour of text.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P")
CONTEXT = "#8C8C8C"


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
