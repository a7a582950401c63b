"""Products with the transposed Jacobian: those of torch, bit by bit."""

import pytest
import torch
from torch import nn

from sklearn_iso._geometry import pulled_back


def network(dtype):
    torch_generator = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).to(dtype)
    for p in net.parameters():
        p.data = torch.randn(p.shape, generator=torch_generator, dtype=dtype)
    return net


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_product_is_that_of_torch(dtype):
    X = torch.linspace(-1, 1, 20, dtype=dtype).reshape(5, 4).requires_grad_()
    Z = network(dtype)(X)
    u = torch.linspace(2, -1, 15, dtype=dtype).reshape(5, 3)
    (expected,) = torch.autograd.grad(Z, X, u, retain_graph=True)
    assert torch.equal(pulled_back(Z, X, u), expected)
    assert torch.equal(pulled_back(Z, X, u.expand_as(Z)), expected)  # the graph is still there


def test_second_derivatives_are_those_of_torch():
    X = torch.linspace(-1, 1, 8, dtype=torch.float64).reshape(2, 4).requires_grad_()
    Z = network(torch.float64)(X)
    w = torch.ones_like(Z, requires_grad=True)
    (expected,) = torch.autograd.grad(Z, X, w, create_graph=True)
    found = pulled_back(Z, X, w, create_graph=True)
    for wrt in (X, w):
        (one,) = torch.autograd.grad(found.square().sum(), wrt, retain_graph=True)
        (other,) = torch.autograd.grad(expected.square().sum(), wrt, retain_graph=True)
        assert torch.allclose(one, other, rtol=1e-13, atol=0)


def test_infinite_outputs_leave_the_gradients_that_they_have():
    X = torch.tensor([[2.0, 1.0]], requires_grad=True)
    Z = torch.stack([X[:, 0] * float("inf"), X[:, 1]], dim=1)
    assert pulled_back(Z, X, torch.tensor([[0.0, 1.0]]))[0, 1] == 1
