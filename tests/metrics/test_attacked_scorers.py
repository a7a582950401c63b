"""Any scorer of scikit-learn on samples under attack."""

import pickle

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import (
    accuracy_score,
    classification_report,
    get_scorer,
    make_scorer,
    recall_score,
)
from sklearn.model_selection import GridSearchCV, KFold, cross_validate

from sklearn_iso.attacks import PGD
from sklearn_iso.metrics import (
    adversarial_accuracy,
    adversarial_error,
    adversarial_examples,
    make_adversarial_scorer,
)

X, Y = load_iris(return_X_y=True)
WEIGHT = np.random.RandomState(0).randint(4, size=len(X)).astype(float)
FOLDS = KFold(3, shuffle=True, random_state=0)
MODEL = LogisticRegression(max_iter=1000).fit(X, Y)
FAST = {"eps": 0.3, "attack": PGD(n_steps=5)}


def by_length(estimator, X, y):
    """A scorer of a user that takes no weights."""
    return float(np.mean(estimator.predict(X) == y)) + len(X)


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("metric", ["accuracy", make_scorer(accuracy_score)])
@pytest.mark.parametrize("attack", ["auto", "fgsm"])
def test_accuracy_is_the_default_scorer(metric, weight, attack):
    default, scorer = (
        make_adversarial_scorer(eps=0.3, attack=attack, metric=one) for one in (None, metric)
    )
    expected = default(MODEL, X, Y, sample_weight=weight)
    assert scorer(MODEL, X, Y, sample_weight=weight) == expected < MODEL.score(X, Y)


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("metric", ["neg_log_loss", "f1_macro", "roc_auc_ovr", "neg_brier_score"])
def test_metric_is_that_of_the_attacked_samples_and_no_better_than_clean(metric, weight):
    if metric == "neg_brier_score" and not _scores_classes(metric):
        pytest.skip("this version of scikit-learn scores two classes alone")
    kept = np.ones(len(X), dtype=bool) if weight is None else weight > 0
    options = {} if weight is None else {"sample_weight": weight[kept]}
    X_adv = adversarial_examples(MODEL, X[kept], Y[kept], random_state=0, **FAST)
    expected = get_scorer(metric)(MODEL, X_adv, Y[kept], **options)
    found = make_adversarial_scorer(metric=metric, **FAST)(MODEL, X, Y, sample_weight=weight)
    assert found == pytest.approx(expected, rel=1e-12)
    assert found < get_scorer(metric)(MODEL, X[kept], Y[kept], **options)


def _scores_classes(metric):
    try:
        return bool(np.isfinite(get_scorer(metric)(MODEL, X, Y)))
    except ValueError:
        return False


def test_log_loss_is_minus_the_log_loss_and_decides_nothing_without_an_attack():
    plain, named = (
        make_adversarial_scorer(metric=metric, **FAST) for metric in ("log_loss", "neg_log_loss")
    )
    assert plain(MODEL, X, Y) == named(MODEL, X, Y)
    nothing = make_adversarial_scorer(eps=0, metric="log_loss")(MODEL, X, Y)
    assert nothing == get_scorer("neg_log_loss")(MODEL, X, Y)


def test_figures_of_each_class():
    options = FAST | {"attack": PGD(n_steps=5, random_start=False)}
    X_adv = adversarial_examples(MODEL, X, Y, **options)
    report = classification_report(
        Y, MODEL.predict(X_adv), sample_weight=1 + WEIGHT, output_dict=True
    )
    recall = recall_score(Y, MODEL.predict(X_adv), sample_weight=1 + WEIGHT, average=None)
    of_class = [
        adversarial_accuracy(MODEL, X, Y, sample_weight=w, **options)
        for w in ((1 + WEIGHT) * (kind == Y) for kind in range(3))
    ]
    np.testing.assert_allclose([report[str(kind)]["recall"] for kind in range(3)], recall)
    np.testing.assert_allclose(recall, of_class)


def test_regressors_are_scored_at_their_worst_predictions():
    data, target = load_diabetes(return_X_y=True)
    ridge = Ridge().fit(data, target)
    options = {"eps": 0.01, "threat": "l2"}
    error = adversarial_error(ridge, data, target, random_state=0, **options)
    absolute = make_adversarial_scorer(metric="mean_absolute_error", **options)
    assert absolute(ridge, data, target) == pytest.approx(-error, rel=1e-9)
    deviation = np.abs(ridge.predict(data) - target) + 0.01 * np.linalg.norm(ridge.coef_)
    r2 = 1 - (deviation**2).sum() / ((target - target.mean()) ** 2).sum()
    scorer = make_adversarial_scorer(metric="r2", loss="squared_error", **options)
    assert scorer(ridge, data, target) == pytest.approx(r2, rel=1e-9)
    weight = 1.0 + np.arange(len(target)) % 3
    weighted = (
        1
        - (weight * deviation**2).sum()
        / (weight * (target - np.average(target, weights=weight)) ** 2).sum()
    )
    found = scorer(ridge, data, target, sample_weight=weight)
    assert found == pytest.approx(weighted, rel=1e-9)


def test_scorer_survives_pickle_clone_and_print():
    scorer = make_adversarial_scorer(metric="log_loss", **FAST)
    for again in (pickle.loads(pickle.dumps(scorer)), clone(scorer, safe=False)):
        assert again == scorer and again(MODEL, X, Y) == scorer(MODEL, X, Y)
    assert repr(scorer).endswith("random_state=0, metric='log_loss')")
    assert scorer != make_adversarial_scorer(**FAST)
    wrapped = make_adversarial_scorer(metric=make_scorer(accuracy_score), **FAST)
    assert pickle.loads(pickle.dumps(wrapped))(MODEL, X, Y) == wrapped(MODEL, X, Y)


def test_search_over_several_metrics():
    names = ("accuracy", "log_loss", "f1_macro")
    scoring = {name: make_adversarial_scorer(metric=name, **FAST) for name in names}
    search = GridSearchCV(
        LogisticRegression(max_iter=1000), {"C": [0.01, 1.0]}, scoring=scoring, refit="log_loss",
        cv=FOLDS,
    ).fit(X, Y)  # fmt: skip
    expected = cross_validate(
        LogisticRegression(max_iter=1000, C=search.best_params_["C"]), X, Y, cv=FOLDS,
        scoring=scoring,
    )  # fmt: skip
    for name in names:
        found = search.cv_results_[f"mean_test_{name}"][search.best_index_]
        assert found == pytest.approx(expected[f"test_{name}"].mean(), rel=1e-12)
    assert search.best_score_ == search.cv_results_["mean_test_log_loss"].max() < 0


@pytest.mark.parametrize("metric", ["log_loss", "f1_macro"])
def test_routed_weights_reach_the_metric(metric):
    with sklearn.config_context(enable_metadata_routing=True):
        model = LogisticRegression(max_iter=1000).set_fit_request(sample_weight=True)
        scorer = make_adversarial_scorer(metric=metric, **FAST)
        scores = {}
        for asked in (True, False):
            one = clone(scorer, safe=False).set_score_request(sample_weight=asked)
            params = {"sample_weight": WEIGHT}
            scores[asked] = cross_validate(model, X, Y, scoring=one, cv=FOLDS, params=params)
    for asked in (True, False):
        by_hand = []
        for train, test in FOLDS.split(X):
            fitted = LogisticRegression(max_iter=1000)
            fitted.fit(X[train], Y[train], sample_weight=WEIGHT[train])
            weights = WEIGHT[test] if asked else None
            by_hand.append(scorer(fitted, X[test], Y[test], sample_weight=weights))
        np.testing.assert_allclose(scores[asked]["test_score"], by_hand, rtol=1e-9)


def test_a_scorer_without_weights_refuses_them_and_asks_for_none():
    scorer = make_adversarial_scorer(metric=by_length, **FAST)
    assert scorer(MODEL, X, Y) == make_adversarial_scorer(**FAST)(MODEL, X, Y) + len(X)
    assert not scorer._accept_sample_weight()
    with pytest.raises(ValueError, match="sample_weight must be left out"):
        scorer(MODEL, X, Y, sample_weight=WEIGHT)
    search = GridSearchCV(MODEL, {"C": [1.0]}, scoring=scorer, cv=FOLDS)
    with pytest.warns(UserWarning, match="does not support sample_weight"):
        search.fit(X, Y, sample_weight=WEIGHT)
    assert search.best_score_ > len(X) // 3


@pytest.mark.parametrize("metric", ["cascade", 3, dict, ["log_loss"]])
def test_scorer_refuses_what_is_no_metric_when_it_is_made(metric):
    with pytest.raises(ValueError, match="metric must be the name of a scorer"):
        make_adversarial_scorer(eps=0.1, metric=metric)


def test_loss_is_for_regressors_with_a_metric_too():
    scorer = make_adversarial_scorer(eps=0.1, loss="squared_error", metric="f1_macro")
    with pytest.raises(TypeError, match="loss must be left out but for a regressor"):
        scorer(MODEL, X, Y)
