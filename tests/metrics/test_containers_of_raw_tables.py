"""Raw tables in the containers and dtypes of users: one figure for all."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from raw_tables import FEW, NUMBERS, QUICK, TEXT, X, Y, access, fitted, in_polars
from releases import since_1_8
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklearn_iso import ThreatModel
from sklearn_iso.attacks import PGD
from sklearn_iso.metrics import adversarial_accuracy
from sklearn_iso.metrics._access import AccessKind
from sklearn_iso.metrics._problem import Problem


@pytest.mark.parametrize(
    "dtypes",
    [
        {"smokes": "boolean", "age": "Int64", "income": "Float64"},
        {"age": object, "plan": object, "income": object, "smokes": object},
        {"age": "float32", "plan": "category"},
    ],
    ids=["nullable", "object", "category"],
)
def test_dtypes_of_the_user_stay_and_give_one_figure(dtypes):
    frame = X.astype(dtypes)
    options = {"categories": ["plan", "grade"], "bounds": None}
    threat, usual = (ThreatModel.from_data(one, **options) for one in (frame, X))
    table = Problem.of(fitted(X=frame), frame, Y, threat=threat).table
    seen = table.with_values(table.values)
    expected = frame.astype({"age": "Float64"}) if dtypes["age"] == "Int64" else frame
    pd.testing.assert_frame_equal(seen.set_axis(frame.index), expected)
    first, second = (
        adversarial_accuracy(
            fitted(X=one), one, Y, eps=0.2, threat=of_it, attack=QUICK, random_state=0
        )
        for one, of_it in ((frame, threat), (X, usual))
    )
    assert abs(first - second) <= 1 / len(X)


@since_1_8
@pytest.mark.parametrize("categories", [None, "all"])
def test_polars_arrays_and_lists_give_the_figure_of_pandas(categories):
    frame, units = X.astype({"grade": str}), {"age": 18.0, "income": 10.0}
    options = {"eps": 0.2, "attack": QUICK, "random_state": 0}
    threat = ThreatModel(units=units, categories=categories)
    expected = adversarial_accuracy(fitted(X=frame), frame, Y, threat=threat, **options)
    polars = in_polars(frame)
    assert polars["plan"].null_count() and polars["income"].null_count()
    model = fitted(X=polars)
    assert adversarial_accuracy(model, polars, Y, threat=threat, **options) == expected
    table = Problem.of(model, polars, Y, threat=threat).table
    assert table.with_values(table.values).equals(polars.with_columns(pl.col("age").cast(float)))
    encode = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), [0, 2]),
        (OneHotEncoder(handle_unknown="ignore"), [1, 4]),
        remainder="passthrough",
    )
    threat = ThreatModel(units=[18.0, 1.0, 10.0, 1.0, 1.0], categories=categories)
    for rows in (frame.to_numpy(), frame.to_numpy().tolist()):
        model = make_pipeline(encode, LogisticRegression(max_iter=2000)).fit(frame.to_numpy(), Y)
        assert adversarial_accuracy(model, rows, Y, threat=threat, **options) == expected


@pytest.mark.parametrize("categories", ["all", ["plan", "smokes"]])
def test_a_threat_of_polars_is_that_of_pandas(categories):
    whole = X.dropna()
    threat = ThreatModel.from_data(in_polars(whole), categories=categories)
    assert threat == ThreatModel.from_data(whole.astype({"grade": str}), categories=categories)


def test_numbers_alone_with_gaps_need_an_estimator_that_takes_them():
    holes = X[NUMBERS].to_numpy(dtype=float)
    model = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler(), GaussianNB())
    model.fit(holes, Y)
    found = access(model, holes)
    assert found.kind is AccessKind.WHITE_BOX and "equals" in found.reason
    options = {"attack": QUICK, "random_state": 0}
    assert adversarial_accuracy(model, holes, Y, eps=5.0, **options) < model.score(holes, Y)
    boosted = HistGradientBoostingClassifier(max_iter=5).fit(holes, Y)
    rate = adversarial_accuracy(boosted, holes, Y, eps=1e-6, attack=FEW, random_state=0)
    assert rate == boosted.score(holes, Y)
    whole = LogisticRegression(max_iter=2000).fit(np.nan_to_num(holes), Y)
    with pytest.raises(ValueError, match="column 1 .*contains NaN"):
        adversarial_accuracy(whole, holes, Y, eps=1.0)


def test_columns_may_stand_in_another_order_than_in_the_fit():
    model, turned = fitted(), X[X.columns[::-1]]
    options = {"eps": 0.2, "random_state": 0, "attack": PGD()}
    threat = ThreatModel.from_data(X, categories=["plan"])
    found, expected = (
        adversarial_accuracy(model, frame, Y, threat=threat, **options) for frame in (turned, X)
    )
    assert found == expected


def test_columns_that_the_pipeline_drops_may_be_absent():
    further = X.assign(note="n", weight=1.0)
    encode = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), NUMBERS),
        (OneHotEncoder(handle_unknown="ignore"), TEXT),
    )
    model = make_pipeline(encode, LogisticRegression(max_iter=2000)).fit(further, Y)
    assert access(model).kind is AccessKind.WHITE_BOX
    first, second = (
        adversarial_accuracy(model, frame, Y, eps=0.3, attack=QUICK, random_state=0)
        for frame in (X, further)
    )
    assert first == second


@since_1_8
def test_weights_and_seeds_count_as_ever():
    model, threat = fitted(), ThreatModel.from_data(X, categories="all")
    weight = (np.arange(len(X)) % 2).astype(float)
    options = {"eps": 0.1, "threat": threat, "attack": QUICK, "random_state": 3}
    half = weight > 0
    polars = in_polars(X)
    for frame in (X, polars):
        fit = fitted(X=frame) if frame is not X else model
        some = frame[half] if frame is X else frame.filter(half)
        found = adversarial_accuracy(fit, frame, Y, sample_weight=weight, **options)
        assert found == adversarial_accuracy(fit, some, Y[half], **options)
    before = X.copy()
    first, second = (
        adversarial_accuracy(clone(model).fit(X, Y), X, Y, **options) for _ in range(2)
    )
    assert first == second
    pd.testing.assert_frame_equal(X, before)
