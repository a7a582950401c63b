"""The loss of a batch and what it is made of."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sklearn_iso._training import Objective
from sklearn_iso.modules import MLP
from sklearn_iso.penalties import PenaltySum, WithinClassIsometry, WorstCaseIsometry


def loss_of(module, alpha=1.0, penalty=None, weight=None, training=True):
    module.train(training)
    X = torch.randn(10, 4, generator=torch.Generator().manual_seed(0))
    penalty = penalty or (WithinClassIsometry() + WorstCaseIsometry(radius=1.0, scale=1.0))
    y = torch.arange(10) % 3
    penalty.calibrate(X, y)
    weight = torch.ones(10) if weight is None else weight
    return Objective(penalty, alpha, "hidden")(
        module, X, y, weight, generator=torch.Generator().manual_seed(0)
    )


def network():
    return MLP(4, 3, hidden_layer_sizes=(5,), generator=torch.Generator().manual_seed(0))


def test_objective_is_the_weighted_mean_of_cross_entropies_without_a_penalty():
    module, weight = network(), torch.rand(10, generator=torch.Generator().manual_seed(1))
    X = torch.randn(10, 4, generator=torch.Generator().manual_seed(0))
    losses = nn.functional.cross_entropy(module(X), torch.arange(10) % 3, reduction="none")
    expected = (weight * losses).sum() / weight.sum()
    torch.testing.assert_close(loss_of(module, alpha=0, weight=weight).total, expected)


def test_objective_is_linear_in_alpha():
    at = [loss_of(network(), alpha=alpha).total.item() for alpha in (1e-12, 1.0, 3.0)]
    assert at[2] - at[0] == pytest.approx(3 * (at[1] - at[0]), rel=1e-4)


def test_penalty_of_a_noisy_module_describes_the_map_that_predicts():
    generator = torch.Generator().manual_seed(0)
    module = nn.Sequential(
        nn.Linear(4, 5), nn.BatchNorm1d(5, momentum=0.0), nn.Dropout(0.5), nn.Linear(5, 3)
    )
    with torch.no_grad():
        module[1].running_mean.copy_(torch.randn(5, generator=generator))
    expected = loss_of(module, training=False).parts["penalty"]
    found = loss_of(module, training=True).parts["penalty"]
    assert found == pytest.approx(expected, rel=1e-6)
    assert module.training and module[2].training


def test_gradient_of_the_objective_reaches_every_weight():
    module = network()
    loss_of(module).total.backward()
    assert all(torch.isfinite(p.grad).all() and p.grad.any() for p in module.parameters())


def test_parts_name_every_term_of_a_sum():
    penalty = PenaltySum([("a", WithinClassIsometry()), ("b", WithinClassIsometry())], [1.0, 2.0])
    parts = loss_of(network(), penalty=penalty).parts
    assert parts["penalty"] == pytest.approx(3 * parts["a"])
    assert parts["a"] == parts["b"]
