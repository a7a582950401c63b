"""What classifier and regressor share once they are fitted."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from sklearn_iso._typed import TransformerMixin
from sklearn_iso.estimators.input import check_predict_input
from sklearn_iso.modules import Layers
from sklearn_iso.penalties import Penalty
from sklearn_iso.training import PenalizedNet, inference


class RepresentingMixin(TransformerMixin):
    """Transformer whose output is the representation in the last of its `layers`."""

    module: Any
    layers: Layers
    net_: PenalizedNet
    penalty_: Penalty
    radius_: float
    scale_: float

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

    def _checked(self, X: ArrayLike) -> Any:
        """Return X as the network takes it; raise an error before a fit."""
        check_is_fitted(self)
        return check_predict_input(self, X, many_dimensions=self.module is not None, lazy=True)
