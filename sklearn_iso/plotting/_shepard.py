"""Distances of the representation against distances of the input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_iso._protocols import Decider, RandomState, Transformer
from sklearn_iso._randomness import private_random_state
from sklearn_iso.metrics import isometry_distortion
from sklearn_iso.metrics._distortion import best_scale, representation_of
from sklearn_iso.metrics._pairs import binary_scale, check_pair_of_spaces, draw_pairs, paired
from sklearn_iso.plotting._axes import (
    COLORS,
    CONTEXTS,
    LINE_STYLES,
    Style,
    axes_for,
    class_name,
    figure_of,
    next_mark,
    of_model,
)
from sklearn_iso.plotting._checks import as_numbers, check_parameters

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import Collection
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

_MOST_POINTS = 3000  # above, dots hide each other and hexagons are drawn
_LEGEND_LINE = 0.21  # height in inches of a line of the legend
_SHOWN = 0.995  # share of the pairs that the axes hold at least, where a few lie far beyond


class ShepardDisplay:
    """Shepard diagram: distances of the representation against distances of the input.

    Each dot is a pair of samples. An isometry up to scale puts all on the line d_Z = s d_X; the
    stress of a representation is the spread around it.

    Make one with :meth:`from_estimator` or :meth:`from_predictions`. Draw several models on one
    axes by passing the `ax_` of the first as `ax` of the next: the legend then tells whose pairs
    are which. Where they cover each other, give each model axes of its own.

    Parameters
    ----------
    d_X : array-like of shape (n_pairs,)
        Input distances of at least one pair, in units of the features.
    d_Z : array-like of shape (n_pairs,)
        Distances of the same pairs in the representation.
    same_class : array-like of shape (n_pairs,), bool, default=None
        Whether the two samples of a pair share a class. If given, the line is fitted to those that
        do, and the rest is drawn in another colour.
    stress : float, default=None
        Stress to show in the legend, of all pairs rather than of those drawn.
    estimator_name : str, default=None
        Title of the diagram, or name of the model in the legend if there are several.

    Attributes
    ----------
    scale : float
        The s that minimises the sum of (d_Z - s d_X)^2 over the pairs (of the same class).
    artists_ : list of matplotlib artists
        The dots or hexagons: of all pairs, or of the pairs between classes and then within.
    line_ : matplotlib Line2D
        The line d_Z = s d_X.
    ax_ : matplotlib Axes
        The axes drawn on.
    figure_ : matplotlib Figure
        Its figure.

    Raises
    ------
    ValueError
        If the lengths differ, there is no pair, or a distance is negative or not finite.

    References
    ----------
    Shepard, "The analysis of proximities", Psychometrika 27, 1962.

    Examples
    --------
    >>> from sklearn_iso.plotting import ShepardDisplay
    >>> display = ShepardDisplay(d_X=[1, 2, 3], d_Z=[2, 4, 6]).plot()
    >>> display.scale
    2.0
    """

    artists_: Sequence[Collection]
    line_: Line2D
    ax_: Axes
    figure_: Figure

    def __init__(
        self,
        d_X: ArrayLike,
        d_Z: ArrayLike,
        *,
        same_class: ArrayLike | None = None,
        stress: float | None = None,
        estimator_name: str | None = None,
    ) -> None:
        check_parameters(type(self), stress=stress, estimator_name=estimator_name)
        self.d_X = as_numbers(d_X, "d_X", ndim=None)
        self.d_Z = as_numbers(d_Z, "d_Z", ndim=None)
        self.same_class = (
            None if same_class is None else as_numbers(same_class, "same_class").astype(bool)
        )
        self.stress = stress
        self.estimator_name = estimator_name
        self._check()
        counted = slice(None) if self.same_class is None else self.same_class
        self.scale = best_scale(self.d_X[counted], self.d_Z[counted])

    def _check(self) -> None:
        shapes = [a.shape for a in (self.d_X, self.d_Z, self.same_class) if a is not None]
        if len(set(shapes)) > 1 or self.d_X.ndim != 1 or not len(self.d_X):
            raise ValueError(
                "d_X, d_Z and same_class must be lists of the same length, of at least one pair; "
                f"found shapes {', '.join(map(str, shapes))}. Pass one value of each for every "
                "pair, as scipy.spatial.distance.pdist returns them."
            )
        for name, distances in (("d_X", self.d_X), ("d_Z", self.d_Z)):
            wrong = ~(np.isfinite(distances) & (distances >= 0))
            if wrong.any():
                raise ValueError(
                    f"{name} must hold distances, finite and at least 0; found "
                    f"{distances[wrong][0]} for pair {wrong.argmax()}."
                )

    @classmethod
    def from_predictions(
        cls,
        X: ArrayLike,
        Z: ArrayLike,
        y: ArrayLike | None = None,
        *,
        n_pairs: int = 20_000,
        random_state: RandomState = 0,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> ShepardDisplay:
        """Draw the distances of a representation that is known already.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Points of the input space.
        Z : array-like of shape (n_samples, ...)
            Their representations, sample by sample.
        y : array-like of shape (n_samples,), default=None
            Class labels. If given, half of the pairs drawn are of the same class, and line and
            stress are those of the pairs within classes.
        n_pairs : int, default=20_000
            How many pairs to draw, at least two.
        random_state : int, RandomState instance or None, default=0
            Seed of their choice.
        name : str, default=None
            Title of the diagram, or name of the model in the legend.
        ax : matplotlib Axes, default=None
            Axes to draw on; a new one if None.

        Returns
        -------
        display : ShepardDisplay
            The display, drawn. Its stress is ``isometry_distortion(X, Z, y)``.
        """
        check_parameters(cls, n_pairs=n_pairs, name=name)
        X, Z, classes = check_pair_of_spaces(X, Z, y)
        stress = isometry_distortion(X, Z, classes)
        i, j = _choose(classes, len(X), n_pairs, random_state)
        display = cls(
            paired(X, i, j, "euclidean") * binary_scale(X),
            paired(Z, i, j, "euclidean") * binary_scale(Z),
            same_class=None if classes is None else classes[i] == classes[j],
            stress=stress,
            estimator_name=name,
        )
        return display.plot(ax=ax)

    @classmethod
    def from_estimator(
        cls,
        estimator: Transformer | Decider,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        n_pairs: int = 20_000,
        random_state: RandomState = 0,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> ShepardDisplay:
        """Draw the distances of ``estimator.transform(X)`` against those of X.

        Parameters
        ----------
        estimator : transformer
            A fitted estimator with `transform`, such as IsometricClassifier or a Pipeline that ends
            in one.
        X : array-like of shape (n_samples, n_features)
            Points of the input space.
        y : array-like of shape (n_samples,), default=None
            Class labels. If given, half of the pairs drawn are of the same class, and line and
            stress are those of the pairs within classes.
        n_pairs : int, default=20_000
            How many pairs to draw, at least two.
        random_state : int, RandomState instance or None, default=0
            Seed of their choice.
        name : str, default=None
            Title of the diagram, or name of the model in the legend; the class name of the
            estimator if None, of a Pipeline that of its last step.
        ax : matplotlib Axes, default=None
            Axes to draw on; a new one if None.

        Returns
        -------
        display : ShepardDisplay
            The display, drawn.
        """
        return cls.from_predictions(
            X,
            representation_of(estimator, X),
            y,
            n_pairs=n_pairs,
            random_state=random_state,
            name=class_name(estimator) if name is None else name,
            ax=ax,
        )

    def plot(
        self, ax: Axes | None = None, *, name: str | None = None, **kwargs: Any
    ) -> ShepardDisplay:
        """Draw the pairs, as dots if they are few and as hexagons if they are many.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; a new one if None.
        name : str, default=None
            Title of the diagram, or name of the model in the legend; `estimator_name` if None.
        **kwargs : dict
            Passed to matplotlib's `scatter` or `hexbin`.

        Returns
        -------
        display : ShepardDisplay
            The display itself.
        """
        ax = axes_for(self, ax)
        name = self.estimator_name if name is None else name
        model, mark = next_mark(ax)
        if model == 1:
            _move_title_to_legend(ax)
        called = name if model else None  # the title names the only one
        draw = self._dots if len(self.d_X) <= _MOST_POINTS else self._hexagons
        self.artists_ = [
            draw(ax, pairs, color, of_model(called, label), kwargs)
            for pairs, color, label in self._groups(model)
        ]
        right = _limit(self.d_X)
        (self.line_,) = ax.plot(
            [0, right],
            [0, self.scale * right],
            color=COLORS[(2 * model + 1) % len(COLORS)],
            linestyle=LINE_STYLES[model % len(LINE_STYLES)],
            marker="",
            gid=mark,
            label=of_model(called, self._fit()),
        )
        self._annotate(ax, None if model else name, first=model == 0)
        self.ax_, self.figure_ = ax, figure_of(ax)
        return self

    def _groups(self, model: int) -> list[tuple[NDArray[np.bool_], str, str]]:
        color = COLORS[2 * model % len(COLORS)]
        if self.same_class is None:
            return [(np.ones(len(self.d_X), dtype=bool), color, "pairs")]
        # Within classes last, on top, in colour: they are what the line is fitted to.
        return [
            (~self.same_class, CONTEXTS[model % len(CONTEXTS)], "pairs between classes"),
            (self.same_class, color, "pairs within a class"),
        ]

    def _dots(
        self, ax: Axes, chosen: NDArray[np.bool_], color: str, label: str, kwargs: Style
    ) -> Collection:
        style = {"s": 10, "alpha": 0.6, "linewidths": 0, "color": color, "label": label}
        return ax.scatter(self.d_X[chosen], self.d_Z[chosen], **{**style, **kwargs})

    def _hexagons(
        self, ax: Axes, chosen: NDArray[np.bool_], color: str, label: str, kwargs: Style
    ) -> Collection:
        from matplotlib.colors import LinearSegmentedColormap, to_rgba

        # From nearly clear to the full colour, so that what lies below shows where pairs are few.
        shades = LinearSegmentedColormap.from_list(label, [to_rgba(color, 0.12), to_rgba(color, 1)])
        style = {"gridsize": 50, "mincnt": 1, "cmap": shades, "linewidths": 0}
        extent = (0, _limit(self.d_X) or 1, 0, _limit(self.d_Z) or 1)
        ax.scatter([], [], color=color, marker="h", label=label)
        return ax.hexbin(self.d_X[chosen], self.d_Z[chosen], extent=extent, **{**style, **kwargs})

    def _fit(self) -> str:
        within = "" if self.same_class is None else " within a class"
        stress = "" if self.stress is None else f", stress {self.stress:.3f}"
        return f"$d_Z = {self.scale:.3g}\\,d_X${within}{stress}"

    def _annotate(self, ax: Axes, name: str | None, first: bool) -> None:
        ax.set_xlabel("Input distance $d_X$, in units of the features")
        ax.set_ylabel("Distance of the representation $d_Z$")
        if name is not None:
            ax.set_title(name)
        legend = ax.legend(frameon=False, loc="upper left")
        # Room for the legend above the highest pair: distances between classes may lie anywhere.
        inches = ax.get_window_extent().height / ax.figure.dpi
        room = min(_LEGEND_LINE * (len(legend.get_texts()) + 1) / inches, 0.7)
        right, top = _limit(self.d_X), max(_limit(self.d_Z), self.scale * _limit(self.d_X))
        top = (top or 1.0) / (1 - room)
        ax.set_xlim(0, 1.02 * (right or 1.0) if first else max(ax.get_xlim()[1], 1.02 * right))
        ax.set_ylim(0, top if first else max(ax.get_ylim()[1], top))
        beyond = int(((self.d_X > ax.get_xlim()[1]) | (self.d_Z > ax.get_ylim()[1])).sum())
        if beyond:
            ax.text(
                0.99, 0.02, f"{beyond} of {len(self.d_X):,} pairs lie beyond the axes",
                transform=ax.transAxes, ha="right", fontsize="small", color="0.4",
            )  # fmt: skip
        for handle in legend.legend_handles:
            if handle is not None:
                handle.set_alpha(1)


def _limit(distances: NDArray[np.float64]) -> float:
    """Return the largest distance, or, if a few are far larger than all others, that of these."""
    most, usual = float(distances.max()), float(np.quantile(distances, _SHOWN))
    return most if most <= 1.5 * usual else 1.1 * usual


def _move_title_to_legend(ax: Axes) -> None:
    """Let the legend name the first model, as there is a second one."""
    name = ax.get_title()
    for artist, label in zip(*ax.get_legend_handles_labels(), strict=True):
        artist.set_label(of_model(name or None, label))
    ax.set_title("")


def _choose(
    classes: NDArray[np.intp] | None, n_samples: int, n_pairs: int, random_state: RandomState
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return all pairs if they are no more than `n_pairs`, or as many, half of them in a class."""
    if n_samples * (n_samples - 1) // 2 <= n_pairs:
        i, j = np.triu_indices(n_samples, k=1)
        return i, j
    rng = private_random_state(random_state)
    if classes is None:
        return draw_pairs(None, n_samples, n_pairs, rng)
    within = draw_pairs(classes, n_samples, n_pairs // 2, rng)
    others = draw_pairs(None, n_samples, n_pairs - n_pairs // 2, rng)
    between = classes[others[0]] != classes[others[1]]
    i, j = (np.append(a, b[between]) for a, b in zip(within, others, strict=True))
    return i, j
