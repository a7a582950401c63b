"""Scorers take weights in searches, with and without metadata routing, as scikit-learn's do."""

import pickle

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_iso import IsometricClassifier, IsometricClassifierCV
from sklearn_iso.metrics import (
    make_adversarial_scorer,
    make_distortion_scorer,
    make_hierarchical_scorer,
    make_level_scorer,
)

X, Y = load_iris(return_X_y=True)
WEIGHT = np.random.RandomState(0).randint(4, size=len(X)).astype(float)
FOLDS = KFold(3, shuffle=True, random_state=0)
SCORER = make_adversarial_scorer(eps=0)  # the accuracy, of which scikit-learn has a scorer too


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


def scorers():
    return {
        "accuracy": make_adversarial_scorer(eps=0.2, attack="fgsm"),
        "distortion": make_distortion_scorer(measure="expansion"),
        "level": make_level_scorer(make_adversarial_scorer(eps=0.1), 0),
        "hierarchical": make_hierarchical_scorer(),
    }


def by_hand(fit_weights, scorer, score_weights):
    """Return the scores of folds, one by one."""
    scores = []
    for train, test in FOLDS.split(X):
        model = make_pipeline(StandardScaler(), PCA(2), LogisticRegression())
        fitted = (
            {} if fit_weights is None else {"logisticregression__sample_weight": fit_weights[train]}
        )
        with sklearn.config_context(enable_metadata_routing=False):
            model.fit(X[train], Y[train], **fitted)
        weights = {} if score_weights is None else {"sample_weight": score_weights[test]}
        scores.append(scorer(model, X[test], Y[test], **weights))
    return scores


@pytest.mark.parametrize("requested", [True, False, "importance"])
def test_routed_weights_reach_the_scorers_that_ask_for_them(routing, requested):
    last = LogisticRegression().set_fit_request(sample_weight=True)
    pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), PCA(2), last)
    scoring = {
        "oracle": make_scorer(accuracy_score).set_score_request(sample_weight=requested),
        "clean": make_adversarial_scorer(eps=0).set_score_request(sample_weight=requested),
        "robust": scorers()["accuracy"].set_score_request(sample_weight=requested),
    }
    own = WEIGHT[::-1].copy()
    params = {"sample_weight": WEIGHT} | ({"importance": own} if requested == "importance" else {})
    scores = cross_validate(pipeline, X, Y, scoring=scoring, cv=FOLDS, params=params)
    passed = {True: WEIGHT, False: None, "importance": own}[requested]
    np.testing.assert_allclose(scores["test_clean"], scores["test_oracle"], rtol=1e-12)
    assert scores["test_robust"].tolist() == by_hand(WEIGHT, scoring["robust"], passed)


def test_weights_that_a_scorer_was_not_asked_about_are_an_error(routing):
    last = LogisticRegression().set_fit_request(sample_weight=True)
    for scorer in (make_adversarial_scorer(eps=0), make_distortion_scorer()):
        with pytest.raises(UnsetMetadataPassedError, match="set_score_request"):
            cross_validate(last, X, Y, scoring=scorer, params={"sample_weight": WEIGHT})
        search = GridSearchCV(last, {"C": [1.0]}, scoring={"one": scorer}, refit=False)
        with pytest.raises(UnsetMetadataPassedError, match="set_score_request"):
            search.fit(X, Y, sample_weight=WEIGHT)


@pytest.mark.parametrize("several", [True, False])
def test_search_with_routing_weighs_folds_as_with_the_scorer_of_scikit_learn(routing, several):
    last = LogisticRegression(max_iter=500).set_fit_request(sample_weight=True)
    found = []
    for scorer in (make_scorer(accuracy_score), make_adversarial_scorer(eps=0)):
        scorer.set_score_request(sample_weight=True)
        scoring = {"score": scorer} if several else scorer
        search = GridSearchCV(last, {"C": [1e-3, 1.0]}, scoring=scoring, cv=FOLDS, refit=False)
        found.append(search.fit(X, Y, sample_weight=WEIGHT).cv_results_["mean_test_score"])
    np.testing.assert_allclose(*found, rtol=1e-12)


@pytest.mark.parametrize("scorer", [SCORER, make_adversarial_scorer(eps=0.2, attack="fgsm")])
@pytest.mark.parametrize("several", [True, False])
def test_search_without_routing_passes_the_weights_of_its_fit(scorer, several):
    model, expected = LogisticRegression(max_iter=500), []
    for train, test in FOLDS.split(X):
        fitted = clone(model).fit(X[train], Y[train], sample_weight=WEIGHT[train])
        expected.append(scorer(fitted, X[test], Y[test], sample_weight=WEIGHT[test]))
    scoring = {"score": scorer} if several else scorer
    search = GridSearchCV(model, {"C": [1.0]}, scoring=scoring, cv=FOLDS, refit=False)
    results = search.fit(X, Y, sample_weight=WEIGHT).cv_results_
    assert [results[f"split{fold}_test_score"][0] for fold in range(3)] == expected


@pytest.mark.parametrize("name", scorers())
def test_request_survives_pickle_and_clone_and_is_never_shared(routing, name):
    scorer = scorers()[name].set_score_request(sample_weight=True)
    for again in (pickle.loads(pickle.dumps(scorer)), clone(scorer, safe=False)):
        assert again.get_metadata_routing().score.requests == {"sample_weight": True}
    assert scorers()[name].get_metadata_routing().score.requests.get("sample_weight") is None


def test_scorer_of_a_level_asks_for_what_the_scorer_inside_asks_for(routing):
    inside = make_adversarial_scorer(eps=0.1).set_score_request(sample_weight="mine")
    level = make_level_scorer(inside, 0)
    assert level.get_metadata_routing().score.requests == {"sample_weight": "mine"}
    level.set_score_request(sample_weight=False)
    assert level.get_metadata_routing().score.requests == {"sample_weight": False}
    unweighted = make_level_scorer(lambda estimator, X, y: 0.0, 0)
    assert not unweighted._accept_sample_weight()
    with pytest.raises(TypeError, match="must take sample_weight to ask for it"):
        unweighted.set_score_request(sample_weight=True)


def test_request_without_routing_is_an_error():
    with pytest.raises(RuntimeError, match="enable_metadata_routing=True"):
        make_adversarial_scorer(eps=0).set_score_request(sample_weight=True)


def few_epochs(scoring):
    return IsometricClassifierCV(
        alphas=[0.0, 1.0],
        estimator=IsometricClassifier(hidden_layer_sizes=(4,), max_epochs=2, random_state=0),
        cv=FOLDS,
        scoring=scoring,
    )


def test_alphas_are_scored_with_weights_as_the_scorer_asks_for(routing):
    scores = {}
    for requested in (True, False):
        clf = few_epochs(make_adversarial_scorer(eps=0).set_score_request(sample_weight=requested))
        clf.set_fit_request(sample_weight=True).fit(X, Y, sample_weight=WEIGHT)
        oracle = few_epochs(make_scorer(accuracy_score).set_score_request(sample_weight=requested))
        oracle.set_fit_request(sample_weight=True).fit(X, Y, sample_weight=WEIGHT)
        scores[requested] = clf.cv_results_["mean_test_score"]
        expected = oracle.cv_results_["mean_test_score"]
        np.testing.assert_allclose(scores[requested], expected, rtol=1e-12)
    assert not np.allclose(scores[True], scores[False])
    with pytest.raises(UnsetMetadataPassedError, match="set_score_request"):
        few_epochs(make_adversarial_scorer(eps=0)).fit(X, Y, sample_weight=WEIGHT)
