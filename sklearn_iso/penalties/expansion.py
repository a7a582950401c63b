"""How much a map expands the pairs (x, x + delta)."""

from __future__ import annotations

import torch
from torch import Tensor

from sklearn_iso.geometry.norms import Norm
from sklearn_iso.modules import Layers
from sklearn_iso.penalties.batch import Batch


def expansion_penalty(
    batch: Batch,
    delta: Tensor,
    *,
    scale: float | None,
    norm: Norm,
    two_sided: bool,
    layers: Layers | None,
) -> Tensor:
    r"""Return the weighted mean squared excess of the distortions of local pairs.

    .. math:: \frac{1}{\sum_i w_i} \sum_i w_i\, \rho(q_i - 1)^2, \qquad q_i =
              \frac{\lVert f(x_i + \delta_i) - f(x_i) \rVert_2}{s \lVert \delta_i \rVert_p}

    Parameters
    ----------
    batch : Batch
    delta : Tensor of the shape of X
        Without a graph.
    scale : float or None
        The s; None takes the least-squares one of the batch.
    norm : Norm
        Of delta.
    two_sided : bool
        With False, :math:`\rho` is the positive part.
    layers : layers or None
        The f; several layers count as one vector.

    Returns
    -------
    penalty : Tensor, scalar
        A row whose delta is 0 has no pair and counts as undistorted.
    """
    Z = torch.cat(batch.representations(layers), 1)
    moved = torch.cat(batch.represent(batch.X.detach() + delta, layers), 1)
    size = norm.size(delta)
    # The floor keeps a masked quotient from sending NaN back.
    ratio = torch.linalg.vector_norm(moved - Z, dim=1) / size.clamp_min(_tiny(size))
    scale = _fitted_scale(ratio.detach(), batch.weight) if scale is None else scale
    distortion = torch.where(size > 0, ratio / scale, 1.0)
    excess = distortion - 1 if two_sided else (distortion - 1).clamp_min(0)
    return torch.dot(batch.weight, excess * excess) / batch.weight.sum()


def _fitted_scale(ratio: Tensor, weight: Tensor) -> float:
    """Return the s that minimises the weighted sum of (ratio / s - 1)^2."""
    linear = torch.dot(weight, ratio).item()
    return torch.dot(weight, ratio * ratio).item() / linear if linear > 0 else 1.0


def _tiny(tensor: Tensor) -> float:
    return torch.finfo(tensor.dtype).tiny
