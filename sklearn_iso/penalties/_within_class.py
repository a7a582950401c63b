"""Isometry of the pairs of one class: the penalty of the paper."""

from __future__ import annotations

from typing import Literal

from sklearn_iso._geometry import Blocks, Metric, class_blocks
from sklearn_iso.modules import Layers
from sklearn_iso.penalties._batch import Batch
from sklearn_iso.penalties._pairwise import LossName, MetricName, PairwiseIsometry, Target


class WithinClassIsometry(PairwiseIsometry):
    r"""Stress of the distances between samples of one class.

    With :math:`Y_{ij} = 1[y_i = y_j]`, distances :math:`d_X, d_Z` in input and
    representation and scale `s`, the normalised stress of a layer is

    .. math:: P = \frac{\sum_{ij} w_i w_j Y_{ij} (d_Z(z_i, z_j) / s - d_X(x_i, x_j))^2}
                       {\sum_{ij} w_i w_j Y_{ij}\, d_X(x_i, x_j)^2}

    and the raw stress divides by :math:`\sum_{ij} w_i w_j` instead: the loss of the paper
    with ``scale = 1 / K``. The penalty is the mean over the layers.

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
    max_samples : int or None, default=64
        Samples of a batch that pairs are formed from, its first: batches are shuffled, so they
        are a random draw. None takes all.

    References
    ----------
    K. Beshkov, J. Verhellen, M. E. Lepperød, "Isometric Representations in Neural Networks
    Improve Robustness", Scientific Reports 2025, doi:10.1038/s41598-025-20619-0.

    Examples
    --------
    >>> from sklearn_iso.penalties import WithinClassIsometry
    >>> paper = WithinClassIsometry(loss="raw_stress", scale=0.1, max_samples=None)  # K = 10
    """

    needs_labels = True

    def __init__(
        self,
        *,
        loss: LossName = "normalized_stress",
        scale: Literal["fitted"] | float = "fitted",
        two_sided: bool = True,
        metric: MetricName | Metric = "l2",
        target: Target = "input",
        layers: Layers | None = None,
        max_samples: int | None = 64,
    ) -> None:
        super().__init__(
            loss=loss,
            scale=scale,
            two_sided=two_sided,
            metric=metric,
            target=target,
            layers=layers,
            max_samples=max_samples,
        )

    def pairs(self, batch: Batch, samples: slice) -> Blocks:
        """Return the pairs of one class; the penalty is 0 where no class has two samples."""
        return class_blocks(batch.y[samples], batch.weight[samples])
