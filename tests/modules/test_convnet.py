"""The convolutional network."""

from __future__ import annotations

import pytest
import torch

from sklearn_iso.modules import ConvNet


def test_convnet_takes_rows_and_images_alike():
    module = ConvNet(128, 3, image_shape=(2, 8, 8), channels=(4, 5, 6))
    X = torch.randn(7, 128, generator=torch.Generator().manual_seed(0))
    assert torch.equal(module(X), module(X.reshape(7, 2, 8, 8)))


def test_convnet_of_another_shape_says_so():
    with pytest.raises(ValueError, match=r"\(1, 3, 3\) does not hold 10"):
        ConvNet(10, 2)
