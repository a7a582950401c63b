"""Isometry of near pairs: each sample and its nearest neighbours in the batch."""

from __future__ import annotations

from numbers import Integral
from typing import Literal

import torch
from sklearn.utils._param_validation import Interval
from torch import Tensor

from sklearn_iso._geometry import Blocks, Metric
from sklearn_iso.modules import Layers
from sklearn_iso.penalties._batch import Batch
from sklearn_iso.penalties._pairwise import LossName, MetricName, PairwiseIsometry, Target


class NeighborIsometry(PairwiseIsometry):
    r"""Stress of the distances between samples and their nearest neighbours.

    .. math:: P = \frac{\sum_{ij} w_i w_j N_{ij} (d_Z(z_i, z_j) / s - d_X(x_i, x_j))^2}
                       {\sum_{ij} w_i w_j N_{ij}\, d_X(x_i, x_j)^2}

    with :math:`N_{ij} = 1` where one sample is among the `n_neighbors` nearest of the other
    within the batch. Neighbours count by their weight, and coincident samples are none, so that
    a sample of weight 2 is the sample twice. Labels are not used.

    Parameters
    ----------
    n_neighbors : int, default=5
        Nearest samples of each one.
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

    References
    ----------
    J. B. Tenenbaum, V. de Silva, J. C. Langford, "A Global Geometric Framework for Nonlinear
    Dimensionality Reduction", Science 2000, for distances among neighbours.

    Examples
    --------
    >>> from sklearn_iso.penalties import NeighborIsometry
    >>> NeighborIsometry(n_neighbors=3)
    NeighborIsometry(n_neighbors=3)
    """

    _parameter_constraints = PairwiseIsometry._parameter_constraints | {
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        *,
        n_neighbors: int = 5,
        loss: LossName = "normalized_stress",
        scale: Literal["fitted"] | float = "fitted",
        two_sided: bool = True,
        metric: MetricName | Metric = "l2",
        target: Target = "input",
        layers: Layers | None = None,
        max_samples: int | None = 128,
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
        self.n_neighbors = n_neighbors

    def pairs(self, batch: Batch, samples: slice) -> Blocks:
        """Return the pairs of which one is among the nearest of the other."""
        blocks = super().pairs(batch, samples)
        d_X = blocks.distances(batch.X[samples], self.metric_on(batch, samples))[0]
        return blocks.only(neighbour_pairs(d_X, batch.weight[samples], self.n_neighbors)[None])


def neighbour_pairs(distances: Tensor, weight: Tensor, n_neighbors: int) -> Tensor:
    """Return which pairs are near: fewer than `n_neighbors` samples stand closer.

    Parameters
    ----------
    distances : Tensor of shape (n, n)
    weight : Tensor of shape (n,) or (m, n)
        What each sample counts for among the closer ones; m countings of the same samples.
    n_neighbors : int

    Returns
    -------
    near : Tensor of bool, shape (n, n) or (m, n, n)
        Symmetric; False on the diagonal and between coincident samples.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.penalties._neighbours import neighbour_pairs
    >>> X = torch.tensor([[0.0], [1.0], [3.0]])
    >>> neighbour_pairs(torch.cdist(X, X), torch.ones(3), 1).int()
    tensor([[0, 1, 0],
            [1, 0, 1],
            [0, 1, 0]], dtype=torch.int32)
    """
    # Distances of a repeated sample may differ by rounding: "closer" means clearly closer.
    resolution = 1e-6 if distances.dtype == torch.float64 else 1e-3
    apart = distances > resolution * distances.amax()
    order = torch.where(apart, distances, torch.inf).sort(dim=1)
    counted = torch.isfinite(order.values)
    cumulative = torch.where(counted, weight[..., order.indices], 0).cumsum(-1)
    first = torch.searchsorted(order.values, distances * (1 - resolution))
    padded = torch.nn.functional.pad(cumulative, (1, 0))
    closer = padded.gather(-1, first.expand(*weight.shape[:-1], *first.shape))
    near = apart & (closer < n_neighbors)
    return near | near.mT
