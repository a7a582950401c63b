"""How much longer does a penalty take, and what does the estimator cost beside its peers?

Same network (256-128 ReLU), batches, epochs, dtype (float32), Adam and one thread for all;
the candidates take turns within each repeat, a ratio is that of one repeat, and the figure is
the median over the repeats with its quartiles: shared cores change speed from one second to the
next. MLPClassifier, stock skorch and a hand-written loop have no penalty.

    python benchmarks/fit_speed.py [--repeats 15] [--quick]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier
from threadpoolctl import threadpool_limits
from torch import nn

from sklearn_iso import IsometricClassifier
from sklearn_iso.datasets import load_mnist

HIDDEN, BATCH_SIZE, LEARNING_RATE = (256, 128), 256, 2e-3


def network(n_features: int) -> nn.Sequential:
    first, second = HIDDEN
    return nn.Sequential(
        nn.Linear(n_features, first), nn.ReLU(), nn.Linear(first, second), nn.ReLU(),
        nn.Linear(second, 10),
    )  # fmt: skip


def hand_written_loop(X: np.ndarray, y: np.ndarray, epochs: int) -> None:
    module = network(X.shape[1])
    optimizer = torch.optim.Adam(module.parameters(), lr=LEARNING_RATE, fused=True)
    rows, labels = torch.from_numpy(X), torch.from_numpy(y)
    for _ in range(epochs):
        for index in torch.randperm(len(rows)).split(BATCH_SIZE):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(module(rows[index]), labels[index])
            loss.backward()
            optimizer.step()


def stock_skorch(X: np.ndarray, y: np.ndarray, epochs: int) -> None:
    NeuralNetClassifier(
        network(X.shape[1]), criterion=nn.CrossEntropyLoss, optimizer=torch.optim.Adam,
        lr=LEARNING_RATE, max_epochs=epochs, batch_size=BATCH_SIZE, train_split=None,
        iterator_train__shuffle=True, verbose=0,
    ).fit(X, y)  # fmt: skip


def mlp_classifier(X: np.ndarray, y: np.ndarray, epochs: int) -> None:
    MLPClassifier(
        HIDDEN, batch_size=BATCH_SIZE, learning_rate_init=LEARNING_RATE, alpha=0.0,
        max_iter=epochs, n_iter_no_change=epochs, tol=0.0,
    ).fit(X, y)  # fmt: skip


def isometric(**params: Any) -> Callable[[np.ndarray, np.ndarray, int], None]:
    def fit(X: np.ndarray, y: np.ndarray, epochs: int) -> None:
        IsometricClassifier(
            hidden_layer_sizes=HIDDEN, batch_size=BATCH_SIZE, learning_rate=LEARNING_RATE,
            max_epochs=epochs, random_state=0, **params,
        ).fit(X, y)  # fmt: skip

    return fit


CANDIDATES: dict[str, Callable[[np.ndarray, np.ndarray, int], None]] = {
    "hand-written loop": hand_written_loop,
    "MLPClassifier": mlp_classifier,
    "stock skorch": stock_skorch,
    "alpha=0": isometric(alpha=0),
    "within_class": isometric(penalty="within_class"),
    "worst_case": isometric(penalty="worst_case"),
    "isometric (default)": isometric(),
}

#: Ratio, the most or least it should be, by data set.
LINES = [
    ("alpha=0", "hand-written loop", "<=", {"digits": 1.15, "mnist-10k": 1.15}),
    ("alpha=0", "MLPClassifier", "<=", {"digits": 1.3, "mnist-10k": 1.3}),
    ("stock skorch", "alpha=0", ">=", {"digits": 2.0, "mnist-10k": 1.25}),
    ("worst_case", "alpha=0", "<=", {"digits": 2.6, "mnist-10k": 2.6}),
    ("within_class", "alpha=0", "<=", {"digits": 1.7, "mnist-10k": 1.7}),
    ("isometric (default)", "alpha=0", "<=", {"digits": 3.2, "mnist-10k": 3.2}),
]


def measure(X: np.ndarray, y: np.ndarray, epochs: int, repeats: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in CANDIDATES}
    for fit in CANDIDATES.values():
        fit(X[:500], y[:500], 1)  # warm up
    for _ in range(repeats):
        for name, fit in CANDIDATES.items():
            start = time.perf_counter()
            fit(X, y, epochs)
            seconds[name].append(time.perf_counter() - start)
    return seconds


def ratios(name: str, seconds: dict[str, list[float]]) -> list[dict[str, Any]]:
    rows = []
    for one, other, sense, limits in LINES:
        paired = np.array(seconds[one]) / np.array(seconds[other])
        low, ratio, high = np.quantile(paired, [0.25, 0.5, 0.75]).round(3).tolist()
        met = ratio <= limits[name] if sense == "<=" else ratio >= limits[name]
        rows.append({"data": name, "ratio": f"{one} / {other}", "value": ratio,
                     "quartiles": [low, high], "line": f"{sense} {limits[name]}",
                     "met": met})  # fmt: skip
    return rows


def datasets(quick: bool) -> dict[str, tuple[np.ndarray, np.ndarray, int]]:
    X, y = load_digits(return_X_y=True)
    X = StandardScaler().fit_transform(X).astype(np.float32)
    found = {"digits": (X, y, 5 if quick else 40)}
    try:
        X_train, _, y_train, _ = load_mnist()
    except (OSError, ValueError) as error:
        print(f"mnist-10k is left out: {error}")
    else:
        found["mnist-10k"] = (X_train[:10_000].copy(), y_train[:10_000], 1 if quick else 4)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    results: dict[str, Any] = {
        "settings": {
            "hidden_layer_sizes": HIDDEN, "batch_size": BATCH_SIZE, "dtype": "float32",
            "threads": 1, "repeats": options.repeats, "torch": torch.__version__,
        },
        "seconds": {}, "ratios": [],
    }  # fmt: skip
    with threadpool_limits(1), np.errstate(all="ignore"):
        for name, (X, y, epochs) in datasets(options.quick).items():
            seconds = measure(X, y, epochs, options.repeats)
            results["seconds"][name] = {"epochs": epochs, **seconds}
            for row in ratios(name, seconds):
                results["ratios"].append(row)
                low, high = row["quartiles"]
                print(f"{row['data']:10} {row['ratio']:38} {row['value']:6.2f}  "
                      f"({low:.2f} to {high:.2f})  line {row['line']:8} "
                      f"{'met' if row['met'] else 'NOT MET'}")  # fmt: skip
    if not options.quick:
        path = Path(__file__).with_suffix(".json")
        path.write_text(json.dumps(results, indent=1) + "\n")
        print(f"saved {path}")


if __name__ == "__main__":
    main()
