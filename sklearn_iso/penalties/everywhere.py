"""Isometry of all pairs: parametric multidimensional scaling."""

from __future__ import annotations

import torch
from torch import Tensor

from sklearn_iso.geometry import Metric, one_block
from sklearn_iso.modules import Layers
from sklearn_iso.penalties.base import Penalty
from sklearn_iso.penalties.batch import Batch
from sklearn_iso.penalties.pairwise import CONSTRAINTS, check_pairwise, pairwise_penalty


class GlobalIsometry(Penalty):
    r"""Stress of the distances between all rows, whatever their class.

    .. math:: P = \frac{\sum_{ij} w_i w_j (d_Z(z_i, z_j) / s - d_X(x_i, x_j))^2}
                       {\sum_{ij} w_i w_j\, d_X(x_i, x_j)^2}

    Labels are not used. On a classifier it works against the separation of the classes.

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
    max_rows : int or None, default=128
        Rows of a batch that pairs are formed from, its first: batches are shuffled, so they
        are a random sample. None takes all.

    References
    ----------
    I. Borg, P. Groenen, *Modern Multidimensional Scaling*, 2nd ed., Springer 2005, ch. 3.

    Examples
    --------
    >>> from sklearn_iso.penalties import GlobalIsometry
    >>> GlobalIsometry(metric="l1", scale=1.0)
    GlobalIsometry(metric='l1', scale=1.0)
    """

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
        max_rows: int | None = 128,
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
    ) -> GlobalIsometry:
        """Check the parameters; nothing is taken from the data."""
        check_pairwise(self)
        return self

    def __call__(self, batch: Batch) -> Tensor:
        """Return the mean stress of the layers."""
        rows = slice(self.max_rows)
        return pairwise_penalty(self, batch, one_block(batch.weight[rows]), rows)
