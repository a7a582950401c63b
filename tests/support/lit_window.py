"""A classifier that only neighbouring pixels together can break."""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

SIDE, WINDOW, LIT = 16, 4, 0.15


class LitWindow(ClassifierMixin, BaseEstimator):
    """Sees nothing of 16 x 16 pixels but whether a window of 4 x 4 is bright on average."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        images = np.asarray(X).reshape(-1, SIDE, SIDE)
        windows = np.lib.stride_tricks.sliding_window_view(images, (WINDOW, WINDOW), axis=(1, 2))
        lit = windows.mean(axis=(3, 4)).max(axis=(1, 2)) > LIT
        return np.column_stack([~lit, lit]).astype(float)

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]
