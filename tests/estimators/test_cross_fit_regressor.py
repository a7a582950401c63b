"""A regressor that chooses its strength: what the data say, and what a user says, holds."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import make_friedman1
from sklearn.exceptions import ConvergenceWarning

from sklearn_iso import IsometricRegressor, load
from sklearn_iso._training.selection import select_for_numbers
from sklearn_iso.estimators import _regression as regression
from sklearn_iso.estimators._strength import CANDIDATES_OF_REGRESSORS
from sklearn_iso.penalties import NeighborIsometry, WorstCaseIsometry

SMALL = {"hidden_layer_sizes": (64,), "max_epochs": 8, "random_state": 0}


@pytest.fixture(scope="module")
def noisy():
    return make_friedman1(400, noise=2.0, random_state=0)


@pytest.fixture(scope="module")
def fitted(noisy):
    return IsometricRegressor(**SMALL).fit(*noisy)


def test_the_strongest_within_a_standard_error_is_taken(fitted):
    table = fitted.selection_
    near = table["squared_error_excess"] <= table["squared_error_std_error"]
    tried = [(one.alpha, one.weight_decay) for one in CANDIDATES_OF_REGRESSORS]
    assert tried == list(zip(table["alpha"], table["weight_decay"], strict=True))
    assert (fitted.alpha_, fitted.weight_decay_) == tried[np.flatnonzero(near)[-1]]
    assert fitted.net_.criterion_.alpha == fitted.alpha_


def test_noise_is_predicted_by_its_mean():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(2, 300, 6)), rng.normal(size=(2, 300))
    chosen = IsometricRegressor(random_state=0).fit(X[0], y[0])
    one = IsometricRegressor(alpha=0.3, random_state=0).fit(X[0], y[0])
    assert abs(chosen.score(X[1], y[1])) < 0.02
    assert chosen.shrinkage_ < 0.1
    assert one.score(X[1], y[1]) < -0.3


def test_a_weight_of_two_is_the_sample_twice(noisy):
    X, y = noisy[0][:80], noisy[1][:80]
    counts = np.random.default_rng(0).integers(0, 3, size=80)
    copies = np.repeat(np.arange(80), counts)
    penalty = NeighborIsometry(max_samples=1000) + WorstCaseIsometry(start="random")
    whole = SMALL | {"batch_size": 1000, "shuffle": False, "penalty": penalty}
    weighted = IsometricRegressor(**whole).fit(X, y, counts)
    repeated = IsometricRegressor(**whole).fit(X[copies], y[copies])
    assert weighted.alpha_ == repeated.alpha_
    np.testing.assert_allclose(weighted.predict(X), repeated.predict(X), rtol=1e-3, atol=5e-3)


def test_a_seed_decides_and_float64_stays_float64(noisy, fitted):
    X, y = noisy
    again = IsometricRegressor(**SMALL).fit(X, y)
    np.testing.assert_array_equal(again.predict(X), fitted.predict(X))
    single = IsometricRegressor(**SMALL).fit(X.astype(np.float32), y)
    assert fitted.transform(X).dtype == np.float64
    assert single.transform(X.astype(np.float32)).dtype == np.float32
    np.testing.assert_allclose(single.predict(X), fitted.predict(X), atol=0.05 * y.std())


@pytest.mark.parametrize("factor", [1e-12, 1e9])
def test_units_of_the_target_change_nothing(noisy, fitted, factor):
    scaled = IsometricRegressor(**SMALL).fit(noisy[0], noisy[1] * factor)
    assert scaled.alpha_ == fitted.alpha_
    np.testing.assert_allclose(
        scaled.predict(noisy[0]) / factor, fitted.predict(noisy[0]), rtol=1e-2
    )


@pytest.mark.parametrize(
    "params",
    [
        {"alpha": 0.3},
        {"early_stopping": True},
        {"warm_start": True},
        {"hidden_layer_sizes": (16,)},
        {"penalty": "jacobian"},
        {"mixed_precision": True},
    ],
)
def test_one_network_trains_where_there_is_nothing_to_choose(params, noisy):
    one = IsometricRegressor(**SMALL | params).fit(*noisy)
    assert one.selection_ is None
    assert (one.alpha_, one.weight_decay_, one.shrinkage_) == (0.3, 0.0, 1.0)


def test_a_target_that_does_not_vary_is_nothing_to_choose_by(noisy):
    one = IsometricRegressor(**SMALL).fit(noisy[0], np.full(len(noisy[0]), 3.0))
    assert one.selection_ is None
    np.testing.assert_array_equal(one.predict(noisy[0]), 3.0)


def test_a_weight_decay_of_the_user_is_that_of_all_candidates(noisy):
    held = IsometricRegressor(**SMALL, weight_decay=0.02).fit(*noisy)
    assert set(held.selection_["weight_decay"]) == {0.02} == {held.weight_decay_}
    assert sorted(held.selection_["alpha"]) == [0.0, 0.3]


def test_a_file_brings_back_what_was_chosen(fitted, noisy, tmp_path):
    fitted.save(tmp_path / "chosen.safetensors")
    back = load(tmp_path / "chosen.safetensors")
    np.testing.assert_array_equal(back.predict(noisy[0]), fitted.predict(noisy[0]))
    for name, column in fitted.selection_.items():
        np.testing.assert_array_equal(back.selection_[name], column)


def test_learning_goes_on_from_the_choice(noisy):
    model = IsometricRegressor(**SMALL).fit(*noisy)
    before, alpha = model.score(*noisy), model.alpha_
    for _ in range(3):
        model.partial_fit(*noisy)
    assert model.net_.criterion_.alpha == alpha == model.alpha_
    assert model.score(*noisy) > before - 0.05
    model.set_params(alpha=0.5).partial_fit(*noisy)
    assert model.alpha_ == 0.5


def test_a_network_that_has_not_learned_is_told(noisy):
    with pytest.warns(ConvergenceWarning, match="No candidate has learned.*Lower learning_rate"):
        IsometricRegressor(**SMALL, learning_rate=1e3).fit(*noisy)


def test_predictions_are_drawn_towards_the_mean_of_the_target(monkeypatch):
    rng = np.random.default_rng(1)
    X, noise = rng.normal(size=(200, 5)), rng.normal(size=200)
    shrunk = IsometricRegressor(**SMALL).fit(X, noise)

    def whole(*data):
        return replace(select_for_numbers(*data), temperature=1.0)

    monkeypatch.setattr(regression, "select_for_numbers", whole)
    plain = IsometricRegressor(**SMALL).fit(X, noise)
    assert shrunk.shrinkage_ < 0.5 and plain.shrinkage_ == 1
    center = shrunk.target_mean_
    np.testing.assert_allclose(
        shrunk.predict(X) - center, shrunk.shrinkage_ * (plain.predict(X) - center), atol=1e-6
    )
