"""What does the default of IsometricRegressor cost in R2, and what does it gain under attack?

Four data sets of scikit-learn, standardised, three splits each. Robust R2 takes the largest
squared error that `adversarial_error` finds within an l2 ball of half the median
distance between nearest samples: the radius that the estimator chooses by itself. Beside it
RidgeCV and MLPRegressor, on a target of mean 0 and standard deviation 1.

    python benchmarks/regression.py            # writes regression.json beside this file
    python benchmarks/regression.py --quick    # prints one split of two sets, without the choice
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes, make_friedman1, make_friedman2, make_friedman3
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler

from sklearn_iso import IsometricRegressor
from sklearn_iso.metrics import adversarial_error

SETS = {
    "diabetes": load_diabetes(return_X_y=True),
    "friedman1": make_friedman1(1000, noise=1.0, random_state=0),
    "friedman2": make_friedman2(1000, noise=50.0, random_state=0),
    "friedman3": make_friedman3(1000, noise=0.1, random_state=0),
}
ALPHAS = ("auto", 0.0, 0.1, 0.3, 1.0)
PEERS = {
    "RidgeCV": lambda seed: RidgeCV(np.logspace(-3, 3, 13)),
    "MLPRegressor": lambda seed: MLPRegressor(max_iter=500, random_state=seed),
}


def measure(X, y, model, seed):
    X, X_test, y, y_test = train_test_split(X, y, random_state=seed)
    scaler = StandardScaler().fit(X)
    X, X_test = scaler.transform(X), scaler.transform(X_test)
    y, y_test = (y - y.mean()) / y.std(), (y_test - y.mean()) / y.std()
    eps = IsometricRegressor(alpha=1.0, max_epochs=1, random_state=seed).fit(X, y).radius_
    if model in PEERS:
        regressor = PEERS[model](seed).fit(X, y)
    else:
        regressor = IsometricRegressor(alpha=model, random_state=seed).fit(X, y)
    attacked = adversarial_error(
        regressor, X_test, y_test, eps=eps, threat="l2", loss="squared_error", random_state=seed
    )
    return regressor.score(X_test, y_test), 1 - attacked / y_test.var(), eps


def main(quick):
    rows = []
    for name in list(SETS)[:2] if quick else SETS:
        for model in (0.0, 0.3, *PEERS) if quick else (*ALPHAS, *PEERS):
            splits = [measure(*SETS[name], model, seed) for seed in range(1 if quick else 3)]
            found = np.mean(splits, axis=0)
            row = dict(zip(("r2", "robust_r2", "eps"), found.round(4).tolist(), strict=True))
            rows.append({"data": name, "alpha or peer": model} | row)
            print(rows[-1], flush=True)
    if not quick:
        out = Path(__file__).with_suffix(".json")
        out.write_text(json.dumps({"splits": 3, "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(quick="--quick" in sys.argv[1:])
