"""What the strategies of the testing kit promise of every example."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist

from sklearn_iso.testing import (
    SHAPES,
    BiLipschitzMap,
    Similarity,
    bi_lipschitz_maps,
    label_trees,
    labelled_point_clouds,
    point_clouds,
    rigid_motions,
    similarities,
)

laws = settings(max_examples=40, deadline=None)
simplest = settings(database=None, derandomize=True)
UNIT = {"scales": (1, 1)}


def distances_of(X):
    return pdist(X.astype(np.float64))


@laws
@given(point_clouds())
def test_distinct_rows_are_well_apart(X):
    assert 2 <= len(X) <= 20 and 1 <= X.shape[1] <= 5 and np.isfinite(X).all()
    d = distances_of(X)
    size = np.abs(X).max()
    assert (d[d > 0] >= 2.0**-15 * min(size, 1e6) / 1024).all()


@laws
@given(st.data())
def test_cloud_keeps_its_bounds(data):
    bounds = {"min_samples": 3, "max_samples": 4, "min_features": 2, "max_features": 2}
    X = data.draw(point_clouds(**bounds, scales=(1e-3, 1e-2), dtype=np.float32))
    assert X.dtype == np.float32 and len(X) in (3, 4) and X.shape[1] == 2
    assert np.abs(X).max() <= 0.01 * 1024


@laws
@given(point_clouds(general_position=True))
def test_no_two_distances_are_equal_in_general_position(X):
    d = np.sort(distances_of(X))
    assert d[0] > 0 and (np.diff(d) > 0).all()


@laws
@given(point_clouds(shapes=["collinear"], min_features=2))
def test_collinear_points_lie_on_a_line(X):
    values = np.linalg.svd(X - X.mean(0), compute_uv=False)
    assert values[1] <= 1e-12 * max(values[0], np.abs(X).max(), 1e-300)


@laws
@given(point_clouds(shapes=["duplicates"], min_samples=6))
def test_duplicates_repeat_two_thirds_of_the_rows(X):
    assert len(np.unique(X, axis=0)) <= len(X) // 3


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_drawn_alone(shape):
    X = find(point_clouds(shapes=[shape]), lambda X: X.any(), settings=simplest)
    assert len(X) >= 2


def test_heavy_tails_reach_far():
    strategy = point_clouds(shapes=["heavy_tailed"], **UNIT)
    assert len(find(strategy, lambda X: np.abs(X).max() > 500, settings=simplest))


def examples(strategy, n=300):
    drawn = []

    @settings(simplest, max_examples=n, deadline=None)
    @given(strategy)
    def collect(example):
        drawn.append(example)

    collect()
    return drawn


@pytest.mark.parametrize("labelled", [False, True])
def test_few_clouds_are_empty_and_sizes_are_spread(labelled):
    drawn = examples(labelled_point_clouds()) if labelled else examples(point_clouds())
    clouds = [example[0] for example in drawn] if labelled else drawn
    assert np.mean([not X.any() for X in clouds]) < 0.1
    sizes = Counter(len(X) for X in clouds)
    assert max(sizes.values()) < 0.15 * len(clouds) and set(sizes) == set(range(2, 21))
    magnitudes = [np.log10(np.abs(X).max()) for X in clouds if X.any()]
    assert min(magnitudes) < -6 and max(magnitudes) > 6


def test_half_of_the_maps_turn_and_bend():
    bends = examples(bi_lipschitz_maps())
    assert np.mean([bend.upper > bend.lower for bend in bends]) > 0.5
    assert np.mean([bool(bend.before.turns or bend.after.turns) for bend in bends]) > 0.5


def test_pair_of_equal_rows_shrinks_to_three_rows():
    X = find(point_clouds(), lambda X: pdist(X).min() == 0 < pdist(X).max(), settings=simplest)
    assert len(X) == 3 and np.count_nonzero(X) == 1


def test_bend_shrinks_to_the_least_of_them():
    bend = find(bi_lipschitz_maps(), lambda bend: bend.upper > bend.lower, settings=simplest)
    assert bend == BiLipschitzMap(slopes=(1.0, 2.0))


def test_large_clouds_are_drawn_too():
    large = {"min_samples": 2000, "max_samples": 2000, "min_features": 50, "max_features": 50}
    for X in examples(point_clouds(shapes=["uniform"], **large), 10):
        assert X.shape == (2000, 50)
        assert not X.any() or len(np.unique(X, axis=0)) > 1900


@pytest.mark.parametrize(
    "change, message",
    [
        ({"shapes": ["torus"]}, "shapes must be some of"),
        ({"shapes": []}, "shapes must be some of"),
        ({"shapes": [["uniform"]]}, "shapes must be some of"),
        ({"shapes": "uniform"}, "'shapes' parameter"),
        ({"shapes": ["duplicates"], "general_position": True}, "needs shapes among"),
        ({"scales": (0, 1)}, "scales must be a pair"),
        ({"scales": (2, 1)}, "scales must be a pair"),
        ({"scales": (1, np.inf)}, "scales must be a pair"),
        ({"scales": (np.nan, 1)}, "scales must be a pair"),
        ({"scales": 1}, "'scales' parameter"),
        ({"scales": (1, 1, 1)}, "scales must be a pair"),
        ({"dtype": np.float16}, "so that float16 holds all coordinates"),
        ({"dtype": int}, "dtype must be a kind of float; got int"),
        ({"min_samples": 0}, "'min_samples' parameter"),
        ({"min_samples": 30}, "min_samples must be at most max_samples; got .*=30 and .*=20"),
        ({"max_features": 2.5}, "'max_features' parameter"),
    ],
)
def test_cloud_that_cannot_be_is_an_error_before_the_first_draw(change, message):
    for strategy in (point_clouds, labelled_point_clouds):
        with pytest.raises(ValueError, match=message):
            strategy(**change)


@laws
@given(point_clouds(scales=(1, 10), dtype=np.float16))
def test_cloud_of_float16_is_finite(X):
    assert X.dtype == np.float16 and np.isfinite(X).all()


@pytest.mark.parametrize(
    "strategy, change, message",
    [
        (labelled_point_clouds, {"min_classes": 5}, "min_classes must be at most max_classes"),
        (labelled_point_clouds, {"min_per_class": 0}, "'min_per_class' parameter"),
        (rigid_motions, {"max_turns": -1}, "'max_turns' parameter"),
        (rigid_motions, {"max_shift": np.inf}, "'max_shift' parameter"),
        (rigid_motions, {"max_shift": -1.0}, "'max_shift' parameter"),
        (similarities, {"factors": (0, 1)}, "factors must be a pair of finite numbers"),
        (similarities, {"factors": (1, np.inf)}, "factors must be a pair of finite numbers"),
        (similarities, {"factors": 2}, "'factors' parameter"),
        (bi_lipschitz_maps, {"factors": (2, 1)}, "factors must be a pair of finite numbers"),
        (bi_lipschitz_maps, {"max_ratio": 0.5}, "'max_ratio' parameter"),
        (label_trees, {"min_levels": 0}, "'min_levels' parameter"),
        (label_trees, {"min_levels": 4}, "min_levels must be at most max_levels"),
        (label_trees, {"max_children": 1}, "'max_children' parameter"),
    ],
)
def test_bound_that_cannot_be_is_an_error_before_the_first_draw(strategy, change, message):
    with pytest.raises(ValueError, match=message):
        strategy(**change)


def test_range_without_a_power_is_its_lower_end():
    assert {move.factor for move in examples(similarities(factors=(3, 3.5)), 10)} == {3.0}
    clouds = examples(point_clouds(shapes=["uniform"], scales=(3, 4)), 10)
    assert all((X * 1024 / 3 == np.round(X * 1024 / 3)).all() for X in clouds)


@pytest.mark.parametrize(
    "wrong, message",
    [
        (lambda: Similarity(0.0), "factor must be positive and finite"),
        (lambda: Similarity(np.nan), "factor must be positive and finite"),
        (lambda: BiLipschitzMap(slopes=(1, -1)), "slopes must be positive and finite"),
        (lambda: Similarity()([1.0, 2.0]), r"shape \(2,\)"),
        (lambda: BiLipschitzMap()([["a"]]), "all numbers; got shape .* dtype <U1"),
    ],
)
def test_map_without_its_constants_is_an_error(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()


@laws
@given(labelled_point_clouds(min_classes=2, max_classes=3, min_per_class=3))
def test_every_class_has_its_members(data):
    X, y = data
    counts = np.bincount(y)
    assert len(X) == len(y) and len(counts) in (2, 3) and counts.min() >= 3


@laws
@given(point_clouds(), rigid_motions())
def test_rigid_motion_keeps_every_distance(X, motion):
    moved = motion.in_units_of(X)(X)
    assert motion.lower == motion.upper == 1
    np.testing.assert_allclose(pdist(moved), pdist(X), rtol=1e-6, atol=1e-12 * np.abs(X).max())


@laws
@given(point_clouds(), similarities())
def test_similarity_multiplies_every_distance(X, move):
    moved = move.in_units_of(X)(X)
    atol = 1e-12 * np.abs(X).max()
    np.testing.assert_allclose(pdist(moved) / move.factor, pdist(X), rtol=1e-6, atol=atol)


@laws
@given(point_clouds(), bi_lipschitz_maps())
def test_map_keeps_distances_within_its_constants(X, bend):
    bend = bend.in_units_of(X)
    d_X, d_Z = pdist(X), pdist(bend(X))
    slack = 1e-10 * np.abs(X).max()
    assert (d_Z <= bend.upper * (d_X + slack)).all()
    assert (d_Z >= bend.lower * (d_X - slack)).all()
    assert bend.upper / bend.lower <= 16


@laws
@given(point_clouds(dtype=np.float32), similarities(), bi_lipschitz_maps())
def test_maps_keep_float32(X, move, bend):
    assert move(X).dtype == bend(X).dtype == np.float32


def test_constants_of_a_bend_are_reached():
    bend = find(bi_lipschitz_maps(max_turns=0), lambda f: f.upper > 3 * f.lower, settings=simplest)
    line = np.linspace(-40, 40, 801)[:, None]
    slopes = np.diff(bend(line)[:, 0]) / np.diff(line[:, 0])
    assert np.abs(slopes).max() == pytest.approx(bend.upper)
    assert np.abs(slopes).min() == pytest.approx(bend.lower)


@pytest.mark.parametrize("strategy", [rigid_motions(), similarities(), bi_lipschitz_maps()])
def test_maps_shrink_towards_the_identity(strategy):
    X = np.array([[1.0, 2.0], [3.0, -4.0]])
    np.testing.assert_array_equal(find(strategy, lambda _: True, settings=simplest)(X), X)


@laws
@given(label_trees(max_levels=4))
def test_label_has_one_parent_and_finest_classes_differ(paths):
    n_classes, n_levels = paths.shape
    assert 1 <= n_levels <= 4 and len(np.unique(paths[:, 0])) >= 2
    assert sorted(paths[:, -1]) == list(range(n_classes))
    for coarse, fine in zip(paths.T[:-1], paths.T[1:], strict=True):
        assert all(len(set(coarse[fine == label])) == 1 for label in fine)
