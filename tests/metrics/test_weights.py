"""Weights of samples: 2 is the sample twice, 0 leaves it out, and a common factor does nothing."""

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import coo_array, csr_matrix
from scipy.stats import binomtest, spearmanr
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import PolynomialFeatures

from sklearn_iso.metrics import (
    adversarial_accuracy,
    adversarial_distance,
    bi_lipschitz_ratio,
    centered_kernel_alignment,
    continuity,
    contraction,
    distortion_report,
    expansion,
    hierarchical_f1_score,
    isometry_distortion,
    local_distortion,
    make_adversarial_scorer,
    make_distortion_scorer,
    make_level_scorer,
    make_representation_scorer,
    procrustes_distance,
    robustness_curve,
    robustness_report,
    shepard_correlation,
    tree_distance,
    trustworthiness,
)
from sklearn_iso.metrics._weights import upper_quantile, wilson_interval

X, Y = load_iris(return_X_y=True)
X, Y = X[::3], Y[::3]
N = len(X)
MODEL = LogisticRegression(max_iter=500).fit(X, Y)
WEIGHT = np.random.RandomState(0).randint(4, size=N).astype(float)
PATHS = np.column_stack([Y > 0, Y])


class Plane(PCA):
    """A map that is far from a similarity, so that distortions tell samples apart."""

    def transform(self, X):
        return np.tanh(super().transform(X))


PLANE = Plane(2).fit(X)
STEP = {"eps": 0.3, "attack": "fgsm"}


class Leveled(KNeighborsClassifier):
    """Labels of two levels, each predicted by one sample."""

    def at_level(self, level):
        return KNeighborsClassifier(1).fit(self._fit_X, np.asarray(self._y)[:, level])


LEVELED = Leveled(1).fit(X, PATHS)
#: ``(X, y, sample_weight) -> float or array``; each pair of samples or each sample counts alone.
MEASURES = {
    "accuracy": lambda X, y, w: adversarial_accuracy(MODEL, X, y, **STEP, sample_weight=w),
    "auto": lambda X, y, w: adversarial_accuracy(
        MODEL, X, y, eps=0.3, random_state=0, sample_weight=w
    ),
    "curve": lambda X, y, w: robustness_curve(
        MODEL, X, y, eps=[0, 0.4, 0.2], attack="fgsm", sample_weight=w
    ),
    "curve by distance": lambda X, y, w: robustness_curve(
        MODEL, X, y, eps=[0, 0.3], method="distance", random_state=0, sample_weight=w
    ),
    "report": lambda X, y, w: robustness_report(
        MODEL, X, y, eps=[0, 0.3], attack="fgsm", n_diagnosed=0, sample_weight=w
    ).accuracy,
    "classes in a report": lambda X, y, w: robustness_report(
        MODEL, X, y, eps=[0, 0.3], attack="fgsm", n_diagnosed=0, sample_weight=w
    ).class_accuracy,
    "scorer": lambda X, y, w: make_adversarial_scorer(**STEP)(MODEL, X, y, sample_weight=w),
    "scorer of a level": lambda X, y, w: make_level_scorer(make_adversarial_scorer(eps=0), 1)(
        LEVELED, X, np.column_stack([y > 0, 2 - y]), sample_weight=w
    ),
    "stress": lambda X, y, w: isometry_distortion(X, PLANE.transform(X), y, sample_weight=w),
    "expansion": lambda X, y, w: expansion(X, PLANE.transform(X), y, sample_weight=w),
    "contraction": lambda X, y, w: contraction(
        X, PLANE.transform(X), quantile=0.5, sample_weight=w
    ),
    "ratio": lambda X, y, w: bi_lipschitz_ratio(X, PLANE.transform(X), sample_weight=w),
    "correlation": lambda X, y, w: shepard_correlation(X, PLANE.transform(X), sample_weight=w),
    "procrustes": lambda X, y, w: procrustes_distance(X, PLANE.transform(X), sample_weight=w),
    "alignment": lambda X, y, w: centered_kernel_alignment(X, PLANE.transform(X), sample_weight=w),
    "representation scorer": lambda X, y, w: make_representation_scorer()(
        PLANE, X, y, sample_weight=w
    ),
    "distortion scorer": lambda X, y, w: make_distortion_scorer(measure="expansion", scale=2.0)(
        PLANE, X, y, sample_weight=w
    ),
    "local distortion": lambda X, y, w: local_distortion(
        PolynomialFeatures().fit(X), X, quantile=0.3, sample_weight=w
    ),
    "hierarchical": lambda X, y, w: hierarchical_f1_score(
        np.column_stack([y > 0, y]), LEVELED.predict(X[:, ::-1]), sample_weight=w
    ),
}  # fmt: skip


by_measure = pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)


@by_measure
def test_weight_two_is_the_sample_twice_and_zero_leaves_it_out(measure):
    times = np.repeat(np.arange(N), WEIGHT.astype(int))
    found = measure(X, Y, WEIGHT)
    np.testing.assert_allclose(found, measure(X[times], Y[times], None), rtol=1e-9)
    assert not np.allclose(found, measure(X, Y, None), rtol=1e-4)


@by_measure
def test_no_weights_are_ones_and_a_common_factor_does_nothing(measure):
    np.testing.assert_array_equal(measure(X, Y, np.ones(N)), measure(X, Y, None))
    expected = measure(X, Y, WEIGHT)
    for factor in (0.37, 1e200):
        np.testing.assert_allclose(measure(X, Y, factor * WEIGHT), expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.r_[-1.0, np.ones(N - 1)], "at least 0|[Nn]egative"),
        (np.r_[np.nan, np.ones(N - 1)], "NaN"),
        (np.r_[np.inf, np.ones(N - 1)], "infinity"),
        (np.nan, "must be finite; got nan|one number for each|array-like or None"),
        (np.ones(N - 1), "sample_weight.shape|one number for each"),
        (np.ones((N, 1)), "1D|one number for each"),
        (np.zeros(N), "positive for at least one sample|not 0 in every"),
    ],
    ids=["negative", "nan", "infinite", "one nan", "short", "2d", "zero"],
)
def test_weights_that_are_none_are_refused_by_every_measure(wrong, message):
    for name, measure in MEASURES.items():
        if name == "hierarchical":
            message = f"{message}|finite, at least 0"
        with pytest.raises(ValueError, match=message):
            measure(X, Y, wrong)
    for function in (trustworthiness, continuity, distortion_report):
        with pytest.raises(ValueError, match=message):
            function(X, X, sample_weight=wrong)
    with pytest.raises(ValueError, match=message):
        adversarial_distance(MODEL, X, Y, sample_weight=wrong)


@pytest.mark.parametrize("attack", ["auto", "pgd"])
def test_at_budget_zero_it_is_the_weighted_accuracy(attack):
    weight, y = np.random.RandomState(1).rand(N), np.where(np.arange(N) % 3, Y, 2 - Y)
    expected = accuracy_score(y, MODEL.predict(X), sample_weight=weight)
    assert adversarial_accuracy(
        MODEL, X, y, eps=0, attack=attack, sample_weight=weight
    ) == pytest.approx(expected, rel=1e-12)


def test_samples_of_weight_zero_are_not_even_attacked():
    seen = []

    def attack(logits, X, y, *, eps, threat):
        seen.append(len(X))
        return X

    adversarial_accuracy(MODEL, X, Y, eps=0.1, attack=attack, sample_weight=Y == 0)
    assert seen == [int(np.sum(Y == 0))]


def test_weights_hold_for_frames_sparse_matrices_and_lists():
    expected = MEASURES["accuracy"](X, Y, WEIGHT)
    for data in (pd.DataFrame(X), csr_matrix(X), coo_array(X), X.tolist()):
        model = LogisticRegression(max_iter=500).fit(X, Y)
        if isinstance(data, pd.DataFrame):
            model.fit(data, Y)
        labels, weight = pd.Series(Y, index=np.arange(N)[::-1]), pd.Series(WEIGHT)
        found = adversarial_accuracy(model, data, labels, **STEP, sample_weight=weight)
        assert found == pytest.approx(expected)


def test_distances_are_those_of_the_samples_that_count_and_nan_elsewhere():
    found = adversarial_distance(MODEL, X, Y, sample_weight=WEIGHT, random_state=0)
    counts = WEIGHT > 0
    expected = adversarial_distance(MODEL, X[counts], Y[counts], random_state=0)
    np.testing.assert_array_equal(found[counts], expected)
    assert np.isnan(found[~counts]).all() and (~counts).any()


def test_report_tells_of_how_many_samples_its_intervals_are():
    options = {"eps": [0.3], "attack": "fgsm", "n_diagnosed": 0}
    plain = robustness_report(MODEL, X, Y, **options)
    ones = robustness_report(MODEL, X, Y, **options, sample_weight=np.full(N, 7.0))
    np.testing.assert_allclose(ones.interval, plain.interval, rtol=1e-12)
    assert (plain.n_effective, ones.n_effective) == (None, N)
    report = robustness_report(MODEL, X, Y, **options, sample_weight=WEIGHT)
    assert report.n_effective == pytest.approx(WEIGHT.sum() ** 2 / (WEIGHT**2).sum())
    assert report.n_samples == report.class_counts.sum() == (WEIGHT > 0).sum()
    assert np.ptp(report.interval) > np.ptp(plain.interval)
    assert f"weighted: as {report.n_effective:.4g}" in str(report)


@pytest.mark.parametrize("n_right", [0, 1, 33, 50])
def test_interval_is_that_of_scipy(n_right):
    expected = binomtest(n_right, 50).proportion_ci(0.95, method="wilson")
    found = wilson_interval(n_right / 50, 50.0)
    np.testing.assert_allclose(found, (expected.low, expected.high), rtol=1e-12, atol=1e-15)


def test_trustworthiness_is_a_weighted_mean_over_samples():
    Z = PLANE.transform(X)
    of_each = [
        trustworthiness(X, Z, sample_weight=np.eye(N)[i] + 1e-12, n_neighbors=4) for i in range(N)
    ]
    assert np.ptp(of_each) > 0.01
    weight = WEIGHT + 0.5
    expected = np.average(of_each, weights=weight)
    for function, sides in ((trustworthiness, (X, Z)), (continuity, (Z, X))):
        found = function(*sides, sample_weight=weight, n_neighbors=4)
        assert found == pytest.approx(expected, abs=1e-9)
    assert trustworthiness(X, Z, sample_weight=np.ones(N)) == trustworthiness(X, Z)
    counts = WEIGHT > 0
    found, expected = (
        trustworthiness(X, Z, sample_weight=counts),
        trustworthiness(X[counts], Z[counts]),
    )
    assert found == expected


def test_sampled_pairs_are_weighted_within_their_standard_error():
    Z, weight = PLANE.transform(X), WEIGHT + 0.1
    draw = {"max_exact": 10, "n_pairs": 4000, "return_std_error": True, "sample_weight": weight}
    for function in (isometry_distortion, expansion, shepard_correlation):
        exact = function(X, Z, sample_weight=weight)
        found, error = function(X, Z, **draw)
        assert 0 < abs(found - exact) < 4 * error < 0.5 * abs(exact)


def test_report_of_distortion_holds_the_weighted_measures():
    Z = PLANE.transform(X)
    report = distortion_report(X, Z, Y, n_neighbors=4, sample_weight=WEIGHT)
    assert report.n_samples == (WEIGHT > 0).sum()
    assert report.values["stress"] == isometry_distortion(X, Z, Y, sample_weight=WEIGHT)
    times = np.repeat(np.arange(N), WEIGHT.astype(int))
    i, j = np.triu_indices(len(times), k=1)
    of_class = (Y[times[i]] == Y[times[j]]) & (times[i] != times[j])
    d_X = np.linalg.norm(X[times[i]] - X[times[j]], axis=1)[of_class]
    assert report.floor == pytest.approx(d_X.std() / np.sqrt((d_X**2).mean()))


def test_correlation_of_ones_is_that_of_scipy_where_no_pair_coincides():
    few = np.unique(X, axis=0)
    Z = PLANE.transform(few)
    i, j = np.triu_indices(len(few), k=1)
    distances = [np.linalg.norm(points[i] - points[j], axis=1) for points in (few, Z)]
    expected = spearmanr(*distances).statistic
    for weight in (None, np.ones(len(few))):
        found = shepard_correlation(few, Z, sample_weight=weight)
        assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("quantile", [0, 0.05, 0.3, 0.5, 0.95, 1])
def test_quantile_is_one_of_the_values_and_counts_weights_as_copies(quantile):
    rng = np.random.RandomState(3)
    for n in range(1, 45):
        values, weight = rng.rand(n).round(1), rng.randint(1, 4, size=n).astype(float)
        found = upper_quantile(values, quantile, weight * 0.1)
        assert found == upper_quantile(np.repeat(values, weight.astype(int)), quantile)
        plain = upper_quantile(values, quantile)
        assert plain in values
        if quantile in (0.5, 0.95, 1):  # the defaults have not moved
            assert plain == np.quantile(values, quantile, method="higher")


def test_tree_distance_is_a_weighted_mean():
    weight = np.random.RandomState(2).rand(N)
    predicted = np.roll(PATHS, 7, axis=0)
    each = [tree_distance(PATHS[i : i + 1], predicted[i : i + 1]) for i in range(N)]
    found = tree_distance(PATHS, predicted, sample_weight=weight)
    assert found == pytest.approx(np.average(each, weights=weight))
