"""What classifier and regressor share once they are fitted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted
from torch import nn

from sklearn_iso._training import inference
from sklearn_iso._typed import TransformerMixin
from sklearn_iso.estimators._constraints import ModuleName
from sklearn_iso.estimators._input import check_predict_input
from sklearn_iso.estimators._network import NetworkEstimator
from sklearn_iso.modules import Layers
from sklearn_iso.modules._build import has_own_sizes
from sklearn_iso.penalties import Penalty


@dataclass(eq=False, repr=False, kw_only=True)
class RepresentingNetwork(TransformerMixin, NetworkEstimator):
    """Network whose ``transform`` is the representation in the last of its `layers`."""

    layers: Layers = "hidden"
    hidden_layer_sizes: Sequence[int] = (256, 128)
    module: ModuleName | nn.Module | Callable[..., nn.Module] | None = None

    penalty_: Penalty = field(init=False)
    radius_: float = field(init=False)
    scale_: float = field(init=False)
    _n_features_out: int = field(init=False)
    _row_size: int = field(init=False)

    def transform(self, X: ArrayLike) -> NDArray:
        """Return the representation of each sample in the last of `layers`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        Z : ndarray of shape (n_samples, n_units)
        """
        samples = self._checked(X)
        return inference.representation(self.net_.module_, samples, self.layers)

    def _checked(self, X: ArrayLike) -> NDArray:
        """Return X as the network takes it; raise an error before a fit."""
        if not self.__sklearn_is_fitted__():
            check_is_fitted(self)
        return check_predict_input(self, X, many_dimensions=has_own_sizes(self.module), lazy=True)
