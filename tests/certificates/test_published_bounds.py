"""Linear bounds as others compute them: a textbook's loops, and the published auto_LiRPA."""

import numpy as np
import pytest
import torch
from torch import nn

from sklearn_iso._certificates.balls import Ball
from sklearn_iso._certificates.bounds import NetworkBounds
from sklearn_iso._geometry.norms import get_norm
from sklearn_iso.modules._intervals import graph_of, margin_rows

DUAL = {"linf": 1, "l2": 2, "l1": np.inf}
ORDER = {"linf": np.inf, "l2": 2, "l1": 1}


def network(activation=nn.ReLU, widths=(6, 12, 10, 8), n_classes=4, seed=0):
    torch.manual_seed(seed)
    layers = []
    for n_in, n_out in zip(widths, widths[1:], strict=False):
        layers += [nn.Linear(n_in, n_out), activation()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], n_classes)).double().requires_grad_(False)


def samples(net, shape=(6,), n=8):
    X = torch.rand(n, *shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return X, net(X).argmax(1)


def ours(net, X, y, eps, norm):
    ball = Ball.around(X, torch.full_like(X, eps), get_norm(norm))
    return NetworkBounds(graph_of(net, X.shape[1:]), ball).margins(y).amin(1).numpy()


def lowest(rows, layers, bounds, x, eps, dual):
    """Return lower bounds of rows of the last of some dense layers, one layer after the other."""
    constant = np.zeros(len(rows))
    for k in range(len(layers) - 1, -1, -1):
        weight, bias = layers[k]
        constant += rows @ bias
        rows = rows @ weight
        if k:
            low, high = bounds[k - 1]
            for j in range(len(low)):
                if high[j] <= 0:
                    rows[:, j] = 0
                elif low[j] < 0:
                    slope = high[j] / (high[j] - low[j])
                    below = 1.0 if high[j] > -low[j] else 0.0
                    for i in range(len(rows)):
                        if rows[i, j] < 0:
                            constant[i] -= rows[i, j] * slope * low[j]
                            rows[i, j] *= slope
                        else:
                            rows[i, j] *= below
    return rows @ x + constant - eps * np.linalg.norm(rows, ord=dual, axis=1)


def textbook(net, x, label, eps, norm):
    """CROWN of Zhang et al., 2018, for one sample and ReLU."""
    layers = [(m.weight.numpy(), m.bias.numpy()) for m in net if isinstance(m, nn.Linear)]
    bounds = []
    for k in range(len(layers) - 1):
        rows = np.eye(len(layers[k][1]))
        low = lowest(rows.copy(), layers[: k + 1], bounds, x, eps, DUAL[norm])
        high = -lowest(-rows, layers[: k + 1], bounds, x, eps, DUAL[norm])
        bounds.append((low, high))
    n_classes = len(layers[-1][1])
    margins = np.delete(np.eye(n_classes)[label] - np.eye(n_classes), label, axis=0)
    return lowest(margins, layers, bounds, x, eps, DUAL[norm]).min()


@pytest.mark.parametrize("norm", DUAL)
@pytest.mark.parametrize("eps", [0.01, 0.1])
def test_bounds_are_as_tight_as_those_of_the_textbook(norm, eps):
    net = network()
    X, y = samples(net)
    published = [textbook(net, x, label, eps, norm) for x, label in zip(X.numpy(), y, strict=True)]
    np.testing.assert_allclose(ours(net, X, y, eps, norm), published, rtol=1e-9, atol=1e-11)


def convolutions():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(4, 8, 3, stride=2, padding=1),
        nn.ReLU(), nn.Flatten(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 3),
    ).double().requires_grad_(False)  # fmt: skip


NETWORKS = {
    "relu": (network, (6,)),
    "deep": (lambda: network(widths=(6, 30, 30, 30, 30)), (6,)),
    "leaky": (lambda: network(nn.LeakyReLU), (6,)),
    "tanh": (lambda: network(nn.Tanh), (6,)),
    "logistic": (lambda: network(nn.Sigmoid), (6,)),
    "convolutions": (convolutions, (1, 8, 8)),
}


@pytest.fixture
def in_double():
    """auto_LiRPA's tables of curves are of the default type."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.mark.slow
@pytest.mark.usefixtures("in_double")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("norm", ORDER)
@pytest.mark.parametrize("eps", [0.03, 0.1, 0.3])
def test_bounds_are_as_tight_as_those_of_auto_lirpa(name, norm, eps):
    """Needs a copy of github.com/Verified-Intelligence/auto_LiRPA on the path."""
    published = pytest.importorskip("auto_LiRPA")
    perturbations = pytest.importorskip("auto_LiRPA.perturbations")
    build, shape = NETWORKS[name]
    net = build()
    X, y = samples(net, shape)
    model = published.BoundedModule(net, X, bound_opts={"conv_mode": "matrix"})
    ball = perturbations.PerturbationLpNorm(norm=ORDER[norm], eps=eps)
    rows = margin_rows(y, net(X).shape[1], torch.float64)
    low, _ = model.compute_bounds(x=(published.BoundedTensor(X, ball),), C=rows, method="backward")
    theirs = low.detach().scatter(1, y[:, None], torch.inf).amin(1).numpy()
    gain = ours(net, X, y, eps, norm) - theirs
    size = 1 + np.abs(theirs)
    if name in ("relu", "deep"):
        assert np.abs(gain / size).max() <= 1e-9
    # Elsewhere either may be ahead by a choice of lines: of no more than a few hundredths here.
    assert np.median(gain / size) >= -1e-6
    assert (gain / size).min() >= -0.03
