"""Clipping whose slope is 1 at the bounds."""

from __future__ import annotations

import torch
from torch import Tensor


def clipped(
    X: Tensor, low: float | Tensor | None = None, high: float | Tensor | None = None
) -> Tensor:
    """Return X clipped to [low, high], with a gradient of 1 at the bounds themselves.

    A scaler with ``clip=True`` maps the smallest and the largest training value to the bounds, and
    an attack that starts there must see the slope inwards. `torch.clamp` has a slope of 1 there
    up to torch 2.13 and of 0 from 2.14 on; `torch.minimum` and `torch.maximum` have one half.

    Parameters
    ----------
    X : Tensor
    low, high : float, Tensor that broadcasts to X, or None
        None leaves a side open.

    Returns
    -------
    clipped : Tensor of the shape and dtype of X
        NaN where X is NaN.

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.twins._clipping import clipped
    >>> x = torch.tensor([-1.0, 0.0, 0.5, 1.0, 2.0], requires_grad=True)
    >>> clipped(x, 0, 1).sum().backward()
    >>> x.grad
    tensor([0., 1., 1., 1., 0.])
    """
    if low is not None:
        X = torch.where(X < low, low, X)
    return X if high is None else torch.where(X > high, high, X)
