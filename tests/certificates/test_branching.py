"""Proofs in cases: exact where every pattern of active units can be tried."""

import itertools
import time

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier
from torch import nn

from sklearn_iso import ThreatModel
from sklearn_iso._certificates.balls import Ball
from sklearn_iso._certificates.bounds import NetworkBounds
from sklearn_iso._certificates.branching import branched_margin
from sklearn_iso._certificates.networks import network_certifier
from sklearn_iso._geometry.norms import get_norm
from sklearn_iso.metrics import adversarial_accuracy, certified_accuracy, certified_distance
from sklearn_iso.modules._intervals import graph_of

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def network(seed, widths=(2, 3, 3), n_classes=2):
    torch.manual_seed(seed)
    layers = []
    for n_in, n_out in itertools.pairwise(widths):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    net = nn.Sequential(*layers, nn.Linear(widths[-1], n_classes)).double().requires_grad_(False)
    for part in net:
        if isinstance(part, nn.Linear):
            part.weight.mul_(2)
    return net


def margin_by_patterns(net, x, label, eps):
    """Return the least margin in a box: a linear program for each pattern of active units."""
    layers = [(m.weight.numpy(), m.bias.numpy()) for m in net if isinstance(m, nn.Linear)]
    sizes = [len(bias) for _, bias in layers[:-1]]
    least, box = np.inf, [(v - eps, v + eps) for v in x]
    for bits in itertools.product([0, 1], repeat=sum(sizes)):
        active, A, b = np.array(bits), np.eye(len(x)), np.zeros(len(x))
        sides, limits = [], []
        for weight, bias in layers[:-1]:
            on, active = active[: len(bias)], active[len(bias) :]
            A, b = weight @ A, weight @ b + bias
            sign = 1 - 2 * on  # sign * (A x + b) <= 0
            sides.append(sign[:, None] * A)
            limits.append(-sign * b)
            A, b = on[:, None] * A, on * b
        weight, bias = layers[-1]
        A, b = weight @ A, weight @ b + bias
        for other in set(range(len(b))) - {label}:
            found = linprog(
                A[label] - A[other], np.concatenate(sides), np.concatenate(limits), bounds=box
            )
            if found.status == 0:
                least = min(least, found.fun + b[label] - b[other])
    return least


def bounds_of(net, X, eps, norm="linf"):
    return NetworkBounds(
        graph_of(net, X.shape[1:]), Ball.around(X, torch.full_like(X, eps), get_norm(norm))
    )


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("seed", range(4))
def test_cases_decide_what_trying_all_patterns_decides(seed, size):
    """For the last output moved up and down, what is true by a little is proven, and no more."""
    net, X = network(seed), torch.tensor([[0.3, -0.2]], dtype=torch.float64)
    for parameter in net[-1].parameters():
        parameter.mul_(size)
    y, eps = net(X).argmax(1), 0.5
    exact = margin_by_patterns(net, X[0].numpy(), int(y), eps)
    assert bounds_of(net, X, eps).margins(y).min() <= exact + 1e-9 * size
    bias = net[-1].bias[y].clone()
    for gap in (-0.01 * size, 0.01 * size):
        net[-1].bias[y] = bias + gap - exact
        proven = branched_margin(bounds_of(net, X, eps), y, time.monotonic() + 20)
        assert (proven > 0) == (gap > 0)
        assert proven <= gap + 1e-9 * size


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_cases_prove_nothing_that_points_contradict(norm):
    generator = torch.Generator().manual_seed(0)
    for seed in range(2):
        net = network(seed, widths=(3, 12, 8), n_classes=3)
        X = torch.rand(1, 3, generator=generator, dtype=torch.float64)
        y = net(X).argmax(1)
        steps = get_norm(norm).random((4000, 3), generator, torch.float64)
        for eps in (0.1, 0.5):
            scores = net(X + eps * steps)
            others = scores.clone()
            others[:, y] = -torch.inf
            shown = (scores[:, y] - others.amax(1, keepdim=True)).min()
            bounds = bounds_of(net, X, eps, norm)
            proven = branched_margin(bounds, y, time.monotonic() + 1)
            assert bounds.margins(y).min() <= proven + 1e-12
            assert proven <= shown + 1e-9


@pytest.fixture(scope="module")
def perceptron():
    X, y = load_digits(return_X_y=True)
    X = X / 16
    return MLPClassifier((32,), max_iter=100, random_state=0).fit(X[300:], y[300:]), X[:24], y[:24]


def test_a_time_limit_closes_gaps_of_a_perceptron(perceptron):
    classifier, X, y = perceptron
    threat, eps = ThreatModel(bounds=(0, 1)), 0.08
    plain = certified_accuracy(classifier, X, y, eps=eps, threat=threat)
    searched = certified_accuracy(classifier, X, y, eps=eps, threat=threat, time_limit=20)
    attacked = adversarial_accuracy(classifier, X, y, eps=eps, threat=threat, random_state=0)
    assert plain < searched <= attacked
    assert attacked - searched <= (attacked - plain) / 2


def test_distances_grow_with_the_time_and_hold(perceptron):
    classifier, X, y = (part if i == 0 else part[3:6] for i, part in enumerate(perceptron))
    threat = ThreatModel(bounds=(0, 1))
    plain = certified_distance(classifier, X, y, threat=threat)
    searched = certified_distance(classifier, X, y, threat=threat, time_limit=3)
    hurried = certified_distance(classifier, X, y, threat=threat, time_limit=1e-9)
    np.testing.assert_array_equal(hurried, plain)
    assert (searched >= plain).all()
    assert (searched > 1.005 * plain).any()
    rng = np.random.default_rng(0)
    for _ in range(200):
        step = rng.choice([-1, 1], size=X.shape)
        points = np.clip(X + (1 - 1e-6) * searched[:, None] * step, 0, 1)
        assert (classifier.predict(points)[searched > 0] == y[searched > 0]).all()


def test_the_method_tells_of_cases(perceptron):
    certifier = network_certifier(perceptron[0])
    assert (
        certifier.within(1.0).method
        == "linear bounds of the logits (CROWN), Lipschitz constants, in cases"
    )
    assert (
        certifier.within(None).method == "linear bounds of the logits (CROWN), Lipschitz constants"
    )
