"""Cross-entropy that no perturbation within a Euclidean radius exceeds, by Lipschitz constants."""

from __future__ import annotations

from numbers import Real
from typing import Literal

import torch
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor, nn

from sklearn_iso._geometry import nearest_other_class_distance
from sklearn_iso._typed import Constraints
from sklearn_iso.modules._intervals import NoBoundsError
from sklearn_iso.modules._lipschitz import margin_constants
from sklearn_iso.penalties._base import Penalty
from sklearn_iso.penalties._batch import Batch

#: What "auto" is of the distance to the nearest other class: half of it is where two balls touch.
AUTO_SHARE = 0.25
#: Least temperature, as a share of the logits: what their quotients overflow at.
FLOOR = 1e-6


class LipschitzCrossEntropy(Penalty):
    r"""Cross-entropy of the worst logits that Lipschitz constants allow: training of large margins.

    .. math:: P = \frac{\sum_i w_i\, t\, \mathrm{CE}(\bar z_i / t, y_i)}{\sum_i w_i}, \qquad
              \bar z_{ij} = f_j(x_i) + r\, K_{y_i j}

    with :math:`K_{yj}` a Lipschitz constant of :math:`f_y - f_j` in the Euclidean norm, 0 at j = y,
    and t the temperature times the mean of the :math:`r K` of the batch. No perturbation within the
    radius has a larger cross-entropy. A small temperature leaves samples alone whose margin is a
    certificate for the radius, and all the others count alike.

    For :class:`~sklearn_iso.modules.OrthogonalMLP` and
    :class:`~sklearn_iso.modules.OrthogonalConvNet` the constants are exact, and cost nothing: the
    distance of two rows of the last layer. For other networks they are products of spectral
    norms, found in each batch, of large layers by power iteration. Classifiers only.

    Parameters
    ----------
    radius : "auto" or float, default="auto"
        The r, in the units of X and in the norm "l2". "auto" is a quarter of the median distance
        to the nearest other class.
    temperature : float, default=0.125
        Width of the transition between samples that count and those that do not, as a share of
        the margin that the radius asks for.

    Attributes
    ----------
    radius_ : float
        What "auto" came to.

    Raises
    ------
    TypeError
        From ``fit``, if a module of the network has no known Lipschitz constant.

    See Also
    --------
    sklearn_iso.preset : "images_certified_l2" trains an orthogonal network with it.

    References
    ----------
    K. Leino, Z. Wang, M. Fredrikson, "Globally-Robust Neural Networks", ICML 2021; Y. Tsuzuku,
    I. Sato, M. Sugiyama, "Lipschitz-Margin Training", NeurIPS 2018; B. Prach, C. Lampert,
    "Almost-Orthogonal Layers for Efficient General-Purpose Lipschitz Networks", ECCV 2022, for
    margin and temperature in one.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_iso import IsometricClassifier
    >>> from sklearn_iso.penalties import LipschitzCrossEntropy
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = IsometricClassifier(
    ...     module="orthogonal",
    ...     hidden_layer_sizes=(16, 16),
    ...     penalty=LipschitzCrossEntropy(radius=0.2),
    ...     alpha=1.0,
    ...     learning_rate=0.01,
    ...     random_state=0,
    ... ).fit(X, y)
    >>> classifier.score(X, y) > 0.9
    True
    """

    needs_labels = True
    layers = "logits"

    _parameter_constraints: Constraints = {
        "radius": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "temperature": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self, *, radius: Literal["auto"] | float = "auto", temperature: float = 0.125
    ) -> None:
        self.radius = radius
        self.temperature = temperature

    def calibrate(
        self,
        X: Tensor,
        y: Tensor,
        sample_weight: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> LipschitzCrossEntropy:
        """Set ``radius_`` from the training data where it is "auto"."""
        self._validate_params()
        if isinstance(self.radius, str):
            distance = nearest_other_class_distance(
                X, y, order=2.0, sample_weight=sample_weight, generator=generator
            )
            self.radius_ = AUTO_SHARE * distance
        else:
            self.radius_ = float(self.radius)
        return self

    def __call__(self, batch: Batch) -> Tensor:
        """Return the weighted mean cross-entropy of the worst logits of a batch."""
        offsets = self.offsets(batch)
        temperature = self.scaled_temperature(batch, offsets.detach())
        worst = (batch.logits + offsets) / temperature
        losses = temperature * nn.functional.cross_entropy(worst, batch.y, reduction="none")
        return torch.dot(batch.weight, losses) / batch.total_weight

    def offsets(self, batch: Batch) -> Tensor:
        """Return by how much each logit may gain on that of y in the radius, (n, n_classes)."""
        try:
            constants = margin_constants(batch.module, batch.X.shape[1:])
        except NoBoundsError as error:
            raise TypeError(
                "LipschitzCrossEntropy needs a Lipschitz constant of every module in the network. "
                f"{error}"
            ) from error
        return self.radius_ * constants[batch.y]

    def scaled_temperature(self, batch: Batch, offsets: Tensor) -> Tensor:
        """Return the temperature in units of the logits; nothing is trained by way of it."""
        typical = torch.dot(batch.weight, offsets.mean(dim=1)) / batch.total_weight
        # A dead network has constants of 0.
        least = FLOOR * batch.logits.detach().abs().amax() + torch.finfo(offsets.dtype).tiny
        return torch.maximum(self.temperature * typical, least)

    def without_logits(self) -> LipschitzCrossEntropy:
        """Raise a ValueError: there is no cross-entropy without logits."""
        raise ValueError(
            "LipschitzCrossEntropy is about the logits of a classifier, and this map has none; "
            f"got {self!r}. Leave it out."
        )
