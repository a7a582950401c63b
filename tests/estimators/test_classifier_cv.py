"""Laws of IsometricClassifierCV: its scores are those of fits one by one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.fixes import parse_version
from torch.utils.data import TensorDataset

import sklearn_iso
from sklearn_iso import IsometricClassifier, IsometricClassifierCV, IsometricRegressor
from sklearn_iso.estimators import _alpha_path as alpha_path
from sklearn_iso.penalties import GlobalIsometry, WithinClassIsometry, WorstCaseIsometry

X, y = load_digits(return_X_y=True)
X, y = X[:200] / 16, y[:200]
ALPHAS = [0.0, 0.1, 1.0, 10.0]


def network(**params):
    quick = {"hidden_layer_sizes": (16, 8), "batch_size": 32, "max_epochs": 4}
    return IsometricClassifier(**quick | {"learning_rate": 0.01, "random_state": 0} | params)


STACKED = {
    "default": network(),
    "worst case only": network(penalty=WorstCaseIsometry(n_steps=2, norm="linf")),
    "random start": network(penalty=WorstCaseIsometry(start="random", warmup=0.5)),
    "labelled": network(
        penalty=WorstCaseIsometry(ascent="margin", n_steps=2).with_cross_entropy(0.5)
    ),
    "within class only": network(penalty=3.0 * WithinClassIsometry(max_samples=16)),
    "no shuffling": network(shuffle=False, optimizer="sgd"),
    "class weights": network(class_weight="balanced", weight_decay=1e-3, activation="tanh"),
    "balanced batches": network(samples_per_class=4, learning_rate_schedule="constant"),
}


@pytest.mark.parametrize("name", STACKED)
def test_weights_of_networks_trained_at_once_are_those_of_fits_one_by_one(name):
    classifier = STACKED[name]
    assert alpha_path.trains_at_once(classifier, 64, 10)
    found = []

    def scorer(fitted, rows, labels):
        found.append((fitted.alpha, fitted.predict_proba(rows)))
        return 0.0

    folds = [(np.arange(150), np.arange(150, 200))]
    alpha_path.scores_by_alpha(classifier, ALPHAS, alpha_path.Rows(X, y), folds, scorer)
    for alpha, probabilities in found:
        alone = classifier.set_params(alpha=alpha).fit(X[:150], y[:150])
        np.testing.assert_allclose(probabilities, alone.predict_proba(X[150:]), atol=1e-7)
    assert [alpha for alpha, _ in found] == ALPHAS


@pytest.mark.parametrize("penalty", ["isometric", GlobalIsometry()], ids=["at once", "one by one"])
def test_scores_and_choice_are_those_of_a_grid_search(penalty):
    classifier = network(penalty=penalty)
    found = IsometricClassifierCV(ALPHAS, estimator=classifier, cv=3).fit(X, y)
    search = GridSearchCV(classifier, {"alpha": ALPHAS}, cv=3).fit(X, y)
    for name in ("mean_test_score", "std_test_score", "split1_test_score"):
        np.testing.assert_allclose(found.cv_results_[name], search.cv_results_[name], atol=1e-12)
    assert found.alpha_ == search.best_params_["alpha"]
    assert found.best_score_ == pytest.approx(search.best_score_)
    np.testing.assert_array_equal(found.predict_proba(X), search.predict_proba(X))


@pytest.mark.parametrize(
    "params",
    [
        {"penalty": GlobalIsometry()},
        {"penalty": WithinClassIsometry(scale=1.0)},
        {"penalty": WorstCaseIsometry(layers="hidden")},
        {"early_stopping": True},
        {"batch_size": 4096, "hidden_layer_sizes": (512, 256)},
        {"layers": "last_hidden"},
        {"hidden_layer_sizes": ()},
    ],
    ids=str,
)
def test_what_has_no_stacked_form_or_gains_nothing_trains_one_by_one(params):
    assert not alpha_path.trains_at_once(network(**params), 64, 10)


def test_folds_and_scoring_are_those_that_were_asked_for():
    folds = StratifiedKFold(2, shuffle=True, random_state=1)
    found = IsometricClassifierCV(ALPHAS, estimator=network(), cv=folds, scoring="neg_log_loss")
    scores = found.fit(X, y).cv_results_
    assert (scores["mean_test_score"] < 0).all()
    assert "split1_test_score" in scores and "split2_test_score" not in scores


def test_the_chosen_classifier_keeps_the_parameters():
    clf = make_pipeline(StandardScaler(), IsometricClassifierCV([0.5], estimator=network(), cv=2))
    chosen = clf.fit(X, y)[-1].estimator_
    assert (chosen.alpha, chosen.hidden_layer_sizes) == (0.5, (16, 8))


def test_one_seed_decides_everything():
    quick = network(random_state=None)
    first, second = (
        IsometricClassifierCV(ALPHAS, estimator=quick, cv=2, random_state=3).fit(X, y)
        for _ in range(2)
    )
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))


def test_a_fit_that_diverges_at_once_says_so_as_one_alone_does():
    from sklearn_iso.exceptions import TrainingDivergedError

    wild = network(optimizer="sgd", learning_rate=1e30)
    with pytest.raises(TrainingDivergedError):
        IsometricClassifierCV(ALPHAS, estimator=wild, cv=2).fit(X, y)


@pytest.mark.parametrize("alphas", [[], [-1.0], [np.nan], [[1.0]], ["a"]])
def test_alphas_that_are_no_strengths_are_refused(alphas):
    with pytest.raises(ValueError, match=r"alphas must be|could not convert"):
        IsometricClassifierCV(alphas, estimator=network()).fit(X, y)


# --- data in and out -----------------------------------------------------------------------

KINDS = pytest.mark.parametrize("penalty", ["isometric", GlobalIsometry()], ids=["once", "one"])


@KINDS
def test_sparse_rows_and_data_sets_are_dense_rows(penalty):
    search = IsometricClassifierCV([0.1, 1.0], estimator=network(penalty=penalty), cv=2)
    dense = clone(search).fit(X, y)
    dataset = TensorDataset(torch.tensor(X), torch.tensor(y))
    for found in (clone(search).fit(csr_array(X), y), clone(search).fit(dataset)):
        np.testing.assert_allclose(
            found.cv_results_["mean_test_score"], dense.cv_results_["mean_test_score"]
        )
        np.testing.assert_allclose(found.predict_proba(X), dense.predict_proba(X), rtol=1e-9)
    np.testing.assert_allclose(dense.transform(csr_array(X)), dense.transform(X), rtol=1e-9)


@pytest.mark.skipif(parse_version(sklearn.__version__) < parse_version("1.9"), reason="unweighted")
@KINDS
def test_weights_reach_every_fit_and_score_as_in_a_grid_search(penalty):
    weight = np.random.default_rng(0).uniform(0, 2, len(y)) * (np.arange(len(y)) % 5 > 0)
    classifier = network(penalty=penalty)
    found = IsometricClassifierCV(ALPHAS, estimator=classifier, cv=2).fit(X, y, weight)
    search = GridSearchCV(classifier, {"alpha": ALPHAS}, cv=2).fit(X, y, sample_weight=weight)
    scores = search.cv_results_["mean_test_score"]
    np.testing.assert_allclose(found.cv_results_["mean_test_score"], scores, atol=1e-12)
    np.testing.assert_array_equal(found.predict_proba(X), search.predict_proba(X))


def test_names_of_features_reach_the_chosen_classifier():
    frame = pd.DataFrame(X, columns=[f"pixel{k}" for k in range(64)])
    found = IsometricClassifierCV([0.5], estimator=network(), cv=2).fit(frame, y)
    assert list(found.estimator_.feature_names_in_) == list(frame.columns)
    Z = found.set_output(transform="pandas").transform(frame)
    assert list(Z.columns) == [f"isometricclassifiercv{k}" for k in range(8)]


def test_a_file_brings_back_the_search_and_its_classifier(tmp_path):
    found = IsometricClassifierCV(ALPHAS, estimator=network(), cv=2).fit(X, y)
    found.save(tmp_path / "search.safetensors")
    again = sklearn_iso.load(tmp_path / "search.safetensors")
    np.testing.assert_array_equal(again.predict_proba(X), found.predict_proba(X))
    assert again.alpha_ == found.alpha_ and again.get_params()["alphas"] == ALPHAS
    for name, column in found.cv_results_.items():
        np.testing.assert_array_equal(again.cv_results_[name], column)


# --- warm start ----------------------------------------------------------------------------


def test_a_warm_search_starts_each_alpha_where_the_smaller_one_ended():
    still = network(learning_rate=1e-12, max_epochs=1)
    warm = IsometricClassifierCV([1.0, 0.0], estimator=still, cv=2, warm_start=True).fit(X, y)
    cold = IsometricClassifierCV([1.0, 0.0], estimator=still, cv=2).fit(X, y)
    np.testing.assert_allclose(warm.predict_proba(X), cold.predict_proba(X), atol=1e-6)
    by_hand = network(warm_start=True)
    expected = []
    for train, test in StratifiedKFold(2).split(X, y):
        by_hand = clone(by_hand)
        expected.append(
            [by_hand.set_params(alpha=a).fit(X[train], y[train]).score(X[test], y[test])
             for a in sorted(ALPHAS)]
        )  # fmt: skip
    found = IsometricClassifierCV(ALPHAS, estimator=network(), cv=2, warm_start=True).fit(X, y)
    np.testing.assert_array_equal(found.cv_results_["mean_test_score"], np.mean(expected, axis=0))


def test_the_last_fit_of_a_warm_search_walks_the_same_path():
    found = IsometricClassifierCV(ALPHAS, estimator=network(), cv=2, warm_start=True).fit(X, y)
    by_hand = network(warm_start=True)
    for alpha in (a for a in ALPHAS if a <= found.alpha_):
        by_hand.set_params(alpha=alpha).fit(X, y)
    np.testing.assert_array_equal(found.predict_proba(X), by_hand.predict_proba(X))


@pytest.mark.parametrize(
    "estimator", [LogisticRegression(), IsometricClassifier, IsometricRegressor(), "network", 5]
)
@pytest.mark.parametrize("method", ["fit", "get_metadata_routing"])
def test_an_estimator_that_is_no_isometric_classifier_is_an_error(estimator, method):
    search = IsometricClassifierCV([0.1], estimator=estimator, cv=2)
    with pytest.raises(TypeError, match=r"estimator must be an IsometricClassifier, .* Pass for"):
        search.fit(X, y) if method == "fit" else search.get_metadata_routing()


@pytest.mark.parametrize(
    "params",
    [{"batch_size": 0}, {"random_state": "a"}, {"alpha": -1}, {"warm_start": "no"}],
    ids=str,
)
def test_parameters_of_the_estimator_are_checked_as_its_own_fit_does(params):
    search = IsometricClassifierCV([0.1, 1.0], estimator=network(**params), cv=2)
    (name,) = params
    with pytest.raises(ValueError, match=f"'{name}' parameter of IsometricClassifier must be"):
        search.fit(X, y)
