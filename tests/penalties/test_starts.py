"""Where the ascent of a worst-case pair starts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from penalty_batches import batch_of
from scipy.stats import kstest
from torch import nn

from sklearn_iso._geometry.norms import get_norm
from sklearn_iso.penalties import WorstCaseIsometry

SIDE = 6
X = torch.randn(3, SIDE * SIDE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = torch.arange(3)


def linear():
    torch.manual_seed(0)
    return nn.Linear(SIDE * SIDE, 3).double()


def drawn(start, norm, seed):
    """Return pairs of a map without a slope, which stay where they start, and the radius."""
    penalty = WorstCaseIsometry(start=start, radius=2.0, scale=1.0, norm=norm).calibrate(X, Y)
    flat = linear()
    nn.init.zeros_(flat.weight)
    share = torch.rand((), generator=torch.Generator().manual_seed(seed), dtype=X.dtype)
    delta = penalty.search().perturbation(batch_of(flat, X, Y, seed=seed))
    return delta, 2.0 * (1 - float(share))


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_patches_are_as_long_as_the_radius_drawn(norm):
    for seed in range(20):
        delta, radius = drawn("patches", norm, seed)
        assert torch.equal(delta, delta[:1].expand_as(delta))  # the same for every row
        assert float(get_norm(norm).size(delta[:1])) == pytest.approx(radius)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_uniform_points_fill_the_ball(norm):
    depths = []
    for seed in range(200):
        delta, radius = drawn("uniform", norm, seed)
        depths.append(float(get_norm(norm).size(delta[:1])) / radius)
    assert max(depths) <= 1 + 1e-12
    # A uniform point of a ball in d dimensions lies within a share t of its radius with odds t^d.
    assert kstest(np.power(depths, SIDE * SIDE), "uniform").pvalue > 1e-3


def test_uniform_points_of_rows_are_fair_and_independent_of_one_another():
    signs = torch.stack([drawn("uniform", "linf", seed)[0].sign() for seed in range(300)])
    left, right = torch.triu_indices(SIDE * SIDE, SIDE * SIDE, 1)
    # Of each value, of each pair of values of a row, and of each value of each pair of rows.
    for agreement in (
        signs.mean(0),
        (signs[:, :, left] * signs[:, :, right]).mean(0),
        torch.stack([signs[:, a] * signs[:, b] for a, b in ((0, 1), (0, 2), (1, 2))]).mean(1),
    ):
        z = agreement.flatten() * 300**0.5
        assert z.abs().max() < 5.5 and float(z.square().mean()) == pytest.approx(1, abs=0.5)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_uniform_point_of_a_row_is_that_of_an_equal_row_in_any_batch(norm):
    penalty = WorstCaseIsometry(start="uniform", radius=2.0, scale=1.0, norm=norm)
    search = penalty.calibrate(X, Y).search()
    once, twice = (batch_of(linear(), X[at], Y[at], seed=1) for at in ([0, 1, 2], [2, 1, 1, 0]))
    first, again = (search.first(batch, batch.logits)[0] for batch in (once, twice))
    assert torch.equal(again, first[[2, 1, 1, 0]])


def test_what_is_drawn_costs_no_gradient_so_that_every_step_follows():
    for start, n_left in (("margin", 2), ("random", 2), ("uniform", 3), ("patches", 3)):
        penalty = WorstCaseIsometry(start=start, n_steps=3).calibrate(X, Y)
        batch = batch_of(linear(), X, Y)
        assert penalty.search().first(batch, batch.representations("logits")[0])[1] == n_left


def test_pairs_in_two_norms_share_the_gradient_that_both_start_along():
    terms = [WorstCaseIsometry(n_steps=1), WorstCaseIsometry(n_steps=1, norm="linf")]
    for term in terms:
        term.calibrate(X, Y)
    module, taken = linear(), []
    apart = [term.search().first(batch_of(module, X, Y), None)[0] for term in terms]
    module.register_full_backward_hook(lambda *_: taken.append(1))
    batch = batch_of(module, X, Y)
    shared = [term.search().first(batch, None)[0] for term in terms]
    assert len(taken) == 1
    assert all(torch.equal(a, b) for a, b in zip(apart, shared, strict=True))


def test_each_start_of_several_is_taken_for_its_share_of_the_batches():
    penalty = WorstCaseIsometry(start=["margin", "patches"]).calibrate(X, Y)
    module, taken = linear(), []
    for seed in range(200):
        batch = batch_of(module, X, Y, seed=seed)
        Z = batch.representations("logits")[0]
        taken.append(penalty.search().first(batch, Z)[1])
    # One gradient is left after patches and none after the margin; 3.5 standard deviations.
    assert set(taken) == {0, 1} and abs(sum(taken) - 100) < 25


def test_map_without_logits_keeps_what_is_drawn():
    assert WorstCaseIsometry().without_logits().start == "random"
    assert WorstCaseIsometry(start="patches").without_logits().start == "patches"
    both = WorstCaseIsometry(start=("margin", "patches")).without_logits()
    assert list(both.start) == ["random", "patches"]
    assert WorstCaseIsometry(start="uniform").without_logits().start == "uniform"


@pytest.mark.parametrize("start", ["nowhere", (), ("margin", "nowhere"), [1], [["margin"]]])
def test_unknown_start_lists_the_known_ones(start):
    with pytest.raises(ValueError, match="start.* must be .*'patches'"):
        WorstCaseIsometry(start=start).calibrate(X, Y)


def test_patches_of_rows_that_are_no_images_are_refused():
    with pytest.raises(ValueError, match="image_shape must hold the 36 values of a row"):
        WorstCaseIsometry(start="patches", image_shape=(2, 3)).calibrate(X, Y)
