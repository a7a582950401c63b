"""What a report says, and in which form."""

import sys

import numpy as np
import pytest
from scipy.stats import norm as normal
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from sklearn_iso.attacks import AttackEnsemble
from sklearn_iso.metrics import robustness_curve, robustness_report
from sklearn_iso.twins import NotDifferentiableError

X, Y = load_iris(return_X_y=True)
NAMES = np.array(["<setosa>", "versicolor", "virginica"])[Y]
EPS = [0.4, 0.0, 0.2]


@pytest.fixture(scope="module")
def model():
    return LogisticRegression(max_iter=500).fit(X, NAMES)


@pytest.fixture(scope="module")
def report(model):
    return robustness_report(model, X, NAMES, eps=EPS, random_state=0)


def test_curve_is_that_of_robustness_curve(model, report):
    curve = robustness_curve(model, X, NAMES, eps=EPS, random_state=0)
    np.testing.assert_array_equal(report.accuracy, curve)
    assert report.accuracy[1] == model.score(X, NAMES)


def test_one_budget_is_a_list_of_one(model, report):
    one = robustness_report(model, X, NAMES, eps=0.4, random_state=0)
    assert one.eps.tolist() == [0.4] and one.accuracy.tolist() == [report.accuracy[0]]
    curve = robustness_curve(model, X, NAMES, eps=0.4, random_state=0)
    np.testing.assert_array_equal(curve, one.accuracy)


def test_classes_add_up_to_the_whole(report):
    np.testing.assert_allclose(
        report.class_accuracy @ report.class_counts / len(X), report.accuracy
    )
    assert report.class_counts.tolist() == [50, 50, 50]


def test_what_broke_and_what_holds_are_all_samples(report):
    broken = sum(report.broken_by.values())
    np.testing.assert_array_equal(broken + np.round(report.accuracy * len(X)), [len(X)] * 3)
    assert next(iter(report.broken_by)) == "clean"
    assert (report.broken_by["clean"] == report.broken_by["clean"][0]).all()


def test_intervals_are_wilsons(report):
    z, n, share = normal.ppf(0.975), len(X), report.accuracy
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    np.testing.assert_allclose(report.interval, np.stack([centre - half, centre + half], axis=1))


def test_frame_has_a_row_for_each_budget(report):
    frame = report.to_frame()
    assert frame["eps"].tolist() == EPS
    assert list(frame.columns[:4]) == ["eps", "accuracy", "low", "high"]
    assert "accuracy of virginica" in frame.columns and "broken by clean" in frame.columns


def test_frame_without_pandas_names_the_extra(report, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"sklearn-iso\[data\]"):
        report.to_frame()


def test_text_and_html_hold_the_figures_and_html_escapes_names(report):
    text, html = str(report), report._repr_html_()
    for told in (text, html):
        assert f"{report.accuracy[0]:.3f}" in told and "linf" in told and "white-box" in told
    assert "<setosa>" in text and "&lt;setosa&gt;" in html and "<setosa>" not in html
    lines = text.splitlines()
    assert lines[3].index("accuracy") + len("accuracy") == lines[4].index("0.640") + 5


def test_kind_of_evaluation_is_told_with_its_reason():
    forest = RandomForestClassifier(5, random_state=0).fit(X, Y)
    clean = int((forest.predict(X) != Y).sum())
    report = robustness_report(
        forest, X, Y, eps=[0.2], attack=AttackEnsemble(n_queries=50), random_state=0
    )
    assert report.kind == "score-based" and "trees are piecewise constant" in report.reason
    assert f"exact errors were taken first, which settle {len(X) - clean} of" in report.reason
    assert set(report.broken_by) <= {"clean", "exact"}
    vectors = robustness_report(
        SVC().fit(X, Y), X, Y, eps=[0.2], attack=AttackEnsemble(n_queries=50), random_state=0
    )
    assert vectors.kind == "surrogate" and "one-vs-one votes" in vectors.reason


def test_nothing_to_attack_is_told():
    model = LogisticRegression(max_iter=500).fit(X, Y)
    for labels, eps in ((Y, [0.0]), ((model.predict(X) + 1) % 3, [0.5])):
        report = robustness_report(model, X, labels, eps=eps)
        assert report.kind == "none" and report.accuracy[0] == model.score(X, labels)


def test_attack_by_gradients_needs_a_twin():
    forest = RandomForestClassifier(5, random_state=0).fit(X, Y)
    with pytest.raises(NotDifferentiableError, match="cannot be differentiated"):
        robustness_report(forest, X, Y, eps=[0.2], attack="pgd")


def test_class_without_samples_has_no_accuracy(model):
    report = robustness_report(model, X[:100], NAMES[:100], eps=[0.1], n_diagnosed=0)
    assert np.isnan(report.class_accuracy[0, 2]) and report.class_counts[2] == 0
