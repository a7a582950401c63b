"""A report with certificates: what is proven, what is broken, and what stays open."""

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris, load_wine
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from sklearn_iso.exceptions import NotCertifiableError
from sklearn_iso.metrics import _proven, certified_accuracy, robustness_report

X, Y = load_iris(return_X_y=True)
QUICK = {"eps": [0, 0.1, 0.4], "n_diagnosed": 0, "random_state": 0, "certify": True}


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(max_iter=500),
        DecisionTreeClassifier(random_state=0),
        KNeighborsClassifier(1),
    ],
    ids=["linear", "tree", "nearest"],
)
def test_what_is_certified_is_never_broken(estimator):
    report = robustness_report(estimator.fit(X, Y), X, Y, **QUICK)
    assert (report.proven.accuracy <= report.accuracy).all()
    for eps, share, verdicts in zip(
        report.eps, report.proven.accuracy, report.proven.verdicts, strict=True
    ):
        assert share == certified_accuracy(estimator, X, Y, eps=eps)
        assert share == np.mean(verdicts == "certified")
    broken = (report.proven.verdicts == "broken").mean(axis=1)
    assert np.allclose(1 - broken, report.accuracy)


def test_linear_models_leave_nothing_open():
    model = make_pipeline(StandardScaler(), LogisticRegression())
    X_wine, y_wine = load_wine(return_X_y=True)
    report = robustness_report(model.fit(X_wine, y_wine), X_wine, y_wine, **QUICK)
    assert "open" not in report.proven.verdicts
    assert "certified" in str(report).splitlines()[3] and "certified" in report.columns()
    assert "<th>certified</th>" in report._repr_html_()


def test_weights_count_in_proofs_too():
    tree = DecisionTreeClassifier(random_state=0).fit(X, Y)
    weight = np.arange(len(Y)) % 3
    weighted = robustness_report(tree, X, Y, **QUICK, sample_weight=weight)
    repeated = robustness_report(tree, np.repeat(X, weight, axis=0), np.repeat(Y, weight), **QUICK)
    assert weighted.proven.accuracy == pytest.approx(repeated.proven.accuracy)


def test_what_cannot_be_certified_is_an_error():
    with pytest.raises(NotCertifiableError, match="GaussianNB"):
        robustness_report(GaussianNB().fit(X, Y), X, Y, **QUICK)
    X_reg, y_reg = load_diabetes(return_X_y=True)
    with pytest.raises(TypeError, match="certify=True is for classifiers; got Ridge"):
        robustness_report(Ridge().fit(X_reg, y_reg), X_reg, y_reg, **QUICK)


def test_a_proof_that_an_error_contradicts_is_told_and_does_not_count(monkeypatch):
    monkeypatch.setattr(_proven, "holding", lambda problem, certifier, eps: np.ones(150, bool))
    model = LogisticRegression(max_iter=500).fit(X, Y)
    with pytest.warns(RuntimeWarning, match="does for .* of 150 samples, which count as broken"):
        report = robustness_report(model, X, Y, **QUICK)
    np.testing.assert_array_equal(report.proven.accuracy, report.accuracy)
    assert set(np.unique(report.proven.verdicts)) == {"broken", "certified"}
