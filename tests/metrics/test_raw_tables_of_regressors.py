"""Regressors on tables as users pass them: closed forms, brute force, and reports."""

import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklearn_iso import ThreatModel
from sklearn_iso.attacks import PGD, AttackEnsemble, MinimumNormEnsemble
from sklearn_iso.metrics import (
    adversarial_distance,
    adversarial_error,
    robustness_curve,
    robustness_report,
)
from sklearn_iso.metrics._raw_table import table_of

N = 40
NUMBERS, CHANGING = ["age", "income"], ["plan", "smokes", "grade"]
DUAL = {"linf": 1, "l2": 2, "l1": np.inf}


def houses(seed=0):
    """Return numbers, text, booleans and gaps, and targets."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "age": rng.integers(18, 80, N),
            "plan": rng.choice(["basic", "family", "work"], N),
            "income": rng.normal(50, 10, N),
            "smokes": rng.uniform(size=N) < 0.4,
            "grade": pd.Categorical(rng.choice(["x", "y"], N)),
        },
        index=[f"s{number}" for number in range(N)],
    )
    y = X["age"] / 18 + 1.5 * (X["plan"] == "family") + X["smokes"] + X["income"] / 20
    X.loc[X.index[::7], "income"] = np.nan
    X.loc[X.index[::9], "plan"] = None
    return X, (y + rng.normal(0, 0.5, N)).to_numpy()


X, Y = houses()


def fitted(model):
    prepare = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), NUMBERS),
        (OneHotEncoder(handle_unknown="ignore"), ["plan", "grade"]),
        remainder="passthrough",
    )
    return make_pipeline(prepare, model).fit(X, Y)


RIDGE = fitted(Ridge())


def reach(norm):
    """Return how far the predictions of RIDGE move within a budget of 1; gaps do not move."""
    scale = RIDGE[0].named_transformers_["pipeline"]["standardscaler"].scale_
    slope = RIDGE[-1].coef_[:2] / scale * np.array([X[name].std(ddof=0) for name in NUMBERS])
    return np.linalg.norm(X[NUMBERS].notna() * np.abs(slope), ord=DUAL[norm], axis=1)


def combinations(max_changes):
    """Yield X with every combination of its categories; what is missing stays."""
    values = {name: X[name].dropna().unique().tolist() for name in CHANGING}
    for names in itertools.combinations(values, max_changes):
        for chosen in itertools.product(*(values[name] for name in names)):
            changed = X.copy()
            for name, value in zip(names, chosen, strict=True):
                column = X[name].astype(object).mask(X[name].notna(), value)
                changed[name] = column.astype(X[name].dtype)
            yield changed


def threat_of(norm="linf", max_changes=2):
    return ThreatModel.from_data(
        X, norm=norm, bounds=None, categories=CHANGING, max_changes=max_changes
    )


SLOW = pytest.mark.slow


@pytest.mark.parametrize("norm", ["linf", *(pytest.param(one, marks=SLOW) for one in ("l2", "l1"))])
def test_numbers_and_categories_of_a_linear_pipeline_have_a_closed_form(norm):
    predicted, tolerance = [RIDGE.predict(one) for one in combinations(2)], 1.0
    options = {"threat": threat_of(norm), "random_state": 0}
    worst = np.max([np.abs(one - Y) for one in predicted], axis=0) + 0.3 * reach(norm)
    found = adversarial_error(RIDGE, X, Y, eps=0.3, **options)
    np.testing.assert_allclose(found, worst.mean(), rtol=1e-9)
    clean = RIDGE.predict(X)
    left = tolerance - np.max([np.abs(one - clean) for one in predicted], axis=0)
    distance = adversarial_distance(RIDGE, X, tolerance=tolerance, **options)
    np.testing.assert_allclose(distance, np.maximum(left, 0) / reach(norm), atol=1e-6)


@pytest.mark.parametrize("max_changes", [1, 2])
def test_every_combination_of_categories_is_tried_on_boosted_trees(max_changes):
    model = fitted(HistGradientBoostingRegressor(max_iter=10, min_samples_leaf=3))
    options = {"threat": threat_of(max_changes=max_changes), "random_state": 0}
    predicted = [model.predict(one) for one in combinations(max_changes)]
    worst = np.max([np.abs(one - Y) for one in predicted], axis=0)
    few = AttackEnsemble(n_queries=4)
    found = adversarial_error(model, X, Y, eps=1e-9, attack=few, **options)
    np.testing.assert_allclose(found, worst.mean(), rtol=1e-9)
    clean = model.predict(X)
    enough = np.max([np.abs(one - clean) for one in predicted], axis=0) > 0.3
    distance = adversarial_distance(
        model, X, tolerance=0.3, attack=MinimumNormEnsemble(n_queries=5), **options
    )
    assert (distance[enough] == 0).all() and 0 < enough.sum() < N
    assert (distance[~enough] > 0).all()


def test_searches_ask_by_a_shortcut_and_find_the_same(monkeypatch):
    model = fitted(HistGradientBoostingRegressor(max_iter=10, min_samples_leaf=3))
    options = {"eps": 0.3, "threat": threat_of(), "random_state": 0}
    options["attack"] = AttackEnsemble(n_queries=20)
    quick = adversarial_error(model, X, Y, **options)
    monkeypatch.setattr("sklearn_iso.metrics._raw_table.Shortcut.of", lambda *given: None)
    assert adversarial_error(model, X, Y, **options) == pytest.approx(quick, rel=1e-9)


@pytest.mark.parametrize("samples", [slice(None), slice(1)], ids=["all", "one"])
def test_curve_and_report_of_a_raw_table_tell_one_error(samples):
    some, y = X.iloc[samples], Y[samples]
    options = {"threat": threat_of(), "random_state": 0, "attack": PGD(n_steps=5)}
    curve = robustness_curve(RIDGE, some, y, eps=[0, 0.3], **options)
    report = robustness_report(RIDGE, some, y, eps=[0, 0.3], **options)
    np.testing.assert_allclose(report.error, curve, rtol=1e-9)
    assert "search_suffices" in report.checked
    assert "Columns that may change, at most 2: plan" in str(report)


def test_read_only_targets_cause_no_warning():
    y = Y.copy()
    y.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        adversarial_error(RIDGE, X, y, eps=0.1, random_state=0)


def test_part_of_a_table_has_the_same_coordinates():
    whole = table_of(X, threat_of())
    rows = np.array([5, 0])
    part = whole.part(rows)
    np.testing.assert_array_equal(part.values, whole.values[rows])
    pd.testing.assert_frame_equal(
        part.with_values(part.values, np.arange(2)), whole.with_values(whole.values[rows], rows)
    )


@pytest.mark.parametrize(
    "measure, eps",
    [(adversarial_error, 0.1), (robustness_curve, [0.1]), (robustness_report, [0.1])],
)
def test_targets_must_be_there(measure, eps):
    with pytest.raises(ValueError, match=r"y must hold the targets of X; got None\."):
        measure(RIDGE, X, None, eps=eps)
