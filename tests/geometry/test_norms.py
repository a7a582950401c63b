"""Laws of the norms: every norm of the list obeys all of them."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import brentq, linprog

from sklearn_iso._geometry.norms import L1, NORMS, get_norm

DUAL_ORDER = {"linf": 1, "l2": 2, "l1": math.inf}
norms = pytest.mark.parametrize("norm", NORMS.values(), ids=NORMS.keys())
matrices = st.tuples(st.integers(1, 5), st.integers(1, 8)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.floats(-50, 50, width=32))
)


def l1_projection(v):
    """Oracle: soft thresholding at the root of a monotone function."""
    if np.abs(v).sum() <= 1:
        return v

    def excess(threshold):
        return np.maximum(np.abs(v) - threshold, 0).sum() - 1

    threshold = brentq(excess, 0, np.abs(v).max(), xtol=1e-14)
    return np.sign(v) * np.maximum(np.abs(v) - threshold, 0)


ORACLES = {
    "linf": lambda v: np.clip(v, -1, 1),
    "l2": lambda v: v / max(1, np.linalg.norm(v)),
    "l1": l1_projection,
}


@norms
def test_a_norm_knows_its_dual_and_its_symbol(norm):
    rows = torch.randn(9, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    climbs = (norm.steepest(rows) * rows).sum(dim=1)
    torch.testing.assert_close(climbs, torch.linalg.vector_norm(rows, ord=norm.dual_order, dim=1))
    assert norm.symbol == {"linf": r"$L_\infty$", "l2": "$L_2$", "l1": "$L_1$"}[norm.name]


@norms
@given(v=matrices)
@settings(deadline=None)
def test_size_is_the_norm_of_numpy(norm, v):
    expected = np.linalg.norm(v, ord=norm.order, axis=1)
    np.testing.assert_allclose(norm.size(torch.tensor(v)), expected, rtol=1e-12)


@norms
@given(v=matrices)
@settings(deadline=None)
def test_projection_is_the_nearest_point_of_the_ball(norm, v):
    expected = np.stack([ORACLES[norm.name](row) for row in v])
    np.testing.assert_allclose(norm.project(torch.tensor(v)), expected, atol=1e-9)


def shortest_climb(norm, g, climb, low, high):
    """Oracle: size of the shortest step that climbs so far within a box around 0."""
    room = np.where(g > 0, high, -low)
    if norm.name == "l1":
        program = linprog(np.ones(len(g)), A_eq=np.abs(g)[None], b_eq=[climb],
                          bounds=np.stack([np.zeros(len(g)), room], axis=1))  # fmt: skip
        return program.fun
    shape = np.ones(len(g)) if norm.name == "linf" else np.abs(g)

    def lacking(stretch):
        return (np.abs(g) * np.minimum(stretch * shape, room)).sum() - climb

    stretch = brentq(lacking, 0, 1e6, xtol=1e-13)
    return np.linalg.norm(np.minimum(stretch * shape, room), ord=norm.order)


boxes = st.tuples(st.integers(1, 8), st.integers(0, 10_000))


@norms
@given(drawn=boxes, share=st.floats(0.01, 0.99), power=st.sampled_from([-20, 0, 20]))
@settings(deadline=None)
def test_shortest_climb_in_a_box_is_that_of_the_oracle(norm, drawn, share, power):
    n_features, seed = drawn
    rng = np.random.default_rng(seed)
    g, low, high = rng.normal(size=n_features), -rng.random(n_features), rng.random(n_features)
    climb = share * (np.abs(g) * np.where(g > 0, high, -low)).sum()
    rows = [torch.tensor(a)[None] for a in (g * 10.0**power, low, high)]
    step = norm.reach(rows[0], torch.tensor([climb * 10.0**power]), *rows[1:])[0].numpy()
    assert (low <= step).all() and (step <= high).all()
    assert step @ g == pytest.approx(climb, rel=2e-4)
    expected = shortest_climb(norm, g, climb, low, high)
    assert np.linalg.norm(step, ord=norm.order) == pytest.approx(expected, rel=1e-3, abs=1e-9)


@norms
def test_climb_beyond_the_box_ends_in_its_corner(norm):
    g, high = torch.tensor([[2.0, -1.0, 0.0]]), torch.tensor([[0.5, 0.25, 1.0]])
    step = norm.reach(g, torch.tensor([9.0]), -high, high)
    torch.testing.assert_close(step, torch.tensor([[0.5, -0.25, 0.0]]))


@norms
def test_without_a_slope_no_step_climbs(norm):
    step = norm.reach(torch.zeros(2, 3), torch.ones(2), None, None)
    assert torch.equal(step, torch.zeros(2, 3))


@norms
def test_without_a_box_the_shortest_climb_is_the_steepest_step(norm):
    g, climb = torch.tensor([[3.0, -4.0], [0.5, 0.1]]), torch.tensor([2.0, 7.0])
    dual = torch.linalg.vector_norm(g, ord=DUAL_ORDER[norm.name], dim=1)
    expected = norm.steepest(g) * (climb / dual)[:, None]
    torch.testing.assert_close(norm.reach(g, climb, None, None), expected)


@norms
@given(v=matrices)
@settings(deadline=None)
def test_projection_is_idempotent_and_inside(norm, v):
    projected = norm.project(torch.tensor(v))
    assert norm.size(projected).max() <= 1 + 1e-12
    torch.testing.assert_close(norm.project(projected), projected, rtol=0, atol=1e-12)


@norms
@given(v=matrices)
@settings(deadline=None)
def test_steepest_step_is_a_unit_step_whose_slope_is_the_dual_norm(norm, v):
    gradient = torch.tensor(v)
    step = norm.steepest(gradient)
    dual = np.linalg.norm(v, ord=DUAL_ORDER[norm.name], axis=1)
    assert norm.size(step).max() <= 1 + 1e-12
    np.testing.assert_allclose((gradient * step).sum(dim=1), dual, rtol=1e-9, atol=1e-300)


boxed = st.tuples(st.integers(1, 4), st.integers(1, 8)).flatmap(
    lambda shape: st.tuples(
        arrays(np.float64, shape, elements=st.floats(-3, 3, width=32)),
        arrays(np.float64, shape, elements=st.sampled_from([0.0, 0.05, 0.3, 0.9, 2.0])),
        arrays(np.float64, shape, elements=st.sampled_from([0.0, 0.1, 0.4, 1.0, 5.0])),
    )
)


@norms
@given(rows=boxed)
@settings(deadline=None)
def test_projection_into_a_box_is_inside_both_and_keeps_what_is_inside(norm, rows):
    v, below, above = map(torch.tensor, rows)
    projected = norm.project_into(v, -below, above)
    assert (projected >= -below).all() and (projected <= above).all()
    assert norm.size(projected).max() <= 1 + 1e-12
    again = norm.project_into(projected, -below, above)
    torch.testing.assert_close(again, projected, rtol=0, atol=1e-12)


@given(rows=boxed)
@settings(deadline=None)
def test_l1_projection_into_a_box_is_the_nearest_point_of_both(rows):
    v, below, above = rows
    projected = L1().project_into(*map(torch.tensor, (v, -below, above)))
    for row, low, high, actual in zip(v, -below, above, projected.numpy(), strict=True):

        def inside(threshold, row=row, low=low, high=high):
            return np.clip(np.sign(row) * np.maximum(np.abs(row) - threshold, 0), low, high)

        expected = inside(0.0)
        if np.abs(expected).sum() > 1:
            top = np.abs(row).max()
            expected = inside(brentq(lambda t: np.abs(inside(t)).sum() - 1, 0, top, xtol=1e-14))
        np.testing.assert_allclose(actual, expected, atol=1e-9)


@pytest.mark.parametrize("norm", [NORMS["linf"], NORMS["l1"]], ids=["linf", "l1"])
@given(rows=boxed)
@settings(deadline=None, max_examples=50)
def test_farthest_point_solves_the_linear_program(norm, rows):
    gradient, below, above = rows
    step = norm.farthest(*map(torch.tensor, (gradient, -below, above))).numpy()
    assert np.linalg.norm(step, ord=norm.order, axis=1).max() <= 1 + 1e-12
    assert (step >= -below).all() and (step <= above).all()
    for g, low, high, actual in zip(gradient, -below, above, step, strict=True):
        n = len(g)  # variables: the step's positive and negative parts
        ball = np.ones((1, 2 * n)) if norm.name == "l1" else np.hstack([np.eye(n), np.eye(n)])
        best = linprog(
            np.concatenate([-g, g]), A_ub=ball, b_ub=np.ones(len(ball)),
            bounds=[(0, h) for h in high] + [(0, -b) for b in low],
        )  # fmt: skip
        # The solver treats gradients below its tolerance of 1e-7 as zero: its optimum is a
        # lower bound, and no feasible step passes it by more than that tolerance allows.
        assert -best.fun - 1e-9 <= g @ actual <= -best.fun + 1e-6


@norms
@given(rows=boxed, length=st.floats(0.01, 3))
@settings(deadline=None)
def test_step_into_a_box_stays_inside_and_moves_uphill(norm, rows, length):
    gradient, below, above = map(torch.tensor, rows)
    centre = torch.zeros_like(gradient)
    v = norm.step_into(centre, gradient, length, 0, low=-below, high=above)
    assert (v >= -below).all() and (v <= above).all() and norm.size(v).max() <= 1 + 1e-12
    assert ((gradient * v).sum(dim=1) >= 0).all()


@norms
def test_row_without_gradient_does_not_move(norm):
    zeros = torch.zeros(2, 3)
    assert not norm.steepest(zeros).any() and not norm.ascent(zeros).any()


@norms
@pytest.mark.parametrize("factor", [1e-38, 1e-25, 1e25])
def test_steepest_step_does_not_depend_on_the_scale_of_the_gradient(norm, factor):
    gradient = torch.tensor([[3.0, -4.0, 1.0]])
    torch.testing.assert_close(norm.steepest(gradient * factor), norm.steepest(gradient))
    torch.testing.assert_close(norm.ascent(gradient * factor), norm.ascent(gradient))


@norms
def test_trailing_shape_does_not_matter(norm):
    gradient = torch.randn(3, 2, 4, 5, generator=torch.Generator().manual_seed(0))
    for operation in (norm.steepest, norm.ascent, norm.project):
        flat = operation(gradient.flatten(1))
        torch.testing.assert_close(operation(gradient), flat.view_as(gradient))
    torch.testing.assert_close(norm.size(gradient), norm.size(gradient.flatten(1)))


@norms
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_random_rows_fill_the_ball_uniformly(norm, dtype):
    n_features = 3
    v = norm.random((20_000, n_features), torch.Generator().manual_seed(0), dtype)
    assert v.dtype == dtype
    assert norm.size(v).max() <= 1 + 1e-6
    # The volume of a ball grows as radius^d, so U = size^d is uniform in [0, 1].
    volume = norm.size(v).double() ** n_features
    quantiles = torch.quantile(volume, torch.linspace(0.1, 0.9, 9, dtype=torch.float64))
    torch.testing.assert_close(
        quantiles, torch.linspace(0.1, 0.9, 9, dtype=torch.float64), atol=0.02, rtol=0
    )
    assert v.mean(dim=0).abs().max() < 0.02


@pytest.mark.parametrize("fraction, n_moved", [(0.001, 1), (0.05, 5), (1.0, 100)])
def test_l1_ascent_moves_the_stated_share_of_features(fraction, n_moved):
    gradient = torch.randn(4, 100, generator=torch.Generator().manual_seed(0))
    step = L1(fraction=fraction).ascent(gradient)
    assert ((step != 0).sum(dim=1) == n_moved).all()
    torch.testing.assert_close(L1().size(step), torch.ones(4))
    assert (step * gradient >= 0).all()


def test_l1_projection_in_float32_stays_inside_in_high_dimension():
    v = torch.randn(20, 3072, generator=torch.Generator().manual_seed(0))
    assert L1().size(L1().project(v)).max() <= 1 + 1e-6


@pytest.mark.parametrize(
    "name, order", [("linf", np.inf), ("l2", 2), ("l1", 1), ("l2", np.int64(2)), ("l1", 1.0)]
)
def test_names_and_orders_mean_the_same_norm(name, order):
    assert get_norm(name) is get_norm(order) is get_norm(get_norm(name))


@pytest.mark.parametrize("unknown", ["l0", 3, True, None, [2], np.nan])
def test_unknown_norm_is_an_error_that_lists_the_known(unknown):
    with pytest.raises(ValueError, match="'linf', 'l2', 'l1' .or numpy.inf, 2, 1.; got"):
        get_norm(unknown)


@norms
@pytest.mark.parametrize("length", [0.3, 5.0])
def test_projected_step_without_a_box_is_the_projection_of_the_step(norm, length):
    generator = torch.Generator().manual_seed(0)
    v, gradient = norm.random((6, 5), generator), torch.randn((6, 5), generator=generator)
    for step in range(5):
        moved = norm.projected_step(v, gradient, length, step)
        assert torch.equal(moved, norm.project(v + length * norm.ascent(gradient, step)))
        assert torch.all((gradient * (moved - v)).sum(1) > -1e-6)


@norms
def test_projected_step_in_a_box_stays_in_ball_and_box_and_climbs(norm):
    generator = torch.Generator().manual_seed(0)
    low, high = -torch.rand((6, 5), generator=generator), torch.rand((6, 5), generator=generator)
    v, gradient = torch.zeros(6, 5), torch.randn((6, 5), generator=generator)
    for step in range(20):
        v = norm.projected_step(v, gradient, 0.3, step, (low, high))
        assert torch.all(norm.size(v) <= 1 + 1e-6)
        assert torch.all((v >= low) & (v <= high))
    assert torch.all((gradient * v).sum(1) > 0)
