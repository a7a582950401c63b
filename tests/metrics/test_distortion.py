import pickle
import tracemalloc

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist, squareform
from scipy.stats import ortho_group
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sklearn_iso.metrics import isometry_distortion, make_distortion_scorer

seeds = st.integers(0, 2**32 - 1)
laws = settings(max_examples=25, deadline=None)


def points(seed, n_samples=20, n_features=5, n_components=3, n_classes=3):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_samples, n_features))
    Z = np.tanh(X @ rng.normal(size=(n_features, n_components)))
    return X, Z, rng.integers(0, n_classes, n_samples)


def similar(X, seed, factor=1.0):
    """Return X rotated or mirrored, moved and scaled."""
    rng = np.random.default_rng(seed)
    rotation = ortho_group.rvs(X.shape[1], random_state=seed)
    return factor * (X @ rotation + rng.normal(size=X.shape[1]))


def stress_by_definition(d_X, d_Z):
    return np.sqrt(1 - (d_X @ d_Z) ** 2 / ((d_X @ d_X) * (d_Z @ d_Z)))


@laws
@given(seeds, st.floats(1e-3, 1e3))
def test_similarity_has_no_distortion(seed, factor):
    X, _, y = points(seed)
    Z = similar(X, seed, factor)
    assert isometry_distortion(X, Z) < 1e-12
    assert isometry_distortion(X, Z, y) < 1e-12
    assert isometry_distortion(X, Z, max_exact=2, n_pairs=50) < 1e-12


@laws
@given(seeds)
def test_distortion_does_not_change_under_a_similarity_of_either_side(seed):
    X, Z, y = points(seed)
    expected = isometry_distortion(X, Z, y)
    assert isometry_distortion(similar(X, seed, 7.0), Z, y) == pytest.approx(expected, abs=1e-9)
    assert isometry_distortion(X, similar(Z, seed, 0.1), y) == pytest.approx(expected, abs=1e-9)


@laws
@given(seeds)
def test_distortion_does_not_change_under_a_permutation(seed):
    X, Z, y = points(seed)
    order = np.random.default_rng(seed).permutation(len(X))
    expected = isometry_distortion(X, Z, y)
    permuted = isometry_distortion(X[order], Z[order], y[order])
    assert permuted == pytest.approx(expected, abs=1e-12)


@laws
@given(seeds)
def test_distortion_is_symmetric_in_the_two_spaces(seed):
    X, Z, _ = points(seed)
    assert isometry_distortion(X, Z) == pytest.approx(isometry_distortion(Z, X), abs=1e-12)


@laws
@given(seeds, st.booleans())
def test_distortion_lies_between_zero_and_one(seed, labelled):
    X, Z, y = points(seed)
    assert 0 <= isometry_distortion(X, Z**5, y if labelled else None) <= 1


@pytest.mark.parametrize("metric", ["euclidean", "cityblock", "chebyshev"])
def test_distortion_follows_its_definition_over_all_pairs(metric):
    X, Z, _ = points(0)
    expected = stress_by_definition(pdist(X, metric), pdist(Z, metric))
    assert isometry_distortion(X, Z, metric=metric) == pytest.approx(expected, rel=1e-12)


def test_with_labels_the_pairs_of_the_same_class_count():
    X, Z, y = points(0)
    same = squareform(y[:, None] == y, checks=False)
    expected = stress_by_definition(pdist(X)[same], pdist(Z)[same])
    assert isometry_distortion(X, Z, y) == pytest.approx(expected, rel=1e-12)
    assert expected != pytest.approx(isometry_distortion(X, Z), rel=1e-3)


def test_one_class_is_the_same_as_no_labels():
    X, Z, _ = points(0)
    assert isometry_distortion(X, Z, np.zeros(len(X))) == isometry_distortion(X, Z)


@pytest.mark.parametrize("labels", [["b", "a", "c"], [True, False, True], [-1, 5, 5], [0.5, 2, 1]])
def test_labels_of_any_kind_are_classes(labels):
    X, Z, y = points(0)
    named = np.array(labels)[y]
    numbers = np.unique(named, return_inverse=True)[1]
    assert isometry_distortion(X, Z, named) == isometry_distortion(X, Z, numbers)


@pytest.mark.parametrize("size", [1e-300, 1e-30, 1e30, 1e300])
@pytest.mark.parametrize("max_exact", [2000, 2])
def test_extreme_scales_neither_overflow_nor_vanish(size, max_exact):
    X, Z, y = points(0)
    expected = isometry_distortion(X, Z, y, max_exact=max_exact)
    for small_X, small_Z in [(size * X, Z), (X, size * Z), (size * X, Z / size)]:
        value = isometry_distortion(small_X, small_Z, y, max_exact=max_exact)
        assert value == pytest.approx(expected, rel=1e-9)


def test_near_pairs_far_from_the_origin_keep_their_digits():
    X = np.random.default_rng(0).integers(0, 4, size=(30, 3)).astype(float)
    assert isometry_distortion(X, X + 1e8) < 1e-12  # |a|^2 + |b|^2 - 2ab has lost all digits here


def test_float32_is_evaluated_in_float64():
    X, Z, y = points(0, n_samples=60)
    X, Z = X.astype(np.float32), Z.astype(np.float32)
    expected = isometry_distortion(X.astype(np.float64), Z.astype(np.float64), y)
    assert isometry_distortion(X, Z, y) == expected


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int64, bool, np.float16])
def test_integers_do_not_wrap_around(dtype):
    X = np.random.default_rng(0).integers(-128, 128, size=(20, 4)).astype(dtype)
    for max_exact in (2000, 2):
        value = isometry_distortion(X, X.astype(np.float64), max_exact=max_exact)
        assert value < 1e-12


def test_collapsed_representation_has_distortion_one():
    X, Z, y = points(0)
    assert isometry_distortion(X, np.full_like(Z, 3.7), y) == 1.0


def test_distances_out_of_nothing_have_distortion_one():
    X, Z, _ = points(0)
    assert isometry_distortion(np.ones_like(X), Z) == 1.0


def test_identical_points_kept_identical_have_no_distortion():
    X, Z, _ = points(0)
    value = isometry_distortion(np.ones_like(X), np.ones_like(Z), return_std_error=True)
    assert value == (0.0, 0.0)


def test_sample_lies_within_its_standard_errors_of_the_exact_value():
    X, Z, y = points(0, n_samples=400)
    exact = isometry_distortion(X, Z, y)
    deviations = []
    for seed in range(100):
        value, error = isometry_distortion(
            X, Z, y, max_exact=2, n_pairs=500, random_state=seed, return_std_error=True
        )
        deviations.append((value - exact) / error)
    # The mean and the spread of 100 standard normal deviates, with four of their own errors.
    assert abs(np.mean(deviations)) < 0.4
    assert 0.7 < np.std(deviations) < 1.3


def test_standard_error_is_zero_where_all_pairs_counted():
    X, Z, y = points(0)
    value, error = isometry_distortion(X, Z, y, return_std_error=True)
    assert (value, error) == (isometry_distortion(X, Z, y), 0.0)


def test_classes_are_drawn_by_their_number_of_pairs():
    # A class of 3 has 3 pairs, all kept; a class of 2 has 1 pair, which triples: the exact stress
    # is that of 3 distances (1, 1) and one (1, 3).
    X = np.array([[0, 0], [1, 0], [0.5, np.sqrt(0.75)], [9, 9], [9, 10]])
    Z = np.array([[0, 0], [1, 0], [0.5, np.sqrt(0.75)], [5, 5], [5, 8]])
    y = np.array([0, 0, 0, 1, 1])
    expected = stress_by_definition(np.ones(4), np.array([1.0, 1, 1, 3]))
    assert isometry_distortion(X, Z, y) == pytest.approx(expected, rel=1e-12)
    value, error = isometry_distortion(X, Z, y, max_exact=2, n_pairs=100_000, return_std_error=True)
    assert abs(value - expected) < 4 * error < 0.01


def test_sample_repeats_for_its_seed_and_leaves_the_global_generator_alone():
    X, Z, y = points(0, n_samples=100)
    before = np.random.get_state()[1].copy()
    values = [
        isometry_distortion(X, Z, y, max_exact=2, n_pairs=50, random_state=seed)
        for seed in (0, 0, 1)
    ]
    assert values[0] == values[1] != values[2]
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_sample_needs_no_copy_of_the_data():
    X = np.random.default_rng(0).integers(0, 256, size=(20_000, 1000), dtype=np.uint8)
    y = np.arange(len(X)) % 10
    tracemalloc.start()
    isometry_distortion(X, X[:, :10], y, n_pairs=5000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64e6  # a copy in float64 takes 160 MB


def test_images_count_as_flat_vectors():
    X, Z, _ = points(0, n_features=12)
    assert isometry_distortion(X.reshape(-1, 2, 3, 2), Z) == isometry_distortion(X, Z)


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame, np.ndarray.tolist])
def test_frames_and_lists_give_the_value_of_their_arrays(frame):
    X, Z, y = points(0)
    value = isometry_distortion(frame(X), frame(Z), pd.Series(y))
    assert value == isometry_distortion(X, Z, y)


@pytest.mark.parametrize("name", ["X", "Z"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_are_errors_that_name_the_side(name, value):
    sides = dict(zip("XZ", points(0)[:2], strict=True))
    sides[name][3, 1] = value
    with pytest.raises(ValueError, match=f"Input {name} contains"):
        isometry_distortion(**sides)


def test_single_sample_is_an_error():
    X, Z, _ = points(0)
    with pytest.raises(ValueError, match="1 sample.* minimum of 2 is required"):
        isometry_distortion(X[:1], Z[:1])


def test_unequal_lengths_are_errors_with_both_counts():
    X, Z, y = points(0)
    with pytest.raises(ValueError, match="same points.*20 samples in X and 19 in Z"):
        isometry_distortion(X, Z[:-1])
    with pytest.raises(ValueError, match="one label for each sample.*19 labels for 20 samples"):
        isometry_distortion(X, Z, y[:-1])


def test_no_two_samples_of_a_class_is_an_error_with_the_remedy():
    X, Z, _ = points(0)
    with pytest.raises(ValueError, match="two samples of the same class; found 20.*y=None"):
        isometry_distortion(X, Z, np.arange(20))


@pytest.mark.parametrize("missing", [np.nan, float("nan")])
def test_nan_among_the_labels_is_an_error(missing):
    X, Z, y = points(0)
    for labels in (np.where(y == 0, missing, y), np.where(y == 0, missing, y.astype(object))):
        with pytest.raises(ValueError, match="y must hold a label for each sample; 9 of 20"):
            isometry_distortion(X, Z, labels)


def test_classes_of_one_sample_do_not_count():
    X, Z, y = points(0)
    alone = np.append(y, 99)
    value = isometry_distortion(np.vstack([X, 50 * X[:1]]), np.vstack([Z, Z[:1]]), alone)
    assert value == pytest.approx(isometry_distortion(X, Z, y), rel=1e-12)


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"metric": "cosine"}, "metric must be one of"),
        ({"max_exact": 1}, "max_exact == 1, must be >= 2"),
        ({"n_pairs": 0}, "n_pairs == 0, must be >= 2"),
        ({"n_pairs": 1.5}, "n_pairs must be an instance of int"),
    ],
)
def test_parameters_out_of_range_are_errors(parameters, message):
    X, Z, _ = points(0)
    with pytest.raises((ValueError, TypeError), match=message):
        isometry_distortion(X, Z, **parameters)
    with pytest.raises((ValueError, TypeError), match=message):
        make_distortion_scorer(**parameters)


def test_scorer_is_the_negated_distortion_of_the_representation():
    X, y = load_iris(return_X_y=True)
    model = make_pipeline(StandardScaler(), PCA(n_components=1)).fit(X)
    Z = model.transform(X)
    scorer, over_all = make_distortion_scorer(), make_distortion_scorer(within_class=False)
    assert scorer(model, X, y) == -isometry_distortion(X, Z, y)
    assert scorer(model, X) == over_all(model, X, y) == -isometry_distortion(X, Z)


def test_scorer_gives_its_best_to_the_identity():
    X, y = load_iris(return_X_y=True)
    assert make_distortion_scorer()(FunctionTransformer().fit(X), X, y) == 0


def test_scorer_survives_pickling_and_shows_how_to_make_it():
    scorer = make_distortion_scorer(within_class=False, n_pairs=100)
    assert pickle.loads(pickle.dumps(scorer)) == scorer
    assert repr(make_distortion_scorer()) == "make_distortion_scorer()"
    assert eval(repr(scorer)) == scorer


def test_scorer_ranks_a_grid_beside_another_scorer():
    X, y = load_iris(return_X_y=True)
    scoring = {"distortion": make_distortion_scorer(), "likelihood": PCA.score}
    search = GridSearchCV(PCA(), {"n_components": [1, 2, 4]}, scoring=scoring, refit="distortion")
    search.fit(X, y)
    assert search.best_params_ == {"n_components": 4}
    assert search.cv_results_["mean_test_distortion"][-1] == pytest.approx(0, abs=1e-7)


class Shrunk(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return pd.DataFrame(X) / 2


def test_scorer_takes_representations_in_frames():
    X, y = load_iris(return_X_y=True)
    result = cross_validate(Shrunk(), X, y, scoring=make_distortion_scorer(), error_score="raise")
    np.testing.assert_allclose(result["test_score"], 0, atol=1e-12)


def test_estimator_without_a_representation_is_an_error_with_the_remedy():
    X, y = load_iris(return_X_y=True)
    model = GaussianNB().fit(X, y)
    with pytest.raises(TypeError, match="GaussianNB has no transform.*IsometricClassifier"):
        make_distortion_scorer()(model, X, y)
    with pytest.raises(TypeError, match="no transform"):
        make_distortion_scorer()(make_pipeline(StandardScaler(), model).fit(X, y), X, y)


def test_scorer_measures_in_the_units_of_the_features():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 3)) * [1.0, 10.0, 0.0]
    y = np.arange(30) % 2
    scaler = StandardScaler().fit(X)
    assert make_distortion_scorer(scale=X.std(axis=0))(scaler, X, y) == pytest.approx(0, abs=1e-7)
    assert make_distortion_scorer()(scaler, X, y) < -0.1


def test_scorer_refuses_a_negative_unit():
    with pytest.raises(ValueError, match="scale must be finite and at least 0"):
        make_distortion_scorer(scale=[1.0, -1.0])
