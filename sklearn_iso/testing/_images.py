"""What a transformer, a function or a torch module makes of samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from torch import nn

from sklearn_iso._protocols import Floats, Samples, Sparse, Transformer
from sklearn_iso.metrics._table import own_copy
from sklearn_iso.modules._representations import first_output
from sklearn_iso.testing._broken import LawBrokenError, shown

#: What maps samples to samples; a torch module is one, and a function from X to Z.
Map = Transformer | Callable[..., ArrayLike]


def as_map(transformer: Map) -> Callable[..., ArrayLike]:
    """Return the function from X to Z that a transformer, a module or a callable is."""
    if isinstance(transformer, nn.Module):
        return lambda X: _evaluated(transformer, X)
    if hasattr(transformer, "transform"):
        return transformer.transform
    if callable(transformer):
        return transformer
    raise TypeError(
        f"A map of points must have transform or be callable; got {type(transformer).__name__}. "
        "Pass a fitted transformer, a torch module, or a function from X to Z."
    )


def images_of(function: Callable[..., ArrayLike], X: Samples, points: ArrayLike) -> NDArray:
    """Return one sample of finite numbers for each sample of X, which `points` shows as an array.

    Raises
    ------
    LawBrokenError
        If there is none for some sample.
    """
    images = function(own_copy(X))
    Z = np.asarray(cast(Sparse, images).toarray() if issparse(images) else images)
    rows = np.asarray(points)
    if Z.shape[:1] != (len(rows),):
        raise LawBrokenError(
            f"A map must return one row for each row of X; got an array of shape {Z.shape} for "
            f"{len(rows)} samples."
        )
    Z = Z.reshape(len(Z), -1)
    lost = ~np.isfinite(Z.astype(np.float64)).all(axis=1)
    if lost.any():
        row = int(lost.argmax())
        raise LawBrokenError(
            f"A map must return finite numbers; sample {row} of {len(rows)} became "
            f"{shown(Z[row])}.\nsample {row}: {shown(rows[row])}"
        )
    return Z


def _evaluated(module: nn.Module, X: ArrayLike) -> Floats:
    """Return the output of a module in the dtype of its parameters, in evaluation mode as told."""
    weight = next(module.parameters(), None)
    rows = torch.as_tensor(np.asarray(X))
    if weight is not None:
        rows = rows.to(weight)
    with torch.no_grad():
        found = first_output(module(rows))
    Z: Floats = found.cpu().numpy()
    return Z
