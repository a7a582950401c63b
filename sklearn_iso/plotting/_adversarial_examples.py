"""What an attack does to single samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_iso._geometry.patches import ImageLayout
from sklearn_iso._protocols import Predictor, RandomState
from sklearn_iso._threat import Threat, check_eps
from sklearn_iso._threat.named import Named
from sklearn_iso.attacks import as_attack
from sklearn_iso.attacks._choice import AttackLike
from sklearn_iso.plotting._attacked import Within
from sklearn_iso.plotting._axes import axes_for, check_empty, class_name, figure_of, of_model
from sklearn_iso.plotting._checks import as_numbers, check_names, check_parameters
from sklearn_iso.plotting._example_images import draw_images
from sklearn_iso.plotting._moved_features import draw_moves, movement
from sklearn_iso.twins._labels import as_array

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Images that are drawn.
N_EXAMPLES = 6


class AdversarialExamplesDisplay:
    """Adversarial examples: as images, or as the features that moved.

    Images stand in three rows: the original, the perturbation (red where values rise and blue where
    they fall, on a scale of its own) and the adversarial example, under it the predicted classes.
    They fill their axes: give each model axes of its own. A table is drawn as one dot for each
    feature, its mean absolute change over the misclassified samples; draw several models on one
    axes by passing the `ax_` of the first as `ax` of the next.

    Make one with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    X : array-like of shape (n_samples, ...)
        Originals.
    X_adv : array-like of the shape of X
        What the attack made of them; a sample that it could not break is as it was.
    y_pred, y_adv : array-like of shape (n_samples,), default=None
        Predictions for X and for X_adv, labels or floats of a regressor. Without them, samples that
        moved count as misclassified.
    image_shape : tuple of int, default=None
        (height, width), or (height, width, 3) for colours, of the image that a row holds; None for
        tables. Random search, where the attack comes to it, moves patches of such an image.
    units : array-like of shape (n_features,), default=None
        Unit of each feature of a table, such as ``X.std(axis=0)``; 1, the units of X, if None.
    feature_names : sequence of str, default=None
        Names of the features of a table, one for each.
    estimator_name : str, default=None
        Title of the images, or name of the model in the legend.

    Attributes
    ----------
    misclassified : ndarray of bool of shape (n_samples,)
        Which predictions the attack changed; of a regressor, by any amount.
    movement : ndarray of shape (n_features,) or None
        Mean absolute change of each feature of a table, in `units`, over the misclassified samples;
        NaN where none was misclassified.
    artists_ : list of matplotlib artists
        The images, three for each sample (original, perturbation, adversarial), or the dots.
    ax_ : matplotlib Axes
        The axes drawn on.
    figure_ : matplotlib Figure
        Its figure.

    Raises
    ------
    ValueError
        If the shapes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_iso.plotting import AdversarialExamplesDisplay
    >>> X = np.array([[1.0, 5.0], [2.0, 5.0]])
    >>> display = AdversarialExamplesDisplay(X, X + [0.5, 0.0], feature_names=["age", "height"])
    >>> display.movement
    array([0.5, 0. ])
    """

    artists_: Sequence[Artist]
    ax_: Axes
    figure_: Figure

    def __init__(
        self,
        X: ArrayLike,
        X_adv: ArrayLike,
        *,
        y_pred: ArrayLike | None = None,
        y_adv: ArrayLike | None = None,
        image_shape: tuple[int, ...] | None = None,
        units: ArrayLike | None = None,
        feature_names: Sequence[str] | None = None,
        estimator_name: str | None = None,
    ) -> None:
        check_parameters(
            type(self),
            image_shape=image_shape,
            feature_names=feature_names,
            estimator_name=estimator_name,
        )
        self.X = as_numbers(X, "X", ndim=None)
        self.X_adv = as_numbers(X_adv, "X_adv", ndim=None)
        self.y_pred = None if y_pred is None else _labels(y_pred, "y_pred")
        self.y_adv = None if y_adv is None else _labels(y_adv, "y_adv")
        self.image_shape = image_shape
        self.units = units
        if (named := Named.of(units)) is not None and self.X.ndim == 2:
            names = feature_names if feature_names is not None else getattr(X, "columns", None)
            columns = None if names is None else list(names)
            self.units = named.in_order(columns, self.X.shape[1], "units")
        self.feature_names = feature_names
        self.estimator_name = estimator_name
        self._check()
        if self.y_pred is None or self.y_adv is None:
            self.misclassified = (self.X != self.X_adv).reshape(len(self.X), -1).any(axis=1)
        else:
            self.misclassified = self.y_pred != self.y_adv
        self.movement = None
        if image_shape is None:
            self.movement = movement(
                self.X[self.misclassified], self.X_adv[self.misclassified], self.units
            )

    def _check(self) -> None:
        if self.X.ndim < 2 or self.X.shape != self.X_adv.shape or not len(self.X):
            raise ValueError(
                "X and X_adv must be samples of the same shape, at least one; found shapes "
                f"{self.X.shape} and {self.X_adv.shape}. Pass the row of each original and that of "
                "its adversarial example."
            )
        for name, labels in (("y_pred", self.y_pred), ("y_adv", self.y_adv)):
            if labels is not None and labels.shape != (len(self.X),):
                raise ValueError(
                    f"{name} must hold one label for each of {len(self.X)} samples; found shape "
                    f"{labels.shape}."
                )
        if self.image_shape is None:
            self._check_table()
        else:
            self._check_images(self.image_shape)

    def _check_images(self, image_shape: tuple[int, ...]) -> None:
        for name, value in (("units", self.units), ("feature_names", self.feature_names)):
            if value is not None:
                raise ValueError(
                    f"{name} are those of the features of a table; got both {name} and "
                    f"image_shape={image_shape!r}. Leave out one of the two."
                )
        ImageLayout.of(self.X.shape[1:], image_shape)
        if len(image_shape) == 3 and image_shape[2] not in (1, 3):
            raise ValueError(
                "image_shape must be (height, width), or (height, width, 3) for colours; got "
                f"{tuple(image_shape)}. Move the channels of other arrays to the end, and pass X "
                "so."
            )

    def _check_table(self) -> None:
        if self.X.ndim > 2:
            raise ValueError(
                f"A table has rows of features; found shape {self.X.shape}. Pass "
                f"image_shape={self.X.shape[1:]} to draw images."
            )
        width = self.X.shape[1]
        if self.feature_names is not None:
            check_names(self.feature_names, width)
        if self.units is not None:
            shape = as_numbers(self.units, "units", ndim=None).shape
            if shape not in ((), (width,)):
                raise ValueError(
                    f"units must be a number, or one for each of {width} features; found shape "
                    f"{shape}."
                )

    @classmethod
    def from_predictions(
        cls,
        X: ArrayLike,
        X_adv: ArrayLike,
        y_pred: ArrayLike | None = None,
        y_adv: ArrayLike | None = None,
        *,
        image_shape: tuple[int, ...] | None = None,
        units: ArrayLike | None = None,
        feature_names: Sequence[str] | None = None,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> AdversarialExamplesDisplay:
        """Draw adversarial examples that are known already.

        Parameters
        ----------
        X, X_adv : array-like of shape (n_samples, ...)
            Originals, and what the attack made of them; what it could not break is as it was.
        y_pred, y_adv : array-like of shape (n_samples,), default=None
            Predictions for X and for X_adv. Without them, samples that moved count as
            misclassified.
        image_shape : tuple of int, default=None
            (height, width), or (height, width, 3) for colours, of the image that a row holds; None
            for tables.
        units : array-like of shape (n_features,), default=None
            Unit of each feature of a table; 1, the units of X, if None.
        feature_names : sequence of str, default=None
            Names of the features of a table, one for each.
        name : str, default=None
            Title of the images, or name of the model in the legend.
        ax : matplotlib Axes, default=None
            Axes to draw on; a new one if None.

        Returns
        -------
        display : AdversarialExamplesDisplay
            The display, drawn.
        """
        display = cls(
            X,
            X_adv,
            y_pred=y_pred,
            y_adv=y_adv,
            image_shape=image_shape,
            units=units,
            feature_names=feature_names,
            estimator_name=name,
        )
        return display.plot(ax=ax)

    @classmethod
    def from_estimator(
        cls,
        estimator: Predictor,
        X: ArrayLike,
        y: ArrayLike,
        *,
        eps: float,
        threat: Threat = "l2",
        attack: AttackLike = "auto",
        image_shape: tuple[int, ...] | None = None,
        n_examples: int = N_EXAMPLES,
        random_state: RandomState = 0,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> AdversarialExamplesDisplay:
        """Attack a fitted classifier or regressor and draw what the attack did.

        Nothing is picked: the images are those of the first samples that the classifier gets right,
        those that hold included, and the features are counted over all misclassified samples. Of a
        regressor they are the first samples and, in a table, all whose prediction moved.

        Parameters
        ----------
        estimator : classifier or regressor
            A fitted one, or a Pipeline; a regressor of one output, whose absolute error is
            attacked.
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; those that are misclassified without an attack are left out.
        y : array-like of shape (n_samples,)
            Their labels or targets.
        eps : float
            Budget, in units of the threat.
        threat : ThreatModel, or the name of a norm, default="l2"
            What an attack may do; a table shows how far features moved in its units.
        attack : str, Attack or callable, default="auto"
            "auto" is the evaluation of :func:`sklearn_iso.metrics.adversarial_accuracy`. An attack
            of :mod:`sklearn_iso.attacks`, its name ("pgd"), or a callable
            ``(logits, X, y, *, eps, threat)`` runs alone.
        image_shape : tuple of int, default=None
            (height, width), or (height, width, 3) for colours, of the image that a row holds; None
            for tables. Random search moves patches of such an image.
        n_examples : int, default=6
            How many images to draw; a table counts all samples.
        random_state : int, RandomState instance or None, default=0
            Seed of the attack.
        name : str, default=None
            Title of the images, or name of the model in the legend; the class name of the
            estimator if None.
        ax : matplotlib Axes, default=None
            Axes to draw on; a new one if None.

        Returns
        -------
        display : AdversarialExamplesDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If the data or a parameter break their rule, no sample is classified correctly, or a
            regressor has several outputs.
        """
        check_parameters(cls, n_examples=n_examples, image_shape=image_shape, name=name)
        if image_shape is None and n_examples != N_EXAMPLES:
            raise ValueError(
                "n_examples is how many images to draw, and a table counts all samples; got "
                f"n_examples={n_examples!r} without image_shape. Leave it out, or pass image_shape."
            )
        within = Within(estimator, check_eps(eps), threat, as_attack(attack), random_state)
        found = within.attacked(X, y, image_shape, n_examples)
        return cls.from_predictions(
            found.X,
            found.X_adv,
            found.y_pred,
            found.y_adv,
            image_shape=image_shape,
            units=found.units,
            feature_names=found.columns if image_shape is None else None,
            name=class_name(estimator) if name is None else name,
            ax=ax,
        )

    def plot(
        self, ax: Axes | None = None, *, name: str | None = None, **kwargs: Any
    ) -> AdversarialExamplesDisplay:
        """Draw the images, or the features that moved.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; a new one if None.
        name : str, default=None
            Title of the images, or name of the model in the legend; `estimator_name` if None.
        **kwargs : dict
            Passed to matplotlib's `imshow` of originals and adversarial examples, or to `plot` of
            the dots.

        Returns
        -------
        display : AdversarialExamplesDisplay
            The display itself.
        """
        if self.image_shape is not None:
            check_empty(ax, "A row of images")
        ax = axes_for(self, ax)
        name = self.estimator_name if name is None else name
        if self.image_shape is not None:
            shape = self.image_shape[:2] if self.image_shape[2:] == (1,) else self.image_shape
            before, after = (A.reshape(-1, *shape) for A in (self.X, self.X_adv))
            self.artists_ = draw_images(ax, before, after, self._captions(), kwargs)
            ax.set_title("" if name is None else name)
        elif self.movement is not None:
            self.artists_ = draw_moves(
                ax,
                self.movement,
                self.feature_names,
                label=of_model(name, self._summary()),
                of="samples" if self._of_numbers() else "misclassified samples",
                in_units=self.units is not None,
                kwargs=kwargs,
            )
        self.ax_, self.figure_ = ax, figure_of(ax)
        return self

    def _of_numbers(self) -> bool:
        """Whether predictions are those of a regressor."""
        return self.y_pred is not None and self.y_pred.dtype.kind == "f"

    def _summary(self) -> str:
        """Return what the attack came to, in a few words."""
        if self.y_pred is None or self.y_adv is None or not self._of_numbers():
            return f"{self.misclassified.sum()} misclassified of {len(self.misclassified)}"
        return f"predictions move by {np.abs(self.y_adv - self.y_pred).mean():.3g} in the mean"

    def _captions(self) -> list[tuple[str, str]]:
        """Return what stands under the original and under the adversarial example."""
        if self.y_pred is None or self.y_adv is None:
            return [
                ("", "misclassified" if misclassified else "holds")
                for misclassified in self.misclassified
            ]
        if self._of_numbers():
            both = zip(self.y_pred, self.y_adv, strict=True)
            return [(f"{before:.4g}", f"{after:.4g}") for before, after in both]
        pairs = zip(self.y_pred, self.y_adv, self.misclassified, strict=True)
        return [(f"{a}", f"{b}" if misclassified else "holds") for a, b, misclassified in pairs]


def _labels(y: ArrayLike, name: str) -> NDArray:
    labels = as_array(y)
    return labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
