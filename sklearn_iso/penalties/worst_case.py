"""Isometry in the direction where the map is least isometric."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.base import clone
from sklearn.utils._param_validation import Interval, Options, StrOptions
from torch import Tensor, nn

from sklearn_iso.geometry import nearest_other_class_distance
from sklearn_iso.geometry.box import rounding_slack
from sklearn_iso.geometry.norms import Norm, get_norm
from sklearn_iso.geometry.patches import ImageLayout
from sklearn_iso.modules import Layers
from sklearn_iso.modules.dense import is_dense
from sklearn_iso.penalties.base import Penalty
from sklearn_iso.penalties.batch import Batch
from sklearn_iso.penalties.expansion import expansion_penalty, joined
from sklearn_iso.penalties.starts import (
    STARTS,
    along_gradient,
    either_way,
    moved_into,
    random_patches,
    shared_draw,
)

#: Log-odds of a class against all others together that the map may reach.
LOG_ODDS = 5.0


def logit_gap(n_classes: int) -> float:
    r"""Return the gap that the map may open over the distance to the nearest other class.

    .. math:: 5 + \log(k - 1)

    A logit that stands out by so much against each of k - 1 others has log-odds of 5 against
    all of them together: a probability of .993, whatever the number of classes.

    Parameters
    ----------
    n_classes : int

    Returns
    -------
    gap : float
    """
    return LOG_ODDS + math.log(max(n_classes - 1, 1))


def _displacement(logits: Tensor, moved: Tensor, logits_before: Tensor, Z: Tensor) -> Tensor:
    return torch.linalg.vector_norm(moved - Z, dim=1)


def _margin(logits: Tensor, moved: Tensor, logits_before: Tensor, Z: Tensor) -> Tensor:
    """Return by how much the largest other logit exceeds that of the class before the move."""
    top = logits_before.argmax(dim=1, keepdim=True)
    others = logits.scatter(1, top, -math.inf).amax(dim=1)
    return others - logits.gather(1, top).squeeze(1)


#: What an ascent climbs: logits and f at x + delta, logits and f at x -> one height a row.
HEIGHTS = {"displacement": _displacement, "margin": _margin}
#: Gradients of an ascent that nobody chose: in a perceptron, and in any other network.
DENSE_STEPS, OTHER_STEPS = 1, 2


class WorstCaseIsometry(Penalty):
    r"""Expansion of the pair (x, x + delta) whose delta expands the most.

    .. math:: P = \frac{1}{\sum_i w_i} \sum_i w_i \max\left(0,
              \frac{\lVert f(x_i + \delta_i) - f(x_i) \rVert_2}{s \lVert \delta_i \rVert_p}
              - 1\right)^2

    For every batch a radius is drawn uniformly from (0, r]. The displacement has no gradient
    at :math:`\delta = 0`, so the ascent starts along :math:`J(x)^\top u`, the first step of a
    power iteration, which costs one vector-Jacobian product and no forward pass; every
    further step climbs :math:`\lVert f(x + \delta) - f(x) \rVert`, or the margin of another
    class, inside the ball. Labels play no part in it, and no adversarial example is trained on.
    With a `label_weight`, the far end of a pair bears the label of the row as well: what
    adversarial training does with the perturbation that climbs the classification loss, at no
    further cost, as the logits are there already. The default of `IsometricClassifier`,
    "isometric", has one of 0.5, and "worst_case" has none.

    .. math:: P + v\, \frac{\sum_i w_i\, \mathrm{CE}(g(x_i + \delta_i), y_i)}{\sum_i w_i}

    with g the logits and v the `label_weight`.

    Parameters
    ----------
    radius : "auto" or float, default="auto"
        The r, in the units of X and in the norm `norm`. "auto" is half the median distance
        to the nearest other class: two such balls just touch.
    scale : "auto" or float, default="auto"
        The s, logits for each unit of X. "auto" allows a gap of
        ``5 + log(n_classes - 1)`` logits over the median distance to the nearest other class:
        enough for a probability of .993.
    norm : {"l2", "linf", "l1"} or {2, numpy.inf, 1}, default="l2"
        Norm of the ball and of the distances of X.
    n_steps : "auto" or int, default="auto"
        Gradients taken of the ascent, the one of the start included. "auto" takes one where all
        weights are those of linear layers, and two in any other network: a ConvNet learns to be
        flat along the slope at x and steep elsewhere, and then one gradient no longer finds the
        worst pair.
    start : {"margin", "random", "patches"} or sequence of these, default="margin"
        Where the ascent starts. "margin" and "random" are the cotangent u: from the most
        probable class of the row to its runner-up, which starts towards the nearest decision
        boundary, or one random direction for the batch. "patches" starts from a few random
        patches of an image, the same for the batch, which move many neighbouring pixels
        together: a network may have no slope that tells of them; they cost no gradient, so
        all `n_steps` follow. Of several, one is drawn for every batch.
    ascent : {"displacement", "margin"}, default="displacement"
        What further steps climb: how far the representation moves, or by how much the largest
        other logit exceeds that of the most probable class of the row, which is what an
        attacker climbs where that class is right. The longest displacement need not cross a
        decision boundary.
    step_size : float, default=1.0
        Length of every further step over the radius. Where slopes turn within the ball, short
        steps climb and long ones jump to and fro.
    min_radius : float, default=0.0
        Least radius that is drawn, over r. Towards 1 the pairs are those of one length that the
        network is to withstand.
    bounds : (low, high), optional
        Range of the data, in the units of X. Pairs stay inside: of the ball around a pixel
        that is black, half is no image. Checked on the rows that calibrate the penalty; a row
        outside moves back towards the range or not at all.
    warmup : float, default=0.0
        Share of the training over which the radius grows linearly to r; helps large radii.
    two_sided : bool, default=False
        Penalise contraction too: the square of the distortion minus 1.
    label_weight : float, default=0.0
        The v: weight of the cross-entropy at x + delta. Classifiers only; worth as much as the
        cross-entropy at x where v times alpha is 1.
    layers : layers, default="logits"
        The map f; several layers count as one vector.
    image_shape : (height, width), or with the channels first or last, optional
        What a row holds, where a `start` is at patches; the channels are the smaller one of the
        outer two sizes. By default the shape of the row or, where that is flat, one square channel.

    Attributes
    ----------
    radius_, scale_ : float
        What "auto" came to.

    References
    ----------
    A. Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks", ICLR 2018;
    T. Miyato et al., "Virtual Adversarial Training", IEEE TPAMI 2019, for the ascent; Y. Yang et
    al., "A Closer Look at Accuracy vs. Robustness", NeurIPS 2020, for Lipschitz regularisation.

    Examples
    --------
    >>> from sklearn_iso.penalties import WorstCaseIsometry
    >>> WorstCaseIsometry(norm="linf", radius=0.3, n_steps=3)
    WorstCaseIsometry(n_steps=3, norm='linf', radius=0.3)
    """

    needs_input_gradient = True

    _parameter_constraints: dict = {
        "radius": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "scale": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "norm": [StrOptions({"linf", "l2", "l1"}), Options(Real, {1, 2, np.inf})],
        "n_steps": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "start": [StrOptions(set(STARTS)), list, tuple],
        "ascent": [StrOptions(set(HEIGHTS))],
        "step_size": [Interval(Real, 0, None, closed="neither")],
        "min_radius": [Interval(Real, 0, 1, closed="both")],
        "bounds": [list, tuple, None],
        "warmup": [Interval(Real, 0, 1, closed="both")],
        "two_sided": ["boolean"],
        "label_weight": [Interval(Real, 0, None, closed="left")],
        "layers": [str, "array-like", None],
        "image_shape": ["array-like", None],
    }

    def __init__(
        self,
        *,
        radius: str | float = "auto",
        scale: str | float = "auto",
        norm: str | float = "l2",
        n_steps: str | int = "auto",
        start: str | Sequence[str] = "margin",
        ascent: str = "displacement",
        step_size: float = 1.0,
        min_radius: float = 0.0,
        bounds: Sequence[float] | None = None,
        warmup: float = 0.0,
        two_sided: bool = False,
        label_weight: float = 0.0,
        layers: Layers | None = "logits",
        image_shape: Sequence[int] | None = None,
    ) -> None:
        self.radius = radius
        self.scale = scale
        self.norm = norm
        self.n_steps = n_steps
        self.start = start
        self.ascent = ascent
        self.step_size = step_size
        self.min_radius = min_radius
        self.bounds = bounds
        self.warmup = warmup
        self.two_sided = two_sided
        self.label_weight = label_weight
        self.layers = layers
        self.image_shape = image_shape

    def calibrate(
        self,
        X: Tensor,
        y: Tensor,
        sample_weight: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> WorstCaseIsometry:
        """Set ``radius_`` and ``scale_`` from the training data where they are "auto"."""
        self._validate_params()
        self._check_starts(X)
        self._check_bounds(X)
        unit = 1.0
        if "auto" in (self.radius, self.scale):
            unit = nearest_other_class_distance(
                X,
                y,
                order=get_norm(self.norm).order,
                sample_weight=sample_weight,
                generator=generator,
            )
        self.radius_ = 0.5 * unit if self.radius == "auto" else float(self.radius)
        self.scale_ = (
            logit_gap(len(torch.unique(y))) / unit if self.scale == "auto" else float(self.scale)
        )
        return self

    def rescale(self, factor: float) -> None:
        """Multiply the slope that costs nothing."""
        self.scale_ *= factor

    def without_logits(self) -> WorstCaseIsometry:
        """Return a clone whose pairs start at random, for maps without logits."""
        if self.label_weight or self.ascent == "margin":
            raise ValueError(
                "label_weight and ascent='margin' are about the logits of a classifier, and this "
                f"map has none; got {self!r}. Leave both at their defaults."
            )
        copy: WorstCaseIsometry = clone(self)
        blind = ["random" if start == "margin" else start for start in self._starts]
        return copy.set_params(start=blind[0] if len(blind) == 1 else blind)

    @property
    def needs_labels(self) -> bool:
        """Whether the far ends of the pairs bear labels."""
        return self.label_weight > 0

    @property
    def _starts(self) -> tuple[str, ...]:
        return (self.start,) if isinstance(self.start, str) else tuple(self.start)

    def _check_starts(self, X: Tensor) -> None:
        if not self._starts or not set(self._starts) <= set(STARTS):
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

    def _check_bounds(self, X: Tensor) -> None:
        if self.bounds is None:
            return
        numbers = len(self.bounds) == 2 and all(isinstance(side, Real) for side in self.bounds)
        if not numbers or not self.bounds[0] < self.bounds[1]:
            raise ValueError(
                f"bounds must be two numbers (low, high) with low < high; got {self.bounds!r}."
            )
        low, high = (torch.tensor(float(side), dtype=X.dtype) for side in self.bounds)
        least, most, slack = X.min().item(), X.max().item(), rounding_slack(X, low, high).item()
        if least < self.bounds[0] - slack or most > self.bounds[1] + slack:
            raise ValueError(
                f"X must lie within bounds={self.bounds!r}, in the units that the network sees; "
                f"it goes from {least:.6g} to {most:.6g}. Scale X, or widen the bounds."
            )

    def __call__(self, batch: Batch) -> Tensor:
        """Return the weighted mean squared excess expansion of a batch."""
        Z = joined(batch.representations(self.layers))
        delta = self._ascend(batch, Z)
        logits, moved = batch.pass_on(batch.X.detach() + delta, self.layers)
        value = expansion_penalty(
            batch,
            delta,
            joined(moved),
            scale=self.scale_,
            norm=get_norm(self.norm),
            two_sided=self.two_sided,
            layers=self.layers,
        )
        if not self.label_weight:
            return value
        return value + float(self.label_weight) * _mean_cross_entropy(logits, batch)

    def found_and_further(self, batch: Batch) -> tuple[float, float]:
        """Return the mean expansion of pairs of radius r, and after one more step, over the scale.

        The second is close to the first where the pairs of the training are the worst ones. Of a
        network that has learned to be flat where the ascent looks, and steep beside it, it is twice
        the first and more.
        """
        Z = joined(batch.representations(self.layers))
        state = batch.generator.get_state()
        expansions = []
        for n_more in (0, 1):
            batch.generator.set_state(state)  # the same start for both
            delta = self._climb(batch, Z, self.radius_, n_more)
            with torch.no_grad():
                _, moved = batch.pass_on(batch.X + delta, self.layers)
            length = torch.linalg.vector_norm(joined(moved) - Z.detach(), dim=1)
            mean = torch.dot(batch.weight, length).item() / batch.total_weight
            expansions.append(mean / self.radius_ / self.scale_)
        return expansions[0], expansions[1]

    def _ascend(self, batch: Batch, Z: Tensor) -> Tensor:
        """Return the perturbation of each row, without a graph."""
        # One radius for the batch, not one a row: a row of weight 2 is the row twice.
        draw = torch.rand((), generator=batch.generator, dtype=torch.float64)
        grown = min(1.0, batch.progress / self.warmup) if self.warmup else 1.0
        radius = self.radius_ * grown * (1 - (1 - self.min_radius) * float(draw))
        return self._climb(batch, Z, radius)

    def _climb(self, batch: Batch, Z: Tensor, radius: float, n_more: int = 0) -> Tensor:
        """Return perturbations of a radius, found with so many gradients more than `n_steps`."""
        norm = get_norm(self.norm)
        box = self._box(batch.X.detach(), radius)
        direction, n_left = self._first(batch, Z, norm, box)
        for step in range(n_left + n_more):
            gradient = self._gradient(batch, Z.detach(), radius * direction)
            if box:
                direction = norm.step_into(direction, gradient, self.step_size, step, *box)
            else:
                ascent = norm.ascent(gradient, step)
                direction = norm.project(direction + self.step_size * ascent)
        return radius * direction

    def _box(self, X: Tensor, radius: float) -> tuple[Tensor, Tensor] | None:
        """Return how far each feature may move down and up, over the radius."""
        if self.bounds is None:
            return None
        low, high = self.bounds
        unit = max(radius, torch.finfo(X.dtype).tiny)
        return (low - X).clamp_max(0) / unit, (high - X).clamp_min(0) / unit

    def _first(
        self, batch: Batch, Z: Tensor, norm: Norm, box: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, int]:
        """Return where the ascent starts in unit ball and box, and how many gradients are left."""
        starts = self._starts
        several = len(starts) > 1
        chosen = torch.randint(len(starts), (), generator=batch.generator) if several else 0
        start = starts[int(chosen)]
        if start == "patches":
            drawn = random_patches(batch, self.image_shape, norm)
            # A margin has a gradient also where the box allows nothing of the patches.
            place = either_way if self.ascent == "displacement" else moved_into
            return place(drawn, norm, box), self._n_gradients(batch)
        if start == "margin":
            gradient = batch.margin_gradient
        else:
            u = shared_draw(Z, batch)
            (gradient,) = torch.autograd.grad(Z, batch.X, u, retain_graph=True)
        return along_gradient(gradient, norm, box), self._n_gradients(batch) - 1

    def _n_gradients(self, batch: Batch) -> int:
        if isinstance(self.n_steps, str):
            return DENSE_STEPS if is_dense(batch.module) else OTHER_STEPS
        return int(self.n_steps)

    def _gradient(self, batch: Batch, Z: Tensor, delta: Tensor) -> Tensor:
        X = (batch.X.detach() + delta).requires_grad_()
        with torch.enable_grad():
            logits, moved = batch.pass_on(X, self.layers)
            height = HEIGHTS[self.ascent](logits, joined(moved), batch.logits.detach(), Z)
        # Rows are independent, so the gradient of the sum is that of every row.
        (gradient,) = torch.autograd.grad(height.sum(), X)
        return gradient


def _mean_cross_entropy(logits: Tensor, batch: Batch) -> Tensor:
    losses = nn.functional.cross_entropy(logits, batch.y, reduction="none")
    return torch.dot(batch.weight, losses) / batch.total_weight
