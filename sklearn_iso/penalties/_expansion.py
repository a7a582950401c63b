"""How much a map expands the pairs (x, x + delta)."""

from __future__ import annotations

import torch
from torch import Tensor

from sklearn_iso._geometry.norms import Norm
from sklearn_iso._protocols import Context
from sklearn_iso.modules import Layers
from sklearn_iso.penalties._batch import Batch


def expansion_penalty(
    batch: Batch,
    delta: Tensor,
    moved: Tensor,
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
    moved : Tensor of shape (n_samples, n_units)
        f at X + delta.
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
        A sample whose delta is 0 has no pair and counts as undistorted.
    """
    Z = joined(batch.representations(layers))
    size = norm.size(delta)
    if scale is None:
        length = torch.linalg.vector_norm((moved - Z).detach(), dim=1)
        scale = _fitted_scale(length / size.clamp_min(_tiny(size)), batch.weight)
    penalty: Tensor = _Expansion.apply(
        moved, Z, size * scale, batch.weight / batch.total_weight, two_sided
    )
    return penalty


class _Expansion(torch.autograd.Function):
    """Value and gradient in one go: small batches pay by the operation."""

    @staticmethod
    def forward(
        ctx: Context, moved: Tensor, Z: Tensor, allowed: Tensor, share: Tensor, two_sided: bool
    ) -> Tensor:
        difference = moved - Z
        length = torch.linalg.vector_norm(difference, dim=1)
        # A pair that did not move counts as undistorted; the floor keeps 0 / 0 out.
        excess = (length / allowed.clamp_min(_tiny(allowed))).sub_(1)
        excess = excess.masked_fill_(allowed <= 0, 0) if two_sided else excess.clamp_min_(0)
        weighted = share * excess
        ctx.save_for_backward(difference, length, allowed, weighted)
        return torch.dot(weighted, excess)

    @staticmethod
    def backward(ctx: Context, gradient: Tensor) -> tuple[Tensor | None, ...]:
        difference, length, allowed, weighted = ctx.saved_tensors
        # A difference or a perturbation of 0 has no gradient: 0 there, never NaN.
        slope = (weighted / allowed / length).nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0)
        pulled = difference * (slope * (2 * gradient)).unsqueeze(1)
        return pulled, -pulled, None, None, None


def joined(representations: tuple[Tensor, ...]) -> Tensor:
    """Return several representations as one vector a row."""
    return representations[0] if len(representations) == 1 else torch.cat(representations, 1)


def _fitted_scale(ratio: Tensor, weight: Tensor) -> float:
    """Return the s that minimises the weighted sum of (ratio / s - 1)^2."""
    linear = torch.dot(weight, ratio).item()
    return torch.dot(weight, ratio * ratio).item() / linear if linear > 0 else 1.0


def _tiny(tensor: Tensor) -> float:
    return torch.finfo(tensor.dtype).tiny
