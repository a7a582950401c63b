"""What do the defaults gain, and what do they cost, beside the same network without a penalty?

- digits, standardised, 5 seeds: accuracy clean and under L2 PGD-40 at 0.3 of the median
  distance to the nearest other class.
- MNIST, 20 epochs: accuracy on the test images, and on the first 1,000 of them under PGD-40
  with 5 restarts and under the attack ensemble; within-class distortion of the last hidden layer.
- MNIST, peak memory of a fit on 60,000 images, and of isometry_distortion on them.

    python benchmarks/defaults.py [--only digits|mnist|memory]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from sklearn_iso import IsometricClassifier, ThreatModel
from sklearn_iso.attacks import PGD
from sklearn_iso.datasets import load_mnist
from sklearn_iso.metrics import adversarial_accuracy, isometry_distortion
from sklearn_iso.penalties import nearest_other_class_distance

SEEDS = range(5)
EPOCHS = 20
BUDGETS = (("linf", 0.1), ("linf", 0.2), ("l2", 1.0), ("l2", 1.58), ("l2", 2.0))


def digits() -> dict[str, Any]:
    X, y = load_digits(return_X_y=True)
    rows: dict[float | str, list[list[float]]] = {0.0: [], 1.0: [], "auto": []}
    for seed in SEEDS:
        X_train, X_test, y_train, y_test = train_test_split(
            X, y, test_size=0.25, stratify=y, random_state=seed
        )
        scaler = StandardScaler().fit(X_train)
        X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)
        unit = nearest_other_class_distance(torch.from_numpy(X_train), torch.from_numpy(y_train))
        for alpha, scores in rows.items():
            model = IsometricClassifier(alpha=alpha, random_state=seed).fit(X_train, y_train)
            robust = adversarial_accuracy(
                model,
                X_test,
                y_test,
                eps=0.3 * unit,
                threat="l2",
                attack=PGD(n_restarts=3),
                random_state=0,
            )
            scores.append([model.score(X_test, y_test), robust])
    means = {alpha: np.mean(scores, axis=0) for alpha, scores in rows.items()}
    spread = {alpha: np.std(scores, axis=0, ddof=1) for alpha, scores in rows.items()}
    return {
        "seeds": len(SEEDS),
        "clean": _both(means, 0), "clean_spread": _both(spread, 0),
        "robust": _both(means, 1), "robust_spread": _both(spread, 1),
        "robust_gain": round(float(means[1.0][1] - means[0.0][1]), 4),
        "clean_loss": round(float(means[0.0][0] - means[1.0][0]), 4),
        "met": bool((means[1.0] - means[0.0] >= [-0.01, 0.25]).all()),
        "met by auto": bool((means["auto"] - means[0.0] >= [-0.005, 0.25]).all()),
    }  # fmt: skip


def _both(values: dict[float | str, np.ndarray], column: int) -> dict[str, float]:
    return {f"alpha={alpha}": round(float(row[column]), 4) for alpha, row in values.items()}


def mnist() -> dict[str, Any]:
    X_train, X_test, y_train, y_test = load_mnist()
    few, labels = X_test[:1000], y_test[:1000]
    results: dict[str, Any] = {"epochs": EPOCHS, "seed": 0}
    for alpha in (0.0, 1.0):
        start = time.perf_counter()
        model = IsometricClassifier(alpha=alpha, max_epochs=EPOCHS, random_state=0)
        model.fit(X_train, y_train)
        seconds = time.perf_counter() - start
        robust = {
            name: {
                f"{norm} {eps}": adversarial_accuracy(
                    model, few, labels, eps=eps, threat=ThreatModel(norm, bounds=(0, 1)),
                    attack=attack, random_state=0,
                )
                for norm, eps in BUDGETS
            }
            for name, attack in (("pgd", PGD(n_restarts=5)), ("cascade", "auto"))
        }  # fmt: skip
        results[f"alpha={alpha:g}"] = {
            "clean": model.score(X_test, y_test), "robust": robust,
            "distortion": round(isometry_distortion(X_test, model.transform(X_test), y_test), 4),
            "seconds": round(seconds, 1),
        }  # fmt: skip
    plain, default = results["alpha=0"], results["alpha=1"]
    results["distortion_ratio"] = round(default["distortion"] / plain["distortion"], 3)
    results["met"] = {
        "robust at least .75 where plain is under .05": (
            default["robust"]["pgd"]["linf 0.1"] >= 0.75
            and plain["robust"]["pgd"]["linf 0.1"] < 0.05
        ),
        "clean at most .01 below plain": default["clean"] >= plain["clean"] - 0.01,
        "distortion at most .65 of plain": results["distortion_ratio"] <= 0.65,
    }
    return results


def _peak(task: str) -> dict[str, float]:
    """Run a task in a process of its own and return its peak memory."""
    command = [sys.executable, __file__, "--task", task]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(output.splitlines()[-1])


def task_fit() -> None:
    X_train, _, y_train, _ = load_mnist()
    IsometricClassifier(max_epochs=1, random_state=0).fit(X_train, y_train)


def task_distortion() -> dict[str, float]:
    X_train, _, y_train, _ = load_mnist()
    Z = X_train @ np.random.default_rng(0).normal(size=(784, 32)).astype(np.float32)
    value, error = isometry_distortion(X_train, Z, y_train, return_std_error=True)
    return {"distortion": round(value, 4), "std_error": round(error, 5)}


TASKS = {"fit": task_fit, "distortion": task_distortion}


def memory() -> dict[str, Any]:
    peaks = {task: _peak(task) for task in TASKS}
    return peaks | {"met": all(peak["gigabytes"] < 1.2 for peak in peaks.values())}


PARTS = {"digits": digits, "mnist": mnist, "memory": memory}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=sorted(PARTS))
    parser.add_argument("--task", choices=sorted(TASKS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        extra = TASKS[options.task]() or {}
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(json.dumps({"gigabytes": round(peak, 3)} | extra))
        return
    path = Path(__file__).with_suffix(".json")
    results = json.loads(path.read_text()) if path.exists() else {}
    for name in [options.only] if options.only else PARTS:
        results[name] = PARTS[name]()
        print(name, json.dumps(results[name], indent=1))
        path.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
