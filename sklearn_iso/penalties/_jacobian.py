"""Isometry of the Jacobian: the limit of ever more local pairs."""

from __future__ import annotations

from numbers import Real
from typing import Literal

import torch
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor

from sklearn_iso._geometry import pulled_back
from sklearn_iso.modules import Layers
from sklearn_iso.penalties._base import Penalty
from sklearn_iso.penalties._batch import Batch
from sklearn_iso.penalties._expansion import joined


class JacobianIsometry(Penalty):
    r"""How far the pullback of the metric is from a multiple of the identity.

    With the Jacobian :math:`J` of f at a row and :math:`H = J J^\top` (or
    :math:`J^\top J`, whichever is smaller, of size m), and with a random cotangent u,

    .. math:: P = \frac{m\, \mathrm{E}\lVert H u \rVert^2}
                       {(\mathrm{E}\, u^\top H u)^2} - 1 \quad\text{(up to scale)}, \qquad
              P = \frac{1}{m} \mathrm{E} \lVert H u / s^2 - u \rVert^2 \quad\text{(scale s)}

    Both are 0 exactly where f is isometric on the directions it sees at all, up to scale or
    at scale s, and depend on no coordinates: the expectations over u are traces. A wide
    input cannot be kept whole by a narrow output, which is why H is the smaller of the two.

    Parameters
    ----------
    scale : "fitted" or float, default="fitted"
        "fitted" penalises up to scale, one for the whole batch.
    layers : layers or None, default="last_hidden"
        The map f; several layers count as one vector.

    References
    ----------
    Y. Lee, S. Yoon, M. Son, F. C. Park, "Regularized Autoencoders for Isometric
    Representation Learning", ICLR 2022.

    Examples
    --------
    >>> from sklearn_iso.penalties import JacobianIsometry
    >>> JacobianIsometry(scale=1.0)
    JacobianIsometry(scale=1.0)
    """

    needs_input_gradient = True

    _parameter_constraints: dict = {
        "scale": [StrOptions({"fitted"}), Interval(Real, 0, None, closed="neither")],
        "layers": [str, "array-like", None],
    }

    def __init__(
        self, *, scale: Literal["fitted"] | float = "fitted", layers: Layers | None = "last_hidden"
    ) -> None:
        self.scale = scale
        self.layers = layers

    def calibrate(
        self,
        X: Tensor,
        y: Tensor,
        sample_weight: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> JacobianIsometry:
        """Check the parameters; nothing is taken from the data."""
        self._validate_params()
        return self

    @property
    def by_sample(self) -> bool:
        """Whether no scale of the batch couples its samples."""
        return self.scale != "fitted"

    def __call__(self, batch: Batch) -> Tensor:
        """Return the penalty of a batch from one random cotangent, shared by its samples."""
        u, product = self._draw_product(batch)
        share = batch.weight / batch.weight.sum()
        size = u.shape[1]
        if self.scale != "fitted":
            residual = product / float(self.scale) / float(self.scale) - u
            return torch.dot(share, residual.square().sum(1)) / size
        trace = torch.dot(share, (u * product).sum(1))
        squares = torch.dot(share, product.square().sum(1))
        # By Cauchy-Schwarz at least |u|^2 / m, which is 1 in expectation: no less than 0.
        bound = torch.dot(share, u.square().sum(1))
        alive = trace.square() > 0  # a collapsed map has nothing to compare: 0, without NaN
        ratio = bound * squares / torch.where(alive, trace.square(), 1.0)
        return torch.where(alive, ratio - 1, 0.0)

    def _draw_product(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return u and H u for each sample, flattened."""
        Z = joined(batch.representations(self.layers))
        n_features = batch.X[0].numel()
        width = min(Z.shape[1], n_features)
        draw = torch.randn(width, generator=batch.generator, dtype=torch.float64)
        u = (draw / torch.linalg.vector_norm(draw) * width**0.5).to(Z)
        if Z.shape[1] <= n_features:
            u = u.expand_as(Z)
            return u, _forward(batch, _backward(batch, Z, u), Z)
        u = u.expand(len(Z), n_features)
        return u, _backward(batch, Z, _forward(batch, u.reshape(batch.X.shape), Z)).flatten(1)


def _backward(batch: Batch, Z: Tensor, u: Tensor) -> Tensor:
    """Return J^T u for each sample, with a graph."""
    return pulled_back(Z, batch.X, u, create_graph=True)


def _forward(batch: Batch, v: Tensor, Z: Tensor) -> Tensor:
    """Return J v for each sample, with a graph: the derivative of J^T w in w, along v."""
    w = torch.zeros_like(Z, requires_grad=True)
    transposed = pulled_back(Z, batch.X, w, create_graph=True)
    return pulled_back(transposed, w, v, create_graph=True)
