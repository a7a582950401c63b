"""Which networks are perceptrons."""

from __future__ import annotations

import pytest
from torch import nn

from sklearn_iso._training.stacked import StackedMLP
from sklearn_iso.modules import MLP, ConvNet, Stack
from sklearn_iso.modules._dense import is_dense

MLP_OF_FOUR = MLP(4, 3, hidden_layer_sizes=(5, 5))


@pytest.mark.parametrize(
    "module",
    [
        MLP_OF_FOUR,
        StackedMLP([MLP_OF_FOUR] * 2),
        Stack(4, [2, 3], block_sizes=[[5], [5]]),
        nn.Sequential(nn.Flatten(), nn.Linear(4, 5), nn.Dropout(0.1), nn.ReLU(), nn.Linear(5, 3)),
    ],
    ids=lambda module: type(module).__name__,
)
def test_linear_layers_and_activations_are_a_perceptron(module):
    assert is_dense(module)


@pytest.mark.parametrize(
    "module",
    [
        ConvNet(64, 3),
        nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)),
        nn.MultiheadAttention(4, 2),
        nn.LSTM(4, 5),
    ],
    ids=lambda module: type(module).__name__,
)
def test_weights_of_any_other_layer_make_another_network(module):
    assert not is_dense(module)
