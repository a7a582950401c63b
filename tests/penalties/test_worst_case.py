"""Values of the worst-case penalty that are known in closed form."""

from __future__ import annotations

import pytest
import torch
from penalty_batches import data, identity_batch, value
from torch import nn

from sklearn_iso.penalties import Batch, WithinClassIsometry, WorstCaseIsometry, make_penalty


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
        Z = batch.representations("logits")[0]
        delta = penalty._ascend(batch, Z)
        found[ascent] = (delta / delta.norm()).squeeze(0)
    torch.testing.assert_close(found["margin"], nn.functional.normalize(module.weight[1], dim=0))
    assert found["displacement"][1].abs() > 0.99


def test_label_of_a_row_is_asked_for_at_the_far_end_of_its_pair():
    X, y, weight = data()
    generator = torch.Generator().manual_seed(0)
    radius = 2.0 * (1 - torch.rand((), generator=generator, dtype=torch.float64))
    # Under the identity, the margin falls fastest from the largest value to the second largest.
    first, second = X.topk(2, dim=1).indices.T
    away = nn.functional.one_hot(second, 4) - nn.functional.one_hot(first, 4)
    losses = nn.functional.cross_entropy(X + radius * away / 2**0.5, y, reduction="none")
    expected = 0.7 * torch.dot(weight, losses) / weight.sum()
    identity = nn.Linear(4, 4, bias=False).double()
    nn.init.eye_(identity.weight)
    plain, labelled = (
        value(WorstCaseIsometry(radius=2.0, label_weight=w), identity, X, y, weight)
        for w in (0.0, 0.7)
    )
    assert (labelled - plain).item() == pytest.approx(expected.item())


def test_labels_are_needed_where_far_ends_bear_them_and_nowhere_else():
    assert WorstCaseIsometry(label_weight=0.1).needs_labels
    assert not WorstCaseIsometry().needs_labels


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


def test_default_bears_half_a_label_at_the_far_ends_and_the_worst_case_alone_none():
    within, worst = (term for _, _, term in make_penalty("isometric").terms())
    assert worst.get_params() == WorstCaseIsometry(label_weight=0.5).get_params()
    assert within.get_params() == WithinClassIsometry().get_params()
    assert make_penalty("worst_case").label_weight == 0
