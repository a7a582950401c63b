"""A small network, points in the unit box, and the labels that it gives them."""

import pytest
import torch
from torch import nn


@pytest.fixture
def problem():
    """Return a network, points in the unit box and the labels that it gives them."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3))
    X = torch.rand(50, 6, generator=torch.Generator().manual_seed(0))
    return model, X, model(X).argmax(dim=1)


class Counting:
    """Callable that notes how many rows it was shown in each call."""

    def __init__(self, logits):
        self.logits, self.seen = logits, []

    def __call__(self, x):
        self.seen.append(len(x))
        return self.logits(x)


@pytest.fixture
def counting():
    """Return the wrapper that notes how many rows a callable was shown."""
    return Counting
