"""Fitted transformers side by side, each of some columns of an array, told by position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from torch import nn

from sklearn_iso.twins._columns import side_by_side

#: A name, a fitted transformer or "passthrough", and the columns that it takes.
Branch = tuple[str, "BaseEstimator | str", "NDArray | slice"]


class Beside(BaseEstimator):
    """What a fitted ColumnTransformer of arrays does, of transformers that others have fitted.

    Parameters
    ----------
    transformers_ : sequence of (name, transformer, columns)
        By position.
    transformer_weights : dict of str to float, or None
    n_features_in_ : int
        Columns of X.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_iso._certificates.beside import Beside
    >>> X = np.array([[0.0, 5.0], [4.0, 6.0]])
    >>> scaler = StandardScaler().fit(X[:, :1])
    >>> branches = [("a", "passthrough", np.array([1])), ("b", scaler, np.array([0]))]
    >>> Beside(branches).transform(X)
    array([[ 5., -1.],
           [ 6.,  1.]])
    """

    def __init__(
        self,
        transformers_: Sequence[Branch],
        transformer_weights: Mapping[str, float] | None = None,
        n_features_in_: int = 0,
    ) -> None:
        self.transformers_ = list(transformers_)
        self.transformer_weights = dict(transformer_weights or {})
        self.n_features_in_ = n_features_in_

    def fit(self, X: NDArray, y: NDArray | None = None) -> Beside:
        """Return itself: others have fitted it."""
        return self

    def transform(self, X: NDArray) -> NDArray:
        """Return the columns of all branches."""
        return np.hstack([self._branch(*branch, X) for branch in self.transformers_])

    def _branch(
        self, name: str, step: BaseEstimator | str, columns: NDArray | slice, X: NDArray
    ) -> NDArray:
        part = X[:, columns]
        moved = part if isinstance(step, str) else step.transform(part)
        moved = moved.toarray() if hasattr(moved, "toarray") else np.asarray(moved)
        weight = self.transformer_weights.get(name)
        return moved if weight is None else moved * weight

    def to_torch(self) -> nn.Module:
        """Return the differentiable model of `transform`."""
        return side_by_side(self)
