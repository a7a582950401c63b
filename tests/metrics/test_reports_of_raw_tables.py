"""Curves, reports, displays and scorers of raw tables."""

import numpy as np
import pytest
from raw_tables import QUICK, X, Y, fitted, prepared
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline

from sklearn_iso import ThreatModel
from sklearn_iso.metrics import make_adversarial_scorer, robustness_curve, robustness_report
from sklearn_iso.plotting import AdversarialExamplesDisplay, RobustnessCurveDisplay


def test_curve_report_and_displays_of_a_raw_table():
    model, threat = fitted(), ThreatModel.from_data(X, categories=["plan"])
    options = {"eps": [0, 0.1, 0.3], "threat": threat, "attack": QUICK, "random_state": 0}
    curve = robustness_curve(model, X, Y, **options)
    report = robustness_report(model, X, Y, n_diagnosed=0, **options)
    assert (curve == report.accuracy).all() and (np.diff(curve) < 0).all()
    display = RobustnessCurveDisplay.from_estimator(model, X, Y, **options)
    assert (display.accuracy == curve).all()
    moves, changes, stays = str(report).splitlines()[2:5]
    assert moves.startswith("Columns that move: age (unit ") and "12 missing" in moves
    assert changes == "Columns that may change, at most 1: plan (3 values, 9 missing)"
    assert stays == "Columns that stay: smokes; grade"
    assert "Columns that stay: smokes; grade" in report._repr_html_()
    assert [one.kind for one in report.assumed] == ["moves", "may change", "moves", *["stays"] * 2]
    assert "budgets_fit" in report.checked
    assert [finding.name for finding in report.warnings] == ["too few samples"]
    shown = AdversarialExamplesDisplay.from_estimator(
        model, X, Y, eps=0.1, threat=threat, attack=QUICK, random_state=0
    )
    assert "plan=family" in [label.get_text() for label in shown.ax_.get_yticklabels()]


@pytest.mark.parametrize(
    "eps, name, told",
    [
        (200.0, "budget beyond the range", "'age' by up to 200, and its values reach over 6"),
        (0.001, "budget of no effect", "'age' by up to 0.001, and its deviation is 1"),
    ],
)
def test_budgets_that_do_not_fit_the_columns_are_a_warning(eps, name, told):
    options = {"attack": QUICK, "random_state": 0, "n_diagnosed": 0}
    report = robustness_report(fitted(), X, Y, eps=[0, eps], **options)
    finding = report.warnings[0]
    assert finding.name == name and told in finding.seen


@pytest.mark.parametrize("n_jobs", [pytest.param(2, marks=pytest.mark.slow)])
def test_searches_and_cross_validation_give_one_result(n_jobs):
    threat = ThreatModel.from_data(X, categories="all")
    scoring = make_adversarial_scorer(eps=0.1, threat=threat, attack=QUICK)
    pipeline = make_pipeline(prepared(), LogisticRegression(max_iter=2000))
    scores = [
        cross_validate(pipeline, X, Y, cv=3, scoring=scoring, n_jobs=jobs)["test_score"]
        for jobs in (None, n_jobs)
    ]
    assert (scores[0] == scores[1]).all() and len(set(scores[0])) > 1
    grid = {"logisticregression__C": [0.1, 10.0]}
    found = [
        GridSearchCV(pipeline, grid, cv=2, scoring=scoring, n_jobs=jobs).fit(X, Y).cv_results_
        for jobs in (None, n_jobs)
    ]
    for split in ("split0_test_score", "split1_test_score"):
        assert (found[0][split] == found[1][split]).all()


def test_a_scorer_in_cross_validation():
    threat = ThreatModel.from_data(X)
    scoring = {
        "clean": "accuracy",
        "robust": make_adversarial_scorer(eps=0.2, threat=threat, attack=QUICK),
    }
    pipeline = make_pipeline(prepared(), LogisticRegression(max_iter=2000))
    scores = cross_validate(pipeline, X, Y, cv=3, scoring=scoring)
    assert (scores["test_robust"] <= scores["test_clean"]).all()
    assert scores["test_robust"].sum() < scores["test_clean"].sum()
