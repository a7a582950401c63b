"""Small batches, and the value of a penalty on them."""

from __future__ import annotations

import torch
from torch import nn

from sklearn_iso.penalties import Batch, make_penalty


def data(n=12, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    X = torch.randn(n, 4, generator=generator, dtype=torch.float64)
    y = torch.arange(n) % 3
    weight = torch.rand(n, generator=generator, dtype=torch.float64) + 0.5
    return X.to(dtype), y, weight.to(dtype)


def batch_of(module, X, y, weight=None, seed=0, **options):
    weight = torch.ones(len(X), dtype=X.dtype) if weight is None else weight
    generator = torch.Generator().manual_seed(seed)
    return Batch(module, X.detach().requires_grad_(), y, weight, generator=generator, **options)


def value(penalty, module, X, y, weight, seed=0, held=False):
    if not held:
        penalty = make_penalty(penalty).calibrate(*data(30, X.dtype))
    return penalty(batch_of(module, X, y, weight, seed))


def identity_batch(X, y, factor=1.0):
    """A linear module whose hidden representation and logits are multiples of a rotation."""
    rotation = torch.linalg.qr(data(4)[0])[0]
    module = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)).double()
    with torch.no_grad():
        module[0].weight.copy_(factor * rotation)
        module[1].weight.copy_(torch.eye(4))
    return batch_of(module, X, y)
