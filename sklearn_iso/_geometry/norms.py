"""The norms that attacks know, by name."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Literal

import torch
from torch import Tensor

from sklearn_iso._geometry.l1 import L1
from sklearn_iso._geometry.norm import Norm, along, scaled_by_peak

__all__ = ["L1", "L2", "NORMS", "LInf", "Norm", "NormName", "get_norm"]

#: Lengths between this and its reciprocal square without under- or overflow in float32.
_SAFE = 1e-15


@dataclass(frozen=True)
class LInf(Norm):
    """Largest absolute entry.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso._geometry.norms import LInf
    >>> LInf().steepest(torch.tensor([[0.3, -2.0, 0.0]]))
    tensor([[ 1., -1.,  0.]])
    """

    name: str = "linf"
    order: float = math.inf

    def steepest(self, gradient: Tensor) -> Tensor:
        """Signs of the gradient."""
        return gradient.sign()

    def project(self, v: Tensor) -> Tensor:
        """Entries clipped to [-1, 1]."""
        return v.clamp(-1, 1)

    def step_into(
        self,
        v: Tensor,
        gradient: Tensor,
        length: float | Tensor,
        step: int,
        *,
        low: Tensor,
        high: Tensor,
    ) -> Tensor:
        """Step and clip; features move independently, so none need be left out."""
        return self.project_into(v + length * gradient.sign(), low, high)

    def random(
        self,
        shape: tuple[int, ...],
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """Entries uniform in [-1, 1)."""
        return torch.rand(shape, generator=generator, dtype=dtype, device=generator.device) * 2 - 1


@dataclass(frozen=True)
class L2(Norm):
    """Euclidean length.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso._geometry.norms import L2
    >>> L2().steepest(torch.tensor([[3e-30, -4e-30], [0.0, 0.0]]))
    tensor([[ 0.6000, -0.8000],
            [ 0.0000,  0.0000]])
    """

    name: str = "l2"
    order: float = 2.0

    def steepest(self, gradient: Tensor) -> Tensor:
        """Gradient at length 1."""
        size = self.size(gradient)
        if size.numel():
            least, most = torch.aminmax(size)
            if least > _SAFE and most < 1 / _SAFE:
                return gradient * along(1 / size, gradient)
        scaled = scaled_by_peak(gradient)
        # A scaled sample has length 0 or at least 1, so the clamp touches samples of zeros only.
        return scaled / along(self.size(scaled).clamp(min=1), scaled)

    def project(self, v: Tensor) -> Tensor:
        """Shorten what is longer than 1 to length 1."""
        return v / along(self.size(v).clamp(min=1), v)

    def random(
        self,
        shape: tuple[int, ...],
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """Uniform directions, radii distributed as U^(1/d)."""
        device = generator.device
        direction = self.steepest(
            torch.randn(shape, generator=generator, dtype=dtype, device=device)
        )
        radius = torch.rand(shape[0], generator=generator, dtype=dtype, device=device)
        return direction * along(radius ** (1 / max(1, math.prod(shape[1:]))), direction)


#: What a norm is called.
NormName = Literal["linf", "l2", "l1"]
#: Norms by name.
NORMS: dict[str, Norm] = {norm.name: norm for norm in (LInf(), L2(), L1())}


def get_norm(norm: str | float | Norm) -> Norm:
    """Norm of a name, an order or itself.

    Parameters
    ----------
    norm : {"linf", "l2", "l1"}, {numpy.inf, 2, 1} or Norm

    Returns
    -------
    Norm
        The norm.

    Raises
    ------
    ValueError
        If no such norm is known.

    Examples
    --------
    >>> from sklearn_iso.attacks import get_norm
    >>> get_norm(2)
    L2(name='l2', order=2.0)
    """
    if isinstance(norm, Norm):
        return norm
    if isinstance(norm, str) and norm in NORMS:
        return NORMS[norm]
    for known in NORMS.values():
        if isinstance(norm, Real) and not isinstance(norm, bool) and norm == known.order:
            return known
    raise ValueError(
        f"norm must be one of {', '.join(map(repr, NORMS))} (or numpy.inf, 2, 1); got {norm!r}. "
        "Pass one of these, or a sklearn_iso.attacks.Norm of your own."
    )
