"""Pipelines that take raw columns: with a differentiable model, or searched without."""

import re

import numpy as np
import pytest
from raw_tables import FEW, NUMBERS, TEXT, X, Y, access, fitted, prepared
from releases import SKLEARN_1_8
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
    TargetEncoder,
)

from sklearn_iso import ThreatModel
from sklearn_iso.attacks import PGD
from sklearn_iso.metrics import adversarial_accuracy
from sklearn_iso.metrics._access import AccessKind


def words(X):
    return X.assign(note=np.where(X["smokes"], "smokes a lot", "likes to run"))


@pytest.mark.parametrize(
    "model, frame",
    [
        (lambda: fitted(text=TargetEncoder(cv=KFold(3) if SKLEARN_1_8 else 3)), X),
        (
            lambda: fitted(
                text=make_pipeline(
                    SimpleImputer(strategy="constant", fill_value="none"), OneHotEncoder()
                )
            ),
            X,
        ),
        (lambda: fitted(numbers=SimpleImputer(strategy="median", add_indicator=True)), X),
        (
            lambda: make_pipeline(
                make_column_transformer(
                    (
                        make_pipeline(SimpleImputer(), StandardScaler()),
                        make_column_selector(dtype_include=["number"]),
                    ),
                    (OneHotEncoder(), lambda X: ["plan", "grade"]),
                    (StandardScaler(), ["smokes"]),
                ).set_output(transform="default"),
                LogisticRegression(max_iter=2000),
            ).fit(X, Y),
            X,
        ),
        (
            lambda: make_pipeline(
                make_column_transformer(
                    (CountVectorizer(), "note"), (SimpleImputer(), NUMBERS), ("drop", TEXT)
                ),
                LogisticRegression(max_iter=2000),
            ).fit(words(X), Y),
            words(X),
        ),
        (
            lambda: make_pipeline(
                make_column_transformer((prepared(), [*NUMBERS, *TEXT]), ("drop", ["smokes"])),
                LogisticRegression(max_iter=2000),
            ).fit(X, Y),
            X,
        ),
        (lambda: VotingClassifier([("a", fitted()), ("b", fitted())], voting="soft").fit(X, Y), X),
        (lambda: CalibratedClassifierCV(fitted(), cv=2, ensemble=False).fit(X, Y), X),
        (lambda: GridSearchCV(fitted(), {"logisticregression__C": [1.0]}, cv=2).fit(X, Y), X),
    ],
    ids="target imputed indicator selectors text nested voting calibrated search".split(),
)
def test_pipelines_of_raw_columns_have_a_differentiable_model(model, frame):
    model = model()
    found = access(model, frame)
    assert found.kind is AccessKind.WHITE_BOX and "equals the estimator" in found.reason
    threat, attack = ThreatModel.from_data(frame), PGD(n_steps=5)
    options = {"eps": 0.3, "threat": threat, "attack": attack, "random_state": 0}
    assert adversarial_accuracy(model, frame, Y, **options) < model.score(frame, Y)


@pytest.mark.parametrize(
    "model, reason",
    [
        (
            lambda: make_pipeline(
                make_column_transformer(
                    (
                        make_pipeline(
                            SimpleImputer(strategy="most_frequent"),
                            OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
                        ),
                        ["plan", "age"],
                    )
                ),
                LogisticRegression(max_iter=2000),
            ).fit(X, Y),
            "column 'plan' holds no numbers and stands beside column 'age', which moves",
        ),
        (
            lambda: make_pipeline(
                make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["age"])),
                LogisticRegression(max_iter=2000),
            ).fit(X, Y),
            "column 'age' moves as a number",
        ),
        (
            lambda: make_pipeline(
                FunctionTransformer(lambda X: X[NUMBERS].fillna(0)),
                LogisticRegression(max_iter=2000),
            ).fit(X, Y),
            "'functiontransformer' .*stands beside column 'age', which moves",
        ),
        (lambda: fitted(numbers=KNNImputer()), "scores of its twin are not finite"),
    ],
    ids="mixed codes function neighbours".split(),
)
def test_other_pipelines_are_searched_without_gradients(model, reason):
    found = access(model())
    assert found.kind is AccessKind.SCORES
    assert re.search(reason, found.reason), found.reason


def test_trees_behind_raw_columns_are_searched():
    model = fitted(RandomForestClassifier(5, random_state=0))
    threat = ThreatModel.from_data(X, categories=["plan"])
    assert access(model, threat=threat).kind is AccessKind.SCORES
    rate = adversarial_accuracy(model, X, Y, eps=0.3, threat=threat, attack=FEW, random_state=0)
    fixed = ThreatModel.from_data(X)
    assert rate < adversarial_accuracy(model, X, Y, eps=0.3, threat=fixed, attack=FEW,
                                       random_state=0) < model.score(X, Y)  # fmt: skip
