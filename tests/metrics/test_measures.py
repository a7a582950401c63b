"""Expansion, contraction, order and neighbourhoods: exact values, invariances, samples."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist
from scipy.stats import binom, ortho_group
from sklearn.datasets import load_digits, load_iris
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness as scikit_learns
from sklearn.model_selection import cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

from sklearn_iso import IsometricClassifier
from sklearn_iso.metrics import (
    bi_lipschitz_ratio,
    continuity,
    contraction,
    distortion_report,
    expansion,
    isometry_distortion,
    jacobian_singular_values,
    local_distortion,
    make_distortion_scorer,
    scale_normalized_stress,
    shepard_correlation,
    trustworthiness,
)
from sklearn_iso.metrics._distortion_scorer import MEASURES
from sklearn_iso.metrics._sampling_error import Interval, bounding_error, quantile_interval

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5))
Z = np.tanh(X @ RNG.normal(size=(5, 3)))
OF_PAIRS = [expansion, contraction, bi_lipschitz_ratio, shepard_correlation]
measures = pytest.mark.parametrize("name", MEASURES)


def test_expansion_and_contraction_at_quantile_one_are_the_extreme_ratios():
    ratios = pdist(Z) / pdist(X)
    assert expansion(X, Z, quantile=1) == pytest.approx(ratios.max())
    assert contraction(X, Z, quantile=1) == pytest.approx(1 / ratios.min())
    assert bi_lipschitz_ratio(X, Z, quantile=1) == pytest.approx(ratios.max() / ratios.min())


@pytest.mark.parametrize("scales", [(1e-150, 1e150), (1e-3, 7.0), (1e30, 1e-30)])
def test_expansion_is_in_the_units_of_both_sides(scales):
    a, b = scales
    expected = expansion(X, Z) * (b / a)
    assert expansion(X * a, Z * b) == pytest.approx(expected)
    assert contraction(X * a, Z * b) == pytest.approx(contraction(X, Z) * (a / b))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31 - 1), st.floats(1e-3, 1e3))
def test_a_similarity_of_either_side_changes_no_measure_without_a_unit(seed, scale):
    rotation = ortho_group.rvs(5, random_state=seed)
    moved = scale * X @ rotation + np.random.default_rng(seed).normal(size=5)
    for measure in (bi_lipschitz_ratio, shepard_correlation, trustworthiness, continuity):
        assert measure(moved, Z) == pytest.approx(measure(X, Z), rel=1e-9)
    assert scale_normalized_stress(X, moved) == pytest.approx(0, abs=1e-7)
    assert bi_lipschitz_ratio(X, moved, quantile=1) == pytest.approx(1)
    assert shepard_correlation(X, moved) == pytest.approx(1)
    assert trustworthiness(X, moved) == continuity(X, moved) == 1


def test_classes_restrict_the_pairs_to_those_of_one_class():
    y = np.array([0, 0, 1, 1])
    here, there = np.array([[0.0], [1.0], [10.0], [12.0]]), np.array([[0.0], [3.0], [4.0], [5.0]])
    assert expansion(here, there, y, quantile=1) == 3
    assert contraction(here, there, y, quantile=1) == 2
    assert bi_lipschitz_ratio(here, there, y, quantile=1) == 6


def test_merged_points_count_as_infinitely_contracted_and_duplicates_not_at_all():
    merged = np.array([[0.0], [0.0], [2.0], [3.0]])
    apart = np.arange(4.0)[:, None]
    assert contraction(apart, merged, quantile=1) == np.inf
    assert np.isfinite(contraction(apart, merged, quantile=0.5))
    assert expansion(merged, apart, quantile=1) == np.inf
    assert expansion(merged, merged, quantile=1) == contraction(merged, merged, quantile=1) == 1


def test_points_that_all_coincide_have_no_ratio():
    with pytest.raises(ValueError, match="needs two points that differ in X or in Z"):
        expansion(np.ones((4, 2)), np.zeros((4, 1)))


def test_order_of_distances_is_kept_by_a_monotone_map_of_a_line():
    line = np.sort(RNG.normal(size=(30, 1)), axis=0)
    assert shepard_correlation(line, 3 * line - 1) == pytest.approx(1)
    assert shepard_correlation(line, np.zeros((30, 1))) == 0


def test_trustworthiness_is_scikit_learns_up_to_the_exact_size():
    digits = load_digits().data[:400]
    flat = PCA(2).fit_transform(digits)
    assert trustworthiness(digits, flat, n_neighbors=10) == scikit_learns(
        digits, flat, n_neighbors=10
    )
    assert continuity(digits, flat, n_neighbors=10) == scikit_learns(flat, digits, n_neighbors=10)


def test_sampled_trustworthiness_lies_within_its_standard_error():
    digits = load_digits().data[:1000]
    flat = PCA(2).fit_transform(digits)
    exact = trustworthiness(digits, flat)
    close, error = trustworthiness(digits, flat, max_exact=999, return_std_error=True)
    assert close == pytest.approx(exact, abs=2e-4)  # ties are ranked otherwise
    some, error = trustworthiness(digits, flat, max_exact=300, return_std_error=True)
    assert 0 < error < 0.01 and abs(some - exact) < 4 * error


@pytest.mark.parametrize("measure", OF_PAIRS)
def test_sampled_pairs_lie_within_their_standard_error(measure):
    exact, none = measure(X, Z, return_std_error=True)
    assert none == 0
    sampled = {"max_exact": 10, "n_pairs": 20_000, "return_std_error": True}
    some, error = measure(X, Z, **sampled)
    assert 0 < error and abs(some - exact) < 5 * error
    assert measure(X, Z, **sampled) == (some, error)
    # Of so many draws of 1,770 pairs two seeds may agree on a quantile; of few they do not.
    few = {**sampled, "n_pairs": 500}
    assert measure(X, Z, random_state=1, **few) != measure(X, Z, **few)


@pytest.mark.parametrize("measure", [trustworthiness, continuity])
@pytest.mark.parametrize("size", [2.0**-900, 2.0**-505, 2.0**505, 2.0**512, 2.0**1000])
def test_neighbourhoods_of_points_of_any_size_are_the_same(size, measure):
    for options in ({}, {"max_exact": 30}):
        expected = measure(X, Z, **options)
        assert measure(X * size, Z, **options) == expected
        assert measure(X, Z * size, **options) == expected


@pytest.mark.parametrize("quantile", [0.0, 0.01, 0.3, 0.5, 0.95, 0.999, 1.0])
@pytest.mark.parametrize("n", [5, 60, 1000, 40_000])
def test_interval_of_a_quantile_covers_it_with_95_percent_or_there_is_none(n, quantile):
    # The number of draws up to the quantile is binomial, whatever the distribution.
    interval = quantile_interval(np.arange(1.0, n + 1), quantile)
    tail = max(quantile**n, (1 - quantile) ** n)
    assert (interval is None) == (tail > 0.025)
    if interval is not None:
        low, value, high = interval
        assert low <= value <= high
        assert binom.cdf(low - 1, n, quantile) <= 0.025 < binom.cdf(low, n, quantile)
        assert binom.sf(high - 1, n, quantile) <= 0.025 < binom.sf(high - 2, n, quantile)


@pytest.mark.parametrize(
    "interval", [(1.0, 2.0, 2.5), (0.0, 1.0, 1.0), (1.0, 1.0, np.inf), (3.0, np.inf, np.inf)]
)
def test_standard_error_of_a_quantile_spans_both_ends_of_its_interval(interval):
    error = bounding_error(Interval(*interval))
    low, value, high = interval
    if np.isfinite(error):
        assert max(value - low, high - value) == pytest.approx(1.96 * error)
    else:
        assert error == np.inf and not np.isfinite(high)
    assert bounding_error(Interval(value, value, value)) == 0


def test_standard_errors_of_independent_factors_add_as_squares_of_relative_ones():
    factor = Interval(1.0, 1.0, np.exp(0.003))
    other = Interval(2.0, 2.0, 2 * np.exp(0.004))
    assert bounding_error(factor, other) == pytest.approx(2 * np.expm1(0.005) / 1.96)
    assert np.isnan(bounding_error(factor, None))


@pytest.mark.parametrize("quantile", [0, 0.999, 1])
@pytest.mark.parametrize("measure", [expansion, contraction, bi_lipschitz_ratio])
def test_quantile_of_which_a_sample_tells_nothing_has_no_standard_error(measure, quantile):
    sampled = {"max_exact": 2, "n_pairs": 1000, "quantile": quantile}
    with pytest.warns(UserWarning, match="sample of 1000 pairs has no standard error at quantile="):
        value, error = measure(X, Z, return_std_error=True, **sampled)
    assert np.isnan(error) and value == measure(X, Z, **sampled)
    assert measure(X, Z, quantile=quantile, return_std_error=True)[1] == 0  # all pairs


def test_few_sampled_pairs_have_no_standard_error_of_their_correlation():
    sampled = {"max_exact": 2, "n_pairs": 39}
    with pytest.warns(UserWarning, match="sample of 39 pairs has no standard error, .* n_pairs"):
        error = shepard_correlation(X, Z, return_std_error=True, **sampled)[1]
    assert np.isnan(error)
    shepard_correlation(X, Z, **sampled)  # nobody asked: no warning


def test_collapsed_map_is_infinitely_far_from_bi_lipschitz():
    assert bi_lipschitz_ratio(X, np.zeros_like(X)) == np.inf
    assert bi_lipschitz_ratio(np.zeros_like(X), X) == np.inf


@pytest.mark.slow
@pytest.mark.parametrize("quantile", [0.5, 0.95, 0.99, 0.999])
@pytest.mark.parametrize("measure", [expansion, contraction, bi_lipschitz_ratio])
def test_intervals_of_sampled_quantiles_cover_the_exact_value(measure, quantile):
    rng = np.random.default_rng(0)
    wide = rng.normal(size=(400, 5))
    tailed = np.tanh(wide @ rng.normal(size=(5, 3))) + 0.1 * rng.standard_t(2, size=(400, 3))
    exact, covered, n_seeds = measure(wide, tailed, quantile=quantile), 0, 300
    for seed in range(n_seeds):
        value, error = measure(
            wide, tailed, quantile=quantile, max_exact=2, n_pairs=5000, random_state=seed,
            return_std_error=True,
        )  # fmt: skip
        covered += abs(value - exact) <= 1.96 * error
    # Three standard errors of the count below 95%.
    assert covered / n_seeds > 0.95 - 3 * (0.95 * 0.05 / n_seeds) ** 0.5


@measures
def test_every_measure_is_a_scorer_with_the_sign_that_makes_more_better(name):
    scorer = pickle.loads(pickle.dumps(make_distortion_scorer(measure=name, within_class=False)))
    iris = load_iris().data
    found = cross_validate(PCA(2), iris, scoring=scorer, cv=2, return_estimator=True)
    value = MEASURES[name].function(iris[:75], found["estimator"][0].transform(iris[:75]))
    greater_is_better = name in {"shepard_correlation", "trustworthiness", "continuity"}
    assert found["test_score"][0] == (value if greater_is_better else -value)


@pytest.mark.parametrize("name, option", [
    ("expansion", {"quantile": 1.0}),
    ("contraction", {"quantile": 0.5}),
    ("bi_lipschitz_ratio", {"quantile": 1}),
    ("trustworthiness", {"n_neighbors": 12}),
    ("continuity", {"n_neighbors": 3}),
])  # fmt: skip
def test_a_scorer_hands_its_measure_the_quantile_or_the_neighbours(name, option):
    pca = PCA(2).fit(X)
    scorer = make_distortion_scorer(measure=name, within_class=False, **option)
    measure = MEASURES[name]
    expected = measure.sign * measure.function(X, pca.transform(X), **option)
    assert scorer(pca, X) == expected != make_distortion_scorer(measure=name)(pca, X)
    assert next(iter(option)) in repr(scorer)


def test_local_distortion_negated_is_a_scorer():
    scores = cross_validate(PCA(2), X, scoring=lambda *args: -local_distortion(*args), cv=2)
    np.testing.assert_allclose(scores["test_score"], -1, rtol=1e-9)


@measures
def test_report_holds_what_each_measure_returns_beside_the_floor(name):
    y = np.arange(60) % 2
    report = distortion_report(X, Z, y, n_neighbors=7)
    measure = MEASURES[name]
    options = {"y": y} if measure.of_pairs else {"n_neighbors": 7}
    assert report.values[name] == measure.function(X, Z, **options)
    assert report.to_frame().loc[name, "value"] == report.values[name]
    assert name in str(report) and f"<td>{name}</td>" in report._repr_html_()


def test_floor_is_the_stress_of_points_at_one_distance():
    simplex = np.eye(60)
    assert distortion_report(X, simplex).values["stress"] == pytest.approx(
        distortion_report(X, Z).floor
    )
    assert "proves nothing" in str(distortion_report(X, RNG.normal(size=(60, 1))))
    assert "lies below" in str(distortion_report(X, X[:, :4]))


def test_stress_of_embeddings_is_the_distortion_over_all_pairs():
    assert scale_normalized_stress(X, Z) == isometry_distortion(X, Z)


def test_singular_values_of_a_linear_map_are_those_of_its_matrix():
    pipeline = make_pipeline(StandardScaler(), PCA(2)).fit(X)
    matrix = pipeline[1].components_ / pipeline[0].scale_
    expected = np.linalg.svd(matrix, compute_uv=False)
    np.testing.assert_allclose(jacobian_singular_values(pipeline, X), [expected] * 60)
    ratio = expected[0] / expected[1]
    assert local_distortion(pipeline, X) == pytest.approx(ratio)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("width", [2, 5, 60])
def test_direction_that_collapses_has_infinite_distortion_everywhere(width, dtype):
    rows = np.random.default_rng(width).normal(size=(40, width)).astype(dtype)
    for last in (Normalizer(), make_pipeline(StandardScaler(), Normalizer())):
        model = last.fit(rows)
        assert local_distortion(model, rows, quantile=0) == np.inf
        values = jacobian_singular_values(model, rows)
        assert (values[:, -1] == 0).all() and (values[:, -2] > 0).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_direction_that_shrinks_without_collapsing_has_its_ratio(dtype):
    rows = np.array([[-1.0, -1e11], [1.0, 1e11]], dtype=dtype)
    assert local_distortion(StandardScaler().fit(rows), rows) == pytest.approx(1e11, rel=1e-6)


def test_singular_values_of_a_network_agree_with_finite_differences():
    model = IsometricClassifier(
        hidden_layer_sizes=(7, 2), activation="tanh", max_epochs=2, random_state=0
    ).fit(X, np.arange(60) % 3)
    step = 1e-6
    moved = [(model.transform(X + step * e) - model.transform(X - step * e)) for e in np.eye(5)]
    jacobians = np.stack(moved, axis=2) / (2 * step)
    expected = np.linalg.svd(jacobians, compute_uv=False)
    np.testing.assert_allclose(jacobian_singular_values(model, X), expected, atol=1e-7)


@pytest.mark.parametrize("call, message", [
    (lambda: expansion(X, Z, quantile=1.5), "quantile == 1.5, must be <= 1"),
    (lambda: expansion(X, Z[:5]), "60 samples in X and 5 in Z"),
    (lambda: contraction(X, Z, metric="cosine"), "metric must be one of"),
    (lambda: shepard_correlation(X * np.nan, Z), "contains NaN"),
    (lambda: trustworthiness(X, Z, n_neighbors=30), "less than half of the points; got 30 for 60"),
    (lambda: make_distortion_scorer(measure="kruskal"), "measure must be one of"),
    (lambda: make_distortion_scorer(quantile=0.5), r"parameter of \['expansion'.*'stress'. Leave"),
    (lambda: make_distortion_scorer(measure="expansion", quantile=2), "quantile == 2, must be"),
    (lambda: make_distortion_scorer(measure="continuity", n_neighbors=0), "n_neighbors == 0"),
])  # fmt: skip
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
