"""A report with certificates: what is proven, what is broken, and what stays open."""

import json

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris, load_wine
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from sklearn_iso.attacks import FGSM, AttackEnsemble
from sklearn_iso.exceptions import NotCertifiableError
from sklearn_iso.metrics import certified_accuracy, certified_error, robustness_report
from sklearn_iso.metrics._certificate import Certificate
from sklearn_iso.metrics._proven_ranges import ProvenRanges

X, Y = load_iris(return_X_y=True)
X_REG, Y_REG = load_diabetes(return_X_y=True)
X_REG = X_REG / X_REG.std(axis=0)
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
    neighbours = KNeighborsRegressor().fit(X_REG, Y_REG)
    with pytest.raises(NotCertifiableError, match="KNeighborsRegressor"):
        robustness_report(neighbours, X_REG[:3], Y_REG[:3], **QUICK, attack=FGSM())
    with pytest.raises(ValueError, match="certify=True"):
        robustness_report(
            Ridge().fit(X_REG, Y_REG), X_REG[:5], Y_REG[:5], **QUICK, loss=lambda y, p: abs(y - p)
        )


@pytest.mark.parametrize("loss", ["absolute_error", "squared_error"])
def test_a_report_of_a_regressor_tells_what_is_proven(loss):
    forest = RandomForestRegressor(4, max_depth=3, random_state=0).fit(X_REG, Y_REG)
    few, attack = (forest, X_REG[:20], Y_REG[:20]), AttackEnsemble(n_queries=40)
    weight = np.arange(20) % 3
    report = robustness_report(*few, **QUICK, attack=attack, loss=loss, sample_weight=weight)
    for eps, proven, found in zip(report.eps, report.proven.error, report.error, strict=True):
        alone = certified_error(*few, eps=eps, loss=loss, sample_weight=weight)
        assert np.isclose(proven, alone) and found <= proven
    assert report.proven.error[0] == report.error[0] < report.proven.error[1]
    assert report.columns()["certified"] is report.proven.error
    heading = next(line for line in str(report).splitlines() if "95% interval" in line)
    assert heading.split()[1:5] == [*loss.split("_"), "certified", "95%"]
    told = json.loads(report.to_json())
    assert told["results"]["proof"] == report.proven.method and told["settings"]["certify"]
    np.testing.assert_array_equal(told["samples"]["certified_loss"], report.proven.losses.T)


def test_without_certify_nothing_is_said_of_proofs():
    report = robustness_report(Ridge().fit(X_REG, Y_REG), X_REG[:5], Y_REG[:5], eps=[0.1])
    assert report.proven is None and "certified" not in report.columns()
    assert "certified" not in str(report)


def test_a_loss_that_exceeds_a_proof_is_told_and_counts(monkeypatch):
    ridge = Ridge().fit(X_REG, Y_REG)
    monkeypatch.setattr(ProvenRanges, "losses", lambda self, loss, eps: np.zeros(5))
    with pytest.warns(RuntimeWarning, match="does for 5 of 5 samples"):
        report = robustness_report(ridge, X_REG[:5], Y_REG[:5], **QUICK)
    np.testing.assert_array_equal(report.proven.error, report.error)


def test_a_proof_that_an_error_contradicts_is_told_and_does_not_count(monkeypatch):
    monkeypatch.setattr(Certificate, "holds", lambda certificate, eps: np.ones(150, bool))
    model = LogisticRegression(max_iter=500).fit(X, Y)
    with pytest.warns(RuntimeWarning, match="does for .* of 150 samples, which count as broken"):
        report = robustness_report(model, X, Y, **QUICK)
    np.testing.assert_array_equal(report.proven.accuracy, report.accuracy)
    assert set(np.unique(report.proven.verdicts)) == {"broken", "certified"}
