"""The unit of a labelled data set: how far a point is from its nearest other class."""

from __future__ import annotations

import torch
from torch import Tensor

from sklearn_iso._geometry.distances import power_of_two
from sklearn_iso._weighting import ROUNDING

MAX_QUERIES = 500
MAX_REFERENCES = 2000
#: Nearest by products of matrices, which are measured then, and the least distance, over the
#: extent of the data, that rounding leaves such products no doubt of.
N_CANDIDATES, CLEAR = 8, 1e-5


def nearest_other_class_distance(
    X: Tensor,
    y: Tensor,
    *,
    order: float = 2.0,
    sample_weight: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> float:
    r"""Return the median distance from a point to its nearest neighbour of another class.

    .. math:: q = \operatorname{median}_i \min_{j: y_j \ne y_i} \lVert x_i - x_j \rVert_p

    Two balls of radius ``q / 2`` around such a pair just touch, so `q` is the natural unit
    of a local radius.

    Parameters
    ----------
    X : Tensor of shape (n_samples, ...)
        Input, flattened by sample.
    y : Tensor of shape (n_samples,)
        Class of each sample.
    order : float, default=2.0
        The p of the norm: 1, 2, infinity or any other p >= 1.
    sample_weight : Tensor of shape (n_samples,), optional
        Weights of the median; a weight of 2 counts as the sample twice.
    generator : torch.Generator, optional
        Draws the subsample: at most 500 points are measured against at most 2000.

    Returns
    -------
    distance : float
        In the units of X. Where the median is 0 (most points repeated in another class)
        the median of the positive distances; where there is none, 1.0.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.penalties import nearest_other_class_distance
    >>> X = torch.tensor([[0.0], [1.0], [4.0]])
    >>> nearest_other_class_distance(X, torch.tensor([0, 0, 1]))
    3.0
    """
    weight = torch.ones(len(X)) if sample_weight is None else sample_weight
    keep = _draw(torch.arange(len(X)), MAX_REFERENCES, generator)
    queries = _draw(keep, MAX_QUERIES, generator)
    nearest = _nearest(X, y, queries, keep, order)
    found = torch.isfinite(nearest)
    nearest, weight = nearest[found], weight[queries][found].to(torch.float64)
    unit = _weighted_median(nearest, weight)
    if unit == 0:
        unit = _weighted_median(nearest[nearest > 0], weight[nearest > 0])
    return unit or 1.0


def _draw(index: Tensor, size: int, generator: torch.Generator | None) -> Tensor:
    if len(index) <= size:
        return index
    return index[torch.randperm(len(index), generator=generator)[:size]]


def _nearest(X: Tensor, y: Tensor, queries: Tensor, references: Tensor, order: float) -> Tensor:
    points = X[queries].flatten(1).to(torch.float64)
    others = X[references].flatten(1).to(torch.float64)
    unit = power_of_two(others)
    points, others = points / unit, others / unit  # squares neither overflow nor vanish
    # A translation costs no distance and saves digits; unlike the mean, the middle of the range
    # is the same to the last bit where samples come twice. So is a distance without the Gram trick.
    origin = (others.amin(0) + others.amax(0)) / 2
    points, others = points - origin, others - origin
    same = y[queries].unsqueeze(1) == y[references].unsqueeze(0)
    extent = float(torch.linalg.vector_norm(others, dim=1).amax())
    nearest = _to_nearest(points, others, same, order=order, extent=extent)
    return nearest.masked_fill(nearest <= 1e-7 * extent, 0.0) * unit


def _to_nearest(
    points: Tensor, others: Tensor, same: Tensor, *, order: float, extent: float
) -> Tensor:
    """Return the distance of each point to the nearest of the others that is not the same."""
    if order == 2 and len(others) > N_CANDIDATES:
        # Products of matrices find the few nearest, in a tenth of the time that distances take.
        squares = others.square().sum(1) - 2 * points @ others.mT
        near = squares.masked_fill_(same, torch.inf).topk(N_CANDIDATES, largest=False).indices
        found = _shortest(points.unsqueeze(1), others[near], same.gather(1, near).unsqueeze(1))
        if found.amin() > CLEAR * extent:
            return found
    return _shortest(points, others, same, order)


def _shortest(points: Tensor, others: Tensor, same: Tensor, order: float = 2.0) -> Tensor:
    distances = torch.cdist(points, others, order, compute_mode="donot_use_mm_for_euclid_dist")
    return distances.masked_fill_(same, torch.inf).flatten(1).amin(1)


def _weighted_median(values: Tensor, weight: Tensor) -> float:
    """Return the midpoint median of the samples repeated by their weights."""
    if not len(values):
        return 0.0
    values, order = values.sort()
    cumulative = weight[order].cumsum(0)
    half = cumulative[-1] / 2
    low = torch.searchsorted(cumulative, half * (1 - ROUNDING))
    high = torch.searchsorted(cumulative, half * (1 + ROUNDING), right=True)
    # Halves first: the sum of two may overflow.
    return float(values[low] / 2 + values[high.clamp_max(len(values) - 1)] / 2)
