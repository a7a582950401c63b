"""Networks that strain certificates: large weights in single precision, dead units, hard bounds."""

import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sklearn_iso._certificates.balls import Ball
from sklearn_iso._certificates.bounds import NetworkBounds, Settings
from sklearn_iso._certificates.branching import branched_margin
from sklearn_iso._geometry.norms import get_norm
from sklearn_iso.modules import ConvNet
from sklearn_iso.modules._intervals import graph_of

SINGLE = 2.0**-24


@st.composite
def strained(draw):
    """Return a network in float32, its weights times up to 1,000 and some of its units dead."""
    torch.manual_seed(draw(st.integers(0, 10_000)))
    activation = draw(st.sampled_from([nn.ReLU, nn.LeakyReLU, nn.Tanh]))
    widths = [6, *draw(st.lists(st.integers(2, 12), min_size=1, max_size=3)), 3]
    if draw(st.booleans()):
        net = ConvNet(36, 3, channels=(3, 4), n_hidden=6)
    else:
        layers = []
        for n_in, n_out in zip(widths, widths[1:], strict=False):
            layers += [nn.Linear(n_in, n_out), activation()]
        net = nn.Sequential(*layers[:-1])
    size = draw(st.sampled_from([1.0, 30.0, 1000.0]))
    for part in net.modules():
        if isinstance(part, nn.Linear | nn.Conv2d):
            part.weight.data.mul_(size)
            part.weight.data[0] = 0
            part.bias.data[0] = -1
    return net.requires_grad_(False)


def at_bounds(n_features):
    """Return samples in [0, 1], many of their features at a bound."""
    X = torch.rand(4, n_features, generator=torch.Generator().manual_seed(0))
    return torch.where(X < 0.3, 0.0, torch.where(X > 0.7, 1.0, X))


def computed(net, X, y):
    """Return the margins that the network computes in single precision."""
    scores = net(X)
    own = scores.gather(1, y[:, None])
    return (own - scores).scatter(1, y[:, None], torch.inf).amin(1).double()


def shown(net, X, y, radius):
    """Return the least margins of 1,000 points of a box: random ones, corners and an ascent's."""
    generator = torch.Generator().manual_seed(1)
    low, high = (X - radius).clamp_min(0), (X + radius).clamp_max(1)
    share = torch.rand((960, *X.shape), generator=generator)
    share[::2] = share[::2].round()
    points = (low + (high - low) * share).flatten(0, 1)
    least = computed(net, points, y.repeat(960)).reshape(960, -1).amin(0)
    least = torch.minimum(least, computed(net, X, y))
    points = X.clone()
    for _ in range(40):
        points.requires_grad_()
        scores = net(points).gather(1, y[:, None])[:, 0]
        others = net(points).scatter(1, y[:, None], -torch.inf).amax(1)
        (slope,) = torch.autograd.grad((scores - others).sum(), points)
        points = (points - radius / 8 * slope.sign()).detach()
        points = torch.minimum(torch.maximum(points, low), high)
        least = torch.minimum(least, computed(net, points, y))
    return least


@settings(max_examples=15, deadline=None)
@given(strained(), st.sampled_from([1e-4, 0.02, 0.3]))
def test_no_certificate_is_false(net, radius):
    n_features = 36 if isinstance(net, ConvNet) else 6
    X = at_bounds(n_features)
    y = net(X).argmax(1)
    sides = tuple(torch.tensor([0.0, 1.0], dtype=torch.float64))
    exact = X.double()
    ball = Ball.around(exact, torch.full_like(exact, radius), get_norm("linf"), sides)
    least = shown(net, X, y, radius)
    for how in (Settings(linear=False), Settings(), Settings(n_steps=10)):
        bounds = NetworkBounds(graph_of(net, (n_features,), SINGLE), ball, how)
        proven = bounds.margins(y).amin(1)
        assert (proven <= least).all()
    if isinstance(net, ConvNet):
        return
    alone = Ball.around(exact[:1], torch.full_like(exact[:1], radius), get_norm("linf"), sides)
    bounds = NetworkBounds(graph_of(net, (n_features,), SINGLE), alone)
    in_cases = branched_margin(bounds, y[:1], time.monotonic() + 0.2)
    assert in_cases <= least[0]


@pytest.mark.parametrize("size", [1.0, 1000.0])
def test_what_is_certified_is_not_nothing(size):
    """The allowance for rounding leaves most of what there is to prove."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 20), nn.ReLU(), nn.Linear(20, 3)).requires_grad_(False)
    for part in (net[0], net[2]):
        part.weight.mul_(size)
    X = at_bounds(6).double()
    y = net(X.float()).argmax(1)
    ball = Ball.around(X, torch.full_like(X, 1e-3), get_norm("linf"))
    assert (NetworkBounds(graph_of(net, (6,), SINGLE), ball).margins(y).amin(1) > 0).all()
