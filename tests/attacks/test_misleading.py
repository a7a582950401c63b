"""Networks whose slopes mislead: saturated ones, steps, and flat ones around the samples."""

import numpy as np
import pytest
import torch

from sklearn_iso import ThreatModel
from sklearn_iso.attacks import (
    APGD,
    DDN,
    FAB,
    NORMS,
    STAGES,
    AttackEnsemble,
    MinimumNormEnsemble,
    attack_ensemble,
    distances,
)
from sklearn_iso.attacks._nearest import NearestErrors
from sklearn_iso.attacks._wide import WideAscent

EPS = {"linf": 0.1, "l2": 0.25, "l1": 0.6}


def robust(model, X, y, eps, norm, **parameters):
    X_adv = attack_ensemble(
        model, X, y, eps=eps, threat=ThreatModel(norm, bounds=(0, 1)), random_state=0, **parameters
    )
    return model(X_adv).argmax(dim=1) == y


@pytest.mark.parametrize("norm", list(NORMS))
def test_logits_times_a_thousand_change_nothing(norm, problem):
    model, X, y = problem
    left = robust(model, X, y, EPS[norm], norm)
    assert 0 < left.sum() < len(y)
    assert torch.equal(robust(lambda x: 1000 * model(x), X, y, EPS[norm], norm), left)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_accuracy_of_a_linear_model_is_the_closed_form(norm):
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(4, 7, generator=generator, dtype=torch.float64)
    X = torch.randn(200, 7, generator=generator, dtype=torch.float64)
    y = (X @ weights.T).argmax(dim=1)
    margins = (X @ weights.T).gather(1, y[:, None]) - X @ weights.T
    dual = {"linf": 1, "l2": 2, "l1": np.inf}[norm]
    lengths = torch.linalg.vector_norm(weights[y][:, None] - weights[None], ord=dual, dim=2)
    exact = torch.where(lengths > 0, margins / lengths, torch.inf).amin(dim=1)
    eps = float(exact.median())
    X_adv = attack_ensemble(lambda x: x @ weights.T, X, y, eps=eps, threat=norm, random_state=0)
    wrong = (X_adv @ weights.T).argmax(dim=1) != y
    clear = (exact / eps - 1).abs() > 1e-3
    assert torch.equal(wrong[clear], (exact < eps)[clear])
    order = {"linf": np.inf, "l2": 2, "l1": 1}[norm]
    sizes = torch.linalg.vector_norm(X_adv - X, ord=order, dim=1)
    assert sizes.max() <= eps * (1 + 1e-9)


def test_a_further_stage_only_breaks_more(problem):
    model, X, y = problem
    _, stage = AttackEnsemble(n_queries=50).with_stages(model, X, y, eps=0.1, random_state=0)
    left = [int(((stage < 0) | (stage > last)).sum()) for last in range(len(STAGES))]
    assert left == sorted(left, reverse=True) and left[-1] == (stage < 0).sum()


def step_beyond_a_slope(x):
    """A step at 0.9 along one feature, where the slope within a ball of 1 leads along another."""
    value = -1 + x[:, 1] / 2 + 3 * torch.sigmoid(20 * (x[:, 0] - 0.9))
    return torch.stack([torch.zeros_like(value), value], dim=1)


def test_wider_balls_lead_to_errors_that_ascents_in_the_ball_hardly_meet():
    X, y = torch.zeros(100, 20), torch.zeros(100, dtype=torch.int64)

    def broken(attack):
        X_adv = attack(step_beyond_a_slope, X, y, eps=1.0, threat="l2", random_state=0)
        assert X_adv.norm(dim=1).max() <= 1 + 1e-6
        return int(step_beyond_a_slope(X_adv).argmax(dim=1).sum())

    assert broken(APGD(loss="margin", n_restarts=3)) < 3
    assert broken(WideAscent()) > 10


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_walks_to_the_closest_error_meet_what_ascents_between_steps_do_not(norm):
    generator = torch.Generator().manual_seed(0)
    base = torch.where(torch.rand(30, generator=generator) < 0.5, 0.1, 0.9)
    X = base + 0.1 * torch.rand(100, 30, generator=generator) - 0.05
    y, eps = torch.zeros(100, dtype=torch.int64), {"linf": 0.39, "l2": 1.2}[norm]
    weights = torch.linspace(-1, 1, 30)

    def steps(x):
        """Columns that are hardly but 0 or 1, and a linear score of them that begins at -3."""
        value = torch.sigmoid(40 * (x - 0.5)) @ weights - base.round() @ weights - 3
        return torch.stack([torch.zeros_like(value), value], dim=1)

    def broken(attack):
        X_adv = attack(
            steps, X, y, eps=eps, threat=ThreatModel(norm, bounds=(0, 1)), random_state=0
        )
        order = {"linf": np.inf, "l2": 2}[norm]
        assert torch.linalg.vector_norm(X_adv - X, ord=order, dim=1).max() <= eps * (1 + 1e-6)
        return int(steps(X_adv).argmax(dim=1).sum())

    found = broken(NearestErrors())
    assert broken(APGD(loss="margin", n_restarts=3)) < 0.8 * found <= broken(AttackEnsemble())


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_distances_are_no_longer_than_those_of_any_part(norm, problem):
    model, X, y = problem
    threat = ThreatModel(norm, bounds=(0, 1))

    def found(attack):
        return distances(model, X, y, attack(model, X, y, threat=threat), threat=threat)

    ours, parts = found(MinimumNormEnsemble()), [found(FAB())]
    parts += [found(DDN(n_steps=100, n_restarts=1))] if norm == "l2" else []
    assert all((ours <= part * (1 + 1e-5)).all() for part in parts)


def test_wider_balls_keep_to_units_and_bounds():
    generator = torch.Generator().manual_seed(0)
    X = torch.rand(30, 4, generator=generator)
    threat = ThreatModel("l2", units=[1, 0, 2, 0.5], bounds=(0, 1))
    X_adv = WideAscent()(
        lambda x: torch.cat([x, -x[:, :1]], dim=1), X, X.argmax(dim=1), eps=0.1, threat=threat,
        random_state=0,
    )  # fmt: skip
    moved = (X_adv - X) / torch.tensor([1, torch.inf, 2, 0.5])
    assert torch.equal(X_adv[:, 1], X[:, 1]) and moved.norm(dim=1).max() <= 0.1 * (1 + 1e-5)
    assert 0 <= X_adv.min() and X_adv.max() <= 1
