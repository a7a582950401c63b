"""What does it cost to start, to predict one sample, and to predict many?

Every start is a fresh process on one thread, which imports, and fits twice: the first fit less the
second is what a process pays once. Predictions are those of fitted estimators in this process, on
one thread, beside MLPClassifier of the same layers and the bare torch module; the candidates take
turns, and the figures are CPU times: the median over the rounds, with quartiles.

    python benchmarks/latency.py [--rounds 15] [--starts 5]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from sklearn_iso import IsometricClassifier

HIDDEN, SEED = (256, 128), 0
#: Printed by a fresh process: CPU seconds of each step, and the modules that it brought.
START = """
import json, sys, time
def took(step):
    n, before = len(sys.modules), time.process_time()
    step()
    return time.process_time() - before, len(sys.modules) - n
def bare():
    import sklearn.neural_network, torch
def package():
    import sklearn_iso
def attacks():
    import sklearn_iso.attacks
def estimator():
    from sklearn_iso import IsometricClassifier
def fit():
    import numpy as np
    from sklearn_iso import IsometricClassifier
    X = np.random.RandomState(0).randn(200, 10)
    IsometricClassifier(alpha=1, max_epochs=5, random_state=0).fit(X, (X[:, 0] > 0).astype(int))
steps = {
    "scikit-learn and torch": bare, "sklearn_iso": package, "sklearn_iso.attacks": attacks,
    "an estimator of it": estimator, "first fit": fit, "second fit": fit,
}
print(json.dumps({name: took(step) for name, step in steps.items()}))
"""


def quartiles(values: list[float]) -> list[float]:
    return [float(f"{value:.4g}") for value in np.percentile(values, [25, 50, 75])]


def starts(n_starts: int) -> dict[str, dict[str, object]]:
    """Return seconds and modules of each step of fresh processes.

    The first one warms the disk and writes the bytecode, which an installed package has.
    """
    alone = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    found = []
    with tempfile.TemporaryDirectory() as folder:
        bytecode = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": folder}
        for _ in range(n_starts + 1):
            run = subprocess.run(
                [sys.executable, "-c", START], capture_output=True, text=True, check=True,
                env=os.environ | alone | bytecode,
            )  # fmt: skip
            found.append(json.loads(run.stdout))
    return {
        name: {"seconds": quartiles([one[name][0] for one in found[1:]]), "modules": n_modules}
        for name, (_, n_modules) in found[-1].items()
    }


def predictions() -> dict[str, tuple[Callable[[], object], int, int]]:
    """Return what is timed: a call, how many samples it predicts, and calls of a round."""
    X, y = load_digits(return_X_y=True)
    one = X[:1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few epochs
        ours = IsometricClassifier(alpha=1, max_epochs=2, random_state=SEED).fit(X, y)
        peer = MLPClassifier(HIDDEN, max_iter=2, random_state=SEED).fit(X, y)
    module, tensor = ours.to_torch(), torch.from_numpy(one)

    @torch.no_grad()
    def bare() -> torch.Tensor:
        return module(tensor)

    calls = {"predict": "predict", "predict_proba": "predict_proba"}
    timed: dict[str, tuple[Callable[[], object], int, int]] = {"bare module": (bare, 1, 100)}
    for name, method in calls.items():
        for who, model in {"IsometricClassifier": ours, "MLPClassifier": peer}.items():
            call = getattr(model, method)
            timed[f"{who}.{name}, one sample"] = (lambda call=call: call(one), 1, 100)
            timed[f"{who}.{name}, digits"] = (lambda call=call: call(X), len(X), 2)
    timed["IsometricClassifier.transform, one sample"] = (lambda: ours.transform(one), 1, 100)
    return timed


def microseconds(rounds: int) -> dict[str, list[float]]:
    """Return the CPU microseconds of each sample, as quartiles."""
    timed = predictions()
    found: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(rounds):
        for name, (call, n_samples, n_calls) in timed.items():
            call()
            before = time.process_time()
            for _ in range(n_calls):
                call()
            spent = time.process_time() - before
            found[name].append(1e6 * spent / n_calls / n_samples)
    return {name: quartiles(values) for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--starts", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        of_samples = microseconds(options.rounds)
    results = {
        "settings": {**vars(options), "hidden": HIDDEN, "seed": SEED, "threads": 1},
        "start, CPU seconds": starts(options.starts),
        "prediction, CPU microseconds a sample": of_samples,
    }
    print(json.dumps(results, indent=1))
    if options.rounds >= 15 and options.starts >= 5:
        path = Path(__file__).with_suffix(".json")
        path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
