"""Isometry in the direction where the map is least isometric."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Literal

import torch
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor

from sklearn_iso._geometry.norms import NormName, get_norm
from sklearn_iso.modules import Layers
from sklearn_iso.penalties._adversarial import AdversarialCrossEntropy, AdversarialPenalty
from sklearn_iso.penalties._base import PenaltySum
from sklearn_iso.penalties._batch import Batch
from sklearn_iso.penalties._expansion import expansion_penalty, joined
from sklearn_iso.penalties._search import Ascent
from sklearn_iso.penalties._starts import Start

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


class WorstCaseIsometry(AdversarialPenalty):
    r"""Expansion of the pair (x, x + delta) whose delta expands the most.

    .. math:: P = \frac{1}{\sum_i w_i} \sum_i w_i \max\left(0,
              \frac{\lVert f(x_i + \delta_i) - f(x_i) \rVert_2}{s \lVert \delta_i \rVert_p}
              - 1\right)^2

    For every batch a radius is drawn uniformly from (0, r]. The displacement has no gradient
    at :math:`\delta = 0`, so the ascent starts along :math:`J(x)^\top u`, the first step of a
    power iteration, which costs one vector-Jacobian product and no forward pass; every
    further step ascends :math:`\lVert f(x + \delta) - f(x) \rVert`, or the margin of another
    class, inside the ball. Labels play no part in it, and no adversarial example is trained on,
    unless its cross-entropy is added: :meth:`with_cross_entropy`.

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
    start : {"margin", "random", "uniform", "patches"} or sequence of these, default="margin"
        Where the ascent starts. "margin" and "random" are the cotangent u: from the most
        probable class of the sample to its runner-up, which starts towards the nearest decision
        boundary, or one random direction for the batch; both lead to the edge of the ball.
        "uniform" starts at a uniform point of the ball, a new one for each sample and batch, though
        for equal samples the same, so that a weight of 2 is the sample twice. "patches" starts from
        a few random patches of an image, the same for the batch, which move many neighbouring
        pixels together: a network may have no slope that tells of them. The last two cost no
        gradient, so all `n_steps` follow. Of several, one is drawn for every batch.
    ascent : {"displacement", "margin"}, default="displacement"
        What further steps maximise: how far the representation moves, or by how much the largest
        other logit exceeds that of the most probable class of the sample, which is what an
        attacker maximises where that class is right. The longest displacement need not cross a
        decision boundary.
    step_size : float, default=1.0
        Length of every further step over the radius. Where slopes turn within the ball, short
        steps ascend and long ones oscillate.
    min_radius : float, default=0.0
        Least radius that is drawn, over r. Towards 1 the pairs are those of one length that the
        network is to withstand.
    bounds : (low, high), optional
        Range of the data, in the units of X. Pairs stay inside: of the ball around a pixel
        that is black, half is no image. Checked on the samples that calibrate the penalty; one
        outside moves back towards the range or not at all.
    warmup : float, default=0.0
        Share of the training over which the radius grows linearly to r; helps large radii.
    two_sided : bool, default=False
        Penalise contraction too: the square of the distortion minus 1.
    layers : layers, default="logits"
        The map f; several layers count as one vector.
    image_shape : (height, width), or with the channels first or last, optional
        What a sample holds, where a `start` is at patches; the channels are the smaller one of
        the outer two sizes. By default the shape of the sample or, where that is flat, one square
        channel.
    first_radius : float, default=1.0
        Of the ball in which the ascent starts, over the radius that is drawn: it shrinks to that
        radius while the ascent goes on, and the last steps stay inside. A network that is trained
        in one norm is flat for short moves in another, and shows its slopes only farther out.
        Beyond 1 it takes an `n_steps` of 4 or more; 8 are better.

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

    _parameter_constraints = AdversarialPenalty._parameter_constraints | {
        "scale": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "two_sided": ["boolean"],
    }

    def __init__(
        self,
        *,
        radius: Literal["auto"] | float = "auto",
        scale: Literal["auto"] | float = "auto",
        norm: NormName | float = "l2",
        n_steps: Literal["auto"] | int = "auto",
        start: Start | Sequence[Start] = "margin",
        ascent: Ascent = "displacement",
        step_size: float = 1.0,
        min_radius: float = 0.0,
        bounds: Sequence[float] | None = None,
        warmup: float = 0.0,
        two_sided: bool = False,
        layers: Layers | None = "logits",
        image_shape: Sequence[int] | None = None,
        first_radius: float = 1.0,
    ) -> None:
        super().__init__(
            radius=radius,
            norm=norm,
            n_steps=n_steps,
            start=start,
            ascent=ascent,
            step_size=step_size,
            min_radius=min_radius,
            bounds=bounds,
            warmup=warmup,
            layers=layers,
            image_shape=image_shape,
            first_radius=first_radius,
        )
        self.scale = scale
        self.two_sided = two_sided

    def calibrate(
        self,
        X: Tensor,
        y: Tensor,
        sample_weight: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> WorstCaseIsometry:
        """Set ``radius_`` and ``scale_`` from the training data where they are "auto"."""
        self._check(X)
        unit = self._unit(X, y, sample_weight, generator, self.radius, self.scale)
        self.radius_ = self._radius_of(unit)
        self.scale_ = (
            logit_gap(len(torch.unique(y))) / unit if self.scale == "auto" else float(self.scale)
        )
        return self

    def rescale(self, factor: float) -> None:
        """Multiply the slope that costs nothing."""
        self.scale_ *= factor

    def with_cross_entropy(self, weight: float) -> PenaltySum:
        r"""Return the sum with a cross-entropy at the same adversarial examples.

        .. math:: P + v\, \frac{\sum_i w_i\, \mathrm{CE}(g(x_i + \delta_i), y_i)}{\sum_i w_i}

        with g the logits: what adversarial training does with the perturbation that climbs the
        classification loss, at no further cost. For classifiers only.

        Parameters
        ----------
        weight : float
            The v. The cross-entropy is worth as much as that at x where v times alpha is 1.

        Returns
        -------
        sum : PenaltySum
            This penalty and an :class:`~sklearn_iso.penalties.AdversarialCrossEntropy` of
            the same search.

        Examples
        --------
        >>> from sklearn_iso.penalties import WorstCaseIsometry
        >>> penalty = WorstCaseIsometry(radius=0.3, norm="linf").with_cross_entropy(0.5)
        >>> penalty.weights
        [1.0, 0.5]
        """
        if not isinstance(weight, Real) or not 0 <= float(weight) < math.inf:
            raise ValueError(
                f"weight must be a finite number, 0 or more; got {weight!r}. A cross-entropy of "
                "negative weight would reward errors."
            )
        search = {name: getattr(self, name) for name in sorted(self.common_params)}
        return self + AdversarialCrossEntropy(**search) * weight

    def __call__(self, batch: Batch) -> Tensor:
        """Return the weighted mean squared excess expansion of a batch."""
        found = self.examples(batch)
        return expansion_penalty(
            batch,
            found.delta,
            found.moved,
            scale=self.scale_,
            norm=get_norm(self.norm),
            two_sided=self.two_sided,
            layers=self.layers,
        )

    def found_and_further(self, batch: Batch) -> tuple[float, float]:
        """Return the mean expansion of pairs of radius r, and after one more step, over the scale.

        The second is close to the first where the pairs of the training are the worst ones. Of a
        network that has learned to be flat where the ascent looks, and steep beside it, it is twice
        the first and more.

        Parameters
        ----------
        batch : Batch
            Samples to look at.

        Returns
        -------
        found, further : float
            Mean expansions over the scale.
        """
        search, state = self.search(), batch.generator.get_state()
        Z = joined(batch.representations(self.layers)).detach()
        expansions = []
        for n_more in (0, 1):
            batch.generator.set_state(state)  # the same start for both
            delta = search.climb(batch, self.radius_, n_more)
            with torch.no_grad():
                _, moved = batch.pass_on(batch.X + delta, self.layers)
            length = torch.linalg.vector_norm(joined(moved) - Z, dim=1)
            mean = torch.dot(batch.weight, length).item() / batch.total_weight
            expansions.append(mean / self.radius_ / self.scale_)
        return expansions[0], expansions[1]
