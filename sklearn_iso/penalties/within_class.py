"""Isometry of the pairs of one class: the penalty of the paper."""

from __future__ import annotations

import torch
from torch import Tensor

from sklearn_iso.geometry import Metric, class_blocks
from sklearn_iso.modules import Layers
from sklearn_iso.penalties.base import Penalty
from sklearn_iso.penalties.batch import Batch
from sklearn_iso.penalties.pairwise import CONSTRAINTS, check_pairwise, pairwise_penalty


class WithinClassIsometry(Penalty):
    r"""Stress of the distances between rows of one class.

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
        weight of all pairs of rows; mean square of ``d_Z / (s d_X) - 1``; absolute residuals
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
    max_rows : int or None, default=64
        Rows of a batch that pairs are formed from, its first: batches are shuffled, so they
        are a random sample. None takes all.

    References
    ----------
    K. Beshkov, J. Verhellen, M. E. Lepperød, "Isometric Representations in Neural Networks
    Improve Robustness", Scientific Reports 2025, doi:10.1038/s41598-025-20619-0.

    Examples
    --------
    >>> from sklearn_iso.penalties import WithinClassIsometry
    >>> paper = WithinClassIsometry(loss="raw_stress", scale=0.1, max_rows=None)  # K = 10
    """

    needs_labels = True

    _parameter_constraints: dict = CONSTRAINTS

    def __init__(
        self,
        *,
        loss: str = "normalized_stress",
        scale: str | float = "fitted",
        two_sided: bool = True,
        metric: str | Metric = "l2",
        target: str = "input",
        layers: Layers | None = None,
        max_rows: int | None = 64,
    ) -> None:
        self.loss = loss
        self.scale = scale
        self.two_sided = two_sided
        self.metric = metric
        self.target = target
        self.layers = layers
        self.max_rows = max_rows

    def calibrate(
        self,
        X: Tensor,
        y: Tensor,
        sample_weight: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> WithinClassIsometry:
        """Check the parameters; nothing is taken from the data."""
        check_pairwise(self)
        return self

    def __call__(self, batch: Batch) -> Tensor:
        """Return the mean stress of the layers; 0 where no class has two rows."""
        rows = slice(self.max_rows)
        return pairwise_penalty(self, batch, class_blocks(batch.y[rows], batch.weight[rows]), rows)
