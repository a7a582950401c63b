"""Labels as estimators return them: of any shape, container and type, seen in the fit or not."""

from functools import cache

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from few_queries import for_distance
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.tree import DecisionTreeClassifier

from sklearn_iso import (
    HierarchicalIsometricClassifier,
    IsometricClassifier,
    IsometricClassifierCV,
    IsometricRegressor,
    IsometricTransformer,
    SmoothedClassifier,
)
from sklearn_iso.attacks import AttackEnsemble, MinimumNormEnsemble
from sklearn_iso.metrics import (
    adversarial_accuracy,
    adversarial_distance,
    adversarial_error,
    adversarial_examples,
    certified_accuracy,
    certified_distance,
    corruption_report,
    distortion_report,
    make_adversarial_scorer,
    robustness_curve,
    robustness_report,
)
from sklearn_iso.plotting import AdversarialExamplesDisplay
from sklearn_iso.twins import as_torch, verify
from sklearn_iso.twins._labels import columns_of

X, Y = load_iris(return_X_y=True)
X, Y = X[::3], Y[::3]
WORDS = np.array(["setosa", "versicolor", "virginica"])
MODELS = [LogisticRegression(max_iter=500), DecisionTreeClassifier(random_state=0)]
UNSEEN = "not fitted on"


class Answers(ClassifierMixin, BaseEstimator):
    """Another classifier, whose labels and classes come in other containers."""

    def __init__(self, inner, of_labels, of_classes):
        self.inner, self.of_labels, self.of_classes = inner, of_labels, of_classes
        self.classes_ = of_classes(inner.classes_)
        if hasattr(inner, "coef_"):
            self.to_torch = lambda: as_torch(inner)

    def fit(self, X, y):
        return self

    def predict(self, X):
        return self.of_labels(self.inner.predict(X))

    def predict_proba(self, X):
        return self.inner.predict_proba(X)


def as_it_is(labels):
    return labels


def as_column(labels):
    return labels[:, None]


def as_nested_lists(labels):
    return labels[:, None].tolist()


def figures(model, eps=0.3):
    """All that is computed of a classifier on a few samples, in numbers."""
    few, y = X[::4], Y[::4]
    options = {"random_state": 0}
    by_gradients = hasattr(model.inner, "coef_")
    attack = {"attack": "fgsm" if by_gradients else AttackEnsemble(n_queries=5)}
    report = robustness_report(model, few, y, eps=[eps], n_diagnosed=0, **options, **attack)
    return [
        adversarial_accuracy(model, few, y, eps=eps, **options, **attack),
        *adversarial_distance(model, few, y, attack=MinimumNormEnsemble(n_queries=20), **options),
        *robustness_curve(model, few, y, eps=[0, eps], **options, **attack),
        *report.accuracy,
    ]


@cache
def fitted_with_figures(number):
    inner = MODELS[number].fit(X, Y)
    return inner, figures(Answers(inner, as_it_is, as_it_is))


@pytest.mark.parametrize(
    "of_labels, of_classes",
    [
        (as_column, as_it_is),
        (as_nested_lists, list),
        (pd.DataFrame, pd.Index),
        (torch.tensor, torch.tensor),
        (list, tuple),
    ],
)
@pytest.mark.parametrize("number", [0, 1])
def test_figures_do_not_depend_on_the_shape_and_container_of_labels(number, of_labels, of_classes):
    inner, expected = fitted_with_figures(number)
    model = Answers(inner, of_labels, of_classes)
    np.testing.assert_array_equal(figures(model), expected)
    if number == 0:
        assert verify(as_torch(model), model, X) == verify(as_torch(inner), inner, X)


def test_pictures_show_labels_that_come_as_a_column():
    model = Answers(LogisticRegression(max_iter=500).fit(X, Y), as_column, list)
    drawn = AdversarialExamplesDisplay.from_estimator(model, X, Y, eps=0.5)
    assert set(drawn.y_pred) <= {0, 1, 2} and drawn.misclassified.any()
    again = AdversarialExamplesDisplay(
        drawn.X, drawn.X_adv, y_pred=drawn.y_pred[:, None], y_adv=drawn.y_adv[:, None].tolist()
    )
    np.testing.assert_array_equal(again.misclassified, drawn.misclassified)
    plt.close("all")


def test_labels_of_two_types_in_a_list_keep_them():
    assert columns_of([["b"], [1]], np.array([1, "b"], dtype=object)).tolist() == [1, 0]
    names = [1, "b", "1"]
    inner = LogisticRegression().fit(X, Y)
    model = Answers(inner, lambda labels: [names[k] for k in labels], lambda classes: names)
    truth = np.array(names, dtype=object)[Y]
    expected = adversarial_accuracy(inner, X, Y, eps=0.2, attack="fgsm")
    assert adversarial_accuracy(model, X, truth, eps=0.2, attack="fgsm") == expected


@pytest.mark.parametrize(
    "of_labels, message",
    [
        (lambda labels: labels.astype(str), r"\(numbers\); got \['0', '1', '2'\] \(text\)"),
        (lambda labels: WORDS[labels], "none of which is among them"),
        (lambda labels: np.eye(3)[labels], r"one label for each sample, of shape \(50,\); got"),
        (lambda labels: labels[:-1], r"of shape \(50,\); got shape \(49,\)"),
    ],
)
def test_predictions_that_are_no_classes_are_an_error_and_no_robustness_of_zero(of_labels, message):
    model = Answers(LogisticRegression().fit(X, Y), of_labels, as_it_is)
    budgets = {adversarial_accuracy: {"eps": 0.1}, robustness_report: {"eps": [0.1]}}
    for metric in (*budgets, adversarial_distance):
        with pytest.raises(ValueError, match=message):
            metric(model, X, Y, **budgets.get(metric, {}))


@pytest.mark.parametrize("inner", MODELS)
def test_labels_that_no_fit_has_seen_are_errors_and_change_no_other_sample(inner):
    inner.fit(X[Y < 2], Y[Y < 2])
    old = Y < 2
    options = {"attack": AttackEnsemble(n_queries=50), "random_state": 0}
    with pytest.warns(UserWarning, match=f"{UNSEEN}, 2, .* 16 of 50 samples") as told:
        clean = adversarial_accuracy(inner, X, Y, eps=0)
    assert len(told) == 1
    assert clean == accuracy_score(Y, inner.predict(X))
    with pytest.warns(UserWarning, match=UNSEEN):
        distances = adversarial_distance(inner, X, Y, **for_distance(options))
    assert (distances[~old] == 0).all()
    np.testing.assert_array_equal(
        distances[old] == 0,
        adversarial_distance(inner, X[old], Y[old], **for_distance(options)) == 0,
    )
    with pytest.warns(UserWarning, match=UNSEEN):
        curve = robustness_curve(inner, X, Y, eps=[0, 0.1], **options)
    with pytest.warns(UserWarning, match=UNSEEN):
        report = robustness_report(inner, X, Y, eps=[0, 0.1], n_diagnosed=0, **options)
    assert clean == curve[0] == report.accuracy[0] > 0
    np.testing.assert_array_equal(report.class_counts, np.bincount(Y[old]))
    assert report.broken_by["clean"][0] == (inner.predict(X) != Y).sum()


def test_a_fold_of_unseen_labels_alone_scores_zero_in_every_figure():
    model = LogisticRegression().fit(X[Y < 2], Y[Y < 2])
    new = Y == 2
    with pytest.warns(UserWarning, match=UNSEEN):
        assert adversarial_accuracy(model, X[new], Y[new], eps=0.1) == 0
    with pytest.warns(UserWarning, match=UNSEEN):
        assert (adversarial_distance(model, X[new], Y[new]) == 0).all()
    with pytest.warns(UserWarning, match=UNSEEN):
        assert robustness_report(model, X[new], Y[new], eps=[0.1]).kind == "none"


@pytest.mark.filterwarnings("ignore:y holds labels that the estimator was not fitted on")
def test_search_ranks_by_robustness_where_a_label_is_in_the_test_fold_alone():
    y = Y.copy()
    y[7] = 9
    folds = KFold(2, shuffle=True, random_state=0)
    scorer = make_adversarial_scorer(eps=0.3, attack="fgsm")
    search = GridSearchCV(
        LogisticRegression(max_iter=500), {"C": [1e-4, 1.0]}, scoring=scorer, cv=folds
    ).fit(X, y)
    scores = search.cv_results_["mean_test_score"]
    assert scores[0] < scores[1] and search.best_index_ == 1
    quick = IsometricClassifier(hidden_layer_sizes=(8,), max_epochs=5, random_state=0)
    chosen = IsometricClassifierCV([1.0], estimator=quick, cv=folds, scoring=scorer).fit(X, y)
    assert np.isfinite(chosen.cv_results_["mean_test_score"]).all()


# ---- labels that are missing

ONE = np.arange(len(Y)) == 3
MISSING = {
    "NaN": np.where(ONE, np.nan, Y),
    "infinity": np.where(ONE, np.inf, Y),
    "None": np.where(ONE, None, Y.astype(object)),
    "NaN among objects": np.where(ONE, np.nan, Y.astype(object)),
    "None among text": np.where(ONE, None, WORDS[Y].astype(object)),
    "pandas NA": pd.Series(Y, dtype="Int64").mask(ONE),
    "a list": [None if i == 3 else label for i, label in enumerate(Y.tolist())],
}
TAKES_LABELS = {
    "accuracy": lambda tree, y: adversarial_accuracy(tree, X, y, eps=0.1),
    "distance": lambda tree, y: adversarial_distance(tree, X, y),
    "curve": lambda tree, y: robustness_curve(tree, X, y, eps=[0.1]),
    "report": lambda tree, y: robustness_report(tree, X, y, eps=[0.1]),
    "examples": lambda tree, y: adversarial_examples(tree, X, y, eps=0.1),
    "scorer": lambda tree, y: make_adversarial_scorer(eps=0.1)(tree, X, y),
    "certified": lambda tree, y: certified_accuracy(tree, X, y, eps=0.1),
    "certified distance": lambda tree, y: certified_distance(tree, X, y),
    "corruption": lambda tree, y: corruption_report(tree, X, y),
    "any score": lambda tree, y: corruption_report(tree, X, y, scoring="balanced_accuracy"),
    "distortion": lambda tree, y: distortion_report(X, X, y),
    "display": lambda tree, y: AdversarialExamplesDisplay.from_estimator(tree, X, y, eps=0.1),
    "classifier": lambda tree, y: IsometricClassifier(max_epochs=1).fit(X, y),
    "alpha path": lambda tree, y: IsometricClassifierCV().fit(X, y),
    "levels": lambda tree, y: HierarchicalIsometricClassifier(max_epochs=1).fit(X, y),
    "embedding": lambda tree, y: IsometricTransformer(max_epochs=1).fit(X, y),
    "smoothed": lambda tree, y: SmoothedClassifier(LogisticRegression()).fit(X, y),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("missing", MISSING)
@pytest.mark.parametrize("call", TAKES_LABELS)
def test_a_missing_label_is_an_error(call, missing):
    y = MISSING[missing]
    labels = WORDS[Y] if missing == "None among text" else Y
    tree = DecisionTreeClassifier(max_depth=2).fit(X, labels)
    said = "y must hold a label.*1 of 50 samples have none.*sample 3|[Ii]nput (y )?contains"
    with pytest.raises(ValueError, match=said):
        TAKES_LABELS[call](tree, y)


@pytest.mark.parametrize("missing", ["NaN", "infinity", "None", "pandas NA", "a list"])
def test_a_missing_target_is_an_error(missing):
    y = MISSING[missing]
    ridge = Ridge().fit(X, Y)
    for call in (
        lambda: adversarial_error(ridge, X, y, eps=0.1),
        lambda: robustness_report(ridge, X, y, eps=[0.1]),
        lambda: adversarial_distance(ridge, X, y, tolerance=0.1),
        lambda: corruption_report(ridge, X, y),
        lambda: IsometricRegressor(max_epochs=1).fit(X, y),
    ):
        with pytest.raises(ValueError, match="[Ii]nput (y )?contains"):
            call()


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -1.0])
def test_a_weight_that_is_none_is_an_error(wrong):
    weight, tree = np.where(ONE, wrong, 1.0), DecisionTreeClassifier().fit(X, Y)
    few = {"max_epochs": 1}
    paths = np.stack([np.array(["a", "b"])[np.minimum(Y, 1)], WORDS[Y]], axis=1)
    for call in (
        lambda: adversarial_accuracy(tree, X, Y, eps=0.1, sample_weight=weight),
        lambda: certified_accuracy(tree, X, Y, eps=0.1, sample_weight=weight),
        lambda: corruption_report(tree, X, Y, sample_weight=weight),
        lambda: adversarial_error(Ridge().fit(X, Y), X, Y, eps=0.1, sample_weight=weight),
        lambda: IsometricClassifier(**few).fit(X, Y, sample_weight=weight),
        lambda: IsometricRegressor(**few).fit(X, Y, sample_weight=weight),
        lambda: IsometricTransformer(**few).fit(X, sample_weight=weight),
        lambda: HierarchicalIsometricClassifier(**few).fit(X, paths, sample_weight=weight),
        lambda: SmoothedClassifier(LogisticRegression()).fit(X, Y, sample_weight=weight),
    ):
        with pytest.raises(ValueError, match="sample_weight"):
            call()
