"""A multi-layer perceptron initialised from a generator of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from sklearn.utils._param_validation import StrOptions, validate_parameter_constraints
from torch import Tensor, nn

from sklearn_iso.modules._activations import ACTIVATIONS
from sklearn_iso.modules._widths import COUNT, check_widths

#: Initial weights by name.
INITIALIZATIONS: dict[str, Callable[..., Tensor]] = {
    "glorot": nn.init.xavier_uniform_,
    "orthogonal": nn.init.orthogonal_,
}

_CONSTRAINTS: dict = {
    "n_features": COUNT,
    "n_outputs": COUNT,
    "activation": [StrOptions(set(ACTIVATIONS))],
    "initialization": [StrOptions(set(INITIALIZATIONS))],
    "generator": [torch.Generator, None],
    "dtype": [torch.dtype],
}


def empty_linear(n_features: int, n_outputs: int, dtype: torch.dtype) -> nn.Linear:
    """Return a linear layer of any weights, for which no random number is drawn.

    ``torch.nn.utils.skip_init`` is the same, but imports a computer algebra system at its first
    call, which takes longer than to load a model.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.modules._mlp import empty_linear
    >>> empty_linear(4, 3, torch.float32)
    Linear(in_features=4, out_features=3, bias=True)
    """
    layer = nn.Linear.__new__(nn.Linear)
    nn.Module.__init__(layer)
    layer.in_features, layer.out_features = n_features, n_outputs
    layer.weight = nn.Parameter(torch.empty(n_outputs, n_features, dtype=dtype))
    layer.bias = nn.Parameter(torch.empty(n_outputs, dtype=dtype))
    return layer


class MLP(nn.Module):
    r"""Multi-layer perceptron that returns logits.

    .. math:: z_0 = (x - \mu) / c, \quad z_k = \sigma(W_k z_{k-1} + b_k), \quad
              f(x) = W_{L+1} z_L + b_{L+1}

    The first step is a similarity (one shift, one factor for all features), so distances
    keep their proportions while training does not depend on the units of X.

    Parameters
    ----------
    n_features, n_outputs : int
        Width of the input and of the logits.
    hidden_layer_sizes : sequence of int
        Width of each hidden layer; empty for a linear model.
    activation : str
        A key of :data:`sklearn_iso.modules.ACTIVATIONS`.
    initialization : {"glorot", "orthogonal"}
        Of the weights: Glorot uniform, or orthogonal (isometric before training). Biases
        start at 0.
    generator : torch.Generator or None
        Draws the weights; None takes torch's default generator.
    dtype : torch.dtype
        Of the weights.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.modules import MLP
    >>> mlp = MLP(4, 3, hidden_layer_sizes=(8,), generator=torch.Generator().manual_seed(0))
    >>> mlp(torch.zeros(2, 4)).shape
    torch.Size([2, 3])
    """

    offset: Tensor
    factor: Tensor

    def __init__(
        self,
        n_features: int,
        n_outputs: int,
        *,
        hidden_layer_sizes: Sequence[int] = (256, 128),
        activation: str = "relu",
        initialization: str = "glorot",
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        given = {
            "n_features": n_features,
            "n_outputs": n_outputs,
            "activation": activation,
            "initialization": initialization,
            "generator": generator,
            "dtype": dtype,
        }
        validate_parameter_constraints(_CONSTRAINTS, given, "MLP")
        check_widths("hidden_layer_sizes", hidden_layer_sizes)
        self.register_buffer("offset", torch.zeros(n_features, dtype=dtype))
        self.register_buffer("factor", torch.ones((), dtype=dtype))
        widths = [n_features, *hidden_layer_sizes]
        self.hidden = nn.Sequential()
        for n_in, n_out in zip(widths[:-1], widths[1:], strict=True):
            self.hidden.append(empty_linear(n_in, n_out, dtype))
            self.hidden.append(ACTIVATIONS[activation]())
        self.output = empty_linear(widths[-1], n_outputs, dtype)
        for layer in (*self.hidden, self.output):
            if isinstance(layer, nn.Linear):
                INITIALIZATIONS[initialization](layer.weight, generator=generator)
                nn.init.zeros_(layer.bias)

    def set_input_similarity(self, shift: Tensor, factor: float) -> None:
        """Set the shift (n_features,) and the one factor applied to every input.

        Parameters
        ----------
        shift : Tensor of shape (n_features,)
            Subtracted from each sample.
        factor : float
            By which each is multiplied then.
        """
        self.offset.copy_(-factor * shift)
        self.factor.fill_(factor)

    def forward(self, X: Tensor) -> Tensor:
        """Return the logits (n_samples, n_outputs) of X (n_samples, n_features)."""
        logits: Tensor = self.output(self.hidden(self._enter(X)))
        return logits

    def _enter(self, X: Tensor) -> Tensor:
        return torch.addcmul(self.offset, X, self.factor)

    def forward_hidden(self, X: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the logits and the activations of each hidden layer, in order.

        Parameters
        ----------
        X : Tensor of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        logits : Tensor of shape (n_samples, n_outputs)
            Scores.
        activations : list of Tensor of shape (n_samples, n_units)
            One for each hidden layer.
        """
        Z, hidden = self._enter(X), []
        for part in self.hidden:
            Z = part(Z)
            if not isinstance(part, nn.Linear):
                hidden.append(Z)
        return self.output(Z), hidden
