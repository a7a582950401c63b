"""Where in the plane a fitted map stretches and shrinks the space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from sklearn_iso._protocols import Decider, Transformer
from sklearn_iso.metrics._local import jacobians
from sklearn_iso.metrics._table import Table
from sklearn_iso.plotting._axes import (
    Style,
    add_ticks,
    axes_for,
    check_empty,
    class_name,
    draw_samples,
    figure_of,
)
from sklearn_iso.plotting._checks import as_numbers, check_names, check_parameters
from sklearn_iso.plotting._plane import (
    MEASURES,
    UNITS,
    checked_samples,
    grid_points,
    pullback_ellipses,
    refined,
    regions,
    transforms,
)
from sklearn_iso.twins import as_torch

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import Collection, QuadMesh
    from matplotlib.colorbar import Colorbar
    from matplotlib.figure import Figure

_FINER = 4


class DistortionMapDisplay:
    r"""Decision regions in the plane, and how the map stretches the space everywhere.

    The background tells the local expansion :math:`\sigma_1`, contraction :math:`1 / \sigma_2` or
    distortion :math:`\sigma_1 / \sigma_2`, of the singular values of the Jacobian J(x). Each
    ellipse is a ball of the pullback metric :math:`G = J^T J`,

    .. math:: \{x + v : v^T J(x)^T J(x) \, v = r^2\},

    the points that the map takes, to first order, to the same distance r from its centre. A
    similarity has equal circles everywhere: a short axis is a direction that is stretched, a long
    one a direction that is shrunk. The line between decision regions is black on white.

    Make one with :meth:`from_estimator` or :meth:`from_predictions`. A map fills its axes: give
    each model axes of its own, and all the same `vmin` and `vmax`.

    Parameters
    ----------
    x0, x1 : array-like of shape (n_0,) and (n_1,)
        Coordinates of the grid, increasing, at least two of each.
    jacobians : array-like of shape (n_1, n_0, n_outputs, 2)
        Jacobian at each point of the grid; at least two outputs.
    classes : array-like of int of shape (m_1, m_0), default=None
        Number of the class that is predicted at each point of a grid over the same range, which may
        be finer.
    points : tuple of arrays (X, y), default=None
        Samples to draw, of shapes (n_samples, 2) and (n_samples,).
    feature_names : sequence of str, default=None
        Names of the two features.
    estimator_name : str, default=None
        Title of the map.

    Attributes
    ----------
    singular_values : ndarray of shape (n_1, n_0, 2)
        Of the Jacobians, the larger one first; in units of Z for each unit of X.
    mesh_ : matplotlib QuadMesh
        The background.
    ellipses_ : matplotlib PolyCollection or None
        The ellipses. Semi-axes end at the distance between centres, where the map collapses.
    radius_ : float
        The r of the ellipses, in units of Z.
    colorbar_ : matplotlib Colorbar
        Scale of the background.
    ax_ : matplotlib Axes
        The axes drawn on.
    figure_ : matplotlib Figure
        Its figure.

    Raises
    ------
    ValueError
        If the shapes do not fit, a Jacobian is not finite, or the map has less than two outputs.

    References
    ----------
    Tissot, "Mémoire sur la représentation des surfaces et les projections des cartes
    géographiques", 1881, for the ellipses.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.plotting import DistortionMapDisplay
    >>> similarity = np.broadcast_to(3 * np.eye(2), (5, 4, 2, 2))
    >>> display = DistortionMapDisplay(np.arange(4), np.arange(5), similarity)
    >>> float(display.singular_values.max())
    3.0
    """

    mesh_: QuadMesh
    ellipses_: Collection | None
    radius_: float
    colorbar_: Colorbar
    ax_: Axes
    figure_: Figure

    def __init__(
        self,
        x0: ArrayLike,
        x1: ArrayLike,
        jacobians: ArrayLike,
        *,
        classes: ArrayLike | None = None,
        points: tuple[ArrayLike, ArrayLike] | None = None,
        feature_names: Sequence[str] | None = None,
        estimator_name: str | None = None,
    ) -> None:
        check_parameters(type(self), feature_names=feature_names, estimator_name=estimator_name)
        self.x0 = as_numbers(x0, "x0")
        self.x1 = as_numbers(x1, "x1")
        self.jacobians = as_numbers(jacobians, "jacobians", ndim=None)
        self.classes = None if classes is None else as_numbers(classes, "classes", ndim=2)
        self.points = None if points is None else checked_samples(points)
        self.feature_names = feature_names
        self.estimator_name = estimator_name
        self._check()
        self.singular_values = np.linalg.svd(self.jacobians, compute_uv=False)

    def _check(self) -> None:
        if self.feature_names is not None:
            check_names(self.feature_names, 2)
        for name, axis in (("x0", self.x0), ("x1", self.x1)):
            if axis.ndim != 1 or len(axis) < 2 or not (np.diff(axis) > 0).all():
                raise ValueError(
                    f"{name} must hold at least two coordinates in increasing order; got "
                    f"{axis.tolist()}. Pass those of a regular grid, as numpy.linspace makes them."
                )
        shape = self.jacobians.shape
        grid = (len(self.x1), len(self.x0))
        if len(shape) != 4 or shape[:2] != grid or shape[2] < 2 or shape[3] != 2:
            raise ValueError(
                f"jacobians must have the shape {(*grid, 'n_outputs', 2)} with at least two "
                f"outputs; found {shape}. A map to fewer outputs collapses a direction everywhere."
            )
        if self.classes is not None and min(self.classes.shape) < 2:
            raise ValueError(
                "classes must be a grid of at least two rows and two columns; found shape "
                f"{self.classes.shape}. Pass the classes at points of a regular grid."
            )
        finite = np.isfinite(self.jacobians).all(axis=(2, 3))
        if not finite.all():
            raise ValueError(
                f"jacobians must be finite; found {(~finite).sum()} points of the grid of "
                f"{finite.size} where one is not. Check the estimator on samples near to there."
            )

    @classmethod
    def from_predictions(
        cls,
        x0: ArrayLike,
        x1: ArrayLike,
        jacobians: ArrayLike,
        *,
        classes: ArrayLike | None = None,
        points: tuple[ArrayLike, ArrayLike] | None = None,
        feature_names: Sequence[str] | None = None,
        name: str | None = None,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> DistortionMapDisplay:
        """Draw the map of Jacobians that are known already.

        Parameters
        ----------
        x0, x1 : array-like of shape (n_0,) and (n_1,)
            Coordinates of the grid, increasing, at least two of each.
        jacobians : array-like of shape (n_1, n_0, n_outputs, 2)
            Jacobian at each point of the grid; at least two outputs.
        classes : array-like of int of shape (m_1, m_0), default=None
            Number of the class that is predicted at each point of a grid over the same range.
        points : tuple of arrays (X, y), default=None
            Samples to draw, of shapes (n_samples, 2) and (n_samples,).
        feature_names : sequence of str, default=None
            Names of the two features.
        name : str, default=None
            Title of the map.
        ax : matplotlib Axes, default=None
            Axes to draw on; a new one if None.
        **kwargs : dict
            `measure` and `n_ellipses` of :meth:`plot`, and what matplotlib's `pcolormesh` takes.

        Returns
        -------
        display : DistortionMapDisplay
            The display, drawn.
        """
        display = cls(
            x0,
            x1,
            jacobians,
            classes=classes,
            points=points,
            feature_names=feature_names,
            estimator_name=name,
        )
        return display.plot(ax=ax, **kwargs)

    @classmethod
    def from_estimator(
        cls,
        estimator: Transformer | Decider,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        response_method: str = "auto",
        grid_resolution: int = 80,
        measure: str = "expansion",
        n_ellipses: int = 9,
        name: str | None = None,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> DistortionMapDisplay:
        """Draw the map of a fitted estimator of two features.

        Parameters
        ----------
        estimator : classifier, transformer or Pipeline
            With a differentiable twin (:func:`sklearn_iso.twins.as_torch`).
        X : array-like of shape (n_samples, 2)
            Samples; they are drawn, and their range, a twelfth wider, is the range of the map.
        y : array-like of shape (n_samples,), default=None
            Their classes.
        response_method : {"auto", "transform", "decision_function"}, default="auto"
            Whose distortion: that of the representation, or that of the class scores. "auto" takes
            the representation where the estimator has one.
        grid_resolution : int, default=80
            Points of the grid in each direction.
        measure : {"expansion", "contraction", "distortion"}, default="expansion"
            What the background tells.
        n_ellipses : int, default=9
            Ellipses in each direction; 0 for none.
        name : str, default=None
            Title of the map; the class name of the estimator if None.
        ax : matplotlib Axes, default=None
            Axes to draw on; a new one if None.
        **kwargs : dict
            Passed to matplotlib's `pcolormesh`, such as `vmin` and `vmax`.

        Returns
        -------
        display : DistortionMapDisplay
            The display, drawn.

        Raises
        ------
        NotDifferentiableError
            If the estimator has no twin.
        ValueError
            If X has not two features, or the map has less than two outputs.
        """
        table = Table(X)
        X = table.values
        if X.ndim != 2 or X.shape[1] != 2:
            raise ValueError(
                "A distortion map is one of the plane: X must have 2 features; found shape "
                f"{X.shape}. Fit the estimator on two features, or on two principal components."
            )
        check_parameters(cls, grid_resolution=grid_resolution, response_method=response_method)
        low, high = X.min(axis=0), X.max(axis=0)
        margin = (high - low) / 12
        x0, x1 = np.linspace(low - margin, high + margin, grid_resolution, dtype=X.dtype).T
        twin = as_torch(estimator, transform=transforms(estimator, response_method))
        J = np.concatenate(list(jacobians(twin, grid_points(x0, x1))))
        finer = (_FINER * grid_resolution,) * 2  # predictions are cheap, Jacobians are not
        return cls.from_predictions(
            x0,
            x1,
            J.reshape(len(x1), len(x0), *J.shape[1:]),
            classes=regions(estimator, table, x0, x1, finer),
            points=(X, np.zeros(len(X)) if y is None else y),
            feature_names=table.columns,
            name=class_name(estimator) if name is None else name,
            ax=ax,
            measure=measure,
            n_ellipses=n_ellipses,
            **kwargs,
        )

    def plot(
        self,
        ax: Axes | None = None,
        *,
        measure: str = "expansion",
        n_ellipses: int = 9,
        name: str | None = None,
        **kwargs: Any,
    ) -> DistortionMapDisplay:
        """Draw background, regions, ellipses and samples.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; a new one if None.
        measure : {"expansion", "contraction", "distortion"}, default="expansion"
            What the background tells.
        n_ellipses : int, default=9
            Ellipses in each direction; 0 for none.
        name : str, default=None
            Title of the map; `estimator_name` if None.
        **kwargs : dict
            Passed to matplotlib's `pcolormesh`: `vmin` and `vmax`, for example, give several maps
            one scale, and `norm` another than the logarithmic one.

        Returns
        -------
        display : DistortionMapDisplay
            The display itself.
        """
        check_parameters(type(self), measure=measure, n_ellipses=n_ellipses, name=name)
        if measure not in MEASURES:
            raise ValueError(f"measure must be one of {sorted(MEASURES)}; got {measure!r}.")
        check_empty(ax, "A distortion map")
        ax = axes_for(self, ax)
        ax.grid(visible=False)
        self._background(ax, measure, kwargs)
        self._boundaries(ax)
        self.ellipses_ = self._ellipses(ax, n_ellipses) if n_ellipses else None
        draw_samples(ax, self.points)
        names = ("Feature 0", "Feature 1") if self.feature_names is None else self.feature_names
        ax.set(xlabel=f"{names[0]}, in its unit", ylabel=f"{names[1]}, in its unit")
        ax.set(xlim=self.x0[[0, -1]], ylim=self.x1[[0, -1]])
        title = self.estimator_name if name is None else name
        if title is not None:
            ax.set_title(title)
        self.ax_, self.figure_ = ax, figure_of(ax)
        return self

    def _background(self, ax: Axes, measure: str, kwargs: Style) -> None:
        from matplotlib.colors import LogNorm

        label, of_values = MEASURES[measure]
        with np.errstate(divide="ignore", invalid="ignore"):
            values = of_values(self.singular_values)
        values = np.ma.masked_invalid(np.where(values > 0, values, np.nan))
        style: Style = {"cmap": "cividis", "shading": "nearest", "rasterized": True}
        if "norm" not in kwargs:
            spans = {"vmin": values.min() or 0.1, "vmax": values.max() or 1}
            limits = {key: kwargs.pop(key, value) for key, value in spans.items()}
            if limits["vmax"] <= 1.1 * limits["vmin"]:  # a similarity: room for its one colour
                limits = {"vmin": limits["vmin"] / 2, "vmax": 2 * limits["vmax"]}
            style["norm"] = LogNorm(**limits)
        self.mesh_ = ax.pcolormesh(self.x0, self.x1, values, **{**style, **kwargs})
        self.colorbar_ = ax.figure.colorbar(
            self.mesh_, ax=ax, label=f"{label} ({UNITS[measure]})", format="%.3g"
        )
        add_ticks(self.colorbar_)

    def _boundaries(self, ax: Axes) -> None:
        if self.classes is None:
            return
        x0, x1 = refined(self.x0, self.x1, self.classes.shape)
        for number in np.unique(self.classes)[1:]:
            inside = (self.classes == number).astype(float)
            for color, width in (("white", 3.0), ("black", 1.4)):
                ax.contour(x0, x1, inside, [0.5], colors=color, linewidths=width)

    def _ellipses(self, ax: Axes, n_ellipses: int) -> Collection:
        from matplotlib.collections import PolyCollection

        rows, columns = (
            np.linspace(0, len(axis) - 1, n_ellipses + 2).round().astype(int)[1:-1]
            for axis in (self.x1, self.x0)
        )
        i, j = (index.ravel() for index in np.meshgrid(rows, columns, indexing="ij"))
        spacing = min(np.ptp(self.x0), np.ptp(self.x1)) / (n_ellipses + 1)
        centres = np.stack([self.x0[j], self.x1[i]], axis=1)
        polygons, self.radius_ = pullback_ellipses(self.jacobians[i, j], centres, spacing)
        ellipses = PolyCollection(
            list(polygons), facecolors=(1, 1, 1, 0.25), edgecolors="white", linewidths=0.9
        )
        return ax.add_collection(ellipses)
