"""Categories of raw tables that may change: as every combination of them finds."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from raw_tables import FEW, QUICK, X, Y, access, brute_force, fitted
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from sklearn_iso import ThreatModel
from sklearn_iso.attacks import MinimumNormEnsemble
from sklearn_iso.metrics import adversarial_accuracy, adversarial_distance
from sklearn_iso.metrics._access import AccessKind
from sklearn_iso.metrics._raw_table import table_of


@pytest.mark.filterwarnings("ignore:The search by labels alone needs errors")
@pytest.mark.parametrize("max_changes", [1, 2, 3])
@pytest.mark.parametrize(
    "model",
    [LogisticRegression(max_iter=2000), DecisionTreeClassifier(max_depth=6, random_state=0)],
    ids=repr,
)
def test_changing_categories_find_what_every_combination_finds(model, max_changes):
    columns = ["plan", "smokes", "grade"]
    values = {column: X[column].dropna().unique().tolist() for column in columns}
    model = fitted(model, numbers=make_pipeline(SimpleImputer(), StandardScaler()))
    threat = ThreatModel.from_data(X, categories=columns, max_changes=max_changes)
    options = {"threat": threat, "random_state": 0}
    attack = FEW if isinstance(model[-1], DecisionTreeClassifier) else QUICK
    found = adversarial_accuracy(model, X, Y, eps=1e-9, attack=attack, **options)
    expected = brute_force(model, X, Y, values, max_changes)
    assert found == expected < model.score(X, Y)
    few = MinimumNormEnsemble(n_queries=5)
    distance = adversarial_distance(model, X, Y, attack=few, **options)
    assert (distance > 0).mean() == expected


def test_categories_are_those_of_the_data_of_the_threat_and_of_the_samples():
    model, some = fitted(), X[X["plan"] != "family"]
    y = Y[X["plan"] != "family"]
    options = {"eps": 1e-9, "random_state": 0, "attack": QUICK}
    rates = {
        name: adversarial_accuracy(model, some, y, threat=threat, **options)
        for name, threat in {
            "samples": ThreatModel(categories=["plan"]),
            "data": ThreatModel.from_data(X, categories=["plan"]),
        }.items()
    }
    values = {"samples": ["basic", "work"], "data": ["basic", "family", "work"]}
    for name, known in values.items():
        assert rates[name] == brute_force(model, some, y, {"plan": known}, 1)
    assert rates["data"] < rates["samples"]


def test_all_means_every_column_that_holds_no_numbers():
    listed = ThreatModel.from_data(X, categories=["plan", "smokes", "grade"])
    assert ThreatModel.from_data(X, categories="all") == listed
    model = fitted()
    by_hand = ThreatModel(units={"age": 18, "income": 10}, categories="all", max_changes=2)
    named = replace(by_hand, categories=["grade", "plan", "smokes"])
    first, second = (
        adversarial_accuracy(model, X, Y, eps=0.1, threat=threat, attack=QUICK, random_state=0)
        for threat in (by_hand, named)
    )
    assert first == second
    but_one = replace(by_hand, immutable=["plan"])
    options = {"threat": but_one, "attack": QUICK, "random_state": 0}
    assert first < adversarial_accuracy(model, X, Y, eps=0.1, **options)


def test_numbers_may_stand_for_categories():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"size": rng.normal(size=80), "colour": rng.integers(0, 4, 80)})
    y = (frame["size"] + 2 * (frame["colour"] == 2) > 1).astype(int).to_numpy()
    encode = make_column_transformer((OneHotEncoder(), ["colour"]), remainder="passthrough")
    model = make_pipeline(encode, LogisticRegression(max_iter=2000)).fit(frame, y)
    threat = ThreatModel(categories=["colour"])
    assert access(model, frame, y, threat).kind is AccessKind.WHITE_BOX
    expected = brute_force(model, frame, y, {"colour": range(4)}, 1)
    options = {"eps": 1e-9, "attack": QUICK, "random_state": 0}
    assert expected == adversarial_accuracy(model, frame, y, threat=threat, **options)
    array = frame.to_numpy()
    by_number = make_pipeline(
        make_column_transformer((OneHotEncoder(), [1]), remainder="passthrough"),
        LogisticRegression(max_iter=2000),
    ).fit(array, y)
    threat = ThreatModel(categories=[1])
    assert expected == adversarial_accuracy(by_number, array, y, threat=threat, **options)


def test_one_hot_groups_stand_beside_raw_columns():
    dummies = pd.get_dummies(X["plan"], prefix="plan").join(X[["age", "grade"]])
    encode = make_column_transformer((OneHotEncoder(), ["grade"]), remainder="passthrough")
    known = X["plan"].notna()
    frame, y = dummies[known], Y[known]
    model = make_pipeline(encode, StandardScaler(), LogisticRegression(max_iter=2000)).fit(frame, y)
    group = [name for name in frame.columns if name.startswith("plan_")]
    rates = [
        adversarial_accuracy(model, frame, y, eps=1e-9, threat=threat, attack=QUICK, random_state=0)
        for threat in (
            ThreatModel(),
            ThreatModel(categories=[group]),
            ThreatModel(categories=[group, "grade"], max_changes=2),
        )
    ]
    assert rates[0] > rates[1] > rates[2] or rates[0] > rates[1] == rates[2]


def test_boosting_on_native_categories():
    frame = X.astype({"plan": "category"})
    model = HistGradientBoostingClassifier(
        min_samples_leaf=5, max_iter=20, categorical_features="from_dtype"
    )
    model.fit(frame, Y)
    threat = ThreatModel.from_data(frame, categories=["plan", "grade"], max_changes=2)
    values = {"plan": ["basic", "family", "work"], "grade": ["x", "y"]}
    found = adversarial_accuracy(
        model, frame, Y, eps=1e-9, threat=threat, attack=FEW, random_state=0
    )
    assert found == brute_force(model, frame, Y, values, 2) < model.score(frame, Y)


@pytest.mark.parametrize("max_changes", [1, 2])
@pytest.mark.parametrize("from_data", [True, False])
def test_booleans_alone_are_categories_where_all_are(from_data, max_changes):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.uniform(size=(40, 4)) < 0.5, columns=list("abcd"))
    y = (frame["a"] | frame["b"]).astype(int).to_numpy()
    model = LogisticRegression().fit(frame, y)
    make = ThreatModel.from_data if from_data else lambda X, **parts: ThreatModel(**parts)
    threat = make(frame, categories="all", max_changes=max_changes)
    found = adversarial_accuracy(model, frame, y, eps=0.1, threat=threat, random_state=0)
    values = dict.fromkeys("abcd", [False, True])
    assert found == brute_force(model, frame, y, values, max_changes)


def test_a_column_of_gaps_alone_may_stand_for_text():
    some = X.iloc[:1].assign(plan=pd.Series([None], index=X.index[:1], dtype=object))
    threat = ThreatModel.from_data(X, categories=["plan"])
    (plan,) = (raw for raw in table_of(some, threat).raw if raw.name == "plan")
    assert not plan.is_number and plan.vocabulary.values == ["basic", "family", "work", None]


def test_categories_that_the_encoder_refuses_are_refused_points():
    known = X["plan"].ne("work") & X["plan"].notna()
    model = fitted(X=X[known], y=Y[known], text=OneHotEncoder())
    threat = ThreatModel.from_data(X, categories=["plan"])
    options = {"eps": 1e-9, "attack": FEW, "random_state": 0}
    with pytest.warns(Warning, match="gave no answer at"):
        found = adversarial_accuracy(model, X[known], Y[known], threat=threat, **options)
    own = ThreatModel(categories=["plan"])
    assert found == adversarial_accuracy(model, X[known], Y[known], threat=own, **options)
