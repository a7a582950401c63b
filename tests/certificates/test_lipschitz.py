"""Certificates by Lipschitz constants: exact where linear, never above what points show."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from sklearn_iso import IsometricClassifier, ThreatModel
from sklearn_iso._certificates.lipschitz import LipschitzBounds, Reach, keeps_lengths
from sklearn_iso._certificates.networks import NetworkCertifier
from sklearn_iso._certificates.norms import SpectralNorms, matrix_norm
from sklearn_iso._geometry.norms import NORMS
from sklearn_iso.exceptions import NotCertifiableError
from sklearn_iso.metrics import adversarial_distance, certified_distance
from sklearn_iso.modules import MLP, ConvNet, OrthogonalConvNet, OrthogonalMLP, SortPairs
from sklearn_iso.modules._intervals import graph_of
from sklearn_iso.modules._lipschitz import margin_constants
from sklearn_iso.modules._nodes import Convolution
from sklearn_iso.penalties import LipschitzCrossEntropy
from sklearn_iso.twins import as_torch

DOUBLE = torch.float64
X_IRIS, Y_IRIS = load_iris(return_X_y=True)


class Block(nn.Module):
    """A sum of a path of its own and of one through a layer."""

    def __init__(self, width):
        super().__init__()
        self.inner = nn.Linear(width, width)

    def forward(self, X):
        return X + torch.tanh(self.inner(X))


def network(seed=0, activation=nn.ReLU):
    torch.manual_seed(seed)
    layers = [nn.Linear(3, 6), activation(), Block(6), nn.Linear(6, 4), SortPairs()]
    return nn.Sequential(*layers, nn.Linear(4, 3)).double().eval().requires_grad_(False)


def samples(n=6, n_features=3):
    return torch.randn(n, n_features, generator=torch.Generator().manual_seed(1), dtype=DOUBLE)


def bounds_of(module, n_features=3, unit=None):
    unit = torch.ones(n_features, dtype=DOUBLE) if unit is None else unit
    return LipschitzBounds(graph_of(module, (n_features,)), unit)


def margins(module, X, y):
    logits = module(X)
    own = logits.gather(1, y[:, None])
    return (own - logits).scatter(1, y[:, None], torch.inf).amin(dim=1)


ACTIVATIONS = [nn.ReLU, nn.LeakyReLU, nn.Tanh, nn.Sigmoid, nn.ELU, nn.SiLU, nn.GELU, nn.Softplus]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(ACTIVATIONS), st.sampled_from([0.0, 0.1, 1.0, 10.0]))
def test_no_point_within_reach_has_a_smaller_margin(seed, activation, reach):
    module, X = network(seed, activation), samples()
    y = module(X).argmax(dim=1)
    least = bounds_of(module).margins(X, y, torch.full((6,), reach, dtype=DOUBLE)).amin(dim=1)
    steps = torch.randn(300, 6, 3, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)
    steps = reach * steps / steps.norm(dim=2, keepdim=True)
    found = torch.stack([margins(module, X + step, y) for step in steps]).amin(dim=0)
    assert (least <= found).all()
    if not reach:
        torch.testing.assert_close(least, margins(module, X, y))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(ACTIVATIONS))
def test_a_distance_is_what_its_margins_say(seed, activation):
    module, X = network(seed, activation), samples()
    y = module(X).argmax(dim=1)
    bounds, anywhere = bounds_of(module), torch.full((6,), torch.inf, dtype=DOUBLE)
    found = bounds.distances(X, y, anywhere)
    assert (bounds.margins(X, y, found * (1 - 1e-9)).amin(dim=1) > 0).all()
    assert (bounds.margins(X, y, found * (1 + 1e-6)).amin(dim=1) < 0).all()
    assert bounds.distances(X, y, found / 2).isinf().all()  # no point is farther than that
    wrong = bounds.distances(X, (y + 1) % 3, anywhere)
    assert (wrong == 0).all()


@pytest.mark.parametrize("norm", ["l2", "l1", "linf"])
def test_of_linear_classifiers_in_l2_they_are_the_distances(norm):
    torch.manual_seed(0)
    linear, X = nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 3)).double(), samples()
    unit = torch.tensor([1.0, 2.0, 0.0], dtype=DOUBLE)
    y = linear(X).argmax(dim=1)
    W = (linear[1].weight @ linear[0].weight).detach()
    slopes = (W[y][:, None] - W) * unit
    logits = linear(X).detach()
    gaps = logits.gather(1, y[:, None]) - logits
    exact = (gaps / slopes.norm(dim=2)).scatter(1, y[:, None], torch.inf).amin(dim=1)
    bounds = bounds_of(linear.requires_grad_(False), unit=unit)
    found = bounds.distances(X, y, torch.full((6,), torch.inf, dtype=DOUBLE))
    torch.testing.assert_close(found, exact, rtol=1e-9, atol=0)
    room = torch.where(unit > 0, torch.inf, 0.0).double().expand(6, 3)
    eps = Reach(NORMS[norm], room).inverse(found)
    torch.testing.assert_close(eps, found / (2**0.5 if norm == "linf" else 1), rtol=1e-9, atol=0)


def test_units_of_columns_and_scalers_in_front_are_one_factor():
    scales = torch.tensor([0.5, 3.0, 10.0], dtype=DOUBLE)
    module = OrthogonalMLP(3, 3, hidden_layer_sizes=(4,), dtype=DOUBLE).requires_grad_(False)
    X, anywhere = samples(), torch.full((6,), torch.inf, dtype=DOUBLE)
    y = module(X).argmax(dim=1)
    plain = bounds_of(module).distances(X, y, anywhere)

    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = module

        def forward(self, X):
            return self.inner(X / scales)

    scaled = bounds_of(Scaled(), unit=scales).distances(X * scales, y, anywhere)
    torch.testing.assert_close(scaled, plain, rtol=1e-6, atol=0)


@settings(max_examples=50, deadline=None)
@given(
    st.sampled_from(["l2", "l1", "linf"]),
    st.lists(st.floats(0, 5), min_size=1, max_size=5),
    st.floats(0, 20),
)
def test_a_budget_reaches_no_farther_than_the_distance_that_it_comes_from(norm, room, distance):
    reach = Reach(NORMS[norm], torch.tensor([room], dtype=DOUBLE))
    target = torch.tensor([distance], dtype=DOUBLE)
    eps = reach.inverse(target)
    assert reach.of(eps) <= target * (1 + 1e-9) + 1e-12
    if norm == "linf" and distance < reach.farthest:
        torch.testing.assert_close(reach.of(eps), target, rtol=1e-6, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.sampled_from([1e-160, 1.0, 1e160]))
def test_norms_of_matrices_are_no_less_than_their_singular_values(n, m, size):
    matrix = size * torch.randn(n, m, generator=torch.Generator().manual_seed(n), dtype=DOUBLE)
    exact = torch.linalg.matrix_norm(matrix / size, 2)
    assert exact <= matrix_norm(matrix) / size <= exact * (1 + 1e-12)


@pytest.mark.parametrize(
    "options",
    [
        {"stride": 1, "padding": 1},
        {"stride": 2, "padding": 0},
        {"stride": 3, "padding": 1},
        {"stride": 1, "dilation": 2},
        {"stride": 2, "groups": 2, "padding": 2},
    ],
)
def test_norms_of_convolutions_are_no_less_than_those_of_their_matrices(options):
    torch.manual_seed(0)
    layer = nn.Conv2d(2, 4, 3, **options).double()
    (node,) = graph_of(layer, (2, 7, 7)).nodes
    assert isinstance(node, Convolution)
    zero = torch.zeros(1, 2, 7, 7, dtype=DOUBLE)
    matrix = torch.func.jacrev(layer)(zero).reshape(-1, zero.numel())
    exact = torch.linalg.matrix_norm(matrix, 2)
    found = SpectralNorms()(node, None, (2, 7, 7))
    assert exact <= found <= 3 * exact
    if options["stride"] == 3:  # windows that do not overlap
        torch.testing.assert_close(found, exact)


def test_constants_for_training_are_those_of_certificates():
    module = network(activation=nn.Tanh)
    rough = margin_constants(module, (3,))
    graph_rows = torch.eye(3, dtype=DOUBLE)
    bounds = bounds_of(module)
    exact = torch.stack(
        [bounds._steepness((graph_rows[[i]] - graph_rows)[None])[0] for i in range(3)]
    )
    assert (rough <= exact + 1e-12).all()
    torch.testing.assert_close(rough, exact, rtol=0.05, atol=1e-12)
    by_hand = margin_constants(OrthogonalMLP(3, 3, hidden_layer_sizes=(4,), dtype=DOUBLE), (3,))
    assert (by_hand.diagonal() == 0).all()


def test_constants_of_orthogonal_networks_need_no_power_iteration():
    torch.manual_seed(0)
    module = OrthogonalMLP(5, 3, hidden_layer_sizes=(4, 4), dtype=DOUBLE)
    module.set_input_similarity(torch.zeros(5, dtype=DOUBLE), 3.0)
    W = module.output.weight
    torch.testing.assert_close(
        margin_constants(module, (5,)), 3 * (W[:, None] - W).norm(dim=2), atol=1e-12, rtol=1e-9
    )
    images = OrthogonalConvNet(16, 3, channels=(4,), hidden_layer_sizes=(6,)).double()
    exact = LipschitzBounds(graph_of(images, (16,)), torch.ones(16, dtype=DOUBLE))._steepness(
        torch.tensor([[[1.0, -1.0, 0.0]]], dtype=DOUBLE)
    )
    torch.testing.assert_close(margin_constants(images, (16,))[0, 1], exact[0, 0])


@pytest.mark.parametrize(
    "module, expected",
    [
        (OrthogonalMLP(4, 3), True),
        (OrthogonalConvNet(16, 3, channels=(4,), hidden_layer_sizes=(4,)), True),
        (MLP(4, 3), False),
        (ConvNet(64, 3), False),
        (nn.Linear(4, 3), False),
    ],
)
def test_networks_that_keep_lengths_are_known(module, expected):
    n_features = {OrthogonalConvNet: 16, ConvNet: 64}.get(type(module), 4)
    assert keeps_lengths(graph_of(module, (n_features,))) is expected


@pytest.fixture(scope="module")
def fitted():
    orthogonal = IsometricClassifier(
        module="orthogonal", hidden_layer_sizes=(8, 8), alpha=1.0, max_epochs=40,
        penalty=LipschitzCrossEntropy(), random_state=0,
    )  # fmt: skip
    return make_pipeline(StandardScaler(), orthogonal).fit(X_IRIS, Y_IRIS)


@pytest.mark.parametrize("norm", ["l2", "linf", "l1"])
@pytest.mark.parametrize("bounded", [False, True])
def test_certificates_stay_below_attacks_and_come_close(fitted, norm, bounded):
    X, y = X_IRIS[::10], Y_IRIS[::10]
    limits = (X_IRIS.min(axis=0), X_IRIS.max(axis=0)) if bounded else None
    threat = ThreatModel(norm, bounds=limits, units=X_IRIS.std(axis=0), immutable=[1])
    certified = certified_distance(fitted, X, y, threat=threat)
    broken = adversarial_distance(fitted, X, y, threat=threat, random_state=0)
    assert (certified <= broken * (1 + 1e-6)).all()
    reached = np.isfinite(broken) & (broken > 0)
    if norm == "l2":  # in units of the scaler, one distance is as good as another
        assert np.median(certified[reached] / broken[reached]) > 0.8


def test_the_better_of_constants_and_linear_bounds_counts(fitted):
    X, y = X_IRIS[::10], Y_IRIS[::10]
    model = as_torch(fitted)
    threat = ThreatModel("l2").resolve(X)
    unit = torch.ones(4, dtype=DOUBLE)
    alone = LipschitzBounds(graph_of(model, (4,)), unit).distances(
        torch.from_numpy(X),
        torch.from_numpy(Y_IRIS[::10]),
        torch.full((len(X),), torch.inf).double(),
    )
    both = NetworkCertifier(model, fitted).distances(X, y, threat)
    assert (both >= alone.numpy() - 1e-12).all()
    holds = NetworkCertifier(model, fitted).holds(X, y, threat, 0.3)
    np.testing.assert_array_equal(holds, both > 0.3)


def test_large_networks_that_keep_lengths_are_certified_without_linear_bounds(monkeypatch):
    torch.manual_seed(0)
    module = OrthogonalMLP(20, 3, hidden_layer_sizes=(256,), dtype=DOUBLE)
    X = np.random.default_rng(0).normal(size=(200, 20))
    y = module(torch.from_numpy(X)).argmax(dim=1).numpy()
    certifier = NetworkCertifier(module, IsometricClassifier())
    monkeypatch.setattr(
        "sklearn_iso._certificates.networks.NetworkBounds", lambda *a: pytest.fail("not needed")
    )
    found = certifier.distances(X, y, ThreatModel("l2").resolve(X))
    logits = module(torch.from_numpy(X)).detach()
    K = margin_constants(module, (20,)).detach()
    places = torch.from_numpy(y)
    gaps = (logits.gather(1, places[:, None]) - logits) / K[places]
    expected = gaps.scatter(1, places[:, None], torch.inf).amin(dim=1)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-6)


def test_float32_networks_of_large_weights_certify_less_and_nothing_false():
    module = network(activation=nn.ReLU).float()
    with torch.no_grad():
        module[0].weight.mul_(1000)
    X = samples().float()
    y = module(X).argmax(dim=1)
    least = bounds_of(module).distances(X.double(), y, torch.full((6,), torch.inf, dtype=DOUBLE))
    steps = torch.randn(500, 6, 3, generator=torch.Generator().manual_seed(0))
    steps = least[:, None].float() * steps / steps.norm(dim=2, keepdim=True) * (1 - 1e-6)
    for step in steps:
        held = module(X + step).argmax(dim=1) == y
        assert (held | (least == 0)).all()


def test_a_module_without_a_constant_is_refused_by_name():
    class Odd(nn.Module):
        def forward(self, X):
            return torch.sin(X)

    with pytest.raises(NotCertifiableError, match="Odd"):
        NetworkCertifier(nn.Sequential(nn.Linear(2, 2), Odd()), IsometricClassifier()).graph((2,))
