"""Steps that are exact for linear functions, and searches that nothing ends."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_iso import ThreatModel
from sklearn_iso.attacks import APGD, FAB, FGSM, FMN, NORMS, PGD, Budget, Coordinates, RayS, Square
from sklearn_iso.attacks._attack import NO_ANSWER
from sklearn_iso.attacks._deviations import Deviations
from sklearn_iso.attacks._linear_steps import FrankWolfe, highest, shortest
from sklearn_iso.attacks._refinement import Refinement
from sklearn_iso.attacks._worst_case import WorstCaseState, along_direction, directions

D = 4
SLOPES = st.lists(st.floats(-10, 10), min_size=D, max_size=D).map(torch.tensor)
SIDES = st.lists(st.sampled_from([0.0, 0.1, 0.4, 2.0, torch.inf]), min_size=D, max_size=D)


def as_box(low, high):
    return -torch.tensor([low]).double(), torch.tensor([high]).double()


@pytest.mark.parametrize("norm", NORMS.values(), ids=list(NORMS))
@settings(max_examples=30, deadline=None)
@given(slope=SLOPES, low=SIDES, high=SIDES, seed=st.integers(0, 99))
def test_nothing_in_ball_and_box_is_higher(norm, slope, low, high, seed):
    slope, box = slope[None].double(), as_box(low, high)
    v = highest(norm, slope, box)
    assert norm.size(v) <= 1 + 1e-9
    assert bool(((v >= box[0]) & (v <= box[1])).all())
    others = torch.randn(2000, D, generator=torch.Generator().manual_seed(seed)).double()
    others = norm.project(4 * others).clamp(*box)
    assert (others @ slope[0]).max() <= (v @ slope[0]).item() + 1e-9


@pytest.mark.parametrize("norm", NORMS.values(), ids=list(NORMS))
@settings(max_examples=30, deadline=None)
@given(slope=SLOPES, low=SIDES, high=SIDES, share=st.floats(0.01, 3))
def test_shortest_step_rises_and_no_smaller_ball_does(norm, slope, low, high, share):
    slope, box = slope[None].double(), as_box(low, high)
    climb = share * slope.abs().sum(dim=1)
    step = shortest(norm, slope, climb, box)
    size, risen = norm.size(step), (step * slope).sum(dim=1)
    assert bool(((step >= box[0] - 1e-12) & (step <= box[1] + 1e-12)).all())
    if slope.abs().max() < 1e-3:
        return
    if risen < climb * (1 - 1e-9):  # all that the box allows
        room = torch.where(slope > 0, box[1], -box[0]).masked_fill(slope == 0, 0)
        assert risen.item() == pytest.approx((room * slope.abs()).sum().item())
        return
    smaller = size * (1 - 1e-6)
    best = highest(norm, slope, tuple(side / smaller for side in box)) * smaller
    assert (best * slope).sum() < climb


def squared(outputs, y):
    return (outputs - y).square().sum(dim=1)


@pytest.mark.parametrize(
    "attack",
    [FrankWolfe(), PGD(), APGD(n_steps=20), FGSM(), Square(n_queries=300),
     Coordinates(n_queries=200), Refinement(n_queries=300)],
    ids=repr,
)  # fmt: skip
def test_every_attack_that_climbs_raises_the_loss_of_numbers(attack):
    X, target = torch.tensor([[0.2, -1.0], [3.0, 1.0]]).double(), torch.zeros(2, 1).double()
    state = WorstCaseState(lambda x: x @ torch.tensor([[1.0], [2.0]]).double(), X, target, squared,
                           1)  # fmt: skip
    attack.run(state, Budget.of(X, eps=0.5), torch.Generator().manual_seed(0))
    outputs = state.X_adv @ torch.tensor([1.0, 2.0]).double()
    np.testing.assert_allclose(outputs.abs(), [1.8 + 1.5, 5 + 1.5], rtol=0.02)
    assert state.robust.all()


def test_refinement_chooses_no_worse_points_than_those_it_starts_from():
    X = torch.zeros(3, 5).double()
    steps = lambda x: (x > 0.4).double().sum(dim=1, keepdim=True)  # noqa: E731
    up = torch.ones(3, 1).double()
    state = WorstCaseState(steps, X, up, along_direction, 10)
    budget = Budget.of(X, eps=1.0, threat="l1")
    Square(n_queries=20).run(state, budget, torch.Generator().manual_seed(0))
    before = state.best_loss.clone()
    Refinement(n_queries=600).run(state, budget, torch.Generator().manual_seed(0))
    assert (state.best_loss >= before).all()
    assert (state.best_loss == 2).all(), "two features fit into the ball, once each gives back"


def test_points_without_numbers_are_never_worst():
    X, up = torch.ones(1, 1).double(), torch.ones(1, 1).double()
    state = WorstCaseState(lambda x: torch.where(x > 1.2, torch.nan, x), X, up, along_direction, 10)
    PGD().run(state, Budget.of(X, eps=0.5), torch.Generator().manual_seed(0))
    assert 1 < state.X_adv <= 1.2


def test_reassessing_forgets_what_other_outputs_promised():
    X, up = torch.ones(1, 1).double(), torch.ones(1, 1).double()
    state = WorstCaseState(lambda x: 9 * x, X, up, along_direction, 10)
    FrankWolfe().run(state, Budget.of(X, eps=0.5), torch.Generator())
    assert state.best_loss == 13.5
    state.reassess(lambda x: -x)
    assert state.best_loss == -1.5


def test_directions_are_all_signs_of_few_outputs_and_two_of_many():
    assert len(directions(torch.zeros(2, 2))) == 4
    many = torch.tensor([[1.0, -2.0, 0.0, 3.0]])
    own, reverse = directions(many)
    assert own.tolist() == [[1, -1, 1, 1]]
    assert torch.equal(reverse, -own)


@pytest.mark.parametrize("attack", [FMN(), FAB(), RayS(n_queries=300)], ids=repr)
@pytest.mark.parametrize("shape", [(3,), (2, 2)])
def test_deviations_end_just_beyond_the_tolerance(attack, shape):
    X = torch.randn(4, *shape, generator=torch.Generator().manual_seed(0)).double()
    outputs = lambda x: 2 * x.flatten(1).sum(dim=1, keepdim=True)  # noqa: E731
    threat = ThreatModel(bounds=(-9, 9))
    found = Deviations(outputs, shape, 3.0).closest(
        attack, X, outputs(X), Budget.of(X, threat=threat), torch.Generator().manual_seed(0)
    )
    moved = (outputs(found) - outputs(X)).abs().squeeze(1)
    assert (moved > 3).all()
    if not isinstance(attack, RayS):
        np.testing.assert_allclose(moved, 3, rtol=1e-3)


def test_label_of_a_point_without_an_answer_is_none():
    deviations = Deviations(lambda x: torch.where(x > 5, torch.nan, x), (1,), 1.0)
    joined = torch.tensor([[0.5, 0.0], [2.0, 0.0], [6.0, 0.0]])
    assert deviations.labels(joined).tolist() == [0, 1, NO_ANSWER]
