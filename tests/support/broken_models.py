"""Classifiers that hide their gradients, each in a way that is known."""

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from torch import nn


class Changed(nn.Module):
    """A module whose use is changed."""

    def __init__(self, inner, change):
        super().__init__()
        self.inner, self.change = inner, change

    def forward(self, X):
        return self.change(self.inner, X)


class Wrapped(ClassifierMixin, BaseEstimator):
    """A classifier with a changed network, which it predicts by and shows to attacks."""

    def __init__(self, base, change):
        self.base, self.change = base, change

    def fit(self, X, y):
        self.inner_ = self.base.fit(X, y).to_torch()
        self.classes_ = np.unique(y)
        return self

    def to_torch(self):
        return Changed(self.inner_, self.change)

    def predict(self, X):
        with torch.no_grad():
            scores = self.to_torch()(torch.as_tensor(np.asarray(X), dtype=torch.float32))
        return self.classes_[scores.argmax(dim=1).numpy()]


def scaled(network, X):
    return 1000 * network(X)


def softmax(network, X):
    return torch.softmax(1000 * network(X), dim=1)


def rounded(network, X):
    return network(X.round())


def saturated(network, X):
    return network(8 + 8 * torch.tanh(50 * (X - 7.5)))


class Noisy:
    """Noise at the input, from a generator of its own."""

    def __init__(self):
        self.generator = torch.Generator().manual_seed(0)

    def __call__(self, network, X):
        noise = torch.randn(X.shape, generator=self.generator, dtype=X.dtype)
        return network(X + noise)

    def __deepcopy__(self, memo):
        return self


def plain(network, X):
    return network(X)
