"""Minimum-norm attacks against closed forms."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from sklearn_iso import ThreatModel
from sklearn_iso.attacks import DDN, FAB, FMN, NORMS, ddn, distances, fab, fmn

DUAL_ORDER = {"linf": 1, "l2": 2, "l1": math.inf}
every_trial = pytest.mark.parametrize(
    "attack, norm", [(ddn, "l2"), *((attack, norm) for attack in (fmn, fab) for norm in NORMS)]
)


def linear(n_classes, n_features, n=60, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    W = torch.randn(n_classes, n_features, generator=generator, dtype=dtype)
    X = torch.randn(n, n_features, generator=generator, dtype=dtype)
    return W, X, (X @ W.T).argmax(dim=1)


def exact_distances(W, X, y, norm, units=1.0):
    scores, slopes = X @ W.T, (W[y][:, None] - W[None]) * units
    duals = torch.linalg.vector_norm(slopes, ord=DUAL_ORDER[norm], dim=2)
    every = (scores.gather(1, y[:, None]) - scores) / duals
    return every.scatter(1, y[:, None], torch.inf).amin(dim=1)


@every_trial
@given(st.integers(2, 12), st.integers(1, 60), st.integers(0, 99))
@settings(deadline=None, max_examples=8)
def test_distances_of_linear_models_are_exact(attack, norm, n_classes, n_features, seed):
    W, X, y = linear(n_classes, n_features, n=20, seed=seed)
    X_adv = attack(lambda x: x @ W.T, X, y, threat=norm)
    found = distances(lambda x: x @ W.T, X, y, X_adv, threat=norm)
    reachable = exact_distances(W, X, y, norm)
    torch.testing.assert_close(found, reachable, rtol=1e-3, atol=1e-12)
    assert (found >= reachable * (1 - 1e-9)).all()


@every_trial
@pytest.mark.parametrize("n_features", [5, 300])
def test_distances_are_exact_in_float32(attack, norm, n_features):
    W, X, y = linear(6, n_features, dtype=torch.float32)
    found = distances(
        lambda x: x @ W.T, X, y, attack(lambda x: x @ W.T, X, y, threat=norm), threat=norm
    )
    torch.testing.assert_close(found, exact_distances(W, X, y, norm), rtol=1e-3, atol=1e-5)


@every_trial
def test_scale_of_the_features_is_no_matter(attack, norm):
    W, X, y = linear(4, 7)
    for scale in (1e-6, 1e6):
        X_adv = attack(lambda x, s=scale: x @ W.T / s, X * scale, y, threat=norm)
        found = distances(lambda x: x @ W.T, X * scale, y, X_adv, threat=norm)
        exact = exact_distances(W, X, y, norm) * scale
        torch.testing.assert_close(found, exact, rtol=1e-3, atol=0)


@every_trial
def test_distance_in_units_of_eps(attack, norm):
    W, X, y = linear(4, 7)
    units = torch.tensor([1.0, 0.1, 5.0, 0.0, 1.0, 2.0, 0.5], dtype=torch.float64)
    threat = ThreatModel(norm, units=units)
    X_adv = attack(lambda x: x @ W.T, X, y, eps=1e4, threat=threat)
    found = distances(lambda x: x @ W.T, X, y, X_adv, threat=threat)
    exact = exact_distances(W, X, y, norm, units)
    torch.testing.assert_close(found, exact, rtol=1e-3, atol=0)
    assert torch.equal(X_adv[:, 3], X[:, 3])


def drop_within(w, x, eps, norm):
    """Largest drop of w x' over the ball of eps and the unit box, by its closed form."""
    room = torch.where(w > 0, x, 1 - x)
    if norm == "linf":
        return float((w.abs() * room.clamp(max=eps)).sum())
    if norm == "l1":
        order = w.abs().argsort(descending=True)
        filled = room[order].cumsum(0).clamp(max=eps)
        return float((w.abs()[order] * filled.diff(prepend=torch.zeros(1))).sum())
    if room.norm() <= eps:
        return float((w.abs() * room).sum())
    t = brentq(lambda t: float(torch.minimum(room, t * w.abs()).norm()) - eps, 0, 1e6)
    return float((w.abs() * torch.minimum(room, t * w.abs())).sum())


@every_trial
def test_distances_in_a_box_are_exact(attack, norm):
    generator = torch.Generator().manual_seed(0)
    w = torch.randn(15, generator=generator, dtype=torch.float64)
    X = torch.rand(12, 15, generator=generator, dtype=torch.float64)
    gap = 0.4 * torch.stack([drop_at_most(w, x) for x in X])
    bias = gap - X @ w

    def logits(rows, bias=bias):
        return torch.stack([torch.zeros(len(rows)), rows @ w + bias], dim=1)

    for x, shift in zip(X, bias, strict=True):
        one = lambda rows, b=shift: logits(rows, b)  # noqa: E731
        y = torch.ones(1, dtype=torch.long)
        X_adv = attack(one, x[None], y, threat=ThreatModel(norm, bounds=(0, 1)), n_steps=100)
        found = distances(one, x[None], y, X_adv, threat=norm)
        needed = float(x @ w + shift)
        exact = brentq(lambda e, x=x, n=needed: drop_within(w, x, e, norm) - n, 1e-9, 50)
        assert exact * (1 - 1e-6) <= float(found) <= exact * 1.005


def drop_at_most(w, x):
    return (w.abs() * torch.where(w > 0, x, 1 - x)).sum()


@every_trial
def test_largest_budget_ends_the_search(attack, norm):
    W, X, y = linear(4, 7)
    exact = exact_distances(W, X, y, norm)
    limit = float(exact.median())
    X_adv = attack(lambda x: x @ W.T, X, y, eps=limit, threat=norm)
    found = distances(lambda x: x @ W.T, X, y, X_adv, threat=norm)
    beyond = exact > limit
    assert found[beyond].isinf().all() and torch.equal(X_adv[beyond], X[beyond])
    torch.testing.assert_close(found[exact < 0.99 * limit], exact[exact < 0.99 * limit], rtol=1e-3,
                               atol=0)  # fmt: skip


@every_trial
def test_rows_without_any_error_come_back_at_infinite_distance(attack, norm, problem):
    model, X, _ = problem
    y = torch.zeros(len(X), dtype=int)
    constant = lambda x: model(x) * 0 + torch.tensor([1.0, 0.0, 0.0])  # noqa: E731
    X_adv = attack(constant, X, y, threat=ThreatModel(norm, bounds=(0, 1)))
    assert torch.equal(X_adv, X)
    assert distances(constant, X, y, X_adv, threat=norm).isinf().all()


@every_trial
def test_misclassified_rows_are_at_distance_zero(attack, norm, problem):
    model, X, y = problem
    wrong = (y + 1) % 3
    X_adv = attack(model, X, wrong, threat=norm)
    assert not distances(model, X, wrong, X_adv, threat=norm).any()


@every_trial
def test_found_points_are_errors_on_a_network(attack, norm, problem):
    model, X, y = problem
    X_adv = attack(model, X, y, threat=norm)
    found = distances(model, X, y, X_adv, threat=norm)
    assert found.isfinite().double().mean() > 0.9
    assert torch.equal(found.isfinite(), model(X_adv).argmax(dim=1) != y)
    nearer = X + (X_adv - X) * 0.99
    assert (model(nearer).argmax(dim=1) == y)[found.isfinite()].all()


def test_more_walks_never_find_farther_errors(problem):
    model, X, y = problem
    one, two = (
        distances(model, X, y, fmn(model, X, y, n_restarts=n), threat="linf") for n in (1, 2)
    )
    assert (two <= one * (1 + 1e-3)).all()


@pytest.mark.parametrize("kind, norm", [(DDN, "l2"), (FMN, "linf"), (FAB, "linf")])
def test_an_attack_without_a_threat_takes_the_norm_of_its_function(kind, norm):
    X, y = torch.tensor([[1.0, 1.0], [3.0, 5.0]]), torch.tensor([0, 0])

    def linear(x):
        return torch.stack([x.sum(1), -x.sum(1)], dim=1)

    by_default = kind()(linear, X, y)
    assert torch.equal(by_default, kind()(linear, X, y, threat=norm))
    assert torch.equal(by_default, {DDN: ddn, FMN: fmn, FAB: fab}[kind](linear, X, y))
