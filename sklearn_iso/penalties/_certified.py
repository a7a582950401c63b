"""Cross-entropy that no perturbation within a radius exceeds."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Literal

import torch
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor, nn

from sklearn_iso._geometry import nearest_other_class_distance
from sklearn_iso._typed import Constraints
from sklearn_iso.modules._intervals import NoBoundsError, graph_of, worst_logits
from sklearn_iso.penalties._base import Penalty
from sklearn_iso.penalties._batch import Batch
from sklearn_iso.penalties._bounds import check_bounds

#: What "auto" is of the distance to the nearest other class: bounds grow with each layer, and no
#: network keeps them small in a radius of half of it.
AUTO_SHARE = 0.1


class CertifiedCrossEntropy(Penalty):
    r"""Cross-entropy of the worst logits that intervals allow: training of what can be certified.

    .. math:: P = \frac{\sum_i w_i\, \big[(1 - g)\, \mathrm{CE}(f(x_i), y_i)
              + g\, \mathrm{CE}(\bar z_i, y_i)\big]}{\sum_i w_i}, \qquad
              \bar z_{it} = \max_{\|\delta\|_\infty \le g r} \overline{f_t - f_{y_i}}(x_i + \delta)

    with f the logits and an upper bound by interval arithmetic, through one layer after the
    other, of each difference of logits. No perturbation within the radius has a larger
    cross-entropy, whatever attack finds it. The weight g grows from 0 to 1 during the warm-up and
    with it the radius, as bounds of a network that is not used to them are large.

    What an attack finds is below: a network that is trained by
    :class:`~sklearn_iso.penalties.AdversarialCrossEntropy` is more accurate, but little of its
    robustness can be proven. With an `alpha` of 1 the penalty is worth as much as the cross-entropy
    at x. It costs about two passes through the network. Classifiers only.

    Intervals grow with each layer. Where the radius grows too fast, or the learning rate is high,
    units die and training ends at a constant: the remedies are a longer `warmup`, more epochs, or
    a lower learning rate, and ``ConvNet(initialization="interval")`` where there are few epochs.

    Parameters
    ----------
    radius : "auto" or float, default="auto"
        The r, in the units of X and in the norm "linf". "auto" is a tenth of the median distance
        to the nearest other class.
    bounds : (low, high), optional
        Range of the data, in the units of X. Perturbed samples stay inside. Checked on the samples
        that calibrate the penalty.
    warmup : float, default=0.5
        Share of the training over which g grows linearly from 0 to 1, batch by batch.

    Attributes
    ----------
    radius_ : float
        What "auto" came to.

    Raises
    ------
    TypeError
        From ``fit``, if a module of the network has no bounds: among them are dropout and batch
        normalisation, which in training do not act on each sample by itself.

    See Also
    --------
    sklearn_iso.preset : "images_certified" trains a convolutional network with it.

    References
    ----------
    S. Gowal et al., "On the Effectiveness of Interval Bound Propagation for Training Verifiably
    Robust Models", 2018.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_iso import IsometricClassifier
    >>> from sklearn_iso.penalties import CertifiedCrossEntropy
    >>> X, y = load_iris(return_X_y=True)
    >>> penalty = CertifiedCrossEntropy(radius=0.1)
    >>> classifier = IsometricClassifier(penalty=penalty, alpha=1.0, random_state=0).fit(X, y)
    >>> classifier.score(X, y) > 0.8
    True
    """

    needs_labels = True
    by_sample = True
    layers = "logits"
    grows_by_batch = True
    common_params = frozenset({"bounds", "warmup"})

    _parameter_constraints: Constraints = {
        "radius": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "bounds": [list, tuple, None],
        "warmup": [Interval(Real, 0, 1, closed="both")],
    }

    def __init__(
        self,
        *,
        radius: Literal["auto"] | float = "auto",
        bounds: Sequence[float] | None = None,
        warmup: float = 0.5,
    ) -> None:
        self.radius = radius
        self.bounds = bounds
        self.warmup = warmup

    def calibrate(
        self,
        X: Tensor,
        y: Tensor,
        sample_weight: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> CertifiedCrossEntropy:
        """Set ``radius_`` from the training data where it is "auto"."""
        self._validate_params()
        check_bounds(self.bounds, X)
        if isinstance(self.radius, str):
            distance = nearest_other_class_distance(
                X, y, order=float("inf"), sample_weight=sample_weight, generator=generator
            )
            self.radius_ = AUTO_SHARE * distance
        else:
            self.radius_ = float(self.radius)
        return self

    def __call__(self, batch: Batch) -> Tensor:
        """Return the weighted mean cross-entropy of the worst logits of a batch."""
        grown = min(1.0, batch.progress / self.warmup) if self.warmup else 1.0
        worst = self._worst_logits(batch, grown * self.radius_)
        losses = grown * nn.functional.cross_entropy(worst, batch.y, reduction="none")
        if grown < 1:
            at_x = nn.functional.cross_entropy(batch.logits, batch.y, reduction="none")
            losses = losses + (1 - grown) * at_x
        return torch.dot(batch.weight, losses) / batch.total_weight

    def without_logits(self) -> CertifiedCrossEntropy:
        """Raise a ValueError: there is no cross-entropy without logits."""
        raise ValueError(
            "CertifiedCrossEntropy is about the logits of a classifier, and this map has none; "
            f"got {self!r}. Leave it out."
        )

    def _worst_logits(self, batch: Batch, radius: float) -> Tensor:
        X = batch.X.detach()
        low, high = X - radius, X + radius
        if self.bounds is not None:
            low = torch.minimum(low.clamp_min(self.bounds[0]), X)
            high = torch.maximum(high.clamp_max(self.bounds[1]), X)
        try:
            graph = graph_of(batch.module, X.shape[1:])
        except NoBoundsError as error:
            raise TypeError(
                "CertifiedCrossEntropy needs bounds of every module in the network while it is "
                f"trained. {error}"
            ) from error
        return worst_logits(graph, low, high, batch.y)
