"""Isometry of local pairs in random directions."""

from __future__ import annotations

from numbers import Real
from typing import Literal

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, Options, StrOptions
from torch import Tensor

from sklearn_iso._geometry import nearest_other_class_distance
from sklearn_iso._geometry.norms import NormName, get_norm
from sklearn_iso.modules import Layers
from sklearn_iso.penalties._base import Penalty
from sklearn_iso.penalties._batch import Batch
from sklearn_iso.penalties._expansion import expansion_penalty, joined


class LocalIsometry(Penalty):
    r"""Distortion of the pairs (x, x + delta) for a random delta.

    .. math:: P = \frac{1}{\sum_i w_i} \sum_i w_i \left(
              \frac{\lVert f(x_i + \delta) - f(x_i) \rVert_2}{s \lVert \delta \rVert_p}
              - 1\right)^2

    One direction and one length in (0, r] are drawn for every batch. The average direction
    says little about the worst one: on MNIST this penalty gains far less robustness than
    :class:`WorstCaseIsometry`, and it is here to show that.

    Parameters
    ----------
    radius : "auto" or float, default="auto"
        The r, in units of X and in the norm `norm`. "auto" is half the median distance to
        the nearest other class.
    scale : "fitted" or float, default="fitted"
        The s; "fitted" takes the best one of each batch and needs two sides.
    norm : {"l2", "linf", "l1"} or {2, numpy.inf, 1}, default="l2"
        Norm of delta; "linf" draws its signs.
    two_sided : bool, default=True
        Penalise contraction as well as expansion.
    layers : layers or None, default="last_hidden"
        The map f; several layers count as one vector.

    Attributes
    ----------
    radius_ : float
        What "auto" came to.

    References
    ----------
    S. Rifai et al., "Contractive Auto-Encoders", ICML 2011, for local pairs.

    Examples
    --------
    >>> from sklearn_iso.penalties import LocalIsometry
    >>> LocalIsometry(radius=0.5)
    LocalIsometry(radius=0.5)
    """

    common_params = frozenset({"radius", "norm"})

    _parameter_constraints: dict = {
        "radius": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "scale": [StrOptions({"fitted"}), Interval(Real, 0, None, closed="neither")],
        "norm": [StrOptions({"linf", "l2", "l1"}), Options(Real, {1, 2, np.inf})],
        "two_sided": ["boolean"],
        "layers": [str, "array-like", None],
    }

    def __init__(
        self,
        *,
        radius: Literal["auto"] | float = "auto",
        scale: Literal["fitted"] | float = "fitted",
        norm: NormName | float = "l2",
        two_sided: bool = True,
        layers: Layers | None = "last_hidden",
    ) -> None:
        self.radius = radius
        self.scale = scale
        self.norm = norm
        self.two_sided = two_sided
        self.layers = layers

    def calibrate(
        self,
        X: Tensor,
        y: Tensor,
        sample_weight: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> LocalIsometry:
        """Set ``radius_`` from the training data where it is "auto"."""
        self._validate_params()
        if self.scale == "fitted" and not self.two_sided:
            raise ValueError(
                "scale='fitted' goes with two_sided=True: one-sided, a large scale would make "
                "any map undistorted. Pass a number as scale."
            )
        if self.radius == "auto":
            order = get_norm(self.norm).order
            self.radius_ = 0.5 * nearest_other_class_distance(
                X, y, order=order, sample_weight=sample_weight, generator=generator
            )
        else:
            self.radius_ = float(self.radius)
        return self

    @property
    def by_sample(self) -> bool:
        """Whether no scale of the batch couples its samples."""
        return self.scale != "fitted"

    def __call__(self, batch: Batch) -> Tensor:
        """Return the weighted mean squared distortion of a batch."""
        norm = get_norm(self.norm)
        draws = torch.randn(1, *batch.X.shape[1:], generator=batch.generator, dtype=torch.float64)
        share = torch.rand((), generator=batch.generator, dtype=torch.float32)
        length = self.radius_ * (1 - share.item())
        direction = draws.sign() if norm.order == np.inf else draws / norm.size(draws)
        delta = (length * direction).to(batch.X).expand_as(batch.X)
        return expansion_penalty(
            batch,
            delta,
            joined(batch.represent(batch.X.detach() + delta, self.layers)),
            scale=None if self.scale == "fitted" else float(self.scale),
            norm=norm,
            two_sided=self.two_sided,
            layers=self.layers,
        )
