"""The cross-entropy of the worst logits: an upper bound at every perturbation, and its training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from penalty_batches import batch_of, data, value
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from sklearn_iso import IsometricClassifier, ThreatModel
from sklearn_iso._certificates.bounds import Settings
from sklearn_iso._certificates.networks import NetworkCertifier
from sklearn_iso.metrics import certified_accuracy
from sklearn_iso.modules import MLP
from sklearn_iso.penalties import CertifiedCrossEntropy, WorstCaseIsometry
from sklearn_iso.testing import check_penalty
from sklearn_iso.twins import as_torch


def network(activation=nn.ReLU):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), activation(), nn.Linear(6, 3)).double()


def cross_entropy(logits, y, weight):
    losses = nn.functional.cross_entropy(logits, y, reduction="none")
    return (torch.dot(weight, losses) / weight.sum()).item()


def test_penalty_with_bounds_keeps_the_laws():
    check_penalty(CertifiedCrossEntropy(bounds=(-20, 20), warmup=0.7))


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.SiLU])
def test_no_perturbation_in_the_radius_has_a_larger_cross_entropy(activation):
    module, (X, y, weight) = network(activation), data()
    bound = value(CertifiedCrossEntropy(radius=0.3), module, X, y, weight).item()
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        step = torch.rand(X.shape, generator=generator, dtype=X.dtype).mul(2).sub(1).sign()
        assert cross_entropy(module(X + 0.3 * step), y, weight) <= bound


def test_of_a_linear_network_it_is_the_worst_cross_entropy_of_each_difference():
    module, (X, y, weight) = nn.Linear(4, 3).double(), data()
    found = value(CertifiedCrossEntropy(radius=0.3), module, X, y, weight).item()
    rises = 0.3 * (module.weight[None] - module.weight[y][:, None]).abs().sum(2)
    logits = module(X)
    worst = logits - logits.gather(1, y[:, None]) + rises
    assert found == pytest.approx(cross_entropy(worst, y, weight))


def test_bounds_keep_samples_in_the_range_of_the_data():
    module, (X, y, weight) = network(), data()
    X = X.clamp(-1, 1)
    penalty = CertifiedCrossEntropy(radius=50.0, bounds=(-1, 1)).calibrate(X, y)
    at_most = value(penalty, module, X, y, weight, held=True)
    corners = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=X.dtype)] * 4)
    for corner in corners:
        assert cross_entropy(module(corner.expand_as(X)), y, weight) <= at_most
    assert at_most < value(CertifiedCrossEntropy(radius=50.0), module, X, y, weight)


@pytest.mark.parametrize("progress", [0.0, 0.1, 0.4, 1.0])
def test_weight_and_radius_grow_with_the_training(progress):
    module, (X, y, weight) = network(), data()
    penalty = CertifiedCrossEntropy(radius=0.4, warmup=0.4).calibrate(X, y)
    found = penalty(batch_of(module, X, y, weight, progress=progress)).item()
    grown = min(1.0, progress / 0.4)
    worst = CertifiedCrossEntropy(radius=max(0.4 * grown, 1e-12), warmup=0.0)
    at_x = cross_entropy(module(X), y, weight)
    expected = (1 - grown) * at_x + grown * value(worst, module, X, y, weight).item()
    assert found == pytest.approx(expected)


class Watching(CertifiedCrossEntropy):
    """Writes down how far training is at each batch."""

    seen = ()

    def __call__(self, batch):
        type(self).seen += (batch.progress,)
        return super().__call__(batch)


def test_training_starts_at_no_radius_and_grows_with_each_batch():
    X, y = np.random.default_rng(0).uniform(size=(40, 4)), np.arange(40) % 2
    IsometricClassifier(
        penalty=Watching(radius=0.1), alpha=1.0, max_epochs=5, batch_size=10, random_state=0
    ).fit(X, y)
    np.testing.assert_allclose(Watching.seen, np.arange(20) / 20)


def test_gradient_is_that_of_finite_differences():
    module, (X, y, weight) = network(nn.Tanh), data(5)
    penalty = CertifiedCrossEntropy(radius=0.3).calibrate(X, y)
    names = [name for name, _ in module.named_parameters()]

    def loss(*parameters):
        with torch.no_grad():
            for name, values in zip(names, parameters, strict=True):
                module.get_parameter(name).copy_(values)
        found = penalty(batch_of(module, X, y, weight))
        return found + sum((p - p.detach()).sum() * 0 for p in parameters)

    parameters = [p.detach().clone() for p in module.parameters()]
    loss(*parameters)
    gradients = torch.autograd.grad(penalty(batch_of(module, X, y, weight)), module.parameters())
    for k, gradient in enumerate(gradients):
        moved = [p.clone() for p in parameters]
        direction = torch.randn(moved[k].shape, generator=torch.Generator().manual_seed(k)).double()
        moved[k] = parameters[k] + 1e-6 * direction
        up = loss(*moved).item()
        moved[k] = parameters[k] - 1e-6 * direction
        slope = (up - loss(*moved).item()) / 2e-6
        loss(*parameters)
        assert slope == pytest.approx((gradient * direction).sum().item(), rel=1e-4, abs=1e-8)


def test_auto_is_a_tenth_of_the_distance_to_the_nearest_other_class():
    X = torch.tensor([[0.0, 0.0], [3.0, 5.0]])
    assert CertifiedCrossEntropy().calibrate(X, torch.tensor([0, 1])).radius_ == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("layer", "why"),
    [
        (nn.Dropout(0.5), r"'1' \(Dropout\).*at random"),
        (nn.BatchNorm1d(6), "batch at hand"),
        (nn.PReLU(), "PReLU.*has no known bounds"),
    ],
)
def test_modules_without_bounds_are_named(layer, why):
    module = nn.Sequential(nn.Linear(4, 6), layer, nn.Linear(6, 3)).double()
    with pytest.raises(TypeError, match=f"(?s)CertifiedCrossEntropy needs bounds.*{why}"):
        value(CertifiedCrossEntropy(radius=0.1), module, *data())


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"radius": 0.0}, "radius"),
        ({"warmup": 2.0}, "warmup"),
        ({"bounds": (1, 0)}, "low < high"),
        ({"bounds": (0, 0.1)}, "must lie within"),
    ],
)
def test_parameters_out_of_range_are_refused(params, message):
    X, y, _ = data()
    with pytest.raises(ValueError, match=message):
        CertifiedCrossEntropy(**params).calibrate(X, y)


def test_a_map_without_logits_has_none():
    with pytest.raises(ValueError, match="logits of a classifier"):
        CertifiedCrossEntropy().without_logits()


def test_a_radius_is_set_by_the_name_of_its_term():
    penalty = WorstCaseIsometry() + CertifiedCrossEntropy()
    penalty.set_params(certified_cross_entropy__radius=0.2, bounds=(0, 1))
    assert penalty.get_params()["certified_cross_entropy__radius"] == 0.2
    assert penalty.get_params()["worst_case__bounds"] == (0, 1)
    with pytest.raises(ValueError, match="several penalties"):
        penalty.set_params(radius=0.1)


def test_training_in_mixed_precision_is_about_the_same():
    X, y = np.random.default_rng(0).uniform(size=(60, 4)), np.arange(60) % 3
    curves = [
        IsometricClassifier(
            penalty=CertifiedCrossEntropy(radius=0.1), max_epochs=3, hidden_layer_sizes=(8,),
            random_state=0, mixed_precision=mixed,
        ).fit(X.astype(np.float32), y).loss_curve_
        for mixed in (False, True)
    ]  # fmt: skip
    np.testing.assert_allclose(curves[1], curves[0], rtol=0.05)


@pytest.mark.slow
def test_training_raises_what_intervals_certify():
    X, y = load_digits(return_X_y=True)
    parts = train_test_split((X / 16).astype(np.float32), y, train_size=600, random_state=0)
    X, X_test, y, y_test = parts
    threat = ThreatModel("linf", bounds=(0, 1)).resolve(X)
    common = {"max_epochs": 10, "hidden_layer_sizes": (32,), "batch_size": 16, "random_state": 0}
    penalty = CertifiedCrossEntropy(radius=0.05, bounds=(0, 1))
    shares = []
    for alpha in (0.0, 3.0):
        classifier = IsometricClassifier(penalty=penalty, alpha=alpha, **common).fit(X, y)
        assert classifier.score(X_test, y_test) > 0.9
        certifier = NetworkCertifier(as_torch(classifier), classifier, Settings(linear=False))
        shares.append(certifier.holds(X_test, y_test, threat, 0.03).mean())
    assert shares[0] + 0.3 < shares[1]


@pytest.mark.slow
def test_most_digits_are_certified_after_training_for_it():
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(
        (X / 16).astype(np.float32), y, random_state=0, stratify=y
    )
    penalty = CertifiedCrossEntropy(radius=0.05, bounds=(0, 1))
    classifier = IsometricClassifier(
        penalty=penalty, alpha=1.0, hidden_layer_sizes=(64,), max_epochs=60, batch_size=64,
        random_state=0,
    ).fit(X, y)  # fmt: skip
    threat = ThreatModel("linf", bounds=(0, 1))
    assert classifier.score(X_test, y_test) >= 0.96
    assert certified_accuracy(classifier, X_test, y_test, eps=0.05, threat=threat) >= 0.85


def test_gradients_of_single_precision_are_finite():
    module = MLP(4, 3, dtype=torch.float32)
    X, y, weight = data(dtype=torch.float32)
    value(CertifiedCrossEntropy(radius=0.1), module, X, y, weight).backward()
    assert all(p.grad.isfinite().all() for p in module.parameters())
