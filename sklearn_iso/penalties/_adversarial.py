"""Penalties at adversarial examples: what they share, and the cross-entropy there."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Literal

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, Options, StrOptions
from torch import Tensor, nn

from sklearn_iso._geometry import nearest_other_class_distance
from sklearn_iso._geometry.norms import NormName, get_norm
from sklearn_iso._geometry.patches import ImageLayout
from sklearn_iso._typed import clone
from sklearn_iso.modules import Layers
from sklearn_iso.penalties._base import Penalty
from sklearn_iso.penalties._batch import Batch
from sklearn_iso.penalties._bounds import check_bounds
from sklearn_iso.penalties._search import (
    HEIGHTS,
    STEPS_INSIDE,
    AdversarialExamples,
    Ascent,
    PerturbationSearch,
)
from sklearn_iso.penalties._starts import STARTS, Start

#: Fewest of an ascent whose ball shrinks.
LEAST_STEPS = STEPS_INSIDE + 2


class AdversarialPenalty(Penalty):
    """A penalty at the perturbation of each sample that moves the map the most.

    A subclass reads what was found from :meth:`examples`. In a sum, penalties with equal
    parameters of the search share one search in every batch, and a plain name sets such a
    parameter in all of them: ``radius`` and not ``worst_case__radius``.

    Attributes
    ----------
    radius_ : float
        What "auto" came to.
    """

    needs_input_gradient = True
    by_sample = True

    common_params = frozenset(
        {"radius", "norm", "n_steps", "start", "ascent", "step_size", "min_radius", "bounds",
         "warmup", "layers", "image_shape", "first_radius"}
    )  # fmt: skip

    _parameter_constraints: dict[str, Sequence[object]] = {
        "radius": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "norm": [StrOptions({"linf", "l2", "l1"}), Options(Real, {1, 2, np.inf})],
        "n_steps": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "start": [StrOptions(set(STARTS)), list, tuple],
        "ascent": [StrOptions(set(HEIGHTS))],
        "step_size": [Interval(Real, 0, None, closed="neither")],
        "min_radius": [Interval(Real, 0, 1, closed="both")],
        "bounds": [list, tuple, None],
        "warmup": [Interval(Real, 0, 1, closed="both")],
        "layers": [str, "array-like", None],
        "image_shape": ["array-like", None],
        "first_radius": [Interval(Real, 1, None, closed="left")],
    }

    def __init__(
        self,
        *,
        radius: Literal["auto"] | float = "auto",
        norm: NormName | float = "l2",
        n_steps: Literal["auto"] | int = "auto",
        start: Start | Sequence[Start] = "margin",
        ascent: Ascent = "displacement",
        step_size: float = 1.0,
        min_radius: float = 0.0,
        bounds: Sequence[float] | None = None,
        warmup: float = 0.0,
        layers: Layers | None = "logits",
        image_shape: Sequence[int] | None = None,
        first_radius: float = 1.0,
    ) -> None:
        self.radius = radius
        self.norm = norm
        self.n_steps = n_steps
        self.start = start
        self.ascent = ascent
        self.step_size = step_size
        self.min_radius = min_radius
        self.bounds = bounds
        self.warmup = warmup
        self.layers = layers
        self.image_shape = image_shape
        self.first_radius = first_radius

    def calibrate(
        self,
        X: Tensor,
        y: Tensor,
        sample_weight: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> AdversarialPenalty:
        """Set ``radius_`` from the training data where it is "auto"."""
        self._check(X)
        unit = self._unit(X, y, sample_weight, generator, self.radius)
        self.radius_ = self._radius_of(unit)
        return self

    def without_logits(self) -> AdversarialPenalty:
        """Return a clone whose search starts at random, for maps without logits."""
        if self.ascent == "margin":
            raise ValueError(
                "ascent='margin' is about the logits of a classifier, and this map has none; got "
                f"{self!r}. Leave it at its default."
            )
        copy = clone(self)
        blind = ["random" if start == "margin" else start for start in self._starts]
        copy.set_params(start=blind[0] if len(blind) == 1 else blind)
        return copy

    def search(self) -> PerturbationSearch:
        """Return the search that the parameters ask for, after calibration."""
        return PerturbationSearch(
            norm=get_norm(self.norm),
            radius=self.radius_,
            starts=self._starts,
            n_steps=self.n_steps,
            ascent=self.ascent,
            step_size=self.step_size,
            min_radius=self.min_radius,
            bounds=None if self.bounds is None else (self.bounds[0], self.bounds[1]),
            warmup=self.warmup,
            layers=_hashable(self.layers),
            image_shape=None if self.image_shape is None else tuple(self.image_shape),
            first_radius=float(self.first_radius),
        )

    def examples(self, batch: Batch) -> AdversarialExamples:
        """Return the adversarial examples of a batch, shared with penalties of equal searches."""
        return self.search().examples(batch)

    @property
    def _starts(self) -> tuple[Start, ...]:
        return (self.start,) if isinstance(self.start, str) else tuple(self.start)

    def _unit(
        self,
        X: Tensor,
        y: Tensor,
        sample_weight: Tensor | None,
        generator: torch.Generator | None,
        *lengths: str | float,
    ) -> float:
        """Return the distance to the nearest other class, if any of the lengths asks for it."""
        if "auto" not in lengths:
            return 1.0
        order = get_norm(self.norm).order
        return nearest_other_class_distance(
            X, y, order=order, sample_weight=sample_weight, generator=generator
        )

    def _radius_of(self, unit: float) -> float:
        return 0.5 * unit if self.radius == "auto" else float(self.radius)

    def _check(self, X: Tensor) -> None:
        self._validate_params()
        self._check_starts(X)
        self._check_first_radius()
        check_bounds(self.bounds, X)

    def _check_starts(self, X: Tensor) -> None:
        if not self._starts or not all(one in STARTS for one in self._starts):
            raise ValueError(
                f"start must be one of {STARTS}, or a sequence of these; got {self.start!r}."
            )
        if "patches" in self._starts:
            ImageLayout.of(X.shape[1:], self.image_shape)
        elif self.image_shape is not None:
            raise ValueError(
                f"image_shape is a parameter of start='patches'; got {self.image_shape!r} with "
                f"start={self.start!r}. Leave it out, or pass start=('margin', 'patches')."
            )

    def _check_first_radius(self) -> None:
        n_steps = 0 if isinstance(self.n_steps, str) else self.n_steps
        if self.first_radius > 1 and n_steps < LEAST_STEPS:
            raise ValueError(
                "first_radius is that of a ball that shrinks to the radius over the steps of the "
                f"ascent, which takes n_steps of {LEAST_STEPS} or more; got {self.first_radius} "
                f"with n_steps={self.n_steps!r}. Pass n_steps=8, or leave first_radius at 1."
            )


class AdversarialCrossEntropy(AdversarialPenalty):
    r"""Cross-entropy at the adversarial example of each sample: adversarial training.

    .. math:: P = \frac{\sum_i w_i\, \mathrm{CE}(g(x_i + \delta_i), y_i)}{\sum_i w_i}

    with g the logits and the perturbation :math:`\delta_i` of
    :class:`~sklearn_iso.penalties.WorstCaseIsometry`, which is found without the label. Beside
    one whose search is the same it costs nothing, as the logits are there already; the default
    of `IsometricClassifier`, "isometric", is such a sum:
    ``WithinClassIsometry() + WorstCaseIsometry().with_cross_entropy(0.5)``. A weight of 1 times
    an alpha of 1 makes it worth as much as the cross-entropy at x. Classifiers only.

    Parameters
    ----------
    radius : "auto" or float, default="auto"
        Of the ball that is searched, in the units of X. "auto" is half the median distance to the
        nearest other class.
    norm : {"l2", "linf", "l1"} or {2, numpy.inf, 1}, default="l2"
        Norm of the ball.
    n_steps : "auto" or int, default="auto"
        Gradients taken of the ascent, the one of the start included. "auto" takes one where all
        weights are those of linear layers, and two in any other network.
    start : {"margin", "random", "uniform", "patches"} or sequence of these, default="margin"
        Where the ascent starts: towards the nearest decision boundary, in a random direction, at
        a uniform point of the ball, or from random patches of an image. Of several, one is drawn
        for every batch.
    ascent : {"displacement", "margin"}, default="displacement"
        What further steps maximise: how far the representation moves, or by how much the largest
        other logit exceeds that of the most probable class of the sample.
    step_size : float, default=1.0
        Length of every further step over the radius.
    min_radius : float, default=0.0
        Least radius that is drawn, over `radius`; from 0 to 1.
    bounds : (low, high), optional
        Range of the data, in the units of X, which perturbed samples do not leave.
    warmup : float, default=0.0
        Share of the training over which the radius grows linearly.
    layers : layers, default="logits"
        The map f whose displacement is climbed.
    image_shape : (height, width), or with the channels first or last, optional
        What a sample holds, where a `start` is at patches; by default the shape of the sample or,
        where that is flat, one square channel.
    first_radius : float, default=1.0
        Of the ball in which the ascent starts, over the radius; the ball shrinks to the radius
        while the ascent goes on. Beyond 1 it takes an `n_steps` of 4 or more.

    Attributes
    ----------
    radius_ : float
        What "auto" came to.

    References
    ----------
    A. Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks", ICLR 2018.

    Examples
    --------
    >>> from sklearn_iso.penalties import AdversarialCrossEntropy, WorstCaseIsometry
    >>> penalty = WorstCaseIsometry(radius=1.0) + 0.5 * AdversarialCrossEntropy(radius=1.0)
    >>> penalty.set_params(radius=2.0).get_params()["adversarial_cross_entropy__radius"]
    2.0
    """

    needs_labels = True

    def __call__(self, batch: Batch) -> Tensor:
        """Return the weighted mean cross-entropy at the adversarial examples of a batch."""
        logits = self.examples(batch).logits
        losses = nn.functional.cross_entropy(logits, batch.y, reduction="none")
        return torch.dot(batch.weight, losses) / batch.total_weight

    def without_logits(self) -> AdversarialCrossEntropy:
        """Raise a ValueError: there is no cross-entropy without logits."""
        raise ValueError(
            "AdversarialCrossEntropy is about the logits of a classifier, and this map has none; "
            f"got {self!r}. Leave it out: a WorstCaseIsometry does without labels."
        )


def _hashable(layers: Layers | None) -> str | tuple[str, ...] | None:
    return layers if layers is None or isinstance(layers, str) else tuple(layers)
