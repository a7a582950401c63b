"""Laws of IsometricRegressor beyond scikit-learn's contract, which tests/test_common.py holds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from releases import exports
from sklearn.datasets import make_friedman1
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sklearn_iso
from sklearn_iso import IsometricRegressor
from sklearn_iso.penalties import GlobalIsometry, WithinClassIsometry, WorstCaseIsometry
from sklearn_iso.persistence import to_onnx

X, y = make_friedman1(400, noise=0.5, random_state=0)
FIT, TEST = slice(0, 300), slice(300, 400)


def regressor(**params):
    quick = {"hidden_layer_sizes": (32, 16), "max_epochs": 10, "random_state": 0}
    return IsometricRegressor(**quick | params)


def weights(estimator):
    return [v.numpy(force=True) for v in estimator.net_.module_.state_dict().values()]


def assert_same(first, second):
    for a, b in zip(weights(first), weights(second), strict=True):
        np.testing.assert_array_equal(a, b)


def test_friedmans_function_is_learnt():
    model = IsometricRegressor(random_state=0).fit(X[FIT], y[FIT])
    assert model.score(X[TEST], y[TEST]) > 0.85


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_units_of_target_and_input_do_not_matter(alpha):
    plain = regressor(alpha=alpha).fit(X[FIT], y[FIT])
    moved = regressor(alpha=alpha).fit(1e3 * X[FIT] + 5, 1e4 * y[FIT] - 1e5)
    expected = 1e4 * plain.predict(X[TEST]) - 1e5
    np.testing.assert_allclose(moved.predict(1e3 * X[TEST] + 5), expected, rtol=1e-5)


def test_radius_is_half_the_median_distance_to_the_nearest_distinct_row():
    rows = np.array([[0.0], [1.0], [3.0], [7.0], [7.0]])
    model = regressor(max_epochs=1).fit(rows, rows[:, 0])
    assert model.radius_ == pytest.approx(0.5 * np.median([1, 1, 2, 4, 4]))


def test_scale_is_four_deviations_of_the_target_over_the_spread_of_the_rows():
    model = regressor(max_epochs=1).fit(X[FIT], y[FIT])
    spread = np.sqrt(X[FIT].var(axis=0).sum())
    assert model.scale_ == pytest.approx(4 / spread)


def test_numbers_in_a_penalty_stay():
    penalty = WorstCaseIsometry(radius=0.25, scale=3.0)
    model = regressor(penalty=penalty, max_epochs=1).fit(X[FIT], y[FIT])
    assert (model.radius_, model.scale_) == (0.25, 3.0)
    assert penalty.start == "margin"  # the parameter is the user's


def test_the_slope_of_the_prediction_falls_with_alpha():
    def steepest(alpha):
        model = regressor(alpha=alpha, penalty=WorstCaseIsometry(scale=0.5), max_epochs=30)
        rows = torch.tensor(X[TEST], requires_grad=True)
        module = model.fit(X[FIT], y[FIT]).to_torch()
        (slope,) = torch.autograd.grad(module(rows).sum(), rows)
        return slope.norm(dim=1).max().item()

    assert steepest(10.0) < 0.7 * steepest(0.0)


def test_history_names_the_squared_error():
    model = regressor(alpha=0.5).fit(X[FIT], y[FIT])
    assert set(model.history_) == {
        "epoch", "loss", "squared_error", "penalty", "neighbor", "worst_case"
    }  # fmt: skip
    total = np.add(model.history_["squared_error"], 0.5 * np.array(model.history_["penalty"]))
    np.testing.assert_allclose(model.history_["loss"], total, rtol=1e-6)


def test_the_error_of_history_is_the_mean_squared_error_over_the_variance():
    model = regressor(alpha=0, max_epochs=1, learning_rate=1e-12, batch_size=300)
    model.fit(X[FIT], y[FIT])
    expected = np.mean((model.predict(X[FIT]) - y[FIT]) ** 2) / y[FIT].var()
    assert model.history_["squared_error"][0] == pytest.approx(expected)


def test_the_torch_module_predicts_in_the_units_of_the_target():
    model = regressor().fit(X[FIT], y[FIT])
    found = model.to_torch()(torch.tensor(X[TEST])).detach().numpy()
    np.testing.assert_allclose(found[:, 0], model.predict(X[TEST]), rtol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("exponent", [-900, -664, 515, 900])
def test_predictions_have_the_units_of_the_target(dtype, exponent):
    rows, factor = X.astype(dtype), 2.0**exponent  # exactly: no digit changes
    plain, scaled = (regressor().fit(rows[FIT], c * y[FIT]) for c in (1.0, factor))
    np.testing.assert_array_equal(scaled.predict(rows[TEST]), factor * plain.predict(rows[TEST]))
    by_torch = scaled.to_torch()(torch.tensor(rows[TEST])).detach().numpy()[:, 0]
    np.testing.assert_allclose(by_torch, scaled.predict(rows[TEST]), rtol=1e-5)
    assert scaled.score(rows[TEST], factor * y[TEST]) == plain.score(rows[TEST], y[TEST])


@pytest.mark.parametrize("factor", [1e-200, 1e155])
def test_predictions_have_the_units_of_the_target_up_to_rounding(factor):
    plain, scaled = (regressor().fit(X[FIT], c * y[FIT]) for c in (1.0, factor))
    np.testing.assert_allclose(scaled.predict(X[TEST]) / factor, plain.predict(X[TEST]))


@pytest.mark.parametrize("factor", [1e-310, 1e-295, 1e305, np.longdouble("1e400")], ids=str)
def test_a_target_whose_predictions_float64_does_not_hold_is_refused(factor):
    with pytest.raises(ValueError, match=r"y must .* Scale y"):
        regressor().fit(X[FIT], np.abs(y[FIT]).clip(1) * factor)


@pytest.mark.parametrize("value", [0.0, 7.0, -1e9, 1e-310, 1e-200, 1e155])
def test_a_constant_target_is_predicted(value):
    model = regressor(max_epochs=1).fit(X[FIT], np.full(300, value))
    np.testing.assert_array_equal(model.predict(X[TEST]), value)
    assert regressor().partial_fit(X[:9], [value] * 9).predict(X[:2]).tolist() == [value] * 2


def test_chunks_learn_once_the_target_varies():
    late = regressor().partial_fit(X[:9], [1e9] * 9)
    for _ in range(40):
        late.partial_fit(X[FIT], y[FIT])
    assert late.score(X[FIT], y[FIT]) > 0.5


def test_a_chunk_far_beyond_the_units_of_the_first_is_refused():
    model = regressor().partial_fit(X[FIT].astype(np.float32), 1e-30 * y[FIT])
    with pytest.raises(ValueError, match="y must be near the mean .* Scale y alike"):
        model.partial_fit(X[FIT], 1e30 * y[FIT])


def test_digits_of_a_target_far_from_zero_survive_rows_of_float32():
    rows = X.astype(np.float32)
    plain, far = (regressor().fit(rows[FIT], y[FIT] + c) for c in (0, 2.0**30))
    np.testing.assert_allclose(far.predict(rows) - 2.0**30, plain.predict(rows), atol=1e-3)


def test_integers_are_targets():
    assert regressor().fit(X[FIT], y[FIT].astype(int)).predict(X[TEST]).dtype == np.float64


def test_one_chunk_is_a_fit_of_one_epoch():
    by_chunk = regressor().partial_fit(X[FIT], y[FIT])
    whole = regressor(max_epochs=1, learning_rate_schedule="constant").fit(X[FIT], y[FIT])
    assert_same(by_chunk, whole)


def test_later_chunks_keep_the_units_of_the_first():
    model = regressor().partial_fit(X[FIT], y[FIT])
    units = model.target_mean_, model.target_std_
    model.partial_fit(X[TEST], 100 + y[TEST])
    assert (model.target_mean_, model.target_std_) == units


def test_weight_two_is_the_row_twice():
    params = {"shuffle": False, "batch_size": 600, "optimizer": "sgd", "learning_rate": 1e-3}
    params |= {"penalty": GlobalIsometry(max_samples=None) + WorstCaseIsometry(), "max_epochs": 3}
    twice = np.repeat(np.arange(200), 2)  # no more than the units are taken from
    weighted = regressor(**params).fit(X[:200], y[:200], sample_weight=np.full(200, 2.0))
    repeated = regressor(**params).fit(X[twice], y[twice])
    for a, b in zip(weights(weighted), weights(repeated), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)


def test_a_file_brings_back_what_learns_and_predicts(tmp_path):
    model = regressor().fit(X[FIT].astype(np.float32), y[FIT])
    model.save(tmp_path / "model")
    again = sklearn_iso.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(X[TEST]), model.predict(X[TEST]))
    assert_same(model.partial_fit(X[TEST], y[TEST]), again.partial_fit(X[TEST], y[TEST]))


@exports
def test_a_graph_predicts_in_a_pipeline():
    ort = pytest.importorskip("onnxruntime")
    model = make_pipeline(StandardScaler(), regressor()).fit(X[FIT], y[FIT])
    session = ort.InferenceSession(to_onnx(model, X).SerializeToString())
    (found,) = session.run(["prediction"], {"X": X[TEST]})
    np.testing.assert_allclose(found, model.predict(X[TEST]), rtol=1e-5)


def test_a_search_reaches_alpha_and_the_penalty_in_a_pipeline_with_weights():
    grid = {"isometricregressor__alpha": [0.0, 0.3]}
    pipeline = make_pipeline(StandardScaler(), regressor(max_epochs=3))
    search = GridSearchCV(pipeline, grid, cv=2).fit(X[FIT], y[FIT])
    assert np.isfinite(search.best_score_)


def test_early_stopping_holds_out_rows():
    model = regressor(early_stopping=True, max_epochs=5).fit(X[FIT], y[FIT])
    assert "valid_squared_error" in model.history_


NEED_CLASSES = [
    WithinClassIsometry(), 2 * WithinClassIsometry(), WorstCaseIsometry().with_cross_entropy(0.5),
]  # fmt: skip


@pytest.mark.parametrize("penalty", NEED_CLASSES, ids=repr)
def test_a_penalty_that_needs_classes_is_refused(penalty):
    with pytest.raises(ValueError, match="must do without classes"):
        regressor(penalty=penalty).fit(X[FIT], y[FIT])


def test_a_penalty_that_climbs_logits_is_refused():
    with pytest.raises(ValueError, match="this map has none"):
        regressor(penalty=WorstCaseIsometry(ascent="margin")).fit(X[FIT], y[FIT])


def test_weights_that_are_all_zero_are_refused():
    with pytest.raises(ValueError, match="at least one (non-zero number|sample)"):
        regressor().fit(X[FIT], y[FIT], sample_weight=np.zeros(300))


def test_a_module_of_another_width_is_refused():
    with pytest.raises(ValueError, match="one prediction for each sample"):
        regressor(module=torch.nn.Linear(10, 2)).fit(X[FIT], y[FIT])


@pytest.mark.parametrize("penalty", ["neighbors", "global", "worst_case", "local", "jacobian"])
def test_every_named_penalty_trains(penalty):
    model = regressor(penalty=penalty, max_epochs=2).fit(X[FIT], y[FIT])
    assert np.isfinite(model.predict(X[TEST])).all()
