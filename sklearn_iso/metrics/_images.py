"""What a network of an estimator says about the shape of its images."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TypeVar

from torch import Tensor, nn

from sklearn_iso.attacks import AttackEnsemble, Square

Method = TypeVar("Method")


def knowing_images(method: Method, twin: nn.Module | None, X: Tensor) -> Method:
    """Return an attack that knows the shape of images from the network, where it was not told.

    Parameters
    ----------
    method : Attack or callable
    twin : nn.Module or None
    X : Tensor of shape (n, n_features), or of images

    Examples
    --------
    >>> import torch
    >>> from sklearn_iso.attacks import AttackEnsemble
    >>> from sklearn_iso.metrics._images import knowing_images
    >>> from sklearn_iso.modules import ConvNet
    >>> knowing_images(AttackEnsemble(), ConvNet(64, 10, channels=(2,)), torch.zeros(1, 64))
    AttackEnsemble(image_shape=(1, 8, 8))
    """
    if not isinstance(method, AttackEnsemble | Square) or method.image_shape is not None:
        return method
    if twin is None or X.ndim != 2:  # noqa: PLR2004 - others are images of their own shape
        return method
    for module in twin.modules():
        shape = getattr(module, "image_shape", None)
        if isinstance(shape, tuple) and math.prod(shape) == X.shape[1]:
            return replace(method, image_shape=shape)
    return method
