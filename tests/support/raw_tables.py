"""A table as users pass it: numbers, text, categories, booleans and gaps, and models of it."""

import itertools

import numpy as np
import pandas as pd
import polars as pl
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklearn_iso import ThreatModel
from sklearn_iso.attacks import PGD, AttackEnsemble, MinimumNormEnsemble
from sklearn_iso.metrics._access import Access
from sklearn_iso.metrics._problem import Problem

NUMBERS, TEXT = ["age", "income"], ["plan", "grade"]
#: Enough where pipelines are linear, and where categories are few or steps are wide.
QUICK, FEW = PGD(n_steps=10), AttackEnsemble(n_queries=20)
NEAREST = MinimumNormEnsemble(n_steps=30, n_queries=0)


def people(n=80, seed=0):
    """Return a raw table and labels: numbers, text, categories, booleans, and gaps."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "age": rng.integers(18, 80, n),
            "plan": rng.choice(["basic", "family", "work"], n),
            "income": rng.normal(50, 10, n),
            "smokes": rng.uniform(size=n) < 0.4,
            "grade": pd.Categorical(rng.choice(["x", "y"], n)),
        },
        index=[f"s{number}" for number in range(n)],
    )
    margin = (X["age"] - 49) / 18 + 1.5 * (X["plan"] == "family") + X["smokes"]
    y = (margin + (X["income"] - 50) / 20 + rng.normal(0, 0.5, n) > 0.7).to_numpy().astype(int)
    X.loc[X.index[::7], "income"] = np.nan
    X.loc[X.index[::9], "plan"] = None
    return X, y


X, Y = people()


def prepared(numbers=None, text=None):
    numbers = make_pipeline(SimpleImputer(), StandardScaler()) if numbers is None else numbers
    text = OneHotEncoder(handle_unknown="ignore") if text is None else text
    return make_column_transformer((numbers, NUMBERS), (text, TEXT), remainder="passthrough")


def fitted(model=None, X=X, y=Y, **parts):
    model = LogisticRegression(max_iter=2000) if model is None else model
    return make_pipeline(prepared(**parts), model).fit(X, y)


def access(model, X=X, y=Y, threat=None):
    threat = ThreatModel.from_data(X) if threat is None else threat
    return Access.of(Problem.of(model, X, y, threat=threat))


def in_polars(frame):
    values = {name: [None if pd.isna(one) else one for one in frame[name]] for name in frame}
    return pl.DataFrame(values)


def brute_force(model, X, y, values, max_changes):
    """Return the share of samples that no change of categories gets misclassified."""
    robust = model.predict(X) == y
    for columns in itertools.combinations(values, max_changes):
        for chosen in itertools.product(*(values[column] for column in columns)):
            changed = X.copy()
            for column, value in zip(columns, chosen, strict=True):
                known = X[column].notna()
                dtype = X[column].dtype
                changed[column] = X[column].astype(object).mask(known, value).astype(dtype)
            robust &= model.predict(changed) == y
    return robust.mean()
