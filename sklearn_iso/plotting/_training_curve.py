"""What a fit recorded, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_iso.plotting._axes import (
    COLORS,
    axes_for,
    class_name,
    figure_of,
    last_step,
    next_line_style,
    of_model,
)
from sklearn_iso.plotting._checks import as_numbers, check_parameters

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

#: What is drawn by default, of those columns that are there, and how the legend calls it.
_TERMS = {
    "classification_loss": "classification loss",
    "squared_error": "squared error",
    "reconstruction_error": "reconstruction error",
    "penalty": "penalty",
    "valid_classification_loss": "classification loss, validation",
    "valid_squared_error": "squared error, validation",
    "valid_reconstruction_error": "reconstruction error, validation",
}
#: Of a history without one of these: the loss that is minimised, the penalty included.
_WHOLE = {"valid_loss": "validation loss"}


class TrainingCurveDisplay:
    """Loss, penalty and the loss on validation samples of a fit against its epochs.

    Make one with :meth:`from_estimator` or :meth:`from_predictions`; draw several fits on one axes
    by passing the `ax_` of the first as `ax` of the next: colours then tell the terms and line
    styles the fits.

    Parameters
    ----------
    history : mapping of str to array-like of shape (n_epochs,)
        The `history_` of an estimator: columns of equal length, "epoch" among them.
    terms : sequence of str, default=None
        Columns to draw. If None, of those that are there: "classification_loss", "squared_error"
        or "reconstruction_error", "penalty", and that loss on validation samples,
        "valid_classification_loss" for example, in which no penalty is counted, so that fits with
        different alphas compare. A penalty that is 0 throughout is left out.
    estimator_name : str, default=None
        Name of the fit in the legend.

    Attributes
    ----------
    lines_ : dict of str to matplotlib Line2D
        The curve of each term.
    ax_ : matplotlib Axes
        The axes drawn on.
    figure_ : matplotlib Figure
        Its figure.

    Raises
    ------
    ValueError
        If columns differ in length, or a term is not among them.

    Examples
    --------
    >>> from sklearn_iso.plotting import TrainingCurveDisplay
    >>> history = {
    ...     "epoch": [1, 2], "loss": [2.0, 0.9], "classification_loss": [1.5, 0.8],
    ...     "penalty": [0.5, 0.1],
    ... }
    >>> display = TrainingCurveDisplay(history).plot()
    >>> sorted(display.lines_)
    ['classification_loss', 'penalty']
    """

    history: dict[str, NDArray[np.float64]]
    terms: tuple[str, ...]
    lines_: dict[str, Line2D]
    ax_: Axes
    figure_: Figure

    def __init__(
        self,
        history: Mapping[str, ArrayLike],
        *,
        terms: Sequence[str] | None = None,
        estimator_name: str | None = None,
    ) -> None:
        check_parameters(type(self), history=history, terms=terms, estimator_name=estimator_name)
        self.history = {
            name: as_numbers(values, f"history[{name!r}]") for name, values in history.items()
        }
        self.estimator_name = estimator_name
        known = [name for name in _TERMS if name in self.history and self.history[name].any()]
        if not any(name.startswith("valid_") for name in known):
            known += [name for name in _WHOLE if name in self.history]
        self.terms = tuple(known if terms is None else np.ravel(np.asarray(terms, dtype=object)))
        self._check()

    def _check(self) -> None:
        lengths = {name: len(values) for name, values in self.history.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(
                f"The columns of a history must be of the same length; found {lengths}. Pass the "
                "history_ of a fitted estimator, one value for each epoch."
            )
        missing = [
            term for term in self.terms if not isinstance(term, str) or term not in self.history
        ]
        if missing or not self.terms:
            raise ValueError(
                f"terms must be columns of the history, {sorted(self.history)}; found "
                f"{missing or 'none'}. Pass the names of some of them."
            )

    @classmethod
    def from_predictions(
        cls,
        history: Mapping[str, ArrayLike],
        *,
        terms: Sequence[str] | None = None,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> TrainingCurveDisplay:
        """Draw a history that is known already.

        Parameters
        ----------
        history : mapping of str to array-like of shape (n_epochs,)
            The `history_` of an estimator: columns of equal length, "epoch" among them.
        terms : sequence of str, default=None
            Columns to draw. If None, the loss without the penalty, the penalty where it is not 0,
            and that loss on validation samples, of those that are there.
        name : str, default=None
            Name of the fit in the legend; none if None.
        ax : matplotlib Axes, default=None
            Axes to draw on; a new one if None.

        Returns
        -------
        display : TrainingCurveDisplay
            The display, drawn.
        """
        return cls(history, terms=terms, estimator_name=name).plot(ax=ax)

    @classmethod
    def from_estimator(
        cls,
        estimator: object,
        *,
        terms: Sequence[str] | None = None,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> TrainingCurveDisplay:
        """Draw the history of a fitted estimator.

        Parameters
        ----------
        estimator : estimator, Pipeline or search
            One with `history_`, a Pipeline that ends in one, or a search refitted with one.
        terms : sequence of str, default=None
            Columns to draw. If None, the loss without the penalty, the penalty where it is not 0,
            and that loss on validation samples, of those that are there.
        name : str, default=None
            Name of the fit in the legend; none if None.
        ax : matplotlib Axes, default=None
            Axes to draw on; a new one if None.

        Returns
        -------
        display : TrainingCurveDisplay
            The display, drawn.

        Raises
        ------
        TypeError
            If the estimator has no `history_`.
        """
        history = getattr(last_step(estimator), "history_", None)
        if history is None:
            raise TypeError(
                "A training curve needs an estimator with history_, which fit sets; "
                f"{class_name(estimator)} has none. Fit an IsometricClassifier or another "
                "estimator of this package first, or pass a mapping to "
                "TrainingCurveDisplay.from_predictions."
            )
        return cls.from_predictions(history, terms=terms, name=name, ax=ax)

    def plot(
        self, ax: Axes | None = None, *, name: str | None = None, **kwargs: Any
    ) -> TrainingCurveDisplay:
        """Draw one curve for each term, on a logarithmic axis if all values are positive.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; a new one if None.
        name : str, default=None
            Name of the fit in the legend; `estimator_name` if None.
        **kwargs : dict
            Passed to matplotlib's `plot`.

        Returns
        -------
        display : TrainingCurveDisplay
            The display itself.
        """
        ax = axes_for(self, ax)
        fit = self.estimator_name if name is None else name
        line_style, mark = next_line_style(ax)
        epochs = self.history.get("epoch", np.arange(1, len(self.history[self.terms[0]]) + 1))
        names = _TERMS | _WHOLE
        palette = list(dict.fromkeys([*names, *self.terms]))
        self.lines_ = {}
        for term in self.terms:
            style = {
                "color": COLORS[palette.index(term) % len(COLORS)],
                "linestyle": line_style,
                "marker": "o" if len(epochs) == 1 else "",
                "label": of_model(fit, names.get(term, term.replace("_", " "))),
            }
            (line,) = ax.plot(epochs, self.history[term], gid=mark, **{**style, **kwargs})
            self.lines_[term] = line
        self._annotate(ax)
        self.ax_, self.figure_ = ax, figure_of(ax)
        return self

    def _annotate(self, ax: Axes) -> None:
        from matplotlib.ticker import MaxNLocator

        ax.set_xlabel("Epoch")
        if isinstance(ticks := ax.xaxis.get_major_locator(), MaxNLocator):
            ticks.set_params(integer=True)  # there is no epoch 2.5
        ax.set_ylabel(f"Mean over the epoch ({self._unit()})")
        if all((np.asarray(line.get_ydata()) > 0).all() for line in ax.lines):
            ax.set_yscale("log")
        ax.legend(frameon=False)

    def _unit(self) -> str:
        # An embedding's error and a regressor's are shares of the variance of X and of y.
        if {"reconstruction_error", "squared_error"} & set(self.history):
            return "no unit"
        return "losses in nats, penalty without unit"
