"""The built-in perceptron."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sklearn_iso.modules import ACTIVATIONS, MLP, represent


def mlp(**params):
    return MLP(4, 3, generator=torch.Generator().manual_seed(0), **params)


def test_mlp_depends_on_its_generator_and_not_on_the_global_one():
    before = torch.get_rng_state()
    one, two = mlp(), mlp()
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_input_similarity_shifts_and_scales_by_one_factor():
    X = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    plain, moved = mlp(), mlp()
    moved.set_input_similarity(torch.tensor([1.0, 2.0, 3.0, 4.0]), 0.5)
    torch.testing.assert_close(moved(2 * X + torch.tensor([1.0, 2.0, 3.0, 4.0])), plain(X))


@pytest.mark.parametrize("sizes", [(), (5,), (6, 5, 4)])
@pytest.mark.parametrize("layers", ["hidden", "last_hidden", "logits"])
def test_hidden_layers_of_the_mlp_are_those_that_hooks_find(sizes, layers):
    module, X = mlp(hidden_layer_sizes=sizes), torch.ones(3, 4)
    hooked = represent(nn.Sequential(module), X, layers)
    found = represent(module, X, layers)
    assert len(found) == len(hooked)
    assert all(torch.equal(a, b) for a, b in zip(found, hooked, strict=True))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_gives_finite_logits_and_gradients(name):
    module = mlp(activation=name)
    X = torch.linspace(-30, 30, 20).reshape(5, 4).requires_grad_()
    module(X).sum().backward()
    assert torch.isfinite(X.grad).all()


def test_orthogonal_weights_keep_distances():
    weight = mlp(hidden_layer_sizes=(9,), initialization="orthogonal").hidden[0].weight
    torch.testing.assert_close(weight.T @ weight, torch.eye(4), atol=1e-6, rtol=0)
