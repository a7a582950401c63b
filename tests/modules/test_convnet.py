"""The convolutional network."""

from __future__ import annotations

import pytest
import torch

from sklearn_iso.modules import ConvNet
from sklearn_iso.modules._intervals import graph_of


def test_convnet_takes_rows_and_images_alike():
    module = ConvNet(128, 3, image_shape=(2, 8, 8), channels=(4, 5, 6))
    X = torch.randn(7, 128, generator=torch.Generator().manual_seed(0))
    assert torch.equal(module(X), module(X.reshape(7, 2, 8, 8)))


def test_convnet_of_another_shape_says_so():
    with pytest.raises(ValueError, match=r"\(1, 3, 3\) does not hold 10"):
        ConvNet(10, 2)


def test_intervals_grow_by_about_two_in_each_layer_of_the_initialization_for_them():
    def growth(**params):
        torch.manual_seed(0)
        graph = graph_of(ConvNet(256, 10, **params), (256,))
        X = torch.rand(20, 256)
        half = [(high - low).mean().item() for low, high in graph.intervals(X - 0.1, X + 0.1)]
        return half[-1] / half[0]

    assert 2**3 < growth(initialization="interval", channels=(8, 16)) < 2**5
    assert 2**3 < growth(initialization="interval", channels=(32, 64)) < 2**5
    assert growth(channels=(32, 64)) > 2**7


def test_initialization_is_one_of_those_with_a_name():
    with pytest.raises(ValueError, match="initialization"):
        ConvNet(64, 3, initialization="glorot")
