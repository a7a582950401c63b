"""What the strength of the penalty buys, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_iso._protocols import Scorer, Search
from sklearn_iso.metrics._adversarial_scorer import AdversarialScorer
from sklearn_iso.metrics._distortion_scorer import MEASURES, DistortionScorer
from sklearn_iso.plotting._axes import (
    COLORS,
    MARKERS,
    Style,
    axes_for,
    figure_of,
    model_lines,
    next_line_style,
    of_model,
)
from sklearn_iso.plotting._checks import as_numbers, check_parameters

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PolyCollection
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

_MOST_TICKS = 8  # above, labels run into each other: powers of ten


class AlphaPathDisplay:
    """Clean accuracy, accuracy under attack and distortion against alpha.

    Make one with :meth:`from_estimator`, of a search over alpha, or :meth:`from_predictions`; draw
    several models on one axes by passing the `ax_` of the first as `ax` of the next: colours then
    tell the scores and line styles the models.

    Parameters
    ----------
    alpha : array-like of shape (n_alphas,)
        Strengths of the penalty, 0 among them or not; without unit.
    scores : mapping of str to array-like of shape (n_alphas,) or (n_alphas, n_folds)
        What to draw, by the name that the legend shows; at least one. Several folds are drawn as
        their mean, with a band of one standard error to each side.
    chosen : float, default=None
        The alpha to mark with a vertical line.
    estimator_name : str, default=None
        Name of the model in the legend.

    Attributes
    ----------
    lines_ : dict of str to matplotlib Line2D
        The curve of each score.
    bands_ : dict of str to matplotlib artist
        The band of each score with several folds.
    chosen_ : matplotlib Line2D or None
        The line at `chosen`.
    ax_ : matplotlib Axes
        The axes drawn on.
    figure_ : matplotlib Figure
        Its figure.

    Raises
    ------
    ValueError
        If alpha is negative, there is no score, or one has not one row for each alpha.

    Examples
    --------
    >>> from sklearn_iso.plotting import AlphaPathDisplay
    >>> scores = {"clean accuracy": [0.98, 0.98], "accuracy under attack": [0.1, 0.7]}
    >>> display = AlphaPathDisplay([0, 1], scores, chosen=1).plot()
    >>> display.ax_.get_xlabel()
    'Strength of the penalty alpha (no unit)'
    """

    alpha: NDArray[np.float64]
    scores: dict[str, NDArray[np.float64]]
    lines_: dict[str, Line2D]
    bands_: dict[str, PolyCollection]
    chosen_: Line2D | None
    ax_: Axes
    figure_: Figure

    def __init__(
        self,
        alpha: ArrayLike,
        scores: Mapping[str, ArrayLike],
        *,
        chosen: float | None = None,
        estimator_name: str | None = None,
    ) -> None:
        check_parameters(type(self), scores=scores, chosen=chosen, estimator_name=estimator_name)
        self.alpha = as_numbers(alpha, "alpha", ndim=None)
        self.scores = {
            name: as_numbers(values, f"scores[{name!r}]", ndim=None)
            for name, values in scores.items()
        }
        self.chosen = chosen
        self.estimator_name = estimator_name
        self._check()

    def _check(self) -> None:
        if self.alpha.ndim != 1 or not len(self.alpha) or not (self.alpha >= 0).all():
            raise ValueError(
                f"alpha must be a list of numbers of at least 0; got {self.alpha.tolist()}. Pass "
                "the strengths that were tried, not their logarithms."
            )
        if not self.scores:
            raise ValueError(
                "scores must hold at least one score; found none. Pass a mapping such as "
                '{"accuracy": [0.98, 0.97]}, with one value for each alpha.'
            )
        shapes = {name: values.shape for name, values in self.scores.items()}
        for name, shape in shapes.items():
            if len(shape) not in (1, 2) or shape[0] != len(self.alpha):
                raise ValueError(
                    f"A score must have one row for each of {len(self.alpha)} alphas; found shape "
                    f"{shape} for {name!r}. Pass shape (n_alphas,) or (n_alphas, n_folds)."
                )

    @classmethod
    def from_predictions(
        cls,
        alpha: ArrayLike,
        scores: Mapping[str, ArrayLike],
        *,
        chosen: float | None = None,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> AlphaPathDisplay:
        """Draw scores that are known already.

        Parameters
        ----------
        alpha : array-like of shape (n_alphas,)
            Strengths of the penalty, 0 among them or not; without unit.
        scores : mapping of str to array-like of shape (n_alphas,) or (n_alphas, n_folds)
            What to draw, by the name that the legend shows; at least one. Several folds are drawn
            as their mean, with a band of one standard error to each side.
        chosen : float, default=None
            The alpha to mark with a vertical line.
        name : str, default=None
            Name of the model in the legend.
        ax : matplotlib Axes, default=None
            Axes to draw on; a new one if None.

        Returns
        -------
        display : AlphaPathDisplay
            The display, drawn.
        """
        return cls(alpha, scores, chosen=chosen, estimator_name=name).plot(ax=ax)

    @classmethod
    def from_estimator(
        cls,
        search: Search,
        *,
        param: str | None = None,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> AlphaPathDisplay:
        """Draw what a fitted search over alpha found, all its scores over all its folds.

        Parameters
        ----------
        search : GridSearchCV or another search with `cv_results_`
            Over alpha and nothing else. Distortions, which scorers negate, are drawn as they are.
        param : str, default=None
            Name of the parameter; the one that is or ends in "alpha" if None.
        name : str, default=None
            Name of the model in the legend.
        ax : matplotlib Axes, default=None
            Axes to draw on; a new one if None.

        Returns
        -------
        display : AlphaPathDisplay
            The display, drawn. The best alpha of a refitted search is marked.

        Raises
        ------
        TypeError
            If search has no `cv_results_`.
        ValueError
            If it varied another parameter too, or no alpha.
        """
        results = getattr(search, "cv_results_", None)
        if results is None:
            raise TypeError(
                f"An alpha path needs a fitted search with cv_results_; got "
                f"{type(search).__name__}. Fit a GridSearchCV over alpha, or pass arrays to "
                "AlphaPathDisplay.from_predictions."
            )
        check_parameters(cls, param=param, name=name)
        param = _parameter(results, param)
        alpha = np.asarray(results[f"param_{param}"], dtype=float)
        order = np.argsort(alpha, kind="stable")
        best = getattr(search, "best_index_", None)
        return cls.from_predictions(
            alpha[order],
            {label: values[order] for label, values in _scores(search.scorer_, results).items()},
            chosen=None if best is None else float(alpha[best]),
            name=name,
            ax=ax,
        )

    def plot(
        self, ax: Axes | None = None, *, name: str | None = None, **kwargs: Any
    ) -> AlphaPathDisplay:
        """Draw one curve for each score, on a logarithmic axis that has room for alpha 0.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; a new one if None.
        name : str, default=None
            Name of the model in the legend; `estimator_name` if None.
        **kwargs : dict
            Passed to matplotlib's `plot`.

        Returns
        -------
        display : AlphaPathDisplay
            The display itself.
        """
        ax = axes_for(self, ax)
        model = self.estimator_name if name is None else name
        line_style, mark = next_line_style(ax)
        self.lines_, self.bands_, self.chosen_ = {}, {}, None
        order = np.argsort(self.alpha, kind="stable")
        alpha = self.alpha[order]
        if self.chosen is not None:
            self.chosen_ = ax.axvline(self.chosen, color="0.8", linewidth=5, zorder=0)
            ax.annotate(
                "chosen", (self.chosen, 0.01), (5, 0), xycoords=("data", "axes fraction"),
                textcoords="offset points", color="0.4", fontsize="small",
            )  # fmt: skip
        looks = _looks(ax, list(self.scores))
        for score, values in self.scores.items():
            folds = values[order].reshape(len(alpha), -1)
            style = {
                **looks[score],
                "linestyle": line_style,
                "markersize": 5,
                "label": of_model(model, score),
            }
            mean, n_folds = folds.mean(axis=1), folds.shape[1]
            (line,) = ax.plot(alpha, mean, gid=mark, **{**style, **kwargs})
            self.lines_[score] = line
            if n_folds > 1:
                error = folds.std(axis=1, ddof=1) / n_folds**0.5
                self.bands_[score] = ax.fill_between(
                    alpha,
                    mean - error,
                    mean + error,
                    color=line.get_color(),
                    alpha=0.18,
                    linewidth=0,
                )
        self._annotate(ax)
        self.ax_, self.figure_ = ax, figure_of(ax)
        return self

    def _annotate(self, ax: Axes) -> None:
        drawn = np.concatenate([line.get_xydata() for line in model_lines(ax)])  # of all models
        _scale_alpha(ax, np.unique(drawn[:, 0]))
        ax.set_xlabel("Strength of the penalty alpha (no unit)")
        distorted = any("distortion" in name or name in MEASURES for name in self.scores)
        ax.set_ylabel("Share of all samples" + "; distortion (no unit)" * distorted)
        heights = drawn[np.isfinite(drawn[:, 1]), 1]
        if len(heights):
            ax.autoscale(axis="y")
            ax.relim()
            low, high = ax.get_ylim()
            if 0 <= heights.min() <= heights.max() <= 1:
                ax.set_ylim(max(low, -0.02), min(high, 1.02))
        ax.legend(frameon=False)


def _looks(ax: Axes, scores: list[str]) -> dict[str, Style]:
    """Return colour and marker of each score: those that it has on `ax` already, or new ones."""
    known: dict[str, Style] = {}
    for line in model_lines(ax):
        score = str(line.get_label()).split(": ")[-1]
        known[score] = {"color": line.get_color(), "marker": line.get_marker()}
    for score in scores:
        number = len(known)
        look = {"color": COLORS[number % len(COLORS)], "marker": MARKERS[number % len(MARKERS)]}
        known.setdefault(score, look)
    return known


def _scale_alpha(ax: Axes, alpha: NDArray[np.float64]) -> None:
    """Set a logarithmic axis with room for 0: a tick for each alpha if they are few."""
    positive = alpha[alpha > 0]
    if not len(positive):
        return
    ax.set_xscale("symlog", linthresh=positive.min(), linscale=0.6)
    if len(alpha) <= _MOST_TICKS:
        ax.set_xticks(alpha, [f"{value:.3g}" for value in alpha], minor=False)
    ax.minorticks_off()


def _parameter(results: Mapping[str, NDArray], param: str | None) -> str:
    varied = [
        name.removeprefix("param_")
        for name, values in results.items()
        if name.startswith("param_") and len({str(value) for value in values}) > 1
    ]
    found = [name for name in varied if name.split("__")[-1] == "alpha"]
    chosen = param or (found[0] if found else None)
    if varied != [chosen]:
        raise ValueError(
            f"An alpha path needs a search over alpha and nothing else; this one varied {varied}. "
            f"Search over alpha alone, name it with param (got {param!r}), or pass the arrays to "
            "AlphaPathDisplay.from_predictions."
        )
    return str(chosen)


def _scores(
    scoring: Scorer | dict[str, Scorer], results: Mapping[str, NDArray]
) -> dict[str, NDArray[np.float64]]:
    """Return the scores of every fold by label, the clean ones first and distortions last."""
    scorers = scoring if isinstance(scoring, dict) else {"score": scoring}
    ranked = sorted(scorers.items(), key=lambda item: _rank(item[1]))
    found = {}
    for name, scorer in ranked:
        splits = [
            key for key in results if key.startswith("split") and key.endswith(f"_test_{name}")
        ]
        values = np.stack([np.asarray(results[key], dtype=float) for key in splits], axis=1)
        found[name] = values * (
            MEASURES[scorer.measure].sign if isinstance(scorer, DistortionScorer) else 1
        )
    return found


def _rank(scorer: Scorer) -> int:
    return 1 if isinstance(scorer, AdversarialScorer) else 2 * isinstance(scorer, DistortionScorer)
