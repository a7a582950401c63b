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
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.tree import DecisionTreeClassifier

from sklearn_iso import IsometricClassifier, IsometricClassifierCV
from sklearn_iso.attacks import AttackEnsemble, MinimumNormEnsemble
from sklearn_iso.metrics import (
    adversarial_accuracy,
    adversarial_distance,
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
