from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist, pdist, squareform

from sklearn_iso._geometry import (
    Kernel,
    Stress,
    class_blocks,
    fitted_factors,
    nearest_other_class_distance,
    one_block,
    pairwise_distances,
)

points = arrays(
    np.float64,
    st.tuples(st.integers(2, 12), st.integers(1, 5)),
    elements=st.floats(-1e3, 1e3, allow_subnormal=False),
)


@settings(max_examples=60, deadline=None)
@given(points)
def test_pairwise_distances_equal_scipys(X):
    distances = pairwise_distances(torch.from_numpy(X)).numpy()
    # The Gram expansion is exact up to the rounding of the squared extent of the cloud.
    resolution = 1e-7 * max(1e-12, np.abs(X - X.mean(0)).max())
    np.testing.assert_allclose(distances, squareform(pdist(X)), rtol=1e-7, atol=2 * resolution)


def test_pairwise_distances_of_a_distant_cloud_keep_their_digits_in_float32():
    X = torch.randn(20, 3, generator=torch.Generator().manual_seed(0)).double()
    far = (X + 1000.0).float()
    expected = squareform(pdist(far.double().numpy()))
    np.testing.assert_allclose(pairwise_distances(far).numpy(), expected, rtol=1e-3, atol=1e-3)


def test_pairwise_distances_have_the_right_gradient():
    X = torch.randn(7, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.autograd.gradcheck(pairwise_distances, X.requires_grad_())


def test_gradient_is_zero_between_coincident_points():
    X = torch.ones(4, 3, requires_grad=True)
    pairwise_distances(X).sum().backward()
    assert torch.equal(X.grad, torch.zeros(4, 3))


def test_gradient_between_two_points_is_their_unit_direction():
    X = torch.tensor([[0.0, 0.0], [3.0, 4.0], [3.0, 4.0]], requires_grad=True)
    pairwise_distances(X)[0, 1].backward()
    torch.testing.assert_close(X.grad, torch.tensor([[-0.6, -0.8], [0.6, 0.8], [0.0, 0.0]]))


def whole(n):
    return one_block(torch.ones(n, dtype=torch.float64))


def normalized(blocks, X, factor=None):
    return Stress.normalized(blocks, blocks.distances(X), factor=factor)


@settings(max_examples=60, deadline=None)
@given(points, st.floats(1e-3, 1e3), st.integers(0, 2**31))
def test_stress_of_a_similarity_is_zero(X, scale, seed):
    generator = torch.Generator().manual_seed(seed)
    X = torch.from_numpy(X)
    rotation = torch.linalg.qr(torch.randn(X.shape[1], X.shape[1], generator=generator).double())[0]
    Z = scale * X @ rotation + torch.randn(X.shape[1], generator=generator)
    blocks = whole(len(X))
    # The translation and the Gram expansion cost digits of a cloud small beside them.
    resolution = 1e-7 + (1e-12 * (1 + Z.abs().max() / (scale * pdist(X).max() + 1e-300))) ** 2
    if pdist(X).max() > 1e-3:
        assert normalized(blocks, X)(Z) <= resolution
        assert normalized(blocks, X, 1 / scale)(Z) <= resolution


@settings(max_examples=60, deadline=None)
@given(points, st.integers(0, 2**31))
def test_fitted_stress_is_one_minus_the_squared_cosine(X, seed):
    Z = np.random.default_rng(seed).normal(size=(len(X), 3))
    stress = normalized(whole(len(X)), torch.from_numpy(X))(torch.from_numpy(Z))
    d_X, d_Z = pdist(X), pdist(Z)
    if d_X.max() > 1e-6:
        cosine = d_X @ d_Z / (np.linalg.norm(d_X) * np.linalg.norm(d_Z))
        assert stress.item() == pytest.approx(1 - cosine**2, rel=1e-6, abs=1e-9)


def test_no_other_factor_gives_less_stress_than_the_fitted_one():
    X, Z = torch.randn(2, 12, 3, generator=torch.Generator().manual_seed(0)).double()
    blocks = whole(12)
    d_X, d_Z = blocks.distances(X), blocks.distances(Z)
    (best,) = fitted_factors(d_X, d_Z[None], blocks.pair_weight)
    least = normalized(blocks, X)(Z)
    assert least == normalized(blocks, X, best)(Z)
    others = [normalized(blocks, X, best * f)(Z) for f in (0.9, 0.99, 1.01, 1.1)]
    assert all(other > least for other in others)


def test_stress_of_a_collapsed_representation_is_one_with_a_zero_gradient():
    X = torch.randn(5, 2, generator=torch.Generator().manual_seed(0)).double()
    Z = torch.zeros(5, 2, dtype=torch.float64, requires_grad=True)
    stress = normalized(whole(5), X)(Z)
    stress.backward()
    assert stress == 1
    assert torch.equal(Z.grad, torch.zeros(5, 2))


def test_stress_of_identical_rows_is_zero():
    Z = torch.randn(4, 2, generator=torch.Generator().manual_seed(0)).double()
    assert normalized(whole(4), torch.ones(4, 3).double(), 0.0)(Z) == 0


KINDS = {
    "normalised, fitted": lambda b, d: Stress.normalized(b, d),
    "normalised": lambda b, d: Stress.normalized(b, d, factor=0.7),
    "normalised, one-sided": lambda b, d: Stress.normalized(
        b, d, factor=0.7, kernel=Kernel(one_sided=True)
    ),
    "raw, fitted": lambda b, d: Stress.raw(b, d),
    "relative, fitted": lambda b, d: Stress.relative(b, d),
    "absolute": lambda b, d: Stress.absolute(b, d, False, 0.7),
    "absolute, one-sided": lambda b, d: Stress.absolute(b, d, True, 0.7),
}


@pytest.mark.parametrize("kind", KINDS)
def test_stress_has_the_right_gradient_although_the_factor_is_held_fixed(kind):
    generator = torch.Generator().manual_seed(0)
    X, Z = torch.randn(2, 18, 3, generator=generator, dtype=torch.float64)
    weight = torch.rand(18, generator=generator, dtype=torch.float64)
    blocks = class_blocks(torch.tensor([0, 1, 0, 2, 1, 0, 1, 0, 4] * 2), weight)
    assert len(blocks.index) == 4
    stress = KINDS[kind](blocks, blocks.distances(X))
    assert torch.autograd.gradcheck(stress, Z.requires_grad_())


@pytest.mark.parametrize("kind", KINDS)
def test_stress_of_several_maps_is_their_mean_and_rows_beyond_the_blocks_count_nothing(kind):
    generator = torch.Generator().manual_seed(0)
    X, first = torch.randn(2, 20, 3, generator=generator, dtype=torch.float64)
    second = torch.randn(20, 5, generator=generator, dtype=torch.float64)
    blocks = class_blocks(torch.tensor([0, 1] * 8), torch.ones(16, dtype=torch.float64))
    stress = KINDS[kind](blocks, blocks.distances(X[:16]))
    maps = [first.requires_grad_(), second.requires_grad_()]
    assert torch.autograd.gradcheck(stress, maps)
    mean = (stress(first[:16]) + stress(second[:16])) / 2
    torch.testing.assert_close(stress(*maps), mean)


def test_distances_of_maps_from_the_pass_of_x_give_the_same_stress_and_gradient():
    generator = torch.Generator().manual_seed(0)
    X, first, second = torch.randn(3, 20, 3, generator=generator, dtype=torch.float64)
    blocks = class_blocks(torch.tensor([0, 1] * 8), torch.ones(16, dtype=torch.float64))
    maps = [first.requires_grad_(), second.requires_grad_()]

    def of_one_pass(*Z):
        d_X, placed = blocks.distances_with(X[:16], Z, dtype=torch.float64)
        assert placed is not None
        return Stress.normalized(blocks, d_X)(*Z, placed=placed)

    stress = Stress.normalized(blocks, blocks.distances(X[:16]))
    assert torch.equal(of_one_pass(*maps), stress(*maps))
    found, expected = (torch.autograd.grad(f(*maps), maps) for f in (of_one_pass, stress))
    assert all(map(torch.equal, found, expected))


@pytest.mark.parametrize(
    ("X", "metric", "dtype"),
    [
        (torch.randn(16, 3), 1.0, torch.float32),
        (torch.randn(16, 3), 2.0, torch.float64),
        (torch.randn(16, 3) * 2.0**100, 2.0, torch.float32),
        (torch.randn(16, 3), pairwise_distances, torch.float32),
    ],
    ids=["another norm", "other floats", "a unit", "a function"],
)
def test_maps_take_a_pass_of_their_own_where_x_is_measured_otherwise(X, metric, dtype):
    blocks = class_blocks(torch.tensor([0, 1] * 8), torch.ones(16))
    d_X, placed = blocks.distances_with(X, [torch.zeros(16, 2)], metric, dtype=dtype)
    assert placed is None
    assert torch.equal(d_X, blocks.distances(X, metric, dtype=dtype))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=25), st.integers(0, 2**31))
def test_blocks_hold_every_within_class_pair_once(labels, seed):
    y = torch.tensor(labels)
    weight = torch.rand(len(y), generator=torch.Generator().manual_seed(seed)) + 0.1
    X = torch.arange(len(y), dtype=torch.float32).unsqueeze(1)
    blocks = class_blocks(y, weight)
    same = (y[:, None] == y[None, :]).float().fill_diagonal_(0)
    expected = (same * torch.outer(weight, weight) * (X - X.T).abs()).sum()
    found = (blocks.pair_weight * blocks.distances(X)).sum()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("order", [1.0, 2.0, 3.0, np.inf])
def test_nearest_other_class_distance_is_the_brute_force_median(order):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 4)), rng.integers(0, 3, 60)
    distances = cdist(X, X, "chebyshev") if order == np.inf else cdist(X, X, "minkowski", p=order)
    distances[y[:, None] == y[None, :]] = np.inf
    found = nearest_other_class_distance(torch.from_numpy(X), torch.from_numpy(y), order=order)
    assert found == pytest.approx(np.median(distances.min(1)), rel=1e-9)


def test_near_points_far_from_others_are_measured_exactly():
    # Squares of these distances are of the size of rounding in the squares of the extent.
    rng = np.random.default_rng(0)
    X, y = np.append(rng.normal(size=(60, 4)) * 1e-6, [[1.0] * 4], axis=0), np.arange(61) % 2
    distances = np.where(y[:, None] == y[None, :], np.inf, cdist(X, X))
    found = nearest_other_class_distance(torch.from_numpy(X), torch.from_numpy(y))
    assert found == pytest.approx(np.median(distances.min(1)), rel=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 3), min_size=8, max_size=8))
def test_weight_of_the_median_counts_as_repetition(weights):
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(8, 2)), np.arange(8) % 3
    weighted = nearest_other_class_distance(
        torch.from_numpy(X), torch.from_numpy(y), sample_weight=torch.tensor(weights).double()
    )
    repeated = nearest_other_class_distance(
        torch.from_numpy(X.repeat(weights, 0)), torch.from_numpy(y.repeat(weights))
    )
    assert weighted == repeated


@pytest.mark.parametrize("n", [5, 60, 301])
@pytest.mark.parametrize("weight", [0.1, 1 / 3, 3.0])
def test_a_median_of_uniform_weights_is_that_of_none(weight, n):
    rng = np.random.default_rng(n)
    X, y = torch.from_numpy(rng.normal(size=(n, 3))), torch.from_numpy(np.arange(n) % 2)
    weights = torch.full((n,), weight, dtype=torch.float64)
    for order in (1.0, 2.0, np.inf):
        found = nearest_other_class_distance(X, y, order=order, sample_weight=weights)
        assert found == nearest_other_class_distance(X, y, order=order)


@pytest.mark.parametrize("order", [1.0, 2.0, 3.0, np.inf])
def test_a_median_of_weight_2_is_that_of_the_sample_twice_among_many(order):
    rng = np.random.default_rng(3)
    X, y, weight = rng.normal(size=(120, 7)), np.arange(120) % 3, rng.integers(1, 4, 120)
    weighted = nearest_other_class_distance(
        torch.from_numpy(X),
        torch.from_numpy(y),
        order=order,
        sample_weight=torch.from_numpy(0.1 * weight),
    )
    X, y = (torch.from_numpy(part.repeat(weight, 0)) for part in (X, y))
    assert weighted == nearest_other_class_distance(X, y, order=order)


EXPONENTS = {torch.float64: (-900, -600, -505, 505, 512, 1000), torch.float32: (-100, 70, 110)}
SIZES = [(dtype, 2.0**k) for dtype, exponents in EXPONENTS.items() for k in exponents]


@pytest.mark.parametrize("dtype, size", SIZES)
def test_distances_of_points_of_any_size_keep_their_digits(dtype, size):
    X = torch.from_numpy(np.random.default_rng(0).normal(size=(30, 4))).to(dtype)
    y, weight = torch.arange(30) % 2, torch.ones(30).to(dtype)
    rtol = 1e-12 if dtype == torch.float64 else 1e-4
    same = {"rtol": rtol, "atol": 0}
    torch.testing.assert_close(pairwise_distances(X * size) / size, pairwise_distances(X), **same)
    blocks = class_blocks(y, weight)
    for order in (1.0, 1.5, 2.0, 3.0, np.inf):
        found = blocks.distances(X * size, order) / size
        torch.testing.assert_close(found, blocks.distances(X, order), **same)
        nearest = nearest_other_class_distance(X * size, y, order=order) / size
        assert nearest == pytest.approx(nearest_other_class_distance(X, y, order=order), rel=rtol)


@pytest.mark.parametrize("dtype, size", SIZES)
@pytest.mark.parametrize("factor", [None, 1.3])
@pytest.mark.parametrize("loss", [Stress.normalized, Stress.relative])
def test_a_stress_against_distances_of_any_size_is_the_same(loss, factor, dtype, size):
    X = torch.from_numpy(np.random.default_rng(0).normal(size=(30, 4))).to(dtype)
    blocks, d_X = one_block(torch.ones(30).to(dtype)), one_block(torch.ones(30)).distances(X)
    found = []
    for unit in (1.0, size):
        Z = X[:, :2].clone().requires_grad_()
        scaled = None if factor is None else factor * unit
        value = loss(blocks, d_X * unit, factor=scaled)(Z)
        value.backward()
        found.append((value.detach(), Z.grad))
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("dtype, size", SIZES)
def test_an_absolute_stress_against_distances_of_any_size_is_the_same(dtype, size):
    X = torch.from_numpy(np.random.default_rng(0).normal(size=(30, 4))).to(dtype)
    blocks, d_X = one_block(torch.ones(30).to(dtype)), one_block(torch.ones(30)).distances(X)
    one, other = (Stress.absolute(blocks, d_X * u, False, 1.3 * u)(X[:, :2]) for u in (1.0, size))
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)


def test_the_gradient_of_distances_of_large_points_has_no_unit():
    X = torch.from_numpy(np.random.default_rng(0).normal(size=(9, 3)))
    gradients = []
    for size in (1.0, 2.0**600):
        points = (X * size).requires_grad_()
        pairwise_distances(points)[0, 1:].sum().backward()
        gradients.append(points.grad)
    torch.testing.assert_close(*gradients)


def test_unit_of_identical_rows_is_one_and_of_shared_rows_the_positive_median():
    y = torch.tensor([0, 1, 0, 1, 0, 1])
    assert nearest_other_class_distance(torch.ones(6, 2), y) == 1.0
    X = torch.tensor([[0.0], [0.0], [0.0], [0.0], [7.0], [0.0]])
    assert nearest_other_class_distance(X, y) == pytest.approx(7.0)


@pytest.mark.parametrize("metric", [1.0, 1.5, 2.0, np.inf, torch.cdist])
def test_block_distances_take_any_norm_and_any_function(metric):
    X = np.random.default_rng(0).normal(size=(20, 3))
    blocks = class_blocks(torch.arange(20) % 2, torch.ones(20).double())
    taken = (lambda X: torch.cdist(X, X)) if metric is torch.cdist else metric
    p = 2.0 if metric is torch.cdist else metric
    expected = cdist(X, X, "chebyshev") if p == np.inf else cdist(X, X, "minkowski", p=p)
    found = blocks.distances(torch.from_numpy(X), taken)
    index = blocks.index.numpy()
    np.testing.assert_allclose(found, expected[index[:, :, None], index[:, None, :]], atol=1e-9)
