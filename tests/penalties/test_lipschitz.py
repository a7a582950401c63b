"""The cross-entropy of the worst logits by Lipschitz constants, and what training on it gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from penalty_batches import data, value
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from sklearn_iso import IsometricClassifier, preset
from sklearn_iso.metrics import certified_accuracy
from sklearn_iso.modules import OrthogonalMLP
from sklearn_iso.modules._lipschitz import margin_constants
from sklearn_iso.penalties import LipschitzCrossEntropy


def orthogonal():
    generator = torch.Generator().manual_seed(0)
    return OrthogonalMLP(4, 3, hidden_layer_sizes=(6, 4), generator=generator, dtype=torch.float64)


def plain():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)).double()


def test_of_a_linear_network_it_is_the_worst_cross_entropy_in_the_ball():
    module, (X, y, weight) = nn.Linear(4, 3).double(), data()
    found = value(LipschitzCrossEntropy(radius=0.3), module, X, y, weight).item()
    W = module.weight.detach()
    offsets = 0.3 * (W[y][:, None] - W).norm(dim=2)
    t = 0.125 * torch.dot(weight, offsets.mean(dim=1)) / weight.sum()
    losses = t * nn.functional.cross_entropy((module(X) + offsets) / t, y, reduction="none")
    expected = torch.dot(weight, losses) / weight.sum()
    assert found == pytest.approx(expected.item(), rel=1e-3)  # power iteration


@pytest.mark.parametrize("module", [orthogonal(), plain()], ids=["orthogonal", "plain"])
def test_no_perturbation_in_the_radius_has_a_larger_loss(module):
    X, y, weight = data()
    penalty = LipschitzCrossEntropy(radius=0.4)
    bound = value(penalty, module, X, y, weight).item()
    offsets = margin_constants(module, X.shape[1:])[y]
    t = 0.125 * 0.4 * torch.dot(weight, offsets.mean(dim=1)) / weight.sum()
    generator = torch.Generator().manual_seed(0)
    for _ in range(100):
        step = torch.randn(X.shape, generator=generator, dtype=X.dtype)
        step = 0.4 * step / step.norm(dim=1, keepdim=True)
        losses = t * nn.functional.cross_entropy(module(X + step) / t, y, reduction="none")
        assert torch.dot(weight, losses) / weight.sum() <= bound + 1e-9


@pytest.mark.parametrize("module", [orthogonal(), plain()], ids=["orthogonal", "plain"])
def test_gradients_reach_every_weight(module):
    X, y, weight = data()
    value(LipschitzCrossEntropy(radius=0.4), module, X, y, weight).backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_auto_is_a_quarter_of_the_distance_to_the_other_class_in_any_unit():
    X, y, weight = data()
    radii = [LipschitzCrossEntropy().calibrate(c * X, y, weight).radius_ for c in (1.0, 100.0)]
    assert radii[1] == pytest.approx(100 * radii[0])


def test_a_module_without_a_constant_is_named():
    net = nn.Sequential(nn.Linear(4, 6), nn.Softsign(), nn.Linear(6, 3))
    X, y = load_digits(return_X_y=True)
    classifier = IsometricClassifier(
        module=net, penalty=LipschitzCrossEntropy(radius=1.0), alpha=1.0, max_epochs=1
    )
    with pytest.raises(TypeError, match="Softsign"):
        classifier.fit(X[:50, 20:24], y[:50] % 3)
    with pytest.raises(ValueError, match="Leave it out"):
        LipschitzCrossEntropy().without_logits()


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return train_test_split(X.astype(np.float32) / 16, y, random_state=0)


def fit(digits, **params):
    X, _, y, _ = digits
    return preset("images_certified_l2", random_state=0, batch_size=100, **params).fit(X, y)


def test_the_preset_trains_what_can_be_certified(digits):
    _, X, _, y = digits
    X, y = X[:200], y[:200]
    penalty = LipschitzCrossEntropy(radius=0.8)
    clf = fit(digits, penalty=penalty, hidden_layer_sizes=(64, 64), max_epochs=20)
    assert clf.score(X, y) > 0.93
    assert certified_accuracy(clf, X, y, eps=0.4, threat="l2") > 0.7
    ordinary = IsometricClassifier(
        hidden_layer_sizes=(64,), alpha=0.0, max_epochs=20, random_state=0
    ).fit(digits[0], digits[2])
    assert certified_accuracy(ordinary, X[:20], y[:20], eps=0.4, threat="l2") < 0.5


def test_a_larger_radius_certifies_more_far_away(digits):
    _, X, _, y = digits
    params = {"hidden_layer_sizes": (64, 64), "max_epochs": 15}
    small, large = (
        fit(digits, penalty=LipschitzCrossEntropy(radius=r), **params) for r in (0.1, 1.5)
    )
    at = {"eps": 0.8, "threat": "l2"}
    assert certified_accuracy(large, X, y, **at) > certified_accuracy(small, X, y, **at)
