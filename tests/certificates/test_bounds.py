"""Bounds of networks: never above what points show, tight where the answer is known."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from torch import nn

from sklearn_iso._certificates.balls import Ball
from sklearn_iso._certificates.bounds import NetworkBounds, Settings
from sklearn_iso._geometry.norms import get_norm
from sklearn_iso.modules import MLP, ConvNet, Rescaled, ResidualMLP, Stack, StackLevel
from sklearn_iso.modules._intervals import NoBoundsError, graph_of

NORMS = ("linf", "l2", "l1")
IBP, CROWN, ALPHA = Settings(linear=False), Settings(), Settings(n_steps=15)
ACTIVATIONS = (
    nn.ReLU, nn.LeakyReLU, nn.Tanh, nn.Sigmoid, nn.ELU, nn.Softplus, nn.SiLU, nn.GELU, nn.ReLU6,
)  # fmt: skip


class Residual(nn.Module):
    def __init__(self, part):
        super().__init__()
        self.part = part

    def forward(self, X):
        return torch.relu(X + self.part(X))


def ball_of(X, eps, norm="linf", bounds=None):
    sides = None if bounds is None else tuple(torch.tensor(b, dtype=torch.float64) for b in bounds)
    return Ball.around(X.double(), torch.full_like(X.double(), eps), get_norm(norm), sides)


def margins(net, ball, y, how=CROWN, unit=2.0**-53):
    return NetworkBounds(graph_of(net, ball.centre.shape[1:], unit), ball, how).margins(y).amin(1)


def true_margins(net, X, y):
    scores = net(X)
    own = scores.gather(1, y[:, None])
    return (own - scores).scatter(1, y[:, None], torch.inf).amin(1)


def points_in(ball, n, generator):
    """Return points of a ball: random ones, and as many on its surface."""
    shape = (n, *ball.centre.shape)
    v = torch.randn(shape, generator=generator, dtype=torch.float64).flatten(0, 1)
    drawn = ball.norm.random(v.shape, generator, torch.float64)
    onto = v / ball.norm.size(v).reshape(-1, *[1] * (v.ndim - 1))
    moved = torch.cat([drawn, onto]).unflatten(0, (2 * n, -1)) * ball.radius + ball.centre
    return torch.minimum(torch.maximum(moved, ball.low), ball.high)


def descended(net, ball, y, n_steps=10):
    """Return points that projected gradient descent of the margin finds."""
    X = ball.centre.clone()
    for _ in range(n_steps):
        X.requires_grad_()
        (gradient,) = torch.autograd.grad(true_margins(net, X, y).sum(), X)
        with torch.no_grad():
            step = ball.norm.steepest(-gradient) * ball.radius / 4
            unit = torch.where(ball.radius > 0, (X + step - ball.centre) / ball.radius, 0)
            X = ball.centre + ball.norm.project(unit) * ball.radius
            X = torch.minimum(torch.maximum(X, ball.low), ball.high).detach()
    return X


def attacked(net, ball, y, generator, n=250):
    """Return the smallest margin that random points and gradient descent find."""
    with torch.no_grad():
        points = points_in(ball, n, generator)
        found = torch.stack([true_margins(net, X, y) for X in points]).amin(0)
    return torch.minimum(found, true_margins(net, descended(net, ball, y), y).detach())


@st.composite
def networks(draw, n_features=3, n_classes=3):
    torch.manual_seed(draw(st.integers(0, 10_000)))
    layers, width = [], n_features
    for _ in range(draw(st.integers(1, 3))):
        n_out = draw(st.integers(1, 8))
        layers += [nn.Linear(width, n_out), draw(st.sampled_from(ACTIVATIONS))()]
        width = n_out
        if draw(st.booleans()):
            layers.append(Residual(nn.Sequential(nn.Linear(width, width), nn.Tanh())))
    net = nn.Sequential(*layers, nn.Linear(width, n_classes)).double().eval()
    size = draw(st.sampled_from([0.3, 1.0, 3.0]))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(size)
    return net.requires_grad_(False)


@settings(max_examples=10, deadline=None)
@given(networks(), st.sampled_from(NORMS), st.sampled_from([0.0, 0.03, 0.5, 2.0]), st.booleans())
def test_bounds_are_below_what_points_show_and_get_closer(net, norm, eps, bounded):
    generator = torch.Generator().manual_seed(0)
    X = torch.rand(4, 3, generator=generator, dtype=torch.float64)
    X[0, 0] = 0.0  # at a bound
    y = torch.tensor([0, 1, 2, 0])
    ball = ball_of(X, eps, norm, (0.0, 1.0) if bounded else None)
    found = attacked(net, ball, y, generator)
    by_intervals, by_lines, by_slopes = (margins(net, ball, y, how) for how in (IBP, CROWN, ALPHA))
    assert (by_intervals <= by_lines).all()
    assert (by_lines <= by_slopes).all()
    assert (by_slopes <= found + 1e-12).all()
    if eps == 0:
        torch.testing.assert_close(by_lines, true_margins(net, X, y))


def exact_least_margin(net, x, y, eps):
    """Return the least margin of a net with one input: at its ends and bends, tried finely."""
    line = torch.linspace(float(x) - eps, float(x) + eps, 20_001, dtype=torch.float64)[:, None]
    return true_margins(net, line, torch.full((len(line),), y)).amin()


@pytest.mark.parametrize("seed", range(8))
def test_no_bound_is_above_the_exact_margin_and_most_are_close(seed):
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(1, 6), nn.ReLU(), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))
    net = net.double().requires_grad_(False)
    X, y = torch.zeros(1, 1, dtype=torch.float64), torch.zeros(1, dtype=torch.long)
    for eps in (0.05, 0.5):
        exact = exact_least_margin(net, 0.0, 0, eps)
        best = margins(net, ball_of(X, eps), y, Settings(n_steps=60))[0]
        assert best <= exact + 1e-12
        assert exact - best <= 0.6 * eps  # a net of slope about 1; intervals are off by more


@pytest.mark.parametrize("norm", NORMS)
def test_linear_networks_have_exact_bounds(norm):
    generator = torch.Generator().manual_seed(1)
    first, second = nn.Linear(4, 6).double(), nn.Linear(6, 3).double()
    net = nn.Sequential(first, nn.Identity(), second).requires_grad_(False)
    X = torch.randn(5, 4, generator=generator, dtype=torch.float64)
    y = torch.tensor([0, 1, 2, 0, 1])
    matrix = second.weight @ first.weight
    slopes = matrix[y][:, None] - matrix
    dual = {"linf": 1, "l2": 2, "l1": math.inf}[norm]
    fall = 0.3 * torch.linalg.vector_norm(slopes, ord=dual, dim=2)
    scores = net(X)
    expected = scores.gather(1, y[:, None]) - scores - fall
    expected = expected.scatter(1, y[:, None], torch.inf).amin(1)
    torch.testing.assert_close(margins(net, ball_of(X, 0.3, norm), y), expected)


def least_by_scipy(a, x, r, order):
    """Return the least of a @ x' by an optimizer, with what goes up and down as variables."""
    signs = np.concatenate([np.eye(len(a)), -np.eye(len(a))], axis=1)
    limits = [(0, min(1 - v, s)) for v, s in zip(x, r, strict=True)]
    limits += [(0, min(v, s)) for v, s in zip(x, r, strict=True)]
    scaled = np.concatenate([r, r])
    inside = {"type": "ineq", "fun": lambda p: 1 - np.sum((p / scaled) ** order)}
    found = minimize(
        lambda p: a @ signs @ p,
        np.full(2 * len(a), 1e-3),
        bounds=limits,
        method="SLSQP",
        constraints=[] if order == np.inf else [inside],
        options={"ftol": 1e-14, "maxiter": 500},
    )
    return a @ x + found.fun


@pytest.mark.parametrize(("norm", "order"), [("linf", np.inf), ("l2", 2), ("l1", 1)])
def test_least_of_a_linear_function_in_ball_and_box_is_that_of_an_optimizer(norm, order):
    rng = np.random.default_rng(0)
    sides = tuple(torch.tensor([0.0, 1.0], dtype=torch.float64))
    for _ in range(8):
        x, a, r = rng.uniform(0, 1, 4), rng.normal(size=4), rng.uniform(0.2, 1, 4)
        ball = Ball.around(torch.tensor(x)[None], torch.tensor(r)[None], get_norm(norm), sides)
        least = float(ball.lowest(torch.tensor(a)[None, None])[0, 0])
        assert least == pytest.approx(least_by_scipy(a, x, r, order), abs=1e-5)


def test_lines_of_a_small_net_are_those_of_the_hand():
    """f = relu(x + y) - relu(x - y) on [-1, 1]^2 less a constant, by hand.

    Both inputs go from -2 to 2. Upper line z / 2 + 1, lower line 0 (the area of the two lower lines
    is equal). f - (-3) >= 0 - ((x - y) / 2 + 1) + 3, least 1 at (1, -1); intervals say 0 - 2 + 3.
    """
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)).double().requires_grad_(False)
    net[0].weight.copy_(torch.tensor([[1.0, 1.0], [1.0, -1.0]]))
    net[0].bias.zero_()
    net[2].weight.copy_(torch.tensor([[1.0, -1.0], [0.0, 0.0]]))
    net[2].bias.copy_(torch.tensor([0.0, -3.0]))
    X, y = torch.zeros(1, 2, dtype=torch.float64), torch.zeros(1, dtype=torch.long)
    ball = ball_of(X, 1.0)
    assert margins(net, ball, y)[0].item() == pytest.approx(1.0)
    # In the ball |x| + |y| <= 1 both inputs go from -1 to 1: upper line z / 2 + 1 / 2.
    assert margins(net, ball_of(X, 1.0, "l1"), y)[0].item() == pytest.approx(2.0)


def test_best_slopes_prove_what_fixed_ones_cannot():
    """relu(z) - z >= 0 for all z; a lower line of slope 1 tells, one of slope 0 does not."""
    net = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 2)).double().requires_grad_(False)
    net[0].weight.copy_(torch.tensor([[1.0], [1.0]]))
    net[0].bias.copy_(torch.tensor([0.0, 5.0]))
    net[2].weight.copy_(torch.tensor([[1.0, -1.0], [0.0, 0.0]]))
    net[2].bias.copy_(torch.tensor([5.0, -0.1]))  # margin: relu(z) - (z + 5) + 5.1
    X, y = torch.full((1, 1), -0.5, dtype=torch.float64), torch.zeros(1, dtype=torch.long)
    assert margins(net, ball_of(X, 2.0), y, CROWN)[0] < 0
    assert margins(net, ball_of(X, 2.0), y, ALPHA)[0].item() == pytest.approx(0.1, abs=1e-6)


def images(n=3):
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def image_networks():
    torch.manual_seed(0)
    bound = nn.BatchNorm2d(4)
    bound.running_mean.uniform_(-1, 1)
    bound.running_var.uniform_(0.5, 2)
    return {
        "strides": nn.Sequential(
            nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 2, stride=3),
            nn.ReLU(), nn.Flatten(), nn.Linear(4, 3),
        ),
        "max": nn.Sequential(
            nn.Conv2d(1, 4, 3, padding="same"), bound, nn.ReLU(), nn.MaxPool2d(3, 2, padding=1),
            nn.Flatten(), nn.Linear(64, 3),
        ),
        "average": nn.Sequential(
            nn.Conv2d(1, 4, 3, dilation=2), nn.Tanh(), nn.AvgPool2d(2),
            nn.Conv2d(4, 4, 1, groups=2), nn.LeakyReLU(), nn.AdaptiveAvgPool2d(1),
            nn.Flatten(), nn.Linear(4, 3),
        ),
        "own": ConvNet(64, 3, channels=(4, 4), n_hidden=6),
        "unflatten": nn.Sequential(
            nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Unflatten(1, (2, 4, -1)),
            nn.Conv2d(2, 2, 3), nn.Flatten(), nn.Dropout(0.5), nn.Linear(8, 3),
        ),
    }  # fmt: skip


@pytest.mark.parametrize("name", image_networks())
@pytest.mark.parametrize("norm", NORMS)
def test_networks_of_images(name, norm):
    net, X = image_networks()[name].double().eval().requires_grad_(False), images()
    y = net(X).argmax(1)
    generator = torch.Generator().manual_seed(0)
    torch.testing.assert_close(margins(net, ball_of(X, 0.0), y), true_margins(net, X, y))
    ball = ball_of(X, 0.1, norm, (0.0, 1.0))
    found = attacked(net, ball, y, generator, n=200)
    by_intervals, by_lines = margins(net, ball, y, IBP), margins(net, ball, y)
    few_units = margins(net, ball, y, Settings(max_units=10))
    assert (by_intervals <= few_units).all()
    assert (few_units <= by_lines + 1e-12).all()
    assert (by_lines <= found).all()
    assert (found - by_lines <= 0.9 * (found - by_intervals)).all()


def own_networks():
    generator = torch.Generator().manual_seed(0)
    mlp = MLP(4, 3, hidden_layer_sizes=(6, 5), activation="gelu", generator=generator)
    mlp.set_input_similarity(torch.tensor([1.0, 0.0, -1.0, 0.5]), 0.5)
    residual = ResidualMLP(
        MLP(4, 3, generator=generator), torch.ones(3, 4), factor=2.0, unit=0.3,
        center=torch.tensor([1.0, 2.0, 3.0]),
    )  # fmt: skip
    nn.init.normal_(residual.mlp.output.weight, std=0.3, generator=generator)
    stack = Stack(4, [2, 3], block_sizes=[(6,), (5,)], generator=generator)
    return {
        "mlp": mlp, "residual": residual, "rescaled": Rescaled(mlp, -3.0, 1.0),
        "level": StackLevel(stack, 1), "stack": stack,
    }  # fmt: skip


@pytest.mark.parametrize("name", own_networks())
def test_own_networks(name):
    net = own_networks()[name].double().requires_grad_(False)
    X = torch.randn(4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    y = net(X).argmax(1)
    torch.testing.assert_close(margins(net, ball_of(X, 0.0), y), true_margins(net, X, y))
    ball = ball_of(X, 0.05)
    found = attacked(net, ball, y, torch.Generator().manual_seed(0), n=200)
    assert (margins(net, ball, y) <= found).all()


@pytest.mark.parametrize("norm", NORMS)
def test_immutable_features_and_units_shape_the_ball(norm):
    net = nn.Linear(3, 2).double().requires_grad_(False)
    X, y = torch.rand(2, 3, dtype=torch.float64), torch.tensor([0, 1])
    none = Ball.around(X, torch.zeros_like(X), get_norm(norm))
    torch.testing.assert_close(margins(net, none, y), true_margins(net, X, y))
    one = Ball.around(X, torch.tensor([[0.0, 2.0, 0.0]]).expand(2, 3).double(), get_norm(norm))
    sign = torch.tensor([1.0, -1.0], dtype=torch.float64)
    fall = 2 * (sign * (net.weight[0, 1] - net.weight[1, 1])).abs()
    torch.testing.assert_close(margins(net, one, y), true_margins(net, X, y) - fall)


class Counting(nn.Module):
    def forward(self, X):
        return X if X.sum() > 0 else -X


def refused():
    twice = nn.Sequential(nn.Sequential(nn.Linear(3, 3)), nn.PReLU())
    hooked = nn.Linear(3, 3)
    hooked.register_forward_hook(lambda module, inputs, output: 2 * output)
    replaced, other = Residual(nn.Linear(3, 3)), nn.Linear(3, 3)
    replaced.forward = other.forward = lambda X: 2 * X
    return [
        (twice, r"'1' \(PReLU\) has no known bounds.*Linear.*evaluation mode"),
        (nn.Sequential(nn.Linear(3, 3), nn.Dropout()), "at random in training mode"),
        (nn.BatchNorm1d(3), "batch at hand in training mode"),
        (nn.LeakyReLU(-0.5).eval(), "negative_slope must be from 0 to 1"),
        (nn.ELU(2.0).eval(), "alpha must be from 0 to 1"),
        (nn.GELU("tanh").eval(), "approximate"),
        (Counting().eval(), "cannot be traced"),
        (hooked.eval(), "forward hooks"),
        (replaced, "its forward was replaced"),
        (other, "Linear.*has no known bounds"),
        (nn.Linear(4, 3).eval(), r"must be of shape \(4,\) here; got \(3,\)"),
    ]


@pytest.mark.parametrize(("net", "message"), refused())
def test_modules_without_bounds_are_named(net, message):
    with pytest.raises(NoBoundsError, match=message):
        graph_of(net, (3,))


def test_a_softmax_may_end_a_network_only():
    assert graph_of(nn.Sequential(nn.Linear(2, 2), nn.Softmax(dim=1)), (2,)).ends_in_order
    with pytest.raises(TypeError, match="end of a network alone"):
        graph_of(nn.Sequential(nn.Softmax(dim=1), nn.Linear(2, 2)), (2,))


class Doubled(nn.ReLU):
    def forward(self, X):
        return 2 * super().forward(X) - X / 4


class OfFunctions(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.doubled = nn.Linear(4, 5), nn.Linear(5, 5), Doubled()
        self.c = nn.Linear(10, 3)
        self.shift = nn.Parameter(torch.randn(5))

    def forward(self, X):
        X = torch.relu(self.a(X.view(X.size(0), -1)))
        X = X + nn.functional.leaky_relu(self.b(X), 0.2) * 0.5
        X = torch.cat([self.doubled(X - self.shift), -X.tanh()], dim=1)
        return self.c(nn.functional.dropout(X, 0.5, self.training)).flatten(1), X


def test_modules_of_functions_are_traced():
    torch.manual_seed(0)
    net = OfFunctions().double().eval().requires_grad_(False)
    X, y = torch.randn(3, 4, dtype=torch.float64), torch.tensor([0, 1, 2])
    only_first = lambda X: net(X)[0]  # noqa: E731
    torch.testing.assert_close(margins(net, ball_of(X, 0.0), y), true_margins(only_first, X, y))
    ball = ball_of(X, 0.1)
    found = attacked(only_first, ball, y, torch.Generator().manual_seed(0), n=200)
    assert (margins(net, ball, y) <= found).all()
    with pytest.raises(NoBoundsError, match="at random"):
        graph_of(net.train(), (4,))


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("seed", range(4))
def test_rounding_of_single_precision_is_counted(seed, size):
    """The computed margin of the network itself, in float32, is never below its bound."""
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Linear(40, 30), nn.ReLU(), nn.Linear(30, 30), nn.Tanh(), nn.Linear(30, 2)
    ).requires_grad_(False)
    for parameter in net.parameters():
        parameter.mul_(size)
    net[0].weight[:5] = 0  # dead units
    net[0].bias[:5] = -1
    X = torch.rand(200, 40)
    computed = true_margins(net, X, torch.zeros(200, dtype=torch.long)).double()
    proven = margins(net, ball_of(X, 0.0), torch.zeros(200, dtype=torch.long), CROWN, 2.0**-24)
    exact = true_margins(net.double(), X.double(), torch.zeros(200, dtype=torch.long))
    assert (proven <= computed).all()
    assert (proven <= exact).all()
    assert (exact - proven <= 2e-2 * (size + exact.abs())).all()


def test_what_overflows_is_not_proven():
    net = nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 2)).double().requires_grad_(False)
    net[0].weight.fill_(1e300)
    net[2].weight.fill_(1e300)
    X, y = torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, dtype=torch.long)
    assert margins(net, ball_of(X, 0.1), y)[0] == -torch.inf


def test_bounds_of_a_sample_do_not_depend_on_the_others():
    torch.manual_seed(0)
    net = MLP(3, 3, hidden_layer_sizes=(8, 8)).double().requires_grad_(False)
    X, y = torch.randn(9, 3, dtype=torch.float64), torch.arange(9) % 3
    together = margins(net, ball_of(X, 0.3), y)
    alone = [margins(net, ball_of(X[[i]], 0.3), y[[i]])[0] for i in range(9)]
    torch.testing.assert_close(together, torch.stack(alone))
