"""A map and its way back, which start at a linear map and learn what is curved."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sklearn_iso.modules._mlp import MLP, empty_linear
from sklearn_iso.modules._representations import first_output


class ResidualMLP(nn.Module):
    r"""A linear map plus a perceptron that starts at 0.

    .. math:: f(x) = \nu + u\, (W \tilde x + b + g(\tilde x)), \qquad \tilde x = (x - \mu) / c

    with a perceptron g whose last layer is 0 at first: the map starts at the given matrix
    exactly. Shift and factors are similarities, so training does not depend on units.

    Parameters
    ----------
    mlp : MLP
        The g; its last layer is set to 0.
    matrix : Tensor of shape (n_outputs, n_features)
        The W to start with.
    shift : Tensor of shape (n_features,), optional
        The mu; 0 by default.
    factor : float, default=1.0
        One over c.
    unit : float, default=1.0
        The u: size of the output.
    center : Tensor of shape (n_outputs,), optional
        The nu; 0 by default.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.modules import MLP, ResidualMLP
    >>> swap = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    >>> ResidualMLP(MLP(2, 2), swap)(torch.tensor([[3.0, 4.0]])).detach()
    tensor([[4., 3.]])
    """

    offset: Tensor
    factor: Tensor
    unit: Tensor
    center: Tensor

    def __init__(
        self,
        mlp: MLP,
        matrix: Tensor,
        *,
        shift: Tensor | None = None,
        factor: float = 1.0,
        unit: float = 1.0,
        center: Tensor | None = None,
    ) -> None:
        super().__init__()
        weight = mlp.output.weight
        n_outputs, n_features = matrix.shape
        shift = weight.new_zeros(n_features) if shift is None else shift.to(weight)
        center = weight.new_zeros(n_outputs) if center is None else center.to(weight)
        self.register_buffer("offset", -factor * shift)
        self.register_buffer("factor", weight.new_tensor(factor))
        self.register_buffer("unit", weight.new_tensor(unit))
        self.register_buffer("center", center)
        self.mlp = mlp
        self.linear = empty_linear(n_features, n_outputs, weight.dtype)
        with torch.no_grad():
            self.linear.weight.copy_(matrix)
            for zero in (self.linear.bias, mlp.output.weight, mlp.output.bias):
                zero.zero_()

    def forward(self, X: Tensor) -> Tensor:
        """Return the map of X (n_samples, n_features), of shape (n_samples, n_outputs)."""
        entered = torch.addcmul(self.offset, X, self.factor)
        return torch.addcmul(self.center, self.linear(entered) + self.mlp(entered), self.unit)


class Autoencoder(nn.Module):
    r"""An encoder X -> Z with a decoder Z -> X.

    Parameters
    ----------
    encoder, decoder : nn.Module

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from sklearn_iso.modules import Autoencoder
    >>> Z, X_hat = Autoencoder(nn.Linear(4, 2), nn.Linear(2, 4))(torch.zeros(3, 4))
    >>> Z.shape, X_hat.shape
    (torch.Size([3, 2]), torch.Size([3, 4]))
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(self, X: Tensor) -> tuple[Tensor, Tensor]:
        """Return the embedding of X and its way back."""
        Z = first_output(self.encoder(X))
        return Z, first_output(self.decoder(Z))
