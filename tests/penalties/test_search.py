"""How far the ascent of a worst-case pair steps, and where it has to stay."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from penalty_batches import batch_of
from scipy.optimize import linprog
from torch import nn

from sklearn_iso._geometry.norms import get_norm
from sklearn_iso.penalties import WorstCaseIsometry

NORMS = ["linf", "l2", "l1"]
Y = torch.arange(4) % 2


def rows(seed=0):
    return torch.rand(4, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 2)).double()


def ascended(X, module, seed=0, progress=1.0, **params):
    """Return the perturbation of each row."""
    penalty = WorstCaseIsometry(scale=1.0, **params).calibrate(X, Y)
    batch = batch_of(module, X.clone(), Y, seed=seed, progress=progress)
    return penalty.search().perturbation(batch).detach()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("start", ["margin", "random"])
def test_steps_of_no_length_stay_at_the_start(norm, start):
    X, module, moved = rows(), network(), 0.0
    for seed in range(10):
        common = {"seed": seed, "norm": norm, "start": start, "radius": 3.0}
        first = ascended(X, module, **common)
        still = ascended(X, module, n_steps=4, step_size=1e-13, **common)
        torch.testing.assert_close(still, first, rtol=0, atol=1e-12)
        moved += float((ascended(X, module, n_steps=4, **common) - first).abs().sum())
    assert moved > 0.1  # steps of the default length do move


class Ridge(nn.Module):
    """Two logits whose margin is highest on a circle of radius 0.3 around the middle."""

    def forward(self, X):
        r = torch.linalg.vector_norm(X - 0.5, dim=1)
        return torch.stack([torch.zeros_like(r), -(r - 0.3).abs()], dim=1)


def test_short_steps_find_a_ridge_that_long_ones_jump_across():
    X = 0.5 + 0.05 * rows()
    common = {"radius": 1.0, "min_radius": 1.0, "ascent": "margin", "n_steps": 40}
    height = {
        size: Ridge()(X + ascended(X, Ridge(), step_size=size, **common))[:, 1]
        for size in (0.05, 1.0)
    }
    assert height[0.05].min() > -0.06 and height[1.0].max() < -0.2


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("least", [0.0, 0.4, 1.0])
def test_radii_are_drawn_between_the_least_and_r(norm, least):
    X, module = rows(), network()
    common = {"norm": norm, "radius": 2.0, "min_radius": least}
    drawn = [ascended(X, module, seed, **common) for seed in range(60)]
    sizes = [float(get_norm(norm).size(delta)[0]) for delta in drawn]
    room = 2 * (1 - least)
    assert 2 * least - 1e-9 <= min(sizes) and max(sizes) <= 2 + 1e-9
    # That 60 uniform draws all miss a tenth of the range at one end has odds of 1 in 560.
    assert min(sizes) <= 2 * least + 0.1 * room + 1e-9
    assert max(sizes) >= 2 - 0.1 * room - 1e-9


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("start", ["margin", "random", "uniform", "patches"])
@pytest.mark.parametrize("first_radius, n_steps", [(1.0, 1), (1.0, 3), (5.0, 4), (5.0, 6)])
def test_pairs_stay_inside_the_bounds_and_the_ball(norm, start, first_radius, n_steps):
    X, module = rows().clamp(0.2, 0.8), network()
    X[0] = torch.tensor([0.0, 1.0, 0.0, 1.0, 0.5, 0.5])
    for seed in range(10):
        delta = ascended(
            X, module, seed, norm=norm, start=start, radius=0.6, n_steps=n_steps, bounds=(0, 1),
            image_shape=(2, 3) if start == "patches" else None, first_radius=first_radius,
        )  # fmt: skip
        assert torch.all(X + delta >= -1e-12) and torch.all(X + delta <= 1 + 1e-12)
        assert torch.all(get_norm(norm).size(delta) <= 0.6 + 1e-12)


class Threshold(nn.Module):
    """Two logits, of which the second rises with the largest feature beyond 0.5."""

    def forward(self, X):
        beyond = (X.amax(dim=1) - 0.5).relu()
        return torch.stack([torch.zeros_like(beyond), beyond], dim=1)


def test_wider_balls_show_slopes_that_the_ball_hides():
    # Moves of 256 features by an equal part of the radius of 1 are of 0.06; the best move is that
    # of one feature by 1.
    X, reached = torch.zeros(20, 256, dtype=torch.float64), {}
    common = {"start": "uniform", "radius": 1.0, "min_radius": 1.0, "ascent": "margin"}
    for first_radius in (1.0, 12.0):
        penalty = WorstCaseIsometry(scale=1.0, n_steps=8, first_radius=first_radius, **common)
        batch = batch_of(Threshold(), X, torch.arange(20) % 2)
        delta = penalty.calibrate(X, batch.y).search().perturbation(batch)
        reached[first_radius] = Threshold()(delta)[:, 1]
    assert reached[1.0].max() == 0
    assert reached[12.0].min() > 0.25 and reached[12.0].max() <= 0.5 + 1e-9


def at_the_bounds(n=60, d=12, seed=0):
    """Samples most of whose features lie at a bound, and a linear map."""
    generator = torch.Generator().manual_seed(seed)
    X = torch.rand(n, d, generator=generator, dtype=torch.float64)
    X[torch.rand(n, d, generator=generator) < 0.7] = 0
    X[torch.rand(n, d, generator=generator) < 0.15] = 1
    torch.manual_seed(seed)
    return X, nn.Linear(d, 2).double()


def started(X, module, norm, seed=0):
    """Return pairs of radius 1 after one gradient, and the slope that they started along."""
    y = torch.arange(len(X)) % 2
    penalty = WorstCaseIsometry(
        norm=norm, scale=1.0, radius=1.0, min_radius=1.0, n_steps=1, bounds=(0, 1)
    ).calibrate(X, y)
    batch = batch_of(module, X.clone(), y, seed=seed)
    delta = penalty.search().perturbation(batch)
    return delta, batch.margin_gradient


@pytest.mark.parametrize("norm", NORMS)
def test_every_pair_starts_uphill_if_a_feature_may_move_uphill(norm):
    for seed in range(5):
        X, module = at_the_bounds(seed=seed)
        delta, slope = started(X, module, norm, seed)
        room = torch.where(slope > 0, 1 - X, X)
        may_move = (room * slope.abs() > 0).any(dim=1)
        assert may_move.float().mean() > 0.9  # the law says something of most samples
        assert torch.all((slope * delta).sum(dim=1)[may_move] > 0)


def test_pairs_in_l1_start_at_the_best_point_of_ball_and_box():
    X, module = at_the_bounds(n=12)
    for x, delta, slope in zip(X, *started(X, module, "l1"), strict=True):
        g, up, down = slope.numpy(), (1 - x).numpy(), x.numpy()
        best = linprog(
            np.concatenate([-g, g]), A_ub=np.ones((1, 2 * len(g))), b_ub=[1.0],
            bounds=[(0, room) for room in np.concatenate([up, down])],
        )  # fmt: skip
        assert float(slope @ delta) == pytest.approx(-best.fun)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("start", ["margin", "random", "uniform", "patches"])
def test_no_pair_of_samples_at_the_bounds_is_left_without_length(norm, start):
    X, module = at_the_bounds()
    X[0] = 0  # an image that is black
    y = torch.arange(len(X)) % 2
    for seed in range(20):
        penalty = WorstCaseIsometry(
            norm=norm, start=start, scale=1.0, radius=1.0, n_steps=2, bounds=(0, 1),
            image_shape=(3, 4) if start == "patches" else None,
        )  # fmt: skip
        batch = batch_of(module, X.clone(), y, seed=seed)
        delta = penalty.calibrate(X, y).search().perturbation(batch)
        uphill = batch.margin_gradient > 0 if start == "margin" else torch.ones_like(X) > 0
        may_move = (uphill & (X < 1)) | (~uphill & (X > 0))
        assert delta.any(dim=1)[may_move.any(dim=1)].all()


@pytest.mark.parametrize("norm", NORMS)
def test_bounds_that_nothing_reaches_change_nothing(norm):
    X, module = rows(), network()
    common = {"norm": norm, "radius": 0.5, "n_steps": 3}
    free = ascended(X, module, **common)
    torch.testing.assert_close(ascended(X, module, bounds=(-9, 9), **common), free)


def test_no_radius_at_the_start_of_a_warm_up_gives_no_pair_and_no_nan():
    X, module = rows().round(), network()
    delta = ascended(X, module, progress=0.0, warmup=0.5, radius=1.0, n_steps=2, bounds=(0, 1))
    assert torch.equal(delta, torch.zeros_like(X))


@pytest.mark.parametrize("bounds", [(1, 0), (0,), (0, 0), ("low", "high"), (0, 1, 2)])
def test_bounds_that_are_no_interval_say_what_they_must_be(bounds):
    with pytest.raises(ValueError, match="two numbers .low, high. with low < high"):
        WorstCaseIsometry(bounds=bounds).calibrate(rows(), Y)


def test_rows_outside_of_the_bounds_are_told_their_range():
    X = rows()
    X[1, 2] = 3.5
    with pytest.raises(ValueError, match=r"within bounds=\(0, 1\).*to 3\.5"):
        WorstCaseIsometry(bounds=(0, 1)).calibrate(X, Y)


def test_rows_outside_of_the_bounds_by_rounding_are_taken():
    X = rows()
    X[1, 2], X[2, 3] = -3e-8, 1 + 1.2e-7
    for norm in NORMS:
        delta = ascended(X, network(), norm=norm, radius=3.0, n_steps=3, bounds=(0, 1))
        assert torch.all(X + delta >= X.min()) and torch.all(X + delta <= X.max())


@pytest.mark.parametrize(
    "params",
    [
        {"step_size": 0.0}, {"step_size": -1}, {"min_radius": 1.1}, {"min_radius": -0.1},
        {"first_radius": 0.9}, {"first_radius": np.inf}, {"first_radius": np.nan},
    ],
)  # fmt: skip
def test_lengths_out_of_range_are_refused(params):
    with pytest.raises(ValueError, match=next(iter(params))):
        WorstCaseIsometry(**params).calibrate(rows(), Y)
