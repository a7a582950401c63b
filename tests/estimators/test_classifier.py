from __future__ import annotations

import pickle
import random

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
import torch
from iris_classifier import IRIS, classifier
from releases import since_1_8
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_validate
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metadata_routing import get_routing_for_object
from torch import nn

from sklearn_iso import IsometricClassifier, IsometricClassifierCV
from sklearn_iso.metrics import make_adversarial_scorer, make_distortion_scorer
from sklearn_iso.penalties import WithinClassIsometry, WorstCaseIsometry
from sklearn_iso.twins import as_torch


@pytest.fixture(scope="module")
def fitted():
    return classifier().fit(*IRIS)


def test_default_network_learns_iris():
    assert IsometricClassifier(random_state=0).fit(*IRIS).score(*IRIS) > 0.95


def test_history_adds_up_to_the_loss(fitted):
    history = fitted.history_
    assert list(history) == [
        "epoch", "classification_loss", "penalty", "within_class", "worst_case",
        "adversarial_cross_entropy", "loss",
    ]  # fmt: skip
    assert history["epoch"] == list(range(1, 16))
    total = np.add(history["classification_loss"], history["penalty"])
    np.testing.assert_allclose(history["loss"], total, rtol=1e-9)
    assert fitted.loss_curve_ == history["loss"]
    assert fitted.n_iter_ == 15


def test_alpha_zero_switches_the_penalty_off():
    plain = classifier(alpha=0).fit(*IRIS)
    assert plain.history_["penalty"] == [0.0] * 15
    assert plain.history_["loss"] == plain.history_["classification_loss"]


def test_alpha_scales_the_penalty_against_the_classification_loss():
    history = classifier(alpha=2.5).fit(*IRIS).history_
    total = np.add(history["classification_loss"], 2.5 * np.array(history["penalty"]))
    np.testing.assert_allclose(history["loss"], total, rtol=1e-9)


def test_transform_is_the_last_hidden_layer_and_has_a_name_for_each_unit(fitted):
    Z = fitted.transform(IRIS[0])
    assert Z.shape == (150, 8)
    assert list(fitted.get_feature_names_out())[:2] == [
        "isometricclassifier0", "isometricclassifier1"
    ]  # fmt: skip
    module = fitted.to_torch()
    np.testing.assert_array_equal(
        module.output(torch.from_numpy(Z)).detach().numpy(), fitted._logits(IRIS[0])
    )


def test_layers_choose_what_transform_returns():
    by_name = classifier(layers=["hidden.1"]).fit(*IRIS)
    assert by_name.transform(IRIS[0]).shape == (150, 16)
    logits = classifier(layers="logits").fit(*IRIS)
    np.testing.assert_array_equal(logits.transform(IRIS[0]), logits._logits(IRIS[0]))


def test_without_hidden_layers_the_representation_is_the_logits():
    linear = classifier(hidden_layer_sizes=()).fit(*IRIS)
    assert linear.transform(IRIS[0]).shape == (150, 3)


def test_log_probabilities_are_those_of_the_probabilities(fitted):
    expected = np.log(fitted.predict_proba(IRIS[0]))
    np.testing.assert_allclose(fitted.predict_log_proba(IRIS[0]), expected, rtol=1e-9)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_decisions_are_the_log_odds_of_the_probabilities(n_classes):
    X, y = IRIS[0][IRIS[1] < n_classes], IRIS[1][IRIS[1] < n_classes]
    model = classifier().fit(X, y)
    decisions, odds = model.decision_function(X), np.log(model.predict_proba(X))
    if n_classes == 2:
        np.testing.assert_allclose(decisions, odds[:, 1] - odds[:, 0], rtol=1e-6)
        np.testing.assert_array_equal(model.predict(X), np.where(decisions > 0, 1, 0))
    else:
        centred = decisions - decisions.mean(axis=1, keepdims=True)
        np.testing.assert_allclose(centred, odds - odds.mean(axis=1, keepdims=True), atol=1e-8)
        np.testing.assert_array_equal(model.predict(X), decisions.argmax(axis=1))
    search = IsometricClassifierCV((1.0,), estimator=classifier(), cv=2).fit(X, y)
    np.testing.assert_array_equal(
        search.decision_function(X), search.estimator_.decision_function(X)
    )


@pytest.mark.parametrize("meta", [OneVsRestClassifier, OneVsOneClassifier])
def test_meta_estimators_that_read_decisions_have_a_differentiable_model(meta):
    model = meta(classifier(max_epochs=5)).fit(*IRIS)
    scores = as_torch(model)(torch.from_numpy(IRIS[0]))
    np.testing.assert_array_equal(scores.argmax(dim=1), model.predict(IRIS[0]))


# --- types of input ------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_keep_their_precision(dtype):
    X = IRIS[0].astype(dtype)
    fitted = classifier().fit(X, IRIS[1])
    assert fitted.predict_proba(X).dtype == dtype
    assert fitted.transform(X).dtype == dtype
    assert fitted.net_.module_.output.weight.numpy(force=True).dtype == dtype


def test_images_of_bytes_train_like_the_same_images_of_floats():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 120)
    X = (rng.integers(0, 100, (120, 16)) + 100 * y[:, None]).astype(np.uint8)
    on_bytes = classifier(max_epochs=30).fit(X, y)
    on_floats = classifier(max_epochs=30).fit(X / np.float32(255), y)
    assert on_bytes.predict_proba(X).dtype == np.float32
    assert on_bytes.score(X, y) > 0.95
    np.testing.assert_allclose(
        on_bytes.predict_proba(X), on_floats.predict_proba(X / np.float32(255)), atol=1e-3
    )


@pytest.mark.parametrize("factor", [1e-8, 1e8])
def test_units_of_the_features_do_not_matter(factor):
    X, y = IRIS
    expected = classifier().fit(X, y).predict_proba(X)
    scaled = classifier().fit(factor * X, y).predict_proba(factor * X)
    np.testing.assert_allclose(scaled, expected, atol=1e-6)


@pytest.mark.parametrize(
    "labels",
    [["ape", "bee", "cat"], [-7, -1, 0], [2.0, 3.0, 5.0]],
    ids=["strings", "negative", "floats"],
)
def test_labels_of_any_kind_come_back(labels):
    y = np.array(labels)[IRIS[1]]
    fitted = classifier(max_epochs=60).fit(IRIS[0], y)
    assert fitted.classes_.tolist() == sorted(labels)
    assert set(fitted.predict(IRIS[0])) <= set(labels)
    assert fitted.score(IRIS[0], y) > 0.9


def test_boolean_labels_come_back():
    y = IRIS[1] == 0
    fitted = classifier().fit(IRIS[0], y)
    assert fitted.predict(IRIS[0]).dtype == bool
    assert fitted.score(IRIS[0], y) > 0.95


def test_non_contiguous_rows_give_the_same_network():
    X, y = IRIS
    wide = np.repeat(X, 2, axis=1)[:, ::2]
    assert not wide.flags.c_contiguous
    labels = np.repeat(y, 2)[::2]
    np.testing.assert_array_equal(
        classifier().fit(wide, labels).predict_proba(wide), classifier().fit(X, y).predict_proba(X)
    )


@pytest.mark.parametrize("frame", [pd.DataFrame, pytest.param(pl.DataFrame, marks=since_1_8)])
def test_frames_go_in_and_names_are_kept(frame):
    columns = list("abcd")
    X = frame(dict(zip(columns, IRIS[0].T, strict=True)))
    fitted = classifier().fit(X, IRIS[1])
    assert fitted.feature_names_in_.tolist() == columns
    np.testing.assert_array_equal(fitted.predict(X), classifier().fit(*IRIS).predict(IRIS[0]))


@pytest.mark.parametrize("kind, frame", [("pandas", pd.DataFrame), ("polars", pl.DataFrame)])
def test_frames_come_out(fitted, kind, frame):
    Z = clone(fitted).set_output(transform=kind).fit(*IRIS).transform(IRIS[0])
    assert isinstance(Z, frame)
    assert list(Z.columns) == list(fitted.get_feature_names_out())


# --- weights -------------------------------------------------------------------------------


def test_rows_of_weight_zero_do_not_exist():
    X, y = IRIS
    weight = (np.arange(150) % 3 > 0).astype(float)
    left_out = classifier().fit(X, y, weight).predict_proba(X)
    without = classifier().fit(X[weight > 0], y[weight > 0]).predict_proba(X)
    np.testing.assert_allclose(left_out, without, rtol=1e-10)


def test_class_weight_multiplies_sample_weight():
    X, y = IRIS
    given = classifier(class_weight={0: 1, 1: 2, 2: 3}).fit(X, y, np.full(150, 2.0))
    combined = classifier().fit(X, y, 2.0 * (1 + y))
    np.testing.assert_array_equal(given.predict_proba(X), combined.predict_proba(X))


@pytest.mark.parametrize("class_weight", ["balanced", {0: 0.5, 1: 3.0}, {1: 0}])
def test_weight_two_is_the_sample_twice_under_class_weights(class_weight):
    X, y = (data[::5] for data in IRIS)
    counts = np.where((y == 1) & (X[:, 0] > 5.6), 3, 1) * (np.arange(30) % 5 > 0)
    make = classifier(class_weight=class_weight, max_epochs=30, shuffle=False)
    weighted = clone(make).fit(X, y, counts).predict_proba(X)
    repeated = clone(make).fit(np.repeat(X, counts, axis=0), np.repeat(y, counts))
    np.testing.assert_allclose(weighted, repeated.predict_proba(X), atol=1e-6)


def test_balanced_class_weights_are_those_of_scikit_learn():
    X, y = IRIS
    keep = np.r_[0:50, 50:80, 100:110]
    expected = compute_sample_weight("balanced", y[keep])
    given = classifier(class_weight="balanced").fit(X[keep], y[keep])
    combined = classifier().fit(X[keep], y[keep], expected)
    np.testing.assert_array_equal(given.predict_proba(X), combined.predict_proba(X))


@pytest.mark.parametrize("weight", [-1e-3, np.nan, np.inf, "heavy", None, 1j])
def test_a_class_weight_is_a_finite_number_that_is_not_negative(weight):
    with pytest.raises(ValueError, match="class_weight must hold finite numbers >= 0"):
        classifier(class_weight={1: weight}).fit(*IRIS)


@pytest.mark.parametrize("factor", [2.0**-1060, 2.0**-400, 2.0**900])
def test_a_common_factor_of_class_weights_does_not_matter(factor):
    X, y = IRIS
    given = classifier(class_weight={label: factor * (1 + label) for label in range(3)}).fit(X, y)
    usual = classifier(class_weight={0: 1, 1: 2, 2: 3}).fit(X, y)
    np.testing.assert_array_equal(given.predict_proba(X), usual.predict_proba(X))


def test_a_class_weight_of_no_class_is_refused_unless_every_class_has_one():
    with pytest.raises(ValueError, match=r"class_weight must be given by the labels.*\['1'\]"):
        classifier(class_weight={"1": 2.0}).fit(*IRIS)
    more = classifier(class_weight={0: 1, 1: 2, 2: 3, 3: 4}).fit(*IRIS)  # a fold may lack one
    same = classifier(class_weight={0: 1, 1: 2, 2: 3}).fit(*IRIS)
    np.testing.assert_array_equal(more.predict_proba(IRIS[0]), same.predict_proba(IRIS[0]))


def test_class_weights_beyond_their_precision_are_named():
    X, y = IRIS
    with pytest.raises(ValueError, match="ratios are within the range of float32"):
        classifier(class_weight={1: 1e39}).fit(X.astype(np.float32), y)
    with pytest.raises(ValueError, match="times class_weight, must be positive"):
        classifier(class_weight={0: 0, 1: 0, 2: 0}).fit(X, y)


@since_1_8
def test_sample_weight_is_routed_through_a_pipeline_and_a_search():
    X, y = IRIS
    weight = np.where(y == 2, 1e-9, 1.0)
    with sklearn.config_context(enable_metadata_routing=True):
        request = classifier().set_fit_request(sample_weight=True)
        request.set_score_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipeline = make_pipeline(scaler, request)
        assert get_routing_for_object(pipeline).consumes("fit", {"sample_weight"})
        search = GridSearchCV(pipeline, {"isometricclassifier__alpha": [0.0, 1.0]}, cv=2)
        search.fit(X, y, sample_weight=weight)
    assert not (search.predict(X) == 2).any()


# --- determinism ---------------------------------------------------------------------------


def test_same_random_state_gives_the_same_bits():
    first, second = (classifier().fit(*IRIS).predict_proba(IRIS[0]) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_other_random_state_gives_another_network():
    one, two = (classifier(random_state=s).fit(*IRIS).predict_proba(IRIS[0]) for s in (1, 2))
    assert not np.array_equal(one, two)


class Noisy(nn.Module):
    def __init__(self, n_features, n_outputs):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_features, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5),
            nn.Linear(8, n_outputs),
        )  # fmt: skip

    def forward(self, X):
        return self.layers(X)


@pytest.mark.parametrize("module", [None, Noisy])
@pytest.mark.parametrize("random_state", [0, None])
def test_global_generators_are_not_touched(module, random_state):
    before = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    fitted = classifier(module=module, random_state=random_state, early_stopping=True).fit(*IRIS)
    fitted.predict(IRIS[0])
    assert random.getstate() == before[0]
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])
    assert torch.equal(torch.get_rng_state(), before[2])


@pytest.mark.parametrize("module", [None, Noisy])
def test_other_torch_code_does_not_change_the_result(module):
    torch.manual_seed(1)
    one = classifier(module=module).fit(*IRIS).predict_proba(IRIS[0])
    torch.manual_seed(2)
    torch.rand(7)
    two = classifier(module=module).fit(*IRIS).predict_proba(IRIS[0])
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("backend", ["loky", pytest.param("threading", marks=pytest.mark.slow)])
def test_search_gives_the_same_scores_whatever_n_jobs(backend):
    import joblib

    scoring = {
        "accuracy": "accuracy",
        "robust": make_adversarial_scorer(eps=0.5, threat="l2"),
        "distortion": make_distortion_scorer(),
    }
    grid = {"isometricclassifier__alpha": [0.0, 1.0]}
    pipeline = make_pipeline(StandardScaler(), classifier(max_epochs=5))

    def scores(n_jobs):
        search = GridSearchCV(pipeline, grid, scoring=scoring, cv=2, refit="robust", n_jobs=n_jobs)
        with joblib.parallel_backend(backend):
            results = search.fit(*IRIS).cv_results_
        return {key: results[key] for key in results if key.startswith("split")}

    sequential, parallel = scores(1), scores(2)
    for key in sequential:
        np.testing.assert_array_equal(sequential[key], parallel[key])


@pytest.mark.parametrize("module", [None, Noisy])
def test_threads_do_not_disturb_each_other(module):
    from concurrent.futures import ThreadPoolExecutor

    expected = classifier(module=module).fit(*IRIS).predict_proba(IRIS[0])
    with ThreadPoolExecutor(2) as pool:
        for found in pool.map(
            lambda _: classifier(module=module).fit(*IRIS).predict_proba(IRIS[0]), range(4)
        ):
            np.testing.assert_array_equal(found, expected)


# --- composition ---------------------------------------------------------------------------


def test_parameters_of_a_penalty_are_reached_by_a_grid():
    search = GridSearchCV(
        classifier(penalty=WithinClassIsometry() + WorstCaseIsometry(), max_epochs=2),
        {"penalty__radius": [0.1, 2.0], "penalty__within_class__loss": ["raw_stress"]},
        cv=2,
    ).fit(*IRIS)
    assert search.best_estimator_.radius_ in (0.1, 2.0)
    assert search.best_estimator_.penalty.get_params()["within_class__loss"] == "raw_stress"


def test_fit_leaves_the_parameters_as_they_were():
    penalty = WorstCaseIsometry()
    fitted = classifier(penalty=penalty).fit(*IRIS)
    assert fitted.penalty is penalty
    assert not hasattr(penalty, "radius_")
    assert fitted.penalty_.radius_ == fitted.radius_ > 0


def test_cross_validation_takes_several_scorers():
    scores = cross_validate(
        make_pipeline(StandardScaler(), classifier()), *IRIS, cv=2,
        scoring={"robust": make_adversarial_scorer(eps=0.1), "kept": make_distortion_scorer()},
    )  # fmt: skip
    assert (scores["test_robust"] > 0).all()
    assert (scores["test_kept"] <= 0).all()


def test_pickle_predicts_and_transforms_the_same(fitted):
    loaded = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(loaded.predict_proba(IRIS[0]), fitted.predict_proba(IRIS[0]))
    np.testing.assert_array_equal(loaded.transform(IRIS[0]), fitted.transform(IRIS[0]))


def test_fitted_estimator_holds_no_training_data():
    X = np.repeat(IRIS[0], 200, axis=0)
    fitted = classifier(max_epochs=1, early_stopping=True).fit(X, np.repeat(IRIS[1], 200))
    assert len(pickle.dumps(fitted)) < X.nbytes / 10


def test_user_class_instance_and_function_are_trained():
    X, y = IRIS
    instance = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    before = {name: value.clone() for name, value in instance.state_dict().items()}
    for module in (Noisy, instance, lambda n_features: nn.Linear(n_features, 3)):
        fitted = classifier(module=module, learning_rate=0.02, max_epochs=200).fit(X, y)
        assert fitted.score(X, y) > 0.85
    assert all(torch.equal(before[name], value) for name, value in instance.state_dict().items())


def test_module_may_take_rows_of_several_dimensions():
    X = np.random.default_rng(0).normal(size=(40, 1, 6, 6)).astype(np.float32)
    y = (X.mean((1, 2, 3)) > 0).astype(int)
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2))
    fitted = classifier(module=module).fit(X, y)
    assert fitted.predict(X).shape == (40,)
    assert fitted.transform(X).shape == (40, 64)


def test_predictions_of_a_binary_problem_have_two_columns():
    X, y = IRIS[0][:100], IRIS[1][:100]
    proba = cross_val_predict(classifier(), X, y, method="predict_proba", cv=2)
    assert proba.shape == (100, 2)
    np.testing.assert_allclose(proba.sum(1), 1)
