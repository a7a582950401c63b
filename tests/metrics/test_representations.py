"""Procrustes distance, kernel alignment, representational similarity: oracles, invariances."""

import pickle
import tracemalloc
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import procrustes
from scipy.spatial.distance import pdist, squareform
from scipy.stats import kstest, ortho_group, pearsonr, spearmanr
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sklearn_iso.metrics import _centering as centering
from sklearn_iso.metrics import (
    centered_kernel_alignment,
    make_representation_scorer,
    procrustes_distance,
    representational_similarity,
    shepard_correlation,
)
from sklearn_iso.metrics._representation_scorer import MEASURES

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 5)) * [1, 2, 1, 3, 1]
Z = np.tanh(X @ RNG.normal(size=(5, 3)))
NOISE = RNG.normal(size=(40, 300))
WEIGHT = np.arange(40) % 3
ONE = {procrustes_distance: 0.0, centered_kernel_alignment: 1.0, representational_similarity: 1.0}
each = pytest.mark.parametrize("measure", ONE, ids=lambda measure: measure.__name__)


def squared_distance_kernel(points):
    """Return inner products of centred points, from their distances alone."""
    center = np.eye(len(points)) - 1 / len(points)
    return -0.5 * center @ squareform(pdist(points, "sqeuclidean")) @ center


def cosine(a, b):
    return np.sum(a * b) / np.sqrt(np.sum(a * a) * np.sum(b * b))


def u_centered(points):
    """Return squared distances without the diagonal, centred as by Szekely and Rizzo (2014)."""
    n, kernel = len(points), squareform(pdist(points, "sqeuclidean"))
    rows = kernel.sum(axis=0) / (n - 2)
    found = kernel - rows - rows[:, np.newaxis] + kernel.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(found, 0)
    return found


def test_procrustes_distance_is_the_angle_whose_sine_is_the_root_of_scipys_disparity():
    for other in (Z @ RNG.normal(size=(3, 5)), X**3):
        disparity = procrustes(X, other)[2]
        assert np.sin(procrustes_distance(X, other)) ** 2 == pytest.approx(disparity, rel=1e-10)


def test_procrustes_distance_is_a_quarter_turn_for_what_shares_no_direction():
    contrasts = np.linalg.qr(np.c_[np.ones(8), RNG.normal(size=(8, 4))])[0][:, 1:]
    assert procrustes_distance(contrasts[:, :2], contrasts[:, 2:]) == pytest.approx(np.pi / 2)
    assert procrustes_distance(contrasts, contrasts[:, :2]) == pytest.approx(np.pi / 4)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31 - 1))
def test_procrustes_distance_keeps_the_triangle_inequality(seed):
    rng = np.random.default_rng(seed)
    a, b, c = (rng.normal(size=(6, rng.integers(1, 4))) for _ in range(3))
    direct = procrustes_distance(a, c)
    assert direct <= procrustes_distance(a, b) + procrustes_distance(b, c) + 1e-9


def test_small_procrustes_distances_keep_their_digits():
    moved = X.copy()
    moved[0] += 1e-9
    apart = X - X.mean(axis=0) - (moved - moved.mean(axis=0))
    angle = np.linalg.norm(apart) / np.linalg.norm(X - X.mean(axis=0))
    assert 0.3 * angle < procrustes_distance(X, moved) < 1.1 * angle


@pytest.mark.parametrize("other", [Z, NOISE], ids=["fewer features", "more features than samples"])
def test_kernel_alignment_is_the_cosine_of_doubly_centred_squared_distances(other):
    expected = cosine(squared_distance_kernel(X), squared_distance_kernel(other))
    assert centered_kernel_alignment(X, other) == pytest.approx(expected, rel=1e-10)
    expected = cosine(u_centered(X), u_centered(other))
    assert centered_kernel_alignment(X, other, debiased=True) == pytest.approx(expected, abs=1e-12)


def test_debiased_alignment_of_noise_is_none_on_average():
    rng = np.random.default_rng(1)
    pairs = [rng.normal(size=(2, 20, 100)) for _ in range(50)]
    plain = [centered_kernel_alignment(*pair) for pair in pairs]
    debiased = [centered_kernel_alignment(*pair, debiased=True) for pair in pairs]
    assert min(plain) > 0.7
    assert abs(np.mean(debiased)) < 4 * np.std(debiased) / 50**0.5


@pytest.mark.parametrize(
    "metric", ["euclidean", "sqeuclidean", "cityblock", "correlation", "cosine"]
)
def test_similarity_is_scipys_correlation_of_scipys_dissimilarities(metric):
    a, b = pdist(X, metric), pdist(Z, metric)
    expected = {
        "spearman": spearmanr(a, b)[0],
        "pearson": pearsonr(a, b)[0],
        "cosine": cosine(a, b),
    }
    for comparison, value in expected.items():
        found = representational_similarity(X, Z, metric=metric, comparison=comparison)
        assert found == pytest.approx(value, rel=1e-9)


def test_similarity_by_rank_of_euclidean_distances_is_the_shepard_correlation():
    for weight in (None, WEIGHT):
        found = representational_similarity(X, Z, sample_weight=weight)
        assert found == pytest.approx(shepard_correlation(X, Z, sample_weight=weight), rel=1e-12)


@each
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), scale=st.sampled_from([1e-200, 1e-3, 7.0, 1e200]))
def test_a_similarity_of_either_side_changes_nothing(measure, seed, scale):
    rng = np.random.default_rng(seed)
    moved = scale * (X @ ortho_group.rvs(5, random_state=seed) + rng.normal(size=5))
    assert measure(moved, Z) == pytest.approx(measure(X, Z), abs=1e-9)
    assert measure(Z, moved) == pytest.approx(measure(X, Z), abs=1e-9)
    assert measure(X, moved[:, rng.permutation(5)]) == pytest.approx(ONE[measure], abs=1e-7)
    together = rng.permutation(40)
    assert measure(X[together], Z[together]) == pytest.approx(measure(X, Z), abs=1e-9)


@each
def test_identical_maps_are_alike_and_unrelated_ones_are_not(measure):
    assert measure(NOISE, NOISE) == pytest.approx(ONE[measure], abs=1e-7)
    assert abs(measure(X, Z) - ONE[measure]) > abs(measure(X, X + 0.01) - ONE[measure]) + 0.05


@pytest.mark.parametrize("measure", [procrustes_distance, centered_kernel_alignment])
def test_blocks_change_nothing(measure, monkeypatch):
    images = Z.reshape(40, 3, 1).astype(np.float32)
    for weight in (None, WEIGHT):
        whole = measure(X, images, sample_weight=weight)
        with monkeypatch.context() as small:
            small.setattr(centering, "_BLOCK_ENTRIES", 15)
            assert measure(X, images, sample_weight=weight) == pytest.approx(whole, rel=1e-9)


@pytest.mark.parametrize("measure", [procrustes_distance, centered_kernel_alignment])
def test_large_inputs_are_centred_without_a_copy(measure, monkeypatch):
    monkeypatch.setattr(centering, "_BLOCK_ENTRIES", 2**15)
    wide = np.ones((20_000, 64), dtype=np.float32)  # 5 MB, and 10 MB in float64
    tracemalloc.start()
    measure(wide, wide[:, :8])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4e6


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_what_has_collapsed_is_like_nothing(weight):
    point = np.full((40, 3), 0.1)
    assert procrustes_distance(X, point, sample_weight=weight) == np.pi / 2
    assert procrustes_distance(point, 3 * point, sample_weight=weight) == 0
    assert centered_kernel_alignment(X, point, sample_weight=weight) == 0
    assert representational_similarity(point, X, sample_weight=weight) == 0


def test_p_value_is_the_share_of_all_permutations_for_few_samples():
    a, b = RNG.normal(size=(2, 5, 2))
    far_a, far_b = squareform(pdist(a)), squareform(pdist(b))
    upper = np.triu_indices(5, 1)
    value = pearsonr(far_a[upper], far_b[upper])[0]
    orders = [np.array(order) for order in permutations(range(5))]
    all_of_them = [pearsonr(far_a[upper], far_b[np.ix_(o, o)][upper])[0] for o in orders]
    share = np.mean(np.array(all_of_them) >= value - 1e-12)
    _, found = representational_similarity(
        a, b, comparison="pearson", n_permutations=4000, return_p_value=True
    )
    assert found == pytest.approx(share, abs=4 * (share * (1 - share) / 4000) ** 0.5)


def test_p_values_of_unrelated_maps_are_uniform():
    rng = np.random.default_rng(0)
    found = [
        representational_similarity(
            rng.normal(size=(8, 2)), rng.normal(size=(8, 2)), n_permutations=99,
            random_state=seed, return_p_value=True,
        )[1]
        for seed in range(100)
    ]  # fmt: skip
    assert kstest(found, "uniform").pvalue > 0.01


def test_p_value_of_a_similarity_is_the_least_there_is_and_seeded():
    options = {"n_permutations": 49, "return_p_value": True}
    assert representational_similarity(X, 3 * X, **options) == (pytest.approx(1), 1 / 50)
    noisy = X + 6 * NOISE[:, :5]
    found = [representational_similarity(X, noisy, random_state=s, **options) for s in (1, 1, 2)]
    assert found[0] == found[1] != found[2]


def test_of_many_samples_some_are_drawn():
    some = [representational_similarity(X, Z, max_exact=20, random_state=s) for s in (1, 1, 2)]
    assert some[0] == some[1] != some[2]
    assert some[0] == pytest.approx(representational_similarity(X, Z), abs=0.2)


@pytest.mark.parametrize("options, message", [
    ({"metric": "l7"}, "metric must be one of"),
    ({"comparison": "kendall"}, "comparison must be one of"),
    ({"max_exact": 1}, "max_exact"),
    ({"n_permutations": 0}, "n_permutations"),
    ({"return_p_value": True, "sample_weight": WEIGHT}, "takes no sample_weight but equal ones"),
    ({"metric": "cosine"}, "sample 3 of X"),
    ({"metric": "correlation"}, "varies over its features; sample 3 of X"),
])  # fmt: skip
def test_similarity_refuses_what_has_no_answer(options, message):
    flat = X.copy()
    flat[3] = 0
    with pytest.raises(ValueError, match=message):
        representational_similarity(flat, Z, **options)


def test_debiased_alignment_refuses_few_samples_and_weights():
    with pytest.raises(ValueError, match="at least 4 samples; got 3"):
        centered_kernel_alignment(X[:3], Z[:3], debiased=True)
    with pytest.raises(ValueError, match="takes no sample_weight but equal ones"):
        centered_kernel_alignment(X, Z, debiased=True, sample_weight=WEIGHT)
    with pytest.raises(ValueError, match="takes no sample_weight but equal ones"):
        centered_kernel_alignment(NOISE, Z, debiased=True, sample_weight=WEIGHT)
    half = np.arange(40) % 2
    found = centered_kernel_alignment(X, Z, debiased=True, sample_weight=half)
    assert found == pytest.approx(centered_kernel_alignment(X[1::2], Z[1::2], debiased=True))


@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_is_a_scorer_with_the_sign_that_makes_more_better(name):
    scorer = pickle.loads(pickle.dumps(make_representation_scorer(measure=name)))
    iris = load_iris().data
    found = cross_validate(PCA(2), iris, scoring=scorer, cv=2, return_estimator=True)
    function, sign, _ = MEASURES[name]
    value = sign * function(iris[:75], found["estimator"][0].transform(iris[:75]))
    assert found["test_score"][0] == value
    perfect = scorer(FunctionTransformer().fit(X), X)
    assert perfect == pytest.approx(sign * ONE[function], abs=1e-7) and perfect >= value


@pytest.mark.parametrize("name", MEASURES)
def test_search_over_a_pipeline_prefers_the_components_that_keep_most(name):
    pipeline = make_pipeline(StandardScaler(), PCA(random_state=0))
    scorer = make_representation_scorer(measure=name, scale=load_iris().data.std(axis=0))
    search = GridSearchCV(pipeline, {"pca__n_components": [1, 2, 4]}, scoring=scorer, cv=3)
    search.fit(*load_iris(return_X_y=True))
    assert search.best_params_ == {"pca__n_components": 4}


@pytest.mark.parametrize("name, option", [
    ("centered_kernel_alignment", {"debiased": True}),
    ("representational_similarity", {"metric": "cosine"}),
    ("representational_similarity", {"comparison": "pearson"}),
    ("representational_similarity", {"max_exact": 20}),
])  # fmt: skip
def test_a_scorer_hands_its_measure_what_it_takes(name, option):
    pca, function = PCA(2).fit(X), MEASURES[name][0]
    scorer = make_representation_scorer(measure=name, **option)
    usual = make_representation_scorer(measure=name)
    assert scorer(pca, X) == function(X, pca.transform(X), **option) != usual(pca, X)
    assert next(iter(option)) in repr(scorer)
    with pytest.raises(ValueError, match=f"{next(iter(option))} is a parameter of {name!r}"):
        make_representation_scorer(measure="procrustes_distance", **option)


def test_scorer_refuses_what_it_does_not_know():
    with pytest.raises(ValueError, match="measure must be one of"):
        make_representation_scorer(measure="stress")
    with pytest.raises(ValueError, match="scale must be finite and at least 0"):
        make_representation_scorer(scale=[-1.0])
    with pytest.raises(TypeError, match="has no transform"):
        make_representation_scorer()(Ridge().fit(X, X[:, 0]), X)
