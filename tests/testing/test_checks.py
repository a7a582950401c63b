"""Every check passes what keeps its law, and names what breaks it."""

import importlib
import importlib.util
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomTreesEmbedding
from sklearn.preprocessing import StandardScaler

from sklearn_iso.metrics import bi_lipschitz_ratio
from sklearn_iso.testing import (
    LawBrokenError,
    bi_lipschitz_maps,
    check_distance_preservation,
    check_lipschitz,
    check_rigid_motion_invariance,
    labelled_point_clouds,
    point_clouds,
    similarities,
)

RNG = np.random.RandomState(0)
X = RNG.normal(size=(30, 4))


# ---- distances


@settings(max_examples=40, deadline=None)
@given(point_clouds(general_position=True), similarities())
def test_similarity_preserves_distances(X, move):
    check_distance_preservation(move.in_units_of(X), X, max_distortion=1 + 1e-6)


@settings(max_examples=40, deadline=None)
@given(labelled_point_clouds(general_position=True, min_per_class=2), bi_lipschitz_maps())
def test_found_distortion_is_the_bi_lipschitz_ratio(data, bend):
    X, y = data
    bend = bend.in_units_of(X)
    for labels in (None, y):
        for quantile in (1.0, 0.9):
            found = check_distance_preservation(
                bend, X, max_distortion=16.1, quantile=quantile, y=labels
            )
            expected = bi_lipschitz_ratio(X, bend(X), labels, quantile=quantile)
            assert found == pytest.approx(expected, rel=1e-12)


def moved_apart(X):
    """Move row 7 away, which stretches its distances to all others."""
    Z = X.copy()
    Z[7] += [0, 0, 20, 0]
    return Z


def test_worst_pair_is_named():
    with pytest.raises(
        LawBrokenError, match="worst pair is stretched: samples . and 7|7 and"
    ) as info:
        check_distance_preservation(moved_apart, X, max_distortion=1.5)
    assert 7 in info.value.pair
    i, j = info.value.pair
    ratio = np.linalg.norm(moved_apart(X)[i] - moved_apart(X)[j]) / np.linalg.norm(X[i] - X[j])
    assert ratio > 5


@pytest.mark.parametrize("factor, verb", [(0.01, "shrunk"), (100, "stretched")])
def test_pair_unlike_the_others_is_named_on_either_side(factor, verb):
    line = np.arange(6.0)[:, None] ** 2

    def other_axis(points):  # the pair of the last two rows alone is measured anew
        Z = np.hstack([points, np.zeros((len(points), 1))])
        Z[-1] = Z[-2] + [0, factor * (points[-1, 0] - points[-2, 0])]
        return Z

    apart = np.vstack([line * 1e4, line[-1:] * 1e4 + 1])
    with pytest.raises(LawBrokenError, match=f"worst pair is {verb}: samples 5 and 6") as info:
        check_distance_preservation(other_axis, apart, max_distortion=2)
    assert info.value.pair == (5, 6)


def test_quantile_leaves_the_worst_pairs_out():
    share = 30 / (30 * 29 / 2)  # of the pairs that one row is in
    assert check_distance_preservation(moved_apart, X, max_distortion=1.01, quantile=1 - share)


def test_classes_leave_pairs_between_them_out():
    y = np.arange(30) == 7
    shifted = check_distance_preservation(moved_apart, X, max_distortion=1 + 1e-9, y=y)
    assert shifted == pytest.approx(1)


def test_merged_pair_is_named():
    above = np.vstack([X, X[3] + [0, 0, 0, 5]])  # differs from row 3 in what the map drops
    with pytest.raises(LawBrokenError, match="found inf.*shrunk: samples 3 and 30") as info:
        check_distance_preservation(lambda X: X[:, :3], above, max_distortion=100)
    assert info.value.pair == (3, 30)


@pytest.mark.parametrize("quantile", [0.5, 1.0])
def test_map_to_one_point_is_shrunk_without_end(quantile):
    with pytest.raises(
        LawBrokenError, match="found inf. The worst pair is shrunk: samples 0 and 1"
    ):
        check_distance_preservation(
            lambda X: np.zeros((len(X), 2)), X, max_distortion=2, quantile=quantile
        )


def lose_row_3(X):
    return np.where(np.arange(len(X))[:, None] == 3, np.nan, X)


@pytest.mark.parametrize(
    "broken, message",
    [
        (lose_row_3, r"finite numbers; sample 3 of .* became \[nan"),
        (lambda X: X[:-1], "one row for each row of X; got an array of shape"),
        (lambda X: 1.0, "one row for each row of X; got an array of shape"),
    ],
)
def test_row_without_an_image_is_named(broken, message):
    with pytest.raises(LawBrokenError, match=message):
        check_distance_preservation(broken, X, max_distortion=2)
    with pytest.raises(LawBrokenError, match=message):
        check_lipschitz(broken, X, bound=2, radius=1)


def test_map_that_writes_into_the_points_does_not_hide_what_it_does():
    def double_in_place(X):
        X *= 2
        X[0] += 5
        return X

    with pytest.raises(LawBrokenError, match="samples 0 and"):
        check_distance_preservation(double_in_place, X.copy(), max_distortion=1.5)


def test_containers_of_the_images_are_understood():
    for wrapped in (lambda X: X.tolist(), torch.from_numpy, lambda X: pd.DataFrame(X)):
        assert check_distance_preservation(wrapped, X, max_distortion=1.001) == 1
    trees = RandomTreesEmbedding(3, random_state=0).fit(X)  # sparse
    with pytest.raises(LawBrokenError, match="factor of 1.5"):
        check_distance_preservation(trees, X, max_distortion=1.5)
    with pytest.raises(LawBrokenError, match="more than 1"):
        check_lipschitz(trees, X[:3], bound=1, radius=1)


@pytest.mark.parametrize(
    "change", [{"max_distortion": np.nan}, {"max_distortion": 0.5}, {"quantile": np.nan}]
)
def test_parameter_out_of_range_is_named(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        check_distance_preservation(lambda X: X, X, **{"max_distortion": 2} | change)


def test_rows_without_distance_have_nothing_to_check():
    with pytest.raises(ValueError, match="all pairs coincide"):
        check_distance_preservation(lambda X: X, np.ones((3, 2)), max_distortion=2)


def test_estimator_that_maps_nothing_is_an_error():
    with pytest.raises(TypeError, match="must have transform or be callable; got object"):
        check_distance_preservation(object(), X, max_distortion=2)


def test_sample_of_the_pairs_of_many_rows_sees_a_stretched_axis():
    many = RNG.normal(size=(2500, 2))
    with pytest.raises(LawBrokenError, match="factor of 2"):
        check_distance_preservation(lambda X: X * [1, 3], many, max_distortion=2)


# ---- Lipschitz bounds


NORMAL = torch.ones(20, dtype=torch.float64) / 20**0.5


class Ramp(torch.nn.Module):
    """Slope 1, which rises smoothly to 5 beyond a plane that lies 0.7 from the origin."""

    def forward(self, X):
        return X + 0.5 * torch.nn.functional.softplus(8 * (X @ NORMAL - 0.7))[:, None] * NORMAL


class RampTransformer(BaseEstimator):
    """A transformer with a twin whose steepest place is far from the data."""

    def fit(self, X, y=None):
        return self

    def __sklearn_is_fitted__(self):
        return True

    def transform(self, X):
        return Ramp()(torch.from_numpy(X)).numpy()

    def to_torch(self):
        return Ramp()


ORIGIN = np.zeros((3, 20))


def expansion(f, u, v):
    return np.linalg.norm(f(u) - f(v), axis=1) / np.linalg.norm(u - v, axis=1)


def test_climb_finds_the_slope_that_samples_miss():
    steps = RNG.normal(size=(2, 1000, 20))
    u, v = steps / np.linalg.norm(steps, axis=2, keepdims=True)
    model = RampTransformer()
    assert expansion(model.transform, u, v).max() < 2.5
    with pytest.raises(LawBrokenError, match="within 1 of sample") as info:
        check_lipschitz(model, ORIGIN, bound=4.0, radius=1.0)
    u, v = (point[None] for point in info.value.pair)
    assert expansion(model.transform, u, v) > 4
    assert max(np.linalg.norm(u), np.linalg.norm(v)) <= 1 + 1e-9


def test_bound_that_holds_is_not_refuted():
    assert 4.9 < check_lipschitz(RampTransformer(), ORIGIN, bound=5.0, radius=2.0) <= 5.0
    steepest = 1 + 4 / (1 + np.exp(8 * (0.7 - 0.05)))  # where the ball comes closest
    found = check_lipschitz(RampTransformer(), ORIGIN, bound=steepest, radius=0.05)
    assert found == pytest.approx(steepest, rel=3e-3)


def test_random_steps_find_a_slope_without_gradients():
    flat = np.zeros((2, 3))
    steep = lambda X: np.hstack([X, 6 * np.maximum(X[:, :1] - 0.5, 0)])  # noqa: E731
    with pytest.raises(LawBrokenError, match="No pair may be expanded by more than 5"):
        check_lipschitz(steep, flat, bound=5.0, radius=1.0)


def test_function_may_return_one_number_a_row():
    with pytest.raises(LawBrokenError, match="more than 1"):
        check_lipschitz(lambda X: X @ [3.0, 4.0], np.zeros((2, 2)), bound=1.0, radius=1.0)
    found = check_lipschitz(lambda X: X @ [3.0, 4.0], np.zeros((2, 2)), bound=5.0, radius=1.0)
    assert found == pytest.approx(5, rel=1e-3)


def test_estimator_without_a_twin_is_searched_all_the_same():
    kmeans = KMeans(2, n_init=1, random_state=0).fit(X)
    found = check_lipschitz(kmeans, X[:5], bound=2**0.5, radius=0.5)
    assert found > 1.2  # distances to two centres: at most the root of 2


def test_frame_is_handed_on_as_a_frame():
    frame = pd.DataFrame(X, columns=list("abcd"))
    scaler = StandardScaler().fit(frame)  # warns of arrays, which is an error here
    bound = 1 / scaler.scale_.min()
    assert check_lipschitz(scaler, frame[:5], bound, 0.1) == pytest.approx(bound)
    quantiles = KMeans(2, n_init=1, random_state=0).fit(frame)
    assert check_lipschitz(quantiles, frame[:5], bound=2**0.5, radius=0.5) > 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_torch_module_is_climbed_as_it_is(dtype):
    layer = torch.nn.utils.skip_init(torch.nn.Linear, 2, 2, bias=False, dtype=dtype)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[3.0, 0.0], [0.0, 4.0]]))
    rows = np.array([[0.0, 1.0], [5.0, 5.0]])
    assert check_lipschitz(layer, rows, bound=4, radius=0.5) == pytest.approx(4, rel=1e-4)
    assert check_distance_preservation(layer, rows, max_distortion=1.001) == pytest.approx(1)
    assert layer.weight.dtype == dtype and layer.weight.grad is None


@settings(max_examples=20, deadline=None)
@given(point_clouds(min_features=2, max_features=2, max_samples=5), similarities())
def test_rounding_is_no_expansion(rows, move):
    move = move.in_units_of(rows)
    radius = 1e-10 * max(np.abs(rows).max(), 1e-6)
    assert check_lipschitz(move, rows, move.factor, radius, n_steps=2) <= move.factor * 1.001


@pytest.mark.parametrize("radius", [1e-20, 1e200])
def test_radius_at_which_nothing_can_be_measured_is_an_error(radius):
    with pytest.raises(ValueError, match="radius must leave points .* told apart"):
        check_lipschitz(lambda X: 3 * X, X[:3], bound=1, radius=radius)


@pytest.mark.parametrize(
    "change",
    [
        {"radius": np.nan},
        {"radius": np.inf},
        {"bound": np.nan},
        {"n_starts": 0},
        {"n_steps": 0},
        {"n_steps": 1.5},
        {"rtol": -1},
        {"random_state": "seed"},
    ],
)
def test_search_that_cannot_be_is_an_error(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        check_lipschitz(lambda X: X, X[:3], **{"bound": 2, "radius": 1} | change)


@pytest.mark.parametrize("n_components", [1, 4])
def test_linear_map_reaches_its_largest_singular_value(n_components):
    pca = PCA(n_components).fit(X)
    assert check_lipschitz(pca, X, bound=1.0, radius=0.1) == pytest.approx(1, rel=1e-6)
    scaler = StandardScaler().fit(X)
    assert check_lipschitz(scaler, X, bound=2, radius=0.1) == pytest.approx(1 / scaler.scale_.min())


# ---- measures


def test_measure_of_positions_is_refused():
    with pytest.raises(LawBrokenError, match="must not change under rigid motions"):
        check_rigid_motion_invariance(lambda X, Z: float(np.abs(X).max()))


def test_measure_in_units_is_no_similarity_invariant():
    spread = lambda X, Z: float(X.std(axis=0) @ X.std(axis=0))  # noqa: E731
    check_rigid_motion_invariance(spread)
    with pytest.raises(LawBrokenError, match="must not change under similarities"):
        check_rigid_motion_invariance(spread, scale_invariant=True)


def test_measure_that_is_nan_is_refused():
    with pytest.raises(LawBrokenError, match="got nan"):
        check_rigid_motion_invariance(lambda X, Z: float("nan"))


def test_measure_of_only_one_side_or_only_right_angles_is_refused():
    refused = [
        lambda X, Z: float(np.linalg.norm(Z, axis=1).mean()),  # no translation of Z
        lambda X, Z: float(np.abs(X - X.mean(0)).sum()),  # no rotation of X by 45 degrees
        lambda X, Z: float(np.sign(np.linalg.det(X[1 : X.shape[1] + 1] - X[0]))),  # no mirror
    ]
    for metric in refused:
        with pytest.raises(LawBrokenError, match="must not change under rigid motions"):
            check_rigid_motion_invariance(metric)


@pytest.mark.parametrize("value", [None, "1", np.ones(1), 1j])
def test_measure_that_is_no_number_is_refused(value):
    with pytest.raises(LawBrokenError, match="must return one number; got"):
        check_rigid_motion_invariance(lambda X, Z: value)


def test_measure_that_writes_is_refused():
    with pytest.raises(LawBrokenError, match="wrote into them"):
        check_rigid_motion_invariance(lambda X, Z: float(np.multiply(Z, 0, out=Z).sum()))


@pytest.mark.parametrize(
    "change", [{"rtol": np.nan}, {"rtol": -1}, {"min_samples": 0}, {"max_examples": 0}]
)
def test_invariance_of_no_example_or_no_slack_is_an_error(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        check_rigid_motion_invariance(lambda X, Z: 1.0, **change)


def test_kit_without_hypothesis_names_the_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.delitem(sys.modules, "sklearn_iso.testing._hypothesis_extra")
    with pytest.raises(ImportError, match=r"pip install 'sklearn-iso\[testing\]'"):
        importlib.import_module("sklearn_iso.testing._hypothesis_extra")
