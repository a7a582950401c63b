"""Classifiers that are constant on boxes against exact distances, and labels of one class."""

import numpy as np
import pytest
from cells import ORDER, exact_distances, grid, leaves
from few_queries import for_distance
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_breast_cancer, make_classification
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer, KBinsDiscretizer, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from sklearn_iso import ThreatModel
from sklearn_iso.attacks import AttackEnsemble, RayS
from sklearn_iso.metrics import (
    adversarial_accuracy,
    adversarial_distance,
    certified_distance,
    robustness_curve,
    robustness_report,
)

slow = pytest.mark.slow
norms = pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
most_norms_slow = pytest.mark.parametrize(
    "norm", ["linf", pytest.param("l2", marks=slow), pytest.param("l1", marks=slow)]
)


def problem(n_features, seed=1):
    return make_classification(
        300, n_features, n_informative=5, n_redundant=1, flip_y=0.05, random_state=seed
    )


# With 0 and 2, narrow leaves are near to many samples.
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=slow), pytest.param(2, marks=slow)])
@norms
def test_trees_get_the_exact_robust_accuracy_and_distance(norm, seed):
    X, y = problem(8, seed)
    tree = DecisionTreeClassifier(random_state=0).fit(X[::2], y[::2])
    X, y = X[1::2], y[1::2]
    exact = exact_distances(leaves(tree), X, y, norm)
    assert ((exact == 0) == (tree.predict(X) != y)).all()
    right = exact > 0
    found = adversarial_distance(tree, X, y, threat=norm, random_state=0)[right] / exact[right]
    assert found.min() >= 1 - 1e-4  # trees round to float32
    assert np.median(found) < 1.05 and np.quantile(found, 0.95) < 1.25
    eps = np.quantile(exact[right], [0.3, 0.6])
    curve = robustness_curve(tree, X, y, eps=eps, threat=norm, random_state=0)
    np.testing.assert_allclose(curve, [(exact > e).mean() for e in eps], atol=0.03)


def test_a_tree_behind_a_scaler_gets_the_exact_distance():
    X, y = problem(8, seed=0)
    scale = 10.0 ** np.arange(-4, 4)
    model = make_pipeline(StandardScaler(), DecisionTreeClassifier(random_state=0))
    model.fit(X[::2] * scale, y[::2])
    scaler, tree = model
    X, y = X[1::2] * scale, y[1::2]
    exact = exact_distances(leaves(tree), scaler.transform(X), y, "l2")
    right = exact > 0
    options = {"threat": ThreatModel("l2", units=scaler.scale_), "random_state": 0}
    found = adversarial_distance(model, X, y, **options)[right] / exact[right]
    assert found.min() >= 1 - 1e-4
    assert np.median(found) < 1.05 and np.quantile(found, 0.95) < 1.25


@most_norms_slow
def test_forests_get_the_exact_robust_accuracy(norm):
    X, y = problem(8)
    X = X[:, np.argsort(-np.abs(X[y == 1].mean(axis=0) - X[y == 0].mean(axis=0)))[:2]]
    forest = RandomForestClassifier(30, max_depth=5, random_state=0).fit(X[::2], y[::2])
    X, y = X[1::4], y[1::4]
    splits = [tree.tree_ for tree in forest.estimators_]
    edges = [np.unique(np.hstack([s.threshold[s.feature == j] for s in splits])) for j in (0, 1)]
    exact = exact_distances(grid(forest, edges), X, y, norm)
    eps = np.quantile(exact[exact > 0], [0.3, 0.6])
    curve = robustness_curve(forest, X, y, eps=eps, threat=norm, random_state=0)
    np.testing.assert_allclose(curve, [(exact > e).mean() for e in eps], atol=0.05)


@pytest.mark.parametrize("norm", ["l2", pytest.param("l1", marks=slow)])
def test_brute_force_finds_no_errors_of_a_forest_that_were_overlooked(norm):
    X, y = problem(8)
    forest = RandomForestClassifier(30, random_state=0).fit(X[::2], y[::2])
    X, y, eps, rng = X[1::4], y[1::4], 0.8, np.random.default_rng(0)
    robust = forest.predict(X) == y
    n_moved = np.tile(np.arange(1, 9), 250)[:, None]
    v = rng.exponential(size=(2000, 8)) * rng.choice([-1, 1], size=(2000, 8))
    v *= rng.permuted(np.tile(np.arange(8), (2000, 1)), axis=1) < n_moved
    v /= np.linalg.norm(v, ORDER[norm], axis=1, keepdims=True)
    for some in np.split(eps * v, 20):
        points = X + some[:, None, :]
        robust &= (forest.predict(points.reshape(-1, 8)).reshape(len(some), -1) == y).all(axis=0)
    assert 0.2 < robust.mean() < 0.8
    found = adversarial_accuracy(forest, X, y, eps=eps, threat=norm, random_state=0)
    assert found <= robust.mean() + 0.05


def cells_of(model):
    first = model[0]
    edges = [[0.0]] * 6
    if isinstance(first, KBinsDiscretizer):
        edges = [e[1:-1] for e in first.bin_edges_]
    return grid(model, edges)


@pytest.mark.parametrize("norm", ["l2", pytest.param("l1", marks=slow)])
@pytest.mark.parametrize(
    "first, last",
    [
        (Binarizer(), MLPClassifier((16,), solver="lbfgs", max_iter=60, random_state=0)),
        (
            KBinsDiscretizer(3, encode="onehot-dense", quantile_method="averaged_inverted_cdf"),
            LogisticRegression(),
        ),
    ],
    ids=["binarizer", "bins"],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_discretised_features_get_the_exact_robust_accuracy(first, last, norm):
    X, y = problem(6)
    model = make_pipeline(first, last).fit(X, y)
    X, y = X[:40], y[:40]
    exact = exact_distances(cells_of(model), X, y, norm)
    eps = np.quantile(exact[exact > 0], [0.3, 0.6])
    curve = robustness_curve(model, X, y, eps=eps, threat=norm, random_state=0)
    truth = np.array([(exact > e).mean() for e in eps])
    assert (curve >= truth - 1e-9).all() and (curve <= truth + 0.05).all()


@pytest.fixture(scope="module")
def voting():
    """Labels alone; rows of class 0 (malignant) first."""
    X, y = load_breast_cancer(return_X_y=True)
    members = [
        ("linear", make_pipeline(StandardScaler(), LogisticRegression())),
        ("forest", RandomForestClassifier(10, random_state=0)),
        ("bayes", GaussianNB()),
    ]
    model = VotingClassifier(members).fit(X, y)
    malignant, benign = (np.flatnonzero((model.predict(X) == y) & (y == k))[:20] for k in (0, 1))
    return model, X, y, malignant, np.concatenate([malignant, benign])


def test_what_is_found_for_a_sample_does_not_depend_on_others(voting):
    model, X, y, alone, beside = voting
    options = {
        "threat": ThreatModel(units=X.std(axis=0)),
        "attack": AttackEnsemble(n_queries=150),
        "random_state": 0,
    }
    found = adversarial_distance(model, X[alone], y[alone], **for_distance(options))
    assert np.isfinite(found).all()
    together = adversarial_distance(model, X[beside], y[beside], **for_distance(options))
    np.testing.assert_array_equal(together[: len(alone)], found)


def test_samples_of_a_single_class_are_no_more_robust_than_beside_others(voting):
    model, X, y, alone, beside = voting
    options = {"attack": RayS(n_queries=200), "random_state": 0}
    options |= {"eps": 1, "threat": ThreatModel(units=X.std(axis=0))}
    robust = adversarial_accuracy(model, X[alone], y[alone], **options)
    both = adversarial_accuracy(model, X[beside], y[beside], **options)
    others = beside[len(alone) :]
    rest = adversarial_accuracy(model, X[others], y[others], **options)
    assert both == pytest.approx((robust + rest) / 2) and robust < 0.7


class LabelsAlone(ClassifierMixin, BaseEstimator):
    """A constant classifier that tells labels alone."""

    def fit(self, X, y):
        self.inner_ = DummyClassifier().fit(X, y)
        self.classes_ = self.inner_.classes_
        return self

    def predict(self, X):
        return self.inner_.predict(X)


def test_samples_that_met_no_other_label_are_told():
    X, y = problem(8)
    model = LabelsAlone().fit(X, y)
    n = int((model.predict(X) == y).sum())
    options = {"attack": AttackEnsemble(n_queries=20), "random_state": 0}
    told = f"another label was met for {n} of 300 samples"
    with pytest.warns(UserWarning, match=f"{told}.* the accuracy may be too high. Raise n_queries"):
        assert adversarial_accuracy(model, X, y, eps=1.0, **options) == n / 300
    with pytest.warns(UserWarning, match=told):
        distances = adversarial_distance(model, X, y, **for_distance(options))
    assert np.isinf(distances).sum() == n
    report = robustness_report(model, X, y, eps=[0.5, 1.0], **options)
    assert report.n_unseen == n and told in str(report)


def test_samples_that_provably_meet_no_other_label_are_not_told():
    X = np.random.default_rng(0).normal(size=(20, 2))
    y = (X[:, 0] > 0).astype(int)
    tree = DecisionTreeClassifier(max_depth=1).fit(X, y)
    threat, attack = ThreatModel(immutable=[0]), RayS(n_queries=20)
    # Warnings are errors.
    distances = adversarial_distance(tree, X, y, threat=threat, attack=attack, random_state=0)
    assert np.isinf(distances).all()
    assert np.isinf(certified_distance(tree, X, y, threat=threat)).all()


def told_of(measure, model, X, y, **options):
    """Return the one warning of a measure."""
    with pytest.warns(UserWarning, match="may be too high") as caught:
        measure(model, X, y, attack=RayS(n_queries=20), random_state=0, **options)
    (told,) = caught
    return str(told.message)


def test_scores_are_advised_where_they_are_missed_and_would_be_asked_for():
    X, y = problem(8)
    labels, scores = LabelsAlone().fit(X, y), DummyClassifier().fit(X, y)
    advice = "or give the estimator scores"
    assert advice in told_of(adversarial_accuracy, labels, X, y, eps=1.0)
    assert advice not in told_of(adversarial_accuracy, scores, X, y, eps=1.0)
    assert advice not in told_of(adversarial_distance, labels, X, y)
    for model, is_advised in ((labels, True), (scores, False)):
        report = robustness_report(model, X, y, eps=1.0, attack=RayS(n_queries=20), random_state=0)
        assert report.n_unseen and (advice in str(report)) == is_advised
