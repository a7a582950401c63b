"""Whether a network is a perceptron: what holds weights in it are linear layers."""

from __future__ import annotations

from torch import nn

from sklearn_iso.modules._parts import parts_of


def is_dense(module: nn.Module) -> bool:
    """Return whether all weights are those of linear layers: no convolution, no normalisation.

    Parameters
    ----------
    module : nn.Module

    Returns
    -------
    dense : bool

    Examples
    --------
    >>> from torch import nn
    >>> from sklearn_iso.modules import MLP, ConvNet
    >>> from sklearn_iso.modules._dense import is_dense
    >>> is_dense(MLP(4, 3)), is_dense(ConvNet(784, 10))
    (True, False)
    """
    # A list of parameters is what linear layers of many networks side by side are stored in.
    return all(
        isinstance(part, nn.Linear | nn.ParameterList)
        or all(weight is None for weight in part._parameters.values())
        for part in parts_of(module)
    )
