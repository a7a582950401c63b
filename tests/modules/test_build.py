"""What a parameter `module` may be."""

from __future__ import annotations

import torch
from torch import nn

from sklearn_iso.modules._build import build_module


def test_instance_is_copied_with_its_weights():
    instance = nn.Linear(4, 3)
    built = build_module(instance, 4, 3)
    assert built is not instance
    assert torch.equal(built.weight, instance.weight)


def test_class_is_told_the_sizes_it_asks_for():
    class Sized(nn.Linear):
        def __init__(self, n_features, n_outputs, width=7):
            super().__init__(n_features, n_outputs)

    built = build_module(Sized, 4, 3)
    assert (built.in_features, built.out_features) == (4, 3)
