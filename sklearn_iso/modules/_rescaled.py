"""A module whose output comes in other units."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sklearn_iso.modules._representations import first_output


class Rescaled(nn.Module):
    """``factor * f(X) + shift``, in float64: float32 may not hold the units.

    Parameters
    ----------
    module : nn.Module
        The f.
    factor, shift : float

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from sklearn_iso.modules import Rescaled
    >>> Rescaled(nn.Identity(), 2.0, 1.0)(torch.tensor([[3.0]]))
    tensor([[7.]], dtype=torch.float64)
    """

    factor: Tensor
    shift: Tensor

    def __init__(self, module: nn.Module, factor: float, shift: float) -> None:
        super().__init__()
        self.module = module
        self.register_buffer("factor", torch.tensor(factor, dtype=torch.float64))
        self.register_buffer("shift", torch.tensor(shift, dtype=torch.float64))

    def forward(self, X: Tensor) -> Tensor:
        """Return the output of the module, rescaled."""
        output = first_output(self.module(X)).double()
        return output * self.factor.to(output) + self.shift.to(output)
