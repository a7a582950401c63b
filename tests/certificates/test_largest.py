"""Bounds of the largest of several values."""

import itertools
import math

import pytest
import torch
from torch import nn

from sklearn_iso.modules._intervals import graph_of
from sklearn_iso.modules._largest import Largest


@pytest.mark.parametrize(
    "pool",
    [
        nn.MaxPool2d(2),
        nn.MaxPool2d(3, stride=2, padding=1),
        nn.MaxPool2d((2, 3), stride=1, padding=(1, 0)),
        nn.MaxPool2d(2, stride=3, dilation=2, padding=1),
    ],
)
def test_pool_takes_the_largest_of_the_places_that_its_rows_go_back_to(pool):
    X = -1 - torch.rand(3, 2 * 7 * 6, dtype=torch.float64)  # below what padding with 0 would give
    graph = graph_of(nn.Sequential(nn.Unflatten(1, (2, 7, 6)), pool), (2 * 7 * 6,))
    node, X = graph.node(graph.last), X.unflatten(1, (2, 7, 6))
    for bound in node.interval((X, X)):
        assert torch.equal(bound, pool(X))
    rows = torch.eye(math.prod(node.shape), dtype=X.dtype).reshape(1, -1, *node.shape)
    (back,), constant = node.backward(rows, (X, X))
    assert torch.equal((back * X[:, None]).sum((2, 3, 4)) + constant, pool(X).flatten(1))


def test_largest_is_exact_where_one_value_leads():
    """A pool whose first value leads is that value; else its upper bound is a constant."""
    node = Largest(0, (1,), torch.tensor([[0], [1]]), (2,))
    low, high = torch.tensor([[2.0, 0.0]]), torch.tensor([[3.0, 1.0]])
    (rows,), constant = node.backward(torch.tensor([[[-1.0]]]), (low, high))
    assert rows.tolist() == [[[-1.0, 0.0]]]
    assert float(constant) == 0.0
    (rows,), constant = node.backward(torch.tensor([[[-1.0]]]), (low, high + 2))
    assert rows.tolist() == [[[0.0, 0.0]]]
    assert float(constant) == -5.0
    for corner in itertools.product(*zip(low[0].tolist(), high[0].tolist(), strict=True)):
        assert node.interval((low, high))[0] <= max(corner) <= node.interval((low, high))[1]
