"""Walks along the boundary, and the ascents that begin where a walk met an error."""

import pytest
import torch

from sklearn_iso import ThreatModel
from sklearn_iso.attacks import distances
from sklearn_iso.attacks._approach import along_boundaries, nearest
from sklearn_iso.attacks._attack import AttackState
from sklearn_iso.attacks._boundary import BoundaryAttack, BoundaryWalk
from sklearn_iso.attacks._budget import Budget
from sklearn_iso.attacks._losses import margin
from sklearn_iso.attacks._objective import Objective
from sklearn_iso.attacks._shrinking import Shrinking


def curved(x):
    """Errors lie behind a boundary that bends around the origin."""
    margins = x[:, 0] * (1 + x[:, 1:].square().sum(dim=1)) + 0.3 * x[:, 1:].sum(dim=1) - 1
    return torch.stack([torch.zeros_like(margins), margins], dim=1)


EPS = {"l2": 0.7, "linf": 0.35, "l1": 1.0}


def attacked(norm, logits=curved, scale=1.0, **parameters):
    """Return the state after walks of three steps, and the budget."""
    X = torch.randn(200, 6, generator=torch.Generator().manual_seed(0)) / 10
    state = AttackState(logits, X, torch.zeros(len(X), dtype=int), batch_size=70)
    budget = Budget.of(X, eps=scale * EPS[norm], threat=ThreatModel(norm, bounds=(-0.5, 0.5)))
    BoundaryAttack(n_steps=3, **parameters).run(state, budget, torch.Generator())
    return state, budget


@pytest.mark.parametrize("norm", EPS)
def test_ascents_from_errors_outside_of_the_ball_lead_into_it(norm):
    walks, both = (attacked(norm, near=near)[0].robust for near in (0.0, 1.5))
    assert both.any()
    assert (both <= walks).all() and both.sum() < walks.sum()


@pytest.mark.parametrize("norm", EPS)
def test_points_fool_and_keep_to_the_budget(norm):
    state, budget = attacked(norm)
    misclassified, sizes = ~state.robust, budget.norm.size((state.X_adv - state.X) / budget.eps)
    assert (curved(state.X_adv[misclassified]).argmax(dim=1) == 1).all()
    assert sizes.max() <= 1 + 1e-5 and state.X_adv.abs().max() <= 0.5
    assert torch.equal(state.X_adv[state.robust], state.X[state.robust])


def test_only_errors_near_the_ball_cost_an_ascent(counting):
    seen = []
    for near in (0.0, 1.5, 100.0):
        logits = counting(curved)
        attacked("l2", logits, scale=0.1, near=near)
        seen.append(sum(logits.seen))
    assert seen[0] == seen[1] < seen[2]


def closest(norm, n_steps):
    """Return distances after a walk of three steps and n_steps that shrink the radius."""
    X = torch.randn(200, 6, generator=torch.Generator().manual_seed(0)) / 10
    y, budget = torch.zeros(len(X), dtype=int), Budget.of(X, eps=1.0, threat=norm)
    plan = Shrinking(Objective(curved, margin), n_steps)
    approach = along_boundaries(BoundaryWalk(curved, n_steps=3), plan, n_targets=1)
    X_adv = nearest(AttackState(curved, X, y, batch_size=70), budget, approach)
    return distances(curved, X, y, X_adv, threat=norm)


@pytest.mark.parametrize("norm", EPS)
def test_shrinking_where_a_walk_ends_never_leads_farther(norm):
    assert (closest(norm, 20) <= closest(norm, 0) * (1 + 1e-3)).all()


def test_shrinking_where_a_walk_ends_comes_closer():
    assert closest("l2", 20).mean() < 0.99 * closest("l2", 0).mean()
