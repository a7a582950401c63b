"""What do mixed precision and torch.compile gain, and what do they cost?

The same fit as it is written, in mixed precision, compiled, and both, with one thread. Seconds
of an epoch are those of a fit of several epochs less those of one, of the processor on a CPU, so
that shared cores do not count; what a first fit of one epoch takes by the clock beyond an epoch is
"first", compiling among it. Accuracy and adversarial accuracy (PGD, on the
test rows) are means over the seeds; compiled fits differ from those as written by rounding alone,
and are trained once. The networks: a perceptron of the default widths and a wide one under the
default penalty, the wide one without a penalty too, and the preset for images.

    python benchmarks/acceleration.py [--seeds 3] [--device cuda] [--quick]
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import time
import warnings
from pathlib import Path
from typing import Any

os.environ["TORCHINDUCTOR_FORCE_DISABLE_CACHES"] = "1"  # or "first" is that of another run

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits

from sklearn_iso import IsometricClassifier, preset
from sklearn_iso.datasets import load_mnist
from sklearn_iso.metrics import adversarial_accuracy

WAYS: dict[str, dict[str, Any]] = {
    "as written": {},
    "mixed_precision": {"mixed_precision": True},
    "compile": {"compile": True},
    "both": {"mixed_precision": True, "compile": True},
}


def digits() -> tuple[np.ndarray, ...]:
    X, y = load_digits(return_X_y=True)
    return train_test_split((X / 16).astype(np.float32), y, test_size=500, random_state=0)


def mnist(n_train: int) -> tuple[np.ndarray, ...]:
    X, X_test, y, y_test = load_mnist()
    return X[:n_train], X_test[:500], y[:n_train], y_test[:500]


def tasks(quick: bool) -> list[dict[str, Any]]:
    """Return estimators with their data, epochs and the budget of the attack."""
    wide = {"hidden_layer_sizes": (1024, 1024)}
    epochs = 2 if quick else 15
    found = [{"name": "256-128, digits", "data": digits(), "epochs": 2 if quick else 40,
              "estimator": IsometricClassifier(),
              "budget": {"eps": 0.5, "norm": "l2"}}]  # fmt: skip
    try:
        data, fewer = mnist(4000), mnist(2000)
    except (OSError, ValueError) as error:
        print(f"MNIST is left out: {error}")
        return found
    l2, linf = {"eps": 1.0, "norm": "l2"}, {"eps": 0.1, "norm": "linf"}
    for name, alpha in (("1024-1024, MNIST", 1.0), ("1024-1024, MNIST, alpha=0", 0.0)):
        found.append({"name": name, "data": data, "epochs": epochs, "budget": l2,
                      "estimator": IsometricClassifier(alpha, **wide)})  # fmt: skip
    found.append({"name": "images, MNIST", "data": fewer, "epochs": epochs, "budget": linf,
                  "estimator": preset("images")})  # fmt: skip
    return found


def fit(
    task: dict[str, Any], way: dict[str, Any], epochs: int, seed: int = 0, clock: Any = None
) -> tuple[Any, float]:
    X, _, y, _ = task["data"]
    estimator = task["estimator"].set_params(max_epochs=epochs, random_state=seed, compile=False,
                                             mixed_precision=False)  # fmt: skip
    clock = clock or (time.process_time if estimator.device == "cpu" else time.perf_counter)
    start = clock()
    estimator.set_params(**way).fit(X, y)
    return estimator, clock() - start


def measure(task: dict[str, Any], way: dict[str, Any], seeds: int) -> dict[str, Any]:
    _, X, _, y = task["data"]
    torch.compiler.reset()
    first = fit(task, way, 1, clock=time.perf_counter)[1]
    one = min(fit(task, way, 1)[1] for _ in range(3))
    accuracy, robust, seconds = [], [], []
    for seed in range(1 if "compile" in way else seeds):
        model, elapsed = fit(task, way, task["epochs"], seed)
        seconds.append((elapsed - one) / (task["epochs"] - 1))
        accuracy.append(model.score(X, y))
        robust.append(adversarial_accuracy(model, X, y, attack="pgd", random_state=0,
                                           **task["budget"]))  # fmt: skip
    epoch = min(seconds)
    return {"epoch": epoch, "first": first - epoch, "seeds": len(seconds),
            "accuracy": float(np.mean(accuracy)), "robust": float(np.mean(robust))}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    logging.getLogger("torch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="torch")
    torch.set_num_threads(1)
    results: dict[str, Any] = {"torch": torch.__version__, "device": options.device, "tasks": {}}
    with threadpool_limits(1):
        for task in tasks(options.quick):
            task["estimator"].set_params(device=options.device)
            rows = results["tasks"][task["name"]] = {}
            for name, way in WAYS.items():
                row = rows[name] = measure(task, way, options.seeds)
                gain = rows["as written"]["epoch"] / row["epoch"]
                print(f"{task['name']:28} {name:16} epoch {row['epoch']:7.3f} s ({gain:4.1f} x)"
                      f"  first {row['first']:5.1f} s  accuracy {row['accuracy']:.3f}"
                      f"  robust {row['robust']:.3f}", flush=True)  # fmt: skip
    if not options.quick:
        path = Path(__file__).with_suffix(".json")
        path.write_text(json.dumps(results, indent=1) + "\n")
        print(f"saved {path}")


if __name__ == "__main__":
    main()
