"""An embedding in the plane, and where it keeps distances."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist
from sklearn.utils import gen_batches

from sklearn_iso._protocols import RandomState, Transformer
from sklearn_iso._randomness import private_random_state
from sklearn_iso.metrics._distortion import representation_of
from sklearn_iso.metrics._pairs import binary_scale, check_pair_of_spaces
from sklearn_iso.plotting._axes import Style, axes_for, check_empty, class_name, figure_of
from sklearn_iso.plotting._checks import as_numbers, check_parameters

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.colorbar import Colorbar
    from matplotlib.figure import Figure

_REFERENCES = 1000  # samples that distances are measured to, at most
_AT_ONCE = 5000  # samples whose distances are held at once: 40 MB for each space


class EmbeddingDisplay:
    r"""Samples where an embedding puts them, coloured by how badly it keeps their distances.

    The distortion of sample i is the stress of its own distances, to up to 1,000 samples j that
    are drawn once:

    .. math:: \sqrt{\sum_j (d_Z(i, j) - s\,d_X(i, j))^2 / \sum_j (s\,d_X(i, j))^2}

    with the s that suits all samples best. It is 0 everywhere for a similarity. Draw a
    :class:`ShepardDisplay` beside it for the pairs themselves.

    Make one with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    Z : array-like of shape (n_samples, n_components)
        The embedding, of at least two components; the first two are drawn.
    distortion : array-like of shape (n_samples,)
        Distortion of each sample, without unit.
    estimator_name : str, default=None
        Title of the picture.

    Attributes
    ----------
    points_ : matplotlib PathCollection
        The samples, those of the largest distortion on top.
    colorbar_ : matplotlib Colorbar
        The colours of the distortion.
    ax_ : matplotlib Axes
        The axes drawn on.
    figure_ : matplotlib Figure
        Its figure.

    Raises
    ------
    ValueError
        If Z has fewer than two components, lengths differ, or a number is not finite.

    References
    ----------
    Venna and Kaski, "Local multidimensional scaling", Neural Networks 19, 2006.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> from sklearn_iso.plotting import EmbeddingDisplay
    >>> X, _ = load_iris(return_X_y=True)
    >>> display = EmbeddingDisplay.from_estimator(PCA(2).fit(X), X)
    >>> display.distortion.shape
    (150,)
    """

    points_: PathCollection
    colorbar_: Colorbar
    ax_: Axes
    figure_: Figure

    def __init__(
        self, Z: ArrayLike, distortion: ArrayLike, *, estimator_name: str | None = None
    ) -> None:
        check_parameters(type(self), estimator_name=estimator_name)
        self.Z = as_numbers(Z, "Z", ndim=2)
        self.distortion = as_numbers(distortion, "distortion")
        self.estimator_name = estimator_name
        if self.Z.shape[1] < 2 or len(self.Z) != len(self.distortion):
            raise ValueError(
                "Z must have at least two components and one row for each distortion; found shape "
                f"{self.Z.shape} for {len(self.distortion)} distortions. Embed into the plane, "
                "with n_components=2."
            )
        if not (np.isfinite(self.Z).all() and np.isfinite(self.distortion).all()):
            raise ValueError("Z and distortion must be finite; found NaN or infinity.")

    @classmethod
    def from_predictions(
        cls,
        X: ArrayLike,
        Z: ArrayLike,
        *,
        random_state: RandomState = 0,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> EmbeddingDisplay:
        """Draw an embedding that is known already.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Points of the input space.
        Z : array-like of shape (n_samples, n_components)
            Their embedding, sample by sample.
        random_state : int, RandomState instance or None, default=0
            Seed of the choice of samples that distances are measured to.
        name : str, default=None
            Title of the picture.
        ax : matplotlib Axes, default=None
            Axes to draw on; a new one if None.

        Returns
        -------
        display : EmbeddingDisplay
            The display, drawn.
        """
        points, embedded, _ = check_pair_of_spaces(X, Z, None)
        rng = private_random_state(random_state)
        chosen = rng.permutation(len(points))[:_REFERENCES]
        distortion = _distortion_of_samples(points, embedded, chosen)
        return cls(Z, distortion, estimator_name=name).plot(ax=ax)

    @classmethod
    def from_estimator(
        cls,
        estimator: Transformer,
        X: ArrayLike,
        *,
        random_state: RandomState = 0,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> EmbeddingDisplay:
        """Draw ``estimator.transform(X)``.

        Parameters
        ----------
        estimator : transformer
            A fitted estimator with `transform`, or a Pipeline that ends in one.
        X : array-like of shape (n_samples, n_features)
            Points of the input space.
        random_state : int, RandomState instance or None, default=0
            Seed of the choice of samples that distances are measured to.
        name : str, default=None
            Title of the picture; the class name of the estimator if None, of a Pipeline that of
            its last step.
        ax : matplotlib Axes, default=None
            Axes to draw on; a new one if None.

        Returns
        -------
        display : EmbeddingDisplay
            The display, drawn.
        """
        return cls.from_predictions(
            X,
            representation_of(estimator, X),
            random_state=random_state,
            name=class_name(estimator) if name is None else name,
            ax=ax,
        )

    def plot(
        self, ax: Axes | None = None, *, name: str | None = None, **kwargs: Any
    ) -> EmbeddingDisplay:
        """Draw the samples, on axes of equal units.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on, with nothing on them; a new one if None.
        name : str, default=None
            Title of the picture; `estimator_name` if None.
        **kwargs : dict
            Passed to matplotlib's `scatter`.

        Returns
        -------
        display : EmbeddingDisplay
            The display itself.
        """
        check_empty(ax, "An embedding")
        ax = axes_for(self, ax)
        name = self.estimator_name if name is None else name
        order = np.argsort(self.distortion, kind="stable")
        top = float(np.quantile(self.distortion, 0.99)) or 1.0
        style: Style = {"s": 12, "linewidths": 0, "cmap": "viridis", "vmin": 0, "vmax": top}
        style["c"] = self.distortion[order]
        first, second = self.Z[order, :2].T
        self.points_ = ax.scatter(first, second, **{**style, **kwargs})
        ax.set_aspect("equal", adjustable="datalim")
        ax.set_xlabel("First component, in units of the features")
        ax.set_ylabel("Second component")
        if name is not None:
            ax.set_title(name)
        self.ax_, self.figure_ = ax, figure_of(ax)
        self.colorbar_ = self.figure_.colorbar(
            self.points_, ax=ax, label="Distortion of a sample (no unit)", extend="max"
        )
        return self


def _distortion_of_samples(X: NDArray, Z: NDArray, chosen: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the stress of each sample's distances to those chosen, under one common scale."""
    X, Z = X / binary_scale(X), Z / binary_scale(Z)  # squares neither overflow nor vanish
    sums = np.zeros(2)
    for _, d_X, d_Z in _distances(X, Z, chosen):
        sums += (d_X * d_Z).sum(), (d_X**2).sum()
    scale = sums[0] / sums[1] if sums[1] else 0.0
    distortion = np.zeros(len(X))
    for part, d_X, d_Z in _distances(X, Z, chosen):  # the residuals: a difference of sums rounds
        whole = ((scale * d_X) ** 2).sum(axis=1)
        squared = ((d_Z - scale * d_X) ** 2).sum(axis=1)
        distortion[part] = np.sqrt(squared / np.where(whole > 0, whole, 1.0))
    return distortion


def _distances(
    X: NDArray, Z: NDArray, chosen: NDArray[np.intp]
) -> Iterator[tuple[slice, NDArray[np.float64], NDArray[np.float64]]]:
    """Yield the distances of some samples at a time to those chosen, in both spaces."""
    for part in gen_batches(len(X), _AT_ONCE):
        yield part, cdist(X[part], X[chosen]), cdist(Z[part], Z[chosen])
