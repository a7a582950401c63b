"""Scorers of adversarial accuracy: the metric's figures, in searches too."""

import pickle

import joblib
import numpy as np
import pytest
from breast_cancer import MEDIAN, X, Y, logistic
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_iso import ThreatModel
from sklearn_iso.attacks import PGD, pgd
from sklearn_iso.metrics import adversarial_accuracy, make_adversarial_scorer

IRIS = load_iris(return_X_y=True)


def test_scorer_is_the_metric_and_survives_pickle_clone_and_print():
    options = {"eps": 0.025, "threat": ThreatModel("l2", bounds=(0, [5000.0] * 30))}
    options |= {"attack": PGD(n_steps=5)}
    scorer = make_adversarial_scorer(**options)
    again = pickle.loads(pickle.dumps(scorer))
    assert again == scorer == clone(scorer, safe=False) and hash(again) == hash(scorer)
    pipeline = logistic()
    expected = adversarial_accuracy(pipeline, X, Y, random_state=0, **options)
    assert scorer(pipeline, X, Y) == again(pipeline, X, Y) == expected
    assert repr(make_adversarial_scorer(eps=0.5, attack="fgsm")) == (
        "AdversarialScorer(eps=0.5, threat=ThreatModel(), attack=FGSM(), random_state=0)"
    )


def test_scorer_takes_an_attack_function():
    by_name, by_function = (
        make_adversarial_scorer(eps=MEDIAN, attack=attack) for attack in ("pgd", pgd)
    )
    assert by_name(logistic(), X, Y) == by_function(logistic(), X, Y)
    assert pickle.loads(pickle.dumps(by_function)) == by_function


@pytest.mark.parametrize(
    "name, wrong",
    [("eps", -1), ("eps", "large"), ("eps", [0.1, 0.2]), ("attack", "cascade"), ("threat", "l3")],
)
def test_scorer_refuses_bad_parameters_when_it_is_made(name, wrong):
    with pytest.raises(ValueError, match=name):
        make_adversarial_scorer(**{"eps": 0.1, name: wrong})


def test_grid_search_over_several_scorers_is_the_same_in_parallel():
    scoring = {
        "clean": "accuracy",
        "robust": make_adversarial_scorer(eps=0.3, attack=PGD(n_steps=5)),
        "half": make_adversarial_scorer(eps=0.5, threat=ThreatModel(units=np.full(4, 0.3))),
    }
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    grid = {"logisticregression__C": [0.01, 1.0]}
    with joblib.parallel_backend("threading"):  # in processes: tests/estimators/test_classifier.py
        scores = [
            GridSearchCV(pipeline, grid, scoring=scoring, refit="robust", cv=3, n_jobs=n_jobs)
            .fit(*IRIS)
            .cv_results_
            for n_jobs in (1, 2)
        ]
    for name in scoring:
        key = f"mean_test_{name}"
        np.testing.assert_array_equal(scores[0][key], scores[1][key])
    assert (scores[0]["mean_test_robust"] <= scores[0]["mean_test_half"]).all()
    assert (scores[0]["mean_test_half"] <= scores[0]["mean_test_clean"]).all()
    assert (scores[0]["mean_test_robust"] < scores[0]["mean_test_clean"]).any()


def test_scorer_works_in_cross_validate():
    scorer = make_adversarial_scorer(eps=0.2)
    scores = cross_validate(LogisticRegression(max_iter=500), *IRIS, scoring=scorer, cv=2)
    assert ((0 < scores["test_score"]) & (scores["test_score"] < 1)).all()
