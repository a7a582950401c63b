"""Products with the transposed Jacobian."""

from __future__ import annotations

import torch
from torch import Tensor


def pulled_back(Z: Tensor, X: Tensor, u: Tensor, *, create_graph: bool = False) -> Tensor:
    """Return J^T u for the Jacobian J of Z by X; the graph of Z stays.

    The gradient of the sum of ``Z * u``, bit by bit that of ``torch.autograd.grad(Z, X, u)``,
    which imports torch's symbolic shapes, and sympy with them, to compare two shapes.

    Parameters
    ----------
    Z : Tensor
        Computed from X.
    X : Tensor
        Input that asks for gradients.
    u : Tensor of the shape of Z
        Weights of the entries of Z.
    create_graph : bool, default=False
        Whether the product can be differentiated again.

    Returns
    -------
    product : Tensor of the shape of X

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso._geometry import pulled_back
    >>> X = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> pulled_back(X.square(), X, torch.tensor([1.0, 10.0]))
    tensor([ 2., 40.])
    """
    total = (Z * u).sum()
    (product,) = torch.autograd.grad(total, X, retain_graph=True, create_graph=create_graph)
    return product
