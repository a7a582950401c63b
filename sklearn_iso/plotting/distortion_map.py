"""Where in the plane a fitted map stretches and shrinks the space."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import is_classifier
from sklearn.utils import check_array, check_consistent_length

from sklearn_iso.metrics.local import jacobians
from sklearn_iso.plotting.axes import COLORS, MARKERS, axes_for, class_name
from sklearn_iso.twins import as_torch

#: What is drawn in the background, from the larger and the smaller singular value.
_MEASURES = {
    "expansion": ("Local expansion $\\sigma_1$", lambda values: values[..., 0]),
    "contraction": ("Local contraction $1 / \\sigma_2$", lambda values: 1 / values[..., 1]),
    "distortion": (
        "Local distortion $\\sigma_1 / \\sigma_2$",
        lambda values: values[..., 0] / values[..., 1],
    ),
}
_UNITS = {
    "expansion": "units of Z for each unit of X",
    "contraction": "units of X for each unit of Z",
    "distortion": "no unit",
}
_LONGEST = 1.0  # semi-axis of an ellipse, in distances of their centres
_N_ANGLES = 48
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

    Make one with :meth:`from_estimator`.

    Parameters
    ----------
    x0, x1 : array-like of shape (n_0,) and (n_1,)
        Coordinates of the grid, increasing.
    jacobians : array-like of shape (n_1, n_0, n_outputs, 2)
        Jacobian at each point of the grid; at least two outputs.
    classes : array-like of int of shape (m_1, m_0), default=None
        Number of the class that is predicted at each point of a grid over the same range, which may
        be finer.
    points : tuple of arrays (X, y), default=None
        Samples to draw, of shapes (n_samples, 2) and (n_samples,).
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
        If the shapes do not fit, or the map has less than two outputs.

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

    mesh_: Any
    ellipses_: Any
    radius_: float
    colorbar_: Any
    ax_: Any
    figure_: Any

    def __init__(
        self,
        x0: ArrayLike,
        x1: ArrayLike,
        jacobians: ArrayLike,
        *,
        classes: ArrayLike | None = None,
        points: tuple[ArrayLike, ArrayLike] | None = None,
        estimator_name: str | None = None,
    ) -> None:
        self.x0: NDArray[np.float64] = np.asarray(x0, dtype=float)
        self.x1: NDArray[np.float64] = np.asarray(x1, dtype=float)
        self.jacobians: NDArray[np.float64] = np.asarray(jacobians, dtype=float)
        self.classes = None if classes is None else np.asarray(classes)
        self.points = None if points is None else (np.asarray(points[0]), np.asarray(points[1]))
        self.estimator_name = estimator_name
        shape = self.jacobians.shape
        grid = (len(self.x1), len(self.x0))
        if len(shape) != 4 or shape[:2] != grid or shape[2] < 2 or shape[3] != 2:
            raise ValueError(
                f"jacobians must have the shape {(*grid, 'n_outputs', 2)} with at least two "
                f"outputs; found {shape}. A map to fewer outputs collapses a direction everywhere."
            )
        self.singular_values = np.linalg.svd(self.jacobians, compute_uv=False)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        response_method: str = "auto",
        grid_resolution: int = 80,
        measure: str = "expansion",
        n_ellipses: int = 9,
        name: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> "DistortionMapDisplay":
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
        measure, n_ellipses
            As in :meth:`plot`.
        name : str, default=None
            Title of the map; the class name of the estimator if None.
        ax : matplotlib Axes, default=None
            Axes to draw on; a new one if None.
        **kwargs : dict
            Passed to :meth:`plot`.

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
        points: NDArray = check_array(X, dtype=[np.float64, np.float32])
        if points.shape[1] != 2:
            raise ValueError(
                "A distortion map is one of the plane: X must have 2 features; found "
                f"{points.shape[1]}."
            )
        low, high = points.min(axis=0), points.max(axis=0)
        margin = (high - low) / 12
        x0, x1 = np.linspace(low - margin, high + margin, grid_resolution, dtype=points.dtype).T
        twin = as_torch(estimator, transform=_transforms(estimator, response_method))
        J = np.concatenate(list(jacobians(twin, _grid(x0, x1))))
        display = cls(
            x0,
            x1,
            J.reshape(len(x1), len(x0), *J.shape[1:]),
            classes=_regions(estimator, x0, x1),
            points=_samples(points, y),
            estimator_name=class_name(estimator) if name is None else name,
        )
        return display.plot(ax=ax, measure=measure, n_ellipses=n_ellipses, **kwargs)

    def plot(
        self,
        ax: Any = None,
        *,
        measure: str = "expansion",
        n_ellipses: int = 9,
        name: str | None = None,
        **kwargs: Any,
    ) -> "DistortionMapDisplay":
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
        if measure not in _MEASURES:
            raise ValueError(f"measure must be one of {sorted(_MEASURES)}; got {measure!r}.")
        ax = axes_for(self, ax)
        ax.grid(visible=False)
        self._background(ax, measure, kwargs)
        self._boundaries(ax)
        self.ellipses_ = self._ellipses(ax, n_ellipses) if n_ellipses else None
        self._samples(ax)
        ax.set(xlabel="Feature 0, in its unit", ylabel="Feature 1, in its unit")
        ax.set(xlim=self.x0[[0, -1]], ylim=self.x1[[0, -1]])
        title = self.estimator_name if name is None else name
        if title is not None:
            ax.set_title(title)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _background(self, ax: Any, measure: str, kwargs: dict[str, Any]) -> None:
        from matplotlib.colors import LogNorm
        from matplotlib.ticker import MaxNLocator, NullLocator

        label, of_values = _MEASURES[measure]
        with np.errstate(divide="ignore", invalid="ignore"):
            values = of_values(self.singular_values)
        values = np.ma.masked_invalid(np.where(values > 0, values, np.nan))
        style: dict[str, Any] = {"cmap": "cividis", "shading": "nearest", "rasterized": True}
        if "norm" not in kwargs:
            spans = {"vmin": values.min() or 0.1, "vmax": values.max() or 1}
            limits = {key: kwargs.pop(key, value) for key, value in spans.items()}
            if limits["vmax"] <= 1.1 * limits["vmin"]:  # a similarity: room for its one colour
                limits = {"vmin": limits["vmin"] / 2, "vmax": 2 * limits["vmax"]}
            style["norm"] = LogNorm(**limits)
        self.mesh_ = ax.pcolormesh(self.x0, self.x1, values, **{**style, **kwargs})
        self.colorbar_ = ax.figure.colorbar(
            self.mesh_, ax=ax, label=f"{label} ({_UNITS[measure]})", format="%.3g"
        )
        if self.mesh_.norm.vmax < 30 * self.mesh_.norm.vmin:  # too few powers of ten to read
            self.colorbar_.locator = MaxNLocator(5)
            self.colorbar_.minorlocator = NullLocator()

    def _boundaries(self, ax: Any) -> None:
        if self.classes is None:
            return
        x0, x1 = _refined(self.x0, self.x1, self.classes.shape)
        for number in np.unique(self.classes)[1:]:
            inside = (self.classes == number).astype(float)
            for color, width in (("white", 3.0), ("black", 1.4)):
                ax.contour(x0, x1, inside, [0.5], colors=color, linewidths=width)

    def _ellipses(self, ax: Any, n_ellipses: int) -> Any:
        from matplotlib.collections import PolyCollection

        rows, columns = (
            np.linspace(0, len(axis) - 1, n_ellipses + 2).round().astype(int)[1:-1]
            for axis in (self.x1, self.x0)
        )
        i, j = (index.ravel() for index in np.meshgrid(rows, columns, indexing="ij"))
        spacing = min(np.ptp(self.x0), np.ptp(self.x1)) / (n_ellipses + 1)
        _, values, V = np.linalg.svd(self.jacobians[i, j], full_matrices=False)
        # Half the ellipses then fit into their cell.
        self.radius_ = float(0.45 * spacing * np.median(values[:, 1]))
        if self.radius_ == 0:
            self.radius_ = float(0.45 * spacing * np.median(values[:, 0]))
        longest = np.full_like(values, _LONGEST * spacing)
        lengths = np.divide(self.radius_, values, out=longest.copy(), where=values > 0)
        angles = np.linspace(0, 2 * np.pi, _N_ANGLES, endpoint=False)
        circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        axes = np.minimum(lengths, longest)[:, :, None] * V
        centres = np.stack([self.x0[j], self.x1[i]], axis=1)
        polygons = centres[:, None] + circle @ axes
        ellipses = PolyCollection(
            list(polygons), facecolors=(1, 1, 1, 0.25), edgecolors="white", linewidths=0.9
        )
        return ax.add_collection(ellipses)

    def _samples(self, ax: Any) -> None:
        if self.points is None:
            return
        X, numbers = self.points
        for number in np.unique(numbers):
            ax.scatter(
                *X[numbers == number].T,
                s=14,
                color=COLORS[(1 + number) % len(COLORS)],
                marker=MARKERS[number % len(MARKERS)],
                edgecolors="white",
                linewidths=0.5,
            )


def _transforms(estimator: Any, response_method: str) -> bool:
    if response_method not in ("auto", "transform", "decision_function"):
        raise ValueError(
            'response_method must be "auto", "transform" or "decision_function"; got '
            f"{response_method!r}."
        )
    return response_method == "transform" or (
        response_method == "auto" and hasattr(estimator, "transform")
    )


def _grid(x0: NDArray, x1: NDArray) -> NDArray:
    return np.stack([axis.ravel() for axis in np.meshgrid(x0, x1)], axis=1)


def _refined(x0: NDArray, x1: NDArray, shape: tuple[int, ...]) -> tuple[NDArray, NDArray]:
    rows, columns = shape
    return (
        np.linspace(x0[0], x0[-1], columns, dtype=x0.dtype),
        np.linspace(x1[0], x1[-1], rows, dtype=x1.dtype),
    )


def _regions(estimator: Any, x0: NDArray, x1: NDArray) -> NDArray | None:
    if not is_classifier(estimator):
        return None
    shape = (_FINER * len(x1), _FINER * len(x0))  # predictions are cheap, Jacobians are not
    predicted = estimator.predict(_grid(*_refined(x0, x1, shape)))
    return np.searchsorted(estimator.classes_, predicted).reshape(shape)


def _samples(X: NDArray, y: ArrayLike | None) -> tuple[NDArray, NDArray]:
    if y is None:
        return X, np.zeros(len(X), dtype=int)
    check_consistent_length(X, y)
    return X, np.unique(np.asarray(y), return_inverse=True)[1]
