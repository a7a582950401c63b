"""Every kind of estimator gets a result, within its budget, and gradients are never the weaker."""

import re
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csc_matrix, csr_matrix
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsOneClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC, LinearSVC

from sklearn_iso import ThreatModel
from sklearn_iso.attacks import AttackEnsemble, RayS, Square
from sklearn_iso.metrics import (
    _table as table,
)
from sklearn_iso.metrics import (
    adversarial_accuracy,
    make_adversarial_scorer,
    robustness_report,
)
from sklearn_iso.metrics._access import Access, AccessKind, Gradients
from sklearn_iso.metrics._answers import Answers
from sklearn_iso.metrics._evaluation import Evaluation
from sklearn_iso.metrics._problem import Problem

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def scaled(*steps):
    return make_pipeline(StandardScaler(), *steps)


def halves(n_features):
    half = n_features // 2
    return ColumnTransformer(
        [("first", StandardScaler(), slice(0, half)), ("rest", MinMaxScaler(), slice(half, None))]
    )


PIPELINES = {
    "logistic": lambda d: scaled(LogisticRegression()),
    "svc": lambda d: scaled(SVC()),
    "mlp": lambda d: scaled(MLPClassifier((16,), max_iter=60, random_state=0)),
    "pca svc": lambda d: scaled(PCA(3), SVC(decision_function_shape="ovo")),
    "lda": lambda d: LinearDiscriminantAnalysis(),
    "bayes": lambda d: GaussianNB(var_smoothing=1e-3),
    "neighbours": lambda d: scaled(KNeighborsClassifier()),
    "forest": lambda d: RandomForestClassifier(5, random_state=0),
    "boosting": lambda d: HistGradientBoostingClassifier(max_iter=4),
    "voting": lambda d: VotingClassifier(
        [("logistic", scaled(LogisticRegression())), ("forest", RandomForestClassifier(3))]
    ),
    "calibrated": lambda d: CalibratedClassifierCV(scaled(LinearSVC()), cv=2),
    "columns": lambda d: make_pipeline(halves(d), LogisticRegression()),
    "pairs": lambda d: scaled(OneVsOneClassifier(LinearSVC())),
}


def named(load):
    X, y = load(return_X_y=True)
    return X, np.array(["a", "b", "c"])[y]


DATA = {
    "breast_cancer": load_breast_cancer(return_X_y=True),
    "iris": named(load_iris),
    "wine": load_wine(return_X_y=True),
    "digits": tuple(part[:300] for part in load_digits(return_X_y=True)),
}


def fitted(name, X, y):
    estimator = PIPELINES[name](X.shape[1])
    if name == "voting":
        estimator.set_params(forest__random_state=0)
    return estimator.fit(X, y)


# Balls that reach about as far as that of linf in any number of features.
REACH = {"linf": lambda d: 1, "l2": lambda d: d**0.5, "l1": lambda d: d / 2}


def assert_evaluated(name, data, n_rows, n_queries, norm="linf"):
    X, y = DATA[data]
    estimator = fitted(name, X, y)
    rows = np.linspace(0, len(X) - 1, n_rows).astype(int)
    X, y, low, high = X[rows], y[rows], X.min(axis=0), X.max(axis=0)
    eps, units = 0.3 * REACH[norm](X.shape[1]), X.std(axis=0)
    threat = ThreatModel(norm, units=units, bounds=(low, high))
    case = Problem.of(estimator, X, y, threat=threat)
    right = np.flatnonzero(case.right())
    attack = AttackEnsemble(n_queries=n_queries)
    broken = Evaluation.of(case, attack, 0, right).attack(right, eps)
    moved = np.abs(broken.X_adv.numpy() - X[right])
    assert (moved <= eps * units * (1 + 1e-5) + 1e-12).all()
    assert ((broken.X_adv.numpy() >= low) & (broken.X_adv.numpy() <= high)).all()
    values = broken.X_adv.numpy()[broken.misclassified]
    assert not len(values) or (estimator.predict(values) != y[right[broken.misclassified]]).all()
    robust = (len(right) - broken.misclassified.sum()) / len(y)
    options = {"eps": eps, "random_state": 0, "threat": threat}
    assert adversarial_accuracy(estimator, X, y, attack=attack, **options) == robust
    if Access.of(case, right).kind is AccessKind.WHITE_BOX:
        by_default = adversarial_accuracy(estimator, X, y, **options)
        for kind in (Square, RayS):
            without = adversarial_accuracy(
                estimator, X, y, attack=kind(n_queries=n_queries), **options
            )
            assert by_default <= without + 0.02, kind
    return robust


@pytest.mark.parametrize("name", PIPELINES)
@pytest.mark.parametrize("data", ["iris", "breast_cancer"])
def test_every_pipeline_gets_a_result_within_its_budget(name, data):
    assert 0 <= assert_evaluated(name, data, n_rows=30, n_queries=120) < 1


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
@pytest.mark.parametrize("name", PIPELINES)
@pytest.mark.parametrize("data", DATA)
def test_every_pipeline_gets_a_result_on_all_data(name, data, norm):
    assert 0 <= assert_evaluated(name, data, n_rows=100, n_queries=300, norm=norm) < 1


X, Y = load_iris(return_X_y=True)


class OnlyPredict(ClassifierMixin, BaseEstimator):
    """A classifier that tells labels alone."""

    def __init__(self, inner):
        self.inner = inner

    def fit(self, X, y):
        self.inner_, self.classes_ = clone(self.inner).fit(X, y), np.unique(y)
        return self

    def predict(self, X):
        return self.inner_.predict(X)


class Contrary(LogisticRegression):
    """Inherits twin and probabilities of its parent, but predicts otherwise."""

    def predict(self, X):
        return np.roll(self.classes_, 1)[np.searchsorted(self.classes_, super().predict(X))]


@pytest.mark.parametrize(
    "estimator, kind, reason",
    [
        (LogisticRegression(max_iter=500), "white-box", "equals the estimator"),
        (KNeighborsClassifier(), "surrogate", "votes of neighbours"),
        (SVC(), "surrogate", "votes"),
        (RandomForestClassifier(3), "score-based", "trees.*follows its predict_proba"),
        (scaled(RandomForestClassifier(3)), "score-based", "step 'randomforestclassifier'"),
        (HistGradientBoostingClassifier(max_iter=2), "score-based", "its decision_function"),
        (OnlyPredict(SVC()), "decision-based", "neither decision_function nor predict_proba"),
        (Contrary(max_iter=500), "decision-based", "predicts otherwise.*does not follow"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_access_is_what_the_estimator_allows(estimator, kind, reason):
    case = Problem.of(estimator.fit(X, Y), X, Y)
    access = Access.of(case, np.flatnonzero(case.right()) if kind != "decision-based" else None)
    assert access.kind.value == kind
    assert re.search(reason, access.reason), access.reason


def test_the_reason_of_an_access_decides_nothing():
    case = Problem.of(Contrary(max_iter=500).fit(X, Y), X, Y)
    access = Access.of(case)
    assert access.gradients is Gradients.DISAGREE and not access.climbs
    with pytest.raises(ValueError, match="it differs: in other words"):
        replace(access, reason="in other words").require_gradients()
    sound = Access.of(Problem.of(LogisticRegression(max_iter=500).fit(X, Y), X, Y))
    assert sound.gradients is Gradients.TRUSTED
    told_otherwise = replace(sound, reason="its twin predicts otherwise")
    assert told_otherwise.trusted and told_otherwise.require_gradients() is None


@pytest.mark.parametrize("shape", ["ovo", "ovr"])
@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_scores_of_margins_decide_as_predict_does(n_classes, shape):
    digits, labels = load_digits(n_class=n_classes, return_X_y=True)
    digits, labels = digits[:200], labels[:200]
    case = Problem.of(SVC(decision_function_shape=shape).fit(digits, labels), digits, labels)
    answers = Answers.of(case)
    assert answers.source == "its decision_function"
    scores = answers.scores(case.points())
    assert scores.shape == (200, n_classes)
    assert (scores.argmax(dim=1).numpy() == labels).mean() >= 0.99


def test_contrary_estimator_is_attacked_by_its_labels():
    estimator = Contrary(max_iter=500).fit(X, Y)
    y = estimator.predict(X)
    options = {"random_state": 0, "attack": AttackEnsemble(n_queries=100)}
    curve = [adversarial_accuracy(estimator, X, y, eps=eps, **options) for eps in (0, 0.3, 4)]
    assert curve[0] == 1 > curve[1] > curve[2] and curve[2] < 0.05


def test_pipeline_with_an_unknown_step_as_a_resampler_falls_back_and_says_so():
    class Resampler(BaseEstimator):
        def fit(self, X, y=None):
            return self

        def transform(self, X):
            return X

        def __sklearn_is_fitted__(self):
            return True

    pipeline = make_pipeline(Resampler(), LogisticRegression(max_iter=500)).fit(X, Y)
    report = robustness_report(
        pipeline, X, Y, eps=[0.5], attack=AttackEnsemble(n_queries=50), random_state=0
    )
    assert report.kind == "score-based" and "'resampler' (Resampler)" in report.reason
    assert report.accuracy[0] < 0.8


def test_text_is_refused():
    pipeline = make_pipeline(CountVectorizer(), LogisticRegression())
    texts = ["good film", "bad film", "good", "bad"]
    pipeline.fit(texts, [1, 0, 1, 0])
    with pytest.raises(ValueError, match="X must hold numbers.*found 'good film'.*text"):
        adversarial_accuracy(pipeline, texts, [1, 0, 1, 0], eps=0.1)
    frame = pd.DataFrame({"size": [1.0, 2.0], "colour": ["red", "blue"]})
    model = LogisticRegression().fit(frame.assign(colour=[0, 1]), [0, 1])
    with pytest.raises(ValueError, match="could not convert string to float"):
        adversarial_accuracy(model, frame, [0, 1], eps=0.1)
    with pytest.raises(ValueError, match="columns 'colour' hold text.*as categories"):
        adversarial_accuracy(model, frame[["colour"]], [0, 1], eps=0.1)


def test_transformer_is_refused():
    kind = KMeans(2, n_init=1, random_state=0)
    with pytest.raises(TypeError, match="must be a classifier; got KMeans"):
        robustness_report(kind.fit(X), X, Y, eps=[0.1])


@pytest.mark.parametrize("kind", [csr_matrix, csc_matrix])
@pytest.mark.parametrize("model", [LogisticRegression(max_iter=500), SVC()], ids=repr)
def test_sparse_data_give_the_result_of_dense_ones(kind, model):
    dense = model.fit(X, Y)
    options = {"eps": 0.3, "random_state": 0, "attack": AttackEnsemble(n_queries=50)}
    expected = adversarial_accuracy(dense, X, Y, **options)
    sparse = clone(model).fit(kind(X), Y)
    assert abs(adversarial_accuracy(sparse, kind(X), Y, **options) - expected) < 0.02


def test_sparse_data_too_large_to_be_dense_are_refused(monkeypatch):
    monkeypatch.setattr(table, "LARGEST_DENSE_BYTES", 1000)
    with pytest.raises(ValueError, match=r"shape \(150, 4\) would take .* GiB"):
        adversarial_accuracy(LogisticRegression().fit(X, Y), csr_matrix(X), Y, eps=0.1)


def with_categories():
    generator = np.random.default_rng(0)
    colour = generator.integers(0, 3, 120)
    size = generator.normal(size=120)
    frame = pd.DataFrame(np.eye(3)[colour], columns=["red", "green", "blue"])
    frame.insert(0, "size", size)
    return frame, (size + 2 * (colour == 1) > 1).astype(int)


class Recorded(LogisticRegression):
    """A logistic regression that keeps what it was asked last."""

    def predict(self, X):
        self.last_ = X
        return super().predict(X)


@pytest.mark.parametrize("kind", [AttackEnsemble, Square, RayS])
def test_categories_stay_one_hot_and_immutable_columns_stay(kind):
    frame, y = with_categories()
    model = Recorded().fit(frame, y)
    options = {"eps": 0.2, "attack": kind(n_queries=50), "random_state": 0}
    groups = {"threat": ThreatModel(categories=[["red", "green", "blue"]])}
    assert adversarial_accuracy(model, frame, y, **groups, **options) < (
        adversarial_accuracy(
            model, frame, y, threat=ThreatModel(immutable=["red", "green", "blue"]), **options
        )
    )
    adversarial_accuracy(model, frame, y, **groups, **options)
    categories = model.last_[["red", "green", "blue"]].to_numpy()
    assert ((categories == 0) | (categories == 1)).all() and (categories.sum(axis=1) == 1).all()
    by_name, by_number, by_mask = (
        adversarial_accuracy(model, frame, y, threat=ThreatModel(immutable=immutable), **options)
        for immutable in (["size"], [0], [True, False, False, False])
    )
    assert by_name == by_number == by_mask
    assert (model.last_["size"].to_numpy() == frame["size"][model.last_.index]).all()


@pytest.mark.parametrize(
    "wrong, message",
    [
        (
            {"threat": ThreatModel(units=[0.1] * 3)},
            r"units must be .*shape \(4,\); got shape \(3,\)",
        ),
        (
            {"threat": ThreatModel(bounds=(0, 5))},
            r"X must lie inside bounds=\(0, 5\); found a maximum of 7.9",
        ),
        (
            {"threat": ThreatModel(immutable=[True, False])},
            r"immutable must be a mask .*shape \(4,\)",
        ),
        ({"threat": ThreatModel(immutable=[0, 1, 2, 3])}, "every feature is immutable"),
        (
            {"threat": ThreatModel(immutable=[4])},
            "immutable must hold column numbers from 0 to 3; got",
        ),
        (
            {"threat": ThreatModel(immutable=["length"])},
            r"found \['length'\], and X has no column names",
        ),
        ({"threat": ThreatModel(categories=[[0, 1]])}, "X must hold exactly one 1"),
        ({"threat": ThreatModel(categories=[["a", "b"]])}, "X has no column names"),
        ({"y": Y.astype(str)}, r"type of the estimator's classes_, \[0, 1, 2\]; found \['0'"),
        ({"X": X[:0], "y": Y[:0]}, "0 sample"),
    ],
)
@pytest.mark.parametrize("model", [LogisticRegression(max_iter=500), RandomForestClassifier(2)])
def test_bad_input_is_refused_whatever_the_estimator(model, wrong, message):
    arguments = {"X": X, "y": Y, "eps": 0.1, **wrong}
    with pytest.raises(ValueError, match=message):
        adversarial_accuracy(model.fit(X, Y), **arguments)


def test_no_queries_where_there_are_no_gradients_is_an_error():
    forest = RandomForestClassifier(2).fit(X, Y)
    with pytest.raises(ValueError, match="n_queries must be positive where there are no gradients"):
        adversarial_accuracy(forest, X, Y, eps=0.1, attack=AttackEnsemble(n_queries=0))
    with pytest.raises(ValueError, match="attack='square' needs scores.*attack='rays'"):
        adversarial_accuracy(OnlyPredict(SVC()).fit(X, Y), X, Y, eps=0.1, attack="square")


@pytest.mark.slow
def test_search_over_trees_and_networks_is_the_same_in_parallel():
    scoring = {
        "clean": "accuracy",
        "robust": make_adversarial_scorer(eps=0.3, attack=AttackEnsemble(n_queries=20)),
    }
    pipeline = scaled(LogisticRegression())
    grid = {"logisticregression": [LogisticRegression(), RandomForestClassifier(3, random_state=0)]}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one, two = (
            GridSearchCV(pipeline, grid, scoring=scoring, refit=False, cv=2, n_jobs=n_jobs)
            .fit(X, Y)
            .cv_results_
            for n_jobs in (1, 2)
        )
    np.testing.assert_array_equal(one["mean_test_robust"], two["mean_test_robust"])
    assert (one["mean_test_robust"] < one["mean_test_clean"]).all()
