"""Does IsometricClassifierCV choose the alpha of GridSearchCV, and how much sooner?

Digits, 16 alphas, 5 folds, a network of 64-32 units, batches of 32, one thread. The grid search
fits 80 networks one by one; the other trains the 16 of a fold at once. Both end with one fit on
all rows.

    python benchmarks/alpha_path.py        # writes alpha_path.json beside this file
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from threadpoolctl import threadpool_limits

from sklearn_iso import IsometricClassifier, IsometricClassifierCV

ALPHAS = [0.0, *np.logspace(-2, 1.5, 15).round(4).tolist()]


def main():
    X, y = load_digits(return_X_y=True)
    X = X / 16
    network = IsometricClassifier(
        hidden_layer_sizes=(64, 32), batch_size=32, max_epochs=10, random_state=0
    )
    network.fit(X[:100], y[:100])  # imports and first calls are nobody's time
    with threadpool_limits(1):
        start = time.perf_counter()
        at_once = IsometricClassifierCV(ALPHAS, estimator=network, cv=5).fit(X, y)
        middle = time.perf_counter()
        search = GridSearchCV(network, {"alpha": ALPHAS}, cv=5).fit(X, y)
        end = time.perf_counter()
    scores = [found.cv_results_["mean_test_score"] for found in (at_once, search)]
    report = {
        "seconds_at_once": round(middle - start, 1),
        "seconds_grid_search": round(end - middle, 1),
        "times_faster": round((end - middle) / (middle - start), 2),
        "best_alpha_at_once": at_once.alpha_,
        "best_alpha_grid_search": search.best_params_["alpha"],
        "largest_difference_of_scores": float(np.abs(scores[0] - scores[1]).max()),
        "alphas": ALPHAS,
        "scores": scores[0].round(4).tolist(),
    }
    print(json.dumps(report, indent=1))
    out = Path(__file__).with_suffix(".json")
    out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
