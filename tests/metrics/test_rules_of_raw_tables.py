"""Rules of the data on raw tables: the same as on the numbers alone."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from sklearn_iso import ThreatModel
from sklearn_iso.attacks import PGD
from sklearn_iso.metrics import adversarial_accuracy, adversarial_distance, adversarial_error

RNG = np.random.default_rng(0)
NUMBERS = ["a", "b", "total", "count"]
X = pd.DataFrame({"word": RNG.choice(["x", "y"], 60), "a": RNG.random(60), "b": RNG.random(60)})
X["total"], X["count"] = X["a"] + X["b"], RNG.integers(0, 9, 60)
Y = np.where(X["total"] + X["count"] / 5 + RNG.normal(0, 0.3, 60) > 1.8, "high", "low")
QUICK = {"attack": PGD(n_steps=20), "random_state": 0}
RULES = {"relations": ["total == a + b"], "integers": ["count"], "increasing": ["a"]}


def encoded(last):
    encode = make_column_transformer(
        (OneHotEncoder(), ["word"]), (StandardScaler(), NUMBERS), sparse_threshold=0
    )
    return make_pipeline(encode, last)


def test_rules_hold_beside_words_as_they_do_on_the_numbers_alone():
    raw = encoded(LogisticRegression()).fit(X, Y)
    numbers = make_pipeline(StandardScaler(), LogisticRegression()).fit(X[NUMBERS], Y)
    numbers[-1].coef_ = raw[-1].coef_[:, 2:]
    threat = ThreatModel.from_data(X, **RULES, bounds=None)
    free = ThreatModel.from_data(X[NUMBERS], **RULES, bounds=None)
    for word, group in X.groupby("word"):
        # On samples of one word its effect is a constant.
        at = list(raw[0].named_transformers_["onehotencoder"].categories_[0]).index(word)
        numbers[-1].intercept_ = raw[-1].intercept_ + raw[-1].coef_[:, at]
        y = Y[group.index]
        expected = adversarial_accuracy(numbers, group[NUMBERS], y, eps=0.3, threat=free, **QUICK)
        found = adversarial_accuracy(raw, group, y, eps=0.3, threat=threat, **QUICK)
        assert found == pytest.approx(expected, abs=1.5 / len(y))


def test_every_point_that_a_regressor_is_asked_of_obeys_the_rules():
    model = encoded(Ridge()).fit(X, X["a"] - X["count"])
    free = adversarial_error(
        model, X, X["a"], eps=0.3, threat=ThreatModel.from_data(X), random_state=0
    )
    ruled = adversarial_error(
        model, X, X["a"], eps=0.3, threat=ThreatModel.from_data(X, **RULES), random_state=0
    )
    assert adversarial_error(model, X, X["a"], eps=0) <= ruled <= free


def test_gaps_between_two_values_break_no_rule_of_whole_numbers():
    X, y = pd.DataFrame({"count": [0.0, 1.0, 2.0, 3.0, np.nan]}), [0, 0, 1, 1, 0]
    model = make_pipeline(SimpleImputer(), DecisionTreeClassifier()).fit(X, y)
    for table in (X, X.astype({"count": "Int64"})):
        found = adversarial_distance(model, table, y, threat=ThreatModel(integers=["count"]))
        assert found.tolist() == [2, 1, 1, 2, np.inf if model.predict(X)[-1] == 0 else 0]


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"integers": ["word"]}, "integers must be of columns of numbers.*'word'"),
        ({"relations": ["word <= a"]}, "relations must be of columns of numbers.*'word'"),
        ({"repair": lambda X: X}, "repair is a rule for tables of numbers"),
        ({"relations": ["total == a - b"]}, "total == a - b"),
    ],
)
def test_rules_that_do_not_fit_are_errors(rules, message):
    model = encoded(LogisticRegression()).fit(X, Y)
    with pytest.raises(ValueError, match=f"(?s){message}"):
        adversarial_accuracy(model, X, Y, eps=0.1, threat=ThreatModel.from_data(X, **rules))
