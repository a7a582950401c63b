"""Values of the worst-case penalty that are known in closed form."""

from __future__ import annotations

import pytest
import torch
from penalty_batches import data, identity_batch
from torch import nn

from sklearn_iso.penalties import Batch, WorstCaseIsometry


def test_worst_case_penalty_of_a_similarity_is_its_excess_squared():
    X, y, weight = data()
    for factor, expected in [(0.5, 0.0), (1.0, 0.0), (3.0, 4.0)]:
        penalty = WorstCaseIsometry(radius=1.0, scale=1.0).calibrate(X, y, weight)
        result = penalty(identity_batch(X, y, factor)).item()
        assert result == pytest.approx(expected, abs=1e-10)


def test_two_sided_worst_case_penalises_contraction():
    X, y, weight = data()
    penalty = WorstCaseIsometry(radius=1.0, scale=1.0, two_sided=True).calibrate(X, y, weight)
    assert penalty(identity_batch(X, y, 0.25)).item() == pytest.approx(0.75**2)


def test_climbing_the_margin_finds_the_boundary_of_a_linear_map_where_displacement_does_not():
    # One class is near the boundary, another one moves the logits more.
    module = nn.Linear(2, 3, bias=False).double()
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[0.0, 0.0], [1.0, 0.1], [0.0, 9.0]]))
    X = torch.tensor([[-1.0, -5.0]]).double().requires_grad_()
    one = torch.ones(1)
    found = {}
    for ascent in ("margin", "displacement"):
        penalty = WorstCaseIsometry(radius=1.0, scale=1.0, n_steps=50, ascent=ascent)
        penalty.calibrate(X.detach(), torch.zeros(1), one)
        batch = Batch(module, X, torch.zeros(1, dtype=int), one.double(),
                      generator=torch.Generator().manual_seed(0))  # fmt: skip
        delta = penalty.search().perturbation(batch)
        found[ascent] = (delta / delta.norm()).squeeze(0)
    torch.testing.assert_close(found["margin"], nn.functional.normalize(module.weight[1], dim=0))
    assert found["displacement"][1].abs() > 0.99


def test_more_steps_reach_the_largest_singular_value_of_a_linear_map():
    X, y, weight = data()
    module = nn.Linear(4, 4).double()
    left, right = (torch.linalg.qr(data(4, seed=seed)[0])[0] for seed in (1, 2))
    largest = 3.0
    with torch.no_grad():
        module.weight.copy_(left @ torch.diag(torch.tensor([largest, 2, 1, 0]).double()) @ right)
    penalty = WorstCaseIsometry(radius=1.0, scale=1e-3, n_steps=60).calibrate(X, y, weight)
    batch = Batch(module, X.requires_grad_(), y, weight,
                  generator=torch.Generator().manual_seed(0))  # fmt: skip
    assert penalty(batch).item() == pytest.approx((largest / 1e-3 - 1) ** 2, rel=1e-3)


def test_auto_radius_is_half_a_unit_and_auto_scale_five_logits_for_two_classes():
    X = torch.tensor([[0.0], [2.0], [4.0], [6.0]])
    penalty = WorstCaseIsometry().calibrate(X, torch.tensor([0, 1, 0, 1]))
    assert penalty.radius_ == pytest.approx(1.0)
    assert penalty.scale_ == pytest.approx(2.5)


@pytest.mark.parametrize("n_classes", [2, 3, 40])
def test_auto_scale_lets_one_class_reach_the_same_odds_against_any_number(n_classes):
    X = torch.arange(n_classes, dtype=torch.float64).reshape(-1, 1)
    penalty = WorstCaseIsometry().calibrate(X, torch.arange(n_classes))
    logits = torch.zeros(n_classes, dtype=torch.float64)
    logits[0] = penalty.scale_  # over the distance of 1 to the nearest other class
    log_odds = logits[0] - torch.logsumexp(logits[1:], 0)
    assert log_odds.item() == pytest.approx(5.0)
