"""Isometry of near pairs: each row and its nearest neighbours in the batch."""

from __future__ import annotations

from numbers import Integral

import torch
from sklearn.utils._param_validation import Interval
from torch import Tensor

from sklearn_iso.geometry import Metric, one_block
from sklearn_iso.modules import Layers
from sklearn_iso.penalties.base import Penalty
from sklearn_iso.penalties.batch import Batch
from sklearn_iso.penalties.pairwise import CONSTRAINTS, check_pairwise, metric_of, pairwise_penalty


class NeighborIsometry(Penalty):
    r"""Stress of the distances between rows and their nearest neighbours.

    .. math:: P = \frac{\sum_{ij} w_i w_j N_{ij} (d_Z(z_i, z_j) / s - d_X(x_i, x_j))^2}
                       {\sum_{ij} w_i w_j N_{ij}\, d_X(x_i, x_j)^2}

    with :math:`N_{ij} = 1` where one row is among the `n_neighbors` nearest of the other
    within the batch. Neighbours count by their weight, and coincident rows are none, so that
    a row of weight 2 is the row twice. Labels are not used.

    Parameters
    ----------
    n_neighbors : int, default=5
        Nearest rows of each row.
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
    J. B. Tenenbaum, V. de Silva, J. C. Langford, "A Global Geometric Framework for Nonlinear
    Dimensionality Reduction", Science 2000, for distances among neighbours.

    Examples
    --------
    >>> from sklearn_iso.penalties import NeighborIsometry
    >>> NeighborIsometry(n_neighbors=3)
    NeighborIsometry(n_neighbors=3)
    """

    _parameter_constraints: dict = CONSTRAINTS | {
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        *,
        n_neighbors: int = 5,
        loss: str = "normalized_stress",
        scale: str | float = "fitted",
        two_sided: bool = True,
        metric: str | Metric = "l2",
        target: str = "input",
        layers: Layers | None = None,
        max_rows: int | None = 128,
    ) -> None:
        self.n_neighbors = n_neighbors
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
    ) -> NeighborIsometry:
        """Check the parameters; nothing is taken from the data."""
        check_pairwise(self)
        return self

    def __call__(self, batch: Batch) -> Tensor:
        """Return the mean stress of the layers."""
        rows = slice(self.max_rows)
        blocks = one_block(batch.weight[rows])
        d_X = blocks.distances(batch.X[rows], metric_of(self, batch, rows))[0]
        near = neighbour_pairs(d_X, batch.weight[rows], self.n_neighbors)
        return pairwise_penalty(self, batch, blocks.only(near[None]), rows)


def neighbour_pairs(distances: Tensor, weight: Tensor, n_neighbors: int) -> Tensor:
    """Return which pairs are near: fewer than `n_neighbors` rows stand closer.

    Parameters
    ----------
    distances : Tensor of shape (n, n)
    weight : Tensor of shape (n,) or (m, n)
        What each sample counts for among the closer ones; m countings of the same samples.
    n_neighbors : int

    Returns
    -------
    near : Tensor of bool, shape (n, n) or (m, n, n)
        Symmetric; False on the diagonal and between coincident rows.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.penalties.neighbours import neighbour_pairs
    >>> X = torch.tensor([[0.0], [1.0], [3.0]])
    >>> neighbour_pairs(torch.cdist(X, X), torch.ones(3), 1).int()
    tensor([[0, 1, 0],
            [1, 0, 1],
            [0, 1, 0]], dtype=torch.int32)
    """
    # Distances of a repeated row may differ by rounding: "closer" means clearly closer.
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
