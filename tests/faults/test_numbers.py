"""Extreme data and parameters give finite results or an error that says what to do."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from reliability import told
from scipy.spatial.distance import pdist, squareform
from sklearn.base import clone

from sklearn_iso import IsometricClassifier, IsometricRegressor, IsometricTransformer
from sklearn_iso.exceptions import TrainingDivergedError
from sklearn_iso.metrics import (
    bi_lipschitz_ratio,
    contraction,
    expansion,
    isometry_distortion,
    shepard_correlation,
)
from sklearn_iso.penalties import PENALTIES, make_penalty
from sklearn_iso.penalties._neighbours import neighbour_pairs
from sklearn_iso.testing import bi_lipschitz_maps, labelled_point_clouds, point_clouds
from sklearn_iso.testing._penalty_laws import Points, batch_of, network

RNG = np.random.RandomState(0)
Y = RNG.randint(0, 3, 80)
X = RNG.normal(size=(80, 6)) + Y[:, None]
WIDE = RNG.normal(size=(40, 10_000)).astype(np.float32)

DATA = {
    "1e-8": (X * 1e-8, Y),
    "1e8": (X * 1e8, Y),
    "1e-8 in float32": ((X * 1e-8).astype(np.float32), Y),
    "1e8 in float32": ((X * 1e8).astype(np.float32), Y),
    "1e-30": (X * 1e-30, Y),
    "1e30": (X * 1e30, Y),
    "far from the origin": ((X + 1e6).astype(np.float32), Y),
    "float16": (X.astype(np.float16), Y),
    "constant features": (np.hstack([X, np.full((80, 2), 3.0)]), Y),
    "all rows equal": (np.ones_like(X), Y),
    "duplicates in 90% of rows": (X[np.arange(80) % 8], Y),
    "1 feature": (X[:, :1], Y),
    "10,000 features": (WIDE, Y[:40]),
    "1,000 classes": (RNG.normal(size=(2000, 5)).astype(np.float32), np.arange(2000) % 1000),
    "classes with one member": (X, np.r_[np.zeros(70, dtype=int), 1:11]),
    "features of unlike scale": (X * [1e-8, 1e8, 1, 1, 1, 1], Y),
    "two rows": (X[:2], np.array([0, 1])),
}
PARAMETERS = {
    "batch of one": {"batch_size": 1},
    "alpha 0": {"alpha": 0},
    "alpha 1e-12": {"alpha": 1e-12},
    "alpha 1e12": {"alpha": 1e12},
    **{f"penalty {name}": {"penalty": name} for name in ("within_class", "worst_case")},
    **{f"penalty {name} object": {"penalty": make_penalty(name)} for name in PENALTIES},
}
SMALL = {"max_epochs": 2, "hidden_layer_sizes": (16, 8), "random_state": 0}


def assert_finite(estimator, rows):
    names = ("predict_proba", "transform")
    outputs = [getattr(estimator, name)(rows) for name in names if hasattr(estimator, name)]
    assert outputs and all(np.isfinite(output).all() for output in outputs)
    assert np.isfinite(estimator.loss_curve_).all()


@pytest.mark.parametrize("rows, labels", DATA.values(), ids=DATA)
def test_classifier_of_extreme_data_is_finite(rows, labels):
    assert_finite(IsometricClassifier(**SMALL).fit(rows, labels), rows)


@pytest.mark.parametrize("rows, labels", DATA.values(), ids=DATA)
def test_regressor_of_extreme_data_is_finite(rows, labels):
    model = IsometricRegressor(**SMALL).fit(rows, labels.astype(float))
    assert_finite(model, rows)
    assert np.isfinite(model.predict(rows)).all()


@pytest.mark.parametrize("size", [1e-30, 1e-8, 1e8, 1e30])
def test_regressor_of_extreme_targets_is_finite(size):
    assert np.isfinite(IsometricRegressor(**SMALL).fit(X, X[:, 0] * size).predict(X)).all()


@pytest.mark.parametrize("penalty", ["global", "neighbors", "geodesic", "within_class"])
@pytest.mark.parametrize("rows, labels", DATA.values(), ids=DATA)
def test_embedding_of_extreme_data_is_finite(rows, labels, penalty):
    if penalty == "geodesic" and len(rows) == 2000:
        pytest.skip("takes long")
    n_neighbors = 10 if len(rows) > 10 else 1
    width = 1 if rows.shape[1] == 1 else 2
    model = IsometricTransformer(width, penalty=penalty, n_neighbors=n_neighbors, **SMALL)
    model.fit(rows, labels)
    assert_finite(model, rows)
    assert np.isfinite([model.stress_, model.reconstruction_error_]).all()


@pytest.mark.parametrize("params", PARAMETERS.values(), ids=PARAMETERS)
def test_classifier_of_extreme_parameters_is_finite(params):
    assert_finite(IsometricClassifier(**SMALL | params).fit(X, Y), X)


@pytest.mark.parametrize("alpha", [0, 1e-12, 1e12])
def test_embedding_of_extreme_alpha_is_finite(alpha):
    assert_finite(IsometricTransformer(alpha=alpha, **SMALL).fit(X), X)


@pytest.mark.parametrize("size", [1e300, 1e-300])
@pytest.mark.parametrize(
    "model", [IsometricClassifier(**SMALL), IsometricTransformer(**SMALL)], ids=["class", "embed"]
)
def test_data_whose_squares_float64_does_not_hold_are_an_error(model, size):
    with pytest.raises(ValueError, match="squared distances .* Scale the features"):
        clone(model).fit(X * size, Y)


@pytest.mark.parametrize("penalty", ["global", "geodesic"])
@pytest.mark.parametrize("size", [1e152, 1e-152])
def test_data_whose_sums_of_squares_float64_does_not_hold_are_an_error(size, penalty):
    model = IsometricTransformer(penalty=penalty, n_neighbors=20, **SMALL)
    with pytest.raises(ValueError, match="squared distances .* Scale the features"):
        model.fit(X * size)


@pytest.mark.parametrize("size", [1e140, 1e-140])
def test_an_embedding_of_large_or_small_data_has_the_stress_of_any_other(size):
    model = IsometricTransformer(**SMALL)
    assert clone(model).fit(X * size).stress_ == pytest.approx(model.fit(X).stress_, rel=1e-6)


def test_an_embedding_scores_rows_whose_squares_float64_does_not_hold():
    model = IsometricTransformer(**SMALL).fit(X)
    assert model.score(X * 1e200) == pytest.approx(model.score(X * 1e30), abs=1e-6)


@pytest.mark.parametrize("size", [1e160, 1e-160])
def test_given_distances_whose_squares_float64_does_not_hold_are_an_error(size):
    model = IsometricTransformer(metric="precomputed", **SMALL)
    with pytest.raises(ValueError, match=r"distances must have squares .* another unit"):
        model.fit(X, distances=squareform(pdist(X)) * size)


FLOAT32 = [
    IsometricClassifier(**SMALL),
    IsometricClassifier(penalty="worst_case", **SMALL),
    IsometricRegressor(**SMALL),
    IsometricTransformer(**SMALL),
    IsometricTransformer(penalty="geodesic", n_neighbors=20, **SMALL),
]


@pytest.mark.parametrize("size", [1e30, 1e18, 1e-18, 1e-30])
@pytest.mark.parametrize("model", FLOAT32, ids=str)
def test_data_whose_squares_float32_does_not_hold_are_an_error(model, size):
    rows = (X * size).astype(np.float32)
    with pytest.raises(ValueError, match="numbers that float32 holds.* Scale the features"):
        clone(model).fit(rows, Y)


@pytest.mark.parametrize("size", [2.0**40, 2.0**-40])
@pytest.mark.parametrize("model", FLOAT32[:2], ids=str)
def test_a_classifier_of_smaller_sizes_in_float32_is_that_of_any_other(model, size):
    rows = X.astype(np.float32)
    expected = clone(model).fit(rows, Y).predict_proba(rows)
    found = clone(model).fit(rows * np.float32(size), Y).predict_proba(rows * np.float32(size))
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("learning_rate", [1e6, 1e30])
def test_diverging_fit_says_what_to_lower_and_stays_usable(learning_rate):
    model = IsometricClassifier(**SMALL | {"learning_rate": learning_rate, "max_epochs": 30})
    try:
        model.fit(X, Y)
    except TrainingDivergedError as error:
        assert "Lower learning_rate" in str(error)
    assert np.isfinite(model.predict_proba(X)).all()


def is_well_conditioned(data):
    """No pair is nearer than a hundredth of the extent: then float32 keeps its distance."""
    return pdist(data[0]).min() > 0.01 * np.abs(data[0]).max()


GENERAL = labelled_point_clouds(
    min_features=4,
    max_features=4,
    min_samples=4,
    max_classes=3,
    shapes=["uniform", "clustered"],
    general_position=True,
).filter(is_well_conditioned)


def in_both_precisions(name, X, y):
    """Return the penalty of the same numbers in float32 and in float64."""
    rounded = torch.from_numpy(X).float().double()
    for dtype in (torch.float32, torch.float64):
        module = network(dtype=torch.float32).to(dtype)
        rows = rounded.to(dtype)
        module.set_input_similarity(rounded.mean(0), 1 / rounded.abs().max().item())
        points = Points(rows, torch.from_numpy(y), torch.ones(len(rows), dtype=dtype))
        generator = torch.Generator().manual_seed(0)
        penalty = make_penalty(name).calibrate(points.X, points.y, points.weight, generator)
        yield penalty(batch_of(penalty, module, points)).item()


def neighbours(X, dtype):
    rows = torch.from_numpy(X).float().to(dtype)
    distances = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist")
    return neighbour_pairs(distances, torch.ones(len(rows), dtype=dtype), n_neighbors=5)


@pytest.mark.parametrize("name", PENALTIES)
@settings(max_examples=20, deadline=None)
@given(GENERAL)
def test_penalty_in_float32_agrees_with_float64(name, data):
    if name == "neighbors":  # float32 counts distances within 0.1 % as equally near
        assume(torch.equal(*(neighbours(data[0], d) for d in (torch.float32, torch.float64))))
    single, double = in_both_precisions(name, *data)
    assert single == pytest.approx(double, rel=1e-4, abs=1e-6)


MEASURES = [
    isometry_distortion,
    expansion,
    contraction,
    bi_lipschitz_ratio,
    shepard_correlation,
]


@pytest.mark.parametrize("measure", MEASURES, ids=lambda f: f.__name__)
@settings(max_examples=20, deadline=None)
@given(point_clouds(general_position=True, dtype=np.float32), bi_lipschitz_maps())
def test_measure_of_float32_is_that_of_float64(measure, X, bend):
    Z = bend.in_units_of(X)(X)
    expected = measure(X.astype(np.float64), Z.astype(np.float64))
    assert measure(X, Z) == pytest.approx(expected, rel=1e-12)


def test_the_page_tells_what_is_tried():
    assert told(r"two samples \| (\d+) data sets") == (len(DATA),)
    # The parameters of a classifier, and the alphas of an embedding.
    assert told(r"every penalty \| (\d+)") == (len(PARAMETERS) + 3,)
