"""Penalties on pairs of a batch: the stress of their distances, and one hook for the pairs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Literal

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, Options, StrOptions
from torch import Tensor

from sklearn_iso._geometry import Blocks, Kernel, Metric, Stress, one_block
from sklearn_iso._geometry.orders import ORDERS
from sklearn_iso.modules import Layers
from sklearn_iso.penalties._base import Penalty
from sklearn_iso.penalties._batch import Batch

LossName = Literal["normalized_stress", "raw_stress", "relative", "absolute"]
MetricName = Literal["l1", "l2", "linf", "precomputed"]
Target = Literal["input", "previous"]

LOSSES: dict[str, Callable[..., Stress]] = {
    "normalized_stress": Stress.normalized,
    "raw_stress": Stress.raw,
    "relative": Stress.relative,
    "absolute": Stress.absolute,
}

#: The p of a norm; above 100 the powers of most numbers overflow or vanish.
NORM_ORDERS: list[object] = [Interval(Real, 1, 100, closed="both"), Options(Real, {np.inf})]


def norm_order(metric: str | float) -> float:
    """Return the p of a norm by name or number."""
    return float(ORDERS[metric] if isinstance(metric, str) else metric)


class StressPenalty(Penalty):
    """A penalty that is the stress of some distances of Z against distances of X.

    Attributes
    ----------
    loss : {"normalized_stress", "raw_stress", "relative", "absolute"}
        How the two are compared.
    scale : "fitted" or float
        The s of ``d_Z = s * d_X``; "fitted" takes the best one of each layer and batch.
    two_sided : bool
        Whether contraction counts as well as expansion.
    layers : layers or None
        Representations the penalty acts on; None means those of the estimator.
    max_samples : int or None
        Samples of a batch that pairs are formed from, its first; None takes all.
    """

    loss: LossName
    scale: Literal["fitted"] | float
    two_sided: bool = True
    layers: Layers | None
    max_samples: int | None

    def check(self) -> None:
        """Raise an error unless the parameters are in range and fit together."""
        self._validate_params()
        if self.scale == "fitted" and (self.loss == "absolute" or not self.two_sided):
            raise ValueError(
                "scale='fitted' goes with two-sided squared losses, whose best scale has a closed "
                f"form; got loss={self.loss!r}, two_sided={self.two_sided}. Pass a number."
            )

    def dtype(self, X: Tensor) -> torch.dtype:
        """Return in what distances are computed: float64 where near pairs matter.

        Those of the Gram expansion lose their digits in float32: of a pair 1e-4 of the extent
        apart, all of them.
        """
        return torch.float64 if self.loss == "relative" else X.dtype

    def stress(self, blocks: Blocks, d_X: Tensor) -> Stress:
        """Return the stress that the parameters ask for, against distances of X."""
        factor = None if self.scale == "fitted" else 1 / float(self.scale)
        if self.loss == "absolute":
            return Stress.absolute(blocks, d_X, not self.two_sided, factor or 0.0)
        kernel = Kernel(one_sided=not self.two_sided)
        return LOSSES[self.loss](blocks, d_X, factor=factor, kernel=kernel)


class PairwiseIsometry(StressPenalty):
    r"""Base of the penalties on pairs within a batch: a subclass says which pairs count.

    .. math:: P = \frac{\sum_{ij} w_i w_j P_{ij} (d_Z(z_i, z_j) / s - d_X(x_i, x_j))^2}
                       {\sum_{ij} w_i w_j P_{ij}\, d_X(x_i, x_j)^2}

    with :math:`P_{ij} = 1` for the pairs of :meth:`pairs`, and the mean over the layers.

    Parameters
    ----------
    loss : {"normalized_stress", "raw_stress", "relative", "absolute"}, default="normalized_stress"
        Squares over the squared distances of X, or (raw, in squared units of X) over the
        weight of all pairs of samples; mean square of ``d_Z / (s d_X) - 1``; absolute residuals
        over the distances of X.
    scale : "fitted" or float, default="fitted"
        The s of ``d_Z = s * d_X``. "fitted" takes the best one of each layer and batch, so
        only the proportions of distances count.
    two_sided : bool, default=True
        Penalise contraction as well as expansion; one-sided asks for a non-expansive map
        and needs a number as scale.
    metric : {"l1", "l2", "linf", "precomputed"}, float from 1 to 100 or callable, default="l2"
        Distances of X: a norm, its p, a function from a tensor (n, ...) to (n, n), or those
        that were passed to ``IsometricTransformer.fit``.
    target : {"input", "previous"}, default="input"
        Whose distances each layer keeps: those of X, or those of the layer before it, which
        are held fixed as a target.
    layers : layers, optional
        Representations the penalty acts on; None means those of the estimator.
    max_samples : int or None, default=128
        Samples of a batch that pairs are formed from, its first: batches are shuffled, so they
        are a random draw. None takes all.

    Examples
    --------
    >>> from sklearn_iso.penalties import PairwiseIsometry
    >>> class BetweenClassIsometry(PairwiseIsometry):
    ...     needs_labels = True
    ...
    ...     def pairs(self, batch, samples):
    ...         y = batch.y[samples]
    ...         return super().pairs(batch, samples).only(y[:, None] != y[None])
    >>> BetweenClassIsometry(scale=2.0)
    BetweenClassIsometry(scale=2.0)
    """

    _parameter_constraints: dict[str, Sequence[object]] = {
        "loss": [StrOptions(set(LOSSES))],
        "scale": [StrOptions({"fitted"}), Interval(Real, 0, None, closed="neither")],
        "two_sided": ["boolean"],
        "metric": [
            StrOptions({"l1", "l2", "linf", "precomputed"}),
            *NORM_ORDERS,
            callable,
        ],
        "target": [StrOptions({"input", "previous"})],
        "layers": [str, "array-like", None],
        "max_samples": [Interval(Integral, 2, None, closed="left"), None],
    }

    def __init__(
        self,
        *,
        loss: LossName = "normalized_stress",
        scale: Literal["fitted"] | float = "fitted",
        two_sided: bool = True,
        metric: MetricName | Metric = "l2",
        target: Target = "input",
        layers: Layers | None = None,
        max_samples: int | None = 128,
    ) -> None:
        self.loss = loss
        self.scale = scale
        self.two_sided = two_sided
        self.metric = metric
        self.target = target
        self.layers = layers
        self.max_samples = max_samples

    @abstractmethod
    def pairs(self, batch: Batch, samples: slice) -> Blocks:
        """Return the pairs that count, among some samples of a batch, and their weights.

        By ``super().pairs(batch, samples)`` all of them, of which ``only`` leaves some.

        Parameters
        ----------
        batch : Batch
            Samples that are trained on.
        samples : slice
            Which of them.

        Returns
        -------
        blocks : Blocks
            Pairs and their weights, in blocks.
        """
        return one_block(batch.weight[samples])

    def calibrate(
        self,
        X: Tensor,
        y: Tensor,
        sample_weight: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> PairwiseIsometry:
        """Check the parameters; nothing is taken from the data."""
        self.check()
        if self.metric == "precomputed" and self.target == "previous":
            raise ValueError(
                "target='previous' measures the layers, which have no precomputed distances. "
                "Pass target='input', or a norm as metric."
            )
        return self

    def __call__(self, batch: Batch) -> Tensor:
        """Return the mean stress of the layers; 0 where no pair counts."""
        samples = slice(self.max_samples)
        blocks, metric = self.pairs(batch, samples), self.metric_on(batch, samples)
        X, layers = batch.X[samples], batch.representations(self.layers)
        dtype = self.dtype(X)
        if self.target == "input":
            d_X, placed = blocks.distances_with(X, layers, metric, dtype=dtype)
            return self.stress(blocks, d_X)(*layers, placed=placed)
        sources = [X, *(Z[samples].detach() for Z in layers[:-1])]
        distances = [blocks.distances(source, metric, dtype=dtype) for source in sources]
        values = [self.stress(blocks, d)(Z) for d, Z in zip(distances, layers, strict=True)]
        return torch.stack(values).mean()

    def metric_on(self, batch: Batch, samples: slice) -> Metric:
        """Return how the distances between some samples of a batch are found.

        Parameters
        ----------
        batch : Batch
            Samples that are trained on.
        samples : slice
            Which of them.

        Returns
        -------
        metric : Metric
            Gives the distances.
        """
        if not isinstance(self.metric, str):
            return self.metric if callable(self.metric) else norm_order(self.metric)
        if self.metric != "precomputed":
            return norm_order(self.metric)
        if batch.distances is None:
            raise ValueError(
                "metric='precomputed' needs the distances between the training samples, and there "
                "are none. Pass them as "
                "IsometricTransformer(metric='precomputed').fit(X, distances=D)."
            )
        given = batch.distances[samples, samples]
        return lambda _: given
